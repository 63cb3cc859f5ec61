"""The bridge to Kubeflow Pipelines: digests in, digests and things to look at out.

The only module of the library that knows KFP's tasks. A component's body is one call of `execute`;
see components/ for a dozen of them, and docs/steps.md for how to write your own.

A task may run several steps, one after the other: each has its own attestation and its own answer
in the step cache, and the pods are fewer. How a task ends stands in the run's records
(`assay.runtime.runs`), in its log and in Kubernetes' termination message.
"""

import contextlib
import sys
import time
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, Self

from assay.core.execution import Context, Execution
from assay.core.execution import execute as execute_step
from assay.core.findings import lines as finding_lines
from assay.core.manifest import FileEntry
from assay.core.settings import MLFLOW_RUN_ID
from assay.core.step import Step
from assay.core.store import Store
from assay.core.tree import get_manifest, read_entry
from assay.documents import Limits, read_json
from assay.documents.options import checked
from assay.errors import (
    AssayError,
    IntegrityError,
    RunBlocked,
    RunHalted,
    RunInconclusive,
    RunRejected,
    StepError,
)
from assay.evidence.labels import is_labelled
from assay.printable import traceback_of, without_secrets
from assay.runtime import events, mounted, runs
from assay.runtime.context import task_context
from assay.runtime.foreign import keep, recognise
from assay.text import log_lines, reason_lines

TERMINATION_LOG: Final = Path("/dev/termination-log")
"""Kubernetes shows what a container wrote here as the reason of its end."""
MAX_TERMINATION_BYTES: Final = 4096
"""Kubernetes keeps no more."""

VIEW_FILES: Final = {
    "HTML": "report.html",
    "Markdown": "summary.md",
    "Metrics": "metrics.json",
}
"""The file of an output's tree that a UI artifact of each type shows."""
LINEAGE: Final = {"Dataset": "dataset", "Model": "model"}
"""UI artifacts that show nothing but name what was made: type to the step's output."""

MAX_VIEW_BYTES: Final = 32 << 20

SETTINGS: Final = "settings"
"""Parameter of a component: more of its steps' parameters, as one object."""
EPOCH: Final = "epoch"
"""The setting that no step takes: KFP's cache key changes with it (`assay.core.epoch`)."""

BLOCKS: Final[Mapping[str, type[RunHalted]]] = {
    "block": RunBlocked,
    "inconclusive": RunInconclusive,
}
REJECTS: Final[Mapping[str, type[RunHalted]]] = {"block": RunRejected, "inconclusive": RunRejected}
"""What the verdict of a judging step ends the run with."""


def execute(
    step: Step,
    arguments: Mapping[str, Any],
    *outputs: str,
    judge: Mapping[str, type[RunHalted]] | None = None,
) -> tuple[Any, ...]:
    """Run a step as a KFP component.

    Args:
        step: What to run.
        arguments: The component's `locals()`: parameters by name, and UI artifacts, which are
            filled from the files named in `VIEW_FILES`. `settings`, where there is one, holds more
            of the step's parameters and wins.
            A foreign component's artifact, given to an input of the step, is kept in the store
            first; the step gets what its digest names.
        *outputs: Names of the step's outputs and values, in the order of the component's own
            `NamedTuple`. `NAME_digest` is the output NAME: a UI artifact has the short name.
        judge: What each `verdict` of the step but `pass` ends the run with.

    Returns:
        A named tuple with a digest or value for each name in `outputs`.
    """
    return execute_all([step], arguments, *outputs, name=step.name, judge=judge)


def execute_all(
    steps: Sequence[Step],
    arguments: Mapping[str, Any],
    *outputs: str,
    name: str,
    judge: Mapping[str, type[RunHalted]] | None = None,
    handed_on: Mapping[str, str] | None = None,
    lists: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Any, ...]:
    """Run several steps as one KFP component, as `execute` does one.

    Args:
        steps: In order. Each takes what it knows by name: arguments of the component, or what a
            step before it gave.
        arguments: As for `execute`.
        *outputs: As for `execute`.
        name: The component's.
        judge: For the last step.
        handed_on: Parameter to the output or value of an earlier step that it takes, where their
            names differ.
        lists: Outputs that are several digests, by name.
    """
    with Task(name, steps, arguments) as task:
        for step in steps:
            task.run(step, handed_on or {})
        return task.end(outputs, judge, lists)


