"""A run on a cluster as people see it: its tasks, its verdict, its exit code.

KFP says that a run failed, and little about why. The verdict and the reason come from the first of:

1. the record that the run's exit task wrote into the store;
2. the records of its tasks there;
3. what Argo says of its pods: a task's last line is its termination message.

Records are hints, which anyone who may write to the store can write. So KFP's state rules: no
record makes a run green that KFP calls failed, and a run that KFP calls succeeded is green only
where no record says otherwise.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from assay.cluster.workflow import DRIVER, MAX_MESSAGE_CHARS, Pod, failed, waiting
from assay.errors import EXIT_CODES, INTERRUPTED, VERDICTS
from assay.runtime.runs import DONE, RunRecord, TaskRecord, verdict_of
from assay.runtime.runs import FAILED as TASK_FAILED
from assay.text import one_line

SUCCEEDED, FAILED, CANCELED, SKIPPED = "SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"
TERMINAL: Final = frozenset({SUCCEEDED, FAILED, CANCELED, SKIPPED})
UNKNOWN: Final = "RUNTIME_STATE_UNSPECIFIED"
INTERMEDIATE: Final = frozenset({UNKNOWN, "PENDING", "RUNNING", "CANCELING", "PAUSED"})
_STOPPED: Final = frozenset({"CANCELING", CANCELED})
_CODES: Final = {verdict: code for code, verdict in VERDICTS.items() if code}
_OURS: Final = EXIT_CODES.keys() - VERDICTS.keys() - {INTERRUPTED}
"""Exit codes of errors that are no verdict."""
_ERROR: Final = re.compile(r"(?:^|: )error: ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a run."""

    name: str
    state: str
    seconds: float | None
    """None while it has not ended."""
    error: str
    """Why it failed, where that is known."""
    waits: str = ""
    """What its pod waits for, where that is known."""


@dataclass(frozen=True, slots=True)
class Told:
    """What others than KFP's API of runs say of a run."""

    record: RunRecord | None = None
    tasks: Sequence[TaskRecord] = ()
    pods: Sequence[Pod] = ()
    waited: Mapping[str, str] = field(default_factory=dict)
    """What pods were seen to wait for, by task."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run."""

    run_id: str
    state: str
    """As KFP says."""
    verdict: str
    """`passed`, `rejected`, `blocked`, `inconclusive`, `canceled`, `skipped` or `failed`."""
    exit_code: int
    reasons: tuple[str, ...]
    """One cause each; empty on a pass."""
    tasks: tuple[Task, ...] = ()
    reason_from: str = "none"
    """Whose word the verdict and the reasons are: `record`, `tasks`, `workflow` or `none`."""
    record: RunRecord | None = None
    """Where it agrees with KFP."""

    @property
    def error(self) -> str:
        """All reasons as one line."""
        return "; ".join(self.reasons)


def leaves(spec: Mapping[str, Any]) -> frozenset[str]:
    """The names of the tasks of a compiled pipeline that do work."""
    executors = set((spec.get("deploymentSpec") or {}).get("executors") or {})
    components = spec.get("components") or {}
    return frozenset(
        name
        for dag in _dags(spec)
        for name, task in (dag.get("tasks") or {}).items()
        if components.get((task.get("componentRef") or {}).get("name", ""), {}).get("executorLabel")
        in executors
    )


