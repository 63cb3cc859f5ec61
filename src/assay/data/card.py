"""`summary.md`: a dataset's card for people.

It follows from schema and statistics alone, so that one table has one card whoever wrote it and
the dataset's digest stays a function of the rows.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from assay.data.schema import CARD_FILE, DatasetInfo
from assay.data.statistics import MAX_VALUES, ColumnStatistics, PartStatistics
from assay.reports.markdown import markdown_text

MAX_COLUMNS: Final = 200
"""Columns that the card lists; the rest stands in `schema.json`."""
SHOWN_VALUES: Final = 8
_ORDERS: Final[dict[str, Callable[[Any], Any]]] = {"bool": int, "int64": int, "float64": float}
"""What the bounds of a type are compared as."""


def save(folder: Path, table: DatasetInfo, parts: Sequence[tuple[int, PartStatistics]]) -> None:
    """Write `summary.md`; `parts` are the parts' row counts and statistics."""
    lines = [
        f"# Dataset: {table.rows:,} rows, {len(table.columns):,} columns",
        "",
    ]
    if table.findings:
        lines += ["## Findings", "", *(f"- {markdown_text(f.line)}" for f in table.findings), ""]
    lines += [
        "| column | type | missing | values |",
        "| --- | --- | ---: | --- |",
    ]
    for column in table.columns[:MAX_COLUMNS]:
        found = [(rows, statistics[column.name]) for rows, statistics in parts]
        missing = f"{column.nulls:,} ({column.nulls / table.rows:.1%})" if column.nulls else "0"
        name, content = markdown_text(column.name), _content(column.type, found)
        lines.append(f"| {name} | {column.type} | {missing} | {content} |")
    if len(table.columns) > MAX_COLUMNS:
        lines += ["", f"{len(table.columns) - MAX_COLUMNS:,} more columns are in schema.json."]
    (folder / CARD_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _content(kind: str, parts: Sequence[tuple[int, ColumnStatistics]]) -> str:
    """What a column holds, in a few words: its values with their shares, or its range."""
    present = sum(rows - found["nulls"] for rows, found in parts)
    if not present:
        return "none"
    counts = _counts([found for _, found in parts])
    if counts is not None:
        # Most frequent first; equally frequent ones in a fixed order.
        ranked = sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0])))
        shown = [
            f"{markdown_text(_text(value))}: {count:,} ({count / present:.1%})"
            for value, count in ranked[:SHOWN_VALUES]
        ]
        rest = len(ranked) - SHOWN_VALUES
        return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")
    bounds = [(found["min"], found["max"]) for _, found in parts if "min" in found]
    if len(bounds) < sum(found["nulls"] < rows for rows, found in parts):
        return "long texts"
    # Large and infinite numbers are text in statistics.json, whole ones beyond what float64 tells
    # apart; dates as text are in order as they are.
    order = _ORDERS.get(kind, str)
    low, high = min((b[0] for b in bounds), key=order), max((b[1] for b in bounds), key=order)
    return f"{markdown_text(_text(low))} … {markdown_text(_text(high))}"


def _counts(parts: Sequence[ColumnStatistics]) -> Counter[Any] | None:
    """Counts of each value over all parts; None when a part has too many to count."""
    total: Counter[Any] = Counter()
    for found in parts:
        if "values" not in found and found["distinct"]:
            return None
        # Booleans as text, because True and 1 are one key.
        total.update({_text(value): count for value, count in found.get("values", ())})
    return total if len(total) <= MAX_VALUES else None


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
