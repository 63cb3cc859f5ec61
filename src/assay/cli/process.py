"""Set-up of a command's process: output streams and signals."""

import io
import os
import signal
import sys
import threading
from typing import Any, Final, NoReturn

_ENDS: Final = (signal.SIGTERM, signal.SIGHUP)


def prepare() -> None:
    """Prepare this process for a command.

    Closed standard output and error are replaced by the null device. A reader that closes the pipe
    (`| head -1`) is ignored. Characters that the encoding lacks are written as escapes. In none of
    these cases does the command stop, because its work and its exit code count. SIGTERM raises an
    exception, so that temporary files are removed.
    """
    _open_standard()
    # Not streams that a test or a program has replaced.
    if sys.stdout is sys.__stdout__:
        sys.stdout = _text(1, sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _text(2, sys.stderr)
    if threading.current_thread() is threading.main_thread():
        for number in _ENDS:
            # nohup ignores the signal.
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, _end)


def _end(number: int, _frame: Any) -> NoReturn:
    raise SystemExit(128 + number)


def _open_standard() -> None:
    """Open the null device, so that no later file gets the descriptor of a closed stream."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 - standard error
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _text(descriptor: int, before: Any) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.BufferedWriter(_Output(descriptor, "wb", closefd=False)),
        encoding=before.encoding if before is not None else "utf-8",
        errors="backslashreplace",
        line_buffering=True,
    )


class _Output(io.FileIO):
    """Standard output, whose reader may close the pipe."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or 0
        except OSError as error:
            # Buffered output, which Python writes at its end at the latest, goes to the null
            # device.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if isinstance(error, BrokenPipeError):
                return len(data)
            error.filename = "standard output"
            raise
