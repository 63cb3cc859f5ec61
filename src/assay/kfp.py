"""The bridge to Kubeflow Pipelines: digests in, digests and things to look at out.

The only module of the library that knows KFP. A component's body is one call of `execute`; see
components/ for a dozen of them, and docs/steps.md for how to write your own.
"""

import contextlib
import json
import os
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from assay import events
from assay.config import context_from_env
from assay.documents import Limits, read_json
from assay.errors import AssayError, IntegrityError, StepError
from assay.execution import Context, Execution
from assay.execution import execute as execute_step
from assay.findings import lines as finding_lines
from assay.foreign import keep, recognise
from assay.labels import is_labelled
from assay.manifest import FileEntry
from assay.printable import without_secrets
from assay.step import Step
from assay.store import Store
from assay.tree import get_manifest, read_entry

TERMINATION_LOG: Final = Path("/dev/termination-log")
"""Kubernetes shows what a container wrote here as the reason of its end."""

VIEW_FILES: Final = {
    "HTML": "report.html",
    "Markdown": "summary.md",
    "Metrics": "metrics.json",
    "ClassificationMetrics": "classification.json",
}
"""The file of an output's tree that a UI artifact of each type shows."""

MAX_VIEW_BYTES: Final = 32 << 20


def execute(step: Step, arguments: Mapping[str, Any], *outputs: str) -> tuple[Any, ...]:
    """Run a step as a KFP component.

    Args:
        step: What to run.
        arguments: The component's `locals()`: parameters by name, and UI artifacts, which are
            filled from the files named in `VIEW_FILES`.
            A foreign component's artifact, given to an input of the step, is kept in the store
            first; the step gets what its digest names.
        *outputs: Names of the step's outputs and values, in the order of the component's own
            `NamedTuple`.

    Returns:
        A named tuple with a digest or value for each name in `outputs`.
    """
    with task(step.name, side_effects=step.side_effects) as report:
        return _execute(step, arguments, outputs, context_from_env(), report)


def adopt(step: Step, name: str, arguments: Mapping[str, Any], *outputs: str) -> tuple[Any, ...]:
    """As `execute`, for a step that imports the KFP artifact given to its input `name`.

    An artifact of ours that comes back unaltered keeps its name and its records: nothing runs.
    """
    with task(step.name) as report:
        context = context_from_env()
        foreign = _named(arguments[name], context)
        known = _recognised(step, foreign, context)
        if known is not None:
            _fill_views(_views(arguments), known, context.store)
            report(known)
            return _pick(known, outputs)
        return _execute(step, {**arguments, name: foreign}, outputs, context, report)


def _execute(
    step: Step,
    arguments: Mapping[str, Any],
    outputs: tuple[str, ...],
    context: Context,
    report: Callable[[Execution], None],
) -> tuple[Any, ...]:
    known = {*step.inputs, *step.list_inputs, *step.sources, *step.parameters}
    given = {name: _named(value, context) for name, value in arguments.items() if name in known}
    execution = _ask_warm(step, given) or execute_step(step, given, context)
    _fill_views(_views(arguments), execution, context.store)
    _log_to_run(step, given, execution, context.store)
    report(execution)
    return _pick(execution, outputs)


def _ask_warm(step: Step, given: Mapping[str, Any]) -> Execution | None:
    """What the run's process for the registry made of it, where there is one and it can."""
    if not step.asks_registry:
        return None
    from assay.warm.client import ask

    return ask(step, given)


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


@contextlib.contextmanager
def task(name: str, *, side_effects: bool = False) -> Iterator[Callable[[Execution], None]]:
    """Report a task's start and end; turn an `AssayError` into one line and its exit code.

    The line is the last on standard error, and Kubernetes' termination message, because the KFP
    UI says little else about why a task failed.
    """
    events.emit(name, events.STARTED, side_effects=side_effects)
    outcome: list[Execution] = []
    try:
        yield outcome.append
    except AssayError as error:
        events.emit(name, events.FAILED, error=str(error), exit_code=error.exit_code)
        _tell(f"error: {error}")
        raise SystemExit(error.exit_code) from None
    except BaseException as error:
        # A bug: the traceback goes to the log, and whoever follows the run hears of it too.
        told = without_secrets(f"{type(error).__name__}: {error}")
        events.emit(name, events.FAILED, error=told, exit_code=1)
        raise
    for execution in outcome:
        for line in finding_lines(execution.values):
            _print(f"finding: {line}")
        events.emit(
            name,
            events.CACHED if execution.cached else events.DONE,
            outputs=dict(execution.outputs),
            values=dict(execution.values),
            attestation=execution.attestation,
            seconds=execution.seconds,
        )
    if not outcome:
        events.emit(name, events.DONE)


def guard(function: Callable[..., None], **arguments: Any) -> None:
    """Call a function that is no step, such as `halt`, with a task's error handling."""
    with task(function.__name__):
        function(**arguments)


def _print(line: str) -> None:
    sys.stdout.flush()
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - a line that a user must see


def _tell(line: str) -> None:
    _print(line)
    with contextlib.suppress(OSError):
        if TERMINATION_LOG.exists():
            TERMINATION_LOG.write_text(line + "\n")


def _pick(execution: Execution, outputs: tuple[str, ...]) -> tuple[Any, ...]:
    available = {**execution.outputs, **execution.values}
    if missing := [name for name in outputs if name not in available]:
        raise StepError(
            f"step {execution.step} gave no {', '.join(missing)}; it gave {', '.join(available)}"
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
    return type(value).__name__ in VIEW_FILES and hasattr(value, "metadata")


def _fill_views(views: list[Any], execution: Execution, store: Store) -> None:
    if not views:
        return
    files: dict[str, FileEntry] = {}
    for digest in execution.outputs.values():
        if digest:
            for entry in get_manifest(store, digest).files:
                files.setdefault(entry.path, entry)
    for view in views:
        view.metadata["digests"] = json.dumps(dict(execution.outputs), sort_keys=True)
        kind = type(view).__name__
        shown = files.get(VIEW_FILES[kind])
        if kind == "Metrics":
            _log_metrics(view, files, store)
        elif shown is None:
            continue
        elif kind == "ClassificationMetrics":
            _log_classification(view, _parsed(shown, store))
        else:
            target = Path(view.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_content(shown, store))


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


def _log_classification(view: Any, curves: Mapping[str, Any]) -> None:
    if roc := curves.get("roc"):
        view.log_roc_curve(roc["fpr"], roc["tpr"], roc["threshold"])
    if confusion := curves.get("confusion_matrix"):
        view.log_confusion_matrix(
            [str(label) for label in confusion["labels"]], confusion["matrix"]
        )


def _log_to_run(step: Step, given: Mapping[str, Any], execution: Execution, store: Store) -> None:
    """Log into the MLflow run that KFP gave this task, if it gave one."""
    if not os.environ.get("MLFLOW_RUN_ID"):
        return
    from assay.tracking import log_execution

    metrics: dict[str, float] = {}
    for digest in execution.outputs.values():
        if digest:
            files = {entry.path: entry for entry in get_manifest(store, digest).files}
            metrics.update(_metrics(files, store))
    parameters = {name: without_secrets(given[name]) for name in step.parameters if name in given}
    log_execution(execution, parameters, metrics)
