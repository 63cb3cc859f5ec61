"""Reading a CSV as a stream: RFC 4180 with any delimiter, any encoding, gzip or not.

The file is read twice, in bounded memory: once for each column's type over the whole file, once to
convert. pyarrow parses; it accepts quotes where RFC 4180 has none and then gives other cells than
the author meant, so `quotes` checks them first. Where a row is wrong, `csv_check` reads the file
again, slowly, to say which. Blanks and tabs around a cell are layout and are removed.
"""

import codecs
import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from assay.core.digest import CHUNK_BYTES
from assay.core.findings import Finding, merged
from assay.core.limits import MOST_BY_GZIP, Limits
from assay.data import csv_bytes
from assay.data.csv_bytes import READ_ERRORS, is_gzip, open_bytes, sentinel
from assay.data.file_kinds import HEAD_BYTES, not_a_table
from assay.data.quotes import Quotes
from assay.data.text_types import MISSING_VALUES, Inference, convert, dataset_type
from assay.errors import DataError, UsageError
from assay.text import quoted

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE_BYTES: Final = 1 << 18
"""Enough to find a delimiter and most headers, for who wants to look quickly."""
MAX_NAMED: Final = 10
"""Columns that a message names; it tells how many more there are."""
LOOKED_AT_ROWS: Final = 50
"""Rows from which it is judged whether a file is a table."""
SNIFFED_CHARACTERS: Final = 1 << 14
DELIMITERS: Final = ",;\t|"
DECLARED: Final = re.compile(r'"?sep=(?P<mark>[^"\r\n])"?[;,\t ]*\r?\n')
"""A line before the header by which Excel knows the delimiter."""
BLANKS: Final = " \t"


