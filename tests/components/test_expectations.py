"""Every expectation that a suite may hold, beside the same computed from the stored values.

The computation here uses Python's own numbers, and neither Great Expectations nor pandas.
"""

import datetime as dt
import itertools
import json
import math
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from assay import data as dataset
from assay.components.snapshot_data.step import snapshot_data
from assay.components.validate_data.expectations import Outcome, run_suite
from assay.components.validate_data.json_schema import schema_check
from assay.components.validate_data.step import validate_data
from assay.core.source import fetch
from assay.core.step import Dataset, Out, Suite
from assay.data.suite import EXPECTATION_TYPES, draft, parse_suite
from assay.data.suite.patterns import compiled, pattern_problem
from assay.errors import UsageError

from stories import refused

BIG = 2**53 + 1
COLUMNS: Mapping[str, pa.Array] = {
    "whole": pa.array([3, 1, 2, 2, 5, 8, 13, 21]),
    "gaps": pa.array([3, None, 2, 2, 5, None, 13, 21]),
    "wide": pa.array([BIG, BIG + 1, BIG + 2, BIG + 2, BIG + 5, BIG + 8, BIG + 9, BIG + 10]),
    "wide_gaps": pa.array([BIG, BIG + 1, None, BIG + 1, BIG + 3, None, BIG + 9, BIG + 10]),
    "ordered": pa.array([BIG, BIG + 1, None, BIG + 2, BIG + 3, None, BIG + 9, BIG + 10]),
    "number": pa.array([0.5, 1.25, -3.0, 0.5, 1e-7, 2e10, 7.0, 0.1]),
    "holes": pa.array([0.5, None, -3.0, 0.5, 1e-7, None, 7.0, 0.1]),
    "small": pa.array([1e-6, 2e-6, 3e-6, 1e-6, 2e-6, 3e-6, 1e-6, 2e-6]),
    "flat": pa.array([4.0] * 8),
    "word": pa.array(["a", "b", "a", "ab", "B", "a b", "b", "a"]),
    "text": pa.array(["a", None, "é", "日本", "a\n", "x7", None, "x٣"]),
    "flag": pa.array([True, False, True, True, False, True, True, True]),
    "flag_gaps": pa.array([True, None, True, True, False, None, True, True]),
    "day": pa.array([dt.date(2024, 1, day) for day in (1, 2, 3, 3, 5, 8, 9, 10)]),
    "moment": pa.array(
        [dt.datetime(2024, 1, 1, hour) for hour in (0, 1, 2, 2, 3, 5, 8)]  # noqa: DTZ001
        + [None],
        pa.timestamp("us"),
    ),
    "json": pa.array(['{"a": 1}', "{}", "[1]", "3", '{"a": "x"}', "nope", '{"a": 2}', "null"]),
    "stamp": pa.array(["2024-01-01", "2024-02-30", "2024-1-5", "x", None, "", "2024-12-31", "5"]),
    "Case": pa.array([1, 2, 3, 4, 5, 6, 7, 8]),
    "case": pa.array([-1, -2, -3, -4, -5, -6, -7, -8]),
}
TYPES = {"int64": "int64", "float64": "float64", "string": "str", "bool": "bool"}

Row = tuple[Any, ...]
Given = Mapping[str, Any]
Right = Callable[[Given], bool]


def cells(name: str) -> list[Any]:
    return list(COLUMNS[name].to_pylist())


def there(name: str) -> list[Any]:
    return [value for value in cells(name) if value is not None]


def within(value: Any, given: Given) -> bool:
    low, high = given.get("min_value"), given.get("max_value")
    if isinstance(value, dt.date):
        low, high = (None if b is None else dt.datetime.fromisoformat(b) for b in (low, high))
        if not isinstance(value, dt.datetime):
            value = dt.datetime.combine(value, dt.time())
    above = low is None or value > low or (value == low and not given.get("strict_min"))
    below = high is None or value < high or (value == high and not given.get("strict_max"))
    return above and below


def mostly(right: Sequence[bool], given: Given) -> bool:
    """Whether enough are right; over nothing nothing holds."""
    return bool(right) and Fraction(sum(right), len(right)) >= Fraction(str(given.get("mostly", 1)))


def each(right: Callable[[Any, Given], bool]) -> Right:
    return lambda given: mostly([right(v, given) for v in there(given["column"])], given)


def of_all(number: Callable[[list[Any]], Any]) -> Right:
    return lambda given: within(number(there(given["column"])), given)


def mean(values: Sequence[Any]) -> Fraction:
    return sum(map(Fraction, values), Fraction(0)) / len(values)


def deviation(values: Sequence[Any]) -> float:
    middle = mean(values)
    squares = sum(((Fraction(v) - middle) ** 2 for v in values), Fraction(0))
    return math.sqrt(squares / (len(values) - 1))


def median(values: Sequence[Any]) -> Fraction:
    ordered = sorted(values)
    half = len(ordered) // 2
    return mean(ordered[half : half + 1] if len(ordered) % 2 else ordered[half - 1 : half + 1])


def found(pattern: str, value: Any) -> bool:
    return re.search(pattern, str(value)) is not None


def is_json(value: Any) -> bool:
    try:
        json.loads(value)
    except ValueError:
        return False
    return True


def is_stamp(value: Any, given: Given) -> bool:
    try:
        dt.datetime.strptime(value, given["strftime_format"])  # noqa: DTZ007
    except ValueError:
        return False
    return True


def is_object_with_number(value: Any) -> bool:
    if not is_json(value):
        return False
    found = json.loads(value)
    return isinstance(found, dict) and isinstance(found.get("a", 0), int)


def steps(given: Given, sign: int) -> bool:
    values = there(given["column"])
    right = [sign * (b - a) for a, b in itertools.pairwise(values)]
    strictly = bool(given.get("strictly"))
    return mostly([True, *(step > 0 or (step == 0 and not strictly) for step in right)], given)


def z_scores(given: Given) -> bool:
    values = there(given["column"])
    middle, spread = mean(values), deviation(values)
    scores = [float(Fraction(v) - middle) / spread if spread else 0.0 for v in values]
    two = given["double_sided"]
    return mostly([(abs(s) if two else s) < given["threshold"] for s in scores], given)


def outliers(given: Given) -> bool:
    values = there(given["column"])
    factor = given.get("multiplier", 1.5)
    if given.get("method") == "std":
        middle, width = mean(values), deviation(values) * factor
        return mostly([abs(float(v - middle)) < width or not width for v in values], given)
    ordered = sorted(map(Fraction, values))

    def quartile(share: Fraction) -> Fraction:
        place = share * (len(ordered) - 1)
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (ordered[high] - ordered[low]) * (place - low)

    low, high = quartile(Fraction(1, 4)), quartile(Fraction(3, 4))
    width = (high - low) * Fraction(factor)
    return mostly([low - width <= v <= high + width for v in values], given)


