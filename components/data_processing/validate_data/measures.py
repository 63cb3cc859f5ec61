"""Expectations about a number or a set that all values of a column give.

A rule gives None for what it does not judge, which Great Expectations then does.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from assay.components.validate_data.bounds import (
    TIMES,
    as_entry,
    is_number,
    is_wide,
    is_within,
    members,
    within,
)
from assay.components.validate_data.results import (
    MAX_EXAMPLES,
    Kwargs,
    Result,
    in_memory,
    measured,
)
from assay.data.columns import as_numpy
from assay.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from assay.data.columns import Column

_Number = Callable[["Column", Kwargs], Any]


def in_pandas(column: "Column") -> "pd.Series":
    """Numbers as pandas holds them: missing ones are NaN.

    Great Expectations has pandas compute means, deviations and quantiles; so do we, because other
    algorithms would differ in the last digits.
    """
    import pandas as pd

    if column.missing_cells is None:
        return pd.Series(column.entries)
    filled = column.filled.astype(np.float64)
    filled[column.missing_cells] = np.nan
    return pd.Series(filled)


def _measure(number: _Number) -> Callable[["Column", Kwargs], Result | None]:
    """A rule for a number of a column of numbers, and the bounds of its arguments."""

    def rule(column: "Column", kwargs: Kwargs) -> Result | None:
        bounds = [kwargs.get(name) for name in ("min_value", "max_value")]
        if column.type not in {"int64", "float64"} or not all(
            bound is None or is_number(bound) for bound in bounds
        ):
            return None
        with np.errstate(all="ignore"):
            value = number(column, kwargs)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return measured(success=False, value=None)
        return measured(is_within(value, kwargs), value)

    return rule


def _extreme(
    name: str, *, numbers: Callable[["Column", Kwargs], Result | None]
) -> Callable[["Column", Kwargs], Result | None]:
    """A rule for the least or the largest number or time."""

    def rule(column: "Column", kwargs: Kwargs) -> Result | None:
        if column.type not in TIMES:
            return numbers(column, kwargs)
        if not column.present:
            return None
        value = getattr(column.entries, name)()
        return measured(bool(within(np.array([value]), kwargs)[0]), value.item())

    return rule


def _least(column: "Column", kwargs: Kwargs) -> Any:
    del kwargs
    return in_memory(column, column.entries.min().item()) if column.present else None


def _largest(column: "Column", kwargs: Kwargs) -> Any:
    del kwargs
    return in_memory(column, column.entries.max().item()) if column.present else None


def _sum(column: "Column", kwargs: Kwargs) -> Any:
    bounded_wide = any(is_wide(kwargs.get(name)) for name in ("min_value", "max_value"))
    if column.type == "int64" and (bounded_wide or not column.gaps_are_floats):
        return whole_sum(column.entries)
    return float(in_pandas(column).sum())


def whole_sum(values: NDArray[np.int64]) -> int:
    """The exact sum of whole numbers."""
    # Halves of 32 bits, whose sums do not overflow for fewer than 2^31 rows.
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())


def _mean(column: "Column", kwargs: Kwargs) -> Any:
    del kwargs
    if column.is_wide:
        return Fraction(whole_sum(column.entries), column.present)
    return float(in_pandas(column).mean())


def _deviation(column: "Column", kwargs: Kwargs) -> Any:
    del kwargs
    if not column.is_wide:
        return float(in_pandas(column).std())
    count = column.present
    if count < 2:  # noqa: PLR2004 - of a sample: with n - 1
        return None
    least = int(column.entries.min())
    far = [value - least for value in column.entries.tolist()]
    squares = sum(map(operator.mul, far, far))
    return math.sqrt(Fraction(squares * count - sum(far) ** 2, count * (count - 1)))


def _median(column: "Column", kwargs: Kwargs) -> Any:
    del kwargs
    if not column.present:
        return None
    if not column.is_wide:
        return float(in_pandas(column).median())
    ordered, middle = np.sort(column.entries), column.present // 2
    if column.present % 2:
        return int(ordered[middle])
    return Fraction(int(ordered[middle - 1]) + int(ordered[middle]), 2)


def _quantiles(column: "Column", kwargs: Kwargs) -> Result | None:
    """By the nearest rank: a value of the column."""
    given = kwargs["quantile_ranges"]
    ranges = given["value_ranges"]
    if not column.present or column.type in {"string", "bool"}:
        return None
    if not column.is_wide and column.type not in TIMES:
        return _near_quantiles(column, kwargs)
    ordered = np.sort(column.entries)
    # Half-way ranks go to the even one, as in numpy's "nearest".
    found = ordered[[round(quantile * (len(ordered) - 1)) for quantile in given["quantiles"]]]
    right = [
        bool(within(found[place : place + 1], {"min_value": low, "max_value": high})[0])
        for place, (low, high) in enumerate(ranges)
    ]
    observed = {"quantiles": given["quantiles"], "values": found.tolist()}
    return measured(all(right), observed)


_INTERPOLATIONS: Final = ("linear", "lower", "higher", "midpoint", "nearest")
_NEAR: Final = 1e-4
"""A quantile may lie beyond its range by this share of the bound, as in Great Expectations."""


def _near_quantiles(column: "Column", kwargs: Kwargs) -> Result | None:
    given, way = kwargs["quantile_ranges"], kwargs.get("allow_relative_error") or "nearest"
    ranges = [
        (-math.inf if low is None else low, math.inf if high is None else high)
        for low, high in given["value_ranges"]
    ]
    if way not in _INTERPOLATIONS or not all(is_number(bound) for pair in ranges for bound in pair):
        return None
    with np.errstate(all="ignore"):
        found = _interpolated(in_pandas(column), given["quantiles"], way)
        right = [
            bool(np.isclose(float(value), [float(low), float(high)], rtol=_NEAR).any())
            or low <= value <= high
            for value, (low, high) in zip(found, ranges, strict=True)
        ]
    observed = {"quantiles": given["quantiles"], "values": [_or_none(value) for value in found]}
    return measured(all(right), observed)


def _interpolated(numbers: Any, quantiles: Sequence[float], way: str) -> list[Any]:
    found: list[Any] = numbers.quantile(quantiles, interpolation=way).tolist()
    return found


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _count(
    number: Callable[["Column"], float],
) -> Callable[["Column", Kwargs], Result]:
    """A rule for a number that a column of every type has."""

    def rule(column: "Column", kwargs: Kwargs) -> Result:
        value = number(column)
        return measured(is_within(value, kwargs), value)

    return rule


def _distinct_count(column: "Column") -> int:
    return len(column.counts)


def _distinct_share(column: "Column") -> float:
    return len(column.counts) / column.present if column.present else 0


def _present_share(column: "Column") -> float:
    return column.present / column.rows


def _plain(value: Any) -> Any:
    """0 for -0, which is the same value."""
    return value + 0.0 if isinstance(value, float) else value


class _Distinct:
    """The distinct values of a column beside a set.

    Args:
        column: The column.
        wanted: The set, of values of its type and None.
    """

    def __init__(self, column: "Column", wanted: set[Any]) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        entries = {member: as_entry(member, column.type) for member in wanted if member is not None}
        known = [entry for entry in entries.values() if entry is not None]
        self._column = column
        if column.type == "string":
            values = column.texts.take(pc.array_sort_indices(column.texts))
            self._inside = as_numpy(pc.is_in(values, value_set=pa.array(known, values.type)))
        else:
            values = np.unique(column.entries)
            self._inside = np.isin(values, np.array(known, values.dtype))
        self._values = values
        found = set(self._listed(self._inside))
        self.missing = {
            member for member in wanted if member is None or entries[member] not in found
        }

    @property
    def unexpected(self) -> int:
        """How many values are not in the set."""
        return int(np.count_nonzero(~self._inside))

    def first_unexpected(self) -> list[Any]:
        """The first of them in order, as Great Expectations sees them."""
        return self._examples(np.flatnonzero(~self._inside))

    def first(self) -> list[Any]:
        """The first values in order."""
        return self._examples(np.arange(len(self._inside)))

    def _examples(self, places: NDArray[Any]) -> list[Any]:
        listed = self._listed(places[:MAX_EXAMPLES])
        return [in_memory(self._column, _plain(value)) for value in listed]

    def _listed(self, places: NDArray[Any]) -> list[Any]:
        import pyarrow as pa

        if self._column.type == "string":
            where = np.flatnonzero(places) if places.dtype == np.bool_ else places
            listed: list[Any] = self._values.take(pa.array(where)).to_pylist()
        else:
            listed = self._values[places].tolist()
        return listed


def _exact_set(column: "Column", given: Sequence[Any]) -> list[Any] | None:
    """A set of times or of whole numbers beyond 2^53; None for other sets.

    Raises:
        UsageError: A member is of another type, or there is none.
    """
    wanted = members(given, column.type)
    wide = column.type == "int64" and (column.is_wide or any(map(is_wide, wanted)))
    return wanted if wide or column.type in TIMES else None


def _sets(*, unexpected: bool, missing: bool) -> Callable[["Column", Kwargs], Result]:
    """A rule for the set of all values: which of both sides may not have more than the other."""

    def rule(column: "Column", kwargs: Kwargs) -> Result:
        exact = _exact_set(column, kwargs["value_set"])
        found = _Distinct(column, set(kwargs["value_set"] if exact is None else exact))
        if not column.present and not missing:
            # Great Expectations says that no value is outside of the set.
            raise UsageError("there was no value to look at")
        beyond = found.unexpected if unexpected else 0
        success = not beyond and not (missing and found.missing) and column.present > 0
        if exact is not None:
            return measured(success, found.first())
        result: dict[str, Any] = {"observed_value": None}
        if unexpected:
            result["unexpected_count"] = beyond
            result["partial_unexpected_list"] = found.first_unexpected()
        if missing:
            result["missing_count"] = len(found.missing)
            listed = sorted(member for member in found.missing if member is not None)
            result["partial_missing_list"] = listed[:MAX_EXAMPLES]
        return {"success": success, "result": result}

    return rule


def _most_common(column: "Column", kwargs: Kwargs) -> Result:
    exact = _exact_set(column, kwargs["value_set"])
    modes = _modes(column)
    common = len(set(modes) & set(kwargs["value_set"] if exact is None else exact))
    success = common > 0 if kwargs.get("ties_okay") else len(modes) == 1 and common == 1
    return measured(success, modes if exact is None else modes[:MAX_EXAMPLES])


def _modes(column: "Column") -> list[Any]:
    """The values that are most common, in order."""
    if not column.present:
        return []
    if column.type in {"string", "bool"}:
        counts = np.bincount(column.entries)
        modes = np.flatnonzero(counts == counts.max())
        if column.type == "bool":
            return [bool(mode) for mode in modes]
        return sorted(column.texts.take(modes).to_pylist())
    ordered = np.sort(column.entries)
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    counts = np.diff(starts, append=len(ordered))
    found = ordered[starts[counts == counts.max()]].tolist()
    return [in_memory(column, _plain(value)) for value in found]


RULES: Final[Mapping[str, Callable[["Column", Kwargs], Result | None]]] = {
    "expect_column_max_to_be_between": _extreme("max", numbers=_measure(_largest)),
    "expect_column_min_to_be_between": _extreme("min", numbers=_measure(_least)),
    "expect_column_sum_to_be_between": _measure(_sum),
    "expect_column_mean_to_be_between": _measure(_mean),
    "expect_column_median_to_be_between": _measure(_median),
    "expect_column_stdev_to_be_between": _measure(_deviation),
    "expect_column_quantile_values_to_be_between": _quantiles,
    "expect_column_unique_value_count_to_be_between": _count(_distinct_count),
    "expect_column_proportion_of_unique_values_to_be_between": _count(_distinct_share),
    "expect_column_proportion_of_non_null_values_to_be_between": _count(_present_share),
    "expect_column_distinct_values_to_be_in_set": _sets(unexpected=True, missing=False),
    "expect_column_distinct_values_to_contain_set": _sets(unexpected=False, missing=True),
    "expect_column_distinct_values_to_equal_set": _sets(unexpected=True, missing=True),
    "expect_column_most_common_value_to_be_in_set": _most_common,
}
