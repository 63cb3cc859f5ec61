"""Policies: the rules for a model, and the judgement of evidence by them.

docs/policy.md describes the language. Judging fails closed: evidence that is missing, not a number,
or about something else fails its rule; without a rule that applied, the decision is not a pass.
"""

from assay.evidence.selectors import Expression, parse_expression
from assay.governance.policy.attempts import ATTEMPTS
from assay.governance.policy.decision import (
    decide,
    parse_decision,
    read_decision,
    replay,
    statement,
)
from assay.governance.policy.judge import judge
from assay.governance.policy.language import MAX_POLICY_BYTES, Policy, Rule, StepRule, parse_policy
from assay.governance.policy.names import KNOWN_METRICS
from assay.governance.policy.verdict import Decision, Kind, Outcome, Row, Verdict, verdict_of

__all__ = [
    "ATTEMPTS",
    "KNOWN_METRICS",
    "MAX_POLICY_BYTES",
    "Decision",
    "Expression",
    "Kind",
    "Outcome",
    "Policy",
    "Row",
    "Rule",
    "StepRule",
    "Verdict",
    "decide",
    "judge",
    "parse_decision",
    "parse_expression",
    "parse_policy",
    "read_decision",
    "replay",
    "statement",
    "verdict_of",
]