def quantiles(given: Given) -> bool:
    ordered = sorted(there(given["column"]))
    wanted = given["quantile_ranges"]
    return all(
        within(ordered[round(q * (len(ordered) - 1))], {"min_value": low, "max_value": high})
        for q, (low, high) in zip(wanted["quantiles"], wanted["value_ranges"], strict=True)
    )


def most_common(given: Given) -> bool:
    counts = Counter(there(given["column"]))
    modes = {value for value, count in counts.items() if count == max(counts.values())}
    allowed = set(given["value_set"])
    # Without ties_okay Great Expectations wants one value that is more common than all others.
    return bool(modes & allowed) if given.get("ties_okay") else len(modes) == 1 and modes <= allowed


def divergence(given: Given) -> bool:
    values, wanted = there(given["column"]), given["partition_object"]
    seen = Counter(values)
    total = 0.0
    for value, weight in zip(wanted["values"], wanted["weights"], strict=True):
        share = seen[value] / len(values)
        total += share * math.log(share / weight) if share else 0.0
    return total < given["threshold"]


def rows(given: Given, default: str) -> list[Row]:
    names = given.get("column_list") or [given["column_A"], given["column_B"]]
    ignored = given.get("ignore_row_if", default)
    all_rows = list(zip(*map(cells, names), strict=True))
    if ignored.startswith(("both", "all")):
        return [row for row in all_rows if any(value is not None for value in row)]
    if ignored.startswith(("either", "any")):
        return [row for row in all_rows if all(value is not None for value in row)]
    return all_rows


def pairs(right: Callable[[Any, Any, Given], bool]) -> Right:
    def judged(given: Given) -> bool:
        kept = rows(given, "both_values_are_missing")
        gap = None in {value for row in kept for value in row}
        del gap
        return mostly([right(a, b, given) for a, b in kept], given)

    return judged


def greater(a: Any, b: Any, given: Given) -> bool:
    if a is None or b is None:
        return False
    return bool(a > b or (a == b and given.get("or_equal")))


def several(right: Callable[[Row, Given, list[Row]], bool]) -> Right:
    def judged(given: Given) -> bool:
        kept = rows(given, "all_values_are_missing")
        return mostly([right(row, given, kept) for row in kept], given)

    return judged


def of_type(name: str, wanted: Sequence[str]) -> bool:
    kind = {pa.int64(): "int64", pa.float64(): "float64", pa.string(): "str", pa.bool_(): "bool"}
    return kind.get(COLUMNS[name].type, "datetime64") in wanted


def rate(number: Callable[[list[Any]], Any]) -> Right:
    return lambda given: within(number(cells(given["column"])), given)


ORACLE: Mapping[str, Right] = {
    "expect_column_distinct_values_to_be_in_set": lambda g: (
        set(there(g["column"])) <= set(g["value_set"])
    ),
    "expect_column_distinct_values_to_contain_set": lambda g: (
        set(there(g["column"])) >= set(g["value_set"])
    ),
    "expect_column_distinct_values_to_equal_set": lambda g: (
        set(there(g["column"])) == set(g["value_set"])
    ),
    "expect_column_kl_divergence_to_be_less_than": divergence,
    "expect_column_max_to_be_between": of_all(max),
    "expect_column_mean_to_be_between": of_all(mean),
    "expect_column_median_to_be_between": of_all(median),
    "expect_column_min_to_be_between": of_all(min),
    "expect_column_most_common_value_to_be_in_set": most_common,
    "expect_column_pair_values_a_to_be_greater_than_b": pairs(greater),
    "expect_column_pair_values_to_be_equal": pairs(lambda a, b, _: a is not None and a == b),
    "expect_column_pair_values_to_be_in_set": pairs(
        lambda a, b, g: [a, b] in [list(pair) for pair in g["value_pairs_set"]]
    ),
    "expect_column_proportion_of_non_null_values_to_be_between": rate(
        lambda values: sum(value is not None for value in values) / len(values)
    ),
    "expect_column_proportion_of_unique_values_to_be_between": of_all(
        lambda values: len(set(values)) / len(values)
    ),
    "expect_column_quantile_values_to_be_between": quantiles,
    "expect_column_stdev_to_be_between": of_all(deviation),
    "expect_column_sum_to_be_between": of_all(lambda values: sum(map(Fraction, values))),
    "expect_column_to_exist": lambda g: (
        g["column"] in COLUMNS
        and g.get("column_index", list(COLUMNS).index(g["column"]))
        == list(COLUMNS).index(g["column"])
    ),
    "expect_column_type_to_be": lambda g: of_type(g["column"], [g["type_"]]),
    "expect_column_unique_value_count_to_be_between": of_all(lambda values: len(set(values))),
    "expect_column_value_lengths_to_be_between": each(lambda v, g: within(len(str(v)), g)),
    "expect_column_value_lengths_to_equal": each(lambda v, g: len(str(v)) == g["value"]),
    "expect_column_value_z_scores_to_be_less_than": z_scores,
    "expect_column_values_to_be_between": each(within),
    "expect_column_values_to_be_dateutil_parseable": each(
        lambda v, _: v in {"2024-01-01", "2024-1-5", "2024-12-31", "5"}
    ),
    "expect_column_values_to_be_decreasing": lambda g: steps(g, -1),
    "expect_column_values_to_be_in_set": each(lambda v, g: v in g["value_set"]),
    "expect_column_values_to_be_in_type_list": lambda g: of_type(g["column"], g["type_list"]),
    "expect_column_values_to_be_increasing": lambda g: steps(g, 1),
    "expect_column_values_to_be_json_parseable": each(lambda v, _: is_json(v)),
    "expect_column_values_to_be_null": lambda g: mostly(
        [value is None for value in cells(g["column"])], g
    ),
    "expect_column_values_to_be_of_type": lambda g: of_type(g["column"], [g["type_"]]),
    "expect_column_values_to_be_unique": lambda g: mostly(
        [Counter(there(g["column"]))[v] == 1 for v in there(g["column"])], g
    ),
    "expect_column_values_to_match_json_schema": each(lambda v, _: is_object_with_number(v)),
    "expect_column_values_to_match_regex": each(lambda v, g: found(g["regex"], v)),
    "expect_column_values_to_match_regex_list": each(
        lambda v, g: (all if g.get("match_on") == "all" else any)(
            found(one, v) for one in g["regex_list"]
        )
    ),
    "expect_column_values_to_match_strftime_format": each(is_stamp),
    "expect_column_values_to_not_be_in_set": each(lambda v, g: v not in g["value_set"]),
    "expect_column_values_to_not_be_null": lambda g: mostly(
        [value is not None for value in cells(g["column"])], g
    ),
    "expect_column_values_to_not_be_outliers": outliers,
    "expect_column_values_to_not_match_regex": each(lambda v, g: not found(g["regex"], v)),
    "expect_column_values_to_not_match_regex_list": each(
        lambda v, g: not any(found(one, v) for one in g["regex_list"])
    ),
    "expect_compound_columns_to_be_unique": several(lambda row, _, kept: kept.count(row) == 1),
    "expect_multicolumn_sum_to_equal": several(
        lambda row, g, _: sum(v or 0 for v in row) == g["sum_total"]
    ),
    "expect_multicolumn_values_to_be_equal": several(
        lambda row, _, __: len(set(row)) == 1 and None not in row
    ),
    "expect_select_column_values_to_be_unique_within_record": several(
        lambda row, _, __: len(set(row)) == len(row)
    ),
    "expect_table_column_count_to_be_between": lambda g: within(len(COLUMNS), g),
    "expect_table_column_count_to_equal": lambda g: len(COLUMNS) == g["value"],
    "expect_table_columns_to_match_ordered_list": lambda g: list(COLUMNS) == g["column_list"],
    "expect_table_columns_to_match_set": lambda g: (
        set(COLUMNS) == set(g["column_set"])
        if g.get("exact_match", True)
        else set(COLUMNS) >= set(g["column_set"])
    ),
    "expect_table_row_count_to_be_between": lambda g: within(8, g),
    "expect_table_row_count_to_equal": lambda g: g["value"] == 8,
}

