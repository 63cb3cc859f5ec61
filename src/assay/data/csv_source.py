"""Read a CSV as a stream: RFC 4180 with any delimiter and encoding, optionally gzip.

The file is read in bounded memory: twice, to determine the types of the columns and to convert
them, or once with `OnePass`, if the types of the first rows are those of all. It is parsed by
pyarrow, which accepts misplaced quotes and then returns wrong cells, so `quotes` checks them. If a
row is wrong, `csv_check` reads the file again with a slower parser to locate it. Blanks and tabs
around cells are removed.
"""

import codecs
import csv
import functools
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from assay.core.digest import CHUNK_BYTES
from assay.core.findings import Finding
from assay.core.limits import MOST_BY_GZIP, Limits
from assay.data import csv_bytes
from assay.data.column_types import ColumnTypes
from assay.data.csv_bytes import READ_ERRORS, is_gzip, open_bytes, sentinel
from assay.data.file_kinds import HEAD_BYTES, not_a_table
from assay.data.quotes import Quotes
from assay.data.text_types import MISSING_VALUES, convert, dataset_type
from assay.errors import DataError, UsageError
from assay.text import quoted

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE_BYTES: Final = 1 << 18
"""Sample size that suffices to detect a delimiter and most headers."""
MAX_NAMED: Final = 10
"""Maximum number of columns in a message; it gives the number of the others."""
LOOKED_AT_ROWS: Final = 50
"""Number of rows that are checked to determine whether a file is a table."""
SNIFFED_CHARACTERS: Final = 1 << 14
DELIMITERS: Final = ",;\t|"
DECLARED: Final = re.compile(r'"?sep=(?P<mark>[^"\r\n])"?[;,\t ]*\r?\n')
"""A line before the header that declares the delimiter for Excel."""
BLANKS: Final = " \t"
MOST_PARSED: Final = 1000
"""Maximum number of characters of the texts for missing values that the parser detects itself."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options for reading a CSV; ignored for Parquet."""

    delimiter: str = "auto"
    """One ASCII character, or `auto`; `\\t` and `tab` mean a tab."""
    missing: Sequence[str] = MISSING_VALUES
    """Texts for missing values, compared after removing blanks around the cell."""
    encoding: str = "utf-8"
    decimal: str = "."
    """The decimal mark of numbers, a point or a comma."""

    @classmethod
    def given(
        cls,
        delimiter: str,
        missing_values: Sequence[object],
        encoding: str,
        rows_per_part: int,
        decimal: str = ".",
    ) -> "Options":
        """Check the parameters of a step, which may be any JSON, and convert them to options.

        Args:
            delimiter: As for `Options`.
            missing_values: As for `Options.missing`.
            encoding: As for `Options`.
            rows_per_part: Number of rows of a part of the dataset, which is only checked here.
            decimal: As for `Options`.

        Returns:
            The options.

        Raises:
            UsageError: `missing_values` are not texts, `decimal` is not a decimal mark, or
                `rows_per_part` is below 1.
        """
        problems = [
            f"missing_values: {text!r} is not a text; put it into quotes"
            for text in missing_values
            if not isinstance(text, str)
        ]
        if rows_per_part < 1:
            problems.append(f"rows_per_part is {rows_per_part}; give at least 1")
        if decimal not in {".", ","}:
            problems.append(f"decimal is {decimal!r}; give '.' or ','")
        if problems:
            raise UsageError.all_of(problems)
        return cls(delimiter, tuple(map(str, missing_values)), encoding, decimal)


@dataclass(frozen=True, slots=True)
class Header:
    """The first row and the problems with it."""

    names: tuple[str, ...]
    delimiter: str
    problems: tuple[str, ...]
    declared: bool = False
    """Whether it follows a line such as `sep=;`, which declares the delimiter for Excel."""
    tied: str = ""
    """Other delimiters that fit equally well."""


