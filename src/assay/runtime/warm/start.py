"""A run's side: start the warm process where some task will ask the registry, and end it."""

import contextlib
import importlib
import importlib.util
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assay.core.environment import inherited
from assay.core.settings import WARM_SOCKET
from assay.core.step import Step
from assay.runtime.declaration import named_in
from assay.runtime.task_group import TaskGroup, task_group


@contextlib.contextmanager
def warm_process(pipeline: Any) -> Iterator[dict[str, str]]:
    """Start the process in the background, if `pipeline` has a use for it; end it afterwards.

    Yields:
        Environment variables for the tasks.
    """
    # Elsewhere system libraries do not survive a fork.
    if sys.platform != "linux" or not _asks_registry(pipeline):
        yield {WARM_SOCKET.name: ""}
        return
    # Not in the run's folder: a socket's name has 107 bytes.
    with (
        tempfile.TemporaryDirectory(prefix="assay-warm-", ignore_cleanup_errors=True) as folder,
        contextlib.ExitStack() as stack,
    ):
        path = Path(folder, "socket")
        with contextlib.suppress(OSError):
            stack.enter_context(_started(path))
        yield {WARM_SOCKET.name: str(path) if path.exists() else ""}


@contextlib.contextmanager
def _started(path: Path) -> Iterator[None]:
    with task_group(1.0, str(path.parent)) as group, _process(path, group) as process:
        try:
            yield
        finally:
            # It holds nothing that is worth a farewell; forks end with their tasks.
            process.kill()
            process.communicate()


@contextlib.contextmanager
def _process(path: Path, group: TaskGroup) -> Iterator["subprocess.Popen[bytes]"]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        # Tasks may connect from now on, and wait.
        listener.bind(str(path))
        listener.listen()
        process = subprocess.Popen(  # noqa: S603 - this Python, and words of ours
            [
                sys.executable,
                "-m",
                "assay.runtime.warm.server",
                str(listener.fileno()),
                str(path.parent),
            ],
            stdin=subprocess.PIPE,  # its end, however this process ends, ends the other
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
            # A group of its own: an interrupt reaches a fork through its task, and once. The group
            # ends it while it imports, when it does not look at its standard input.
            process_group=group.number,
            # Forked, it must not have threads; the hashes of text are those of the tasks.
            env=inherited(OPENBLAS_NUM_THREADS="1", PYTHONHASHSEED="0"),
        )
    yield process


def _asks_registry(pipeline: Any) -> bool:
    executors = pipeline.pipeline_spec.deployment_spec["executors"]
    names = {named_in(list(one["container"]["command"])) for one in executors.values()} - {""}
    return any(_step_asks_registry(name) for name in sorted(names))


def _step_asks_registry(component: str) -> bool:
    """Whether the stage's own step does; a task of several steps is named after that one."""
    name = f"assay.components.{component}.step"
    if importlib.util.find_spec(name) is None:
        return False
    found = vars(importlib.import_module(name)).values()
    return any(isinstance(one, Step) and one.asks_registry for one in found)