NUMBERS = ["whole", "gaps", "wide", "wide_gaps", "number", "holes", "small", "flat"]


def bounds(around: Sequence[Any], column: str) -> list[dict[str, Any]]:
    """At, beside and beyond each of some values."""
    found: list[dict[str, Any]] = []
    for value in around:
        step: Any = 1 if isinstance(value, int) else abs(value) * 1e-3 or 1e-3
        found += [
            {"column": column, "min_value": value - step},
            {"column": column, "min_value": value + step},
            {"column": column, "max_value": value + step},
            {"column": column, "min_value": value - step, "max_value": value - step / 2}
            if not isinstance(value, int)
            else {"column": column, "max_value": value - 1},
        ]
        if isinstance(value, int) or float(value).is_integer():
            found += [
                {"column": column, "min_value": value, "max_value": value},
                {"column": column, "min_value": value, "strict_min": True},
                {"column": column, "max_value": value, "strict_max": True},
            ]
    return found


def plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return int(value) if value.denominator == 1 else float(value)
    return value


def cases() -> list[tuple[str, dict[str, Any]]]:
    made: list[tuple[str, list[dict[str, Any]]]] = []
    aggregates = {
        "max": max,
        "min": min,
        "mean": mean,
        "median": median,
        "stdev": deviation,
        "sum": lambda values: sum(map(Fraction, values)),
    }
    for name in NUMBERS:
        for word, number in aggregates.items():
            value = plain(number(there(name)))
            made.append((f"expect_column_{word}_to_be_between", bounds([value], name)))
        made.append(("expect_column_values_to_be_between", bounds([there(name)[0]], name)))
        some = there(name)[:3]
        made += [
            (kind, [{"column": name, "value_set": values} for values in (some, there(name))])
            for kind in (
                "expect_column_values_to_be_in_set",
                "expect_column_values_to_not_be_in_set",
                "expect_column_distinct_values_to_be_in_set",
                "expect_column_distinct_values_to_contain_set",
                "expect_column_distinct_values_to_equal_set",
                "expect_column_most_common_value_to_be_in_set",
            )
        ]
        made.append(
            (
                "expect_column_most_common_value_to_be_in_set",
                [{"column": name, "value_set": some, "ties_okay": True}],
            )
        )
        shift = plain(there(name)[0] + 1) if isinstance(there(name)[0], int) else -99.5
        made.append(
            (
                "expect_column_values_to_not_be_in_set",
                [{"column": name, "value_set": [shift]}],
            )
        )
        made.append(
            (
                "expect_column_quantile_values_to_be_between",
                [
                    {
                        "column": name,
                        "quantile_ranges": {
                            "quantiles": [0.1, 0.8],
                            "value_ranges": [[low, None], [None, high]],
                        },
                    }
                    for low in (min(there(name)), sorted(there(name))[2])
                    for high in (max(there(name)), sorted(there(name))[2])
                ],
            )
        )
        made.append(
            (
                "expect_column_value_z_scores_to_be_less_than",
                [
                    {"column": name, "threshold": limit, "double_sided": two}
                    for limit in (0.5, 1.5, 3.0)
                    for two in (True, False)
                ],
            )
        )
        made.append(
            (
                "expect_column_values_to_not_be_outliers",
                [
                    {"column": name},
                    {"column": name, "multiplier": 0.2},
                    {"column": name, "method": "std", "multiplier": 1.0},
                    {"column": name, "method": "std", "multiplier": 3.0},
                ],
            )
        )
    for name in [*NUMBERS, "ordered", "word", "text", "flag", "flag_gaps", "day", "moment"]:
        distinct = len(set(there(name)))
        share = distinct / len(there(name))
        missing = 1 - len(there(name)) / 8
        made += [
            (
                "expect_column_values_to_be_unique",
                [{"column": name}, {"column": name, "mostly": 0.5}],
            ),
            (
                "expect_column_values_to_be_null",
                [{"column": name}, {"column": name, "mostly": 0.25}],
            ),
            (
                "expect_column_values_to_not_be_null",
                [
                    {"column": name},
                    {"column": name, "mostly": 0.75},
                    {"column": name, "mostly": 0.9},
                ],
            ),
            (
                "expect_column_unique_value_count_to_be_between",
                [
                    {"column": name, "min_value": distinct, "max_value": distinct},
                    {"column": name, "max_value": distinct, "strict_max": True},
                ],
            ),
            (
                "expect_column_proportion_of_unique_values_to_be_between",
                [
                    {"column": name, "min_value": share - 0.01},
                    {"column": name, "min_value": share + 0.01},
                ],
            ),
            (
                "expect_column_proportion_of_non_null_values_to_be_between",
                [
                    {"column": name, "min_value": 1 - missing - 0.01},
                    {"column": name, "max_value": 1 - missing - 0.01},
                ],
            ),
        ]
    for name in [*NUMBERS, "ordered", "flag"]:
        made += [
            (
                f"expect_column_values_to_be_{way}",
                [
                    {"column": name},
                    {"column": name, "strictly": True},
                    {"column": name, "mostly": 0.6},
                ],
            )
            for way in ("increasing", "decreasing")
            if name != "flag"
        ]
    for name in ("whole", "gaps", "wide_gaps", "word", "text"):
        made += [
            (
                "expect_column_value_lengths_to_be_between",
                [
                    {"column": name, "min_value": 1, "max_value": 2},
                    {"column": name, "max_value": 1},
                    {"column": name, "max_value": 1, "mostly": 0.5},
                ],
            ),
            (
                "expect_column_value_lengths_to_equal",
                [{"column": name, "value": n} for n in (1, 16)],
            ),
            (
                "expect_column_values_to_match_regex",
                [
                    {"column": name, "regex": regex}
                    for regex in (
                        r"^\w+$",
                        r"^\d+$",
                        r"^[\w\s]+$",
                        r"[0-9]$",
                        r"^a$",
                        r"^a\Z",
                        r"\S",
                        r"^\D+$",
                        r"^.{,2}$",
                        "(?i)^[AB]",
                        r"^[]a]",
                        r"\$",
                    )
                ],
            ),
            (
                "expect_column_values_to_not_match_regex",
                [
                    {"column": name, "regex": regex}
                    for regex in (r"\W", r"\d", r"^a$", "z", r"\s", r"[\w]", r"^.{,1}$")
                ],
            ),
            (
                "expect_column_values_to_match_regex_list",
                [
                    {"column": name, "regex_list": ["a", "[bB]", "."], "match_on": how}
                    for how in ("any", "all")
                ],
            ),
            (
                "expect_column_values_to_not_match_regex_list",
                [{"column": name, "regex_list": some} for some in (["z", "q"], ["z", "a"])],
            ),
        ]
    made += [
        (
            "expect_column_values_to_be_in_set",
            [
                {"column": "word", "value_set": ["a", "b", "ab", "a b"]},
                {"column": "word", "value_set": ["a", "b", "ab", "a b"], "mostly": 0.875},
                {"column": "word", "value_set": ["a", "b", "ab", "a b"], "mostly": 0.9},
                {"column": "flag", "value_set": [True]},
                {"column": "flag_gaps", "value_set": [True, False]},
                {"column": "Case", "value_set": list(range(1, 9))},
                {"column": "case", "value_set": list(range(1, 9))},
            ],
        ),
        (
            "expect_column_distinct_values_to_contain_set",
            [{"column": "word", "value_set": ["a", "A"]}],
        ),
        (
            "expect_column_most_common_value_to_be_in_set",
            [
                {"column": "word", "value_set": ["b"]},
                {"column": "word", "value_set": ["b"], "ties_okay": True},
                {"column": "wide_gaps", "value_set": [BIG + 1]},
                {"column": "wide_gaps", "value_set": [BIG]},
            ],
        ),
        (
            "expect_column_values_to_be_between",
            [
                {"column": "Case", "min_value": 0},
                {"column": "case", "min_value": 0},
                {"column": "case", "max_value": 0},
                {"column": "number", "min_value": BIG},
                *(
                    {"column": name, "min_value": low, "max_value": high, **strict}
                    for name in ("day", "moment")
                    for low, high in (
                        ("2024-01-01", "2024-01-10"),
                        ("2024-01-02", "2024-01-10"),
                        ("2024-01-01T00:00:00", "2024-01-01T08:00:00"),
                    )
                    for strict in ({}, {"strict_min": True})
                ),
            ],
        ),
        *(
            (
                f"expect_column_{word}_to_be_between",
                [
                    {"column": name, "min_value": "2024-01-01", "max_value": "2024-01-05"},
                    {"column": name, "min_value": "2024-01-02"},
                    {"column": name, "max_value": "2024-01-01T08:00:00", "strict_max": True},
                ],
            )
            for word in ("max", "min")
            for name in ("day", "moment")
        ),
        (
            "expect_column_kl_divergence_to_be_less_than",
            [
                {
                    "column": "word",
                    "threshold": limit,
                    "partition_object": {
                        "values": ["a", "b", "ab", "B", "a b"],
                        "weights": [0.2, 0.2, 0.2, 0.2, 0.2],
                    },
                }
                for limit in (0.05, 0.5)
            ],
        ),
        (
            "expect_column_pair_values_a_to_be_greater_than_b",
            [
                {"column_A": a, "column_B": b, **more}
                for a, b in (("whole", "gaps"), ("gaps", "whole"), ("wide", "wide_gaps"))
                for more in (
                    {},
                    {"or_equal": True},
                    {"or_equal": True, "ignore_row_if": "either_value_is_missing"},
                    {"mostly": 0.5, "or_equal": True},
                )
            ],
        ),
        (
            "expect_column_pair_values_to_be_equal",
            [
                {"column_A": a, "column_B": b, **more}
                for a, b in (("whole", "gaps"), ("wide", "wide_gaps"), ("Case", "case"))
                for more in ({}, {"ignore_row_if": "either_value_is_missing"}, {"mostly": 0.25})
            ],
        ),
        (
            "expect_column_pair_values_to_be_in_set",
            [
                {
                    "column_A": a,
                    "column_B": b,
                    "value_pairs_set": [list(p) for p in zip(cells(a), cells(b), strict=True)][:n],
                    "ignore_row_if": "either_value_is_missing",
                }
                for a, b in (("word", "flag"), ("wide", "wide_gaps"), ("whole", "Case"))
                for n in (3, 8)
            ],
        ),
        (
            "expect_compound_columns_to_be_unique",
            [
                {"column_list": names}
                for names in (["whole", "flag"], ["word", "flag"], ["wide", "wide_gaps"])
            ],
        ),
        (
            "expect_multicolumn_sum_to_equal",
            [
                {"column_list": ["Case", "case"], "sum_total": total, **more}
                for total in (0, 1)
                for more in ({}, {"mostly": 0.5})
            ]
            + [{"column_list": ["whole", "wide"], "sum_total": BIG + 3, "mostly": 0.1}],
        ),
        (
            "expect_multicolumn_values_to_be_equal",
            [
                {"column_list": names, **more}
                for names in (["whole", "gaps"], ["wide", "wide_gaps"], ["Case", "case"])
                for more in ({}, {"mostly": 0.25}, {"ignore_row_if": "any_value_is_missing"})
            ],
        ),
        (
            "expect_select_column_values_to_be_unique_within_record",
            [
                {"column_list": names, **more}
                for names in (["whole", "Case"], ["wide", "wide_gaps"], ["Case", "case"])
                for more in ({}, {"mostly": 0.5}, {"ignore_row_if": "any_value_is_missing"})
            ],
        ),
        (
            "expect_column_to_exist",
            [
                {"column": "whole"},
                {"column": "Whole"},
                {"column": "case", "column_index": 18},
                {"column": "case", "column_index": 17},
            ],
        ),
        (
            "expect_column_type_to_be",
            [
                {"column": "whole", "type_": "int64"},
                {"column": "whole", "type_": "float64"},
                {"column": "number", "type_": "float64"},
                {"column": "flag", "type_": "bool"},
            ],
        ),
        *(
            (
                kind,
                [
                    {"column": name, key: [kind_] if key == "type_list" else kind_}
                    for name in ("whole", "number", "word", "flag")
                    for kind_ in ("int64", "float64", "str", "bool")
                ],
            )
            for kind, key in (
                ("expect_column_values_to_be_of_type", "type_"),
                ("expect_column_values_to_be_in_type_list", "type_list"),
            )
        ),
        (
            "expect_column_values_to_be_dateutil_parseable",
            [{"column": "stamp"}, {"column": "stamp", "mostly": 0.5}],
        ),
        (
            "expect_column_values_to_match_strftime_format",
            [
                {"column": "stamp", "strftime_format": "%Y-%m-%d", **more}
                for more in ({}, {"mostly": 0.4}, {"mostly": 0.5})
            ],
        ),
        (
            "expect_column_values_to_be_json_parseable",
            [{"column": "json"}, {"column": "json", "mostly": 0.8}],
        ),
        (
            "expect_column_values_to_match_json_schema",
            [
                {
                    "column": "json",
                    "json_schema": {
                        "type": "object",
                        "properties": {"a": {"type": "integer"}},
                    },
                    **more,
                }
                for more in ({}, {"mostly": 0.3}, {"mostly": 0.5})
            ],
        ),
        ("expect_table_column_count_to_equal", [{"value": n} for n in (19, 18)]),
        (
            "expect_table_column_count_to_be_between",
            [{"min_value": 19}, {"min_value": 20}, {"max_value": 19}, {"max_value": 18}],
        ),
        ("expect_table_row_count_to_equal", [{"value": n} for n in (8, 9)]),
        (
            "expect_table_row_count_to_be_between",
            [
                {"min_value": 8, "max_value": 8},
                {"min_value": 8, "strict_min": True},
                {"max_value": 8, "strict_max": True},
            ],
        ),
        (
            "expect_table_columns_to_match_ordered_list",
            [{"column_list": list(COLUMNS)}, {"column_list": list(COLUMNS)[::-1]}],
        ),
        (
            "expect_table_columns_to_match_set",
            [
                {"column_set": list(COLUMNS)[::-1]},
                {"column_set": [n.upper() for n in COLUMNS]},
                {"column_set": ["word"]},
                {"column_set": ["word"], "exact_match": False},
                {"column_set": ["WORD"], "exact_match": False},
            ],
        ),
    ]
    return [(kind, kwargs) for kind, several_ in made for kwargs in several_]