def _dags(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for component in [spec.get("root") or {}, *(spec.get("components") or {}).values()]:
        if dag := component.get("dag"):
            yield dag


def state_of(run: Mapping[str, Any]) -> str:
    """The run's state; one that this version does not know is not an end."""
    state = run.get("state")
    return state if state in TERMINAL | INTERMEDIATE else UNKNOWN


def details_of(run: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What KFP says of the run's nodes: tasks, drivers, groups."""
    found = (run.get("run_details") or {}).get("task_details") or []
    return [item for item in found if isinstance(item, dict)]


def tasks_of(
    run: Mapping[str, Any], spec: Mapping[str, Any], pods: Iterable[Pod] = ()
) -> tuple[Task, ...]:
    """The tasks that do work, in the order of their start.

    Drivers and groups are left out, but for drivers that failed or wait: nothing goes on then.
    """
    pods = tuple(pods)
    known, waits = leaves(spec), waiting(pods)
    messages = {pod.task: pod.message for pod in reversed(failed(pods))}
    found = []
    for item in sorted(details_of(run), key=_begun):
        task = Task(
            one_line(str(item.get("display_name") or "")),
            str(item.get("state") or UNKNOWN),
            _seconds(item.get("start_time"), item.get("end_time")),
            "",
        )
        if task.state == FAILED:
            task = replace(task, error=_line(messages.get(task.name, "") or _message(item)))
        elif task.state not in TERMINAL:
            task = replace(task, waits=waits.pop(task.name, ""))
        if _works(task, known):
            found.append(task)
    # A pod that KFP's API does not name yet.
    ended = {task.name for task in found}
    found += [Task(name, "PENDING", None, "", text) for name, text in waits.items()
              if name not in ended]  # fmt: skip
    return tuple(found)


def _works(task: Task, known: frozenset[str]) -> bool:
    if task.name.endswith(DRIVER):
        return task.state == FAILED or bool(task.waits)
    return not known or _base(task.name) in known


def outcome(run: Mapping[str, Any], spec: Mapping[str, Any], told: Told) -> Outcome:
    """What came of a run that has ended; anything but SUCCEEDED is red.

    SKIPPED is red too: nothing was done, so nothing was passed.
    """
    state, record = state_of(run), told.record
    ended = Outcome(
        str(run.get("run_id") or ""), state, "failed", 1, (), tasks_of(run, spec, told.pods)
    )
    if state == SKIPPED:
        return replace(ended, verdict="skipped", reasons=("the run was skipped: nothing ran",))
    if state == SUCCEEDED:
        return _succeeded(ended, record)
    if state == CANCELED or _was_stopped(run):
        return replace(ended, verdict="canceled", reasons=("the run was canceled",))
    return _failed(run, ended, told)


def _failed(run: Mapping[str, Any], ended: Outcome, told: Told) -> Outcome:
    record, of_tasks, of_pods = told.record, _from_tasks(told.tasks), _from_pods(told)
    if record is None:
        return _judged(ended, of_tasks or of_pods or _from_api(run, ended.tasks))
    if record.verdict == "passed":
        # Whoever wrote that, the run did not pass; nor is it the gate that says so.
        found = _judged(ended, of_tasks or of_pods or _from_api(run, ended.tasks))
        doubt = "KFP calls the run failed, although its record says that it passed"
        return replace(found, verdict="failed", exit_code=1, reasons=(doubt, *found.reasons))
    found = _as_recorded(ended, record)
    if record.verdict == "failed" and of_pods and not of_tasks:
        # Of tasks that were killed or never started, the exit task hears nothing but that.
        found = replace(
            found, reasons=(*of_pods.reasons, *found.reasons), reason_from=of_pods.source
        )
    return found


def _succeeded(ended: Outcome, record: RunRecord | None) -> Outcome:
    if record is None:
        return replace(ended, verdict="passed", exit_code=0)
    if record.verdict == "passed" and record.exit_code == 0:
        return replace(ended, verdict="passed", exit_code=0, reason_from="record", record=record)
    found = _as_recorded(ended, record)
    doubt = f"KFP calls the run succeeded, although its record says that it is {found.verdict}"
    return replace(found, reasons=(doubt, *found.reasons))


def _as_recorded(ended: Outcome, record: RunRecord) -> Outcome:
    verdict = "failed" if record.verdict == "passed" else record.verdict
    reasons = tuple(one_line(reason) for reason in record.reasons) or (
        "its record gives no reason; see the run's report",
    )
    return replace(
        ended,
        verdict=verdict,
        exit_code=_code(verdict, record.exit_code),
        reasons=reasons,
        reason_from="record",
        record=record,
    )


def _code(verdict: str, claimed: int = 1) -> int:
    """The exit code of a red verdict, whatever a record claims; never that of a pass."""
    if verdict in _CODES:
        return _CODES[verdict]
    return claimed if verdict == "failed" and claimed in _OURS else 1


class _Why(NamedTuple):
    source: str
    verdict: str
    exit_code: int
    reasons: Sequence[str]


def _judged(ended: Outcome, why: _Why) -> Outcome:
    return replace(
        ended,
        verdict=why.verdict,
        exit_code=why.exit_code,
        reasons=tuple(why.reasons),
        reason_from=why.source,
    )


def _from_tasks(records: Sequence[TaskRecord]) -> _Why | None:
    """The first task that failed and was not done by a later attempt."""
    red = [one for one in records if one.state == TASK_FAILED and one.error]
    done = {one.task: one.started for one in records if one.state == DONE}
    red = [one for one in red if done.get(one.task, one.started) <= one.started] or red
    if not red:
        return None
    first = red[0]
    verdict = verdict_of(first.exit_code)
    verdict = "failed" if verdict == "passed" else verdict
    name = "" if verdict in _CODES else f"{one_line(first.task).replace('_', '-')}: "
    reasons = [f"{name}{one_line(text)}" for text in first.problems or (first.error,)]
    return _Why("tasks", verdict, _code(verdict, first.exit_code), reasons)


def _from_pods(told: Told) -> _Why | None:
    """The first pod that failed with a word of why; its last words name the kind of verdict."""
    red = [pod for pod in failed(told.pods) if pod.message.strip()]
    if not red:
        return None
    # A component's own words, before the kubelet's about another pod.
    pod = next((pod for pod in red if _ERROR.search(pod.message)), red[0])
    line = _line(pod.message)
    kind, _, rest = line.partition(": ")
    if kind in _CODES:
        return _Why("workflow", kind, _CODES[kind], [rest])
    if pod.task.endswith(DRIVER):
        said = f"KFP's driver of {pod.task.removesuffix(DRIVER)} failed: {line}"
        return _Why("workflow", "failed", 1, [f"{said}; the log of the pod {pod.task} says why"])
    reasons = [f"{pod.task}: {line}"]
    if waits := told.waited.get(pod.task):
        reasons.append(f"its pod had waited: {waits}")
    return _Why("workflow", "failed", 1, reasons)


def _from_api(run: Mapping[str, Any], tasks: Sequence[Task]) -> _Why:
    """What KFP's API says: nothing, mostly."""
    red = [task for task in tasks if task.state == FAILED]
    known = next((task for task in red if task.error), None)
    name = known.name if known else (red[0].name if red else "")
    text = known.error if known else _line(_message(run))
    kind, _, rest = text.partition(": ")
    if kind in _CODES:
        return _Why("workflow", kind, _CODES[kind], [rest])
    said = text or "KFP gave no reason; see the log of the red task"
    source = "workflow" if text else "none"
    return _Why(source, "failed", 1, [f"{name}: {said}" if name else said])


def _was_stopped(run: Mapping[str, Any]) -> bool:
    """Whether the run was CANCELING before it failed, as a canceled one is."""
    history = run.get("state_history") or ()
    return any(isinstance(item, dict) and item.get("state") in _STOPPED for item in history)


def _line(message: str) -> str:
    """A component's own last words within a message, else all of it; as one line."""
    found = _ERROR.search(message)
    return one_line(message[found.end() :] if found else message)[:MAX_MESSAGE_CHARS]


def _base(name: str) -> str:
    """The task's name without the number of its iteration."""
    return re.sub(r"\(\d+:.*\)$", "", name)


def _begun(item: Mapping[str, Any]) -> str:
    return str(item.get("start_time") or item.get("create_time") or "")


def _seconds(start: Any, end: Any) -> float | None:
    try:
        begun, ended = datetime.fromisoformat(start), datetime.fromisoformat(end)
        seconds = (ended - begun).total_seconds()
    except (TypeError, ValueError):
        return None
    # KFP writes the epoch for what has not happened.
    return seconds if seconds >= 0 else None


def _message(item: Mapping[str, Any]) -> str:
    error = item.get("error")
    return str(error.get("message") or "") if isinstance(error, dict) else ""
