"""What an expectation saw, in the words of one line."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from assay.evidence.numbers import tidy

MAX_SHOWN: Final = 3
"""Examples in one line."""
MAX_ITEMS: Final = 8
"""Items of a set or list in one line."""
MAX_TEXT: Final = 60
"""Characters of a value."""
_EXACT_INT: Final = 1 << 53
"""JSON numbers are exact below."""


def observed(
    kind: str, kwargs: Mapping[str, Any], result: Mapping[str, Any], *, success: bool
) -> str:
    """What was seen, such as `3 of 10 values outside {'a', 'b'}, e.g. 'c'`.

    Args:
        kind: The expectation's type.
        kwargs: What was expected.
        result: GX's numbers and examples, made `plain`.
        success: Whether it was as expected.
    """
    if "unexpected_count" in result and "element_count" in result:
        return _counted(kind, kwargs, result)
    if kind == "expect_column_to_exist" and not success:
        place = kwargs.get("column_index")
        return "there is no such column" + (f" at place {place}" if place is not None else "")
    for name, words in (("partial_unexpected_list", "unexpected"), ("partial_missing_list", "no")):
        if result.get(name):
            return f"{words} {_listed(result[name])}"
    if mismatched := result.get("mismatched"):
        return _columns(mismatched)
    if "observed_value" not in result:
        return "as expected" if success else "not as expected"
    return f"observed {shown(result['observed_value'])}{_expected(kwargs)}"


def _counted(kind: str, kwargs: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    count = result["unexpected_count"]
    total = result["element_count"] - result.get("missing_count", 0)
    if not count:
        return f"all of {total} as expected"
    words = _WRONG.get(kind)
    text = f"{count} of {total} values {words(kwargs) if words else 'not as expected'}"
    if kwargs.get("mostly") not in {None, 1}:
        text += f" (at least {kwargs['mostly']:g} of all must be right)"
    return text + _examples(result)


def _examples(result: Mapping[str, Any]) -> str:
    """Up to `MAX_SHOWN` different values that were not expected, with the rows of the first."""
    values = [_example(value) for value in result.get("partial_unexpected_list", [])]
    rows = result.get("rows", [])
    if len(rows) != len(values):
        # Missing values have no example, so that examples and rows do not belong together.
        found = [*dict.fromkeys(values)] or [f"row {row}" for row in rows]
    else:
        first = dict(zip(reversed(values), reversed(rows), strict=True))
        found = [f"{value} in row {first[value]}" for value in dict.fromkeys(values)]
    return f", e.g. {', '.join(found[:MAX_SHOWN])}" if found else ""


def _example(value: Any) -> str:
    """A value, or the values of several columns in one row."""
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name}={shown(item)}" for name, item in value.items()) + ")"
    if isinstance(value, list):
        return "(" + ", ".join(map(shown, value)) + ")"
    return shown(value)


def _range(kwargs: Mapping[str, Any]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is None:
        return f"above {shown(high)}"
    return f"below {shown(low)}" if high is None else f"outside {shown(low)} to {shown(high)}"


_WRONG: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "expect_column_values_to_be_in_set": lambda k: f"outside {_set(k['value_set'])}",
    "expect_column_values_to_not_be_in_set": lambda k: f"in {_set(k['value_set'])}",
    "expect_column_values_to_be_between": _range,
    "expect_column_value_lengths_to_be_between": lambda k: f"with a length {_range(k)}",
    "expect_column_value_lengths_to_equal": lambda k: (
        f"with another length than {shown(k['value'])}"
    ),
    "expect_column_values_to_not_be_null": lambda _: "missing",
    "expect_column_values_to_be_null": lambda _: "not missing",
    "expect_column_values_to_be_unique": lambda _: "repeated",
    "expect_column_values_to_be_of_type": lambda k: f"not of type {k['type_']}",
    "expect_column_values_to_be_in_type_list": lambda k: (
        f"of none of the types {_set(k['type_list'])}"
    ),
    "expect_column_values_to_match_regex": lambda k: f"not matching {shown(k['regex'])}",
    "expect_column_values_to_not_match_regex": lambda k: f"matching {shown(k['regex'])}",
    "expect_column_values_to_match_strftime_format": lambda k: (
        f"not of the form {shown(k['strftime_format'])}"
    ),
    "expect_compound_columns_to_be_unique": lambda _: "repeated",
    "expect_column_pair_values_to_be_in_set": lambda k: f"outside {_pairs(k['value_pairs_set'])}",
    "expect_column_pair_values_to_be_equal": lambda _: "that differ",
}
"""What is wrong with a value, by the expectation's type."""


