"""Great Expectations suites: parsed without Great Expectations, and drafted from data.

A suite is GX 1.x's own JSON: `{"name": ..., "expectations": [{"type": ..., "kwargs": {...}}]}`.
Only GX's own expectations are admitted: a suite is data, and data runs no code.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assay.dataset import column_problems
from assay.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

MAX_SUITE_BYTES: Final = 4 << 20
MAX_EXPECTATIONS: Final = 10_000

_COLUMN_TYPES: Final = (
    "distinct_values_to_be_in_set distinct_values_to_contain_set distinct_values_to_equal_set "
    "kl_divergence_to_be_less_than max_to_be_between mean_to_be_between median_to_be_between "
    "min_to_be_between most_common_value_to_be_in_set "
    "proportion_of_non_null_values_to_be_between proportion_of_unique_values_to_be_between "
    "quantile_values_to_be_between stdev_to_be_between sum_to_be_between to_exist "
    "unique_value_count_to_be_between value_lengths_to_be_between value_lengths_to_equal "
    "value_z_scores_to_be_less_than values_to_be_between values_to_be_dateutil_parseable "
    "values_to_be_decreasing values_to_be_in_set values_to_be_in_type_list values_to_be_increasing "
    "values_to_be_json_parseable values_to_be_null values_to_be_of_type values_to_be_unique "
    "values_to_match_json_schema values_to_match_regex values_to_match_regex_list "
    "values_to_match_strftime_format values_to_not_be_in_set values_to_not_be_null "
    "values_to_not_match_regex values_to_not_match_regex_list"
)
_OTHER_TYPES: Final = (
    "expect_column_pair_values_a_to_be_greater_than_b expect_column_pair_values_to_be_equal "
    "expect_column_pair_values_to_be_in_set expect_compound_columns_to_be_unique "
    "expect_multicolumn_sum_to_equal expect_multicolumn_values_to_be_equal "
    "expect_select_column_values_to_be_unique_within_record "
    "expect_table_column_count_to_be_between expect_table_column_count_to_equal "
    "expect_table_columns_to_match_ordered_list expect_table_columns_to_match_set "
    "expect_table_row_count_to_be_between expect_table_row_count_to_equal"
)
EXPECTATION_TYPES: Final = frozenset(
    [f"expect_column_{name}" for name in _COLUMN_TYPES.split()] + _OTHER_TYPES.split()
)
"""GX's expectations about one table in pandas; none that needs SQL or another table."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A parsed suite."""

    name: str
    expectations: tuple[Mapping[str, Any], ...]


def parse_suite(data: bytes, columns: Sequence[str] | None = None, name: str = "suite") -> Suite:
    """Parse a suite; needs no Great Expectations.

    Args:
        data: JSON, at most `MAX_SUITE_BYTES`.
        columns: The table's columns, if known; expectations about others are then refused.
        name: What to call the file in errors.

    Raises:
        UsageError: All that is wrong.
    """
    if len(data) > MAX_SUITE_BYTES:
        raise UsageError(f"{name}: {len(data)} bytes, the limit is {MAX_SUITE_BYTES}")
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: not JSON: {error}") from error
    found = raw.get("expectations") if isinstance(raw, dict) else None
    if not isinstance(found, list) or not 0 < len(found) <= MAX_EXPECTATIONS:
        raise UsageError(
            f"{name}: not a suite; it needs 'expectations', a list of 1 to {MAX_EXPECTATIONS}. "
            "Draft one with: assay suite draft"
        )
    problems = []
    for number, item in enumerate(found, 1):
        problems += [f"{name}: expectation {number}: {p}" for p in _problems(item, columns)]
    if problems:
        raise UsageError.all_of(problems)
    return Suite(str(raw.get("name") or "suite"), tuple(found))