CASES = cases()


def stored(folder: Path, columns: Mapping[str, pa.Array]) -> Dataset:
    table = pa.table(dict(columns))
    path = folder / uuid.uuid4().hex
    path.mkdir()
    dataset.write(table.to_batches(), table.schema, path)
    return Dataset(path, "sha256:" + "a" * 64)


def judged(data: Dataset, items: Sequence[tuple[str, Given]]) -> list[Outcome]:
    text = json.dumps({"name": "s", "expectations": [{"type": t, "kwargs": k} for t, k in items]})
    return run_suite(data.path, parse_suite(text.encode()))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    return judged(stored(tmp_path_factory.mktemp("all"), COLUMNS), CASES)


def test_every_expectation_that_a_suite_may_hold_is_compared_in_both_ways() -> None:
    assert set(ORACLE) == EXPECTATION_TYPES == {kind for kind, _ in CASES}
    ways = {(kind, ORACLE[kind](kwargs)) for kind, kwargs in CASES}
    assert {kind for kind, right in ways if right} == EXPECTATION_TYPES
    assert {kind for kind, right in ways if not right} == EXPECTATION_TYPES


@pytest.mark.parametrize("kind", sorted(EXPECTATION_TYPES))
def test_an_expectation_says_what_the_stored_values_say(kind: str, outcomes: list[Outcome]) -> None:
    wrong = [
        f"{kwargs}: {outcome.text}"
        for (name, kwargs), outcome in zip(CASES, outcomes, strict=True)
        if name == kind
        and (outcome.success != ORACLE[kind](kwargs) or "could not be judged" in outcome.observed)
    ]
    assert wrong == []


