"""Locate the invalid rows of a CSV.

Python's parser reports the line in which each row begins, which pyarrow's does not if a value spans
lines. It is about ten times slower, so it is only used after an error.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Protocol

from assay.data.csv_bytes import READ_ERRORS, open_bytes, sentinel
from assay.data.quotes import Quotes


class Csv(Protocol):
    """The attributes of `assay.data.csv_source.CsvFile` that are needed here."""

    @property
    def path(self) -> Path: ...  # noqa: D102
    @property
    def header(self) -> Any: ...  # noqa: D102
    @property
    def options(self) -> Any: ...  # noqa: D102
    @property
    def block_bytes(self) -> int: ...  # noqa: D102


MAX_SHOWN: Final = 10
"""Maximum number of rows in a message; it always gives the total."""


@dataclass(slots=True)
class _Rows:
    """Rows with one type of error: the total number, and the first few rows."""

    first: list[str] = field(default_factory=list)
    total: int = 0

    def add(self, row: int, detail: str = "") -> None:
        self.total += 1
        if self.total <= MAX_SHOWN:
            self.first.append(f"{row}{detail}")

    def text(self) -> str:
        more = f" and {self.total - MAX_SHOWN:,} more" if self.total > MAX_SHOWN else ""
        return f"row{'s' if self.total > 1 else ''} {', '.join(self.first)}{more}"


@dataclass(slots=True)
class _Errors:
    """The errors of a file, by type."""

    ragged: _Rows = field(default_factory=_Rows)
    undecodable: _Rows = field(default_factory=_Rows)
    nul: _Rows = field(default_factory=_Rows)
    unclosed: int = 0
    """The row with an opening quote that is never closed; 0 for none."""
    too_long: int = 0
    stray: int = 0
    """The line of the first misplaced quote; 0 for none."""
    escaped: bool = False
    """Whether a backslash precedes that quote."""
    rows: int = 0
    damaged: str = ""


def problems(file: Csv) -> list[str]:
    """All errors of the rows of a file; the number of a row is the line in which it begins."""
    errors = _Errors()
    try:
        with open_bytes(file.path) as stream:
            _scan(file, stream, errors)
    except UnicodeError as error:
        # Errors that `surrogateescape` cannot handle, such as UTF-16 without a byte order mark.
        reason = getattr(error, "reason", None) or error
        errors.damaged = f"not {file.options.encoding} ({reason}); set encoding to the right one"
    except READ_ERRORS as error:
        errors.damaged = f"damaged or cut off: {error}; fetch it again"
    return _messages(file, errors)


def _scan(file: Csv, stream: IO[bytes], errors: _Errors) -> None:
    delimiter = file.header.delimiter
    before = csv.field_size_limit(file.block_bytes)
    try:
        with io.TextIOWrapper(
            stream, file.options.encoding, errors="surrogateescape", newline=""
        ) as text:
            reader = csv.reader(
                _lines(file, text, errors, sentinel(delimiter)), delimiter=delimiter
            )
            _check_rows(file, reader, errors)
    finally:
        csv.field_size_limit(before)


def _check_rows(file: Csv, reader: Any, errors: _Errors) -> None:
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
                errors.unclosed = first
                return
            if _is_too_long(row, file.block_bytes):
                errors.too_long = first
                return
            if header:
                header = False
                continue
            errors.rows += 1
            if len(row) != width:
                errors.ragged.add(first, f" (has {len(row)})")
    except csv.Error:
        # A cell larger than the limit, over many lines.
        errors.too_long = begin


def _is_too_long(row: list[str], most: int) -> bool:
    # A character has at most four bytes in UTF-8.
    if 4 * sum(map(len, row)) <= most:
        return False
    return sum(len(cell.encode(errors="surrogateescape")) for cell in row) > most


def _lines(file: Csv, text: io.TextIOWrapper, errors: _Errors, end: str) -> Iterator[str]:
    """The lines of the file, followed by `end`; collects the errors of single lines."""
    number = 0
    skips = file.header.declared
    quotes = Quotes(file.header.delimiter)
    while line := text.readline(file.block_bytes):
        number += 1
        if number == 1:
            line = line.removeprefix("\ufeff")
        if skips and line.strip("\r\n"):
            skips = False
            continue
        quotes.add(line.encode(errors="surrogateescape"))
        if quotes.stray and not errors.stray:
            errors.stray = number
            errors.escaped = re.search(r'\\"', line) is not None
        if len(line) == file.block_bytes and line[-1] not in "\r\n":
            errors.too_long = number
            return
        if not line.isascii() and not _is_text(line):
            errors.undecodable.add(number)
        if "\0" in line:
            errors.nul.add(number)
        yield line
    yield end


def _is_text(line: str) -> bool:
    try:
        line.encode()
    except UnicodeEncodeError:
        # Surrogates from `surrogateescape` for invalid bytes.
        return False
    return True


def _messages(file: Csv, errors: _Errors) -> list[str]:
    """One message for each type of error; row 1 is the header."""
    messages = [errors.damaged] if errors.damaged else []
    if errors.undecodable.total:
        wrong = f"not {file.options.encoding} in {errors.undecodable.text()}"
        if _begins_as_utf16(file):
            # In another encoding, every row of such a file is wrong.
            return [f"{wrong}; by its first bytes it is UTF-16: set encoding='utf-16'"]
        messages.append(f"{wrong}; set encoding to the file's, such as 'latin-1' or 'cp1252'")
    if errors.nul.total:
        messages.append(
            f"a NUL byte in {errors.nul.text()}; is it binary, or UTF-16? save it as UTF-8 text"
        )
    if errors.stray:
        # The errors of the following rows are meaningless.
        return [*messages, _stray(errors)]
    messages += _row_messages(file, errors)
    if not messages and not errors.rows:
        messages.append("a header and no rows; give at least one row of data")
    return messages


def _row_messages(file: Csv, errors: _Errors) -> list[str]:
    messages = []
    if errors.ragged.total:
        messages.append(
            f"{errors.ragged.total:,} of {errors.rows:,} rows without the header's "
            f"{len(file.header.names)} fields: {errors.ragged.text()}; correct them, or quote "
            "fields that contain the delimiter"
        )
    if errors.unclosed:
        messages.append(
            f"a quote that opens in row {errors.unclosed} is never closed; close it, or double it "
            "if it is part of the text"
        )
    if errors.too_long:
        messages.append(
            f"row {errors.too_long} is longer than {file.block_bytes:,} bytes; is a quote in "
            "it never closed, or is this not a CSV file?"
        )
    return messages


def _stray(errors: _Errors) -> str:
    if errors.escaped:
        return (
            f"line {errors.stray}: a quote is escaped with a backslash; double quotes within a "
            'field, as in RFC 4180 (in Spark: .option("escape", "\\""))'
        )
    return (
        f"line {errors.stray}: a quote inside an unquoted field, or text next to a quoted one; put "
        "the whole field in quotes and double the quotes within it"
    )


def _begins_as_utf16(file: Csv) -> bool:
    try:
        with open_bytes(file.path) as stream:
            return stream.read(2) in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}
    except READ_ERRORS:
        return False