def _problems(item: Any, columns: Sequence[str] | None) -> list[str]:
    if not isinstance(item, dict) or not isinstance(item.get("kwargs", {}), dict):
        return ["not an object with 'type' and 'kwargs'"]
    kind = item.get("type", item.get("expectation_type"))
    if kind not in EXPECTATION_TYPES:
        close = get_close_matches(str(kind), EXPECTATION_TYPES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "only GX's own are admitted"
        return [f"unknown type {kind!r}; {hint}"]
    if "type" not in item:
        return [f"write 'type' instead of 'expectation_type' ({kind}): this is GX 1.x's form"]
    kwargs = item.get("kwargs", {})
    if "row_condition" in kwargs:
        return ["'row_condition' is code in a text; split the table instead"]
    # A column that must exist is named by the expectation itself; the others would only crash.
    if columns is None or kind == "expect_column_to_exist":
        return []
    named = [kwargs[key] for key in ("column", "column_A", "column_B") if key in kwargs]
    listed = kwargs.get("column_list", [])
    return column_problems([*map(str, named), *map(str, listed)], columns, kind)


def draft(folder: Path, target: str = "") -> dict[str, Any]:
    """A first suite for a dataset's folder, for a person to review.

    It holds what the data shows: columns and their order, missing values, sets of labels, ranges
    with a tenth of their width as slack, and unique columns. Each expectation says in its notes
    why it is there.
    """
    from assay import dataset

    info = dataset.info(folder)
    frame = dataset.read(folder)
    found = [
        _expectation(
            "expect_table_columns_to_match_ordered_list",
            {"column_list": list(info.names)},
            "The columns of the data it was drafted from, in order.",
        ),
        _expectation(
            "expect_table_row_count_to_be_between",
            {"min_value": max(1, info.rows // 2)},
            f"At least half of the {info.rows} rows it was drafted from.",
        ),
    ]
    for column in info.columns:
        found += _column(column, frame[column.name], target)
    return {"name": f"draft-{target or 'data'}", "expectations": found, "meta": {}}


MAX_LABELS: Final = 30
SLACK: Final = 0.1


def _column(column: Any, values: "pd.Series", target: str) -> list[dict[str, Any]]:
    found = []
    rows = len(values)
    on = {"column": column.name}
    if column.nulls == 0:
        note = "None was missing."
        found.append(_expectation("expect_column_values_to_not_be_null", dict(on), note))
    elif column.nulls < rows:
        share = 1 - column.nulls / rows
        mostly = max(0.0, round(share - SLACK * (1 - share) - 0.01, 3))
        note = f"{column.nulls} of {rows} were missing; a little more is let through."
        found.append(
            _expectation("expect_column_values_to_not_be_null", {**on, "mostly": mostly}, note)
        )
    present = values.dropna()
    distinct = present.nunique()
    is_label = column.name == target and column.type in {"string", "int64", "bool"}
    if distinct and (column.type == "string" or is_label) and distinct <= MAX_LABELS:
        labels = [value.item() if hasattr(value, "item") else value for value in present.unique()]
        note = "The target's labels." if is_label else f"All {distinct} values that were there."
        kwargs = {**on, "value_set": sorted(labels, key=str)}
        found.append(_expectation("expect_column_values_to_be_in_set", kwargs, note))
    elif distinct and column.type in {"int64", "float64"}:
        low, high = float(present.min()), float(present.max())
        slack = (high - low) * SLACK
        floor = max(low - slack, 0.0) if low >= 0 else low - slack
        kwargs = {**on, "min_value": _neat(floor), "max_value": _neat(high + slack)}
        note = f"From {_neat(low)} to {_neat(high)}, with a tenth of that as slack."
        found.append(_expectation("expect_column_values_to_be_between", kwargs, note))
    if column.type in {"string", "int64"} and distinct == rows > MAX_LABELS and not is_label:
        note = "Every value was another; it looks like a key."
        found.append(_expectation("expect_column_values_to_be_unique", dict(on), note))
    return found


def _neat(value: float) -> float:
    return float(f"{value:.6g}")


def _expectation(kind: str, kwargs: dict[str, Any], note: str) -> dict[str, Any]:
    return {"type": kind, "kwargs": kwargs, "meta": {"notes": note}}
