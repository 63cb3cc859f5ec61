"""Local files that blobs come from and go to."""

import contextlib
import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from assay.core.digest import CHUNK_BYTES, PREFIX, Readable
from assay.errors import StoreError

PIECE_BYTES: Final = 1 << 20
"""What moves at a time where a file is read or written out of order."""


@contextlib.contextmanager
def reading(path: Path) -> Iterator[IO[bytes]]:
    """A local file's stream; that it cannot be read is reported in one line."""
    try:
        with open(path, "rb", buffering=0, opener=open_regular) as stream:
            yield stream
    except OSError as error:
        raise StoreError(
            f"cannot read {path}: {error.strerror}; it must be there, and readable for this user"
        ) from error


@contextlib.contextmanager
def writing(target: Path) -> Iterator[None]:
    """That a local file cannot be written is reported in one line, with its remedy."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write {target}: {error.strerror}; make room, or set ASSAY_WORK to a "
            "folder on another disk"
        ) from error


class SpecialFileError(OSError):
    """A link, pipe, socket, device or folder where a file should be."""


def open_regular(path: str, flags: int) -> int:
    """For `open`: only a regular file, or a link to one; never waits, as a pipe would make it.

    Raises:
        SpecialFileError: Something else is there.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    raise SpecialFileError(errno.EINVAL, f"it is {kind_of_file(mode)} and not a file")


def open_own(path: str, flags: int) -> int:
    """As `open_regular`, for files of a store's own, among which there are no links.

    Raises:
        SpecialFileError: A link or something else is there.
    """
    try:
        return open_regular(path, flags | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EMLINK}:
            raise SpecialFileError(errno.EINVAL, "it is a symbolic link and not a file") from error
        if error.errno == errno.ENXIO:  # a socket, or a pipe that nobody reads
            raise SpecialFileError(errno.EINVAL, "it is a socket and not a file") from error
        raise


def kind_of_file(mode: int) -> str:
    """What a file of `st_mode` is, for people."""
    kinds = {
        stat.S_ISREG: "a file",
        stat.S_ISDIR: "a folder",
        stat.S_ISLNK: "a symbolic link",
        stat.S_ISFIFO: "a named pipe",
        stat.S_ISSOCK: "a socket",
        stat.S_ISBLK: "a device",
        stat.S_ISCHR: "a device",
    }
    return next((name for is_kind, name in kinds.items() if is_kind(mode)), "a special file")


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
