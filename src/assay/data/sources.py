"""Open external tables as streams: CSV, Parquet, or the folder of a dataset.

The type of a file is determined by its first bytes, not by its name.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assay.core.findings import Finding, merged
from assay.core.limits import Limits
from assay.data import parquet_types
from assay.data.csv_source import (
    CsvFile,
    Options,
    header_problems,
    open_csv,
    schema_of,
)
from assay.data.file_kinds import HEAD_BYTES
from assay.data.one_pass import OnePass, TypesChangedError
from assay.data.parquet import BATCH_ROWS, arrow_schema, iter_batches, write
from assay.data.schema import ROWS_PER_PART, DatasetInfo, column_problems, info
from assay.data.text_types import Inference
from assay.data.years import require_years
from assay.errors import DataError
from assay.text import quoted

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET_MAGIC: Final = b"PAR1"

__all__ = ["Options", "Table", "open_table", "write_table"]


@dataclass(frozen=True)
class Table:
    """A table that can be streamed; a CSV has been checked completely."""

    schema: "pa.Schema"
    batches: "Callable[[], Iterator[pa.RecordBatch]]" = field(repr=False)
    """The rows, in order."""
    findings: "Callable[[], Sequence[Finding]]" = field(repr=False, default=tuple)
    """The findings; complete after the rows were read."""


def open_table(
    path: Path, options: Options | None = None, *, required: Sequence[tuple[str, str]] = ()
) -> Table:
    """Open a CSV or Parquet file, or the folder of a dataset.

    Args:
        path: The file or folder.
        options: Options for a CSV.
        required: Columns that must exist, each with its purpose: `("target", "income")`.

    Returns:
        The table.

    Raises:
        DataError: Not a table; the message lists all problems with row numbers (the header is
            row 1).
        IntegrityError: A folder that is not a dataset.
    """
    if path.is_dir():
        return _open_dataset(path, required)
    if _is_parquet(path):
        return _open_parquet(path, required)
    return _open_csv(path, options or Options(), required)


def write_table(
    path: Path,
    options: Options,
    folder: Path,
    *,
    required: Sequence[tuple[str, str]] = (),
    rows_per_part: int = ROWS_PER_PART,
) -> DatasetInfo:
    """Write an external table as a dataset, like `open_table` and `assay.data.write`.

    A CSV is read once instead of twice if its first rows have the types of all rows.

    Args:
        path: As for `open_table`.
        options: Options for a CSV.
        folder: An empty folder.
        required: As for `open_table`.
        rows_per_part: As for `assay.data.write`.

    Returns:
        The description of the dataset.

    Raises:
        DataError: As for `open_table` and `assay.data.write`.
        IntegrityError: A folder that is not a dataset.
        UsageError: As for `assay.data.write`.
    """
    if not path.is_dir() and not _is_parquet(path):
        file = open_csv(path, options)
        if not file.header.problems and not _absent(required, file.header.names):
            return _write_csv(file, folder, rows_per_part)
    table = open_table(path, options, required=required)
    return write(
        table.batches(),
        table.schema,
        folder,
        rows_per_part=rows_per_part,
        findings=table.findings,
    )


def _write_csv(file: CsvFile, folder: Path, rows_per_part: int) -> DatasetInfo:
    reading = OnePass(file)
    schema = schema_of(file.header, reading.kinds)

    def findings() -> list[Finding]:
        return reading.findings() + _index_findings(file)

    try:
        rows = reading.batches(schema)
        return write(rows, schema, folder, rows_per_part=rows_per_part, findings=findings)
    except TypesChangedError:
        kinds = reading.kinds
    schema = schema_of(file.header, kinds)
    rows = file.batches(schema, kinds)
    return write(rows, schema, folder, rows_per_part=rows_per_part, findings=findings)


def _index_findings(file: CsvFile) -> list[Finding]:
    return parquet_types.kept_index(parquet_types.index_like(file.header.names))


def _is_parquet(path: Path) -> bool:
    """Whether a file begins like a Parquet file.

    Raises:
        DataError: The file is empty.
    """
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    if not head:
        raise DataError(f"{path.name} is empty; give a CSV or Parquet file with a header and rows")
    return head.startswith(PARQUET_MAGIC)


def _open_dataset(folder: Path, required: Sequence[tuple[str, str]]) -> Table:
    schema = arrow_schema(folder)
    _refuse("the dataset", _absent(required, schema.names))
    return Table(schema, lambda: iter_batches(folder), lambda: info(folder).findings)


def _open_csv(path: Path, options: Options, required: Sequence[tuple[str, str]]) -> Table:
    file = open_csv(path, options)
    if len(file.header.names) == 1 and _absent(required, file.header.names):
        # The file is not quoted, because it may contain anything, such as a password.
        missing = ", ".join(f"{what} {quoted(name)}" for what, name in required)
        raise DataError(
            f"{path.name}: one column only, and it is not the {missing}; is it a table? if so, set "
            "delimiter"
        )
    problems = [*file.header.problems, *_absent(required, file.header.names)]
    try:
        kinds, findings = file.infer()
    except DataError as error:
        if not problems:
            raise
        if file.doubt:
            raise DataError.all_of([f"{path.name}: {file.doubt}", str(error)]) from error
        # Problems of header and rows are reported together.
        raise DataError.all_of([f"{path.name}: {'; '.join(problems)}", str(error)]) from error
    _refuse(path.name, problems)
    schema = schema_of(file.header, kinds)
    findings += _index_findings(file)
    return Table(schema, lambda: file.batches(schema, kinds), lambda: findings)


def _open_parquet(path: Path, required: Sequence[tuple[str, str]]) -> Table:
    import pyarrow as pa

    limits = Limits.from_env()
    footer = parquet_types.read_footer(path, limits)
    arrow = footer.schema.to_arrow_schema()
    dropped, findings = parquet_types.index_columns(arrow)
    kept = [item for item in arrow if item.name not in dropped]
    names = [item.name for item in kept]
    problems = header_problems(names)
    wide, of_decimals = parquet_types.wide_decimals(path, kept)
    findings += of_decimals
    plain = {
        item.name: None
        if parquet_types.extension(item)
        else wide.get(item.name) or _plain(item.type)
        for item in kept
    }
    problems += [
        f"column {quoted(item.name)} is of type {parquet_types.extension(item) or item.type}; make "
        "it numbers, text, dates or times"
        for item in kept
        if plain[item.name] is None
    ]
    _refuse(path.name, [*problems, *_absent(required, names)])
    schema = pa.schema([pa.field(name, plain[name]) for name in names])
    encoded = parquet_types.dictionary_encoded(footer, schema)
    old_times = parquet_types.int96_columns(footer, schema)

    texts = {item.name: Inference(fixed=True) for item in schema if pa.types.is_string(item.type)}

    def batches() -> "Iterator[pa.RecordBatch]":
        if old_times:
            _check_int96(path, old_times)
        for batch in _parquet_batches(path, schema, encoded, limits):
            for name, inference in texts.items():
                inference.add(batch.column(name))
            yield batch

    def all_findings() -> list[Finding]:
        known = {name for finding in findings for name in finding.columns}
        of_texts = [texts[name].finding(name) for name in texts if name not in known]
        return [*findings, *merged(filter(None, of_texts))]

    return Table(schema, batches, all_findings)


def _check_int96(path: Path, columns: list[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    readings = [
        pq.ParquetFile(path, pre_buffer=False, coerce_int96_timestamp_unit=unit).iter_batches(
            columns=columns
        )
        for unit in ("ns", "us")
    ]
    try:
        for exact, far in zip(*readings, strict=True):
            for name in columns:
                parquet_types.check_int96(exact.column(name), far.column(name))
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path.name}: columns {', '.join(map(quoted, columns))}: {_line(error)}; write times "
            "as microseconds"
        ) from error


def _parquet_batches(
    path: Path, schema: "pa.Schema", encoded: list[str], limits: Limits
) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa
    import pyarrow.parquet as pq

    begin = size = 0
    try:
        # Dictionary-encoded columns stay small in memory until their size was checked.
        with pq.ParquetFile(
            path,
            pre_buffer=False,
            buffer_size=1 << 20,
            read_dictionary=encoded,
            # In nanoseconds, times before 1677 and after 2262 would overflow.
            coerce_int96_timestamp_unit="us",
        ) as file:
            rows = parquet_types.batch_rows(file.metadata, limits, BATCH_ROWS)
            for batch in file.iter_batches(rows, columns=schema.names):
                limits.check_time(path.name)
                decoded = sum(map(parquet_types.decoded_bytes, batch.columns))
                limits.check_part(decoded, batch.num_rows)
                size += decoded
                limits.check_unpacked(size, limits.table_bytes, path.name)
                columns = [_cast(batch.column(item.name), item, begin) for item in schema]
                begin += batch.num_rows
                yield pa.RecordBatch.from_arrays(columns, schema=schema)
    except _CannotHold as error:
        raise DataError(f"{path.name}: {error}") from error
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path.name}: cannot be read: {_line(error)}; write it again") from error


class _CannotHold(Exception):  # noqa: N818 - never leaves this module
    """A value that the type of the dataset cannot represent."""


def _cast(column: "pa.Array", item: Any, begin: int) -> "pa.Array":
    import pyarrow as pa

    try:
        if pa.types.is_decimal(column.type) and pa.types.is_string(item.type):
            return parquet_types.as_text(column)
        if pa.types.is_decimal(column.type) and pa.types.is_floating(item.type):
            # The cast of Arrow is not correctly rounded: it converts 0.47 to the next number.
            column = column.cast(pa.string())
        cast = column.cast(item.type)
        # The encoding of texts has not been validated yet.
        cast.validate(full=True)
        require_years(cast)
    except pa.ArrowInvalid as error:
        raise _CannotHold(
            f"column {quoted(item.name)}, rows {begin + 1:,} to {begin + len(column):,}: a value "
            f"that {item.type} cannot represent ({_line(error)}); convert the column"
        ) from error
    return cast


def _plain(kind: Any) -> Any:
    """The dataset type for the values of a Parquet column; None if there is none."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    for test, plain in (
        (pa.types.is_boolean, pa.bool_()),
        (pa.types.is_integer, pa.int64()),
        (pa.types.is_floating, pa.float64()),
        (pa.types.is_decimal, pa.float64()),
        (pa.types.is_string, pa.string()),
        (pa.types.is_large_string, pa.string()),
        (pa.types.is_null, pa.string()),
        (pa.types.is_date, pa.date32()),
        (pa.types.is_timestamp, pa.timestamp("us")),
    ):
        if test(kind):
            return plain
    return None


def _absent(required: Sequence[tuple[str, str]], names: Sequence[str]) -> list[str]:
    problems = []
    for what, name in required:
        problems += column_problems([name], names, what)
    return problems


def _refuse(name: str, problems: Sequence[str]) -> None:
    if problems:
        raise DataError(f"{name}: {'; '.join(problems)}")


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