def adopt(step: Step, name: str, arguments: Mapping[str, Any], *outputs: str) -> tuple[Any, ...]:
    """As `execute`, for a step that imports the KFP artifact given to its input `name`.

    An artifact of ours that comes back unaltered keeps its name and its records: nothing runs.
    """
    with Task(step.name, [step], arguments) as task:
        foreign = _named(arguments[name], task.context)
        known = _recognised(step, foreign, task.context)
        if known is None:
            task.run(step, {}, {name: foreign})
        else:
            task.took(known)
        return task.end(outputs)


def guard(function: Callable[..., None], **arguments: Any) -> None:
    """Call a function that is no step with a task's error handling."""
    name = function.__name__
    events.emit(name, events.STARTED)
    try:
        function(**arguments)
    except AssayError as error:
        events.emit(name, events.FAILED, **_failure(error))
        _tell(error, [])
        raise SystemExit(error.exit_code) from None
    except BaseException as error:  # noqa: BLE001 - ends the task, as a Task does
        events.emit(name, events.FAILED, **_failure(error))
        _end_of_a_bug(error)
    events.emit(name, events.DONE)


class Task:
    """A task of a run: its steps, what becomes of them, and how it is told.

    As a context manager it turns an `AssayError` into one line and its exit code. The line is the
    last on standard error, and Kubernetes' termination message, because the KFP UI says little else
    about why a task failed.
    """

    def __init__(
        self,
        name: str,
        steps: Sequence[Step],
        arguments: Mapping[str, Any],
        own_settings: Mapping[str, type] | None = None,
    ) -> None:
        self._name = name
        self._steps = steps
        self._types = {EPOCH: str, **(own_settings or {})}
        self._arguments = dict(arguments)
        self._views = _views(arguments)
        self._executions: list[Execution] = []
        self._current: Step | None = None
        self._context: Context | None = None
        self._started = time.time()
        self._reasons: list[str] = []

    def __enter__(self) -> Self:
        self._begin(self._steps[0])
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None:
            return
        self._emit_failure(error)
        with contextlib.suppress(AssayError):
            # What was wrong may have been found before the store was asked for.
            self._open()
        self._record(runs.FAILED, error)
        if isinstance(error, AssayError):
            _tell(error, self._reasons)
            raise SystemExit(error.exit_code) from None
        _end_of_a_bug(error)

    @property
    def context(self) -> Context:
        """Store, cache mode, keys: from the environment."""
        if self._context is None:
            context = self._open()
            self._record(runs.STARTED)
            self._arguments |= self._settings()
            return context
        return self._context

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What the component was given, settings among it, and what its steps gave so far."""
        return self._arguments

    def run(
        self,
        step: Step,
        handed_on: Mapping[str, str] | None = None,
        instead: Mapping[str, Any] | None = None,
    ) -> Execution:
        """Run a step, or take its answer from the cache."""
        if step is not self._current or (
            self._executions and self._executions[-1].step == step.name
        ):
            self._begin(step)
        context = self.context
        arguments = {**self._arguments, **(instead or {})}
        for name, source in (handed_on or {}).items():
            if source in self._arguments:
                arguments[name] = self._arguments[source]
        known = {*step.inputs, *step.list_inputs, *step.sources, *step.parameters}
        given = {name: _named(value, context) for name, value in arguments.items() if name in known}
        execution = execute_step(step, given, context)
        _log_to_run(step, given, execution, context.store)
        self.took(execution)
        return execution

    def took(self, execution: Execution) -> None:
        """Go on from what a step gave."""
        self._executions.append(execution)
        self._arguments |= {**execution.values, **execution.outputs}
        if self._steps[-1].name != execution.step:
            self._emit_end(execution)

    def end(
        self,
        outputs: Sequence[str],
        judge: Mapping[str, type[RunHalted]] | None = None,
        lists: Mapping[str, Sequence[str]] | None = None,
    ) -> tuple[Any, ...]:
        """Show what was made, then judge it; what the component gives.

        Raises:
            RunHalted: The verdict is not `pass`.
        """
        _fill_views(self._views, self._executions, self.context.store)
        last = self._executions[-1]
        if judge is not None and last.values["verdict"] != "pass":
            self._reasons = list(last.values.get("reasons") or ())
            raise _halted(last, judge)
        given = _pick(self._executions, outputs, lists or {})
        self._emit_end(last)
        self._record(runs.DONE)
        return given

    def _open(self) -> Context:
        if self._context is None:
            mounted.use()
            self._context = task_context()
        return self._context

    def _settings(self) -> dict[str, Any]:
        given = self._arguments.get(SETTINGS) or {}
        types = dict(self._types)
        for step in self._steps:
            types |= step.types
        found = checked(given, types, f"{self._name}: {SETTINGS}")
        found.pop(EPOCH, None)
        return found

    def _begin(self, step: Step) -> None:
        self._current = step
        events.emit(step.name, events.STARTED, side_effects=step.side_effects)

    def _emit_end(self, execution: Execution) -> None:
        for line in finding_lines(execution.values):
            _print(f"finding: {line}")
        state = events.CACHED if execution.cached else events.DONE
        events.emit(execution.step, state, **_told(execution))

    def _emit_failure(self, error: BaseException) -> None:
        name = self._current.name if self._current else self._name
        done = [one for one in self._executions if one.step == name]
        told = _told(done[-1]) if done else {}
        events.emit(name, events.FAILED, **told, **_failure(error))

    def _record(self, state: str, error: BaseException | None = None) -> None:
        """Write the run's record of this task; that it cannot be written fails nothing."""
        if self._context is None or not self._context.invocation:
            return
        failure: dict[str, Any] = {"problems": (), "exit_code": 0}
        if error is not None:
            failure = _failure(error)
        problems = tuple(failure["problems"])
        record = runs.TaskRecord(
            self._name,
            events.PROCESS,
            state,
            self._started,
            time.time() - self._started if state != runs.STARTED else 0.0,
            tuple(
                runs.StepRecord(one.step, one.attestation, one.cached, one.seconds)
                for one in self._executions
            ),
            "; ".join(problems),
            int(failure["exit_code"]),
            problems if len(problems) > 1 else (),
        )
        try:
            runs.write_task(self._context.store, self._context.invocation, record)
        except AssayError as unwritten:
            _print(f"warning: the run's record of {self._name} is missing: {unwritten}")


