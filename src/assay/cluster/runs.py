"""A run on a cluster as people see it: its tasks, its verdict, its exit code.

KFP says little about why a run failed. The verdict comes from the pipeline itself: the `halt` task
that ran says by its constant `kind` what it was halted for. Anything else is read from the
tasks' messages, in which a component's last line stands when the cluster passes it on.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from assay.errors import RunBlocked, RunHalted, RunInconclusive, RunRejected

SUCCEEDED, FAILED, CANCELED, SKIPPED = "SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"
TERMINAL: Final = frozenset({SUCCEEDED, FAILED, CANCELED, SKIPPED})
INTERMEDIATE: Final = frozenset(
    {"RUNTIME_STATE_UNSPECIFIED", "PENDING", "RUNNING", "CANCELING", "PAUSED"}
)
_HALTS: Final[Mapping[str, type[RunHalted]]] = {
    "rejected": RunRejected,
    "blocked": RunBlocked,
    "inconclusive": RunInconclusive,
}
_EXIT = re.compile(r"exit (?:code|status):? (\d+)")
_OURS: Final = range(2, 10)
"""Exit codes of `assay.errors`."""
_LINE = re.compile(r"error: ([^\n]+)")


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a run."""

    name: str
    state: str
    seconds: float | None
    """None while it has not ended."""
    error: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run."""

    run_id: str
    state: str
    verdict: str
    """`passed`, `rejected`, `blocked`, `inconclusive`, `canceled`, `skipped` or `failed`."""
    exit_code: int
    error: str
    tasks: tuple[Task, ...]


def leaves(spec: Mapping[str, Any]) -> dict[str, str]:
    """The tasks of a compiled pipeline that do work, each with the `kind` of a `halt`, or empty."""
    executors = set((spec.get("deploymentSpec") or {}).get("executors") or {})
    components = spec.get("components") or {}
    found = {}
    for dag in _dags(spec):
        for name, task in (dag.get("tasks") or {}).items():
            reference = (task.get("componentRef") or {}).get("name", "")
            if components.get(reference, {}).get("executorLabel") in executors:
                inputs = (task.get("inputs") or {}).get("parameters") or {}
                kind = ((inputs.get("kind") or {}).get("runtimeValue") or {}).get("constant", "")
                is_halt = reference.startswith("comp-halt")
                found[name] = str(kind) if is_halt else ""
    return found


def _dags(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for component in [spec.get("root") or {}, *(spec.get("components") or {}).values()]:
        if dag := component.get("dag"):
            yield dag


def state_of(run: Any) -> str:
    """The run's state; one that this version does not know is not an end."""
    state = str(run.state or "")
    return state if state in TERMINAL | INTERMEDIATE else "RUNTIME_STATE_UNSPECIFIED"


def tasks_of(run: Any, spec: Mapping[str, Any]) -> tuple[Task, ...]:
    """The tasks that do work, in the order of their start; drivers and groups are left out."""
    details = (run.run_details.task_details if run.run_details else None) or ()
    known = leaves(spec)
    wanted = [item for item in details if not known or _base(item.display_name or "") in known]
    wanted.sort(key=lambda item: str(item.start_time or item.create_time or ""))
    return tuple(
        Task(
            item.display_name or "",
            str(item.state or "RUNTIME_STATE_UNSPECIFIED"),
            _seconds(item.start_time, item.end_time),
            _message(item),
        )
        for item in wanted
    )


def outcome(run: Any, spec: Mapping[str, Any]) -> Outcome:
    """What came of a run that has ended; anything but SUCCEEDED is red.

    SKIPPED is red too: nothing was done, so nothing was passed.
    """
    state = state_of(run)
    tasks = tasks_of(run, spec)
    if state == SUCCEEDED:
        return Outcome(run.run_id, state, "passed", 0, "", tasks)
    if state == CANCELED:
        return Outcome(run.run_id, state, "canceled", 1, "the run was canceled", tasks)
    if state == SKIPPED:
        return Outcome(run.run_id, state, "skipped", 1, "the run was skipped: nothing ran", tasks)
    return _failure(run, tasks, leaves(spec))


def _failure(run: Any, tasks: tuple[Task, ...], known: Mapping[str, str]) -> Outcome:
    failed = [task for task in tasks if task.state == FAILED]
    for task in failed:
        kind = known.get(_base(task.name), "")
        if kind in _HALTS:
            text = _line(task.error).removeprefix(f"{kind}: ")
            reason = text or "the task's report says why"
            return Outcome(run.run_id, FAILED, kind, _HALTS[kind].exit_code, reason, tasks)
    message = next((task.error for task in failed if task.error), "") or _run_message(run)
    name = f"{failed[0].name}: " if failed else ""
    text = _line(message) or message or "KFP gave no reason; see the log of the red task"
    codes = [int(code) for code in _EXIT.findall(message) if int(code) in _OURS]
    return Outcome(run.run_id, FAILED, "failed", codes[-1] if codes else 1, f"{name}{text}", tasks)


def _base(name: str) -> str:
    """The task's name without the number of its iteration."""
    return re.sub(r"\(\d+:.*\)$", "", name)


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    # KFP writes the epoch for what has not happened.
    if start is None or end is None or end < start:
        return None
    return (end - start).total_seconds()


def _message(item: Any) -> str:
    error = item.error
    return " ".join(str(error.message or "").split()) if error else ""


def _run_message(run: Any) -> str:
    return " ".join(str(run.error.message or "").split()) if run.error else ""


def _line(message: str) -> str:
    """A component's own last line within a message."""
    found = _LINE.findall(message)
    return str(found[-1]).strip() if found else ""
