"""Running a pipeline on this machine with `kfp.local`, followed by its events.

Every task is a process of its own, as on a cluster, and ends at the latest when the run ends
(`assay.runtime.task_group`). The output of tasks goes to the log of the run. Tasks start with their
imports loaded (`assay.runtime.fork_server`).
"""

import contextlib
import io
import json
import logging
import os
import shutil
import subprocess
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from assay.core import findings
from assay.core.environment import environment, inherited
from assay.core.settings import EVENTS, RUN
from assay.printable import without_secrets
from assay.runtime import events
from assay.runtime.fork_server import ForkServer, fork_server
from assay.runtime.runs import verdict_of
from assay.runtime.task_group import TaskGroup, stopped_by_signals, task_group

POLL_SECONDS: Final = 0.1
_ENCODING: Final = "utf-8"
_ERRORS: Final = "backslashreplace"

Listener = Callable[["Task"], None]


@dataclass(slots=True)
class Task:
    """One task of a run, from its events."""

    name: str
    state: str
    process: str = ""
    """Distinguishes tasks of the same name, such as those of a loop."""
    started: float = 0.0
    """Seconds since the epoch, by the clock of the task."""
    seconds: float = 0.0
    side_effects: bool = False
    outputs: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    attestation: str = ""
    error: str = ""
    exit_code: int = 0
    problems: list[str] = field(default_factory=list)
    """The parts of `error`, without the verdict."""


@dataclass(slots=True)
class Outcome:
    """The result of a run."""

    tasks: list[Task]
    folder: Path
    """Folder with the reports and the log of this run."""
    exit_code: int
    error: str
    problems: list[str] = field(default_factory=list)
    """The parts of `error`, without the verdict."""
    notes: list[str] = field(default_factory=list)
    """Warnings about the run itself."""
    tables: list[Path] = field(default_factory=list)
    """Tables that tasks exported as files."""

    def task(self, name: str) -> Task | None:
        """The last task with this name, if it ran."""
        return next((task for task in reversed(self.tasks) if task.name == name), None)

    @property
    def reports(self) -> list[Path]:
        """HTML reports of the tasks, to open in a browser."""
        return sorted((self.folder / "reports").glob("*.html"))

    @property
    def findings(self) -> list[str]:
        """Findings of the tasks, one line each."""
        all_lines = [
            f"{task.name}: {line}" for task in self.tasks for line in findings.lines(task.values)
        ]
        return list(dict.fromkeys([*all_lines, *self.notes]))

    @property
    def log(self) -> Path:
        """The log with the output of the tasks."""
        return self.folder / "run.log"

    @property
    def verdict(self) -> str:
        """`passed`, `rejected`, `blocked`, `inconclusive` or `failed`."""
        return verdict_of(self.exit_code)


def run(
    pipeline: Any, arguments: Mapping[str, Any], folder: Path, listener: Listener | None = None
) -> Outcome:
    """Run a compiled pipeline function and follow it.

    Args:
        pipeline: A function decorated with `@dsl.pipeline`.
        arguments: Checked arguments.
        folder: Folder for reports and the log; it is created.
        listener: Called with a task at each change of its state.

    Returns:
        The result of the run.
    """
    from kfp import local

    folder.mkdir(parents=True, exist_ok=True)
    event_file = folder / "events.jsonl"
    follower = _Follower(event_file, listener)
    variables = {
        EVENTS.name: str(event_file),
        RUN.name: folder.name,
        # As in the images, because hashes of text differ between processes.
        "PYTHONHASHSEED": "0",
        # The output of tasks goes through a pipe to the log, whatever the terminal supports.
        "PYTHONIOENCODING": f"{_ENCODING}:{_ERRORS}",
    }
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(folder / "outputs"),
        workspace_root=str(folder / "workspace"),
    )
    error = ""
    with _Log(folder / "run.log", arguments) as log, follower:  # noqa: SIM117 - inside these, so
        # that the follower reports with the real standard output.
        with (
            environment(variables),
            task_group() as group,
            stopped_by_signals(group),
            fork_server(pipeline, group) as server,
            _tasks_in(group, server),
            _nulls(),
            _output_to(log),
            warnings.catch_warnings(),
        ):
            # Images are for clusters; the tasks run in this Python.
            warnings.filterwarnings("ignore", category=RuntimeWarning, module="kfp")
            # Names of tasks are for the UI.
            warnings.filterwarnings("ignore", r"Task .* settings \['display_name'\]", UserWarning)
            try:
                pipeline(**arguments)
            except RuntimeError as failure:
                # kfp.local only names the failed task; the event of the task has the reason.
                error = str(failure)
    outcome = _outcome(list(follower.tasks), folder, error)
    try:
        _collect_reports(folder, _outputs_of(pipeline, "system.HTML"))
        outcome.tables += _files(folder, _outputs_of(pipeline, "system.Dataset"))
    except OSError as failure:
        # A full disk must not hide the verdict or its reason.
        outcome.notes.append(f"reports are missing in {folder}: {failure.strerror}; free space")
    return outcome


@contextlib.contextmanager
def _nulls() -> Iterator[None]:
    """Make kfp.local pass null within objects, as KFP does; many arguments may be None."""
    from google.protobuf import struct_pb2
    from kfp.compiler import pipeline_spec_builder as builder

    known = builder.to_protobuf_value

    def to_protobuf_value(value: Any) -> Any:
        null = struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
        return null if value is None else known(value)

    builder.to_protobuf_value = to_protobuf_value
    try:
        yield
    finally:
        builder.to_protobuf_value = known


