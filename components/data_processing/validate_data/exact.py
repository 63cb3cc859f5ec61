"""What Great Expectations would answer wrongly, computed here.

- Regular expressions and JSON Schemas: in bounded time, and a text that is not JSON is a value that
  was not expected instead of an exception.
- Lengths, patterns and forms of time: of the text that a value has in a file. Numbers with a
  fraction, truth values and times may be written in several ways, so that a pattern which nothing
  may match could match nothing because of that: for these nothing can be said.
- Sets of dates, and of pairs with dates: as instants. A set that holds a value of another type than
  its column: a set of which nothing may be in the column would say nothing.
- Bounds of dates; bounds, sets and sums of whole numbers beyond 2^53: Great Expectations makes
  floats of them, or compares types that cannot be compared.
- The order of a column's values: Great Expectations subtracts, which overflows, finds no difference
  between infinite numbers, and fails for text.
- Comparisons of two columns of numbers: it makes floats of whole numbers.
- Distances from a mean that is not finite: it finds no outlier. Of numbers whose squares overflow
  they are computed in a smaller unit; of infinite numbers nothing can be said.

Results have the form of Great Expectations' own.
"""

import datetime as dt
import json
import math
import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assay.data.exact_integers import WIDE
from assay.data.suite.patterns import matches
from assay.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

MAX_EXAMPLES: Final = 20
MAX_CHECKS: Final = 20_000
"""Of one value by a JSON Schema; some 10 microseconds each."""
MAX_ALL_CHECKS: Final = 20_000_000
"""Of a column."""
_PATTERNS: Final = "regex"
_BETWEEN: Final = "expect_column_values_to_be_between"
_QUANTILES: Final = "expect_column_quantile_values_to_be_between"
_Z_SCORES: Final = "expect_column_value_z_scores_to_be_less_than"
_OUTLIERS: Final = "expect_column_values_to_not_be_outliers"
_SUM: Final = "expect_multicolumn_sum_to_equal"
_PAIRS: Final = "expect_column_pair_values_to_be_in_set"
_GREATER: Final = "expect_column_pair_values_a_to_be_greater_than_b"
_EQUAL: Final = "expect_column_pair_values_to_be_equal"
_ORDERED: Final[Mapping[str, tuple[Callable[..., Any], Callable[..., Any]]]] = {
    "expect_column_values_to_be_increasing": (operator.ge, operator.gt),
    "expect_column_values_to_be_decreasing": (operator.le, operator.lt),
}
"""How a value compares with the one before it, and how it does strictly."""
_SCHEMA: Final = "expect_column_values_to_match_json_schema"
_STRFTIME: Final = "expect_column_values_to_match_strftime_format"
_LENGTHS: Final = (
    "expect_column_value_lengths_to_be_between",
    "expect_column_value_lengths_to_equal",
)


_TIMES: Final = ("date32", "timestamp")
_WORDS: Final = {
    "string": "text",
    "bool": "truth values",
    "int64": "whole numbers",
    "float64": "numbers",
    "date32": "dates",
    "timestamp": "times",
}
"""What a column holds, in words."""
HUGE: Final = 2.0**500
"""Squares of larger numbers, and their sum, may be beyond the range of a float."""
MAX_SHOWN: Final = 60
"""Characters of a value in a message."""


@dataclass(frozen=True)
class Values:
    """One column, as Python values."""

    present: Sequence[Any]
    places: Sequence[int]
    """The row of each, from 0."""
    rows: int
    kind: str
    """`date` for dates and times, `wide` for whole numbers of which one is beyond 2^53, else
    empty."""


def values_of(column: "pd.Series", whole: bool) -> Values:
    """A column's values; `whole` for whole numbers that gaps have made floats."""
    there = column.notna().to_numpy()
    present = column[there].tolist()
    if whole and column.dtype.kind == "f":
        present = [int(value) for value in present]
    kind = ""
    if column.dtype.kind == "M":
        kind = "date"
    elif any(isinstance(v, int) and abs(v) > WIDE for v in present):
        kind = "wide"
    return Values(present, np.flatnonzero(there).tolist(), len(column), kind)


