"""Expectations about the text that each value has in a file, judged once for each distinct text.

Numbers with a fraction, truth values and times may be written in several ways, so that a pattern
which nothing may match could match nothing because of that: for these nothing can be said.
"""

import datetime as dt
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from assay.components.validate_data.bounds import WORDS, within
from assay.components.validate_data.json_schema import schema_check
from assay.components.validate_data.results import Kwargs, Result, each
from assay.data.columns import as_numpy
from assay.data.suite.patterns import matches
from assay.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from assay.data.columns import Column, Mask


def _texts(column: "Column") -> "tuple[pa.Array, NDArray[Any]]":
    """The distinct texts of a column's values, and the index of each value's.

    Raises:
        UsageError: The type's values are written in several ways.
    """
    import pyarrow as pa

    if column.type == "string":
        return column.texts, column.entries
    if column.type not in {"int64", "date32"}:
        raise UsageError(
            f"the column holds {WORDS[column.type]}, which are written in several ways; patterns, "
            "lengths and forms are of text, whole numbers and dates: use bounds or a set of values"
        )
    distinct, indices = np.unique(column.entries, return_inverse=True)
    if column.type == "date32":
        return pa.array(np.datetime_as_string(distinct, unit="D").tolist(), pa.string()), indices
    return pa.array(distinct).cast(pa.string()), indices


def _lengths(column: "Column", kwargs: Kwargs) -> Result:
    import pyarrow.compute as pc

    texts, indices = _texts(column)
    exact = kwargs.get("value")
    bounds = kwargs if exact is None else {"min_value": exact, "max_value": exact}
    right = within(as_numpy(pc.utf8_length(texts)), bounds)
    return each(column, right[indices], kwargs, exact=True)


def _patterns(
    name: str, combine: Callable[[Kwargs, NDArray[np.bool_]], "Mask"]
) -> Callable[["Column", Kwargs], Result]:
    """A rule of patterns; `combine` has an array of shape (patterns, texts)."""

    def rule(column: "Column", kwargs: Kwargs) -> Result:
        texts, indices = _texts(column)
        given = kwargs[name]
        patterns = given if isinstance(given, list) else [given]
        found = np.array([as_numpy(matches(texts, pattern)) for pattern in patterns])
        return each(column, combine(kwargs, found)[indices], kwargs, exact=True)

    return rule


def _any(kwargs: Kwargs, found: NDArray[np.bool_]) -> "Mask":
    enough = np.all if kwargs.get("match_on") == "all" else np.any
    return np.asarray(enough(found, axis=0))


def _none(_: Kwargs, found: NDArray[np.bool_]) -> "Mask":
    return np.asarray(~np.any(found, axis=0))


def _has_form(column: "Column", kwargs: Kwargs) -> Result:
    form = kwargs["strftime_format"]

    def right(text: str) -> bool:
        try:
            dt.datetime.strptime(text, form)  # noqa: DTZ007 - the form alone is judged
        except ValueError:
            return False
        return True

    if column.type == "string":
        return each(column, column.of_texts(right)[column.entries], kwargs, exact=True)
    texts, indices = _texts(column)
    found = np.array([right(text) for text in texts.to_pylist()], dtype=np.bool_)
    return each(column, found[indices], kwargs, exact=True)


def _fits_schema(column: "Column", kwargs: Kwargs) -> Result:
    return each(column, _json(column, schema_check(kwargs["json_schema"])), kwargs, exact=True)


def _is_json(column: "Column", kwargs: Kwargs) -> Result:
    def right(text: str) -> bool:
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return False
        return True

    return each(column, _json(column, right), kwargs)


def _json(column: "Column", right: Callable[[str], bool]) -> "Mask":
    """Only texts are JSON."""
    if column.type != "string":
        return np.zeros(column.present, dtype=np.bool_)
    found: Mask = column.of_texts(right)[column.entries]
    return found


RULES: Final[Mapping[str, Callable[["Column", Kwargs], Result | None]]] = {
    "expect_column_value_lengths_to_be_between": _lengths,
    "expect_column_value_lengths_to_equal": _lengths,
    "expect_column_values_to_match_regex": _patterns("regex", _any),
    "expect_column_values_to_match_regex_list": _patterns("regex_list", _any),
    "expect_column_values_to_not_match_regex": _patterns("regex", _none),
    "expect_column_values_to_not_match_regex_list": _patterns("regex_list", _none),
    "expect_column_values_to_match_strftime_format": _has_form,
    "expect_column_values_to_match_json_schema": _fits_schema,
    "expect_column_values_to_be_json_parseable": _is_json,
}
