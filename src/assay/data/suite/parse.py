"""Parse and check untrusted suites without Great Expectations."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

from assay.data import column_problems
from assay.data.suite.known import ARGUMENTS, EXPECTATION_TYPES, NOT_ADMITTED, Arguments
from assay.data.suite.patterns import pattern_problem
from assay.documents import MAX_NAMED, Limits, closest, read_json, shown, some
from assay.errors import UsageError

FILE_NAME: Final = "suite.json"
MAX_SUITE_BYTES: Final = 4 << 20
_LIMITS: Final = Limits(MAX_SUITE_BYTES, depth=32, values=1_000_000)
MAX_EXPECTATIONS: Final = 10_000
MAX_SHOWN: Final = 50
"""Maximum number of problems in an error."""

_ITEM_KEYS: Final = frozenset(
    {"type", "kwargs", "meta", "id", "notes", "description", "severity", "rendered_content"}
)
_REFUSED_ARGUMENTS: Final = {
    "row_condition": "a filter is code in a text; give a table that holds only those rows",
    "condition_parser": "a filter is code in a text; give a table that holds only those rows",
    "catch_exceptions": "an expectation that cannot be judged has always failed",
    "result_format": "the form of the result is fixed",
    "batch_id": "the table is the dataset that is validated",
    "windows": "the past of other tables is not known here; write the bounds",
}


@dataclass(frozen=True, slots=True)
class Suite:
    """A parsed suite."""

    name: str
    expectations: tuple[Mapping[str, Any], ...]
    """At least one; each with an allowed `type`, `kwargs`, and optionally `meta`."""


def parse_suite(data: bytes, columns: Sequence[str] | None = None, name: str = "suite") -> Suite:
    """Parse a suite; does not need Great Expectations.

    Args:
        data: JSON, at most `MAX_SUITE_BYTES`.
        columns: The columns of the table, if known; expectations about others are refused.
        name: Name of the file in error messages.

    Returns:
        The suite.

    Raises:
        UsageError: The suite is not valid: not JSON, no expectations, unknown types, arguments or
            columns. The message lists all problems.
    """
    raw = read_json(data, name, _LIMITS)
    items = raw.get("expectations") if isinstance(raw, dict) else None
    if not isinstance(items, list) or not 0 < len(items) <= MAX_EXPECTATIONS:
        raise UsageError(
            f"{name}: not a suite; it needs 'expectations', a list of 1 to {MAX_EXPECTATIONS}. "
            "Draft one with: assay suite draft"
        )
    problems: list[str] = []
    for number, item in enumerate(items, 1):
        problems += [f"{name}: expectation {number}: {p}" for p in _problems(item, columns)]
        if len(problems) > MAX_SHOWN:
            # Stops here, because the search for similar names is slow.
            unchecked = len(items) - number
            problems[MAX_SHOWN:] = [f"the last {unchecked} expectations were not checked"]
            break
    if problems:
        raise UsageError.all_of(problems)
    return Suite(str(raw.get("name") or "suite"), tuple(items))


def _problems(item: Any, columns: Sequence[str] | None) -> list[str]:
    if not isinstance(item, dict) or not isinstance(item.get("kwargs", {}), dict):
        return ["not an object with 'type' and 'kwargs'"]
    kind = item.get("type", item.get("expectation_type"))
    if not isinstance(kind, str) or kind not in EXPECTATION_TYPES:
        return [_unknown(kind)]
    if "type" not in item:
        return [f"write 'type' instead of 'expectation_type' ({kind}): as in GX 1.x"]
    kwargs = item.get("kwargs", {})
    known = ARGUMENTS[kind]
    problems = some(
        [key for key in item if key not in _ITEM_KEYS],
        lambda key: (
            f"{kind}: unknown key {shown(key)}"
            + _hint(key, known.names, "; arguments belong into 'kwargs'")
        ),
    )
    problems += [
        f"{kind}: {problem}"
        for problem in islice(_argument_problems(kind, kwargs, known), MAX_NAMED)
    ]
    return problems or _column_problems(kind, kwargs, columns)


def _unknown(kind: Any) -> str:
    if isinstance(kind, str) and kind in NOT_ADMITTED:
        return f"type {kind!r} is not admitted: {NOT_ADMITTED[kind]}"
    # The class ExpectColumnToExist has the type expect_column_to_exist.
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(kind)[:200]).lower()
    close = closest(snake, EXPECTATION_TYPES)
    hint = f"did you mean {close!r}?" if close else "only Great Expectations' own are admitted"
    return f"unknown type {shown(kind)}; {hint}"


def _argument_problems(kind: str, kwargs: Mapping[str, Any], known: Arguments) -> Iterator[str]:
    for name, value in kwargs.items():
        if name in _REFUSED_ARGUMENTS:
            yield f"{name!r} is not admitted: {_REFUSED_ARGUMENTS[name]}"
        elif name not in known.names:
            yield f"unknown argument {shown(name)}" + _hint(
                name, known.names, f"; there are: {', '.join(known.names)}"
            )
        elif any(key == "$PARAMETER" for key in _keys(value)):
            yield f"{name!r} is a suite parameter, which has no value here; write the value"
        elif (check := _check(kind, name)) is not None and (problem := check(value)):
            yield f"{name!r} {problem}"
    yield from _missing_arguments(kwargs, known)
    low: Any = kwargs.get("min_value")
    high: Any = kwargs.get("max_value")
    if _is_number(low) and _is_number(high) and low > high:
        yield f"'min_value' {low} is above 'max_value' {high}"


def _missing_arguments(kwargs: Mapping[str, Any], known: Arguments) -> Iterator[str]:
    for name in known.required:
        if kwargs.get(name) is None:
            yield f"{name!r} is missing"
    if known.either and all(kwargs.get(name) is None for name in known.either):
        yield f"give {' or '.join(map(repr, known.either))}, without which nothing could fail"


def _check(kind: str, name: str) -> Callable[[Any], str] | None:
    """The check of an argument, which for some names depends on the expectation."""
    if name == "column_list" and not kind.startswith("expect_table_"):
        return _columns
    if name == "ignore_row_if":
        return _pair_rows if kind.startswith("expect_column_pair_") else _rows
    if name in {"min_value", "max_value"} and _COUNTED.search(kind) is None:
        return _bound
    return _CHECKS.get(name)


def _column_problems(
    kind: str, kwargs: Mapping[str, Any], columns: Sequence[str] | None
) -> list[str]:
    # These expectations check themselves whether columns exist.
    if columns is None or kind == "expect_column_to_exist" or kind.startswith("expect_table_"):
        return []
    named = [kwargs[key] for key in ("column", "column_A", "column_B") if key in kwargs]
    return column_problems([*named, *kwargs.get("column_list", [])], columns, kind)


def _keys(value: Any) -> Iterator[Any]:
    """All keys at any depth."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield from item
            pending += item.values()
        elif isinstance(item, list):
            pending += item