def is_wide(column: "pd.Series") -> bool:
    """Whether whole numbers beyond 2^53 are held as objects, because floats would change them."""
    return column.dtype.kind == "O" and values_of(column, whole=False).kind == "wide"


def judge(
    kind: str, kwargs: Mapping[str, Any], frame: "pd.DataFrame", types: Mapping[str, str]
) -> dict[str, Any] | None:
    """The result of an expectation computed here; None for those that GX computes correctly.

    Args:
        kind: The expectation's type.
        kwargs: Its arguments.
        frame: The rows.
        types: Dataset type of each column.

    Raises:
        UsageError: A bound or set that cannot be compared with the column, or a pattern for values
            without a unique text.
    """
    if kind in {_SUM, _PAIRS, _GREATER, _EQUAL}:
        return _by_row(kind, kwargs, frame, types)
    name = str(kwargs.get("column"))
    if name not in frame.columns:
        return None
    column, stored = frame[name], types[name]
    values = values_of(column, stored == "int64")
    if _PATTERNS in kind or kind in {_SCHEMA, _STRFTIME, *_LENGTHS, *_ORDERED}:
        return _elementwise(kind, kwargs, values, stored)
    if "value_set" in kwargs:
        wanted = _members(kwargs["value_set"], stored)
        wide = stored == "int64" and (values.kind == "wide" or any(map(_is_wide, wanted)))
        return _SETS[kind](values, wanted, kwargs) if wide or stored in _TIMES else None
    if kind in {_Z_SCORES, _OUTLIERS} and _is_huge(values):
        return _spread(kind, values, kwargs)
    bounds = any(_is_wide(kwargs.get(name)) for name in ("min_value", "max_value"))
    if not values.kind and bounds and _are_numbers(values.present):
        values = replace(values, kind="wide")
    exact = column.dtype.kind in "iMO" or bounds
    judges = _JUDGES.get(kind, {}) if values.present and exact else {}
    found = judges.get(values.kind)
    return found(kind, values, kwargs) if found else None


def _by_row(
    kind: str, kwargs: Mapping[str, Any], frame: "pd.DataFrame", types: Mapping[str, str]
) -> dict[str, Any] | None:
    """Sums of wide whole numbers, pairs with dates or of numbers; None for other columns."""
    names = kwargs["column_list"] if kind == _SUM else [kwargs["column_A"], kwargs["column_B"]]
    if not set(names) <= set(frame.columns):
        return None
    columns = [values_of(frame[name], types[name] == "int64") for name in names]
    if kind == _SUM:
        if not _may_round(columns, [types[name] for name in names], kwargs["sum_total"]):
            return None
        right = _adds_up_to(kwargs["sum_total"])
    elif kind in {_GREATER, _EQUAL}:
        if not {types[name] for name in names} <= {"int64", "float64"}:
            return None
        greater = operator.ge if kwargs.get("or_equal") else operator.gt
        compared = greater if kind == _GREATER else operator.eq
        right = _compares(compared)
    else:
        if not any(types[name] in _TIMES for name in names):
            return None
        right = _pairs([types[name] for name in names], kwargs["value_pairs_set"]).__contains__
    cells = []
    for column in columns:
        known = dict(zip(column.places, column.present, strict=True))
        cells.append([known.get(place) for place in range(len(frame))])
    enough = {"any": 1, "either": 1, "all": len(names), "both": len(names)}.get(
        (kwargs.get("ignore_row_if") or "all").partition("_")[0], len(names) + 1
    )
    rows = [
        (place, row)
        for place, row in enumerate(zip(*cells, strict=True))
        if row.count(None) < enough
    ]
    shown = [tuple(map(_shown, row)) for _, row in rows]
    examples = [dict(zip(names, row, strict=True)) for row in shown] if kind == _SUM else shown
    values = Values(examples, [place for place, _ in rows], len(rows), "")
    return _result(values, [right(row) for _, row in rows], kwargs)


