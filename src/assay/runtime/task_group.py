"""Processes that end at the latest when this process ends, even by `kill -9`.

A guard, a minimal process, leads a process group that all tasks of a run join before they begin. It
reads a pipe that only this process holds open: the system closes it when this process ends, and
then the guard kills the group, including itself and all processes that the tasks have started. This
works on every POSIX system.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

GRACE_SECONDS: Final = 5.0
"""Seconds that tasks have to clean up when the run is interrupted."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_GUARD: Final = """
import os, signal
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
os.write(1, b"r")
while os.read(0, 64):
    pass
os.killpg(0, signal.SIGKILL)
"""


class Process(Protocol):
    """The methods of `subprocess.Popen` for waiting."""

    def poll(self) -> int | None:
        """The exit code; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; return the exit code."""


class TaskGroup:
    """The group of one run; see `task_group`."""

    def __init__(self, guard: "subprocess.Popen[bytes]") -> None:
        self._guard = guard
        self._running: set[Process] = set()
        self._stopped = False
        self._lock = threading.Lock()
        self._end = threading.Lock()
        """Held until the whole group has ended."""

    @property
    def number(self) -> int:
        """Id of the process group, for processes that are not waited for here."""
        return self._guard.pid

    @contextlib.contextmanager
    def started(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None, **options: Any
    ) -> Iterator["subprocess.Popen[str]"]:
        """Run a command in the group during the block, and wait for its end.

        Args:
            command: Program and arguments.
            environment: All its variables; by default those of this process.
            **options: As for `subprocess.Popen`.

        Returns:
            A context manager with the process.

        Raises:
            OSError: It cannot be started, or the group was stopped.
        """
        with self._lock:
            if self._stopped:
                raise InterruptedError("stopped: no more tasks are started")
            process = subprocess.Popen(  # noqa: S603 - what the caller trusts
                command,
                env=environment,
                # A task has nobody to ask, and one in the background that reads a terminal is
                # stopped.
                stdin=subprocess.DEVNULL,
                text=True,
                process_group=self.number,
                **options,
            )
            self._running.add(process)
        with process, self.followed(process):
            yield process

    @contextlib.contextmanager
    def followed(self, process: Process) -> Iterator[None]:
        """Wait for the end of a process that was started in the group.

        Args:
            process: A `subprocess.Popen`, or an object with the same methods for waiting.

        Raises:
            InterruptedError: The group was stopped.
        """
        with self._lock:
            if self._stopped and process not in self._running:
                raise InterruptedError("stopped: no more tasks are started")
            self._running.add(process)
        try:
            yield
            process.wait()
        except BaseException:
            # Before `Popen` waits for its end, which may take long.
            self.interrupt()
            raise
        finally:
            if process.poll() is not None:
                with self._lock:
                    self._running.discard(process)

    def interrupt(self) -> None:
        """Interrupt the running tasks, as Ctrl-C does, so that they clean up and end."""
        with self._lock:
            left, stopped = list(self._running), self._stopped
        if left and not stopped:
            os.killpg(self.number, signal.SIGINT)
        _wait(left)

    def stop(self) -> None:
        """Interrupt the running tasks, end the group, and start no more tasks."""
        with self._end:
            with self._lock:
                left, stopped, self._stopped = list(self._running), self._stopped, True
            if stopped:
                return
            with contextlib.suppress(ProcessLookupError):
                if left:
                    os.killpg(self.number, signal.SIGINT)
                _wait(left)
                os.killpg(self.number, signal.SIGKILL)


def _wait(processes: Sequence[Process]) -> None:
    end = time.monotonic() + GRACE_SECONDS
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, end - time.monotonic()))


@contextlib.contextmanager
def stopped_by_signals(group: TaskGroup) -> Iterator[None]:
    """Make SIGINT and SIGTERM stop the group at once, before their previous handlers.

    An exception alone would not suffice: kfp.local runs the tasks of a loop in threads, and waits
    for all threads before it raises an exception.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def stop(number: int, frame: Any) -> None:
        # In a thread, because the handler may have interrupted one that holds a lock.
        threading.Thread(target=group.stop, daemon=True).start()
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    handled = [number for number, handler in before.items() if callable(handler)]
    for number in handled:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number])


@contextlib.contextmanager
def task_group() -> Iterator[TaskGroup]:
    """A group whose processes do not outlive the block or this process."""
    with subprocess.Popen(  # noqa: S603 - this Python, and words of ours
        [sys.executable, "-I", "-S", "-c", _GUARD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,
    ) as guard:
        assert guard.stdin is not None and guard.stdout is not None  # noqa: S101, PT018 - pipes
        guard.stdout.read(1)  # from now on an interrupt of the group does not end the guard
        group = TaskGroup(guard)
        try:
            yield group
        finally:
            group.stop()
