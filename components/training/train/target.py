"""The task that a target implies, and its classes."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assay.components.train.columns import EXACT
from assay.core.findings import Finding
from assay.errors import UsageError
from assay.text import quoted

if TYPE_CHECKING:
    import pandas as pd

MAX_CLASSES: Final = 1_000
MAX_AUTO_CLASSES: Final = 20
"""With "auto", whole numbers with more values than this are numbers to predict, not classes."""
MIN_CLASS_ROWS: Final = 2
_BINARY: Final = 2
_LISTED: Final = 10


@dataclass(frozen=True, slots=True)
class Target:
    """The labels, and the task."""

    labels: "np.ndarray"
    task: str
    """`binary`, `multiclass` or `regression`."""
    classes: tuple[Any, ...]
    """Sorted, as scikit-learn sorts them; empty for regression."""
    class_rows: tuple[int, ...]
    positive: Any
    findings: tuple[Finding, ...] = ()
    """What was chosen automatically, and why."""


def read_target(
    column: "pd.Series", name: str, kind: str, estimator: str, positive_label: str
) -> Target:
    """The target as labels or numbers.

    Args:
        column: Its values.
        name: Its name, for messages.
        kind: `classifier`, `regressor`, or empty if the target's type decides.
        estimator: The requested estimator, for messages.
        positive_label: The positive class as text; empty: the last of the sorted classes.

    Raises:
        UsageError: Missing, infinite, constant, of the wrong kind, with too rare classes, or
            without the positive label.
    """
    what = f"target {name!r}"
    missing = int(column.isna().sum())
    if missing:
        raise UsageError(f"{what} is missing in {missing} of {len(column)} rows; remove them")
    values = column.to_numpy()
    if values.dtype.kind not in "bifO" or (values.dtype == object and not _is_text(values)):
        raise UsageError(f"{what} is neither text, number nor truth value; choose another")
    infinite = int(np.isinf(values).sum()) if values.dtype.kind == "f" else 0
    if infinite:
        raise UsageError(f"{what} is infinite in {infinite} of {len(values)} rows; remove them")
    distinct = column.nunique()
    if distinct < _BINARY:
        raise UsageError(f"{what} has one value only, {values[0]!s}; there is nothing to learn")
    if _is_regression(values, distinct, kind, f"{estimator}: {what}"):
        if positive_label:
            raise UsageError(f"positive_label is given, but {what} is a number to predict")
        if values.dtype.kind == "i":
            _require_exact(values, what)
        return Target(
            values.astype(float), "regression", (), (), None, _task(name, distinct, kind, values)
        )
    target = _classes(values, what, positive_label)
    findings = _task(name, distinct, kind, values, target.task)
    if target.task == "binary" and not positive_label:
        text = (
            f"target {quoted(name)}: the positive class is {quoted(str(target.positive))}, the "
            "last in sort order; choose with positive_label"
        )
        findings = (*findings, Finding("positive-class", text, (name,)))
    return replace(target, findings=findings)


def _task(
    name: str, distinct: int, kind: str, values: "np.ndarray", task: str = "regression"
) -> tuple[Finding, ...]:
    """Why numbers were taken as classes, or as numbers; empty if the user has chosen."""
    if kind or values.dtype.kind not in "if":
        return ()
    if task != "regression":
        shown = ", ".join(f"{value:g}" for value in np.unique(values)[:_LISTED])
        text = f"its {distinct} values are whole numbers ({shown}{', …' * (distinct > _LISTED)})"
        taken = f"classes ({task})"
    elif distinct <= MAX_AUTO_CLASSES:
        text, taken = f"its {distinct} values have fractions", "numbers (regression)"
    else:
        text = f"its {distinct:,} values are more than {MAX_AUTO_CLASSES}"
        taken = "numbers (regression)"
    line = (
        f"target {quoted(name)}: taken as {taken}, because {text}; name a classifier or a "
        "regressor as estimator to choose"
    )
    return (Finding("guessed-task", line, (name,)),)


def _require_exact(values: "np.ndarray", what: str) -> None:
    if values.dtype.kind in "if" and (np.abs(values.astype(float)) >= EXACT).any():
        raise UsageError(
            f"{what} holds whole numbers beyond 2^53, which a model would round; write labels as "
            "text, and numbers in a larger unit"
        )


def _is_regression(values: "np.ndarray", distinct: int, kind: str, what: str) -> bool:
    dtype = values.dtype.kind
    if kind == "regressor":
        if dtype not in "if":
            raise UsageError(f"{what} needs a classifier, because its values are labels")
        return True
    if kind == "classifier":
        if dtype == "f" and (values != np.floor(values)).any():
            raise UsageError(f"{what} needs a regressor, because its values have fractions")
        return False
    if dtype not in "if":
        return False
    # Whole numbers are whole numbers, also when they are written as 0.0 and 1.0.
    return bool((values != np.floor(values)).any()) or distinct > MAX_AUTO_CLASSES


def _classes(values: "np.ndarray", what: str, positive_label: str) -> Target:
    _require_exact(values, what)
    labels = values.astype(np.int64) if values.dtype.kind == "f" else values
    values_of_classes, counts = _distinct(labels)
    if len(values_of_classes) > MAX_CLASSES:
        raise UsageError(f"{what} has {len(values_of_classes)} labels, the limit is {MAX_CLASSES}")
    classes = tuple(values_of_classes.tolist())
    rare = [
        f"{label} ({count})"
        for label, count in zip(classes, counts, strict=True)
        if count < MIN_CLASS_ROWS
    ]
    if rare:
        raise UsageError(
            f"{what}: fewer than {MIN_CLASS_ROWS} training rows for {_listed(rare)}; remove these "
            "rows or give more"
        )
    task = "binary" if len(classes) == _BINARY else "multiclass"
    return Target(
        labels, task, classes, tuple(counts.tolist()), _positive(classes, what, positive_label)
    )


def _distinct(labels: "np.ndarray") -> tuple["np.ndarray", "np.ndarray"]:
    """Distinct labels in order, and their counts; np.unique would sort all rows."""
    import pandas as pd

    codes, labels_once = pd.factorize(labels)
    order = np.argsort(labels_once, kind="stable")
    return labels_once[order], np.bincount(codes)[order]


def _positive(classes: tuple[Any, ...], what: str, positive_label: str) -> Any:
    binary = len(classes) == _BINARY
    if not positive_label:
        return classes[-1] if binary else None
    if not binary:
        raise UsageError(f"positive_label is given, but {what} has {len(classes)} classes")
    named = {str(label): label for label in classes}
    if positive_label not in named:
        raise UsageError(
            f"positive_label {positive_label!r} is no label of {what}; there are: "
            f"{', '.join(named)}"
        )
    return named[positive_label]


def _is_text(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str | bool) for value in values)


def _listed(items: list[str]) -> str:
    more = f" and {len(items) - _LISTED} more" if len(items) > _LISTED else ""
    return ", ".join(items[:_LISTED]) + more