def _compares(compared: Callable[[Any, Any], bool]) -> Callable[[Sequence[Any]], bool]:
    """A check of pairs without missing values."""
    return lambda row: None not in row and bool(compared(*row))


def _is_huge(values: Values) -> bool:
    """Whether squares of the values may overflow.

    Raises:
        UsageError: One is infinite.
    """
    numbers = [abs(value) for value in values.present if isinstance(value, float)]
    largest = max(numbers, default=0.0)
    if math.isinf(largest):
        raise UsageError("the column holds infinite numbers, which have no distance to others")
    return largest > HUGE


def _may_round(columns: Sequence[Values], stored: Sequence[str], total: Any) -> bool:
    """Whether floats could change a sum of whole numbers."""
    if "int64" not in stored or not set(stored) <= {"int64", "float64", "bool"}:
        return False
    largest = sum(max(map(abs, one.present), default=0) for one in columns)
    return bool(abs(total) + largest > WIDE)


def _adds_up_to(total: Any) -> Callable[[Sequence[Any]], bool]:
    def right(row: Sequence[Any]) -> bool:
        return None not in row and bool(sum(map(Fraction, row)) == total)

    return right


def _pairs(stored: Sequence[str], given: Sequence[Any]) -> set[tuple[Any, ...]]:
    """A set of pairs as values of the columns' types; null is a missing value."""
    return {
        tuple(
            None if value is None else _members([value], kind)[0]
            for kind, value in zip(stored, pair, strict=True)
        )
        for pair in given
    }


def _members(given: Sequence[Any], stored: str) -> list[Any]:
    """The members of a set as values of a column's type.

    Raises:
        UsageError: One is of another type, or there is none.
    """
    present = [value for value in given if value is not None]
    if stored in _TIMES:
        return [_instant(value) for value in present]
    kinds = {"string": str, "bool": bool}.get(stored, int | float)
    # Of Python's types, bool is an int.
    unlike = [
        value
        for value in present
        if not isinstance(value, kinds) or isinstance(value, bool) != (stored == "bool")
    ]
    if unlike or not present:
        said = repr(unlike[0])[:MAX_SHOWN] if unlike else "null alone"
        raise UsageError(
            f"the column holds {_WORDS[stored]}, and the set has {said}, which is not one of "
            "these; write values of the column's type, or drop it"
        )
    return present


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and math.isfinite(value) for value in values)


def _is_wide(value: Any) -> bool:
    """Whether a value of a suite is a whole number beyond 2^53."""
    return isinstance(value, int | float) and bool(abs(value) > WIDE and value % 1 == 0)


def _within(kwargs: Mapping[str, Any], kind: str) -> Callable[[Any], bool]:
    """Whether a value lies within the bounds of an expectation."""
    low, high = (_bound(kwargs.get(name), kind) for name in ("min_value", "max_value"))
    strict_low, strict_high = bool(kwargs.get("strict_min")), bool(kwargs.get("strict_max"))

    def within(value: Any) -> bool:
        above = low is None or (value > low if strict_low else value >= low)
        below = high is None or (value < high if strict_high else value <= high)
        return bool(above and below)

    return within


def _bound(bound: Any, kind: str) -> Any:
    if bound is None:
        return None
    if kind == "date":
        return _instant(bound)
    if isinstance(bound, bool) or not isinstance(bound, int | float):
        raise UsageError(f"the column holds numbers, and {bound!r} is not one")
    return bound


