"""Expectations about each value of a column, judged for all values at once.

A rule gives None for what it does not judge, which Great Expectations then does.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from assay.components.validate_data.bounds import (
    TIMES,
    as_entry,
    is_number,
    is_wide,
    members,
    within,
)
from assay.components.validate_data.measures import in_pandas
from assay.components.validate_data.results import (
    MAX_EXAMPLES,
    Kwargs,
    Result,
    each,
    in_memory,
    is_enough,
    measured,
    shown,
)
from assay.data.columns import alone, as_numpy
from assay.errors import UsageError

if TYPE_CHECKING:
    from assay.data.columns import Column, Mask


def _is_null(column: "Column", kwargs: Kwargs) -> Result:
    shown_ones = range(min(column.present, MAX_EXAMPLES))
    examples = [in_memory(column, column.entry(index)) for index in shown_ones]
    places = column.places(np.array(shown_ones, np.int64))
    return _nulls(column, column.present, examples, places, kwargs)


def _is_not_null(column: "Column", kwargs: Kwargs) -> Result:
    missing = column.missing_cells
    first = np.flatnonzero(missing)[:MAX_EXAMPLES] if missing is not None else np.zeros(0, int)
    # Great Expectations shows missing times, and no other missing values.
    examples = ["NaT"] * len(first) if column.type in TIMES else []
    return _nulls(column, column.missing, examples, first, kwargs)


def _nulls(
    column: "Column", wrong: int, examples: Sequence[Any], places: NDArray[Any], kwargs: Kwargs
) -> Result:
    return {
        "success": is_enough(column.rows, wrong, kwargs),
        "result": {
            "element_count": column.rows,
            "unexpected_count": wrong,
            "partial_unexpected_list": [shown(example) for example in examples],
            "partial_unexpected_index_list": places.tolist(),
        },
    }


def _between(column: "Column", kwargs: Kwargs) -> Result | None:
    bounds = [kwargs[name] for name in ("min_value", "max_value") if kwargs.get(name) is not None]
    if column.type == "string" or (column.type not in TIMES and not all(map(is_number, bounds))):
        return None
    return each(column, within(column.entries, kwargs), kwargs)


def _in_set(column: "Column", kwargs: Kwargs) -> Result | None:
    right = _are_members(column, kwargs["value_set"])
    return None if right is None else each(column, right, kwargs)


def _not_in_set(column: "Column", kwargs: Kwargs) -> Result | None:
    wrong = _are_members(column, kwargs["value_set"])
    return None if wrong is None else each(column, ~wrong, kwargs)


def _are_members(column: "Column", given: Sequence[Any]) -> "Mask | None":
    """Whether each value is in a set.

    Raises:
        UsageError: A member is of another type, or there is none.
    """
    wanted = members(given, column.type)
    if column.type == "string":
        right: Mask = column.of_texts(set(wanted).__contains__)[column.entries]
        return right
    if column.type == "float64" and any(map(is_wide, wanted)):
        return None
    entries = [as_entry(member, column.type) for member in wanted]
    known = [entry for entry in entries if entry is not None]
    return np.isin(column.entries, np.array(known, column.entries.dtype))


def _unique(column: "Column", kwargs: Kwargs) -> Result:
    values = column.entries
    if column.type in {"string", "bool"}:
        return each(column, np.bincount(values, minlength=1)[values.astype(int)] == 1, kwargs)
    return each(column, alone(values), kwargs)


def _of_type(column: "Column", kwargs: Kwargs) -> Result | None:
    name = kwargs["type_"]
    if column.type_in_memory.kind == "O" and name in {"object", "object_", "O"}:
        return measured(success=True, value="object_")
    return _of_types(column, [name], kwargs, as_dtype=False)


def _in_type_list(column: "Column", kwargs: Kwargs) -> Result | None:
    return _of_types(column, kwargs["type_list"], kwargs, as_dtype=True)


def _of_types(
    column: "Column", names: Sequence[str], kwargs: Kwargs, *, as_dtype: bool
) -> Result | None:
    """Whether pandas' type of a column is one of NumPy's or Python's of these names."""
    try:
        dtypes = [np.dtype(name) for name in names]
    except TypeError:
        return None
    python = [_PYTHON_TYPES[name.lower()] for name in names if name.lower() in _PYTHON_TYPES]
    actual = column.type_in_memory
    if actual.kind == "O":
        kind = str if column.type == "string" else bool
        right = issubclass(kind, (*python, *(dtype.type for dtype in dtypes)))
        return each(column, np.full(column.present, right), kwargs)
    if as_dtype:
        right = actual in [*dtypes, *(dtype.type for dtype in dtypes), *python]
    else:
        right = actual.type in [*(dtype.type for dtype in dtypes), *python]
    return measured(right, actual.type.__name__)


