"""What is judged here without Great Expectations, beside Great Expectations itself.

Random tables and random expectations: the verdict, the words, every number, example and row must be
the same. `differs` lists the answers that differ on purpose. Times, and whole numbers beyond 2^53,
are left out where Great Expectations answers wrongly; test_expectations.py compares these with a
computation of its own.
"""

import datetime as dt
import json
import math
import random
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from assay import data as dataset
from assay.components.validate_data import gx
from assay.components.validate_data.expectations import Outcome, _outcome, run_suite
from assay.components.validate_data.wording import plain
from assay.data.exact_integers import read_exact
from assay.data.suite import draft, parse_suite

BIG = 2**53 + 1
EPOCH = dt.date(2024, 1, 1)

Given = dict[str, Any]


def table(rng: random.Random, rows: int) -> dict[str, pa.Array]:
    """A column of each type, with ties, gaps and values at the edges."""

    def some(draw: Callable[[], Any], gaps: float = 0.0) -> list[Any]:
        return [None if rng.random() < gaps else draw() for _ in range(rows)]

    def whole() -> int:
        return rng.choice([0, 1, 2, 2, 3, -5, rng.randint(-100, 100)])

    def number() -> float:
        return rng.choice([0.0, -0.0, 0.1, 0.5, 1e-7, -2.5, 1e12, rng.gauss(0, 3)])

    def text() -> str:
        return rng.choice(["a", "b", "B", "", " ", "é", "日本", "x7", "a\n", "2024-01-31"])

    def day() -> dt.date:
        return EPOCH + dt.timedelta(days=rng.randint(-3, 3))

    def moment() -> dt.datetime:
        start = dt.datetime(2024, 1, 1)  # noqa: DTZ001 - datasets hold times without a zone
        return start + dt.timedelta(seconds=rng.randint(0, 3), microseconds=rng.choice([0, 5]))

    def flag() -> bool:
        return rng.random() < 0.7

    gaps = rng.choice([0.2, 0.6])
    return {
        "whole": pa.array(some(whole), pa.int64()),
        "whole_gaps": pa.array(some(whole, gaps), pa.int64()),
        "whole_none": pa.array(some(whole, 1.0), pa.int64()),
        "long": pa.array(some(lambda: 10**15 + whole(), gaps), pa.int64()),
        "key": pa.array(rng.sample(range(-rows, 3 * rows), rows), pa.int64()),
        "number": pa.array(some(number), pa.float64()),
        "number_gaps": pa.array(some(number, gaps), pa.float64()),
        "number_none": pa.array(some(number, 1.0), pa.float64()),
        "infinite": pa.array(
            some(lambda: rng.choice([math.inf, 1.5, -math.inf]), gaps), pa.float64()
        ),
        "flat": pa.array([4.0] * rows),
        "text": pa.array(some(text), pa.string()),
        "text_gaps": pa.array(some(text, gaps), pa.string()),
        "text_none": pa.array(some(text, 1.0), pa.string()),
        "flag": pa.array(some(flag), pa.bool_()),
        "flag_gaps": pa.array(some(flag, gaps), pa.bool_()),
        "flag_none": pa.array(some(flag, 1.0), pa.bool_()),
        "day": pa.array(some(day), pa.date32()),
        "day_gaps": pa.array(some(day, gaps), pa.date32()),
        "moment_gaps": pa.array(some(moment, gaps), pa.timestamp("us")),
        "wide": pa.array(some(lambda: BIG + whole()), pa.int64()),
        "wide_gaps": pa.array([*some(lambda: BIG + whole(), gaps)[1:], BIG + 200], pa.int64()),
    }


WHOLE = ["whole", "whole_gaps", "whole_none", "long", "key"]
FLOATS = ["number", "number_gaps", "number_none", "infinite", "flat"]
TEXTS = ["text", "text_gaps", "text_none"]
FLAGS = ["flag", "flag_gaps", "flag_none"]
TIMES = ["day", "day_gaps", "moment_gaps"]
WIDE = ["wide", "wide_gaps"]
ALL = [*WHOLE, *FLOATS, *TEXTS, *FLAGS, *TIMES, *WIDE]


