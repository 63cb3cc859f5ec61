"""The status of a run and its tasks: pointers in the store, under the id of the run.

Every task writes how it ended, and the attestations of its steps; the exit task writes the result
of the run. `assay submit`, `assay run` and the run's report read them. Like all pointers they are
hints: anyone who can write to the store can write one. Reports take details of an artifact from the
attestations that a status names.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, TypeVar

from assay.core.digest import canonical_json, hex_of, is_digest, of_bytes, parse_canonical_json
from assay.core.settings import RUN
from assay.core.store import Store
from assay.errors import (
    VERDICTS,
    IntegrityError,
    UsageError,
)
from assay.text import one_line

STARTED: Final = "started"
DONE: Final = "done"
FAILED: Final = "failed"
_STATES: Final = frozenset({STARTED, DONE, FAILED})

MAX_TEXT_BYTES: Final = 1_500
"""Size of an error, and of all reasons of a run; a pointer has 4 KiB. Longer texts are cut."""
MAX_TASKS: Final = 1_000
"""Tasks of one run that are read; a sweep of 100 candidates has about 120."""
_RUN_ID: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
_SHORTEST: Final = 20
"""Smallest size to which a reason is cut."""
_MAX_REMEDY_BYTES: Final = 300
_MAX_JOINED_BYTES: Final = 500
"""Size of a task's error if its problems are listed too."""
_PLAIN: Final = frozenset({str, int, float, bool})
_Record = TypeVar("_Record")


@dataclass(frozen=True, slots=True)
class StepStatus:
    """One execution within a task."""

    step: str
    attestation: str
    """Digest; inputs and outputs of the step are read from it."""
    cached: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """The status of a task; one that has only started was killed, or still runs."""

    task: str
    """Name of the component."""
    process: str
    """Distinguishes tasks of the same component: those of a loop, and retries."""
    state: str
    """`started`, `done` or `failed`."""
    started: float
    """Seconds since the epoch, by the clock of the task."""
    seconds: float = 0.0
    steps: tuple[StepStatus, ...] = ()
    error: str = ""
    """One line, without the verdict; empty unless it failed."""
    exit_code: int = 0
    problems: tuple[str, ...] = ()
    """The parts of `error`, if there are several."""