def _pairs(pairs: Any) -> str:
    shown_ones = ", ".join(_example(pair) for pair in pairs[:MAX_ITEMS])
    more = f" and {len(pairs) - MAX_ITEMS} more" if len(pairs) > MAX_ITEMS else ""
    return "{" + shown_ones + more + "}"


def _expected(kwargs: Mapping[str, Any]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is not None and high is not None:
        return f", expected {shown(low)} to {shown(high)}"
    if low is not None or high is not None:
        bound = f"at most {shown(high)}" if low is None else f"at least {shown(low)}"
        return f", expected {bound}"
    if isinstance(ranges := kwargs.get("quantile_ranges"), dict):
        return f", expected {_listed([shown(pair) for pair in ranges['value_ranges']])}"
    for name in ("value", "type_", "type_list", "value_set", "threshold"):
        if name in kwargs:
            value = kwargs[name]
            return f", expected {_set(value) if isinstance(value, list) else shown(value)}"
    return ""


def _columns(mismatched: Any) -> str:
    """Columns that differ: from a set, or place by place."""
    if isinstance(mismatched, dict):
        parts = [
            f"{name} {_listed(mismatched[name])}"
            for name in ("missing", "unexpected")
            if mismatched.get(name)
        ]
        return "columns " + " and ".join(parts)
    places = [_place(item) for item in mismatched if isinstance(item, dict)]
    more = f" and {len(places) - MAX_SHOWN} more" if len(places) > MAX_SHOWN else ""
    return f"{', '.join(places[:MAX_SHOWN])}{more}"


def _place(item: Mapping[str, Any]) -> str:
    found, expected = item.get("Found"), item.get("Expected")
    position = item.get("Expected Column Position")
    place = f"column {position + 1}" if isinstance(position, int) else "a column"
    if found is None:
        return f"{place}, {shown(expected)}, is missing"
    if expected is None:
        return f"{place}, {shown(found)}, is unexpected"
    return f"{place} is {shown(found)} instead of {shown(expected)}"


def arguments(kwargs: Mapping[str, Any]) -> str:
    """What was expected, without the column that a report names beside it."""
    hidden = {"column", "column_A", "column_B"}
    return ", ".join(f"{k}={shown(v)}" for k, v in sorted(kwargs.items()) if k not in hidden)


def shown(value: Any) -> str:
    """A value in one short piece: texts in quotes, numbers with six digits."""
    if isinstance(value, list):
        return _set(value)
    if isinstance(value, float):
        text = f"{value:.0f}" if value.is_integer() and abs(value) < _EXACT_INT else f"{value:.6g}"
    elif isinstance(value, str):
        text = repr(value[: MAX_TEXT + 1])
    else:
        text = str(value)
    return text if len(text) <= MAX_TEXT + 2 else f"{text[:MAX_TEXT]}…"


def _set(values: list[Any]) -> str:
    return "{" + _listed(values) + "}"


def _listed(values: list[Any]) -> str:
    text = ", ".join(shown(value) for value in values[:MAX_ITEMS])
    more = len(values) - MAX_ITEMS
    return f"{text} and {more} more" if more > 0 else text


def plain(value: Any) -> Any:
    """A value as canonical JSON has it; text where JSON has no such number."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) < _EXACT_INT else str(value)
    if isinstance(value, float):
        return tidy(value) if math.isfinite(value) else str(value)
    return str(value)
