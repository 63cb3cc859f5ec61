"""Slices: rows with the same value of a column, or in the same quarter of its values."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from assay.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

MAX_VALUES: Final = 20
"""A column with more values is split at its quartiles, or its rarest values are grouped."""
MAX_CROSSED: Final = 8
"""Maximum number of columns of a slice; with more, slices would have hardly any rows."""
OTHER: Final = "(other)"
MISSING: Final = "(missing)"
"""If the column has this value itself, the label gets another pair of parentheses."""

_CROSS: Final = "&"


@dataclass(frozen=True)
class Slice:
    """Rows of a table, and the labels of their evidence."""

    labels: dict[str, str]
    """Value by column, in the order of the given columns."""
    rows: NDArray[np.intp]

    @property
    def column(self) -> str:
        """The columns of the slice, such as `sex` or `sex&race`."""
        return _CROSS.join(self.labels)


def readings(text: str, known: Iterable[str]) -> list[list[str]]:
    """The possible readings of a slice as columns joined by `&`; names of columns may contain `&`.

    Args:
        text: Such as `sex`, `sex&race` or `R&D`.
        known: The columns of the table. Empty if unknown: then each `&` joins two columns.
    """
    parts = text.split(_CROSS)
    columns = set(known)
    if not columns or len(parts) > 2 * MAX_CROSSED:
        return [parts]
    # `result[i]` has the readings of the first i parts.
    result: list[list[list[str]]] = [[[]]]
    for end in range(1, len(parts) + 1):
        result.append(
            [
                [*before, name]
                for begin in range(end)
                if (name := _CROSS.join(parts[begin:end])) in columns
                for before in result[begin]
            ]
        )
    return result[-1]


def check_slices(slices: Sequence[str], known: Sequence[str], target: str) -> list[str]:
    """Check a list of slices.

    Args:
        slices: The slices, each one or several columns joined by `&`.
        known: The columns of the table.
        target: The target, which must not be used.

    Returns:
        One line for each problem.
    """
    from assay.data import column_problems

    problems = []
    for item in slices:
        text = str(item)
        possible = readings(text, known)
        if len(possible) > 1:
            meanings = " or ".join(" and ".join(map(repr, columns)) for columns in possible[:3])
            problems.append(f"slices: {text!r} can mean {meanings}; rename a column")
            continue
        columns = possible[0] if possible else text.split(_CROSS)
        if not possible:
            problems += column_problems(columns, known, "slices")
        if target in columns:
            problems.append(f"slices: {target!r} is the target, by which nothing can be sliced")
        if len(set(columns)) < len(columns):
            problems.append(f"slices: {text!r} names a column twice")
        if len(columns) > MAX_CROSSED:
            problems.append(f"slices: {len(columns)} columns in one; give at most {MAX_CROSSED}")
    return problems


def make_slices(frame: "pd.DataFrame", slices: Sequence[str], target: str) -> list[Slice]:
    """Split a table into slices.

    Args:
        frame: The table.
        slices: The slices, each one or several columns joined by `&`.
        target: The target, which must not be used.

    Returns:
        The slices in the given order, then by value; numbers in numeric order.

    Raises:
        UsageError: The slices are not valid; the message lists all problems.
    """
    known = list(frame.columns)
    if problems := check_slices(slices, known, target):
        raise UsageError.all_of(problems)
    result: list[Slice] = []
    if frame.empty:
        return result
    for text in dict.fromkeys(str(item) for item in slices):
        (columns,) = readings(text, known)
        values = [_values(frame[name]) for name in columns]
        codes = np.stack([code for _, code in values], axis=1)
        keys, index = np.unique(codes, axis=0, return_inverse=True)
        order = np.argsort(index.ravel(), kind="stable")
        ends = np.cumsum(np.bincount(index.ravel(), minlength=len(keys)))
        for key, rows in zip(keys, np.split(order, ends[:-1]), strict=True):
            texts = [names[code] for (names, _), code in zip(values, key, strict=True)]
            result.append(Slice(dict(zip(columns, texts, strict=True)), rows))
    return result


def _values(column: "pd.Series") -> tuple[list[str], NDArray[np.intp]]:
    """The distinct texts of a column in order, and for each row the index of its text.

    A text is a value, a quarter, `(other)` or `(missing)`, in this order.
    """
    missing = column.isna().to_numpy(dtype=bool)
    codes = np.empty(len(column), dtype=np.intp)
    present = column[~missing]
    numeric = column.dtype.kind in "iuf"
    # Converted from pandas' nullable types, so that numbers are compared as numbers.
    cells = present.to_numpy(dtype=column.dtype.kind + "8" if numeric else object)
    distinct, indices, counts = _distinct(cells)
    if numeric and len(distinct) > MAX_VALUES:
        texts, codes[~missing] = _quarters(cells)
    else:
        # The most frequent values; of equally frequent ones, the first in sort order.
        kept = np.sort(np.argsort(-counts, kind="stable")[:MAX_VALUES])
        texts = [_text(distinct[index]) for index in kept]
        new_indices = np.full(len(distinct), len(kept), dtype=np.intp)
        new_indices[kept] = np.arange(len(kept))
        codes[~missing] = new_indices[indices]
        texts.append(_unused(OTHER, texts))
    codes[missing] = len(texts)
    texts.append(_unused(MISSING, texts))
    return texts, codes


def _distinct(cells: NDArray[Any]) -> tuple[list[Any], NDArray[np.intp], NDArray[np.intp]]:
    """Distinct values in order, the index of the value of each row, and the counts."""
    import pandas as pd

    indices, distinct = pd.factorize(cells)
    values = list(distinct)
    order = sorted(range(len(values)), key=lambda i: _order(values[i]))
    rank = np.empty(len(values), dtype=np.intp)
    rank[order] = np.arange(len(values))
    indices = rank[indices] if values else indices.astype(np.intp)
    return [values[i] for i in order], indices, np.bincount(indices, minlength=len(values))


def _order(value: Any) -> tuple[int, Any]:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return (0, value) if number else (1, _text(value))


def _quarters(cells: NDArray[Any]) -> tuple[list[str], NDArray[np.intp]]:
    """Split rows into quarters by value; infinities belong to the first and the last quarter.

    Quartiles are values of the column (the inverse of the empirical distribution function). A
    quarter excludes its left end and includes its right end; the first one includes both.
    """
    positions = [max(math.ceil(share * len(cells)) - 1, 0) for share in (0, 0.25, 0.5, 0.75, 1)]
    edges = np.unique(np.sort(cells)[positions])  # np.quantile would convert integers to floats
    codes = np.searchsorted(edges[1:-1], cells, side="left")
    ends = _shortest([float(edge) for edge in edges]) if edges.dtype.kind == "f" else edges
    return [f"{left} to {right}" for left, right in pairwise(map(str, ends))], codes


def _shortest(numbers: list[float]) -> list[str]:
    """Format numbers with the smallest number of digits, at least six, that keeps them distinct."""
    for digits in range(6, 17):
        texts = [f"{number:.{digits}g}" for number in numbers]
        if len(set(texts)) == len(numbers):
            return texts
    return [repr(number) for number in numbers]


def _text(value: Any) -> str:
    if isinstance(value, float | np.floating):
        number = float(value) + 0.0  # -0.0 is 0
        return f"{number:.0f}" if number.is_integer() and abs(number) < 1e15 else repr(number)  # noqa: PLR2004 - beyond it repr is shorter
    return str(value)


def _unused(text: str, used: Sequence[str]) -> str:
    while text in used:
        text = f"({text})"
    return text
