"""Writing and reading a dataset's parts."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assay.core.digest import canonical_json
from assay.core.findings import MAX_FINDINGS, Finding
from assay.core.limits import Limits
from assay.data import card, statistics
from assay.data.schema import (
    ROWS_PER_PART,
    STATISTICS_FILE,
    TYPES,
    Column,
    DatasetInfo,
    Part,
    info,
    load,
    part_name,
    require_columns,
    save,
)
from assay.errors import DataError, IntegrityError, UsageError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MAX_PARTS: Final = 99_000
"""An artifact has at most 100,000 files."""
BATCH_ROWS: Final = 16_384
"""Rows read at a time; bounds memory with wide tables and long texts."""

_SETTINGS: Final = {
    "version": "2.6",
    "data_page_version": "1.0",
    "compression": "zstd",
    "compression_level": 3,
    "use_dictionary": True,
    "write_statistics": True,
    # The Arrow schema would be a second, redundant description of the columns in each part.
    "store_schema": False,
}
"""Everything that decides about a part's bytes, besides its rows and pyarrow's version."""


def write(
    batches: "Iterable[pa.RecordBatch]",
    schema: "pa.Schema",
    folder: Path,
    *,
    rows_per_part: int = ROWS_PER_PART,
    findings: "Callable[[], Sequence[Finding]] | Sequence[Finding]" = (),
) -> DatasetInfo:
    """Write a table as a dataset; memory is bounded by one part.

    NaN is written as a missing value, so that a missing number has one form. After an error
    nothing is left in `folder`.

    Args:
        batches: The rows, in order; each of `schema`. How they are cut does not matter.
        schema: Fields of Arrow types bool, int64, float64, string, date32, timestamp[us].
        folder: An empty folder.
        rows_per_part: Rows of every part but the last, at least 1; part of the dataset's identity.
        findings: What a person should know about the table, or a function that tells it once all
            rows were read; part of the dataset's identity.

    Raises:
        DataError: No rows or columns, or types that a dataset does not have.
        UsageError: `rows_per_part` is below 1, or so small that there would be too many parts; or
            a limit that is no number.
    """
    if rows_per_part < 1:
        raise UsageError(f"rows_per_part is {rows_per_part}; give at least 1")
    columns = _columns(schema)
    parts: list[Part] = []
    found: list[statistics.PartStatistics] = []
    try:
        for table in _parts(batches, schema, rows_per_part):
            parts.append(Part(part_name(len(parts)), table.num_rows))
            _write_part(table, folder / parts[-1].path)
            found.append(statistics.of_table(table))
        told = findings() if callable(findings) else findings
        return _describe(folder, columns, parts, found, told)
    except BaseException:
        for part in parts:
            (folder / part.path).unlink(missing_ok=True)
        raise


def _describe(
    folder: Path,
    columns: Sequence[tuple[str, str]],
    parts: Sequence[Part],
    found: Sequence[statistics.PartStatistics],
    findings: "Sequence[Finding]",
) -> DatasetInfo:
    """Write what is known of the parts."""
    if not parts:
        raise DataError("the table has no rows; give at least one")
    nulls = [sum(part[name]["nulls"] for part in found) for name, _ in columns]
    table = DatasetInfo(
        sum(part.rows for part in parts),
        tuple(Column(*pair, null) for pair, null in zip(columns, nulls, strict=True)),
        tuple(findings)[:MAX_FINDINGS],
    )
    profiled = list(zip(parts, found, strict=True))
    document = {"parts": [{"path": part.path, "columns": item} for part, item in profiled]}
    (folder / STATISTICS_FILE).write_bytes(canonical_json(document))
    card.save(folder, table, [(part.rows, item) for part, item in profiled])
    # Last, because a folder without it is no dataset.
    save(folder, table, parts)
    return table


def iter_batches(folder: Path, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
    """The rows in order, in batches of at most `BATCH_ROWS` rows.

    Args:
        folder: A dataset.
        columns: Those to read, in the order wanted; all by default.

    Raises:
        UsageError: No such column.
        IntegrityError: A part is missing, damaged or not what `schema.json` says.
    """
    table, parts = load(folder)
    wanted = list(table.names if columns is None else columns)
    require_columns(wanted, table.names, "dataset")
    expected = arrow_schema(folder)
    for part in parts:
        yield from _read_part(folder / part.path, part.rows, expected, wanted)


def arrow_schema(folder: Path) -> "pa.Schema":
    """The dataset's schema in Arrow's types."""
    import pyarrow as pa

    types = arrow_types()
    return pa.schema([pa.field(column.name, types[column.type]) for column in info(folder).columns])


def read(folder: Path, columns: Sequence[str] | None = None) -> "pd.DataFrame":
    """The whole table, in types that scikit-learn takes.

    int64 with missing values becomes float64 with NaN; bool with missing values, and text, become
    object with None; dates and times become datetime64.

    Raises:
        UsageError: No such column.
        IntegrityError: As `iter_batches`.
    """
    import pyarrow as pa

    fields = arrow_schema(folder)
    names = list(fields.names if columns is None else columns)
    require_columns(names, fields.names, "dataset")
    schema = pa.schema([fields.field(name) for name in names])
    table = pa.Table.from_batches(iter_batches(folder, names), schema)
    frame: pd.DataFrame = table.to_pandas(date_as_object=False)
    return frame


def arrow_types() -> dict[str, Any]:
    """Arrow's type for each of a dataset's."""
    import pyarrow as pa

    return {
        "bool": pa.bool_(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "string": pa.string(),
        "date32": pa.date32(),
        "timestamp": pa.timestamp("us"),
    }


def _columns(schema: "pa.Schema") -> list[tuple[str, str]]:
    """Name and dataset type of each field."""
    names = {arrow: name for name, arrow in arrow_types().items()}
    problems = [
        f"column {field.name!r} is of type {field.type}; a dataset has {', '.join(TYPES)}"
        for field in schema
        if field.type not in names
    ]
    problems += [
        f"duplicate column {name!r}: {count} times"
        for name, count in Counter(schema.names).items()
        if count > 1
    ]
    if not schema.names:
        problems.append("the table has no columns")
    if problems:
        raise DataError.all_of(problems)
    return [(field.name, names[field.type]) for field in schema]


def _parts(
    batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema", rows_per_part: int
) -> "Iterator[pa.Table]":
    """The rows cut into parts, wherever the batches were cut."""
    limits = Limits.from_env()
    held: list[pa.RecordBatch] = []
    count = number = size = 0
    for batch in batches:
        rest = batch
        while rest.num_rows:
            if number == MAX_PARTS:
                raise UsageError(
                    f"rows_per_part is {rows_per_part}, which makes more than {MAX_PARTS} parts; "
                    "give a larger number"
                )
            taken = rest.slice(0, rows_per_part - count)
            held.append(taken)
            count += taken.num_rows
            size += taken.nbytes
            limits.check_part(size, count)
            rest = rest.slice(taken.num_rows)
            if count == rows_per_part:
                yield _joined(held, schema)
                held, count, size, number = [], 0, 0, number + 1
    if held:
        yield _joined(held, schema)


def _joined(batches: "list[pa.RecordBatch]", schema: "pa.Schema") -> "pa.Table":
    import pyarrow as pa

    # Without names or metadata of the batches' own, and one chunk per column: the bytes of a part
    # must not depend on how the rows arrived.
    plain = pa.schema([pa.field(field.name, field.type) for field in schema])
    table = pa.Table.from_batches([batch.cast(plain) for batch in batches], plain)
    columns = [_without_nan(column) for column in table.combine_chunks().columns]
    return pa.Table.from_arrays(columns, schema=plain)


def _without_nan(column: "pa.ChunkedArray") -> "pa.ChunkedArray":
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_floating(column.type):
        return column
    nan = pc.is_nan(column)
    return pc.if_else(nan, None, column) if pc.any(nan).as_py() else column


def _write_part(table: "pa.Table", path: Path) -> None:
    import pyarrow.parquet as pq

    # One row group, because a part is the unit that is read, cached and re-used.
    pq.write_table(table, path, row_group_size=table.num_rows, **_SETTINGS)


def _read_part(
    path: Path, rows: int, expected: "pa.Schema", wanted: list[str]
) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Neither memory-mapped nor read ahead: both would hold a whole part's bytes.
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
            if not file.schema_arrow.equals(expected) or file.metadata.num_rows != rows:
                raise IntegrityError(f"{path.name}: other columns or rows than schema.json says")
            for batch in file.iter_batches(BATCH_ROWS, columns=wanted):
                yield batch.select(wanted)
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise IntegrityError(f"{path.name}: not a part that can be read: {reason}") from error
