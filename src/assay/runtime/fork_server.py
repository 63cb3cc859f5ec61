"""Fork servers, which have the imports of tasks loaded and fork for each task: on Linux only.

Each task of a local run is a process of its own. In a run whose steps are answered from the cache,
the imports of these processes cost more than everything else. So a run starts a fork server in the
group of its tasks (`assay.runtime.task_group`). A task of the library is then a fork of it instead
of a new process, and runs the same `assay.runtime.task`.

The server imports what every task imports first, and nothing that computes: a fork of it has what
a new process has at the same line. For tasks with a step that `asks_registry` it forks a second
server, which imports MLflow and its database while other tasks run.

For each task the run passes a connection and the end of a pipe for the task's output. The fork
reports that it is ready, the run sends the request, and the fork's last byte is its exit code.
Before the request nothing is executed, so on any failure until then the run starts a process.
docs/adr/0017 has the reasons and measurements.
"""

import atexit
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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn, Self
from urllib.parse import urlsplit

from assay.core import closure
from assay.core import code_identity as code
from assay.core.environment import hidden_modules, inherited, replace_variables, set_variables
from assay.core.settings import MLFLOW_URI
from assay.runtime.declaration import named_in
from assay.runtime.task_group import TaskGroup

READY_SECONDS: Final = 60
"""Seconds after which a task gets a process of its own, because the server is still importing."""
_READY: Final = b"r"
_OF_EACH_TASK: Final = (
    "kfp.dsl.executor",
    "assay.runtime.task",
    "assay.runtime.kfp",
    "assay.runtime.declaration",
    "assay.core.store.folder",
    "in_toto_attestation.v1.statement",
    "in_toto_attestation.predicates.provenance.v1.provenance_pb2",
    "google.protobuf.json_format",
)
"""Modules that every task imports; none that computes."""
_OF_SOME_TASKS: Final = ("assay.governance.policy", "assay.reports.page", "jinja2")
"""Modules that the first and the last task import; imported while the other server begins."""
_OF_THE_REGISTRY: Final = (
    "mlflow.tracking",
    "assay.governance.admission",
    "assay.governance.registry",
    "assay.releases.production",
)
_OF_A_DATABASE: Final = (
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "sqlalchemy.dialects.sqlite",
)
_UNUSED: Final = ("pandas", "pyarrow", "pygments")
"""Optional imports of MLflow. Queries of a registry do not need them; they take a third of the
time, and Arrow's allocator starts a thread, with which a process should not fork."""
_SERVERS: Final = ("http", "https")
_AT_START: Final = ("PYTHON", "LD_", "MALLOC_", "GLIBC_")
"""Prefixes of variables that a process reads when it starts."""