def _hint(name: str, known: Sequence[str], otherwise: str) -> str:
    close = closest(name, known)
    return f"; did you mean {close!r}?" if close else otherwise


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    return "" if isinstance(value, str) and value else f"is {shown(value)}; give a text"


def _texts(value: Any) -> str:
    right = isinstance(value, list) and value and all(isinstance(item, str) for item in value)
    return "" if right else f"is {shown(value)}; give a list of texts, at least one"


def _columns(value: Any) -> str:
    few = not (problem := _texts(value)) and len(value) == 1
    return "has one column; give at least two" if few else problem


def _number(value: Any) -> str:
    return "" if value is None or _is_number(value) else f"is {shown(value)}; give a number"


def _bound(value: Any) -> str:
    if isinstance(value, str):
        try:
            datetime.fromisoformat(value)
        except ValueError:
            return f"is {shown(value)}; give a number, or a date or time as in 2024-01-31T08:00:00"
    return "" if isinstance(value, str) else _number(value)


def _multiplier(value: Any) -> str:
    right = _is_number(value) and value >= 0
    return "" if right else f"is {shown(value)}; give a number of at least 0"


def _share(value: Any) -> str:
    right = value is None or (_is_number(value) and 0 <= value <= 1)
    return "" if right else f"is {shown(value)}; give a number from 0 to 1"


def _flag(value: Any) -> str:
    return "" if isinstance(value, bool) else f"is {shown(value)}; give true or false"


def _optional_flag(value: Any) -> str:
    return "" if value is None else _flag(value)


def _relative_error(value: Any) -> str:
    return "" if isinstance(value, str) else _flag(value)


