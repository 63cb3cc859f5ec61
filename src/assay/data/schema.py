"""`schema.json`: the columns of a dataset, in JSON, so that reading it does not need pyarrow."""

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
"""Version 1 with `findings`. Datasets without findings have version 1, to keep their digests."""
ROWS_PER_PART: Final = 100_000
SCHEMA_FILE: Final = "schema.json"
STATISTICS_FILE: Final = "statistics.json"
CARD_FILE: Final = "summary.md"
TYPES: Final = ("bool", "int64", "float64", "string", "date32", "timestamp")
NUMERIC_TYPES: Final = ("bool", "int64", "float64")
MAX_SCHEMA_BYTES: Final = 16 << 20
MAX_LISTED: Final = 20
"""Maximum number of columns in an error message."""


@dataclass(frozen=True, slots=True)
class Column:
    """Name, type (one of `TYPES`) and number of missing values of a column."""

    name: str
    type: str
    nulls: int


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """The description of a table in `schema.json`."""

    rows: int
    columns: tuple[Column, ...]
    findings: tuple[Finding, ...] = ()
    """Remarks on how the table was read or created."""

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
            UsageError: The column does not exist; the message suggests a similar one.
        """
        require_columns([name], self.names, "column")
        return self.columns[self.names.index(name)]


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet file of a dataset."""

    path: str
    rows: int


def info(folder: Path) -> DatasetInfo:
    """Read the description of a dataset; needs no Parquet reader.

    Raises:
        IntegrityError: Not a dataset: the file is missing, malformed or of an unknown version.
    """
    return load(folder)[0]


def load(folder: Path) -> tuple[DatasetInfo, tuple[Part, ...]]:
    """Read the description and the parts of a dataset; every field is checked.

    Raises:
        IntegrityError: As for `info`.
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
            f"{SCHEMA_FILE}: not of format {FORMAT} or {FORMAT_WITH_FINDINGS}; was it created by "
            "another version?"
        )
    return _parse(raw)


def _parse(raw: Any) -> tuple[DatasetInfo, tuple[Part, ...]]:
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
    """Write `schema.json`.

    Args:
        folder: The folder of the dataset.
        table: Its description.
        parts: Its parts, in order.
    """
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


def require_columns(names: Iterable[str], known: Sequence[str], what: str) -> None:
    """Check that columns exist.

    Args:
        names: The names to check.
        known: The columns of the table.
        what: Name of the argument or parameter, for the message.

    Raises:
        UsageError: Columns do not exist; the message lists all, with suggestions.
    """
    if problems := column_problems(names, known, what):
        raise UsageError.all_of(problems)


def column_problems(names: Iterable[str], known: Sequence[str], what: str) -> list[str]:
    """Describe the columns that do not exist.

    Args:
        names: The names to check.
        known: The columns of the table.
        what: Name of the argument or parameter, for the messages.

    Returns:
        One line for each name that is not in `known`, with a suggestion.
    """
    existing = set(known)
    listed = known[:MAX_LISTED]
    short = [item if len(item) <= MAX_NAME else f"{item[:MAX_NAME]}…" for item in listed]

    def describe(name: str) -> str:
        close = _close(name, known)
        listing = ", ".join(short) + (", …" if len(known) > MAX_LISTED else "")
        hint = f"did you mean {quoted(close)}?" if close else f"columns are: {listing}"
        return f"{what}: no column {quoted(name)}; {hint}"

    return some([name for name in names if name not in existing], describe)


def _close(name: str, known: Sequence[str]) -> str | None:
    # Ignoring case first, because difflib is case-sensitive.
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
    # The expected path is computed here, so that it cannot leave the folder.
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