@pytest.fixture
def judge(tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """Verdict and reason of a table in a file under a suite."""

    def run(path: Path, suite: Mapping[str, Any] | Path) -> tuple[str, str]:
        folder = tmp_path / uuid.uuid4().hex
        (folder / "suite").mkdir(parents=True)
        text = suite.read_text() if isinstance(suite, Path) else json.dumps(suite)
        (folder / "suite" / "suite.json").write_text(text)
        out = Out[Any](folder / "out")
        out.path.mkdir()
        values = validate_data(
            data=snapshot(path, folder),
            suite=Suite(folder / "suite", "sha256:" + "b" * 64),
            validation=out,
            **validate_data.bind_parameters({}),
        )
        assert values is not None
        return str(values["verdict"]), str(values["reason"])

    return run


def snapshot(path: Path, folder: Path) -> Dataset:
    (folder / "dataset").mkdir()
    bound = snapshot_data.bind_parameters({})
    snapshot_data(data=fetch(str(path), folder), dataset=Out(folder / "dataset"), **bound)
    return Dataset(folder / "dataset", "sha256:" + "a" * 64)


def test_a_wrong_pair_is_named_with_its_row(shared_data: Path, judge: Any) -> None:
    cases = shared_data.parent / "cases"
    verdict, reason = judge(cases / "g1_pair.csv", cases / "g1_suite.json")
    assert verdict == "block"
    row = (cases / "g1_pair.csv").read_text().splitlines()[151].split(",")
    assert "1 of 200 values outside {('DE', 'EUR'), ('FR', 'EUR'), ('CH', 'CHF')}" in reason
    assert f"e.g. ('{row[0]}', '{row[1]}') in row 152 (" in reason


def test_a_quantile_that_holds_passes(shared_data: Path, judge: Any) -> None:
    cases = shared_data.parent / "cases"
    assert judge(cases / "g1_pair.csv", cases / "g2_suite.json") == ("pass", "")


def test_columns_that_differ_in_case_only_are_judged_each_by_itself(
    shared_data: Path, judge: Any
) -> None:
    cases = shared_data.parent / "cases"
    verdict, reason = judge(cases / "g3_case_big.csv", cases / "g3_suite.json")
    assert verdict == "block"
    assert reason.startswith("age: ")
    assert "outside 0 to 120, e.g. -500 in row 2" in reason


@pytest.mark.parametrize("name", ["g3_case_big.csv", "u3_missing.csv", "g1_pair.csv"])
def test_a_drafted_suite_passes_on_its_own_file(
    shared_data: Path, judge: Any, tmp_path: Path, name: str
) -> None:
    path = shared_data.parent / "cases" / name
    (tmp_path / "draft").mkdir()
    drafted = draft(snapshot(path, tmp_path / "draft").path)
    assert judge(path, drafted) == ("pass", "")


def test_numbers_beyond_53_bits_with_gaps_are_judged_as_they_are_stored(
    shared_data: Path, judge: Any, tmp_path: Path
) -> None:
    path = shared_data.parent / "cases" / "u3_missing.csv"
    ids = [line.split(",")[0] for line in path.read_text().splitlines()[1:]]
    known = [int(text) for text in ids if text]

    def one(kind: str, **kwargs: Any) -> Mapping[str, Any]:
        return {"name": "s", "expectations": [{"type": kind, "kwargs": {"column": "id", **kwargs}}]}

    assert judge(path, one("expect_column_values_to_be_unique")) == ("pass", "")
    in_set = "expect_column_values_to_be_in_set"
    assert judge(path, one(in_set, value_set=known)) == ("pass", "")
    verdict, reason = judge(path, one(in_set, value_set=[number + 1 for number in known]))
    assert verdict == "block"
    shifted = {number + 1 for number in known}
    assert f"{len(set(known) - shifted)} of {len(known)} values outside" in reason
    lengths = "expect_column_value_lengths_to_equal"
    assert judge(path, one(lengths, value=len(ids[0]))) == ("pass", "")


@pytest.mark.parametrize(
    "values",
    [[2**53 + 1, 2**53 + 1, None], [2**62 + 1, None, 2**62 + 3], [-(2**63), None, 2**63 - 1]],
)
def test_a_suite_drafted_from_numbers_beyond_53_bits_with_gaps_passes_on_them(
    tmp_path: Path, values: list[int | None]
) -> None:
    data = stored(tmp_path, {"id": pa.array(values)})
    drafted = [(item["type"], item["kwargs"]) for item in draft(data.path)["expectations"]]
    assert [outcome.text for outcome in judged(data, drafted) if not outcome.success] == []


@pytest.mark.parametrize("kind", ["mean", "median", "stdev", "sum", "max", "min"])
def test_a_bound_beyond_53_bits_is_no_obstacle_to_fractions(tmp_path: Path, kind: str) -> None:
    data = stored(tmp_path, {"x": pa.array([0.5, 1.25, 4.0, None, 9.5])})
    bounds = {"column": "x", "min_value": 0, "max_value": 10**17}
    (outcome,) = judged(data, [(f"expect_column_{kind}_to_be_between", bounds)])
    assert outcome.success, outcome.text


SPREADS = {
    "expect_column_value_z_scores_to_be_less_than": {"threshold": 5, "double_sided": True},
    "expect_column_values_to_not_be_outliers": {"method": "std", "multiplier": 5},
}


@pytest.mark.parametrize("kind", SPREADS)
@pytest.mark.parametrize("far", [1e3, 1e160, -1e200, 1.7976931348623157e308])
def test_an_outlier_is_seen_though_its_square_overflows(
    tmp_path: Path, kind: str, far: float
) -> None:
    near = [math.sin(place) for place in range(300)]
    data = stored(tmp_path, {"x": pa.array([*near, far, None])})
    (outcome,) = judged(data, [(kind, {"column": "x", **SPREADS[kind]})])
    assert not outcome.success
    assert outcome.observed.startswith("1 of 301 values"), outcome.text
    data = stored(tmp_path, {"x": pa.array([value * 1e300 for value in near])})
    (outcome,) = judged(data, [(kind, {"column": "x", **SPREADS[kind]})])
    assert outcome.success, outcome.text


@pytest.mark.parametrize("kind", SPREADS)
def test_distances_from_infinite_numbers_are_no_success(tmp_path: Path, kind: str) -> None:
    data = stored(tmp_path, {"x": pa.array([1.5, 2.5, 1e3, math.inf, -math.inf])})
    (outcome,) = judged(data, [(kind, {"column": "x", **SPREADS[kind]})])
    assert not outcome.success
    assert "could not be judged: the column holds infinite numbers" in outcome.text


@pytest.mark.parametrize(
    ("values", "right"),
    [
        ([2**60 + 2, 2**60 + 3, 0.5], False),
        ([2**60 + 2, 2**63], False),
        ([float(2**60)], False),
        ([2**60, 2**60 + 1, 0.5], True),
        ([2**60, 2**60 + 1, 2**63, None], True),
    ],
)
@pytest.mark.parametrize("gap", [2**60, None])
def test_a_set_is_compared_with_whole_numbers_beyond_53_bits_as_they_are(
    tmp_path: Path, values: list[Any], right: bool, gap: int | None
) -> None:
    data = stored(tmp_path, {"id": pa.array([2**60, gap, 2**60 + 1])})
    given = {"column": "id", "value_set": values}
    kinds = ["values_to_be_in_set", "distinct_values_to_be_in_set"]
    found = judged(data, [(f"expect_column_{kind}", given) for kind in kinds])
    assert [outcome.success for outcome in found] == [right, right]
    other = {"column": "id", "value_set": [2**60 + 2, 0.5]}
    (outcome,) = judged(data, [("expect_column_values_to_not_be_in_set", other)])
    assert outcome.success, outcome.text


def test_a_sum_of_whole_numbers_beyond_53_bits_is_exact(tmp_path: Path) -> None:
    data = stored(
        tmp_path,
        {"a": pa.array([2**60, 2**60 - 1, None, 2**62]), "b": pa.array([1, 2, 3, 2**62])},
    )
    given = {"column_list": ["a", "b"], "sum_total": 2**60 + 1}
    (outcome,) = judged(data, [("expect_multicolumn_sum_to_equal", given)])
    assert outcome.observed.startswith("2 of 4 values"), outcome.text
    given |= {"ignore_row_if": "any_value_is_missing", "mostly": 0.6}
    (outcome,) = judged(data, [("expect_multicolumn_sum_to_equal", given)])
    assert outcome.success
    assert outcome.observed.startswith("1 of 3 values"), outcome.text
    (outcome,) = judged(
        data, [("expect_multicolumn_sum_to_equal", {**given, "sum_total": 2**60, "mostly": 0.1})]
    )
    assert not outcome.success


INF = math.inf


@pytest.mark.parametrize(
    ("values", "increasing", "strictly"),
    [
        ([2**63 - 1, -2], False, False),
        ([-(2**63), 2**63 - 1], True, True),
        ([2**62, -(2**62) - 2**61], False, False),
        ([2**53, None, 2**53 + 1], True, True),
        ([INF, INF], True, False),
        ([-INF, 1.0, INF], True, True),
        ([1.7e308, -1.7e308], False, False),
        (["2024-W01", "2024-W02", None, "2024-W10"], True, True),
        (["a", "B"], False, False),
        ([dt.date(1, 1, 1), dt.date(9999, 1, 1), dt.date(9999, 1, 1)], True, False),
    ],
)
def test_the_order_of_values_is_exact(
    tmp_path: Path, values: list[Any], increasing: bool, strictly: bool
) -> None:
    """Great Expectations subtracts: an overflow was an increase, and text had no order."""
    data = stored(tmp_path, {"up": pa.array(values), "down": pa.array(values[::-1])})
    for column, way in (("up", "increasing"), ("down", "decreasing")):
        kind = f"expect_column_values_to_be_{way}"
        found = judged(data, [(kind, {"column": column, "strictly": s}) for s in (False, True)])
        assert [outcome.success for outcome in found] == [increasing, strictly]
        assert not any("exception" in outcome.result for outcome in found)


def test_whole_numbers_beyond_53_bits_are_compared_with_fractions_exactly(tmp_path: Path) -> None:
    wide = pa.array([2**53 + 1, 5, None, 7])
    data = stored(tmp_path, {"a": wide, "b": pa.array([2.0**53, 1.0, None, None])})
    greater, equal = (
        f"expect_column_pair_values_{name}"
        for name in ("a_to_be_greater_than_b", "to_be_equal")
    )  # fmt: skip
    both = {"column_A": "a", "column_B": "b", "ignore_row_if": "either_value_is_missing"}
    found = judged(data, [(greater, both), (equal, {**both, "mostly": 0.1})])
    assert [outcome.success for outcome in found] == [True, False]
    (outcome,) = judged(data, [(greater, {**both, "ignore_row_if": "both_values_are_missing"})])
    assert outcome.observed.startswith("1 of 3 values"), outcome.text


def test_pairs_of_dates_are_compared_as_dates(tmp_path: Path) -> None:
    day = dt.date(2024, 1, 1)
    data = stored(tmp_path, {"a": pa.array([day, day, None]), "b": pa.array(["x", None, None])})
    kind = "expect_column_pair_values_to_be_in_set"

    def one(pairs: Any, **more: Any) -> Outcome:
        given = {"column_A": "a", "column_B": "b", "value_pairs_set": pairs, **more}
        return judged(data, [(kind, given)])[0]

    assert one([["2024-01-01", "x"], ["2024-01-01", None]]).success
    assert one([["20240101", "x"]], ignore_row_if="either_value_is_missing").success
    assert not one([["2024-01-02", "x"], ["2024-01-01", None]]).success
    assert not one([["2024-01-01", "x"], ["2024-01-01", None]], ignore_row_if="neither").success
    assert "holds dates, and 'n/a' is not one" in one([["n/a", "x"]]).observed


SLOW = ["(a+)+$", "(a|a)*b", "([a-zA-Z]+)*$", "(.*a){20}", "^(([a-z])+.)+[A-Z]([a-z])+$"]


@pytest.mark.parametrize("pattern", SLOW)
def test_a_pattern_that_python_would_match_for_ever_takes_no_time(
    pattern: str, tmp_path: Path
) -> None:
    data = stored(tmp_path, {"s": pa.array(["a" * 5000 + "!"] * 100)})
    begin = time.monotonic()
    kind = "expect_column_values_to_not_match_regex"
    judged(data, [(kind, {"column": "s", "regex": pattern})])
    assert time.monotonic() - begin < 20


def test_patterns_with_wide_classes_without_case_are_checked_without_a_walk_of_each_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(re, "compile", None)  # takes seconds for such a pattern
    for number in range(20):
        assert pattern_problem("(?i)" + "[\x01-\uffff]" * 198 + str(number)) == ""


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (r"(a)\1", "RE2: "),
        (r"(?=a)b", "RE2: "),
        (r"a(?<!b)", "RE2: "),
        (r"a{2000}", "RE2: "),
        (r"[\W]", "is not supported"),
        ("[[a]", "is not a regular expression"),
        ("a" * 1001, "the limit is 1000"),
    ],
)
def test_a_pattern_without_a_bound_of_time_is_refused_with_the_reason(
    pattern: str, reason: str
) -> None:
    item = {
        "type": "expect_column_values_to_match_regex_list",
        "kwargs": {"column": "s", "regex_list": ["a", pattern]},
    }
    text = json.dumps({"name": "s", "expectations": [item]}).encode()
    refused(lambda: parse_suite(text), UsageError, "expectation 1: ", reason)


