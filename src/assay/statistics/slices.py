"""Slices: rows that share the value of a column, or a quarter of its range."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from assay.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

MAX_VALUES: Final = 20
"""A column with more values is cut at its quartiles, or its rarest values are put together."""
OTHER: Final = "(other)"
MISSING: Final = "(missing)"


@dataclass(frozen=True)
class Slice:
    """Some rows, and the labels that evidence about them carries."""

    labels: dict[str, str]
    rows: NDArray[np.intp]

    @property
    def column(self) -> str:
        """The column or columns it is a slice by, such as `sex` or `sex&race`."""
        return "&".join(self.labels)


def check_slices(slices: Sequence[str], known: Sequence[str], target: str) -> list[str]:
    """Everything wrong with a list of slices, each a column or columns joined by `&`."""
    from assay.dataset import column_problems

    problems = []
    for text in slices:
        parts = str(text).split("&")
        problems += column_problems(parts, known, "slices")
        if target in parts:
            problems.append(f"slices: {target!r} is the target, by which nothing can be sliced")
    return problems


def make_slices(frame: "pd.DataFrame", slices: Sequence[str], target: str) -> list[Slice]:
    """The slices of a table, in the order given and then by value.

    Raises:
        UsageError: Columns that are not there; all of them.
    """
    if problems := check_slices(slices, list(frame.columns), target):
        raise UsageError.all_of(problems)
    found = []
    for text in slices:
        columns = str(text).split("&")
        keys = np.stack([_values(frame[name]) for name in columns], axis=1)
        for key in sorted({tuple(row) for row in keys}):
            rows = np.flatnonzero((keys == np.asarray(key, dtype=object)).all(axis=1))
            found.append(Slice(dict(zip(columns, key, strict=True)), rows))
    return found


def _values(column: "pd.Series") -> NDArray[Any]:
    """A text for each row: its value, its quarter, `(other)` or `(missing)`."""
    import pandas as pd

    missing = column.isna().to_numpy()
    if column.dtype.kind in "iuf" and column.nunique() > MAX_VALUES:
        quarters = pd.qcut(column, 4, duplicates="drop")
        texts = quarters.map(lambda q: f"{q.left:.6g} to {q.right:.6g}", na_action="ignore")
        values = texts.astype(object).to_numpy()
    else:
        common = set(column.value_counts().index[:MAX_VALUES])
        values = np.asarray([_text(v) if v in common else OTHER for v in column], dtype=object)
    values[missing] = MISSING
    return values


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
