"""Write and read the parts of a dataset."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

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
"""Number of rows of a batch; limits memory for wide tables and long texts."""

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
"""All settings that the bytes of a part depend on, besides its rows and the version of pyarrow."""


def write(
    batches: "Iterable[pa.RecordBatch]",
    schema: "pa.Schema",
    folder: Path,
    *,
    rows_per_part: int = ROWS_PER_PART,
    findings: "Callable[[], Sequence[Finding]] | Sequence[Finding]" = (),
) -> DatasetInfo:
    """Write a table as a dataset; memory is bounded by two parts.

    NaN is written as a missing value, so that missing numbers have a single representation. After
    an error, `folder` is empty.

    Args:
        batches: The rows, in order; each of `schema`. The sizes of the batches do not matter.
        schema: Fields of Arrow types bool, int64, float64, string, date32, timestamp[us].
        folder: An empty folder.
        rows_per_part: Number of rows of every part except the last, at least 1; part of the
            identity of the dataset.
        findings: The findings, or a function that is called after all rows were read; part of the
            identity of the dataset.

    Returns:
        The description of the dataset.

    Raises:
        DataError: The table has no rows or columns, or types that a dataset does not have.
        UsageError: `rows_per_part` is below 1, or so small that there would be too many parts; or
            a limit is not a number.
    """
    with Writer(schema, folder, rows_per_part=rows_per_part) as writer:
        for batch in batches:
            writer.add(batch)
        return writer.finish(findings)


class Writer:
    """Writes a dataset from rows that are added in batches; see `write`.

    A context manager: after an error within the block, the folder is empty. A second thread writes
    a part while the rows of the next one are added.

    Args:
        schema: As for `write`.
        folder: An empty folder.
        rows_per_part: As for `write`.

    Raises:
        DataError: The table has no columns, or types that a dataset does not have.
        UsageError: `rows_per_part` is below 1; or a limit is not a number.
    """

    def __init__(
        self, schema: "pa.Schema", folder: Path, *, rows_per_part: int = ROWS_PER_PART
    ) -> None:
        if rows_per_part < 1:
            raise UsageError(f"rows_per_part is {rows_per_part}; give at least 1")
        self._columns = _columns(schema)
        self._schema = schema
        self._folder = folder
        self._rows_per_part = rows_per_part
        self._limits = Limits.from_env()
        self._pending: list[pa.RecordBatch] = []
        self._count = self._size = 0
        """Rows and bytes of the pending batches."""
        self._parts: list[Part] = []
        self._profiles: list[statistics.PartStatistics] = []
        self._pool = ThreadPoolExecutor(1)
        self._writing: Future[statistics.PartStatistics] | None = None
        """The part that is being written."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown()
        if kind is not None:
            for part in self._parts:
                (self._folder / part.path).unlink(missing_ok=True)

    def add(self, batch: "pa.RecordBatch") -> None:
        """Add rows after those that were added before.

        Raises:
            DataError: The rows of one part exceed the limit.
            UsageError: There are too many parts.
        """
        rest = batch
        while rest.num_rows:
            if len(self._parts) == MAX_PARTS:
                raise UsageError(
                    f"rows_per_part is {self._rows_per_part}, which makes more than {MAX_PARTS} "
                    "parts; give a larger number"
                )
            piece = rest.slice(0, self._rows_per_part - self._count)
            self._pending.append(piece)
            self._count += piece.num_rows
            self._size += piece.nbytes
            self._limits.check_part(self._size, self._count)
            rest = rest.slice(piece.num_rows)
            if self._count == self._rows_per_part:
                self._write()

    def finish(
        self, findings: "Callable[[], Sequence[Finding]] | Sequence[Finding]" = ()
    ) -> DatasetInfo:
        """Write the last part and the description.

        Args:
            findings: As for `write`.

        Returns:
            The description of the dataset.

        Raises:
            DataError: The table has no rows.
        """
        if self._pending:
            self._write()
        self._wait()
        remarks = findings() if callable(findings) else findings
        return describe(self._folder, self._columns, self._parts, self._profiles, remarks)

    def _write(self) -> None:
        """Write the pending rows as a part, after the part before it was written."""
        self._wait()
        part = Part(part_name(len(self._parts)), self._count)
        self._parts.append(part)
        path = self._folder / part.path
        self._writing = self._pool.submit(_write_rows, self._pending, self._schema, path)
        self._pending, self._count, self._size = [], 0, 0

    def _wait(self) -> None:
        if self._writing is not None:
            self._profiles.append(self._writing.result())
            self._writing = None