class Maker:
    """Random expectations about a table."""

    def __init__(self, rng: random.Random, columns: Mapping[str, pa.Array]) -> None:
        self.rng = rng
        self.columns = columns

    def near(self, name: str) -> Any:
        """A number or text of a column, or one close to it."""
        values = [v for v in self.columns[name].to_pylist() if v is not None] or [1]
        value = self.rng.choice(values)
        if isinstance(value, bool | str) or (isinstance(value, float) and math.isinf(value)):
            return value if isinstance(value, str) else self.rng.choice([0, 1, 0.5])
        return self.rng.choice([value, value, value + 1, value - 1, value + 0.5, float(value)])

    def bounds(self, draw: Callable[[], Any]) -> Given:
        low, high = sorted([draw(), draw()])
        ends = {"min_value": low, "max_value": high}
        if self.rng.random() < 0.4:
            del ends[self.rng.choice(list(ends))]
        for word in ("min", "max"):
            if self.rng.random() < 0.3:
                ends[f"strict_{word}"] = self.rng.random() < 0.7
        return ends

    def mostly(self) -> Given:
        return {} if self.rng.random() < 0.5 else {"mostly": self.rng.choice([0.3, 0.5, 0.9, 1])}

    def members(self, name: str) -> list[Any]:
        values = [v for v in self.columns[name].to_pylist() if v is not None]
        finite = [v for v in values if not (isinstance(v, float) and math.isinf(v))]
        kind = self.columns[name].type
        other: list[Any] = {pa.string(): ["a", "zz"], pa.bool_(): [True]}.get(kind, [0, 2, 0.5])
        drawn = [self.rng.choice(finite or other) for _ in range(self.rng.randint(1, 6))] + other
        return self.rng.sample(drawn, self.rng.randint(1, len(drawn)))

    def quantiles(self, name: str) -> Given:
        given = self.rng.sample([0, 0.1, 0.25, 0.5, 0.75, 1], self.rng.randint(1, 3))
        ranges = [list(self.bounds(lambda: self.near(name)).values())[:2] for _ in given]
        found: Given = {
            "quantile_ranges": {
                "quantiles": given,
                "value_ranges": [r if len(r) == 2 else [None, r[0]] for r in ranges],
            }
        }
        if self.rng.random() < 0.5:
            found["allow_relative_error"] = self.rng.choice([False, "linear", "lower", "midpoint"])
        return found


TYPES = ["int64", "float64", "str", "bool", "datetime64", "int", "float", "object", "O", "int32"]
TYPES += ["object_", "complex", "datetime64[us]", "datetime64[ms]", "category", "no_type", "string"]


PATTERNS = ["a", "^[a-z]$", r"\\d", "^$", "é|b"]


def several(make: Maker) -> list[tuple[str, Given]]:
    """Expectations about rows of several columns."""
    rng, found = make.rng, []
    for names in SEVERAL:
        a, b = names[:2]
        both = {"column_A": a, "column_B": b}
        pairs = [*zip(*(make.columns[n].to_pylist() for n in (a, b)), strict=True)]
        found += [
            (
                "expect_column_pair_values_to_be_in_set",
                {
                    **both,
                    "value_pairs_set": [list(rng.choice(pairs)) for _ in range(4)],
                    "ignore_row_if": rng.choice(PAIR_IGNORED),
                    **make.mostly(),
                },
            ),
            *(
                (
                    f"expect_{kind}",
                    {
                        "column_list": names,
                        "ignore_row_if": rng.choice(IGNORED),
                        **make.mostly(),
                    },
                )
                for kind in (
                    "compound_columns_to_be_unique",
                    "multicolumn_values_to_be_equal",
                    "select_column_values_to_be_unique_within_record",
                )
            ),
        ]
    for names in (["whole", "key"], ["whole", "whole_gaps", "key"], ["number", "whole"]):
        cells = zip(*(make.columns[name].to_pylist() for name in names), strict=True)
        sums = [sum(row) for row in cells if None not in row] or [0]
        given = {"column_list": names, "sum_total": rng.choice(sums), **make.mostly()}
        given["ignore_row_if"] = rng.choice(IGNORED)
        found.append(("expect_multicolumn_sum_to_equal", given))
    return found


PAIR_IGNORED = ["both_values_are_missing", "either_value_is_missing", "neither"]
IGNORED = ["all_values_are_missing", "any_value_is_missing", "never"]
SEVERAL = [
    ["whole", "whole_gaps"],
    ["whole_gaps", "text_gaps", "flag"],
    ["number", "number_gaps"],
    ["text", "text_gaps"],
    ["flag", "flag_gaps", "flag_none"],
    ["text", "flag_gaps"],
    ["whole", "number_gaps"],
]