@dataclass(frozen=True, slots=True)
class Options:
    """How a CSV is written; ignored for Parquet."""

    delimiter: str = "auto"
    """One ASCII character, or `auto`; `\\t` and `tab` stand for a tab."""
    missing: Sequence[str] = MISSING_VALUES
    """Texts that mean a missing value, compared after removing blanks around a cell."""
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
        """Options from a step's parameters, which may have come as any JSON.

        Raises:
            UsageError: `missing_values` are not texts, `decimal` is no decimal mark, or
                `rows_per_part`, by which the table will be written, is below 1.
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
    """The first row, and what is wrong with it."""

    names: tuple[str, ...]
    delimiter: str
    problems: tuple[str, ...]
    declared: bool = False
    """Whether a line such as `sep=;` comes before it, which Excel writes to name the delimiter."""
    tied: str = ""
    """Other delimiters that fit as many rows, with as many fields."""


@dataclass(frozen=True, slots=True)
class CsvFile:
    """One CSV file, read as often as asked."""

    path: Path
    options: Options
    header: Header
    limits: Limits
    doubt: str = ""
    """Why it may be no table at all; see `doubts`."""

    def infer(self) -> tuple[list[str], list[Finding]]:
        """The kind of each column over the whole file, and what a person should know about them.

        Raises:
            DataError: Everything that is wrong with the file's rows, with row numbers.
        """
        columns = [Inference(self.options.decimal) for _ in self.header.names]
        rows = 0
        for batch in self._text():
            rows += batch.num_rows
            for inference, column in zip(columns, batch.columns, strict=True):
                inference.add(column)
        if not rows:
            raise DataError(
                f"{self.path.name}: a header and no rows; give at least one row of data"
            )
        found = [
            inference.finding(name)
            for inference, name in zip(columns, self.header.names, strict=True)
        ]
        told = merged(item for item in found if item)
        return [inference.kind for inference in columns], [
            *self._encoding_finding(),
            *self._delimiter_finding(),
            *self._blank_lines_finding(),
            *told,
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
        """Whether a table of one column has blank lines, which may be missing values."""
        if len(self.header.names) > 1:
            return []
        count = held = 0
        begun = False
        with (
            open_bytes(self.path) as stream,
            io.TextIOWrapper(stream, self.options.encoding) as text,
        ):
            while line := text.readline(csv_bytes.BLOCK_BYTES):
                if line.strip():
                    # Those before the first and after the last line mean nothing.
                    count, held, begun = count + held, 0, True
                elif begun:
                    held += 1
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
        """Whether a file that was read in another encoding is UTF-8, as most are.

        An encoding of single bytes makes some text of any bytes.
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
        """The rows, converted to what `infer` found."""
        import pyarrow as pa

        decimal = self.options.decimal
        for batch in self._text(checked=True):
            pairs = zip(batch.columns, kinds, strict=True)
            try:
                columns = [convert(column, kind, decimal) for column, kind in pairs]
            except pa.ArrowInvalid as error:
                raise DataError(
                    f"{self.path.name} changed while it was read; give a file nobody writes to"
                ) from error
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    def _text(self, *, checked: bool = False) -> "Iterator[pa.RecordBatch]":
        """The rows as text without blanks around it, null where a value is missing.

        Args:
            checked: Whether the file's quotes are known to be right.
        """
        import pyarrow as pa

        held = None
        begun = False
        try:
            with open_bytes(self.path) as stream:
                for batch in self._parsed(stream, checked=checked):
                    self.limits.check_time(self.path.name)
                    # The first row is the header, parsed like the others because it may span lines.
                    rows = batch if begun else batch.slice(1)
                    begun = True
                    if rows.num_rows:
                        if held is not None:
                            yield self._clean(held)
                        held = rows
        except (_BadRows, pa.ArrowInvalid, UnicodeError, *READ_ERRORS) as error:
            raise self._diagnosis(error) from error
        if held is None or held.column(0)[-1].as_py() != sentinel(self.header.delimiter):
            raise self._diagnosis(_BadRows("a quote is never closed"))
        yield self._clean(held.slice(0, held.num_rows - 1))

    def _parsed(self, stream: IO[bytes], *, checked: bool) -> "Iterator[pa.RecordBatch]":
        import pyarrow as pa
        from pyarrow import csv as pa_csv

        # Places instead of names: two columns may be called the same, which is reported elsewhere.
        places = [str(index) for index in range(len(self.header.names))]
        end = self.header.delimiter.join([sentinel(self.header.delimiter)] * len(places))
        quotes = Quotes(self.header.delimiter)
        source = _Utf8(stream, self, f"\n{end}\n".encode(), None if checked else quotes)
        reader = pa_csv.open_csv(
            pa.PythonFile(source, "r"),
            read_options=pa_csv.ReadOptions(
                block_size=csv_bytes.BLOCK_BYTES, column_names=places, use_threads=False
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=self.header.delimiter, newlines_in_values=True
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(places, pa.string()), strings_can_be_null=False
            ),
        )
        for batch in reader:
            if source.nul or quotes.stray:
                break
            yield batch
        if source.nul:
            raise _BadRows("a NUL byte")
        if quotes.stray:
            raise _BadRows("a quote where none may be")

    def _clean(self, batch: "pa.RecordBatch") -> "pa.RecordBatch":
        import pyarrow as pa
        import pyarrow.compute as pc

        missing = pa.array(
            sorted({text.strip(BLANKS) for text in self.options.missing}), pa.string()
        )
        columns = []
        for column in batch.columns:
            trimmed = pc.ascii_trim(column, BLANKS)
            absent = pc.is_in(trimmed, missing)
            columns.append(pc.if_else(absent, pa.scalar(None, pa.string()), trimmed))
        return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)

    def _diagnosis(self, error: Exception) -> DataError:
        from assay.data.csv_check import problems

        found = problems(self)
        reason = " ".join(str(error).split()) or type(error).__name__
        return DataError.all_of(found or [f"not readable as CSV: {reason}"], where=self.path.name)


