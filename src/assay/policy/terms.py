"""The terms on which evidence must have been made for a policy to believe it.

A comparison judges by itself, by a margin and at a level of confidence; and both evaluation and
comparison leave groups unjudged that are too small. These are parameters of whoever starts a run,
so the evidence says them, and they are held against what the policy asks for. So it is with the
file of behavioural checks, where the policy names one.
"""

from typing import Final

from assay.evidence import EvidenceDocument
from assay.labels import metric_of
from assay.policy.language import REGRESSION, Policy

MIN_CONFIDENCE: Final = 0.9
"""Least level of a comparison where the policy names none."""
MIN_SLICE_ROWS: Final = 30
"""Least rows of a group that evidence may speak of."""
VIOLATIONS: Final = "safety_violations"
LEVEL_TOLERANCE: Final = 1e-9


def margin(policy: Policy) -> float | None:
    """The margin of the comparison: the policy's threshold on `regression_delta`, if it has one.

    Of several, the strictest; a policy that asks for an improvement has the margin 0. A rule on the
    regression of a slice, or by another metric, is about something else.
    """
    thresholds = [
        max(rule.expression.threshold, 0.0)
        for rule in policy.rules
        if rule.expression.metric in {REGRESSION, f"{REGRESSION}_upper"}
        and not rule.expression.labels
        and rule.expression.comparison in {"<", "<="}
    ]
    return min(thresholds, default=None)


def level(policy: Policy) -> float:
    """The least level of confidence at which a comparison may judge."""
    named = [
        rule.confidence
        for rule in policy.rules
        if rule.confidence is not None and rule.expression.metric.startswith(REGRESSION)
    ]
    return min(named, default=policy.confidence or MIN_CONFIDENCE)


def objection(document: EvidenceDocument, policy: Policy) -> str:
    """Why a document was made on other terms than the policy's; "" when it was not."""
    rows = document.values.get("min_slice_rows")
    if rows is not None and rows < MIN_SLICE_ROWS:
        return (
            f"speaks of groups of {rows:g} rows and more, and the least is {MIN_SLICE_ROWS}; leave "
            "min_slice_rows as it is"
        )
    if policy.checks and any(metric_of(name) == VIOLATIONS for name in document.values):
        used = document.subjects.get("checks", "none")
        if used != policy.checks:
            return f"ran the behavioural checks {used}, and the policy asks for {policy.checks}"
    if document.verdict != "pass" or document.values.get(REGRESSION) is None:
        return ""
    told, limit = document.values.get("regression_margin"), margin(policy)
    # Asked this way round, what is not told is refused.
    if limit is not None and not (told is not None and told <= limit):
        shown = "no margin that it tells" if told is None else f"a margin of {told:g}"
        return (
            f"judged by {shown}, and the policy's rule on {REGRESSION} says {limit:g}; compare by "
            "the policy's margin"
        )
    interval, least = document.intervals.get(REGRESSION), level(policy)
    if interval is None or not interval.confidence >= least - LEVEL_TOLERANCE:
        shown = "no level" if interval is None else f"confidence {interval.confidence:g}"
        return f"judged at {shown}, and the least is {least:g}; compare at that level"
    return ""
