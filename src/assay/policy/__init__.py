"""Policies: what a model must show before it is registered, and the judging of it.

The language is described in docs/policy.md. Judging fails closed: what is missing, is not a
number, or is about something else fails its rule; no rules, or none that applied, is no pass.
"""

from assay.policy.decision import Decision, read_decision, replay, statement
from assay.policy.judge import Row, Verdict, judge
from assay.policy.language import MAX_POLICY_BYTES, Expression, Policy, Rule, parse_policy

__all__ = [
    "MAX_POLICY_BYTES",
    "Decision",
    "Expression",
    "Policy",
    "Row",
    "Rule",
    "Verdict",
    "judge",
    "parse_policy",
    "read_decision",
    "replay",
    "statement",
]
