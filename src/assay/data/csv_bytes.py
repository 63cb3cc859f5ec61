"""Read the bytes of CSV files, decompressed if necessary."""

import gzip
import zlib
from pathlib import Path
from typing import IO, Final, cast

BLOCK_BYTES: Final = 4 << 20
"""Minimum block size for reading a CSV; see `CsvFile.block_bytes`."""
COLUMN_BYTES: Final = 8 << 10
"""Minimum block size for each column."""
GZIP_MAGIC: Final = b"\x1f\x8b"
READ_ERRORS: Final = (OSError, EOFError, zlib.error)


def sentinel(delimiter: str) -> str:
    """The content of an additional last row. It is missing if a quote is not closed."""
    return ("\x1e" if delimiter != "\x1e" else "\x1f") * 16


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file for reading, decompressed if it is a gzip file."""
    return cast("IO[bytes]", gzip.open(path, "rb")) if is_gzip(path) else path.open("rb")


def is_gzip(path: Path) -> bool:
    """Whether a file begins like a gzip file."""
    with path.open("rb") as stream:
        return stream.read(len(GZIP_MAGIC)) == GZIP_MAGIC
