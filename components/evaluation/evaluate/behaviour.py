"""Behavioural checks, run on a model and test rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assay.data import column_problems
from assay.errors import UsageError
from assay.models.behaviour import Check, column_names

if TYPE_CHECKING:
    import pandas as pd

    from assay.models import LoadedModel


MAX_KNOWN: Final = 5
"""Known values that an error names."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check."""

    name: str
    kind: str
    tried: int
    violated: int
    violations: int
    """0 while no more than the allowed fraction is violated, else `violated`."""
    example: str
    """The first violation in words, or empty."""


def run_checks(
    model: "LoadedModel", frame: "pd.DataFrame", checks: Sequence[Check]
) -> list[CheckResult]:
    """Run every check.

    Args:
        model: The model.
        frame: Test rows.
        checks: The checks.

    Raises:
        UsageError: A check that cannot run, because of its columns; all of them. A check that
            cannot run has not passed.
    """
    problems = column_problems(column_names(checks), model.features, "checks")
    if not problems:
        problems = [
            f"checks: {check.name}: {problem}"
            for check in checks
            if check.kind == "direction" and (problem := _no_number(frame[check.column]))
        ]
        problems += _unknown_values(model, checks)
    if problems:
        raise UsageError.all_of(problems)
    runners = {"invariance": _invariance, "direction": _direction, "golden": _golden}
    return [runners[check.kind](model, frame, check) for check in checks]


def _unknown_values(model: "LoadedModel", checks: Sequence[Check]) -> list[str]:
    """Values of checks that the model treats as missing, so that nothing would be checked."""
    from assay.models.inputs import closed_sets

    closed = closed_sets(model.pipeline, model.info)
    problems = []
    for check in checks:
        given = [(check.column, value) for value in check.values]  # noqa: PD011 - a check's
        given += [item for case in check.cases for item in case.row.items()]
        for name, value in given:
            # The model itself refuses a value of another type.
            alike = name in closed and isinstance(value, type(closed[name][0]))
            if alike and value not in closed[name]:
                known = ", ".join(sorted(map(repr, closed[name]))[:MAX_KNOWN])
                problems.append(
                    f"checks: {check.name}: the model was not trained on {value!r} in column "
                    f"{name!r}, and would take it for any unknown value; it knows {known}"
                )
    return list(dict.fromkeys(problems))


def _no_number(column: "pd.Series") -> str:
    """Why a column cannot be increased; empty if it can."""
    if column.dtype.kind not in "iuf":
        return f"column {column.name!r} is not a number"
    if not column.notna().any():
        return f"column {column.name!r} has no value in the test data, so nothing can be tried"
    return ""


def _sample(frame: "pd.DataFrame", rows: int) -> "pd.DataFrame":
    """Rows spread evenly over the table; the same ones every time."""
    if len(frame) <= rows:
        return frame
    return frame.iloc[np.linspace(0, len(frame) - 1, rows).astype(int)]


def _result(check: Check, tried: int, violated: int, example: str) -> CheckResult:
    counts = violated if violated > check.allowed_fraction * tried else 0
    return CheckResult(check.name, check.kind, tried, violated, counts, example)


def _invariance(model: "LoadedModel", frame: "pd.DataFrame", check: Check) -> CheckResult:
    rows = _sample(frame, check.rows)
    before = model.predict(rows)
    changed = np.zeros(len(rows), dtype=bool)
    example = ""
    for value in check.values:  # noqa: PD011 - a check's, not a table's
        try:
            after = model.predict(rows.assign(**{check.column: value}))
        except UsageError as error:
            raise UsageError(f"checks: {check.name}: {value!r}: {error}") from error
        here = _differs(before, after, check.tolerance)
        if here.any() and not example:
            first = int(np.flatnonzero(here)[0])
            example = f"{check.column}={value!r}: {before[first]} became {after[first]}"
        changed |= here
    return _result(check, len(rows), int(changed.sum()), example)


def _differs(before: np.ndarray, after: np.ndarray, tolerance: float) -> np.ndarray:
    if before.dtype.kind == "f":
        return np.asarray(np.abs(after - before) > tolerance)
    return np.asarray(before != after)


def _direction(model: "LoadedModel", frame: "pd.DataFrame", check: Check) -> CheckResult:
    rows = _sample(frame[frame[check.column].notna()], check.rows)
    before = _score(model, rows)
    after = _score(model, rows.assign(**{check.column: rows[check.column] + check.delta}))
    change = after - before if check.expect == "not_decrease" else before - after
    bad = change < -check.tolerance - 1e-12
    example = ""
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        value = rows[check.column].iloc[first]
        example = (
            f"{check.column} from {value:.6g} by {check.delta:+.6g}: "
            f"{before[first]:.6g} became {after[first]:.6g}"
        )
    return _result(check, len(rows), int(bad.sum()), example)


def _score(model: "LoadedModel", rows: "pd.DataFrame") -> np.ndarray:
    """What should move: the positive class's probability, or the predicted number."""
    if model.task == "regression":
        return np.asarray(model.predict(rows), dtype=float)
    probabilities = model.predict_proba(rows)
    if probabilities is None or model.task != "binary":
        raise UsageError(
            "a direction check needs a regression model, or a binary one that gives probabilities"
        )
    return np.asarray(probabilities[:, list(model.classes).index(model.positive)])


def _golden(model: "LoadedModel", frame: "pd.DataFrame", check: Check) -> CheckResult:
    violated, example = 0, ""
    for case in check.cases:
        # With the types of the values as written, which the model compares with its own.
        row = frame.__class__({name: [case.row.get(name)] for name in model.features})
        try:
            got: Any = model.predict(row)[0]
            if _matches(got, case.expect, case.tolerance):
                continue
        except UsageError as error:
            raise UsageError(f"checks: {check.name}: {case.row}: {error}") from error
        violated += 1
        example = example or f"{case.row}: expected {case.expect!r}, got {got!r}"
    return _result(check, len(check.cases), violated, example)


def _matches(got: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(expected, int | float) and not isinstance(expected, bool):
        if isinstance(got, str):
            raise UsageError(
                f"expect: {expected!r} is a number, and the model answers with text such as "
                f"{got!r}; write it in quotes"
            )
        return bool(abs(float(got) - expected) <= tolerance)
    return str(got) == str(expected)
