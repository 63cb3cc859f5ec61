"""A run on a cluster: its tasks, its verdict, its exit code.

KFP reports that a run failed, and little about the reason. Verdict and reason come from the first
of:

1. the status of the run in the store, which its exit task wrote;
2. the status of its tasks in the store;
3. Argo's status of its pods: the termination message of a task is its last line.

Anyone who can write to the store can write a status, so KFP's own state has priority: a run that
KFP reports as failed has not passed, and one that KFP reports as succeeded has passed only if its
status in the store agrees or is missing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from assay.cluster.workflow import DRIVER, MAX_MESSAGE_CHARS, Pod, failed, waiting
from assay.errors import EXIT_CODES, INTERRUPTED, VERDICTS
from assay.runtime.runs import DONE, RunStatus, TaskStatus, verdict_of
from assay.runtime.runs import FAILED as TASK_FAILED
from assay.text import one_line

SUCCEEDED, FAILED, CANCELED, SKIPPED = "SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"
TERMINAL: Final = frozenset({SUCCEEDED, FAILED, CANCELED, SKIPPED})
UNKNOWN: Final = "RUNTIME_STATE_UNSPECIFIED"
INTERMEDIATE: Final = frozenset({UNKNOWN, "PENDING", "RUNNING", "CANCELING", "PAUSED"})
_STOPPED: Final = frozenset({"CANCELING", CANCELED})
_CODES: Final = {verdict: code for code, verdict in VERDICTS.items() if code}
_OURS: Final = EXIT_CODES.keys() - VERDICTS.keys() - {INTERRUPTED}
"""Exit codes of errors, not of verdicts."""
_ERROR: Final = re.compile(r"(?:^|: )error: ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a run."""

    name: str
    state: str
    seconds: float | None
    """None until it has ended."""
    error: str
    """Why it failed, if known."""
    waits: str = ""
    """What its pod waits for, if known."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Information about a run from other sources than KFP's run API."""

    status: RunStatus | None = None
    tasks: Sequence[TaskStatus] = ()
    pods: Sequence[Pod] = ()
    waited: Mapping[str, str] = field(default_factory=dict)
    """What pods have waited for, by task."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run."""

    run_id: str
    state: str
    """The state that KFP reports."""
    verdict: str
    """`passed`, `rejected`, `blocked`, `inconclusive`, `canceled`, `skipped` or `failed`."""
    exit_code: int
    reasons: tuple[str, ...]
    """Each is one cause; empty if the run passed."""
    tasks: tuple[Task, ...] = ()
    reason_from: str = "none"
    """The source of verdict and reasons: `record`, `tasks`, `workflow` or `none`."""
    status: RunStatus | None = None
    """The status in the store, if it agrees with KFP."""

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
    """The state of the run; an unknown state does not count as its end."""
    state = run.get("state")
    return state if state in TERMINAL | INTERMEDIATE else UNKNOWN


