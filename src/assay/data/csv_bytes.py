"""The bytes of a CSV file: in blocks, unpacked where they are packed."""

import gzip
import zlib
from pathlib import Path
from typing import IO, Final, cast

BLOCK_BYTES: Final = 4 << 20
"""A CSV is read in such blocks; one row must fit into one."""
GZIP_MAGIC: Final = b"\x1f\x8b"
READ_ERRORS: Final = (OSError, EOFError, zlib.error)


def sentinel(delimiter: str) -> str:
    """Each cell of a row put after the last: a quote that is never closed swallows it."""
    return ("\x1e" if delimiter != "\x1e" else "\x1f") * 16


def open_bytes(path: Path) -> IO[bytes]:
    """The file's bytes, decompressed if it begins as a gzip file does."""
    return cast("IO[bytes]", gzip.open(path, "rb")) if is_gzip(path) else path.open("rb")


def is_gzip(path: Path) -> bool:
    """Whether a file begins as a gzip file does."""
    with path.open("rb") as stream:
        return stream.read(len(GZIP_MAGIC)) == GZIP_MAGIC