@contextlib.contextmanager
def _tasks_in(group: TaskGroup, server: ForkServer | None) -> Iterator[None]:
    """Make kfp.local start its tasks in a group; it has no option for that."""
    from kfp.local import subprocess_task_handler as handler

    def run_local_subprocess(
        full_command: list[str], env_vars: Mapping[str, str] | None = None
    ) -> int:
        variables = inherited(**(env_vars or {}))
        if server and (fork := server.start(full_command, variables)):
            with fork, group.followed(fork):
                fork.begin()
                _log(fork.stdout)
            return fork.wait()
        with group.started(
            full_command,
            variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding=_ENCODING,
            errors=_ERRORS,
            bufsize=1,
        ) as process:
            _log(process.stdout or ())
        return process.returncode

    whole = handler.run_local_subprocess
    handler.run_local_subprocess = run_local_subprocess
    try:
        yield
    finally:
        handler.run_local_subprocess = whole


def _log(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, end="")  # noqa: T201 - into the run's log


def _outputs_of(pipeline: Any, kind: str) -> set[str]:
    """Names of the outputs of a kind, such as `system.HTML`."""
    return {
        name
        for component in pipeline.pipeline_spec.components.values()
        for name, output in component.output_definitions.artifacts.items()
        if output.artifact_type.schema_title == kind
    }


def _files(folder: Path, names: set[str]) -> list[Path]:
    """The files of outputs, which KFP names `.../<task>/<output>`."""
    outputs = folder / "outputs"
    paths = (path for name in sorted(names) for path in sorted(outputs.glob(f"*/**/{name}")))
    return [path for path in paths if path.is_file()]


def _collect_reports(folder: Path, names: set[str]) -> None:
    """Copy HTML pages to the folder of reports."""
    for path in _files(folder, names):
        # Those of the tasks of a loop have a folder for each iteration.
        place = path.parent.relative_to(folder / "outputs").parts[1:]
        target = (folder / "reports").joinpath(*place).with_suffix(".html")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _outcome(tasks: list[Task], folder: Path, error: str) -> Outcome:
    failed = [task for task in tasks if task.state in {events.FAILED, events.STARTED}]
    if not failed and not error:
        return Outcome(tasks, folder, 0, "")
    for task in failed:
        if task.state == events.STARTED:
            task.state = events.FAILED
            task.error = task.error or f"{task.name} was killed before it reported a reason"
            task.problems = task.problems or [task.error]
            task.exit_code = 1
    first = failed[0] if failed else None
    return Outcome(
        tasks,
        folder,
        (first.exit_code if first else 0) or 1,
        (first.error if first else "") or error,
        (first.problems if first else []) or [error],
    )


class _Log(io.TextIOBase):
    """The log of a run: readable by its owner only, and without the secrets of locations.

    KFP and the libraries in a task print their arguments, such as a presigned URL. The log handles
    whole lines, because a location that is written in parts would not be recognised.
    """

    def __init__(self, path: Path, arguments: Mapping[str, Any]) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._file = os.fdopen(descriptor, "w", 1, encoding=_ENCODING, errors=_ERRORS)
        self._begun = ""
        self._instead = dict(_public_texts(arguments))
        self._lock = threading.Lock()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._begun = f"{self._begun}{text}".split("\n")
            for line in lines:
                self._file.write(f"{self._public(line)}\n")
        return len(text)

    def close(self) -> None:
        if not self.closed:
            self._file.write(self._public(self._begun))
            self._file.close()
        super().close()

    def _public(self, line: str) -> str:
        for given, public in self._instead.items():
            line = line.replace(given, public)
        return str(without_secrets(line))


def _public_texts(value: Any) -> Iterator[tuple[str, str]]:
    """Texts with secrets in arguments, in the notation of Python and JSON, and their replacements.

    Within a line the end of a location with blanks is unknown.
    """
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _public_texts(item)
    elif isinstance(value, str) and (public := without_secrets(value, given=True)) != value:
        for text in {value, json.dumps(value)[1:-1]}:
            yield text, public


def new_run_id() -> str:
    """A name for the folder of a run; names sort by time."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")[:-3]


@contextlib.contextmanager
def _output_to(log: Any) -> Iterator[None]:
    """Redirect the output and logs of kfp.local to the log of the run."""
    with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        root = logging.getLogger()
        level, handlers = root.level, root.handlers[:]
        root.handlers[:] = [logging.StreamHandler(log)]
        try:
            yield
        finally:
            root.setLevel(level)
            root.handlers[:] = handlers


class _Follower:
    """Reads events while the pipeline runs, and calls the listener."""

    def __init__(self, path: Path, listener: Listener | None) -> None:
        self.tasks: list[Task] = []
        self._path = path
        self._listener = listener
        self._offset = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="assay-events", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._read()

    def _follow(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            self._read()

    def _read(self) -> None:
        for event, offset in events.read(self._path, self._offset):
            self._offset = offset
            task = self._apply(event)
            if self._listener is not None:
                self._listener(task)

    def _apply(self, event: Mapping[str, Any]) -> Task:
        name, state = event["task"], event["state"]
        if state == events.STARTED:
            task = Task(
                name,
                state,
                process=event["process"],
                started=event["at"],
                side_effects=event.get("side_effects", False),
            )
            self.tasks.append(task)
            return task
        task = next(
            t for t in reversed(self.tasks) if (t.name, t.process) == (name, event["process"])
        )
        task.state = state
        # The time of the whole task, including imports, not only of the step.
        task.seconds = event["at"] - task.started
        for key in ("outputs", "values", "attestation", "error", "exit_code", "problems"):
            if key in event:
                setattr(task, key, event[key])
        return task
