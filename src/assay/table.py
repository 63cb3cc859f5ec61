"""Reading tables of the outside world: CSV (any delimiter, gzip) and Parquet, as a stream.

A CSV is read twice: once to find each column's type over the whole file, once to convert. Types
are exact: a column is int64 only if every value is a whole number in plain notation, so `007`
stays text. All that is wrong is reported with row numbers; row 1 is the header.
"""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assay.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE_BYTES: Final = 1 << 18
"""Enough to find a delimiter and a header."""
BLOCK_BYTES: Final = 8 << 20
"""CSV is read in such blocks; one row must fit into one."""
MAX_SHOWN: Final = 10
MISSING: Final = ("", "NA", "N/A", "NaN", "nan", "null", "None", "?")
DELIMITERS: Final = ",;\t|"

_GZIP_MAGIC: Final = b"\x1f\x8b"
_PARQUET_MAGIC: Final = b"PAR1"

# Tried in this order; a column has the first type that all its values match. RE2 syntax.
_PATTERNS: Final = {
    "bool": r"^(true|false|True|False|TRUE|FALSE)$",
    "int64": r"^(0|-?[1-9][0-9]{0,17})$",
    "float64": r"^[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$",
    "date32": r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
    "timestamp": (
        r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[T ]"
        r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?$"
    ),
}


@dataclass(frozen=True, slots=True)
class Options:
    """How a CSV is written; ignored for Parquet."""

    delimiter: str = "auto"
    """One character, or `auto`."""
    missing: Sequence[str] = MISSING
    """Texts that mean a missing value."""
    encoding: str = "utf-8"


@dataclass(frozen=True)
class Table:
    """A table to be streamed."""

    schema: "pa.Schema"
    _batches: Any = field(repr=False)

    def batches(self) -> "Iterator[pa.RecordBatch]":
        """The rows, in order; may be called once."""
        return iter(self._batches())


def open_table(path: Path, options: Options | None = None) -> Table:
    """Open a file, or a folder that holds a dataset, by what it is and not by its name.

    Raises:
        DataError: Empty, not a table, ragged, wrongly encoded, duplicate columns; with row numbers.
    """
    if path.is_dir():
        from assay import dataset

        return Table(dataset.arrow_schema(path), lambda: dataset.iter_batches(path))
    with path.open("rb") as stream:
        head = stream.read(4)
    if not head:
        raise DataError(f"{path.name} is empty; give a CSV or Parquet file with a header and rows")
    if head == _PARQUET_MAGIC:
        return _open_parquet(path)
    return _open_csv(path, options or Options())


def read_header(sample: bytes, options: Options | None = None) -> list[str] | None:
    """Column names from the first bytes of a file; None for Parquet, whose names stand at its end.

    Raises:
        DataError: No header can be read, or it repeats a name.
    """
    options = options or Options()
    if sample.startswith(_PARQUET_MAGIC):
        return None
    if sample.startswith(_GZIP_MAGIC):
        # A sample ends in the middle of the stream, which is no error here.
        sample = zlib.decompressobj(wbits=31).decompress(sample, SAMPLE_BYTES)
    return _header(sample, options)[0]


def _header(sample: bytes, options: Options) -> tuple[list[str], str]:
    """Column names and delimiter."""
    try:
        text = sample.decode(options.encoding, errors="replace").removeprefix("\ufeff")
    except LookupError as error:
        raise DataError(
            f"encoding {options.encoding!r} is unknown; use utf-8 or latin-1"
        ) from error
    if not text.strip():
        raise DataError("the file is empty; give a header and rows")
    delimiter = _delimiter(text) if options.delimiter == "auto" else options.delimiter
    if len(delimiter) != 1:
        raise DataError(f"delimiter {delimiter!r}: give one character, or auto")
    names = [name.strip() for name in next(csv.reader(io.StringIO(text), delimiter=delimiter))]
    problems = [f"column {i} has no name" for i, name in enumerate(names, 1) if not name]
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    problems += [f"column {name!r} stands there {names.count(name)} times" for name in repeated]
    if problems:
        raise DataError(f"header (row 1): {'; '.join(problems)}; give each column one name")
    return names, delimiter