def _ordered(
    follows: Callable[..., Any], strictly: Callable[..., Any]
) -> Callable[["Column", Kwargs], Result]:
    """A rule of the order of values: how each compares with the one before it."""

    def rule(column: "Column", kwargs: Kwargs) -> Result:
        values = column.entries
        if column.type == "string":
            import pyarrow.compute as pc

            ranks = np.empty(len(column.texts), np.int64)
            ranks[as_numpy(pc.array_sort_indices(column.texts))] = np.arange(len(ranks))
            values = ranks[values]
        right = np.ones(len(values), dtype=np.bool_)
        (strictly if kwargs.get("strictly") else follows)(values[1:], values[:-1], out=right[1:])
        return each(column, right, kwargs, exact=True)

    return rule


HUGE: Final = 2.0**500
"""Squares of larger numbers, and their sum, may be beyond the range of a float."""


def _distances(column: "Column") -> NDArray[np.float64] | None:
    """Numbers whose distances floats hold, although they are large; None if they are not.

    Raises:
        UsageError: One is infinite.
    """
    if not column.present:
        return None
    if column.type == "float64":
        largest = np.abs(column.entries).max()
        if np.isinf(largest):
            raise UsageError("the column holds infinite numbers, which have no distance to others")
        # What is asked is relative to the deviation. A power of two changes no digit.
        smaller: NDArray[np.float64] = column.entries / 2.0**600
        return smaller if largest > HUGE else None
    if not column.is_wide:
        return None
    # Distances from one of the values; without a sign, because they may be beyond 2^63.
    unsigned: NDArray[np.uint64] = column.entries.view(np.uint64)
    far: NDArray[np.float64] = (unsigned - unsigned[column.entries.argmin()]).astype(np.float64)
    return far


def _z_scores(column: "Column", kwargs: Kwargs) -> Result | None:
    if column.type not in {"int64", "float64"}:
        return None
    numbers = _distances(column)
    if numbers is None:
        numbers, series = column.entries, in_pandas(column)
        mean, deviation = series.mean(), series.std()
    else:
        mean, deviation = numbers.mean(), numbers.std(ddof=1) if len(numbers) > 1 else 0.0
    if not deviation > 0:  # one number only, or none
        return each(column, np.ones(column.present, dtype=np.bool_), kwargs)
    scores = (numbers - mean) / deviation
    if kwargs["double_sided"]:
        return each(column, np.abs(scores) < abs(kwargs["threshold"]), kwargs)
    return each(column, scores < kwargs["threshold"], kwargs)


def _not_outliers(column: "Column", kwargs: Kwargs) -> Result | None:
    if column.type not in {"int64", "float64"}:
        return None
    numbers, factor = _distances(column), float(kwargs.get("multiplier", 1.5))
    if kwargs.get("method") == "std":
        return each(column, _near_mean(column, numbers, factor), kwargs)
    if numbers is None:
        numbers = column.entries
        series = in_pandas(column).dropna()
        low, high = (float(series.quantile(share)) for share in (0.25, 0.75))
    else:
        low, high = np.quantile(numbers, [0.25, 0.75])
    width = factor * (high - low)
    return each(column, (low - width <= numbers) & (numbers <= high + width), kwargs)


def _near_mean(column: "Column", numbers: NDArray[np.float64] | None, factor: float) -> "Mask":
    if numbers is not None:
        width = numbers.std(ddof=1) * factor if len(numbers) > 1 else 0.0
        return np.asarray((np.abs(numbers - numbers.mean()) < width) | (not width))
    series = in_pandas(column).dropna()
    mean, width = float(series.mean()), float(series.std()) * factor
    if not np.isfinite(width):
        return np.ones(column.present, dtype=np.bool_)
    if width <= 0:
        return np.asarray(column.entries == mean)
    return np.asarray(np.abs(column.entries - mean) < width)


_PYTHON_TYPES: Final[Mapping[str, type]] = {
    "bool": bool,
    "int": int,
    "long": int,
    "float": float,
    "bytes": bytes,
    "complex": complex,
    "str": str,
}
"""Names of types that mean Python's own types, too."""

RULES: Final[Mapping[str, Callable[["Column", Kwargs], Result | None]]] = {
    "expect_column_values_to_be_null": _is_null,
    "expect_column_values_to_not_be_null": _is_not_null,
    "expect_column_values_to_be_between": _between,
    "expect_column_values_to_be_in_set": _in_set,
    "expect_column_values_to_not_be_in_set": _not_in_set,
    "expect_column_values_to_be_unique": _unique,
    "expect_column_values_to_be_of_type": _of_type,
    "expect_column_values_to_be_in_type_list": _in_type_list,
    "expect_column_values_to_be_increasing": _ordered(np.greater_equal, np.greater),
    "expect_column_values_to_be_decreasing": _ordered(np.less_equal, np.less),
    "expect_column_value_z_scores_to_be_less_than": _z_scores,
    "expect_column_values_to_not_be_outliers": _not_outliers,
}
