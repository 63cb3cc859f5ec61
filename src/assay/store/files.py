"""Local files that blobs come from and go to."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from assay.digest import CHUNK_BYTES, PREFIX, Readable
from assay.errors import StoreError

PIECE_BYTES: Final = 1 << 20
"""What moves at a time where a file is read or written out of order."""


@contextlib.contextmanager
def reading(path: Path) -> Iterator[IO[bytes]]:
    """A local file's stream; that it cannot be read is told in one line."""
    try:
        with path.open("rb", buffering=0) as stream:
            yield stream
    except OSError as error:
        raise StoreError(
            f"cannot read {path}: {error.strerror}; it must be there, and readable for this user"
        ) from error


@contextlib.contextmanager
def writing(target: Path) -> Iterator[None]:
    """That a local file cannot be written is told in one line, with its remedy."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write {target}: {error.strerror}; make room, or set ASSAY_WORK to a "
            "folder on another disk"
        ) from error


def open_read_only(path: str, flags: int) -> int:
    """For `open`: the file is read-only from its beginning, and written through this handle."""
    descriptor = os.open(path, flags, 0o444)
    os.fchmod(descriptor, 0o444)  # whatever the umask
    return descriptor


def write_read_only(target: Path, data: bytes) -> None:
    """Write a new small file, by few calls of the system: thousands are written in a row."""
    with writing(target):
        descriptor = open_read_only(str(target), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            # A full disk may take a part and refuse the rest at the next call.
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def landing(target: Path, mode: int = 0o444) -> Iterator[IO[bytes]]:
    """A temporary file beside `target` that takes its name when the block ends well."""
    with writing(target):
        descriptor, name = tempfile.mkstemp(prefix=".assay-", dir=target.parent)
        try:
            with os.fdopen(descriptor, "w+b") as out:
                yield out
            os.chmod(name, mode)  # noqa: PTH101 - a string at hand
            os.replace(name, target)  # noqa: PTH105
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)  # noqa: PTH108
            raise


def copy_checked(stream: Readable, out: IO[bytes], limit: int) -> tuple[str, int]:
    """Copy at most `limit` bytes and one chunk, hashing; the digest and size of what came."""
    hasher, size = hashlib.sha256(), 0
    while size <= limit and (chunk := stream.read(CHUNK_BYTES)):
        hasher.update(chunk)
        out.write(chunk)
        size += len(chunk)
    return PREFIX + hasher.hexdigest(), size


def read_pieces(descriptor: int, offset: int, length: int) -> Iterator[bytes]:
    """At most `length` bytes of a file from `offset`, piece by piece, whoever else reads it."""
    end = offset + length
    while piece := os.pread(descriptor, min(PIECE_BYTES, end - offset), offset):
        yield piece
        offset += len(piece)
