"""The verdict on a run: from the records of its stages, else from KFP's state of the run.

KFP gives an exit task the state COMPLETE, FAILED or RUNNING. A canceled run is RUNNING, and so is
one whose driver failed; `kfp.local` gives SUCCEEDED. Any other text is used as it is.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from assay.components.run_report.history import WORDS, RunHistory
from assay.errors import (
    VERDICTS,
    IntegrityError,
    ServiceError,
    StepError,
    StoreError,
    UsageError,
)
from assay.governance.policy import Kind, Outcome
from assay.runtime import runs
from assay.text import number, one_line, short

MAX_REASONS: Final = 30
"""Limit of a run's report; the report of the stage names all."""

_COMPLETE: Final = frozenset({"COMPLETE", "COMPLETED", "SUCCEEDED"})
_FAILED: Final = frozenset({"FAILED", "ERROR"})
_STOPPED: Final = frozenset({"RUNNING", "CANCELED", "CANCELLED", "CANCELING", "CANCELLING"})
_VERDICTS: Final = VERDICTS.keys() - {0}
_JUDGES: Final = frozenset({"validate_data", "gate"})
_MAX_REASON: Final = 600
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}(?![0-9a-f])")

_EVENTS: Final = (
    "look at the events of the first red task: its pod may never have started, as where an image, "
    "a secret or room on the nodes is missing"
)
_REMEDIES: Final = {
    UsageError.exit_code: "change what the reason names in the run form, and start the run again",
    IntegrityError.exit_code: (
        "bytes are not what their name says: run assay store fsck, and make the run again"
    ),
    StoreError.exit_code: "the store refused or cannot be reached: run assay doctor",
    ServiceError.exit_code: "a service refused or cannot be reached: run assay doctor",
    StepError.exit_code: "a step broke its own rules, which is a bug in it; its log has the place",
}
"""By exit code."""
_BUG: Final = "the end of the task's log says more"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a run."""

    verdict: str
    """As in `assay.runtime.runs.RunStatus`."""
    exit_code: int
    reasons: tuple[str, ...] = ()
    """One cause each, the most important first."""
    remedy: str = ""
    version: str = ""
    """In the registry, where a registration by this run is proved."""
    proved: bool = True
    """Whether an attestation shows it."""


def words(name: str) -> str:
    """A stage or task as the graph names it."""
    return WORDS.get(name) or one_line(name.replace("_", " ")).capitalize()


def judge(history: RunHistory, state: str, model_name: str, error: str = "") -> Verdict:
    """The verdict.

    Args:
        history: What the records and attestations of the stages show.
        state: KFP's state of the run.
        model_name: The model that a registration has to be about.
        error: KFP's error message; empty today.
    """
    state = one_line(state).upper()
    version, doubt = _registered(history, model_name)
    if version and state in _COMPLETE:
        return Verdict("passed", 0, version=version)  # a record that contradicts this is a hint
    red = _red(history.tasks, complete=state in _COMPLETE)
    if failed := [task for task in red if task.state == runs.FAILED]:
        return _failed(history, failed, version)
    more: tuple[str, ...] = (f"KFP says: {_cut(error)}",) if error else ()
    if version:
        more += (f"version {version} was registered by then",)
    if state in _STOPPED:
        return Verdict(
            "canceled", 1, (_stopped(history, red), *more),
            "if nobody canceled it, a driver of KFP failed: look at the events of the next task",
            version, proved=False,
        )  # fmt: skip
    if red and state not in _COMPLETE:
        reasons = tuple(
            f"{words(task.task)} was killed, or its pod died, before it could say why"
            for task in red
        )
        return Verdict(
            "failed", 1, (*reasons, *more),
            "the memory limit is the likely cause: raise the limit of this task, or give less "
            "data; the pod's events name it",
            version, proved=False,
        )  # fmt: skip
    if version and state not in _FAILED:
        return Verdict("passed", 0, version=version)
    return _unproved(history, state, doubt, version, more)


def _unproved(
    history: RunHistory, state: str, doubt: str, version: str, more: tuple[str, ...]
) -> Verdict:
    """The verdict where no record shows a failure and no registration is proved."""
    if state in _COMPLETE:
        missing = "no record of a registration was found"
        if doubt:
            missing = f"that a version was registered is not proved: {doubt}"
        return Verdict(
            "passed", 0, (f"KFP says {state.lower()}; {missing}",),
            "look for the version in the registry before you rely on it", proved=False,
        )  # fmt: skip
    return Verdict("failed", 1, (_silent(history, state), *more), _EVENTS, version, proved=False)


def _registered(history: RunHistory, model_name: str) -> tuple[str, str]:
    """The version that this run is proved to have registered, and why it is not proved."""
    registration = history.stage("register")
    if registration is None or registration.attestation is None:
        return "", next((one.doubt for one in history.stages if one.step == "register"), "")
    if registration.attestation.parameters.get("model_name") != model_name:
        return "", f"the registration is of another model than {model_name}"
    version = registration.values.get("version")
    return (one_line(str(version))[:20], "") if version else ("", "the registration names none")


def _red(tasks: list[runs.TaskStatus], *, complete: bool) -> list[runs.TaskStatus]:
    """Tasks that failed or never ended, except for those of which a later attempt succeeded.

    A later task of the same name may also be another iteration of a loop. So those count too, if
    nothing else explains why the run did not succeed.
    """
    red = [task for task in tasks if task.state != runs.DONE]
    final = [
        task
        for task in red
        if not any(
            other.task == task.task and other.state == runs.DONE and other.started >= task.started
            for other in tasks
        )
    ]
    return final if final or complete else red


def _failed(history: RunHistory, failed: list[runs.TaskStatus], version: str) -> Verdict:
    main = next((task for task in failed if task.exit_code in _VERDICTS), failed[0])
    exit_code = main.exit_code or 1
    ordered = [main, *(task for task in failed if task is not main)]
    reasons: list[str] = []
    for task in ordered:
        reasons += _attested(history, task) or _recorded(task)
    verdict = runs.verdict_of(exit_code)
    attested = bool(_attested(history, main))
    if version:
        reasons.append(f"version {version} was registered by then")
    if verdict != "failed" and not attested and main.task in _JUDGES:
        reasons.append("this is what a record says; no attestation of this run shows it")
    return Verdict(
        verdict, exit_code, tuple(dict.fromkeys(reasons))[:MAX_REASONS],
        _remedy(history, main, verdict, exit_code), version, proved=attested,
    )  # fmt: skip


def _attested(history: RunHistory, task: runs.TaskStatus) -> list[str]:
    """Why a stage that judges did not pass, from its attestation."""
    for stage in reversed(history.stages):
        same = (stage.task, stage.process) == (task.task, task.process)
        if not same or stage.verdict in {"", "pass"}:
            continue
        listed = stage.values.get("reasons")
        texts = listed if isinstance(listed, list) else [stage.values.get("reason", "")]
        if reasons := [_cut(str(text)) for text in texts if text]:
            return reasons
    return []


def _recorded(task: runs.TaskStatus) -> list[str]:
    """Why a task failed, from its record."""
    silent = f"it ended with exit code {task.exit_code} and said no more"
    names = [task.task, *(step.step for step in task.steps)]
    texts = map(one_line, task.problems or (task.error or silent,))
    return [
        _cut(text if text.startswith(tuple(f"{name}:" for name in names)) else lead + text)
        for lead in [f"{words(task.task)}: "]
        for text in texts
    ]


def _cut(text: str) -> str:
    """Text as a line of bounded length, with short digests."""
    line = _DIGEST.sub(lambda match: short(match[0]), one_line(text))
    return line if len(line) <= _MAX_REASON else f"{line[: _MAX_REASON - 1]}…"


def _remedy(history: RunHistory, main: runs.TaskStatus, verdict: str, exit_code: int) -> str:
    if verdict != "failed" and main.task not in _JUDGES:
        return ""  # register's reason has the remedy
    if verdict == "rejected":
        return _rejected(history)
    if verdict == "blocked":
        return _missed(history)
    if verdict == "inconclusive":
        return (
            "too little test data to tell: give more rows, or a larger test_fraction; a rule that "
            "needs less certainty is for the policy's owners to write"
        )
    return _REMEDIES.get(exit_code, _BUG)


def _rejected(history: RunHistory) -> str:
    values = history.validation.values if history.validation else {}
    failed, given = values.get("failed_expectations"), values.get("expectations")
    what = "mend the data"
    if failed and given:
        what = (
            f"{failed:.0f} of {given:.0f} expectations do not hold: mend the data, or the suite "
            "where it asks too much"
        )
    return f"{what}; data_report shows each column"


def _missed(history: RunHistory) -> str:
    """The first rule that is not met, and by how much."""
    rows = history.decision.rows if history.decision else ()
    missed = [row for row in rows if row.outcome is Outcome.FAIL]
    rules = [row for row in missed if row.kind is Kind.RULE]
    change = "improve the model, or have the policy's owners change the rule"
    documents = [row for row in missed if row.kind is Kind.DOCUMENT]
    if documents and (not rules or rules[0].value is None):
        roles = {digest: role for role, digest in history.digests().items()}
        what = roles.get(documents[0].evidence, "a piece of evidence")
        return f"{what} does not pass, or cannot count: the table of the gate says why"
    if not rules:
        return "the decision shows every rule"
    first = rules[0]
    rule = f"{first.text} (line {first.line} of the policy)"
    if first.value is None or first.threshold is None:
        return f"{rule} has nothing to judge; decision says why, and which stage could give it"
    off = abs(first.value - first.threshold)
    by = f"is missed by {number(off)}" if off else "is missed, though just"
    return f"{rule} {by}: {change}"


def _stopped(history: RunHistory, red: list[runs.TaskStatus]) -> str:
    running = [task for task in red if task.state == runs.STARTED]
    if running:
        return f"the run was stopped while this was running: {_list(running)}"
    done = [task for task in history.tasks if task.state == runs.DONE]
    return f"the run was stopped {f'after {words(done[-1].task)}' if done else 'before any stage'}"


def _silent(history: RunHistory, state: str) -> str:
    known = "" if state in _FAILED else f"KFP's state of the run is {state or 'empty'}; "
    if not history.tasks:
        return f"{known}no stage said anything"
    return f"{known}no stage said why; the last that ended is {words(history.tasks[-1].task)}"


def _list(tasks: Iterable[runs.TaskStatus]) -> str:
    return ", ".join(dict.fromkeys(words(task.task) for task in tasks))
