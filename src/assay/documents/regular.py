"""Open regular files without blocking, and read them up to a size limit.

A path from a user may lead to a pipe, where reading blocks forever, to a device, or to a file in
`/proc` or `/sys`, which exposes the kernel.
"""

import os
import stat
from pathlib import Path
from typing import IO, Final

from assay.errors import UsageError

_PSEUDO: Final = ("/proc", "/sys", "/dev")


class NotRegularError(OSError):
    """The path is not a regular file; `strerror` names what it is."""


def open_regular(path: Path) -> IO[bytes]:
    """Open a regular file for reading.

    Raises:
        NotRegularError: A folder, pipe, socket, device, or a virtual file of the kernel.
        OSError: The file does not exist or is not readable, or its links form a loop.
        ValueError: The path contains a NUL character.
    """
    # Checked before opening, because opening a device can have side effects, and again afterwards,
    # because the path may have changed. Without O_NONBLOCK opening a pipe would block.
    _require_regular(path.stat(), path)
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _require_regular(os.fstat(handle), path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: Path, limit: int, what: str, error: type[Exception] = UsageError) -> bytes:
    """Read a regular file.

    Args:
        path: The file.
        limit: Maximum size in bytes.
        what: Name of the file in error messages.
        error: Class of the exceptions to raise.

    Returns:
        The content.

    Raises:
        UsageError: The file does not exist, is not readable, is not a regular file, or is too
            large. The class is `error` if one was given.
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
    for is_kind, description in kinds:
        if is_kind(info.st_mode):
            raise NotRegularError(0, f"{description}, not a regular file", str(path))
    if info.st_dev in _pseudo_devices():
        raise NotRegularError(
            0, "it is a virtual file of the kernel; give a file on a disk", str(path)
        )


def _pseudo_devices() -> set[int]:
    devices = set()
    for root in _PSEUDO:
        try:
            devices.add(os.stat(root).st_dev)  # noqa: PTH116 - called for every file; os is faster
        except OSError:
            continue
    return devices - {os.stat("/").st_dev}  # noqa: PTH116