def _instant(value: Any) -> Any:
    """A date or time of a suite; without a zone, as datasets hold them in UTC."""
    import pandas as pd

    try:
        if not isinstance(value, str):
            raise TypeError("not a text")  # noqa: TRY301 - reported like the others
        found = dt.datetime.fromisoformat(value)
        return pd.Timestamp(
            found if found.tzinfo is None else found.astimezone(dt.UTC).replace(tzinfo=None)
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise UsageError(
            f"the column holds dates, and {repr(value)[:MAX_SHOWN]} is not one; write it as "
            "2024-01-31 or 2024-01-31T08:00:00"
        ) from error


def _between(kind: str, values: Values, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    del kind
    return _counted(values, _within(kwargs, values.kind), kwargs)


def _aggregate(kind: str, values: Values, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    observed = _AGGREGATES[kind](values.present)
    success = observed is not None and _within(kwargs, values.kind)(observed)
    return {"success": success, "result": {"observed_value": _shown(observed)}}


def _counted(
    values: Values, right: Callable[[Any], bool], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    return _result(values, [right(value) for value in values.present], kwargs)


def _result(values: Values, right: Sequence[bool], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """A result as GX gives one for an expectation about each value."""
    wrong = [index for index, fine in enumerate(right) if not fine]
    total = len(values.present)
    mostly = kwargs.get("mostly")
    enough = 1.0 if mostly is None else float(mostly)
    return {
        "success": (total - len(wrong)) / total >= enough if total else True,
        "result": {
            "element_count": values.rows,
            "missing_count": values.rows - total,
            "unexpected_count": len(wrong),
            "partial_unexpected_list": [_shown(values.present[i]) for i in wrong[:MAX_EXAMPLES]],
            "partial_unexpected_index_list": [values.places[i] for i in wrong[:MAX_EXAMPLES]],
        },
    }


def _shown(value: Any) -> Any:
    if isinstance(value, Fraction):
        return int(value) if value.denominator == 1 else float(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    return value


def _elementwise(
    kind: str, kwargs: Mapping[str, Any], values: Values, stored: str
) -> dict[str, Any]:
    if kind in _ORDERED:
        follows = _ORDERED[kind][bool(kwargs.get("strictly"))]
        steps = [
            bool(follows(*pair)) for pair in zip(values.present[1:], values.present, strict=False)
        ]
        return _result(values, [True, *steps][: len(values.present)], kwargs)
    if kind == _SCHEMA:
        return _counted(values, _schema(kwargs["json_schema"]), kwargs)
    texts = _texts(values, stored)
    if kind == _STRFTIME:
        form = kwargs["strftime_format"]
        return _result(values, [_has_form(text, form) for text in texts], kwargs)
    if kind in _LENGTHS:
        exact = kwargs.get("value")
        bounds = kwargs if exact is None else {"min_value": exact, "max_value": exact}
        right = _within(bounds, "")
        return _result(values, [right(len(text)) for text in texts], kwargs)
    return _result(values, _patterns(kind, kwargs, texts), kwargs)


def _texts(values: Values, stored: str) -> list[str]:
    """The one text that each value has in a file.

    Raises:
        UsageError: The type's values are written in several ways.
    """
    if stored == "date32":
        return [value.date().isoformat() for value in values.present]
    if stored not in {"string", "int64"}:
        raise UsageError(
            f"the column holds {_WORDS[stored]}, which are written in several ways; patterns, "
            "lengths and forms are of text, whole numbers and dates: use bounds or a set of values"
        )
    return [str(value) for value in values.present]


def _has_form(text: str, form: str) -> bool:
    try:
        dt.datetime.strptime(text, form)  # noqa: DTZ007 - the form alone is judged
    except ValueError:
        return False
    return True


def _patterns(kind: str, kwargs: Mapping[str, Any], texts: Sequence[str]) -> list[bool]:
    import pyarrow as pa

    given = kwargs["regex_list"] if kind.endswith("_list") else [kwargs["regex"]]
    column = pa.array(texts, pa.string())
    found = [matches(column, one).to_pylist() for one in given]
    if "_not_match_" in kind:
        return [not any(row) for row in zip(*found, strict=True)]
    enough = all if kwargs.get("match_on") == "all" else any
    return [enough(row) for row in zip(*found, strict=True)]


def _schema(schema: Mapping[str, Any]) -> Callable[[Any], bool]:
    """What tells whether a text is JSON that fits; a text nested too deep does not.

    References that refer to references take exponential time, so the checks of one value, and
    those of all values together, are counted.
    """
    import jsonschema
    from referencing.exceptions import Unresolvable

    kind = jsonschema.validators.validator_for(schema)
    steps = _Steps()
    try:
        kind.check_schema(schema)
        known = {name: steps.counted(check) for name, check in kind.VALIDATORS.items()}
        if "uniqueItems" in known:
            known["uniqueItems"] = _unique
        validator = jsonschema.validators.extend(kind, known)(schema)
    except (jsonschema.exceptions.SchemaError, RecursionError) as error:
        reason = " ".join(str(getattr(error, "message", "nested too deep")).split())[:200]
        raise UsageError(f"json_schema: not a JSON Schema: {reason}") from error

    def fits(value: Any) -> bool:
        steps.begin()
        try:
            return bool(validator.is_valid(json.loads(value)))
        except (ValueError, TypeError, RecursionError):
            return False
        except Unresolvable as error:
            reason = " ".join(str(error).split())[:200]
            raise UsageError(f"json_schema: a reference leads to nothing: {reason}") from error

    return fits


class _Steps:
    """Counts the checks of a JSON Schema, so that one without an end in sight is refused."""

    def __init__(self) -> None:
        self._value = self._all = 0

    def begin(self) -> None:
        """Begin with the next value."""
        self._value = 0

    def counted(self, check: Callable[..., Any]) -> Callable[..., Any]:
        """A check of jsonschema's that counts."""

        def counting(*arguments: Any) -> Any:
            self._value += 1
            self._all += 1
            if self._value > MAX_CHECKS or self._all > MAX_ALL_CHECKS:
                raise UsageError(
                    f"json_schema: more than {MAX_CHECKS:,} checks of one value, or "
                    f"{MAX_ALL_CHECKS:,} of all; write a schema with fewer references"
                )
            return check(*arguments)

        return counting


def _unique(validator: Any, wanted: Any, instance: Any, schema: Any) -> Any:
    """`uniqueItems` in linear time; jsonschema compares each item with each other."""
    import jsonschema

    del schema
    listed = wanted and validator.is_type(instance, "array")
    if listed and len({_same(item) for item in instance}) < len(instance):
        yield jsonschema.ValidationError("has items that are not unique")


def _same(value: Any) -> Any:
    """A key that is equal for equal JSON values: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, str):
        return ("text", value)
    if isinstance(value, list):
        return ("list", tuple(map(_same, value)))
    if isinstance(value, dict):
        return ("object", frozenset((name, _same(item)) for name, item in value.items()))
    return value


def _mean(values: Sequence[Any]) -> Any:
    return sum(map(Fraction, values), Fraction(0)) / len(values)


def _variance(values: Sequence[Any]) -> Fraction:
    """Of a sample: with n - 1."""
    mean = _mean(values)
    return sum(((value - mean) ** 2 for value in values), Fraction(0)) / (len(values) - 1)


def _deviation(values: Sequence[Any]) -> float | None:
    return math.sqrt(_variance(values)) if len(values) > 1 else None


def _median(values: Sequence[Any]) -> Any:
    ordered, middle = sorted(values), len(values) // 2
    if len(values) % 2:
        return ordered[middle]
    return (Fraction(ordered[middle - 1]) + Fraction(ordered[middle])) / 2


_AGGREGATES: Final[Mapping[str, Callable[[Sequence[Any]], Any]]] = {
    "expect_column_max_to_be_between": max,
    "expect_column_min_to_be_between": min,
    "expect_column_sum_to_be_between": sum,
    "expect_column_mean_to_be_between": _mean,
    "expect_column_median_to_be_between": _median,
    "expect_column_stdev_to_be_between": _deviation,
}


def _quantiles(kind: str, values: Values, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """By the nearest rank, as GX: a value of the column."""
    del kind
    given = kwargs["quantile_ranges"]
    ordered = sorted(values.present)
    # Half-way ranks go to the even one, as in numpy's "nearest".
    found = [ordered[round(quantile * (len(ordered) - 1))] for quantile in given["quantiles"]]
    right = [
        _within({"min_value": low, "max_value": high}, values.kind)(value)
        for value, (low, high) in zip(found, given["value_ranges"], strict=True)
    ]
    observed = {"quantiles": given["quantiles"], "values": [_shown(value) for value in found]}
    return {"success": all(right), "result": {"observed_value": observed}}


def _spread(kind: str, values: Values, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Distances from the middle, exact: the whole numbers lie close together, and far from 0."""
    if max(map(abs, values.present)) > HUGE:
        # What is asked is relative to the deviation. A power of two changes no digit.
        near = np.array(values.present, dtype=float) / 2.0**600
    else:
        # Distances from one of the values are small enough for floats.
        first = min(values.present)
        near = np.array([float(value - first) for value in values.present])
    if kind == _Z_SCORES:
        deviation = near.std(ddof=1) if len(near) > 1 else 0.0
        scores = (near - near.mean()) / deviation if deviation else np.zeros(len(near))
        if kwargs["double_sided"]:
            scores = np.abs(scores)
        return _result(values, list(scores < kwargs["threshold"]), kwargs)
    factor = float(kwargs.get("multiplier", 1.5))
    if kwargs.get("method") == "std":
        width = near.std(ddof=1) * factor if len(near) > 1 else 0.0
        return _result(values, list((np.abs(near - near.mean()) < width) | (not width)), kwargs)
    low, high = np.quantile(near, [0.25, 0.75])
    low, high = low - factor * (high - low), high + factor * (high - low)
    return _result(values, [bool(low <= value <= high) for value in near], kwargs)


def _is_in_set(values: Values, wanted: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return _counted(values, set(wanted).__contains__, kwargs)


def _is_not_in_set(
    values: Values, wanted: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    known = set(wanted)
    return _counted(values, lambda value: value not in known, kwargs)


def _distinct(
    right: Callable[[set[Any], set[Any]], bool],
) -> Callable[[Values, Sequence[Any], Mapping[str, Any]], dict[str, Any]]:
    """What judges the set of all values that are there."""

    def judged(values: Values, wanted: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        del kwargs
        found = set(values.present)
        shown = [_shown(value) for value in sorted(found)[:MAX_EXAMPLES]]
        success = bool(found) and right(found, set(wanted))
        return {"success": success, "result": {"observed_value": shown}}

    return judged


def _most_common(
    values: Values, wanted: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    counts = Counter(values.present)
    modes = {value for value, count in counts.items() if count == max(counts.values())}
    success = bool(modes & set(wanted)) and (len(modes) == 1 or bool(kwargs.get("ties_okay")))
    shown = [_shown(value) for value in sorted(modes)[:MAX_EXAMPLES]]
    return {"success": success, "result": {"observed_value": shown}}


_SETS: Final[Mapping[str, Callable[[Values, Sequence[Any], Mapping[str, Any]], dict[str, Any]]]] = {
    "expect_column_values_to_be_in_set": _is_in_set,
    "expect_column_values_to_not_be_in_set": _is_not_in_set,
    "expect_column_distinct_values_to_be_in_set": _distinct(set.issubset),
    "expect_column_distinct_values_to_contain_set": _distinct(set.issuperset),
    "expect_column_distinct_values_to_equal_set": _distinct(set.__eq__),
    "expect_column_most_common_value_to_be_in_set": _most_common,
}
"""Every expectation with a `value_set`."""

_Judge = Callable[[str, Values, Mapping[str, Any]], dict[str, Any]]
_JUDGES: Final[Mapping[str, Mapping[str, _Judge]]] = {
    **{name: {"wide": _aggregate} for name in _AGGREGATES},
    "expect_column_max_to_be_between": {"wide": _aggregate, "date": _aggregate},
    "expect_column_min_to_be_between": {"wide": _aggregate, "date": _aggregate},
    _BETWEEN: {"wide": _between, "date": _between},
    _QUANTILES: {"wide": _quantiles, "date": _quantiles},
    _Z_SCORES: {"wide": _spread},
    _OUTLIERS: {"wide": _spread},
}
"""What is computed here for which kind of values; everything else is left to GX."""
