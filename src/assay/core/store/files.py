"""Read and write local files for the store."""

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
"""Buffer size for random access."""


@contextlib.contextmanager
def reading(path: Path) -> Iterator[IO[bytes]]:
    """Open a local file for reading.

    Raises:
        StoreError: The file cannot be read.
    """
    try:
        with open(path, "rb", buffering=0, opener=open_regular) as stream:
            yield stream
    except OSError as error:
        raise StoreError(
            f"cannot read {path}: {error.strerror}; it must exist and be readable by this user"
        ) from error


@contextlib.contextmanager
def writing(target: Path) -> Iterator[None]:
    """Convert errors of writing a local file.

    Raises:
        StoreError: The file cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write {target}: {error.strerror}; make room, or set ASSAY_WORK to a "
            "folder on another disk"
        ) from error


class SpecialFileError(OSError):
    """The path is a link, pipe, socket, device or folder instead of a file."""


def open_regular(path: str, flags: int) -> int:
    """Opener for `open` that accepts regular files, and links to them, and does not block.

    Raises:
        SpecialFileError: The path is not a regular file.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    raise SpecialFileError(errno.EINVAL, f"it is {kind_of_file(mode)} and not a file")


def open_own(path: str, flags: int) -> int:
    """Like `open_regular`, but refuses links, which a store never creates.

    Raises:
        SpecialFileError: The path is a link or not a regular file.
    """
    try:
        return open_regular(path, flags | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EMLINK}:
            raise SpecialFileError(errno.EINVAL, "it is a symbolic link and not a file") from error
        if error.errno == errno.ENXIO:  # a socket, or a pipe without a reader
            raise SpecialFileError(errno.EINVAL, "it is a socket and not a file") from error
        raise


def kind_of_file(mode: int) -> str:
    """Description of a file type by `st_mode`, for messages."""
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
    """Opener for `open` that creates a file which is writable through this handle only."""
    descriptor = os.open(path, flags, 0o444)
    os.fchmod(descriptor, 0o444)  # whatever the umask
    return descriptor


def write_read_only(target: Path, data: bytes) -> None:
    """Create a small read-only file with few system calls, because thousands may be written."""
    with writing(target):
        descriptor = open_read_only(str(target), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            # On a full disk, a call may write a part and the next call fail.
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def landing(target: Path, mode: int = 0o444) -> Iterator[IO[bytes]]:
    """A temporary file next to `target` that is renamed to it if the block succeeds."""
    with writing(target):
        descriptor, name = tempfile.mkstemp(prefix=".assay-", dir=target.parent)
        try:
            with os.fdopen(descriptor, "w+b") as out:
                yield out
            os.chmod(name, mode)  # noqa: PTH101 - the name is a string
            os.replace(name, target)  # noqa: PTH105
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)  # noqa: PTH108
            raise


def copy_checked(stream: Readable, out: IO[bytes], limit: int) -> tuple[str, int]:
    """Copy and hash a stream that may be longer than expected.

    Args:
        stream: The source.
        out: The target.
        limit: Expected size in bytes; at most one chunk more is copied.

    Returns:
        Digest and size in bytes of the copied data.
    """
    hasher, size = hashlib.sha256(), 0
    while size <= limit and (chunk := stream.read(CHUNK_BYTES)):
        hasher.update(chunk)
        out.write(chunk)
        size += len(chunk)
    return PREFIX + hasher.hexdigest(), size


def read_pieces(descriptor: int, offset: int, length: int) -> Iterator[bytes]:
    """Read a range of a file without changing its position.

    Args:
        descriptor: File descriptor.
        offset: First byte.
        length: Maximum number of bytes.

    Yields:
        The bytes in pieces of at most `PIECE_BYTES`; fewer than `length` at the end of the file.
    """
    end = offset + length
    while piece := os.pread(descriptor, min(PIECE_BYTES, end - offset), offset):
        yield piece
        offset += len(piece)