def _write_rows(
    batches: "list[pa.RecordBatch]", schema: "pa.Schema", path: Path
) -> statistics.PartStatistics:
    """Write a part, and determine its statistics."""
    import pyarrow.parquet as pq

    table = _joined(batches, schema)
    # One row group, because a part is the unit of reading, caching and reuse.
    pq.write_table(table, path, row_group_size=table.num_rows, **_SETTINGS)
    return statistics.of_table(table)


def describe(
    folder: Path,
    columns: Sequence[tuple[str, str]],
    parts: Sequence[Part],
    profiles: Sequence[statistics.PartStatistics],
    findings: Sequence[Finding],
) -> DatasetInfo:
    """Write the schema, the statistics and the summary of parts that were written.

    Args:
        folder: The folder of the parts.
        columns: Name and dataset type of each column.
        parts: The parts, in order.
        profiles: The statistics of each part.
        findings: Remarks about the table; those beyond `MAX_FINDINGS` are dropped.

    Returns:
        The description of the dataset.

    Raises:
        DataError: There are no parts.
    """
    if not parts:
        raise DataError("the table has no rows; give at least one")
    nulls = [sum(part[name]["nulls"] for part in profiles) for name, _ in columns]
    table = DatasetInfo(
        sum(part.rows for part in parts),
        tuple(Column(*pair, null) for pair, null in zip(columns, nulls, strict=True)),
        tuple(findings)[:MAX_FINDINGS],
    )
    profiled = list(zip(parts, profiles, strict=True))
    document = {"parts": [{"path": part.path, "columns": item} for part, item in profiled]}
    (folder / STATISTICS_FILE).write_bytes(canonical_json(document))
    card.save(folder, table, [(part.rows, item) for part, item in profiled])
    # Last, because a folder without it is not a dataset.
    save(folder, table, parts)
    return table


def iter_batches(
    folder: Path,
    columns: Sequence[str] | None = None,
    rows: int = BATCH_ROWS,
    *,
    encoded: bool = False,
) -> "Iterator[pa.RecordBatch]":
    """The rows in order, in batches.

    Args:
        folder: A dataset.
        columns: The columns to read, in this order; all by default.
        rows: Maximum number of rows of a batch. More than the default are for numbers only: texts
            may be long.
        encoded: Whether texts are dictionary-encoded, as in the file, which is faster to read.

    Returns:
        The batches; each has the columns that were asked for, and at least one row.

    Raises:
        UsageError: A column does not exist.
        IntegrityError: A part is missing, damaged or does not match `schema.json`.
    """
    table, parts = load(folder)
    names = list(table.names if columns is None else columns)
    require_columns(names, table.names, "dataset")
    expected = arrow_schema(folder)
    for part in parts:
        yield from _read_part(folder / part.path, part.rows, expected, names, rows, encoded)


def arrow_schema(folder: Path) -> "pa.Schema":
    """The Arrow schema of a dataset."""
    import pyarrow as pa

    types = arrow_types()
    return pa.schema([pa.field(column.name, types[column.type]) for column in info(folder).columns])


def read(folder: Path, columns: Sequence[str] | None = None) -> "pd.DataFrame":
    """Read a table with types that scikit-learn accepts.

    int64 with missing values becomes float64 with NaN; bool with missing values, and text, become
    object with None; dates and times become datetime64.

    Raises:
        UsageError: A column does not exist.
        IntegrityError: As for `iter_batches`.
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


def _joined(batches: "list[pa.RecordBatch]", schema: "pa.Schema") -> "pa.Table":
    import pyarrow as pa

    # Without metadata of the batches, and with one chunk per column: the bytes of a part must not
    # depend on the batches.
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


def _read_part(
    path: Path,
    rows: int,
    expected: "pa.Schema",
    names: list[str],
    batch_rows: int,
    encoded: bool,
) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Neither memory-mapped nor pre-buffered, which would load the whole part.
        with pq.ParquetFile(
            path,
            read_dictionary=names if encoded else None,
            pre_buffer=False,
            buffer_size=1 << 20,
        ) as file:
            # `schema_arrow` would name the encoding.
            schema = file.metadata.schema.to_arrow_schema()
            if not schema.equals(expected) or file.metadata.num_rows != rows:
                raise IntegrityError(f"{path.name}: columns or rows do not match schema.json")
            for batch in file.iter_batches(batch_rows, columns=names):
                yield batch.select(names)
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise IntegrityError(f"{path.name}: cannot be read: {reason}") from error