def _end_of_a_bug(error: BaseException) -> NoReturn:
    """End the task with the traceback in its log, which Python would print with all secrets."""
    _print(traceback_of(error))
    if isinstance(error, KeyboardInterrupt):
        raise KeyboardInterrupt from None  # the process ends by the signal
    raise SystemExit(1) from None


def _failure(error: BaseException) -> dict[str, Any]:
    """What events and records hold of an error; its problems do not repeat a verdict."""
    if isinstance(error, AssayError):
        problems, code = list(error.problems), error.exit_code
    else:
        problems, code = [without_secrets(f"{type(error).__name__}: {error}")], 1
    whole = str(error) if isinstance(error, AssayError) else problems[0]
    return {"error": whole, "problems": problems, "exit_code": code}


def _told(execution: Execution) -> dict[str, Any]:
    return {
        "outputs": dict(execution.outputs),
        "values": dict(execution.values),
        "attestation": execution.attestation,
        "seconds": execution.seconds,
    }


def _halted(execution: Execution, judge: Mapping[str, type[RunHalted]]) -> RunHalted:
    kind = judge[str(execution.values["verdict"])]
    reason = execution.values.get("reason") or "no reason was given"
    digest = next(iter(execution.outputs.values()))
    text = f"{reason} (report: {digest})"
    return kind(text, where=kind.verdict, problems=[text])


def _recognised(step: Step, foreign: str, context: Context) -> Execution | None:
    manifest = get_manifest(context.store, foreign)
    for name, port in step.outputs.items():
        if records := recognise(manifest, port.kind, context):
            digests = {**dict.fromkeys(step.outputs, ""), name: records.digest}
            return Execution(
                step.name, digests, {}, records.attestation, "", cached=True, seconds=0
            )
    return None


def _views(arguments: Mapping[str, Any]) -> list[Any]:
    return [value for value in arguments.values() if _is_ui_artifact(value)]


def _print(line: str) -> None:
    sys.stdout.flush()
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - a line that a user must see


def _tell(error: AssayError, reasons: Sequence[str]) -> None:
    """Say why the task failed: in short lines for KFP's log panel, which cuts and wraps none."""
    first, *others = [error.where] if reasons else error.lines
    for line in [*log_lines([f"error: {first}", *others]), *reason_lines(reasons)]:
        _print(line)
    with contextlib.suppress(OSError):
        if TERMINATION_LOG.exists():
            whole = f"error: {error}".encode()[: MAX_TERMINATION_BYTES - 1]
            TERMINATION_LOG.write_bytes(whole + b"\n")


