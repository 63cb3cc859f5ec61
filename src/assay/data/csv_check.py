"""Saying which rows of a CSV are wrong.

Python's own parser knows the line in which each row begins, which pyarrow's does not where a value
spans lines; it is some ten times slower, so it runs only once something is known to be wrong.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Protocol

from assay.data import csv_bytes
from assay.data.csv_bytes import READ_ERRORS, open_bytes, sentinel
from assay.data.quotes import Quotes


class Csv(Protocol):
    """What `assay.data.csv_source` knows of a file before it reads the rows."""

    @property
    def path(self) -> Path: ...  # noqa: D102
    @property
    def header(self) -> Any: ...  # noqa: D102
    @property
    def options(self) -> Any: ...  # noqa: D102


MAX_SHOWN: Final = 10
"""Offenders that are named; the total is always told."""


@dataclass(slots=True)
class _Offenders:
    """Rows with one kind of fault: all counted, the first few kept."""

    shown: list[str] = field(default_factory=list)
    total: int = 0

    def add(self, row: int, detail: str = "") -> None:
        self.total += 1
        if self.total <= MAX_SHOWN:
            self.shown.append(f"{row}{detail}")

    def text(self) -> str:
        more = f" and {self.total - MAX_SHOWN:,} more" if self.total > MAX_SHOWN else ""
        return f"row{'s' if self.total > 1 else ''} {', '.join(self.shown)}{more}"


@dataclass(slots=True)
class _Found:
    """What is wrong, by kind."""

    ragged: _Offenders = field(default_factory=_Offenders)
    undecodable: _Offenders = field(default_factory=_Offenders)
    nul: _Offenders = field(default_factory=_Offenders)
    unclosed: int = 0
    """The row in which a quote opens that is never closed; 0 for none."""
    too_long: int = 0
    stray: int = 0
    """The line of the first quote where none may be; 0 for none."""
    escaped: bool = False
    """Whether a backslash comes before that quote."""
    rows: int = 0
    damaged: str = ""


def problems(file: Csv) -> list[str]:
    """Everything that is wrong with the file's rows; a row is numbered by the line it begins in."""
    found = _Found()
    try:
        with open_bytes(file.path) as stream:
            _scan(file, stream, found)
    except UnicodeError as error:
        # What `surrogateescape` cannot put off, such as UTF-16 without its byte-order mark.
        reason = getattr(error, "reason", None) or error
        found.damaged = f"not {file.options.encoding} ({reason}); give encoding the right one"
    except READ_ERRORS as error:
        found.damaged = f"damaged or cut off: {error}; fetch it again"
    return _sentences(file, found)


def _scan(file: Csv, stream: IO[bytes], found: _Found) -> None:
    delimiter = file.header.delimiter
    before = csv.field_size_limit(csv_bytes.BLOCK_BYTES)
    try:
        with io.TextIOWrapper(
            stream, file.options.encoding, errors="surrogateescape", newline=""
        ) as text:
            reader = csv.reader(_lines(file, text, found, sentinel(delimiter)), delimiter=delimiter)
            _judge(file, reader, found)
    finally:
        csv.field_size_limit(before)


def _judge(file: Csv, reader: Any, found: _Found) -> None:
    """Look at each row."""
    width, end = len(file.header.names), sentinel(file.header.delimiter)
    skipped = int(file.header.declared)
    begin, header = 1 + skipped, True
    try:
        for row in reader:
            first, begin = begin, reader.line_num + 1 + skipped
            if row == [end]:
                return
            if not row:
                continue
            if end in row[-1]:
                found.unclosed = first
                return
            if _is_too_long(row):
                found.too_long = first
                return
            if header:
                header = False
                continue
            found.rows += 1
            if len(row) != width:
                found.ragged.add(first, f" (has {len(row)})")
    except csv.Error:
        # A cell larger than the limit, over many lines.
        found.too_long = begin


def _is_too_long(row: list[str]) -> bool:
    # A character has at most four bytes in UTF-8.
    if 4 * sum(map(len, row)) <= csv_bytes.BLOCK_BYTES:
        return False
    return sum(len(cell.encode(errors="surrogateescape")) for cell in row) > csv_bytes.BLOCK_BYTES


def _lines(file: Csv, text: io.TextIOWrapper, found: _Found, end: str) -> Iterator[str]:
    """The file's lines, and at last `end`; faults of single lines are noted."""
    number = 0
    skips = file.header.declared
    quotes = Quotes(file.header.delimiter)
    while line := text.readline(csv_bytes.BLOCK_BYTES):
        number += 1
        if number == 1:
            line = line.removeprefix("\ufeff")
        if skips and line.strip("\r\n"):
            skips = False
            continue
        quotes.add(line.encode(errors="surrogateescape"))
        if quotes.stray and not found.stray:
            found.stray = number
            found.escaped = re.search(r'\\"', line) is not None
        if len(line) == csv_bytes.BLOCK_BYTES and line[-1] not in "\r\n":
            found.too_long = number
            return
        if not line.isascii() and not _is_text(line):
            found.undecodable.add(number)
        if "\0" in line:
            found.nul.add(number)
        yield line
    yield end


def _is_text(line: str) -> bool:
    try:
        line.encode()
    except UnicodeEncodeError:
        # What `surrogateescape` made of bytes that are no text.
        return False
    return True


def _sentences(file: Csv, found: _Found) -> list[str]:
    """One part of a message for each kind of fault; row 1 is the header."""
    said = []
    if found.damaged:
        said.append(found.damaged)
    if found.undecodable.total:
        wrong = f"not {file.options.encoding} in {found.undecodable.text()}"
        if _begins_as_utf16(file):
            # Read as anything else, such a file is wrong in every row, which helps nobody.
            return [f"{wrong}; by its first bytes it is UTF-16: set encoding='utf-16'"]
        said.append(f"{wrong}; set encoding to the file's, such as 'latin-1' or 'cp1252'")
    if found.nul.total:
        said.append(
            f"a NUL byte in {found.nul.text()}; is it binary, or UTF-16? save it as UTF-8 text"
        )
    if found.stray:
        # What is wrong with the rows after it cannot be told.
        return [*said, _stray(found)]
    if found.ragged.total:
        said.append(
            f"{found.ragged.total:,} of {found.rows:,} rows without the header's "
            f"{len(file.header.names)} fields: {found.ragged.text()}; mend them, or quote fields "
            "that hold the delimiter"
        )
    if found.unclosed:
        said.append(
            f"a quote that opens in row {found.unclosed} is never closed; close it, or double it "
            "where it is part of the text"
        )
    if found.too_long:
        said.append(
            f"row {found.too_long} is longer than {csv_bytes.BLOCK_BYTES:,} bytes; is a quote in "
            "it never closed, or this no CSV file?"
        )
    if not said and not found.rows:
        said.append("a header and no rows; give at least one row of data")
    return said


def _stray(found: _Found) -> str:
    if found.escaped:
        return (
            f"line {found.stray}: a quote is escaped with a backslash; write quotes within a field "
            'twice, as RFC 4180 has it (in Spark: .option("escape", "\\""))'
        )
    return (
        f"line {found.stray}: a quote inside of an unquoted field, or text beside a quoted one; "
        "put the whole field in quotes and write quotes within it twice"
    )


def _begins_as_utf16(file: Csv) -> bool:
    try:
        with open_bytes(file.path) as stream:
            return stream.read(2) in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}
    except READ_ERRORS:
        return False