def expectations(make: Maker) -> list[tuple[str, Given]]:
    """Some of each kind that is judged here."""
    rng, found = make.rng, []

    def about(kind: str, columns: list[str], kwargs: Callable[[str], Given]) -> None:
        for name in columns:
            found.append((f"expect_column_{kind}", {"column": name, **kwargs(name)}))

    about("values_to_be_null", ALL, lambda _: make.mostly())
    about("values_to_not_be_null", ALL, lambda _: make.mostly())
    about("values_to_be_unique", ALL, lambda _: make.mostly())
    about(
        "values_to_be_between",
        [*WHOLE, *FLOATS, *FLAGS],
        lambda name: {**make.bounds(lambda: make.near(name)), **make.mostly()},
    )
    for kind in ("values_to_be_in_set", "values_to_not_be_in_set"):
        about(
            kind,
            [*WHOLE, *FLOATS, *TEXTS, *FLAGS],
            lambda name: {"value_set": make.members(name), **make.mostly()},
        )
    about("values_to_be_of_type", ALL, lambda _: {"type_": rng.choice(TYPES), **make.mostly()})
    about(
        "values_to_be_in_type_list",
        ALL,
        lambda _: {"type_list": rng.sample(TYPES, rng.randint(1, 3)), **make.mostly()},
    )
    numbers = [*WHOLE, *FLOATS]
    for name in ("max", "min", "mean", "median", "stdev", "sum"):
        about(f"{name}_to_be_between", numbers, lambda name: make.bounds(lambda: make.near(name)))
    for name in ("increasing", "decreasing"):
        about(
            f"values_to_be_{name}",
            [*numbers, *FLAGS[:1]],
            lambda _: {"strictly": rng.random() < 0.5, **make.mostly()},
        )
    about(
        "value_z_scores_to_be_less_than",
        numbers,
        lambda _: {
            "threshold": rng.choice([-0.5, 0.5, 1, 3]),
            "double_sided": rng.random() < 0.5,
            **make.mostly(),
        },
    )
    for method in ("iqr", "std"):
        about(
            "values_to_not_be_outliers",
            numbers,
            lambda _: {"method": method, "multiplier": rng.choice([0, 0.2, 1]), **make.mostly()},  # noqa: B023
        )
    about("values_to_not_be_outliers", numbers, lambda _: {})
    about("quantile_values_to_be_between", numbers, make.quantiles)
    share = lambda _: make.bounds(lambda: rng.choice([0, 0.2, 0.5, 0.8, 1]))  # noqa: E731
    about("proportion_of_unique_values_to_be_between", ALL, share)
    about("proportion_of_non_null_values_to_be_between", ALL, share)
    count = lambda _: make.bounds(lambda: rng.randint(0, 12))  # noqa: E731
    about("unique_value_count_to_be_between", ALL, count)
    sets = [*WHOLE, *FLOATS, *TEXTS, *FLAGS]
    for name in ("be_in_set", "contain_set", "equal_set"):
        about(f"distinct_values_to_{name}", sets, lambda name: {"value_set": make.members(name)})
    about(
        "most_common_value_to_be_in_set",
        sets,
        lambda name: {"value_set": make.members(name), "ties_okay": rng.random() < 0.5},
    )
    about("values_to_be_json_parseable", ALL, lambda _: make.mostly())
    about(
        "value_lengths_to_be_between",
        [*TEXTS, "whole"],
        lambda _: {**make.bounds(lambda: rng.randint(0, 4)), **make.mostly()},
    )
    about("value_lengths_to_equal", TEXTS, lambda _: {"value": rng.randint(0, 2)})
    about("values_to_match_regex", TEXTS, lambda _: {"regex": rng.choice(PATTERNS)})
    about("values_to_not_match_regex", TEXTS, lambda _: {"regex": rng.choice(PATTERNS)})
    about(
        "values_to_match_regex_list",
        TEXTS,
        lambda _: {
            "regex_list": rng.sample(PATTERNS, 2),
            "match_on": rng.choice(["any", "all"]),
            **make.mostly(),
        },
    )
    about("values_to_not_match_regex_list", TEXTS, lambda _: {"regex_list": PATTERNS[:2]})
    about("values_to_match_strftime_format", TEXTS, lambda _: {"strftime_format": "%Y-%m-%d"})
    found += several(make)
    names = list(make.columns)
    rows = len(make.columns["whole"])
    wrong = rng.sample([*names, "Whole", "other"], len(names))
    found += [
        ("expect_table_row_count_to_equal", {"value": rng.choice([rows, rows + 1])}),
        ("expect_table_row_count_to_be_between", make.bounds(lambda: rng.randint(0, 2 * rows))),
        ("expect_table_column_count_to_equal", {"value": rng.choice([21, 22])}),
        (
            "expect_table_column_count_to_be_between",
            {"min_value": rng.choice([20, 21, 22]), "max_value": 22},
        ),
        ("expect_table_columns_to_match_ordered_list", {"column_list": names}),
        ("expect_table_columns_to_match_ordered_list", {"column_list": wrong}),
        ("expect_table_columns_to_match_ordered_list", {"column_list": names[2:]}),
        ("expect_table_columns_to_match_set", {"column_set": names[::-1]}),
        ("expect_table_columns_to_match_set", {"column_set": wrong}),
        ("expect_table_columns_to_match_set", {"column_set": wrong, "exact_match": False}),
        ("expect_table_columns_to_match_set", {"column_set": names[3:], "exact_match": False}),
        ("expect_column_to_exist", {"column": rng.choice([*names, "other"])}),
        *(
            ("expect_column_to_exist", {"column": "key", "column_index": place})
            for place in (0, 4, 5, -17, 21, -22)
        ),
    ]
    return found


