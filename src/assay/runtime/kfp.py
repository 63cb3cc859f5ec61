"""The bridge to Kubeflow Pipelines: digests as inputs, digests and UI artifacts as outputs.

The body of a component is one call of `execute`; `assay new component` generates it from the step,
and docs/steps.md describes how to write a step.

A task may run several steps, one after the other: each has its own attestation and entry in the
step cache, but they share a pod. The end of a task is recorded in the status of the run
(`assay.runtime.runs`), in its log and in Kubernetes' termination message.
"""

import contextlib
import inspect
import sys
import time
import typing
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, Protocol, Self

from assay.core.execution import Context, Execution
from assay.core.execution import execute as execute_step
from assay.core.findings import lines as finding_lines
from assay.core.manifest import FileEntry
from assay.core.settings import MLFLOW_RUN_ID
from assay.core.step import Step, json_type
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
"""File whose content Kubernetes shows as the reason of a container's end."""
MAX_TERMINATION_BYTES: Final = 4096
"""Kubernetes' limit."""

VIEW_FILES: Final = {
    "HTML": "report.html",
    "Markdown": "summary.md",
    "Metrics": "metrics.json",
}
"""The file of an output that a UI artifact of each type shows."""
LINEAGE: Final = {"Dataset": "dataset", "Model": "model"}
"""UI artifacts that only name an output of the step, by type."""

MAX_VIEW_BYTES: Final = 32 << 20

SETTINGS: Final = "settings"
"""Parameter of a component: further parameters of its steps, as one object."""
EPOCH: Final = "epoch"
"""A setting that no step takes; it changes KFP's cache key (`assay.core.epoch`)."""

BLOCKS: Final[Mapping[str, type[RunHalted]]] = {
    "block": RunBlocked,
    "inconclusive": RunInconclusive,
}
REJECTS: Final[Mapping[str, type[RunHalted]]] = {"block": RunRejected, "inconclusive": RunRejected}
"""The error for each verdict of a judging step."""


class FinalStatus(Protocol):
    """How a run ended: what KFP fills in for a parameter of an exit task that is annotated so."""

    state: str | None
    error_message: str | None
    pipeline_job_resource_name: str | None
    pipeline_task_name: str | None


TaskFunction = Callable[..., Mapping[str, Any] | None]
"""Runs the steps of a task where running them in order is not enough (docs/steps.md).

It takes the `Task`, and by keyword the parameters that the component has besides those of its
steps. It returns outputs that no step gives, by name, or outputs to use instead of a step's.
"""


def execute(
    step: Step,
    arguments: Mapping[str, Any],
    *outputs: str,
    judge: Mapping[str, type[RunHalted]] | None = None,
    by: TaskFunction | None = None,
) -> tuple[Any, ...]:
    """Run a step as a KFP component.

    Args:
        step: The step.
        arguments: The component's `locals()`: parameters by name, and UI artifacts, which are
            filled from the files in `VIEW_FILES`. `settings`, if given, has further parameters of
            the step, with priority.
            An artifact of a foreign component, given to an input of the step, is stored first; the
            step gets it by its digest.
        *outputs: Names of the step's outputs and values, in the order of the component's own
            `NamedTuple`. `NAME_digest` is the output NAME: a UI artifact has the short name.
        judge: The error for each `verdict` of the step other than `pass`.
        by: The function that runs the step; by default the step is run directly.

    Returns:
        A named tuple with a digest or value for each name in `outputs`.
    """
    return execute_all([step], arguments, *outputs, name=step.name, judge=judge, by=by)


