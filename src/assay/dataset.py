"""Datasets: a table as canonical Parquet parts, with a schema that needs no Parquet reader.

The same rows give the same bytes, on any machine, tomorrow: parts hold a fixed number of rows and
are written with fixed settings and no metadata of their own. Appending rows leaves every earlier
full part as it was, so that a store keeps it once.

Files: `part-00000.parquet`, ...; `schema.json` (columns, types, null counts, rows of each part);
`statistics.json` (per part and column: nulls, minimum, maximum). docs/format.md specifies them.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assay.digest import canonical_json
from assay.errors import DataError, IntegrityError, UsageError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

FORMAT: Final = "assay-dataset/1"
ROWS_PER_PART: Final = 100_000
SCHEMA_FILE: Final = "schema.json"
STATISTICS_FILE: Final = "statistics.json"
TYPES: Final = ("bool", "int64", "float64", "string", "date32", "timestamp")
NUMERIC_TYPES: Final = ("bool", "int64", "float64")
MAX_SCHEMA_BYTES: Final = 16 << 20
_COMPRESSION: Final = {"compression": "zstd", "compression_level": 3}
_EXACT_INT: Final = 1 << 53


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, its type (one of `TYPES`) and how many values are missing."""

    name: str
    type: str
    nulls: int


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """What `schema.json` says."""

    rows: int
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """The column called `name`.

        Raises:
            UsageError: No such column; suggests a close one.
        """
        require_columns([name], self.names, "column")
        return self.columns[self.names.index(name)]


def require_columns(wanted: Iterable[str], known: Sequence[str], what: str) -> None:
    """Refuse names that are no columns, all at once.

    Raises:
        UsageError: Names each, with a close name or the columns there are.
    """
    if problems := column_problems(wanted, known, what):
        raise UsageError.all_of(problems)


def column_problems(wanted: Iterable[str], known: Sequence[str], what: str) -> list[str]:
    """One line for each of `wanted` that is not in `known`."""
    problems = []
    for name in wanted:
        if name not in known:
            close = get_close_matches(name, known, n=1, cutoff=0.5)
            listing = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")  # noqa: PLR2004
            hint = f"did you mean {close[0]!r}?" if close else f"columns are: {listing}"
            problems.append(f"{what}: no column {name!r}; {hint}")
    return problems


def write(
    batches: "Iterable[pa.RecordBatch]",
    schema: "pa.Schema",
    folder: Path,
    *,
    rows_per_part: int = ROWS_PER_PART,
) -> DatasetInfo:
    """Write a table as a dataset; memory is bounded by one part.

    Args:
        batches: The rows, in order; each of `schema`.
        schema: Fields of Arrow types bool, int64, float64, string, date32, timestamp[us].
        folder: An empty folder.
        rows_per_part: Rows of every part but the last; part of the dataset's identity.

    Raises:
        DataError: No rows, or a type that a dataset does not have.
    """
    import pyarrow as pa

    plain = pa.schema([pa.field(field.name, field.type) for field in schema])
    types = [_type_name(field) for field in plain]
    nulls = [0] * len(types)
    parts: list[dict[str, Any]] = []
    statistics: list[dict[str, Any]] = []
    for number, table in enumerate(_parts(batches, plain, rows_per_part)):
        name = f"part-{number:05d}.parquet"
        _write_part(table, folder / name)
        parts.append({"path": name, "rows": table.num_rows})
        columns = [_statistics(table.column(index)) for index in range(len(types))]
        nulls = [total + column["nulls"] for total, column in zip(nulls, columns, strict=True)]
        statistics.append({"path": name, "columns": dict(zip(plain.names, columns, strict=True))})
    rows = sum(part["rows"] for part in parts)
    if rows == 0:
        raise DataError("the table has no rows")
    info = DatasetInfo(
        rows,
        tuple(Column(*item) for item in zip(plain.names, types, nulls, strict=True)),
    )
    document = {
        "format": FORMAT,
        "rows": rows,
        "columns": [{"name": c.name, "type": c.type, "nulls": c.nulls} for c in info.columns],
        "parts": parts,
    }
    (folder / SCHEMA_FILE).write_bytes(canonical_json(document))
    (folder / STATISTICS_FILE).write_bytes(canonical_json({"parts": statistics}))
    return info