def open_csv(path: Path, options: Options) -> CsvFile:
    """A CSV file with its header; see `Header.problems`.

    Raises:
        DataError: No header can be read at all, or the options are no encoding or delimiter.
    """
    limits = Limits.from_env()
    packed = path.stat().st_size
    try:
        with open_bytes(path) as stream:
            # As much as a row may have: a wide table's header is long.
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
    """The size of a file's text, or a size beyond the limit as soon as it is known to be beyond."""
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
    """The header from the first bytes of a CSV, which may be cut off anywhere.

    Raises:
        DataError: As `open_csv`.
    """
    text = _decoded(sample, options.encoding)
    lines = text.lstrip("\r\n")
    if not lines.strip():
        raise DataError("the file is empty; give a header and rows")
    declared = DECLARED.match(lines)
    if declared is not None:
        lines = lines[declared.end() :]
    wanted = options.delimiter
    if declared is not None and wanted == "auto":
        wanted = declared["mark"]
    delimiter, tied = _delimiter(lines, wanted)
    try:
        row = next(csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise DataError(f"header (row 1): not readable: {error}; is this a CSV file?") from error
    names = tuple(name.strip(BLANKS) for name in row)
    problems = header_problems(names)
    said = [f"header (row 1): {', '.join(problems)}; give each column its own name"]
    return Header(names, delimiter, tuple(said if problems else ()), declared is not None, tied)


def doubts(sample: bytes, header: Header, options: Options) -> str:
    """Why a file's beginning hardly begins a table; empty when it does.

    What a message about such a file quotes could be anything, such as a password: it quotes
    nothing of it.
    """
    if len(header.names) == 1:
        return (
            "one column only, by the delimiter that was found; is it a table? if so, set delimiter"
        )
    text = _decoded(sample, options.encoding).lstrip("\r\n")
    if header.declared:
        text = text.partition("\n")[2]
    # The last line may be cut off.
    whole = text[: text.rfind("\n") + 1] or text
    reader = csv.reader(io.StringIO(whole, newline=""), delimiter=header.delimiter)
    try:
        widths = [len(row) for row in itertools.islice(filter(None, reader), LOOKED_AT_ROWS)]
    except csv.Error:
        return "not readable as CSV; is it a table?"
    like = sum(width == len(header.names) for width in widths)
    if 2 * like < len(widths):
        return (
            f"only {like} of the first {len(widths)} rows have as many fields as the first; is it "
            "a table with a header? if so, set delimiter"
        )
    return ""


def header_problems(names: Sequence[str]) -> list[str]:
    """What is wrong with column names: those that lack, and those that are not unique."""
    unnamed = [place for place, name in enumerate(names, 1) if not name]
    problems = [f"column {place} has no name" for place in unnamed[:MAX_NAMED]]
    if unnamed == [1]:
        problems[0] += " (is it pandas' index? write the file with index=False)"
    twice = [(name, count) for name, count in Counter(names).items() if name and count > 1]
    problems += [
        f"column {quoted(name)} is there {count} times" for name, count in twice[:MAX_NAMED]
    ]
    more = max(0, len(unnamed) - MAX_NAMED) + max(0, len(twice) - MAX_NAMED)
    return problems + [f"and {more:,} more like these"] * bool(more)


def _is_unicode(encoding: str) -> bool:
    return codecs.lookup(encoding).name.startswith(("utf", "ascii"))


def _decoded(sample: bytes, encoding: str) -> str:
    try:
        # A byte that is wrong is reported with its row, later.
        return sample.decode(encoding, errors="replace").removeprefix("\ufeff")
    except (LookupError, ValueError) as error:
        raise DataError(
            f"encoding {encoding!r} is not one of text; give one such as utf-8, latin-1 or utf-16"
        ) from error


def _delimiter(text: str, wanted: str) -> tuple[str, str]:
    """The delimiter, and others that it may be as well."""
    if wanted == "auto":
        return _sniffed(text)
    character = {"\\t": "\t", "tab": "\t"}.get(wanted, wanted)
    if len(character) != 1 or not character.isascii() or character in '"\r\n\0':
        raise DataError(f"delimiter {wanted!r}: give one ASCII character, or auto")
    return character, ""


def _sniffed(text: str) -> tuple[str, str]:
    """The delimiter of which all rows of a sample have the same number, as far as that goes.

    Returns:
        The delimiter, and others that fit as well.
    """
    whole = text[:SNIFFED_CHARACTERS]
    if len(whole) < len(text) or not whole.endswith("\n"):
        # The last line is cut off.
        whole = whole[: whole.rfind("\n") + 1] or whole
    best, tied, most = DELIMITERS[0], "", (0.0, 0)
    for candidate in DELIMITERS:
        rows = [
            row for row in csv.reader(io.StringIO(whole, newline=""), delimiter=candidate) if row
        ]
        width = len(rows[0])
        regular = sum(len(row) == width for row in rows) / len(rows)
        # More fields decide only between delimiters that fit equally many rows.
        if width > 1 and (regular, width) > most:
            best, tied, most = candidate, "", (regular, width)
        elif width > 1 and (regular, width) == most:
            tied += candidate
    return best, tied


class _BadRows(Exception):  # noqa: N818 - never leaves this module
    """The fast reader stumbled; the slow one finds out where."""


class _Utf8(io.RawIOBase):
    """A stream's text as UTF-8, with `end` after the last byte."""

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
        # pyarrow checks UTF-8 by itself, and skips its byte-order mark.
        same = codecs.lookup(encoding).name == "utf-8"
        self._decoder = None if same else codecs.getincrementaldecoder(encoding)()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """`size` bytes, or fewer at the end: a row must fit into what is read at a time."""
        while len(self._rest) < size and self._end is not None:
            self._rest += self._next(size - len(self._rest))
        taken = bytes(self._rest[:size])
        del self._rest[:size]
        return taken

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
    """The Arrow schema of a CSV whose columns have these kinds."""
    import pyarrow as pa

    from assay.data.parquet import arrow_types

    types = arrow_types()
    pairs = zip(header.names, kinds, strict=True)
    return pa.schema([pa.field(name, types[dataset_type(kind)]) for name, kind in pairs])
