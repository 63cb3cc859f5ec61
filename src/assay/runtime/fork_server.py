"""A process that has MLflow loaded and forks for each task that needs it: local runs on Linux only.

Importing MLflow and its database costs more than everything else that a run does whose steps are
answered from the cache, and each task is a process of its own. So a run whose pipeline has a task
with a step that `asks_registry` starts a fork server at once, in the group of its tasks
(`assay.runtime.task_group`), which imports MLflow while other tasks run. Such a task is then a fork
of the server instead of a new process, and runs the same `assay.runtime.task`.

For each task the run hands over a connection and the end of a pipe for the task's output. The fork
says that it is ready, the run sends the request, and the fork's last byte is its exit code. Nothing
has been done before the request is sent: whatever fails until then, the run starts a process.
docs/adr/0017 says why, and what was measured.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn, Self
from urllib.parse import urlsplit

from assay.core.environment import hidden_modules, inherited, replace_variables, set_variables
from assay.core.settings import MLFLOW_URI
from assay.runtime.declaration import named_in
from assay.runtime.task_group import TaskGroup

READY_SECONDS: Final = 60
"""The server may still be importing; a task that waited so long gets a process of its own."""
_READY: Final = b"r"
_UNUSED: Final = ("pandas", "pyarrow")
"""What MLflow imports where it is installed and does without where it is not. Asking a registry
needs neither; they take a third of the time, and Arrow's allocator starts a thread, with which no
process should fork."""
_SERVERS: Final = ("http", "https")


class Fork:
    """A task that is a fork of the server, followed as a `subprocess.Popen` is."""

    def __init__(self, connection: socket.socket, output: int) -> None:
        self.stdout = os.fdopen(output, encoding="utf-8", errors="backslashreplace")
        self.returncode: int | None = None
        self._connection = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stdout.close()
        self.wait()
        self._connection.close()

    def poll(self) -> int | None:
        """The exit code; None while the task runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the task's end.

        Args:
            timeout: Seconds; None: without end.

        Returns:
            The exit code, that of SIGKILL where the task could not say one.

        Raises:
            subprocess.TimeoutExpired: The task still runs.
        """
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a forked task", timeout or 0)
            # Other threads may wait as well.
            said = self._connection.recv(1, socket.MSG_PEEK)
            self.returncode = said[0] if said else -signal.SIGKILL
        return self.returncode


class ForkServer:
    """The run's end of it; see `fork_server`."""

    def __init__(self, control: socket.socket, components: frozenset[str]) -> None:
        self._control = control
        self._components = components

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> Fork | None:
        """Start a task as a fork.

        Args:
            command: Of the task, as in the compiled pipeline.
            environment: All of the task's variables.

        Returns:
            The task; None where nothing was started and the caller has to start a process: the
            task needs no registry, or the server is not there, or the library has changed since
            the server was started.
        """
        if named_in(list(command)) not in self._components:
            return None
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        try:
            with theirs:
                socket.send_fds(self._control, [b"\0"], [theirs.fileno(), writing])
            ours.settimeout(READY_SECONDS)
            if ours.recv(1) != _READY:
                raise EOFError  # noqa: TRY301 - one way out
            ours.settimeout(None)
            request = {"arguments": command[2:], "environment": dict(environment)}
            ours.sendall(json.dumps(request).encode() + b"\n")
        except (OSError, EOFError):
            ours.close()
            os.close(reading)
            return None
        finally:
            os.close(writing)
        return Fork(ours, reading)


@contextlib.contextmanager
def fork_server(pipeline: Any, group: TaskGroup) -> Iterator[ForkServer | None]:
    """Start the server, if `pipeline` has a use for it, and end it after the block.

    Args:
        pipeline: What `@dsl.pipeline` made of a function.
        group: The group of the run's tasks, with which the server ends at the latest.
    """
    # Elsewhere system libraries do not survive a fork.
    components = _components_that_ask(pipeline) if sys.platform == "linux" else frozenset()
    if not components:
        yield None
        return
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = subprocess.Popen(  # noqa: S603 - this Python, and words of ours
                [sys.executable, "-m", "assay.runtime.fork_server", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=group.number,
                # Forked, it must not have threads.
                env=inherited(OPENBLAS_NUM_THREADS="1"),
            )
        try:
            yield ForkServer(ours, components)
        finally:
            # It holds nothing that has to be put away, and Python's own end takes half a second.
            process.kill()
            process.wait()


def _components_that_ask(pipeline: Any) -> frozenset[str]:
    executors = pipeline.pipeline_spec.deployment_spec["executors"]
    names = {named_in(list(one["container"]["command"])) for one in executors.values()} - {""}
    return frozenset(name for name in names if _asks_registry(name))


def _asks_registry(component: str) -> bool:
    """Whether the stage's own step does; a task of several steps is named after that one."""
    from assay.core.step import Step

    try:
        module = importlib.import_module(f"assay.components.{component}.step")
    except ModuleNotFoundError:
        return False
    return any(isinstance(one, Step) and one.asks_registry for one in vars(module).values())


def main() -> None:
    """Serve until the run closes its end of the connection."""
    from assay.core import code_identity as code
    from assay.governance.mlflow_calls import quiet

    control = socket.socket(fileno=int(sys.argv[1]))
    # An interrupt is for the tasks; what is loaded stays for good, and to look for garbage in it
    # would copy every page in a fork.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    loaded = code.installed()
    with hidden_modules(*_UNUSED), quiet():
        _load()
    gc.freeze()
    # Nobody waits for forks, so the system forgets them at their end.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        _, received, _, _ = socket.recv_fds(control, 1, 2)
        if not received:
            return
        if os.fork() == 0:
            control.close()
            # What has changed since it was imported is not what an attestation would name.
            _serve(*received, ready=code.installed() == loaded)
        for descriptor in received:
            os.close(descriptor)


def _load() -> None:
    from assay.governance.mlflow_calls import prepare

    set_variables({"_KFP_RUNTIME": "true"})
    prepare()
    names = ["kfp.dsl.executor", "assay.runtime.kfp", "mlflow.tracking"]
    names += ["assay.governance.admission", "assay.governance.registry"]
    if urlsplit(MLFLOW_URI.get()).scheme not in _SERVERS:
        names += [
            "mlflow.store.tracking.sqlalchemy_store",
            "mlflow.store.model_registry.sqlalchemy_store",
        ]
    for name in names:
        importlib.import_module(name)


def _serve(number: int, output: int, *, ready: bool) -> NoReturn:
    """Run one task, in a fork; never returns, so that nothing of the server runs twice."""
    code = 1
    connection = socket.socket(fileno=number)
    connection.set_inheritable(False)
    try:
        if ready:
            connection.sendall(_READY)
            with connection.makefile("rb") as stream:
                request = json.loads(stream.readline())
            code = _run(request, output)
            connection.sendall(bytes([code]))
    except BaseException as error:  # noqa: BLE001 - nothing of the server may run twice
        from assay.printable import traceback_of

        # Into the task's log, once that is where it leads; before, the run starts a process.
        print(traceback_of(error), file=sys.stderr, flush=True)  # noqa: T201
    finally:
        # No tear-down: MLflow's takes half a second.
        os._exit(code)


def _run(request: Mapping[str, Any], output: int) -> int:
    """Run the task as a process of its own would; its exit code."""
    import logging

    from assay.runtime import task

    for number in (1, 2):
        os.dup2(output, number)
    os.close(output)
    replace_variables(request["environment"])
    sys.argv = request["arguments"]
    logging.getLogger().handlers.clear()
    gc.enable()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        task.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
    return 0


if __name__ == "__main__":
    main()