class Fork:
    """A task that is a fork of the server, followed as a `subprocess.Popen` is.

    Args:
        connection: To the fork.
        output: File descriptor of the task's output.
        request: What the fork reads when its task begins.
    """

    def __init__(self, connection: socket.socket, output: int, request: bytes) -> None:
        self.stdout = os.fdopen(output, encoding="utf-8", errors="backslashreplace")
        self.returncode: int | None = None
        self._connection = connection
        self._request = request

    def begin(self) -> None:
        """Let the task run; until then the fork waits."""
        with contextlib.suppress(OSError):  # it was killed, which `wait` reports
            self._connection.sendall(self._request)

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
            The exit code; that of SIGKILL if the task could not report one.

        Raises:
            subprocess.TimeoutExpired: The task still runs.
        """
        if self.returncode is None:
            try:
                if not select.select([self._connection], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired("a forked task", timeout or 0)
                # Other threads may wait too.
                last = self._connection.recv(1, socket.MSG_PEEK)
            except (OSError, ValueError):
                # Another thread saw the end, and has closed the connection since.
                if (code := self._known_code()) is None:
                    raise
                return code
            self.returncode = last[0] if last else -signal.SIGKILL
        return self.returncode

    def _known_code(self) -> int | None:
        """The exit code, which other threads may have set meanwhile."""
        return self.returncode


class ForkServer:
    """The client side in the run; see `fork_server`.

    Args:
        control: Connection to the server.
        registry: Connection to the server with MLflow.
        that_ask: Components with a step that `asks_registry`.
    """

    def __init__(
        self,
        control: socket.socket,
        registry: socket.socket,
        that_ask: frozenset[str],
    ) -> None:
        self._control = control
        self._registry = registry
        self._that_ask = that_ask
        self._at_start = _read_at_start(inherited())

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> Fork | None:
        """Start a fork for a task, which waits for `Fork.begin`.

        Args:
            command: Of the task, as in the compiled pipeline.
            environment: All of the task's variables.

        Returns:
            The fork; None if the caller must start a process: the task is not of the library, or
            has variables that a process reads when it starts, or the server does not run, or the
            library has changed since the server was started.
        """
        component = named_in(list(command))
        if not component or _read_at_start(environment) != self._at_start:
            return None
        server = self._registry if component in self._that_ask else self._control
        near, far = socket.socketpair()
        reading, writing = os.pipe()
        try:
            with far:
                socket.send_fds(server, [b"\0"], [far.fileno(), writing])
            near.settimeout(READY_SECONDS)
            if near.recv(1) != _READY:
                raise EOFError  # noqa: TRY301 - one way out
            near.settimeout(None)
        except (OSError, EOFError):
            near.close()
            os.close(reading)
            return None
        finally:
            os.close(writing)
        request = {"arguments": command[2:], "environment": dict(environment)}
        return Fork(near, reading, json.dumps(request).encode() + b"\n")


@contextlib.contextmanager
def fork_server(pipeline: Any, group: TaskGroup) -> Iterator[ForkServer | None]:
    """Start the server, if the pipeline has a use for it, and end it after the block.

    Args:
        pipeline: A function decorated with `@dsl.pipeline`.
        group: The group of the run's tasks, with which the server ends at the latest.
    """
    # On other systems, system libraries do not survive a fork.
    components = _components(pipeline) if sys.platform == "linux" else frozenset()
    if not components:
        yield None
        return
    with contextlib.ExitStack() as stack:
        (near, far), (registry, its) = (_connection(stack) for _ in range(2))
        that_ask = _those_that_ask(components)
        process = subprocess.Popen(  # noqa: S603 - this Python, and words of ours
            [
                *(sys.executable, "-m", "assay.runtime.fork_server", str(far.fileno())),
                *([str(its.fileno())] if that_ask else []),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[far.fileno(), its.fileno()],
            process_group=group.number,
        )
        far.close()
        its.close()
        try:
            yield ForkServer(near, registry, that_ask)
        finally:
            # It holds nothing that has to be put away. The server with MLflow sees the end of its
            # connection.
            process.kill()
            process.wait()


def _connection(stack: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
    near, far = socket.socketpair()
    return stack.enter_context(near), stack.enter_context(far)


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in environment.items() if name.startswith(_AT_START)}


def _components(pipeline: Any) -> frozenset[str]:
    """Components of the library in the pipeline."""
    executors = pipeline.pipeline_spec.deployment_spec["executors"]
    return frozenset(
        {named_in(list(executor["container"]["command"])) for executor in executors.values()} - {""}
    )


def _those_that_ask(components: Iterable[str]) -> frozenset[str]:
    return frozenset(name for name in components if _asks_registry(name))


def _asks_registry(component: str) -> bool:
    """Whether the step of a stage does; a task of several steps is named after that step."""
    from assay.core.step import Step

    try:
        module = importlib.import_module(f"assay.components.{component}.step")
    except ModuleNotFoundError:
        return False
    return any(isinstance(value, Step) and value.asks_registry for value in vars(module).values())


def main() -> None:
    """Serve until the run closes its end of the connection."""
    # Python calls it after all later registrations.
    atexit.register(_end)
    control, *others = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    # An interrupt is for the tasks. It is blocked and not ignored, so that one that a fork gets
    # before its task begins is not lost. What is loaded stays for good, and to look for garbage in
    # it would copy every page in a fork.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    gc.disable()
    loaded = code.installed()
    _load_task()
    for registry in others:
        if os.fork() == 0:
            control.close()
            control = registry
            _load_registry()
        else:
            registry.close()
            _load(_OF_SOME_TASKS)
    gc.freeze()
    # No one waits for forks, so the system discards them at their end.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        _, received, _, _ = socket.recv_fds(control, 1, 2)
        if not received:
            # No tear-down: MLflow's takes half a second.
            os._exit(0)
        if os.fork() == 0:
            control.close()
            # An attestation would name the changed code, not the imported one.
            _serve(*received, ready=code.installed() == loaded)
        for descriptor in received:
            os.close(descriptor)


def _load_task() -> None:
    set_variables({"_KFP_RUNTIME": "true"})
    _load(_OF_EACH_TASK)
    closure.read_ahead()


def _load(names: Iterable[str]) -> None:
    for name in names:
        importlib.import_module(name)


def _load_registry() -> None:
    from assay.governance.mlflow_calls import prepare, quiet

    # Forked, it must not have threads.
    set_variables({"OPENBLAS_NUM_THREADS": "1"})
    prepare()
    database = urlsplit(MLFLOW_URI.get()).scheme not in _SERVERS
    with hidden_modules(*_UNUSED), quiet():
        _load(_OF_THE_REGISTRY)
        if database:
            _load(_OF_A_DATABASE)


_task: dict[str, Any] = {}
"""In a fork: its connection and exit code."""


def _end() -> None:
    """End a fork after the exit functions of its task.

    No tear-down of modules: MLflow's takes half a second.
    """
    if _task:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        with contextlib.suppress(OSError):
            _task["connection"].sendall(bytes([_task["code"]]))
        os._exit(_task["code"])


def _serve(number: int, output: int, *, ready: bool) -> NoReturn:
    """Run one task, in a fork; never returns, so that nothing of the server runs twice."""
    connection = socket.socket(fileno=number)
    connection.set_inheritable(False)
    try:
        if ready:
            connection.sendall(_READY)
            with connection.makefile("rb") as stream:
                request = json.loads(stream.readline())
            _task.update(connection=connection, code=1)
            _task["code"] = _run(request, output)
    except BaseException as error:  # noqa: BLE001 - nothing of the server may run twice
        from assay.printable import traceback_of

        # To the log of the task, if it is connected; before that, the run starts a process.
        print(traceback_of(error), file=sys.stderr, flush=True)  # noqa: T201
    if not _task:
        os._exit(1)
    sys.exit()


def _run(request: Mapping[str, Any], output: int) -> int:
    """Run the task as in a process of its own; return its exit code."""
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
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        task.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    main()