@dataclass(frozen=True)
class CsvFile:
    """A CSV file that can be read repeatedly."""

    path: Path
    options: Options
    header: Header
    limits: Limits
    doubt: str = ""
    """Why it may not be a table; see `doubts`."""

    @property
    def block_bytes(self) -> int:
        """Block size for reading the file; the maximum size of a row.

        A block of a wide table must have many rows, because each column of each block has a cost.
        """
        return max(csv_bytes.BLOCK_BYTES, csv_bytes.COLUMN_BYTES * len(self.header.names))

    def infer(self) -> tuple[list[str], list[Finding]]:
        """The type of each column over the whole file, and the findings about them.

        Raises:
            DataError: Rows are wrong; the message lists all problems with row numbers.
        """
        types = ColumnTypes(self.header.names, self.options.decimal)
        for batch in self.text():
            types.add(batch)
        return types.kinds, self.findings(types)

    def findings(self, types: ColumnTypes) -> list[Finding]:
        """The findings about the file and its types.

        Args:
            types: The types after all rows were added.

        Raises:
            DataError: There are no rows.
        """
        if not types.rows:
            raise DataError(
                f"{self.path.name}: a header and no rows; give at least one row of data"
            )
        return [
            *self._encoding_finding(),
            *self._delimiter_finding(),
            *self._blank_lines_finding(),
            *types.findings(),
        ]

    def _delimiter_finding(self) -> list[Finding]:
        """Whether the file may have another delimiter as well."""
        if not self.header.tied:
            return []
        others = ", ".join(map(repr, self.header.tied))
        return [
            Finding(
                "delimiter-tie",
                f"the delimiter may be {self.header.delimiter!r}, by which the file was read, or "
                f"{others}: all rows have as many fields by either; set delimiter",
                self.header.names,
            )
        ]

    def _blank_lines_finding(self) -> list[Finding]:
        """A finding if a table of one column has blank lines, which may be missing values."""
        if len(self.header.names) > 1:
            return []
        count = pending = 0
        started = False
        with (
            open_bytes(self.path) as stream,
            io.TextIOWrapper(stream, self.options.encoding) as text,
        ):
            while line := text.readline(csv_bytes.BLOCK_BYTES):
                if line.strip():
                    # Blank lines before the first and after the last row are ignored.
                    count, pending, started = count + pending, 0, True
                elif started:
                    pending += 1
        if not count:
            return []
        return [
            Finding(
                "blank-lines",
                f"{count:,} blank lines are not counted as rows; if they are missing values of "
                "the one column, write NA into them",
                self.header.names,
            )
        ]

    def _encoding_finding(self) -> list[Finding]:
        """A finding if a file that was read in another encoding is valid UTF-8.

        Single-byte encodings can decode every file, so a wrong encoding is not an error.
        """
        if _is_unicode(self.options.encoding):
            return []
        decoder, ascii_only = codecs.getincrementaldecoder("utf-8")(), True
        with open_bytes(self.path) as stream:
            try:
                while chunk := stream.read(CHUNK_BYTES):
                    ascii_only = ascii_only and chunk.isascii()
                    decoder.decode(chunk)
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                return []
        if ascii_only:
            return []
        return [
            Finding(
                "is-utf-8",
                f"the file is valid UTF-8, and was read as {self.options.encoding}, in which its "
                "letters beyond ASCII are others: set encoding='utf-8'",
            )
        ]

    def batches(self, schema: "pa.Schema", kinds: Sequence[str]) -> "Iterator[pa.RecordBatch]":
        """The rows, converted to the types from `infer`."""
        for batch in self.text(checked=True):
            yield self.converted(batch, schema, kinds)

    def converted(
        self,
        batch: "pa.RecordBatch",
        schema: "pa.Schema",
        kinds: Sequence[str],
        known: "Sequence[pa.Array | None]" = (),
    ) -> "pa.RecordBatch":
        """Convert rows.

        Args:
            batch: The rows as text.
            schema: The schema of the result.
            kinds: The types.
            known: The columns that are converted already, None for the others; empty for none.

        Returns:
            The converted rows.

        Raises:
            DataError: A value does not have the type.
        """
        import pyarrow as pa

        decimal = self.options.decimal
        try:
            columns = [
                convert(column, kind, decimal) if values is None else values
                for column, kind, values in zip(
                    batch.columns, kinds, known or [None] * len(kinds), strict=True
                )
            ]
        except pa.ArrowInvalid as error:
            raise DataError(
                f"{self.path.name} changed while it was read; give a file that is not being written"
            ) from error
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def text(self, *, checked: bool = False) -> "Iterator[pa.RecordBatch]":
        """The rows as text without surrounding blanks, and null for missing values.

        Args:
            checked: Whether the quotes of the file were checked already.

        Raises:
            DataError: Rows are wrong; the message lists all problems with row numbers.
        """
        import pyarrow as pa

        previous = None
        started = False
        try:
            with open_bytes(self.path) as stream:
                for batch in self._parsed(stream, checked=checked):
                    self.limits.check_time(self.path.name)
                    # The first row is the header, parsed like the others because it may span lines.
                    rows = batch if started else batch.slice(1)
                    started = True
                    if rows.num_rows:
                        if previous is not None:
                            yield self._clean(previous)
                        previous = rows
        except (_BadRows, pa.ArrowInvalid, UnicodeError, *READ_ERRORS) as error:
            raise self._diagnosis(error) from error
        if previous is None or previous.column(0)[-1].as_py() != sentinel(self.header.delimiter):
            raise self._diagnosis(_BadRows("a quote is never closed"))
        yield self._clean(previous.slice(0, previous.num_rows - 1))

    def _parsed(self, stream: IO[bytes], *, checked: bool) -> "Iterator[pa.RecordBatch]":
        import pyarrow as pa
        from pyarrow import csv as pa_csv

        # Numbers instead of names, because names may be duplicates, which is reported elsewhere.
        numbers = [str(index) for index in range(len(self.header.names))]
        end = self.header.delimiter.join([sentinel(self.header.delimiter)] * len(numbers))
        quotes = Quotes(self.header.delimiter)
        source = _Utf8(stream, self, f"\n{end}\n".encode(), None if checked else quotes)
        reader = pa_csv.open_csv(
            pa.PythonFile(source, "r"),
            read_options=pa_csv.ReadOptions(
                block_size=self.block_bytes, column_names=numbers, use_threads=True
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=self.header.delimiter, newlines_in_values=True
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(numbers, pa.string()),
                strings_can_be_null=True,
                null_values=list(self._parsed_missing),
            ),
        )
        for batch in reader:
            if source.nul or quotes.stray:
                break
            yield batch
        if source.nul:
            raise _BadRows("a NUL byte")
        if quotes.stray:
            raise _BadRows("a misplaced quote")

    @functools.cached_property
    def _missing(self) -> tuple[str, ...]:
        return tuple(sorted({text.strip(BLANKS) for text in self.options.missing}))

    @functools.cached_property
    def _parsed_missing(self) -> tuple[str, ...]:
        """The texts that the parser makes null: all for missing values, or none."""
        few = sum(map(len, self._missing)) <= MOST_PARSED
        # As a missing value, the additional last row would not be found.
        return self._missing if few and sentinel(self.header.delimiter) not in self._missing else ()

    def _clean(self, batch: "pa.RecordBatch") -> "pa.RecordBatch":
        import pyarrow as pa
        import pyarrow.compute as pc

        missing = pa.array(self._missing, pa.string())
        parsed = self._missing == self._parsed_missing
        columns = []
        for column in batch.columns:
            # The parser has found the missing values that have no blanks around them.
            if parsed and not _has_blanks(column):
                columns.append(column)
                continue
            trimmed = pc.ascii_trim(column, BLANKS)
            absent = pc.is_in(trimmed, missing)
            columns.append(pc.if_else(absent, pa.scalar(None, pa.string()), trimmed))
        return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)

    def _diagnosis(self, error: Exception) -> DataError:
        from assay.data.csv_check import problems

        messages = problems(self)
        reason = " ".join(str(error).split()) or type(error).__name__
        return DataError.all_of(
            messages or [f"not readable as CSV: {reason}"], where=self.path.name
        )


