"""Expectations about each value of a column, judged for all values at once.

A rule gives None for what it does not judge, which Great Expectations then does.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from assay.components.validate_data.bounds import TIMES, is_number, members, within
from assay.components.validate_data.results import (
    MAX_EXAMPLES,
    Kwargs,
    Result,
    each,
    is_enough,
    measured,
    shown,
)
from assay.data.exact_integers import WIDE

if TYPE_CHECKING:
    from assay.data.columns import Column, Mask


def _is_null(column: "Column", kwargs: Kwargs) -> Result:
    shown_ones = range(min(column.present, MAX_EXAMPLES))
    examples = [column.item(index) for index in shown_ones]
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
    return each(column, within(column.values, kwargs), kwargs)


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
        known = set(wanted)
        right = np.array([text in known for text in column.texts.to_pylist()], dtype=np.bool_)
        found: Mask = right[column.values]
        return found
    if column.type == "int64":
        limits = np.iinfo(np.int64)
        whole = {int(value) for value in wanted if value % 1 == 0}
        wanted = [value for value in whole if limits.min <= value <= limits.max]
    elif column.type == "float64" and any(abs(value) > WIDE for value in wanted):
        return None
    return np.isin(column.values, np.array(wanted, column.values.dtype))


def _unique(column: "Column", kwargs: Kwargs) -> Result:
    values = column.values
    if column.type in {"string", "bool"}:
        return each(column, np.bincount(values, minlength=1)[values.astype(int)] == 1, kwargs)
    ordered = np.sort(values)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(repeated):
        return each(column, np.ones(len(values), dtype=np.bool_), kwargs)
    return each(column, ~np.isin(values, np.unique(repeated)), kwargs)


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
}