def execute_all(
    steps: Sequence[Step],
    arguments: Mapping[str, Any],
    *outputs: str,
    name: str,
    judge: Mapping[str, type[RunHalted]] | None = None,
    lists: Mapping[str, Sequence[str]] | None = None,
    by: TaskFunction | None = None,
) -> tuple[Any, ...]:
    """Run several steps as one KFP component, as `execute` runs one.

    Args:
        steps: The steps, in order. Each takes its parameters and inputs by name: from the arguments
            of the component, or from the outputs and values of earlier steps.
        arguments: As for `execute`.
        *outputs: As for `execute`.
        name: Name of the component.
        judge: For the last step.
        lists: Outputs that are lists of digests, by name.
        by: The function that runs the steps; by default they are run in order.

    Returns:
        A named tuple with a digest or value for each name in `outputs`.

    Raises:
        SystemExit: A step failed, or the verdict is not `pass`.
    """
    types = own_types(by) if by else {}
    with Task(name, steps, arguments, types) as task:
        given: Mapping[str, Any] | None = None
        if by is None:
            for step in steps:
                task.run(step)
        else:
            given = by(task, **task.values_of(types))
        return task.end(outputs, judge, lists, given)


def own_types(function: TaskFunction) -> dict[str, type]:
    """The types of a task function's own parameters, by name."""
    hints = typing.get_type_hints(function)
    _, *names = inspect.signature(function).parameters
    return {name: json_type(hints[name]) for name in names}


def guard(function: Callable[..., None], **arguments: Any) -> None:
    """Call a function that is not a step with the error handling of a task."""
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
    """A task of a run: it runs steps, and records and reports their results.

    As a context manager it converts an `AssayError` to one line and an exit code. The line is the
    last on standard error, and Kubernetes' termination message, because the KFP UI has little else
    about the reason of a failure.

    Args:
        name: Name of the component.
        steps: Its steps.
        arguments: Its arguments.
        own_settings: Types of settings that are not parameters of a step.
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
        self._types: dict[str, type] = {EPOCH: str, **(own_settings or {})}
        self._arguments = dict(arguments)
        self._views = _views(arguments)
        self._executions: list[Execution] = []
        self._unreported: Execution | None = None
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
            # The error may have occurred before the store was opened.
            self._open()
        self._write_status(runs.FAILED, error)
        if isinstance(error, AssayError):
            _tell(error, self._reasons)
            raise SystemExit(error.exit_code) from None
        _end_of_a_bug(error)

    @property
    def context(self) -> Context:
        """Store, cache mode and keys, from the environment."""
        if self._context is None:
            context = self._open()
            self._write_status(runs.STARTED)
            self._arguments |= self._settings()
            return context
        return self._context

    @property
    def steps(self) -> Sequence[Step]:
        """The steps of the task, in order."""
        return self._steps

    def values_of(self, names: Iterable[str]) -> dict[str, Any]:
        """What the component was given for some of its parameters, by name."""
        if SETTINGS in self._arguments:
            self.context  # noqa: B018 - reads the settings, whose values win
        return {name: self._arguments[name] for name in names if name in self._arguments}

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments of the component with its settings, and the results of steps so far."""
        return self._arguments

    def run(self, step: Step, instead: Mapping[str, Any] | None = None) -> Execution:
        """Run a step, or take its answer from the cache.

        Args:
            step: One of the task's steps.
            instead: Arguments that replace those of the component, by name.

        Returns:
            The execution.

        Raises:
            AssayError: The step failed.
        """
        self._report_last()
        if step is not self._current or (
            self._executions and self._executions[-1].step == step.name
        ):
            self._begin(step)
        context = self.context
        arguments = {**self._arguments, **(instead or {})}
        known = {*step.inputs, *step.list_inputs, *step.sources, *step.parameters}
        given = {name: _named(value, context) for name, value in arguments.items() if name in known}
        execution = execute_step(step, given, context)
        _log_to_run(step, given, execution, context.store)
        self._took(execution)
        return execution

    def adopt(self, step: Step, name: str) -> None:
        """Run a step that imports the KFP artifact given to its input `name`.

        An exported artifact that comes back unchanged keeps its digest and attestations; the step
        is then not run.

        Args:
            step: One of the task's steps.
            name: Name of the input.
        """
        foreign = _named(self._arguments[name], self.context)
        known = _recognised(step, foreign, self.context)
        if known is None:
            self.run(step, {name: foreign})
        else:
            self._took(known)

    def _took(self, execution: Execution) -> None:
        self._executions.append(execution)
        self._arguments |= {**execution.values, **execution.outputs}
        self._unreported = execution
        if self._steps[-1].name != execution.step:
            self._report_last()

    def _report_last(self) -> None:
        """Report the end of the last execution; that of the last step waits for its verdict."""
        if self._unreported is not None:
            self._emit_end(self._unreported)
        self._unreported = None

    def end(
        self,
        outputs: Sequence[str],
        judge: Mapping[str, type[RunHalted]] | None = None,
        lists: Mapping[str, Sequence[str]] | None = None,
        given: Mapping[str, Any] | None = None,
    ) -> tuple[Any, ...]:
        """Fill the UI artifacts, judge the verdict, and return the outputs of the component.

        Args:
            outputs: Names of the outputs, in order.
            judge: As for `execute`.
            lists: As for `execute_all`.
            given: The result of the task function.

        Returns:
            The outputs.

        Raises:
            RunHalted: The verdict is not `pass`.
            StepError: No step was run, or none gave one of the outputs.
        """
        if not self._executions:
            raise StepError(f"{self._name}: no step was run; call task.run in task.py")
        _fill_views(self._views, self._executions, self.context.store)
        last = self._executions[-1]
        if judge is not None and last.values["verdict"] != "pass":
            self._reasons = list(last.values.get("reasons") or ())
            raise _halted(last, judge)
        picked = _pick(self._executions, outputs, lists or {}, given or {})
        self._report_last()
        self._write_status(runs.DONE)
        return picked

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
        settings = checked(given, types, f"{self._name}: {SETTINGS}")
        settings.pop(EPOCH, None)
        return settings

    def _begin(self, step: Step) -> None:
        self._current = step
        events.emit(step.name, events.STARTED, side_effects=step.side_effects)

    def _emit_end(self, execution: Execution) -> None:
        for line in finding_lines(execution.values):
            _print(f"finding: {line}")
        state = events.CACHED if execution.cached else events.DONE
        events.emit(execution.step, state, **_result(execution))

    def _emit_failure(self, error: BaseException) -> None:
        name = self._current.name if self._current else self._name
        done = [execution for execution in self._executions if execution.step == name]
        result = _result(done[-1]) if done else {}
        events.emit(name, events.FAILED, **result, **_failure(error))

    def _write_status(self, state: str, error: BaseException | None = None) -> None:
        """Write the status of this task; an error is only a warning."""
        if self._context is None or not self._context.invocation:
            return
        failure: dict[str, Any] = {"problems": (), "exit_code": 0}
        if error is not None:
            failure = _failure(error)
        problems = tuple(failure["problems"])
        status = runs.TaskStatus(
            self._name,
            events.PROCESS,
            state,
            self._started,
            time.time() - self._started if state != runs.STARTED else 0.0,
            tuple(
                runs.StepStatus(
                    execution.step, execution.attestation, execution.cached, execution.seconds
                )
                for execution in self._executions
            ),
            "; ".join(problems),
            int(failure["exit_code"]),
            problems if len(problems) > 1 else (),
        )
        try:
            runs.write_task(self._context.store, self._context.invocation, status)
        except AssayError as unwritten:
            _print(f"warning: the status of {self._name} was not stored: {unwritten}")


