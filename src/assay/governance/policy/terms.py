"""The parameters with which evidence must have been made to count for a policy.

A comparison has a verdict of its own, by a margin and at a level of confidence; and evaluation and
comparison do not judge groups that are too small. The user of a run sets these parameters, so the
evidence names them, and they are compared with the policy. The same holds for the file of
behavioural checks, if the policy names one, and for the positive class.

The texts are part of stored decisions; see `assay.governance.policy.judge`.
"""

from typing import Final

from assay.evidence.format import POSITIVE, POSITIVE_DEFAULT, EvidenceDocument
from assay.evidence.labels import metric_of
from assay.governance.policy.language import REGRESSION, Policy
from assay.governance.policy.names import is_by_class

MIN_CONFIDENCE: Final = 0.9
"""Lowest level of a comparison if the policy names none."""
MIN_SLICE_ROWS: Final = 30
"""Smallest number of rows of a group in evidence."""
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
    """The lowest level of confidence at which a comparison may judge."""
    named = [
        rule.confidence
        for rule in policy.rules
        if rule.confidence is not None and rule.expression.metric.startswith(REGRESSION)
    ]
    return min(named, default=policy.confidence or MIN_CONFIDENCE)


def objection(document: EvidenceDocument, policy: Policy) -> str:
    """Why a document was made with other parameters than the policy's; "" if it was not."""
    return (
        _rows_objection(document)
        or _checks_objection(document, policy)
        or _class_objection(document, policy)
        or _comparison_objection(document, policy)
    )


def _rows_objection(document: EvidenceDocument) -> str:
    rows = document.values.get("min_slice_rows")
    if rows is not None and rows < MIN_SLICE_ROWS:
        return (
            f"speaks of groups of {rows:g} rows and more, and the least is {MIN_SLICE_ROWS}; leave "
            "min_slice_rows as it is"
        )
    return ""


def _checks_objection(document: EvidenceDocument, policy: Policy) -> str:
    if policy.checks and any(metric_of(name) == VIOLATIONS for name in document.values):
        used = document.subjects.get("checks", "none")
        if used != policy.checks:
            return f"ran the behavioural checks {used}, and the policy asks for {policy.checks}"
    return ""


def _comparison_objection(document: EvidenceDocument, policy: Policy) -> str:
    if document.verdict != "pass" or document.values.get(REGRESSION) is None:
        return ""
    given, limit = document.values.get("regression_margin"), margin(policy)
    # In this order, a missing margin is refused.
    if limit is not None and not (given is not None and given <= limit):
        shown = "no margin that it tells" if given is None else f"a margin of {given:g}"
        return (
            f"judged by {shown}, and the policy's rule on {REGRESSION} says {limit:g}; compare by "
            "the policy's margin"
        )
    interval, least = document.intervals.get(REGRESSION), level(policy)
    if interval is None or not interval.confidence >= least - LEVEL_TOLERANCE:
        shown = "no level" if interval is None else f"confidence {interval.confidence:g}"
        return f"judged at {shown}, and the least is {least:g}; compare at that level"
    return ""


def _class_objection(document: EvidenceDocument, policy: Policy) -> str:
    """Why a document has another positive class than the policy; "" if it has not.

    The user of a run chooses the class. The recall of a frequent class is easily high, so a policy
    without one means the default.
    """
    given = document.notes.get(POSITIVE)
    if given is None:
        # The ranking of candidates repeats numbers that were measured on other rows.
        asked = any(
            is_by_class(metric_of(name)) and not name.startswith(f"{metric_of(name)}{{candidate=")
            for name in document.values
        )
        if policy.positive_label and asked:
            return (
                "does not say which class is positive, and the policy asks for "
                f"{policy.positive_label!r}"
            )
        return ""
    if policy.positive_label:
        if given != policy.positive_label:
            return (
                f"takes {given!r} for the positive class, and the policy asks for "
                f"{policy.positive_label!r} (positive_label)"
            )
        return ""
    default = document.notes.get(POSITIVE_DEFAULT)
    if given != default and (named := _by_class(document, policy)):
        return (
            f"takes {given!r} for the positive class, which the run chose, and the policy judges "
            "by "
            f"{', '.join(named)}; write the class that it means into the policy (positive_label), "
            f"or train with the default, {default!r}"
        )
    return ""


def _by_class(document: EvidenceDocument, policy: Policy) -> list[str]:
    """The metrics of a policy that depend on which class is positive; checks, where some ran."""
    expressions = [rule.expression for rule in policy.rules]
    expressions += [rule.when for rule in policy.rules if rule.when is not None]
    names = {policy.primary_metric, *(expression.metric for expression in expressions)}
    checked = {VIOLATIONS} if document.subjects.get("checks") else set()
    return sorted(name for name in names if is_by_class(name) or name in checked)