def test_a_schema_with_a_pattern_is_refused() -> None:
    schema = {"properties": {"a": {"pattern": "(a+)+$"}}}
    item = {
        "type": "expect_column_values_to_match_json_schema",
        "kwargs": {"column": "s", "json_schema": schema},
    }
    text = json.dumps({"name": "s", "expectations": [item]}).encode()
    refused(lambda: parse_suite(text), UsageError, "matched without a bound of time")
    named = {"properties": {"pattern": {"type": "string"}}}
    item["kwargs"] = {"column": "s", "json_schema": named}
    parse_suite(json.dumps({"name": "s", "expectations": [item]}).encode())


@pytest.mark.parametrize(
    "ranges",
    [
        {"quantiles": [0.5, 0.9], "value_ranges": [[0, 1]]},
        {"quantiles": [], "value_ranges": []},
        {"quantiles": [2], "value_ranges": [[0, 1]]},
        {"quantiles": [0.5], "value_ranges": [[None, None]]},
        {"quantiles": [0.5], "value_ranges": [[2, 1]]},
        {"quantiles": [0.5], "value_ranges": 3},
        [0.5],
    ],
)
def test_quantile_ranges_that_cannot_be_judged_are_refused_before_any_cost(ranges: Any) -> None:
    item = {
        "type": "expect_column_quantile_values_to_be_between",
        "kwargs": {"column": "a", "quantile_ranges": ranges},
    }
    text = json.dumps({"name": "s", "expectations": [item]}).encode()
    refused(lambda: parse_suite(text), UsageError, "'quantile_ranges' ")