def _pick(
    executions: Sequence[Execution], outputs: Sequence[str], lists: Mapping[str, Sequence[str]]
) -> tuple[Any, ...]:
    available: dict[str, Any] = {}
    for execution in executions:
        available |= {**execution.outputs, **execution.values}
        available |= {f"{name}_digest": digest for name, digest in execution.outputs.items()}
    available |= {name: [available[one] for one in parts] for name, parts in lists.items()}
    if missing := [name for name in outputs if name not in available]:
        steps = ", ".join(execution.step for execution in executions)
        raise StepError(
            f"step {steps} gave no {', '.join(missing)}; it gave {', '.join(available)}"
        )
    outcome = namedtuple("Outputs", outputs)  # type: ignore[misc]  # noqa: PYI024 - by name only
    return outcome(*(available[name] for name in outputs))


def _named(value: Any, context: Context) -> Any:
    """An argument as a step takes it: of a KFP artifact, the digest of its bytes."""
    if not (hasattr(value, "path") and hasattr(value, "metadata")):
        return value
    # The path, whatever its URI is: the launcher fetched it, or kfp.local wrote it there.
    return keep(Path(value.path), context, getattr(value, "uri", "") or "")


def _is_ui_artifact(value: Any) -> bool:
    # By name, because importing kfp.dsl for isinstance costs what a cached step may take.
    return type(value).__name__ in {*VIEW_FILES, *LINEAGE} and hasattr(value, "metadata")


def _fill_views(views: list[Any], executions: Sequence[Execution], store: Store) -> None:
    if not views:
        return
    files: dict[str, FileEntry] = {}
    for digest in (digest for one in executions for digest in one.outputs.values()):
        if digest:
            for entry in get_manifest(store, digest).files:
                files.setdefault(entry.path, entry)
    for view in views:
        kind = type(view).__name__
        if kind in LINEAGE:
            _name_in_lineage(view, LINEAGE[kind], executions)
        elif kind == "Metrics":
            for name, value in _metrics(files, store).items():
                view.log_metric(name, value)
        elif (shown := files.get(VIEW_FILES[kind])) is not None:
            target = Path(view.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_content(shown, store))


def _name_in_lineage(view: Any, output: str, executions: Sequence[Execution]) -> None:
    """Make KFP's own lineage know what was made; KFP's launcher leaves a `cas` URI alone."""
    for execution in executions:
        if digest := execution.outputs.get(output):
            view.uri = f"cas://{digest.replace(':', '/')}"
            plain = {k: v for k, v in execution.values.items() if isinstance(v, str | int | float)}
            view.metadata.update({"digest": digest, **plain})


def _content(entry: FileEntry, store: Store) -> bytes:
    return read_entry(store, entry, MAX_VIEW_BYTES)


def _parsed(entry: FileEntry, store: Store) -> Any:
    limits = Limits(MAX_VIEW_BYTES, values=5_000_000)
    return read_json(_content(entry, store), entry.path, limits, error=IntegrityError)


def _log_metrics(view: Any, files: Mapping[str, FileEntry], store: Store) -> None:
    for name, value in _metrics(files, store).items():
        view.log_metric(name, value)


def _metrics(files: Mapping[str, FileEntry], store: Store) -> dict[str, float]:
    """Plain numbers of an output: `metrics.json`, or the unlabelled part of the evidence."""
    found: dict[str, float] = {}
    if (entry := files.get("metrics.json")) is not None:
        found.update(_parsed(entry, store))
    if (entry := files.get("evidence.json")) is not None:
        evidence = _parsed(entry, store)["evidence"]
        found.update({k: v for k, v in evidence.items() if v is not None and not is_labelled(k)})
    return found


def _log_to_run(step: Step, given: Mapping[str, Any], execution: Execution, store: Store) -> None:
    """Log into the MLflow run that KFP gave this task, if it gave one."""
    if not MLFLOW_RUN_ID.get():
        return
    from assay.governance.tracking import log_execution

    metrics: dict[str, float] = {}
    for digest in execution.outputs.values():
        if digest:
            files = {entry.path: entry for entry in get_manifest(store, digest).files}
            metrics.update(_metrics(files, store))
    parameters = {
        name: without_secrets(given[name], given=True) for name in step.parameters if name in given
    }
    log_execution(execution, parameters, metrics)