def _end_of_a_bug(error: BaseException) -> NoReturn:
    """End the task with the traceback in its log; Python would print it with secrets."""
    _print(traceback_of(error))
    if isinstance(error, KeyboardInterrupt):
        raise KeyboardInterrupt from None  # the process ends by the signal
    raise SystemExit(1) from None


def _failure(error: BaseException) -> dict[str, Any]:
    """The fields of an error for events and status; the problems do not repeat a verdict."""
    if isinstance(error, AssayError):
        problems, code = list(error.problems), error.exit_code
    else:
        problems, code = [without_secrets(f"{type(error).__name__}: {error}")], 1
    whole = str(error) if isinstance(error, AssayError) else problems[0]
    return {"error": whole, "problems": problems, "exit_code": code}


def _result(execution: Execution) -> dict[str, Any]:
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
    """Print why the task failed, in short lines, because KFP's log panel does not wrap lines."""
    first, *others = [error.where] if reasons else error.lines
    for line in [*log_lines([f"error: {first}", *others]), *reason_lines(reasons)]:
        _print(line)
    with contextlib.suppress(OSError):
        if TERMINATION_LOG.exists():
            whole = f"error: {error}".encode()[: MAX_TERMINATION_BYTES - 1]
            TERMINATION_LOG.write_bytes(whole + b"\n")


