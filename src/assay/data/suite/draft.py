"""Draft a suite for a dataset, for a person to review.

It describes the data that it was drafted from, which may be wrong. The notes of each expectation
give its reason, so that a reviewer can keep, widen or remove it.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assay import data as dataset
from assay.data import DatasetInfo

if TYPE_CHECKING:
    from assay.data.columns import Column

MAX_LABELS: Final = 50
"""A column with more distinct values is not a closed set."""
ROWS_PER_LABEL: Final = 5
"""A column with fewer rows per distinct value, on average, is not a closed set."""
RANGE_SLACK: Final = 0.1
"""Share of the width of a range that is added at both ends."""
MISSING_SLACK: Final = 0.01
"""Share of rows that may be missing, in addition to a tenth more than in the data."""
UNSEEN_SLACK: Final = 0.01
"""Share of rows that may have a new value, if some values occur only once."""
MIN_KEY_ROWS: Final = 30
"""Minimum number of rows for a column with distinct values to be a key."""
MAX_GROWTH: Final = 10
_DIGITS: Final = 6


def draft(folder: Path, target: str = "") -> dict[str, Any]:
    """Draft a suite for a dataset.

    It describes the data: the columns in order, the number of rows, types, missing values, closed
    sets of texts, ranges, and keys. The data itself passes the suite, unless values of the target
    are missing.

    Args:
        folder: A dataset.
        target: The column to predict: never missing, and class labels are a closed set regardless
            of their frequency. Empty: none.

    Returns:
        JSON of GX 1.x. Each expectation has `meta.notes` with its reason.

    Raises:
        UsageError: `target` is not a column.
        IntegrityError: Not a dataset.
    """
    from assay.data.columns import iter_columns

    table = dataset.info(folder)
    if target:
        dataset.require_columns([target], table.names, "target")
    expectations = list(_table(table))
    for column in iter_columns(folder):
        expectations += _column(column, is_target=column.name == target)
    notes = (
        f"Drafted from {table.rows} rows. It describes that data, not what is right: read it, and "
        "keep what should always hold."
    )
    return {
        "name": f"{target}-draft" if target else "draft",
        "expectations": expectations,
        "meta": {"notes": notes},
    }


def _table(table: DatasetInfo) -> Iterator[dict[str, Any]]:
    yield _expectation(
        "expect_table_columns_to_match_ordered_list",
        {"column_list": list(table.names)},
        "The columns that were there, in order. Use expect_table_columns_to_match_set if their "
        "order may change.",
    )
    low, high = max(2, table.rows // 2), max(2, table.rows * MAX_GROWTH)
    yield _expectation(
        "expect_table_row_count_to_be_between",
        {"min_value": min(low, table.rows), "max_value": high},
        f"There were {table.rows} rows. Fewer than half may be a load that broke off, more than "
        f"{MAX_GROWTH} times as many one that was repeated.",
    )


def _column(column: "Column", *, is_target: bool) -> Iterator[dict[str, Any]]:
    if not column.present:
        return  # validation always refuses columns without values
    yield _missing(column, is_target=is_target)
    yield _type(column)
    distinct = len(column.counts)
    if _is_closed_set(column, distinct, is_target=is_target):
        yield _labels(column, is_target=is_target)
    elif _is_key(column, distinct) and not is_target:
        note = f"All {distinct} values differed, so it looks like a key. Drop it if it is none."
        on = {"column": column.name}
        yield _expectation("expect_column_values_to_be_unique", on, note)
    elif column.type in {"int64", "float64"}:
        yield from _range(column)


def _missing(column: "Column", *, is_target: bool) -> dict[str, Any]:
    on: dict[str, Any] = {"column": column.name}
    kind = "expect_column_values_to_not_be_null"
    if is_target:
        return _expectation(kind, on, "A row without the target teaches nothing.")
    if not column.missing:
        return _expectation(kind, on, "None was missing. Give 'mostly' if some may be.")
    allowed = (1 + RANGE_SLACK) * column.missing / column.rows + MISSING_SLACK
    on["mostly"] = max(0.001, math.floor((1 - allowed) * 1000) / 1000)
    note = f"{column.missing} of {column.rows} were missing; a little more is let through."
    return _expectation(kind, on, note)


def _type(column: "Column") -> dict[str, Any]:
    """An expectation of the type with which `assay.data.read` reads the column."""
    of_type = "expect_column_values_to_be_of_type"
    on: dict[str, Any] = {"column": column.name}
    if column.type == "int64" and column.missing:
        note = "Whole numbers; with missing values they are read as float64."
        kwargs = {**on, "type_list": ["int64", "float64"]}
        return _expectation("expect_column_values_to_be_in_type_list", kwargs, note)
    types = {"string": "str", "date32": "datetime64", "timestamp": "datetime64"}
    notes = {
        "int64": "Whole numbers. Admit float64 too (type_list) if values may be missing.",
        "float64": "Numbers with a fraction.",
        "string": "Text.",
        "bool": "True or false.",
    }
    note = notes.get(column.type, "Dates or times.")
    return _expectation(of_type, {**on, "type_": types.get(column.type, column.type)}, note)


def _is_closed_set(column: "Column", distinct: int, *, is_target: bool) -> bool:
    if distinct > MAX_LABELS:
        return False
    if is_target and column.type in {"string", "int64"}:
        return True
    return column.type == "string" and column.present >= ROWS_PER_LABEL * distinct


def _is_key(column: "Column", distinct: int) -> bool:
    return column.type in {"string", "int64"} and distinct == column.rows > MIN_KEY_ROWS


def _labels(column: "Column", *, is_target: bool) -> dict[str, Any]:
    distinct = column.texts.to_pylist() if column.type == "string" else {*column.entries.tolist()}
    kwargs: dict[str, Any] = {"column": column.name, "value_set": sorted(distinct)}
    if is_target:
        note = f"The {len(distinct)} labels of the target, to the letter."
    else:
        note = f"All {len(distinct)} values that were there."
        once = int((column.counts == 1).sum())
        if once:
            # Good-Turing: the share of values that occur once estimates that of unseen values.
            kwargs["mostly"] = 1 - UNSEEN_SLACK
            note += f" {once} came only once, so that a few new ones are to be expected."
    return _expectation("expect_column_values_to_be_in_set", kwargs, note)


def _range(column: "Column") -> Iterator[dict[str, Any]]:
    values, whole = column.entries, column.type == "int64"
    if not whole:
        values = values[abs(values) < math.inf]
    if not len(values):
        return
    low, high = values.min().item(), values.max().item()
    slack = (float(high) - float(low)) * RANGE_SLACK
    floor, ceiling = _outward(low, -slack, whole=whole), _outward(high, slack, whole=whole)
    note = f"From {low:.6g} to {high:.6g}, with a tenth of that width as slack"
    if low >= 0 > floor:
        floor, note = type(floor)(0), f"{note}; none was below 0"
    if len(values) < column.present:
        note += "; infinite values were left out, and fail"
    kwargs: dict[str, Any] = {"column": column.name, "min_value": floor, "max_value": ceiling}
    if len(values) < column.present:
        kwargs["mostly"] = math.floor(len(values) / column.present * 1000) / 1000 or 0.001
    yield _expectation("expect_column_values_to_be_between", kwargs, f"{note}.")


def _outward(value: float, slack: float, *, whole: bool) -> float:
    """`value` moved by `slack` and rounded to a few digits, but never past `value`."""
    if whole:
        return int(value) + math.trunc(slack)
    moved = float(f"{float(value) + slack:.{_DIGITS}g}")
    beyond = moved <= value if slack < 0 else moved >= value
    return moved if slack and beyond and math.isfinite(moved) else float(value)


def _expectation(kind: str, kwargs: dict[str, Any], note: str) -> dict[str, Any]:
    return {"type": kind, "kwargs": kwargs, "meta": {"notes": note}}