def _has_blanks(column: "pa.Array") -> bool:
    content = column.buffers()[2]
    texts = b"" if content is None else content.to_pybytes()
    return any(blank.encode() in texts for blank in BLANKS)


def open_csv(path: Path, options: Options) -> CsvFile:
    """Open a CSV file and read its header; see `Header.problems`.

    Raises:
        DataError: The header cannot be read, or the encoding or delimiter is not valid.
    """
    limits = Limits.from_env()
    packed = path.stat().st_size
    try:
        with open_bytes(path) as stream:
            # The header of a wide table is long.
            sample = stream.read(csv_bytes.BLOCK_BYTES)
        if what := not_a_table(sample[:HEAD_BYTES], options.encoding):
            raise DataError(f"{path.name} {what}")
        limits.check_unpacked(_unpacked_size(path, packed, limits), packed, path.name)
    except READ_ERRORS as error:
        raise DataError(f"{path.name}: a damaged gzip file ({error}); fetch it again") from error
    header = read_header(sample, options)
    limits.check_columns(len(header.names), path.name)
    return CsvFile(path, options, header, limits, doubts(sample, header, options))


def _unpacked_size(path: Path, packed: int, limits: Limits) -> int:
    """The decompressed size of a file; stops as soon as it exceeds the limit."""
    if not is_gzip(path):
        return packed
    most = limits.unpacked(packed)
    if packed * MOST_BY_GZIP <= most:
        return 0
    size = 0
    with open_bytes(path) as stream:
        while size <= most and (chunk := stream.read(CHUNK_BYTES)):
            size += len(chunk)
            limits.check_time(path.name)
    return size