def _pick(
    executions: Sequence[Execution],
    outputs: Sequence[str],
    lists: Mapping[str, Sequence[str]],
    given: Mapping[str, Any],
) -> tuple[Any, ...]:
    available: dict[str, Any] = {}
    for execution in executions:
        available |= {**execution.outputs, **execution.values}
        available |= {f"{name}_digest": digest for name, digest in execution.outputs.items()}
    available |= {name: [available[part] for part in parts] for name, parts in lists.items()}
    available |= given
    if missing := [name for name in outputs if name not in available]:
        steps = ", ".join(execution.step for execution in executions)
        raise StepError(
            f"step {steps} has no output {', '.join(missing)}; it has {', '.join(available)}"
        )
    outcome = namedtuple("Outputs", outputs)  # type: ignore[misc]  # noqa: PYI024 - by name only
    return outcome(*(available[name] for name in outputs))


def _named(value: Any, context: Context) -> Any:
    """An argument for a step: a KFP artifact is stored and replaced by its digest."""
    if not (hasattr(value, "path") and hasattr(value, "metadata")):
        return value
    # Use the path, not the URI: the launcher fetched it, or kfp.local wrote it.
    return keep(Path(value.path), context, getattr(value, "uri", "") or "")


def _is_ui_artifact(value: Any) -> bool:
    # By name, because importing kfp.dsl for isinstance would take as long as a cached step.
    return type(value).__name__ in {*VIEW_FILES, *LINEAGE} and hasattr(value, "metadata")


def _fill_views(views: list[Any], executions: Sequence[Execution], store: Store) -> None:
    if not views:
        return
    files: dict[str, FileEntry] = {}
    for digest in (digest for execution in executions for digest in execution.outputs.values()):
        if digest:
            for entry in get_manifest(store, digest).files:
                files.setdefault(entry.path, entry)
    for artifact in views:
        kind = type(artifact).__name__
        if kind in LINEAGE:
            _name_in_lineage(artifact, LINEAGE[kind], executions)
        elif kind == "Metrics":
            for name, value in _metrics(files, store).items():
                artifact.log_metric(name, value)
        elif (shown := files.get(VIEW_FILES[kind])) is not None:
            target = Path(artifact.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_content(shown, store))


def _name_in_lineage(artifact: Any, output: str, executions: Sequence[Execution]) -> None:
    """Name the output in KFP's lineage; KFP's launcher ignores a `cas` URI."""
    for execution in executions:
        if digest := execution.outputs.get(output):
            artifact.uri = f"cas://{digest.replace(':', '/')}"
            plain = {k: v for k, v in execution.values.items() if isinstance(v, str | int | float)}
            artifact.metadata.update({"digest": digest, **plain})


def _content(entry: FileEntry, store: Store) -> bytes:
    return read_entry(store, entry, MAX_VIEW_BYTES)


def _parsed(entry: FileEntry, store: Store) -> Any:
    limits = Limits(MAX_VIEW_BYTES, values=5_000_000)
    return read_json(_content(entry, store), entry.path, limits, error=IntegrityError)


def _log_metrics(artifact: Any, files: Mapping[str, FileEntry], store: Store) -> None:
    for name, value in _metrics(files, store).items():
        artifact.log_metric(name, value)


def _metrics(files: Mapping[str, FileEntry], store: Store) -> dict[str, float]:
    """Plain numbers of an output: `metrics.json`, or the unlabelled part of the evidence."""
    metrics: dict[str, float] = {}
    if (entry := files.get("metrics.json")) is not None:
        metrics.update(_parsed(entry, store))
    if (entry := files.get("evidence.json")) is not None:
        evidence = _parsed(entry, store)["evidence"]
        metrics.update({k: v for k, v in evidence.items() if v is not None and not is_labelled(k)})
    return metrics


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
