"""`schema.json`: what a dataset's columns are. Pure JSON, so that it is read without pyarrow."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from assay.core.digest import canonical_json
from assay.core.findings import Finding, from_json
from assay.documents import closest, some
from assay.errors import IntegrityError, UsageError
from assay.text import MAX_NAME, quoted

FORMAT: Final = "assay-dataset/1"
FORMAT_WITH_FINDINGS: Final = "assay-dataset/2"
"""Version 1 with `findings`. A dataset without any is of version 1, so that it keeps its digest."""
ROWS_PER_PART: Final = 100_000
SCHEMA_FILE: Final = "schema.json"
STATISTICS_FILE: Final = "statistics.json"
CARD_FILE: Final = "summary.md"
TYPES: Final = ("bool", "int64", "float64", "string", "date32", "timestamp")
NUMERIC_TYPES: Final = ("bool", "int64", "float64")
MAX_SCHEMA_BYTES: Final = 16 << 20
MAX_LISTED: Final = 20
"""Columns that an error message lists."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, its type (one of `TYPES`) and how many values are missing."""

    name: str
    type: str
    nulls: int


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """What `schema.json` says of the table."""

    rows: int
    columns: tuple[Column, ...]
    findings: tuple[Finding, ...] = ()
    """What a person should know about how the table was read or made."""

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(column.name for column in self.columns)

    @property
    def types(self) -> dict[str, str]:
        """The type of each column."""
        return {column.name: column.type for column in self.columns}

    def column(self, name: str) -> Column:
        """The column called `name`.

        Raises:
            UsageError: No such column; suggests a close one.
        """
        require_columns([name], self.names, "column")
        return self.columns[self.names.index(name)]


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet file of a dataset."""

    path: str
    rows: int


def info(folder: Path) -> DatasetInfo:
    """What `schema.json` says; needs no Parquet reader.

    Raises:
        IntegrityError: Not a dataset: the file is missing, malformed or of another format version.
    """
    return load(folder)[0]


def load(folder: Path) -> tuple[DatasetInfo, tuple[Part, ...]]:
    """As `info`, and the parts in order. Every field is checked: the file may be hostile.

    Raises:
        IntegrityError: As `info`.
    """
    path = folder / SCHEMA_FILE
    try:
        if path.stat().st_size > MAX_SCHEMA_BYTES:
            raise IntegrityError(f"{SCHEMA_FILE}: larger than {MAX_SCHEMA_BYTES} bytes")
        raw = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise IntegrityError(f"not a dataset: {SCHEMA_FILE} cannot be read ({error})") from error
    if not isinstance(raw, dict) or raw.get("format") not in {FORMAT, FORMAT_WITH_FINDINGS}:
        raise IntegrityError(
            f"{SCHEMA_FILE}: not of format {FORMAT} or {FORMAT_WITH_FINDINGS}; was it made by "
            "another version?"
        )
    try:
        columns = tuple(_column(item) for item in raw["columns"])
        parts = tuple(_part(item, number) for number, item in enumerate(raw["parts"]))
        rows = _count(raw["rows"])
        findings = from_json(raw["findings"]) if raw["format"] == FORMAT_WITH_FINDINGS else ()
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"{SCHEMA_FILE}: malformed: {error!r}") from error
    if len({column.name for column in columns}) != len(columns):
        raise IntegrityError(f"{SCHEMA_FILE}: duplicate column")
    if sum(part.rows for part in parts) != rows:
        raise IntegrityError(f"{SCHEMA_FILE}: the parts do not add up to {rows} rows")
    return DatasetInfo(rows, columns, findings), parts


def save(folder: Path, table: DatasetInfo, parts: Sequence[Part]) -> None:
    """Write `schema.json`."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "rows": table.rows,
        "columns": [{"name": c.name, "type": c.type, "nulls": c.nulls} for c in table.columns],
        "parts": [{"path": part.path, "rows": part.rows} for part in parts],
    }
    if table.findings:
        document["format"] = FORMAT_WITH_FINDINGS
        document["findings"] = [finding.to_json() for finding in table.findings]
    (folder / SCHEMA_FILE).write_bytes(canonical_json(document))


def require_columns(wanted: Iterable[str], known: Sequence[str], what: str) -> None:
    """Refuse names that are no columns, all at once.

    Raises:
        UsageError: Names each, with a close name or the columns there are.
    """
    if problems := column_problems(wanted, known, what):
        raise UsageError.all_of(problems)


def column_problems(wanted: Iterable[str], known: Sequence[str], what: str) -> list[str]:
    """One line for each of `wanted` that is not in `known`."""
    there = set(known)
    listed = known[:MAX_LISTED]
    short = [item if len(item) <= MAX_NAME else f"{item[:MAX_NAME]}…" for item in listed]

    def tell(name: str) -> str:
        close = _close(name, known)
        listing = ", ".join(short) + (", …" if len(known) > MAX_LISTED else "")
        hint = f"did you mean {quoted(close)}?" if close else f"columns are: {listing}"
        return f"{what}: no column {quoted(name)}; {hint}"

    return some([name for name in wanted if name not in there], tell)


def _close(name: str, known: Sequence[str]) -> str | None:
    # Case first: to difflib, "INCOME" and "income" have nothing in common.
    folded = {item.casefold(): item for item in reversed(known)}
    if name.casefold() in folded:
        return folded[name.casefold()]
    match = closest(name.casefold(), folded, cutoff=0.5)
    return None if match is None else folded[match]


def _column(item: Any) -> Column:
    if not isinstance(item["name"], str) or item["type"] not in TYPES:
        raise ValueError(f"column {item!r}")
    return Column(item["name"], item["type"], _count(item["nulls"]))


def _part(item: Any, number: int) -> Part:
    # A path that is made up here cannot leave the folder.
    if item["path"] != part_name(number):
        raise ValueError(f"part {item['path']!r}")
    return Part(item["path"], _count(item["rows"]))


def part_name(number: int) -> str:
    """The file name of the part with this number, from 0."""
    return f"part-{number:05d}.parquet"


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value
