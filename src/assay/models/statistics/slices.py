"""Slices: rows that share the value of a column, or a quarter of its range."""

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
"""A column with more values is cut at its quartiles, or its rarest values are put together."""
MAX_CROSSED: Final = 8
"""Columns in one slice; more would leave hardly a row in each."""
OTHER: Final = "(other)"
MISSING: Final = "(missing)"
"""Where the column has such a value itself, the label gets one more pair of parentheses."""

_CROSS: Final = "&"


@dataclass(frozen=True)
class Slice:
    """Some rows, and the labels that evidence about them carries."""

    labels: dict[str, str]
    """Column to value, in the order in which the columns were given."""
    rows: NDArray[np.intp]

    @property
    def column(self) -> str:
        """The column or columns it is a slice by, such as `sex` or `sex&race`."""
        return _CROSS.join(self.labels)


def readings(text: str, known: Iterable[str]) -> list[list[str]]:
    """The ways to read a slice as columns joined by `&`; a column's name may hold `&` itself.

    Args:
        text: Such as `sex`, `sex&race` or `R&D`.
        known: The columns that there are. Empty: not known, and each `&` joins two columns.
    """
    parts = text.split(_CROSS)
    columns = set(known)
    if not columns or len(parts) > 2 * MAX_CROSSED:
        return [parts]
    # `found[i]` holds the readings of the first i parts.
    found: list[list[list[str]]] = [[[]]]
    for end in range(1, len(parts) + 1):
        found.append(
            [
                [*before, name]
                for begin in range(end)
                if (name := _CROSS.join(parts[begin:end])) in columns
                for before in found[begin]
            ]
        )
    return found[-1]


def check_slices(slices: Sequence[str], known: Sequence[str], target: str) -> list[str]:
    """Everything wrong with a list of slices, each a column or columns joined by `&`."""
    from assay.data import column_problems

    problems = []
    for item in slices:
        text = str(item)
        found = readings(text, known)
        if len(found) > 1:
            told = " or ".join(" and ".join(map(repr, columns)) for columns in found[:3])
            problems.append(f"slices: {text!r} can mean {told}; rename a column")
            continue
        columns = found[0] if found else text.split(_CROSS)
        if not found:
            problems += column_problems(columns, known, "slices")
        if target in columns:
            problems.append(f"slices: {target!r} is the target, by which nothing can be sliced")
        if len(set(columns)) < len(columns):
            problems.append(f"slices: {text!r} names a column twice")
        if len(columns) > MAX_CROSSED:
            problems.append(f"slices: {len(columns)} columns in one; give at most {MAX_CROSSED}")
    return problems


def make_slices(frame: "pd.DataFrame", slices: Sequence[str], target: str) -> list[Slice]:
    """The slices of a table, in the order given and then by value; numbers sort as numbers.

    Raises:
        UsageError: Columns that are not there; all of them.
    """
    known = list(frame.columns)
    if problems := check_slices(slices, known, target):
        raise UsageError.all_of(problems)
    found: list[Slice] = []
    if frame.empty:
        return found
    for text in dict.fromkeys(str(item) for item in slices):
        (columns,) = readings(text, known)
        values = [_values(frame[name]) for name in columns]
        codes = np.stack([code for _, code in values], axis=1)
        keys, place = np.unique(codes, axis=0, return_inverse=True)
        order = np.argsort(place.ravel(), kind="stable")
        ends = np.cumsum(np.bincount(place.ravel(), minlength=len(keys)))
        for key, rows in zip(keys, np.split(order, ends[:-1]), strict=True):
            texts = [names[code] for (names, _), code in zip(values, key, strict=True)]
            found.append(Slice(dict(zip(columns, texts, strict=True)), rows))
    return found


def _values(column: "pd.Series") -> tuple[list[str], NDArray[np.intp]]:
    """Texts in order, each different, and for each row the place of its text.

    A text is a value, a quarter, `(other)` or `(missing)`; the last two come last.
    """
    missing = column.isna().to_numpy(dtype=bool)
    codes = np.empty(len(column), dtype=np.intp)
    there = column[~missing]
    numeric = column.dtype.kind in "iuf"
    # Numbers leave pandas' own types (integers with gaps), so that they sort and compare as such.
    cells = there.to_numpy(dtype=column.dtype.kind + "8" if numeric else object)
    distinct, place, counts = _distinct(cells)
    if numeric and len(distinct) > MAX_VALUES:
        texts, codes[~missing] = _quarters(cells)
    else:
        # The most frequent values; of equally frequent ones, those that sort first.
        kept = np.sort(np.argsort(-counts, kind="stable")[:MAX_VALUES])
        texts = [_text(distinct[index]) for index in kept]
        new_place = np.full(len(distinct), len(kept), dtype=np.intp)
        new_place[kept] = np.arange(len(kept))
        codes[~missing] = new_place[place]
        texts.append(_other_than(OTHER, texts))
    codes[missing] = len(texts)
    texts.append(_other_than(MISSING, texts))
    return texts, codes


def _distinct(cells: NDArray[Any]) -> tuple[list[Any], NDArray[np.intp], NDArray[np.intp]]:
    """Distinct values in order, the place of each row's, and how often each occurs."""
    import pandas as pd

    place, distinct = pd.factorize(cells)
    values = list(distinct)
    order = sorted(range(len(values)), key=lambda i: _order(values[i]))
    rank = np.empty(len(values), dtype=np.intp)
    rank[order] = np.arange(len(values))
    place = rank[place] if values else place.astype(np.intp)
    return [values[i] for i in order], place, np.bincount(place, minlength=len(values))


def _order(value: Any) -> tuple[int, Any]:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return (0, value) if number else (1, _text(value))


def _quarters(cells: NDArray[Any]) -> tuple[list[str], NDArray[np.intp]]:
    """Quarters of the rows by value; infinities belong to the first and the last of them.

    Quartiles are values that occur (the inverse of the empirical distribution function). A quarter
    holds the values above its left end, up to and with its right one; the first holds both ends.
    """
    places = [max(math.ceil(share * len(cells)) - 1, 0) for share in (0, 0.25, 0.5, 0.75, 1)]
    edges = np.unique(np.sort(cells)[places])  # not np.quantile, which makes floats of integers
    codes = np.searchsorted(edges[1:-1], cells, side="left")
    ends = _shortest([float(edge) for edge in edges]) if edges.dtype.kind == "f" else edges
    return [f"{left} to {right}" for left, right in pairwise(map(str, ends))], codes


def _shortest(numbers: list[float]) -> list[str]:
    """Numbers with as few digits, but six at least, as keep them apart."""
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


def _other_than(text: str, taken: Sequence[str]) -> str:
    while text in taken:
        text = f"({text})"
    return text
