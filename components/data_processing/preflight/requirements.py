"""Rules of a policy that this run cannot meet: they could only fail, hours later.

Rules with `when` are not checked, because they may be skipped. Neither are custom metrics, nor
metrics that depend on the task, which the data decides.
"""

from collections.abc import Iterator, Mapping, Sequence

from assay.governance.policy import KNOWN_METRICS, Expression, Policy
from assay.governance.policy.names import REQUIREMENTS
from assay.models.behaviour import Check

GAP = "_gap"


def problems(
    policy: Policy,
    slices: Sequence[str],
    checks: Sequence[Check],
    columns: Sequence[str] = (),
    *,
    suite: bool,
    reference: bool,
    monitoring: bool,
) -> list[str]:
    """One line for each rule that cannot be met, whatever the data and the model.

    Args:
        policy: The parsed policy.
        slices: As given to evaluate: columns, or columns joined by `&`.
        checks: Behavioural checks; may be empty.
        columns: Of the data; empty if they are not known yet.
        suite: Whether a suite was given.
        reference: Whether a reference dataset was given.
        monitoring: Whether a monitoring plan was given.
    """
    given = {"suite": suite, "reference": reference, "monitoring": monitoring}
    unmet = []
    for rule in policy.rules:
        if rule.when is not None or rule.expression.metric in policy.custom_metrics:
            continue
        unmet += [
            f"policy line {rule.line}: {rule.expression}: {problem}"
            for problem in _problems(rule.expression, slices, checks, columns, given)
        ]
    return unmet


def _problems(
    rule: Expression,
    slices: Sequence[str],
    checks: Sequence[Check],
    columns: Sequence[str],
    given: Mapping[str, bool],
) -> Iterator[str]:
    metric = rule.metric
    for required in REQUIREMENTS:
        if metric in required.names and not given[required.option]:
            yield required.missing
    if metric == "safety_violations":
        yield from _about_checks(rule, checks)
    elif metric.removesuffix(GAP) in KNOWN_METRICS["evaluate"]:
        yield from _about_slices(rule, slices, columns)


def _about_checks(rule: Expression, checks: Sequence[Check]) -> Iterator[str]:
    names = [check.name for check in checks]
    wanted = rule.labels.get("check")
    if not names:
        yield "no behavioural checks are given; give a file of them in 'checks'"
    elif wanted is not None and wanted not in names:
        yield f"there is no check {wanted!r}; there are: {', '.join(names)}"


def _about_slices(rule: Expression, slices: Sequence[str], columns: Sequence[str]) -> Iterator[str]:
    from assay.models.statistics.slices import readings

    if rule.metric.endswith(GAP):
        # Such as `accuracy_gap{column="sex&race"}`: the text that was given in `slices`.
        wanted = rule.labels.get("column", "")
        unmet = bool(wanted) and wanted not in {str(item) for item in slices}
    else:
        wanted = "&".join(sorted(rule.labels))
        sets = [set(reading) for item in slices for reading in readings(str(item), columns)]
        unmet = bool(wanted) and set(rule.labels) not in sets
    if unmet:
        given = ", ".join(str(item) for item in slices) or "none"
        yield f"quality is not sliced by {wanted}; add it to 'slices' ({given})"