@pytest.mark.parametrize("pattern", [r"\bfoo\b", "^a$", r"(?m)^a$", r"[\d-]", "a{,2}b", r"\$"])
def test_a_pattern_means_to_re2_what_it_means_to_python(pattern: str) -> None:
    import pyarrow.compute as pc

    texts = ["foo bar", "a", "a\n", "b\na", "5", "-", "aab", "a{,2}b", "$", "food"]
    ours = pc.match_substring_regex(pa.array(texts), compiled(pattern)).to_pylist()
    assert ours == [re.search(pattern, text) is not None for text in texts]


def _doubled(depth: int) -> dict[str, Any]:
    """References, each to two of the next: 2 to the depth checks."""
    parts: dict[str, Any] = {
        f"d{n}": {"allOf": [{"$ref": f"#/definitions/d{n + 1}"}] * 2} for n in range(depth)
    }
    return {"$ref": "#/definitions/d0", "definitions": {**parts, f"d{depth}": {"type": "object"}}}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (_doubled(40), "more than 20,000 checks"),
        ({"type": "objekt"}, "not a JSON Schema"),
        ({"multipleOf": 0}, "not a JSON Schema"),
        ({"properties": 3}, "not a JSON Schema"),
        ({"$ref": "#/nothing"}, "leads to nothing"),
    ],
)
def test_a_json_schema_ends_in_one_line(schema: dict[str, Any], told: str) -> None:
    began = time.process_time()
    with pytest.raises(UsageError, match=told) as caught:
        schema_check(schema)("{}")
    assert "\n" not in str(caught.value)
    assert time.process_time() - began < 10


