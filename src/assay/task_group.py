"""Processes that end when this one ends, however it ends.

A guard, the smallest process that does it, leads a process group that all tasks of a run join
before they begin. It reads a pipe that only this process holds open: the system closes it when this
process is gone, even by `kill -9`, and then the guard kills the group, itself included. That takes
along whatever the tasks have started, at every moment, and works on each POSIX system.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

GRACE_SECONDS: Final = 5.0
"""What tasks have for cleaning up when the run is interrupted."""

_GUARD: Final = """
import os, signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
os.write(1, b"r")
while os.read(0, 64):
    pass
time.sleep(float(sys.argv[1]))
if sys.argv[2]:
    import shutil
    shutil.rmtree(sys.argv[2], ignore_errors=True)
os.killpg(0, signal.SIGKILL)
"""


class TaskGroup:
    """The group of one run; see `task_group`."""

    def __init__(self, guard: "subprocess.Popen[bytes]") -> None:
        self._guard = guard
        self._running: set[subprocess.Popen[Any]] = set()
        self._lock = threading.Lock()

    @property
    def number(self) -> int:
        """Of the process group, for processes that nobody waits for here."""
        return self._guard.pid

    @contextlib.contextmanager
    def started(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None, **options: Any
    ) -> Iterator["subprocess.Popen[str]"]:
        """Run a command in the group for as long as the block lasts, and wait for its end.

        Args:
            command: Program and arguments.
            environment: Instead of this process's own.
            **options: As `subprocess.Popen` takes them.

        Raises:
            OSError: It cannot be started.
        """
        with subprocess.Popen(  # noqa: S603 - what the caller trusts
            command,
            env=environment,
            # A task has nobody to ask, and one in the background that reads a terminal is stopped.
            stdin=subprocess.DEVNULL,
            text=True,
            process_group=self.number,
            **options,
        ) as process:
            with self._lock:
                self._running.add(process)
            try:
                yield process
                process.wait()
            except BaseException:
                # Before `Popen` waits for its end, which may be far away.
                self.interrupt()
                raise
            finally:
                if process.poll() is not None:
                    with self._lock:
                        self._running.discard(process)

    def interrupt(self) -> None:
        """Have what still runs clean up and end, as Ctrl-C on a terminal would."""
        with self._lock:
            left = list(self._running)
        if not left:
            return
        os.killpg(self.number, signal.SIGINT)
        for process in left:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_SECONDS)


@contextlib.contextmanager
def task_group(patience: float = 0.0, waste: str = "") -> Iterator[TaskGroup]:
    """A group whose processes do not outlive the block, nor this process.

    Args:
        patience: Seconds that its processes have for ending by themselves after this process was
            killed.
        waste: A folder that is removed then, because nobody else can.
    """
    with subprocess.Popen(  # noqa: S603 - this Python, and words of ours
        [sys.executable, "-I", "-S", "-c", _GUARD, str(patience), waste],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,
    ) as guard:
        assert guard.stdin is not None and guard.stdout is not None  # noqa: S101, PT018 - pipes
        guard.stdout.read(1)  # from now on an interrupt of the group is not its own end
        group = TaskGroup(guard)
        try:
            yield group
        finally:
            with contextlib.suppress(ProcessLookupError):
                group.interrupt()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(guard.pid, signal.SIGKILL)