def there(column: pa.Array) -> int:
    return len(column) - column.null_count


def differs(kind: str, kwargs: Given, columns: Mapping[str, pa.Array]) -> str:
    """Why an answer is not that of Great Expectations, on purpose; empty if it is."""
    name = kwargs.get("column", "")
    if kind.endswith(("_increasing", "_decreasing")) and name in {*FLAGS, "long", "infinite"}:
        return "differences of truth values and of infinite numbers have no order"
    if kind.endswith(("_outliers", "_z_scores_to_be_less_than")) and name == "infinite":
        return "infinite numbers have no distance to others"
    if kind.endswith("_distinct_values_to_be_in_set") and not there(columns[name]):
        return "nothing is said of no value"
    return ""


def stored(folder: Path, columns: Mapping[str, pa.Array]) -> Path:
    made = pa.table(dict(columns))
    folder.mkdir()
    dataset.write(made.to_batches(), made.schema, folder)
    return folder


def suite(items: list[tuple[str, Given]]) -> Any:
    text = json.dumps({"name": "s", "expectations": [{"type": t, "kwargs": k} for t, k in items]})
    return parse_suite(text.encode())


def by_gx(folder: Path, items: list[tuple[str, Given]]) -> list[Outcome]:
    """What Great Expectations says about all of them, of the whole table."""
    frame = read_exact(folder)
    names = gx.Names(frame.columns)
    # What is beyond 2^53 and has gaps is of Python's whole numbers; its type is float64.
    wide = [name for name in WIDE if frame[name].dtype == object]
    typed = frame.assign(**{name: frame[name].astype(float) for name in wide})
    parsed = suite(items).expectations
    placed = list(enumerate(parsed))
    results: dict[int, Any] = {}
    for seen, about_types in ((frame, False), (typed, True)):
        some = [pair for pair in placed if ("_type" in pair[1]["type"]) == about_types]
        results |= gx.validate(seen, gx.make(some, names), names)
    return [_outcome(item, results.get(place, []), names) for place, item in placed]


def said(outcome: Outcome) -> Any:
    result = json.loads(json.dumps(plain(outcome.result)))
    if "partial_missing_list" in result:
        # The order of a set of Python's differs from process to process; here it is sorted.
        result["partial_missing_list"].sort(key=str)
        return outcome.success, result
    # Of two zeros, which are equal, the first one is shown there, and the positive one here.
    return outcome.success, re.sub(r"-0\b(?!\.)", "0", outcome.observed), result


SEEDS = [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 40))]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_judged_here_is_what_great_expectations_says(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    columns = table(rng, rng.choice([1, 2, 7, 40]))
    items = [item for item in expectations(Maker(rng, columns)) if not differs(*item, columns)]
    folder = stored(tmp_path / "data", columns)
    wrong = [
        f"{kind} {kwargs}\n  here: {said(ours)}\n  GX:   {said(theirs)}"
        for (kind, kwargs), ours, theirs in zip(
            items, run_suite(folder, suite(items)), by_gx(folder, items), strict=True
        )
        if said(ours) != said(theirs)
    ]
    assert not wrong, "\n".join(wrong)


NO_GX = """
import sys
from pathlib import Path
from assay.components.validate_data.expectations import run_suite
from assay.data.suite import parse_suite
found = run_suite(Path(sys.argv[1]), parse_suite(Path(sys.argv[2]).read_bytes()))
print(len(found), all(outcome.success for outcome in found))
print([name for name in ("great_expectations", "pandas") if name in sys.modules])
"""


def test_a_drafted_suite_needs_neither_great_expectations_nor_pandas(tmp_path: Path) -> None:
    columns = table(random.Random(1), 60)
    folder = stored(tmp_path / "data", columns)
    drafted = draft(folder, "text")
    (tmp_path / "suite.json").write_text(json.dumps(drafted))
    run = [sys.executable, "-c", NO_GX, str(folder), str(tmp_path / "suite.json")]
    lines = subprocess.run(run, check=True, capture_output=True, text=True).stdout.splitlines()
    assert lines == [f"{len(drafted['expectations'])} True", "[]"]