@dataclass(frozen=True, slots=True)
class RunStatus:
    """The result of a run, as its exit task determined it."""

    run: str
    name: str
    """Name of the run, for people."""
    pipeline: str
    model_name: str
    verdict: str
    """`passed`, `rejected`, `blocked`, `inconclusive`, `failed` or `canceled`."""
    exit_code: int
    reasons: tuple[str, ...] = ()
    """Why it did not pass: one cause each, the most important first; empty on a pass."""
    remedy: str = ""
    """What to change, if known."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """Digests of the results: `dataset`, `model`, `evaluation`, `comparison`, `decision`, …"""
    version: str = ""
    """Version in the registry, if the run registered one."""
    finished: float = 0.0


def verdict_of(exit_code: int) -> str:
    """The verdict of an exit code."""
    return VERDICTS.get(exit_code, "failed")


def run_id(given: str = "") -> str:
    """The id of the run of this process; empty without a run.

    Raises:
        UsageError: The id is not valid.
    """
    run = given or RUN.get()
    if run and not _RUN_ID.fullmatch(run):
        raise UsageError(
            f"{run!r} is not the id of a run: letters, digits, '.', '_' and '-', at most 128"
        )
    return run


def write_task(store: Store, run: str, status: TaskStatus) -> None:
    """Write the status of a task, replacing its earlier status.

    Args:
        store: The store.
        run: Id of the run.
        status: The status.
    """
    room = _MAX_JOINED_BYTES if status.problems else MAX_TEXT_BYTES
    status = replace(status, error=_cut(status.error, room), problems=_bounded(status.problems))
    name = f"{_place(run)}/{_hash(f'{status.task}.{status.process}')}"
    store.write_pointer(name, canonical_json({"run": run_id(run), **asdict(status)}))


def tasks(store: Store, run: str) -> list[TaskStatus]:
    """The tasks of a run, by the time of their start; unreadable ones are left out."""
    names = store.list_pointers(f"{_place(run)}/")[:MAX_TASKS]
    names = [name for name in names if name != _outcome_of(run)]
    statuses = [_read(store, name, run, _task) for name in names]
    return sorted(
        (status for status in statuses if status is not None), key=lambda status: status.started
    )


def write_outcome(store: Store, status: RunStatus) -> None:
    """Write the result of a run."""
    remedy = _cut(status.remedy, _MAX_REMEDY_BYTES)
    status = replace(status, reasons=_bounded(status.reasons), remedy=remedy)
    store.write_pointer(_outcome_of(status.run), canonical_json(asdict(status)))


def outcome(store: Store, run: str) -> RunStatus | None:
    """The result of a run; None if its exit task has not written it."""
    result: RunStatus | None = _read(store, _outcome_of(run), run, _run)
    return result


def _place(run: str) -> str:
    # Names of pointers are hashes, so that an id cannot be a path.
    return f"runs/{_hash(run_id(run))}"


def _outcome_of(run: str) -> str:
    return f"{_place(run)}/{_hash('outcome')}"  # not a task's name, which has a dot


def _hash(text: str) -> str:
    return hex_of(of_bytes(text.encode()))


def _cut(text: str, size: int) -> str:
    text = one_line(text)  # control characters would take six bytes each
    data = text.encode()
    return text if len(data) <= size else data[: size - 3].decode(errors="ignore") + "…"


def _bounded(texts: Iterable[str]) -> tuple[str, ...]:
    """The first texts, together of `MAX_TEXT_BYTES` at most."""
    left, kept = MAX_TEXT_BYTES, list[str]()
    for text in texts:
        if left < _SHORTEST:
            break
        kept.append(_cut(text, left))
        left -= len(kept[-1].encode())
    return tuple(kept)


def _read(
    store: Store, name: str, run: str, parse: Callable[[dict[str, Any]], _Record]
) -> _Record | None:
    try:
        data = store.read_pointer(name)
        if data is None:
            return None
        raw = parse_canonical_json(data, name)
        return parse(raw) if raw["run"] == run else None
    except (IntegrityError, TypeError, KeyError, ValueError, AttributeError):
        # An invalid hint, which is ignored.
        return None


def _task(raw: dict[str, Any]) -> TaskStatus:
    del raw["run"]
    raw.setdefault("problems", [])  # a task of an earlier version
    steps = tuple(StepStatus(**_typed(StepStatus, step)) for step in raw["steps"])
    if raw["state"] not in _STATES or not all(is_digest(step.attestation) for step in steps):
        raise IntegrityError("a task's status that was altered")
    problems = _texts(raw["problems"])
    return TaskStatus(**{**_typed(TaskStatus, raw), "steps": steps, "problems": problems})


def _run(raw: dict[str, Any]) -> RunStatus:
    known = {*VERDICTS.values(), "failed", "canceled"}
    reasons, digests = _texts(raw["reasons"]), raw["digests"]
    if (
        not isinstance(digests, dict)
        or raw["verdict"] not in known
        or not all(map(is_digest, digests.values()))
    ):
        raise IntegrityError("a run's status that was altered")
    return RunStatus(**{**_typed(RunStatus, raw), "reasons": reasons, "digests": digests})


def _texts(raw: Iterable[Any]) -> tuple[str, ...]:
    texts = tuple(raw)
    if not all(isinstance(text, str) for text in texts):
        raise IntegrityError("a run's status that was altered")
    return texts


def _typed(kind: type, raw: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a status, each a plain value of its type."""
    if set(raw) != set(kind.__annotations__):
        raise IntegrityError(f"a {kind.__name__} with other fields than this version's")
    for name, wanted in kind.__annotations__.items():
        # Canonical JSON writes 2.0 as 2.
        plain = {float: (int, float)}.get(wanted, (wanted,))
        if wanted in _PLAIN and type(raw[name]) not in plain:
            raise IntegrityError(f"{kind.__name__}.{name}: not a {wanted.__name__}")
    return dict(raw)