def _delimiter(text: str) -> str:
    try:
        return csv.Sniffer().sniff(text[: 1 << 14].rsplit("\n", 1)[0] or text, DELIMITERS).delimiter
    except csv.Error:
        # One column, or text in which several would do: the one that the header has most of.
        first = text.splitlines()[0]
        return max(DELIMITERS, key=first.count)


def _open_parquet(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path.name}: a damaged Parquet file: {_first(error)}") from error
    repeated = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if repeated:
        raise DataError(f"{path.name}: columns stand there more than once: {', '.join(repeated)}")
    target = pa.schema([pa.field(item.name, _plain(item)) for item in schema])

    def batches() -> "Iterator[pa.RecordBatch]":
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches():
                    table = pa.Table.from_batches([batch])
                    yield from table.cast(target).combine_chunks().to_batches()
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{path.name}: cannot be read: {_first(error)}") from error

    return Table(target, batches)


def _plain(item: Any) -> Any:
    """The dataset type that holds a Parquet column's values.

    Raises:
        DataError: No dataset type does.
    """
    import pyarrow as pa

    kind = item.type.value_type if pa.types.is_dictionary(item.type) else item.type
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
    raise DataError(
        f"column {item.name!r} is of type {item.type}; convert it to numbers, text, dates or times"
    )


