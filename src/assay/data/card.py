"""`summary.md`: a summary of a dataset for people.

It depends on the schema and the statistics only, so that the digest of the dataset remains a
function of the rows.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from assay.data.schema import CARD_FILE, DatasetInfo
from assay.data.statistics import MAX_VALUES, ColumnStatistics, PartStatistics
from assay.reports.markdown import markdown_text

MAX_COLUMNS: Final = 200
"""Maximum number of columns in the summary; `schema.json` has all."""
SHOWN_VALUES: Final = 8
_ORDERS: Final[dict[str, Callable[[Any], Any]]] = {"bool": int, "int64": int, "float64": float}
"""Conversion of the bounds of a type for comparison."""


def save(folder: Path, table: DatasetInfo, parts: Sequence[tuple[int, PartStatistics]]) -> None:
    """Write `summary.md`.

    Args:
        folder: The folder of the dataset.
        table: Its description.
        parts: Number of rows and statistics of each part.
    """
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
        profiles = [(rows, statistics[column.name]) for rows, statistics in parts]
        missing = f"{column.nulls:,} ({column.nulls / table.rows:.1%})" if column.nulls else "0"
        name, content = markdown_text(column.name), _content(column.type, profiles)
        lines.append(f"| {name} | {column.type} | {missing} | {content} |")
    if len(table.columns) > MAX_COLUMNS:
        lines += ["", f"{len(table.columns) - MAX_COLUMNS:,} more columns are in schema.json."]
    (folder / CARD_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _content(kind: str, parts: Sequence[tuple[int, ColumnStatistics]]) -> str:
    """A short description of a column: its values with their shares, or its range."""
    present = sum(rows - profile["nulls"] for rows, profile in parts)
    if not present:
        return "none"
    counts = _counts([profile for _, profile in parts])
    if counts is not None:
        return _shares(counts, present)
    bounds = [(profile["min"], profile["max"]) for _, profile in parts if "min" in profile]
    if len(bounds) < sum(profile["nulls"] < rows for rows, profile in parts):
        return "long texts"
    # Large and infinite numbers are text in statistics.json, and integers may be beyond the
    # precision of float64. Dates as text sort correctly.
    order = _ORDERS.get(kind, str)
    low, high = min((b[0] for b in bounds), key=order), max((b[1] for b in bounds), key=order)
    return f"{markdown_text(_text(low))} … {markdown_text(_text(high))}"


def _shares(counts: Counter[Any], present: int) -> str:
    # Most frequent first; equally frequent ones in a fixed order.
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0])))
    shares = [
        f"{markdown_text(_text(value))}: {count:,} ({count / present:.1%})"
        for value, count in ranked[:SHOWN_VALUES]
    ]
    rest = len(ranked) - SHOWN_VALUES
    return ", ".join(shares) + (f" and {rest} more" if rest > 0 else "")


def _counts(parts: Sequence[ColumnStatistics]) -> Counter[Any] | None:
    """Counts of each value over all parts; None if a part has too many values."""
    total: Counter[Any] = Counter()
    for profile in parts:
        if "values" not in profile and profile["distinct"]:
            return None
        # Booleans as text, because True and 1 are the same key.
        total.update({_text(value): count for value, count in profile.get("values", ())})
    return total if len(total) <= MAX_VALUES else None


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