def test_a_json_value_nested_too_deep_does_not_fit() -> None:
    assert not schema_check({"type": "array"})("[" * 100_000)
    assert not schema_check({"items": {"$ref": "#"}})("[" * 900 + "]" * 900)
    assert not schema_check({"$ref": "#"})("{}")


def test_unique_items_take_linear_time_and_compare_as_json_does() -> None:
    fits = schema_check({"uniqueItems": True})
    began = time.process_time()
    assert fits(json.dumps([{"a": [number]} for number in range(20_000)]))
    assert time.process_time() - began < 5
    assert fits('[1, true, "1", [1], {"a": 1}, null, 0, false, []]')
    for text in ("[1, 1.0]", '[{"a": 1, "b": 2}, {"b": 2, "a": 1.0}]', "[[0], [0]]"):
        assert not fits(text)


FORMS = (
    "day,moment,flag,price,count,code\n"
    "1900-01-01,2024-01-01T00:00:00Z,True,-999,-999,0000\n"
    "2024-01-02,2024-01-02T00:00:00Z,false,0.5,1,0001\n"
    "2024-01-03,2024-01-02T08:30:00Z,False,1.5,2,0002\n"
)


@pytest.fixture
def forms(tmp_path: Path) -> Callable[..., Outcome]:
    """Judges one expectation on a column of each type, read from a file."""
    (tmp_path / "table.csv").write_text(FORMS)
    data = snapshot(tmp_path / "table.csv", tmp_path)
    assert list(dataset.info(data.path).types.values()) == [
        "date32", "timestamp", "bool", "float64", "int64", "string",
    ]  # fmt: skip

    def run(kind: str, column: str, **kwargs: Any) -> Outcome:
        (outcome,) = judged(data, [(f"expect_column_{kind}", {"column": column, **kwargs})])
        return outcome

    return run


@pytest.mark.parametrize(
    ("kind", "column", "kwargs", "right"),
    [
        ("values_to_not_match_regex", "day", {"regex": "^1900-01-01$"}, False),
        ("values_to_not_match_regex_list", "day", {"regex_list": ["^1900-01-01$", "x"]}, False),
        ("values_to_match_regex", "day", {"regex": r"^\d{4}-\d{2}-\d{2}$"}, True),
        ("values_to_not_match_regex", "count", {"regex": "^-999$"}, False),
        ("value_lengths_to_equal", "day", {"value": 10}, True),
        ("value_lengths_to_be_between", "day", {"max_value": 9}, False),
        ("values_to_match_strftime_format", "day", {"strftime_format": "%Y-%m-%d"}, True),
        ("values_to_match_strftime_format", "day", {"strftime_format": "%d.%m.%Y"}, False),
        ("values_to_match_strftime_format", "code", {"strftime_format": "000%y"}, False),
    ],
)
def test_a_pattern_sees_what_the_file_holds(
    forms: Any, kind: str, column: str, kwargs: Given, right: bool
) -> None:
    found = forms(kind, column, **kwargs)
    assert found.success is right
    assert "could not be judged" not in found.observed


@pytest.mark.parametrize("column", ["moment", "flag", "price"])
@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("values_to_not_match_regex", {"regex": "^(true|-999|2024-01-02T00:00:00Z)$"}),
        ("value_lengths_to_be_between", {"max_value": 100}),
        ("values_to_match_strftime_format", {"strftime_format": "%Y"}),
    ],
)
def test_what_a_file_may_spell_in_several_ways_has_no_pattern(
    forms: Any, column: str, kind: str, kwargs: Given
) -> None:
    found = forms(kind, column, **kwargs)
    assert found.success is False
    assert "could not be judged" in found.observed
    assert "are written in several ways" in found.observed


NOT_IN_SET = "values_to_not_be_in_set"


@pytest.mark.parametrize(
    ("kind", "column", "values", "right"),
    [
        # Instants, however they are written.
        (NOT_IN_SET, "moment", ["2024-01-02T00:00:00Z"], False),
        (NOT_IN_SET, "moment", ["2024-01-02"], False),
        (NOT_IN_SET, "moment", ["2024-01-02T02:00:00+02:00"], False),
        (NOT_IN_SET, "moment", ["2024-01-02T00:00:01"], True),
        (NOT_IN_SET, "day", ["1900-01-01", None], False),
        ("values_to_be_in_set", "day", ["1900-01-01", "2024-01-02", "20240103"], True),
        ("values_to_be_in_set", "day", ["1900-01-01", "2024-01-02"], False),
        ("distinct_values_to_be_in_set", "day", ["1900-01-01", "2024-01-02", "2024-01-03"], True),
        ("distinct_values_to_be_in_set", "day", ["1900-01-01"], False),
        ("distinct_values_to_contain_set", "day", ["1900-01-01"], True),
        ("distinct_values_to_contain_set", "day", ["1900-01-02"], False),
        ("distinct_values_to_equal_set", "day", ["1900-01-01"], False),
        ("most_common_value_to_be_in_set", "day", ["1900-01-01"], False),
        (NOT_IN_SET, "count", [-999], False),
        (NOT_IN_SET, "count", [-999.0], False),
        (NOT_IN_SET, "price", [-999], False),
        (NOT_IN_SET, "flag", [True], False),
        (NOT_IN_SET, "code", ["0001"], False),
    ],
)
def test_a_set_is_compared_as_values_of_the_columns_type(
    forms: Any, kind: str, column: str, values: list[Any], right: bool
) -> None:
    found = forms(kind, column, value_set=values)
    assert found.success is right
    assert "could not be judged" not in found.observed


@pytest.mark.parametrize(
    ("column", "values", "told"),
    [
        ("count", ["-999"], "holds whole numbers, and the set has '-999'"),
        ("count", ["-999", -998], "the set has '-999'"),
        ("count", [True], "the set has True"),
        ("count", [None], "the set has null alone"),
        ("price", ["-999"], "holds numbers, and the set has '-999'"),
        ("flag", ["true"], "holds truth values, and the set has 'true'"),
        ("code", [1], "holds text, and the set has 1"),
        ("day", ["1900-01-01", "n/a"], "holds dates, and 'n/a' is not one"),
        ("day", [19000101], "holds dates, and 19000101 is not one"),
    ],
)
@pytest.mark.parametrize(
    "kind", [NOT_IN_SET, "values_to_be_in_set", "distinct_values_to_be_in_set"]
)
def test_a_set_of_another_type_says_nothing_and_has_failed(
    forms: Any, kind: str, column: str, values: list[Any], told: str
) -> None:
    found = forms(kind, column, value_set=values)
    assert found.success is False
    assert told in found.observed