def _open_csv(path: Path, options: Options) -> Table:
    import pyarrow as pa

    with _stream(path) as stream:
        names, delimiter = _header(stream.read(SAMPLE_BYTES), options)
    reader = _CsvReader(path, options, names, delimiter)
    types = reader.infer()
    from assay.dataset import _arrow_types

    arrow = _arrow_types()
    schema = pa.schema(
        [pa.field(name, arrow[kind]) for name, kind in zip(names, types, strict=True)]
    )

    def batches() -> "Iterator[pa.RecordBatch]":
        for batch in reader.text():
            columns = [
                _convert(column, field.type) for column, field in zip(batch, schema, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return Table(schema, batches)


@dataclass(frozen=True, slots=True)
class _CsvReader:
    """One CSV file, read as text as often as asked."""

    path: Path
    options: Options
    names: list[str]
    delimiter: str

    def infer(self) -> list[str]:
        """The type of each column over the whole file."""
        candidates = [list(_PATTERNS) for _ in self.names]
        filled = [False] * len(self.names)
        rows = 0
        last = None
        for batch in self.text():
            rows += batch.num_rows
            last = batch if batch.num_rows else last
            for index, column in enumerate(batch):
                if column.null_count < len(column):
                    filled[index] = True
                    candidates[index] = [k for k in candidates[index] if _matches(column, k)]
        if rows == 0:
            raise DataError(
                f"{self.path.name}: a header and no rows; give at least one row of data"
            )
        self._check_bytes(last)
        return [
            found[0] if any_value and found else "string"
            for found, any_value in zip(candidates, filled, strict=True)
        ]

    def text(self) -> "Iterator[pa.RecordBatch]":
        """The rows as text, with nulls where values are missing."""
        import pyarrow as pa
        from pyarrow import csv as pa_csv

        ragged = _Ragged()
        with _stream(self.path) as stream:
            try:
                yield from pa_csv.open_csv(
                    pa.PythonFile(stream, "r"),
                    read_options=pa_csv.ReadOptions(
                        block_size=BLOCK_BYTES,
                        column_names=self.names,
                        skip_rows=1,
                        encoding=self.options.encoding,
                        use_threads=False,
                    ),
                    parse_options=pa_csv.ParseOptions(
                        delimiter=self.delimiter,
                        newlines_in_values=True,
                        invalid_row_handler=ragged,
                    ),
                    convert_options=pa_csv.ConvertOptions(
                        column_types=dict.fromkeys(self.names, pa.string()),
                        null_values=list(self.options.missing),
                        strings_can_be_null=True,
                        quoted_strings_can_be_null=True,
                    ),
                )
            except (pa.ArrowInvalid, UnicodeDecodeError, OSError, EOFError, zlib.error) as error:
                raise self._error(error) from error
        ragged.check(self.path.name, len(self.names))

    def _check_bytes(self, last: "pa.RecordBatch") -> None:
        """Refuse what a reader takes in silence: NUL bytes, and a quote that is never closed."""
        quotes, line, nul = 0, 1, 0
        with _stream(self.path) as stream:
            while chunk := stream.read(BLOCK_BYTES):
                if not nul and (found := chunk.find(b"\0")) >= 0:
                    nul = line + chunk.count(b"\n", 0, found)
                quotes += chunk.count(b'"')
                line += chunk.count(b"\n")
        if nul:
            raise DataError(
                f"{self.path.name}: a NUL byte in line {nul}; is it binary, or UTF-16? "
                "save it as UTF-8 text"
            )
        # An odd number of quotes alone may be inches; together with a last row that runs over
        # lines it is a quote that swallowed the rest of the file.
        row = last.slice(last.num_rows - 1).to_pylist()[0]
        if quotes % 2 and any("\n" in (value or "") for value in row.values()):
            raise DataError(
                f"{self.path.name}: a quote that opens in the last row read is never closed; "
                "everything after it was taken for one value"
            )

    def _error(self, error: Exception) -> DataError:
        reason = _first(error)
        if "straddl" in reason:
            return DataError(
                f"{self.path.name}: a row longer than {BLOCK_BYTES} bytes; is a quote never closed?"
            )
        if "UTF8" in reason or isinstance(error, UnicodeDecodeError):
            rows = self._undecodable()
            if rows:
                return DataError(
                    f"{self.path.name}: not {self.options.encoding} in row{'s' * (len(rows) > 1)} "
                    f"{', '.join(map(str, rows))}; give the right encoding, such as latin-1"
                )
        if "Empty CSV" in reason:
            return DataError(
                f"{self.path.name}: a header and no rows; give at least one row of data"
            )
        return DataError(f"{self.path.name}: not readable as CSV: {reason}")

    def _undecodable(self) -> list[int]:
        rows = []
        with _stream(self.path) as stream:
            for number, line in enumerate(stream, 1):
                try:
                    line.decode(self.options.encoding)
                except UnicodeDecodeError:
                    rows.append(number)
                    if len(rows) == MAX_SHOWN:
                        break
        return rows


class _Ragged:
    """Collects rows with the wrong number of fields, so that all are reported at once."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, int]] = []
        self._count = 0

    def __call__(self, row: Any) -> str:
        self._count += 1
        if len(self._rows) < MAX_SHOWN:
            # Arrow counts from the first row of data; a reader counts lines, the header too.
            self._rows.append(((row.number or 0), row.actual_columns))
        return "skip"

    def check(self, name: str, expected: int) -> None:
        """Raise for all of them together."""
        if not self._count:
            return
        shown = ", ".join(f"row {number} has {fields}" for number, fields in self._rows)
        more = f", and {self._count - MAX_SHOWN} more rows" if self._count > MAX_SHOWN else ""
        raise DataError(
            f"{name}: {self._count} rows without the header's {expected} fields: {shown}{more}; "
            "mend them, or quote fields that hold the delimiter"
        )


def _stream(path: Path) -> Any:
    with path.open("rb") as stream:
        compressed = stream.read(2) == _GZIP_MAGIC
    return gzip.open(path, "rb") if compressed else path.open("rb")


def _matches(column: Any, kind: str) -> bool:
    import pyarrow.compute as pc

    return bool(pc.all(pc.match_substring_regex(column, _PATTERNS[kind]), min_count=0).as_py())


def _convert(column: Any, kind: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(kind):
        return column
    if pa.types.is_boolean(kind):
        return pc.equal(pc.utf8_lower(column), "true")
    try:
        return pc.cast(column, kind)
    except pa.ArrowInvalid as error:
        # Text that looks like a date and is none, such as 2023-02-30.
        raise DataError(f"a value that is no {kind}: {_first(error)}; mend it") from error


def _first(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error).splitlines()[0] if str(error) else repr(error))
