"""Regular files, opened without waiting: what is read is a file on a disk, and no larger than said.

A path that somebody gives may lead to a pipe, where reading waits forever, to a device, or to a
file of `/proc` or `/sys`, which is a door to the kernel.
"""

import os
import stat
from pathlib import Path
from typing import IO, Final

from assay.errors import UsageError

_PSEUDO: Final = ("/proc", "/sys", "/dev")


class NotRegularError(OSError):
    """A path that leads to something else than a regular file; `strerror` says to what."""


def open_regular(path: Path) -> IO[bytes]:
    """Open a regular file for reading.

    Raises:
        NotRegularError: A folder, pipe, socket, device, or a file that the kernel makes up.
        OSError: Not there, not readable, or links that lead in a circle.
        ValueError: Not a path: it holds a NUL character.
    """
    # Looked at before it is opened, because opening a device may act, and after, because the path
    # may lead elsewhere by then. Without O_NONBLOCK opening a pipe would wait for a writer.
    _require_regular(path.stat(), path)
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _require_regular(os.fstat(handle), path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: Path, limit: int, what: str, error: type[Exception] = UsageError) -> bytes:
    """A regular file's bytes.

    Args:
        path: The file.
        limit: The most that it may hold, in bytes.
        what: What to call it in errors.
        error: Class of the errors.

    Raises:
        UsageError: As `error`: not there, not readable, not a regular file, or too large.
    """
    try:
        with open_regular(path) as stream:
            data = stream.read(limit + 1)
    except OSError as cause:
        raise error(f"{what}: cannot read {path}: {cause.strerror}") from cause
    except ValueError as cause:
        raise error(f"{what}: {str(path)!r} is not a path: {cause}") from cause
    if len(data) > limit:
        raise error(f"{what}: {path} is larger than the limit of {limit:,} bytes")
    return data


def _require_regular(info: os.stat_result, path: Path) -> None:
    kinds = (
        (stat.S_ISDIR, "it is a folder"),
        (stat.S_ISFIFO, "it is a pipe"),
        (stat.S_ISSOCK, "it is a socket"),
        (stat.S_ISCHR, "it is a device"),
        (stat.S_ISBLK, "it is a device"),
    )
    for is_kind, told in kinds:
        if is_kind(info.st_mode):
            raise NotRegularError(0, f"{told}, not a regular file", str(path))
    if info.st_dev in _pseudo_devices():
        raise NotRegularError(0, "the kernel makes it up; give a file on a disk", str(path))


def _pseudo_devices() -> set[int]:
    found = set()
    for root in _PSEUDO:
        try:
            found.add(os.stat(root).st_dev)  # noqa: PTH116 - as cheap as it gets, once per file
        except OSError:
            continue
    return found - {os.stat("/").st_dev}  # noqa: PTH116