def _one_of(*names: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        right = isinstance(value, str) and value in names
        return "" if right else f"is {shown(value)}; give {', '.join(names[:-1])} or {names[-1]}"

    return check


MAX_REASON: Final = 200
_NO_FORM: Final = re.compile("bad directive|stray %")
_pair_rows = _one_of("both_values_are_missing", "either_value_is_missing", "neither")
_rows = _one_of("all_values_are_missing", "any_value_is_missing", "never")
_COUNTED: Final = re.compile("_(count|lengths|proportion|stdev)_")
"""Expectation types with numeric bounds for every type of column."""


def _pairs(value: Any) -> str:
    pairs = isinstance(value, list) and all(isinstance(p, list) and len(p) == 2 for p in value)  # noqa: PLR2004
    return _filled(value) or ("" if pairs else "must be a list of pairs, such as [[1, 2], [1, 3]]")


def _quantiles(value: Any) -> str:
    right = "give {'quantiles': [0.5], 'value_ranges': [[low, high]]}, a range for each quantile"
    quantiles, ranges = (
        (value.get("quantiles"), value.get("value_ranges"))
        if isinstance(value, dict)
        else (None, None)
    )
    if not isinstance(quantiles, list) or not isinstance(ranges, list) or not quantiles:
        return f"is {shown(value)}; {right}"
    if len(quantiles) != len(ranges) or not all(_is_number(q) and 0 <= q <= 1 for q in quantiles):
        return f"is {shown(value)}; {right}"
    return next(filter(None, map(_range_problem, ranges)), "")


def _range_problem(pair: Any) -> str:
    if not isinstance(pair, list) or len(pair) != 2 or pair == [None, None]:  # noqa: PLR2004
        return f"has the range {shown(pair)}; give [low, high], one of which may be null"
    low, high = pair
    if _is_number(low) and _is_number(high) and low > high:
        return f"has the range {shown(pair)}, whose low end is above the high end"
    return ""


def _filled(value: Any) -> str:
    return "" if isinstance(value, list) and value else "must be a list of at least one item"


def _mostly(value: Any) -> str:
    # With 0 the expectation could never fail.
    right = _is_number(value) and 0 < value <= 1
    return "" if right else f"is {shown(value)}; give a share above 0, at most 1"


def _regex(value: Any) -> str:
    return _text(value) or pattern_problem(value)


def _regexes(value: Any) -> str:
    return _texts(value) or "; ".join(filter(None, map(_regex, value)))


def _form(value: Any) -> str:
    """A form of time that Python can read; `%d-%d` is none, because it asks for two days."""
    if problem := _text(value):
        return problem
    try:
        datetime.strptime("", value)  # noqa: DTZ007 - the form alone is judged
    except (ValueError, re.error) as error:
        reason = " ".join(str(error).split())
        if not isinstance(error, re.error) and not _NO_FORM.search(reason):
            return ""  # the empty text is not of this form
        return f"is {shown(value)}, which is no form of time: {reason[:MAX_REASON]}"
    return ""


def _object(value: Any) -> str:
    return "" if isinstance(value, dict) else "must be an object"


def _schema(value: Any) -> str:
    """Refuse external references and patterns, whose matching time is not limited."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if isinstance(item.get("pattern"), str) or "patternProperties" in item:
                return (
                    "has a pattern, which is matched without a bound of time; use "
                    "expect_column_values_to_match_regex"
                )
            for key in ("$ref", "$dynamicRef", "$recursiveRef", "$schema"):
                target = item.get(key, "#")
                known = key == "$schema" and str(target).startswith(
                    ("http://json-schema.org/draft-", "https://json-schema.org/draft/")
                )
                if not known and not str(target).startswith("#"):
                    return (
                        f"refers to {shown(target)}; only references within it ('#…') are allowed"
                    )
            pending += item.values()
        elif isinstance(item, list):
            pending += item
    return _object(value)


_CHECKS: Final[Mapping[str, Callable[[Any], str]]] = {
    "column": _text,
    "column_A": _text,
    "column_B": _text,
    "type_": _text,
    "strftime_format": _form,
    "column_list": _texts,
    "column_set": _texts,
    "type_list": _texts,
    "value_set": _filled,
    "value_pairs_set": _pairs,
    "mostly": _mostly,
    "quantile_ranges": _quantiles,
    "regex": _regex,
    "regex_list": _regexes,
    "json_schema": _schema,
    "partition_object": _object,
    "min_value": _number,
    "max_value": _number,
    "value": _number,
    "threshold": _number,
    "sum_total": _number,
    "column_index": _number,
    "multiplier": _multiplier,
    "internal_weight_holdout": _share,
    "tail_weight_holdout": _share,
    "strict_min": _flag,
    "strict_max": _flag,
    "double_sided": _flag,
    "bucketize_data": _flag,
    "exact_match": _optional_flag,
    "or_equal": _optional_flag,
    "strictly": _optional_flag,
    "ties_okay": _optional_flag,
    "allow_relative_error": _relative_error,
    "match_on": _one_of("any", "all"),
    "method": _one_of("iqr", "std"),
}