def details_of(run: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """KFP's details of the nodes of a run: tasks, drivers, groups."""
    details = (run.get("run_details") or {}).get("task_details") or []
    return [item for item in details if isinstance(item, dict)]


def tasks_of(
    run: Mapping[str, Any], spec: Mapping[str, Any], pods: Iterable[Pod] = ()
) -> tuple[Task, ...]:
    """The tasks that do work, in the order of their start.

    Drivers and groups are left out, except drivers that failed or wait, because they block the run.

    Args:
        run: The run, from the API.
        spec: Its compiled pipeline.
        pods: Its pods.

    Returns:
        The tasks.
    """
    pods = tuple(pods)
    known, waits = leaves(spec), waiting(pods)
    messages = {pod.task: pod.message for pod in reversed(failed(pods))}
    tasks = []
    for item in sorted(details_of(run), key=_start_time):
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
            tasks.append(task)
    # Pods that KFP's API does not list yet.
    ended = {task.name for task in tasks}
    tasks += [Task(name, "PENDING", None, "", text) for name, text in waits.items()
              if name not in ended]  # fmt: skip
    return tuple(tasks)


def _works(task: Task, known: frozenset[str]) -> bool:
    if task.name.endswith(DRIVER):
        return task.state == FAILED or bool(task.waits)
    return not known or _base(task.name) in known


def outcome(run: Mapping[str, Any], spec: Mapping[str, Any], sources: Sources) -> Outcome:
    """The result of a run that has ended; only SUCCEEDED can be a pass.

    A SKIPPED run has not passed either, because nothing ran.

    Args:
        run: The run, from the API.
        spec: Its compiled pipeline.
        sources: Information from other sources.

    Returns:
        The result.
    """
    state, status = state_of(run), sources.status
    ended = Outcome(
        str(run.get("run_id") or ""), state, "failed", 1, (), tasks_of(run, spec, sources.pods)
    )
    if state == SKIPPED:
        return replace(ended, verdict="skipped", reasons=("the run was skipped: nothing ran",))
    if state == SUCCEEDED:
        return _succeeded(ended, status)
    if state == CANCELED or _was_stopped(run):
        return replace(ended, verdict="canceled", reasons=("the run was canceled",))
    return _failed(run, ended, sources)


def _failed(run: Mapping[str, Any], ended: Outcome, sources: Sources) -> Outcome:
    status, of_tasks, of_pods = sources.status, _from_tasks(sources.tasks), _from_pods(sources)
    if status is None:
        return _judged(ended, of_tasks or of_pods or _from_api(run, ended.tasks))
    if status.verdict == "passed":
        # The run did not pass, whatever this status says, and it is not a verdict of the gate.
        judged = _judged(ended, of_tasks or of_pods or _from_api(run, ended.tasks))
        doubt = "KFP reports the run as failed, but its status in the store is passed"
        return replace(judged, verdict="failed", exit_code=1, reasons=(doubt, *judged.reasons))
    judged = _as_recorded(ended, status)
    if status.verdict == "failed" and of_pods and not of_tasks:
        # The exit task does not get the reason of tasks that were killed or never started.
        judged = replace(
            judged, reasons=(*of_pods.reasons, *judged.reasons), reason_from=of_pods.source
        )
    return judged


def _succeeded(ended: Outcome, status: RunStatus | None) -> Outcome:
    if status is None:
        return replace(ended, verdict="passed", exit_code=0)
    if status.verdict == "passed" and status.exit_code == 0:
        return replace(ended, verdict="passed", exit_code=0, reason_from="record", status=status)
    recorded = _as_recorded(ended, status)
    doubt = f"KFP reports the run as succeeded, but its status in the store is {recorded.verdict}"
    return replace(recorded, reasons=(doubt, *recorded.reasons))


def _as_recorded(ended: Outcome, status: RunStatus) -> Outcome:
    verdict = "failed" if status.verdict == "passed" else status.verdict
    reasons = tuple(one_line(reason) for reason in status.reasons) or (
        "its status in the store has no reason; see the run's report",
    )
    return replace(
        ended,
        verdict=verdict,
        exit_code=_code(verdict, status.exit_code),
        reasons=reasons,
        reason_from="record",
        status=status,
    )


def _code(verdict: str, claimed: int = 1) -> int:
    """The exit code of a verdict other than passed; never 0, whatever the status claims."""
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


def _from_tasks(records: Sequence[TaskStatus]) -> _Why | None:
    """From the first task that failed and that no later attempt completed."""
    red = [task for task in records if task.state == TASK_FAILED and task.error]
    done = {task.task: task.started for task in records if task.state == DONE}
    red = [task for task in red if done.get(task.task, task.started) <= task.started] or red
    if not red:
        return None
    first = red[0]
    verdict = verdict_of(first.exit_code)
    verdict = "failed" if verdict == "passed" else verdict
    name = "" if verdict in _CODES else f"{one_line(first.task).replace('_', '-')}: "
    reasons = [f"{name}{one_line(text)}" for text in first.problems or (first.error,)]
    return _Why("tasks", verdict, _code(verdict, first.exit_code), reasons)


def _from_pods(sources: Sources) -> _Why | None:
    """From the first failed pod with a message; the last line names the verdict."""
    red = [pod for pod in failed(sources.pods) if pod.message.strip()]
    if not red:
        return None
    # Prefer the message of a component to that of the kubelet.
    pod = next((pod for pod in red if _ERROR.search(pod.message)), red[0])
    line = _line(pod.message)
    kind, _, rest = line.partition(": ")
    if kind in _CODES:
        return _Why("workflow", kind, _CODES[kind], [rest])
    if pod.task.endswith(DRIVER):
        text = f"KFP's driver of {pod.task.removesuffix(DRIVER)} failed: {line}"
        return _Why("workflow", "failed", 1, [f"{text}; the log of the pod {pod.task} says why"])
    reasons = [f"{pod.task}: {line}"]
    if waits := sources.waited.get(pod.task):
        reasons.append(f"its pod had waited: {waits}")
    return _Why("workflow", "failed", 1, reasons)


def _from_api(run: Mapping[str, Any], tasks: Sequence[Task]) -> _Why:
    """From KFP's API, which seldom has a reason."""
    red = [task for task in tasks if task.state == FAILED]
    known = next((task for task in red if task.error), None)
    name = known.name if known else (red[0].name if red else "")
    text = known.error if known else _line(_message(run))
    kind, _, rest = text.partition(": ")
    if kind in _CODES:
        return _Why("workflow", kind, _CODES[kind], [rest])
    reason = text or "KFP gave no reason; see the log of the failed task"
    source = "workflow" if text else "none"
    return _Why(source, "failed", 1, [f"{name}: {reason}" if name else reason])


def _was_stopped(run: Mapping[str, Any]) -> bool:
    """Whether the run was CANCELING before it failed, as a canceled one is."""
    history = run.get("state_history") or ()
    return any(isinstance(item, dict) and item.get("state") in _STOPPED for item in history)


def _line(message: str) -> str:
    """The error of a component within a message, or else the whole message, as one line."""
    match = _ERROR.search(message)
    return one_line(message[match.end() :] if match else message)[:MAX_MESSAGE_CHARS]


def _base(name: str) -> str:
    """The task's name without the number of its iteration."""
    return re.sub(r"\(\d+:.*\)$", "", name)


def _start_time(item: Mapping[str, Any]) -> str:
    return str(item.get("start_time") or item.get("create_time") or "")


def _seconds(start: Any, end: Any) -> float | None:
    try:
        started, ended = datetime.fromisoformat(start), datetime.fromisoformat(end)
        seconds = (ended - started).total_seconds()
    except (TypeError, ValueError):
        return None
    # KFP uses the epoch for times that have not come.
    return seconds if seconds >= 0 else None


def _message(item: Mapping[str, Any]) -> str:
    error = item.get("error")
    return str(error.get("message") or "") if isinstance(error, dict) else ""