def read_header(sample: bytes, options: Options) -> Header:
    """Read the header from the first bytes of a CSV, which may end anywhere.

    Raises:
        DataError: As for `open_csv`.
    """
    text = _decoded(sample, options.encoding)
    lines = text.lstrip("\r\n")
    if not lines.strip():
        raise DataError("the file is empty; give a header and rows")
    declared = DECLARED.match(lines)
    if declared is not None:
        lines = lines[declared.end() :]
    option = options.delimiter
    if declared is not None and option == "auto":
        option = declared["mark"]
    delimiter, tied = _delimiter(lines, option)
    try:
        row = next(csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise DataError(f"header (row 1): not readable: {error}; is this a CSV file?") from error
    names = tuple(name.strip(BLANKS) for name in row)
    problems = header_problems(names)
    message = f"header (row 1): {', '.join(problems)}; give each column its own name"
    return Header(names, delimiter, (message,) if problems else (), declared is not None, tied)


def doubts(sample: bytes, header: Header, options: Options) -> str:
    """Check whether the beginning of a file looks like a table.

    The message does not quote the file, because it may contain anything, such as a password.

    Args:
        sample: The first bytes of the file.
        header: Its header.
        options: The encoding of the file.

    Returns:
        Why the file may not be a table; empty if it looks like one.
    """
    if len(header.names) == 1:
        return "one column only, with the detected delimiter; is it a table? if so, set delimiter"
    text = _decoded(sample, options.encoding).lstrip("\r\n")
    if header.declared:
        text = text.partition("\n")[2]
    # The last line may be incomplete.
    whole = text[: text.rfind("\n") + 1] or text
    reader = csv.reader(io.StringIO(whole, newline=""), delimiter=header.delimiter)
    try:
        widths = [len(row) for row in itertools.islice(filter(None, reader), LOOKED_AT_ROWS)]
    except csv.Error:
        return "not readable as CSV; is it a table?"
    matching = sum(width == len(header.names) for width in widths)
    if 2 * matching < len(widths):
        return (
            f"only {matching} of the first {len(widths)} rows have as many fields as the first; is "
            "it a table with a header? if so, set delimiter"
        )
    return ""


def header_problems(names: Sequence[str]) -> list[str]:
    """The problems with column names: missing names and duplicates."""
    unnamed = [number for number, name in enumerate(names, 1) if not name]
    problems = [f"column {number} has no name" for number in unnamed[:MAX_NAMED]]
    if unnamed == [1]:
        problems[0] += " (is it pandas' index? write the file with index=False)"
    twice = [(name, count) for name, count in Counter(names).items() if name and count > 1]
    problems += [f"column {quoted(name)} occurs {count} times" for name, count in twice[:MAX_NAMED]]
    more = max(0, len(unnamed) - MAX_NAMED) + max(0, len(twice) - MAX_NAMED)
    return problems + [f"and {more:,} more like these"] * bool(more)


def _is_unicode(encoding: str) -> bool:
    return codecs.lookup(encoding).name.startswith(("utf", "ascii"))


def _decoded(sample: bytes, encoding: str) -> str:
    try:
        # Invalid bytes are reported later, with their rows.
        return sample.decode(encoding, errors="replace").removeprefix("\ufeff")
    except (LookupError, ValueError) as error:
        raise DataError(
            f"encoding {encoding!r} is not a text encoding; give one such as utf-8, latin-1 or "
            "utf-16"
        ) from error


def _delimiter(text: str, option: str) -> tuple[str, str]:
    """The delimiter, and others that fit equally well."""
    if option == "auto":
        return _sniffed(text)
    character = {"\\t": "\t", "tab": "\t"}.get(option, option)
    if len(character) != 1 or not character.isascii() or character in '"\r\n\0':
        raise DataError(f"delimiter {option!r}: give one ASCII character, or auto")
    return character, ""


def _sniffed(text: str) -> tuple[str, str]:
    """The delimiter that gives the largest share of rows the same number of fields.

    Returns:
        The delimiter, and others that fit equally well.
    """
    whole = text[:SNIFFED_CHARACTERS]
    if len(whole) < len(text) or not whole.endswith("\n"):
        # The last line is incomplete.
        whole = whole[: whole.rfind("\n") + 1] or whole
    best, tied, most = DELIMITERS[0], "", (0.0, 0)
    for candidate in DELIMITERS:
        rows = [
            row for row in csv.reader(io.StringIO(whole, newline=""), delimiter=candidate) if row
        ]
        width = len(rows[0])
        regular = sum(len(row) == width for row in rows) / len(rows)
        # The number of fields decides only if the share is equal.
        if width > 1 and (regular, width) > most:
            best, tied, most = candidate, "", (regular, width)
        elif width > 1 and (regular, width) == most:
            tied += candidate
    return best, tied


class _BadRows(Exception):  # noqa: N818 - never leaves this module
    """The fast reader found an error; the slow reader locates it."""


class _Utf8(io.RawIOBase):
    """A stream that is converted to UTF-8, with `end` after the last byte."""

    def __init__(self, stream: IO[bytes], file: CsvFile, end: bytes, quotes: Quotes | None) -> None:
        encoding = file.options.encoding
        self._stream = stream
        self._skips = file.header.declared
        self._within = False
        """Whether the line to skip has begun; blank lines may come before it."""
        self._quotes = quotes
        self._rest = bytearray()
        self._end: bytes | None = end
        self.nul = False
        # pyarrow validates UTF-8, and skips its byte order mark.
        same = codecs.lookup(encoding).name == "utf-8"
        self._decoder = None if same else codecs.getincrementaldecoder(encoding)()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Read `size` bytes, or fewer at the end, because a row must fit into one block."""
        while len(self._rest) < size and self._end is not None:
            self._rest += self._next(size - len(self._rest))
        block = bytes(self._rest[:size])
        del self._rest[:size]
        return block

    def _next(self, size: int) -> bytes:
        raw = self._stream.read(size)
        text = raw if self._decoder is None else self._decoder.decode(raw, not raw).encode()
        self.nul = self.nul or b"\0" in text
        if self._skips:
            if not self._within:
                text = text.lstrip(b"\xef\xbb\xbf\r\n")
            self._within = self._within or bool(text)
            _, mark, text = text.partition(b"\n")
            self._skips = not mark
        if not raw:
            text, self._end = text + (self._end or b""), None
        if self._quotes is not None:
            self._quotes.add(text)
        return text


def schema_of(header: Header, kinds: Sequence[str]) -> "pa.Schema":
    """The Arrow schema of a CSV with columns of these types."""
    import pyarrow as pa

    from assay.data.parquet import arrow_types

    types = arrow_types()
    pairs = zip(header.names, kinds, strict=True)
    return pa.schema([pa.field(name, types[dataset_type(kind)]) for name, kind in pairs])