def info(folder: Path) -> DatasetInfo:
    """What `schema.json` says; needs no Parquet reader.

    Raises:
        IntegrityError: The file is malformed or of another format version.
    """
    raw = _schema(folder)
    columns = tuple(Column(c["name"], c["type"], c["nulls"]) for c in raw["columns"])
    return DatasetInfo(raw["rows"], columns)


def iter_batches(folder: Path, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
    """The rows in order, in batches; memory is bounded by one row group."""
    import pyarrow.parquet as pq

    known = info(folder).names
    require_columns(columns or (), known, "dataset")
    for part in _schema(folder)["parts"]:
        with pq.ParquetFile(folder / part["path"]) as file:
            wanted = list(columns) if columns is not None else list(known)
            for batch in file.iter_batches(columns=wanted):
                yield batch.select(wanted)


def arrow_schema(folder: Path) -> "pa.Schema":
    """The dataset's schema in Arrow's types."""
    import pyarrow as pa

    types = _arrow_types()
    return pa.schema([pa.field(c.name, types[c.type]) for c in info(folder).columns])


def read(folder: Path, columns: Sequence[str] | None = None) -> "pd.DataFrame":
    """The whole table, in types that scikit-learn takes.

    int64 with missing values becomes float64 with NaN; bool with missing values, and text, become
    object with None; dates and times become datetime64.
    """
    import pyarrow as pa

    names = list(columns) if columns is not None else list(info(folder).names)
    fields = arrow_schema(folder)
    schema = pa.schema([fields.field(name) for name in names])
    table = pa.Table.from_batches(iter_batches(folder, names), schema)
    frame: pd.DataFrame = table.to_pandas(date_as_object=False)
    return frame


def _schema(folder: Path) -> dict[str, Any]:
    path = folder / SCHEMA_FILE
    try:
        if path.stat().st_size > MAX_SCHEMA_BYTES:
            raise IntegrityError(f"{SCHEMA_FILE}: larger than {MAX_SCHEMA_BYTES} bytes")
        raw = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise IntegrityError(f"not a dataset: {SCHEMA_FILE} cannot be read ({error})") from error
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise IntegrityError(
            f"{SCHEMA_FILE}: not of format {FORMAT}; was it made by another version?"
        )
    return raw


def _parts(
    batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema", rows_per_part: int
) -> "Iterator[pa.Table]":
    """The rows cut into parts, wherever the batches were cut."""
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        rest = batch
        while rest.num_rows:
            taken = rest.slice(0, rows_per_part - count)
            held.append(taken)
            count += taken.num_rows
            rest = rest.slice(taken.num_rows)
            if count == rows_per_part:
                yield _joined(held, schema)
                held, count = [], 0
    if held:
        yield _joined(held, schema)


def _joined(batches: "list[pa.RecordBatch]", schema: "pa.Schema") -> "pa.Table":
    import pyarrow as pa

    # One chunk per column: the bytes of a part must not depend on how the rows arrived.
    table = pa.Table.from_batches([batch.cast(schema) for batch in batches], schema)
    return table.combine_chunks()


def _write_part(table: "pa.Table", path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(
        table,
        path,
        row_group_size=max(table.num_rows, 1),
        version="2.6",
        data_page_version="1.0",
        use_dictionary=True,
        write_statistics=True,
        store_schema=False,
        **_COMPRESSION,
    )


def _statistics(column: "pa.ChunkedArray") -> dict[str, Any]:
    import pyarrow.compute as pc

    found: dict[str, Any] = {"nulls": column.null_count}
    if column.null_count < len(column):
        bounds = pc.min_max(column).as_py()
        found["min"], found["max"] = _json_value(bounds["min"]), _json_value(bounds["max"])
    return found


def _json_value(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < _EXACT_INT else str(value)
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)  # noqa: PLR0124
    return str(value)


def _arrow_types() -> dict[str, Any]:
    import pyarrow as pa

    return {
        "bool": pa.bool_(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "string": pa.string(),
        "date32": pa.date32(),
        "timestamp": pa.timestamp("us"),
    }


def _type_name(field: Any) -> str:
    for name, arrow in _arrow_types().items():
        if field.type == arrow:
            return name
    raise DataError(
        f"column {field.name!r} is of type {field.type}; a dataset has {', '.join(TYPES)}"
    )
