"""The process of a command: what it prints can always be written, and signals end it tidily."""

import io
import os
import signal
import sys
import threading
from typing import Any, Final, NoReturn

_ENDS: Final = (signal.SIGTERM, signal.SIGHUP)


def prepare() -> None:
    """Make this process one that a command can run in, whoever started it and how.

    Standard output and error that were closed lead nowhere. A reader that left (`| head -1`) has
    seen enough. What an encoding has no characters for is written as escapes. In none of these
    cases does the command stop: its work and its exit code count. A request to end is an exception,
    so that nothing temporary is left behind.
    """
    _open_standard()
    # Not those that a test or a program has put in their place.
    if sys.stdout is sys.__stdout__:
        sys.stdout = _text(1, sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _text(2, sys.stderr)
    if threading.current_thread() is threading.main_thread():
        for number in _ENDS:
            # nohup has it ignored.
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, _end)


def _end(number: int, _frame: Any) -> NoReturn:
    raise SystemExit(128 + number)


def _open_standard() -> None:
    """Let no file that is opened later be taken for standard output: it would get its number."""
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
    """Standard output, whose reader may leave."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or 0
        except OSError as error:
            # What is still to be written, at the latest when Python ends, has nowhere to go.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if isinstance(error, BrokenPipeError):
                return len(data)
            error.filename = "standard output"
            raise
