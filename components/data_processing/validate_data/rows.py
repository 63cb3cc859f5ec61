"""Expectations about rows of two or more columns, judged for all rows at once.

A rule gives None for what it does not judge, which Great Expectations then does.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import reduce
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from assay.components.validate_data.bounds import TIMES, members
from assay.components.validate_data.results import (
    MAX_EXAMPLES,
    Kwargs,
    Result,
    counted,
    in_memory,
)
from assay.data.columns import alone
from assay.data.exact_integers import WIDE

if TYPE_CHECKING:
    from assay.data.columns import Column, Mask, Places

Columns = Sequence["Column"]
_NUMBERS: Final = {"int64", "float64"}
_MOST_KEYS: Final = 2**62


def judge(kind: str, kwargs: Kwargs, columns: Columns) -> Result | None:
    """The result of an expectation about the rows of several columns.

    Args:
        kind: The expectation's type.
        kwargs: Its arguments.
        columns: The columns, in the order of the arguments; shape (rows,) each.

    Returns:
        The result; None for what is left to Great Expectations.

    Raises:
        UsageError: A set that cannot be compared with the columns.
    """
    rule = _RULES.get(kind)
    repeated = len({column.name for column in columns}) < len(columns)
    return None if rule is None or repeated else rule(columns, kwargs)


def _looked_at(columns: Columns, kwargs: Kwargs) -> "Places":
    """The rows that `ignore_row_if` leaves."""
    ignored = (kwargs.get("ignore_row_if") or "all").partition("_")[0]
    enough = {"any": 1, "either": 1, "all": len(columns), "both": len(columns)}.get(ignored)
    if enough is None:
        return np.arange(columns[0].rows)
    gaps = np.zeros(columns[0].rows, np.int32)
    for column in columns:
        if column.missing_cells is not None:
            gaps += column.missing_cells
    return np.flatnonzero(gaps < enough)


def _result(
    columns: Columns, looked_at: "Places", right: "Mask", kwargs: Kwargs, *, exact: bool = False
) -> Result:
    """A result about rows.

    Args:
        columns: The columns.
        looked_at: The rows that count.
        right: Whether each of them is as expected.
        kwargs: The expectation's arguments.
        exact: Whether the other rows are left out of the counts, and whole numbers with gaps are
            shown as whole numbers.
    """
    wrong = np.flatnonzero(~right)
    places = looked_at[wrong[:MAX_EXAMPLES]].tolist()
    rows = [[in_memory(c, c.cell(place), exact=exact) for c in columns] for place in places]
    names = [column.name for column in columns]
    named = "column_list" in kwargs
    examples = [dict(zip(names, row, strict=True)) for row in rows] if named else rows
    seen = len(looked_at)
    counts = (seen if exact else columns[0].rows, seen, len(wrong))
    return counted(counts, examples, places, kwargs)


def _signs(columns: Columns, rows: "Places") -> NDArray[np.int8]:
    """-1, 0 or 1 as a number is less than, equal to or above another; exact."""
    a, b = (column.filled[rows] for column in columns)
    if a.dtype == b.dtype:
        same: NDArray[np.int8] = (a > b).astype(np.int8) - (a < b)
        return same
    if a.dtype.kind == "f":
        return -_signs(columns[::-1], rows)
    # A whole number against a fraction: against the whole number below it first.
    below = np.floor(b)
    low, high = below < -(2.0**63), below >= 2.0**63
    whole = np.where(low | high, 0, below).astype(np.int64)
    signs = (a > whole).astype(np.int8) - (a < whole) - ((a == whole) & (b > below))
    return np.where(low, 1, np.where(high, -1, signs)).astype(np.int8)


def _both(columns: Columns, rows: "Places") -> "Mask":
    """Whether no cell of a row is missing."""
    there = np.ones(len(rows), dtype=np.bool_)
    for column in columns:
        if column.missing_cells is not None:
            there &= ~column.missing_cells[rows]
    return there


def _greater(columns: Columns, kwargs: Kwargs) -> Result | None:
    if not {column.type for column in columns} <= _NUMBERS:
        return None
    rows = _looked_at(columns, kwargs)
    right = _signs(columns, rows) >= (0 if kwargs.get("or_equal") else 1)
    return _result(columns, rows, right & _both(columns, rows), kwargs, exact=True)


def _equal(columns: Columns, kwargs: Kwargs) -> Result | None:
    if not {column.type for column in columns} <= _NUMBERS:
        return None
    rows = _looked_at(columns, kwargs)
    right = (_signs(columns, rows) == 0) & _both(columns, rows)
    return _result(columns, rows, right, kwargs, exact=True)


def _pairs(columns: Columns, kwargs: Kwargs) -> Result:
    """Whether a pair is in a set; null is a missing value, and times are instants."""
    exact = any(column.type in TIMES for column in columns)
    wanted = {
        tuple(
            _member(value, column) if exact else value
            for value, column in zip(pair, columns, strict=True)
        )
        for pair in kwargs["value_pairs_set"]
    }
    rows = _looked_at(columns, kwargs)
    # Each distinct pair is looked up once.
    _, first, indices = np.unique(_keys(columns, rows), return_index=True, return_inverse=True)
    found = [tuple(c.cell(row) for c in columns) in wanted for row in rows[first].tolist()]
    right = np.array(found, dtype=np.bool_)[indices]
    return _result(columns, rows, right, kwargs, exact=exact)


def _member(value: Any, column: "Column") -> Any:
    if value is None:
        return None
    (found,) = members([value], column.type)
    return found


def _keys(columns: Columns, rows: "Places") -> NDArray[np.int64]:
    """A number for each row, equal for rows that are equal in all columns."""
    keys, size = np.zeros(len(rows), np.int64), 1
    for column in columns:
        ranks = column.ranks(rows)
        most = int(ranks.max(initial=0)) + 1
        if size * most > _MOST_KEYS:
            # There are no more keys than rows, and ranks hardly more: their product is below 2^63.
            distinct, keys = np.unique(keys, return_inverse=True)
            size = len(distinct)
        keys, size = keys * most + ranks, size * most
    return keys


def _unique_rows(columns: Columns, kwargs: Kwargs) -> Result:
    rows = _looked_at(columns, kwargs)
    return _result(columns, rows, alone(_keys(columns, rows)), kwargs)


def _sum(columns: Columns, kwargs: Kwargs) -> Result | None:
    types, total = {column.type for column in columns}, kwargs["sum_total"]
    if not types <= {*_NUMBERS, "bool"}:
        return None
    rows = _looked_at(columns, kwargs)
    exact = "int64" in types and abs(total) + sum(map(_largest, columns)) > WIDE
    if types == {"int64"}:
        right = _whole_sums(columns, rows, total)
    elif exact:
        cells = [column.filled[rows].tolist() for column in columns]
        found = [sum(map(Fraction, row)) == total for row in zip(*cells, strict=True)]
        right = np.array(found, dtype=np.bool_)
    else:
        # The order of additions of floats, on which their last digits depend, is pandas'.
        return None
    return _result(columns, rows, right & _both(columns, rows), kwargs, exact=exact)


def _largest(column: "Column") -> float:
    least, most = column.entries.min(initial=0).item(), column.entries.max(initial=0).item()
    largest: float = max(abs(least), abs(most))
    return largest


def _whole_sums(columns: Columns, rows: "Places", total: float) -> "Mask":
    """Whether whole numbers add up to a total; in halves of 32 bits, which do not overflow."""
    if total % 1:
        return np.zeros(len(rows), dtype=np.bool_)
    high, low = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    for column in columns:
        cells = column.filled[rows]
        high += cells >> 32
        low += cells & 0xFFFFFFFF
    high += low >> 32
    return np.asarray((high == int(total) >> 32) & (low & 0xFFFFFFFF == int(total) & 0xFFFFFFFF))


def _same(columns: Columns, kwargs: Kwargs) -> Result | None:
    if len({column.type for column in columns}) > 1:
        return None
    rows = _looked_at(columns, kwargs)
    right = reduce(np.logical_and, (columns[0].equals(column) for column in columns[1:]))
    return _result(columns, rows, right[rows], kwargs)


def _different(columns: Columns, kwargs: Kwargs) -> Result | None:
    if len({column.type for column in columns}) > 1:
        return None
    rows = _looked_at(columns, kwargs)
    wrong = reduce(np.logical_or, (a.equals(b) for a, b in combinations(columns, 2)))
    return _result(columns, rows, ~wrong[rows], kwargs)


_RULES: Final[Mapping[str, Callable[[Columns, Kwargs], Result | None]]] = {
    "expect_column_pair_values_a_to_be_greater_than_b": _greater,
    "expect_column_pair_values_to_be_equal": _equal,
    "expect_column_pair_values_to_be_in_set": _pairs,
    "expect_compound_columns_to_be_unique": _unique_rows,
    "expect_multicolumn_sum_to_equal": _sum,
    "expect_multicolumn_values_to_be_equal": _same,
    "expect_select_column_values_to_be_unique_within_record": _different,
}
