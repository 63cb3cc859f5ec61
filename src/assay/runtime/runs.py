"""What happened in a run: small records in the store, under the run's id.

Every task writes how it ended, and which attestations say so; the exit task writes what came of
the whole. `assay submit`, `assay run` and the run's report read them. They are hints, as all
pointers are: anyone who may write to the store may write one. What a report says of an artifact is
read from the attestation that a record names.
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
"""Of an error, and of all reasons of a run together; a pointer has 4 KiB. What is longer is cut."""
MAX_TASKS: Final = 1_000
"""Records of one run that are read; a sweep of 100 candidates has about 120."""
_RUN_ID: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
_SHORTEST: Final = 20
"""Bytes of a reason that is worth cutting."""
_MAX_REMEDY_BYTES: Final = 300
_MAX_JOINED_BYTES: Final = 500
"""Of a task's error where its problems are listed too."""
_PLAIN: Final = frozenset({str, int, float, bool})
_Record = TypeVar("_Record")


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One execution within a task."""

    step: str
    attestation: str
    """Digest; what the step was given and gave is read from there."""
    cached: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """How a task of a run ended; one that began and says no more was killed, or still runs."""

    task: str
    """The component's name."""
    process: str
    """Tells tasks of one component apart: those of a loop, and retries."""
    state: str
    """`started`, `done` or `failed`."""
    started: float
    """Seconds since the epoch, by the task's own clock."""
    seconds: float = 0.0
    steps: tuple[StepRecord, ...] = ()
    error: str = ""
    """One line, without the verdict; empty unless it failed."""
    exit_code: int = 0
    problems: tuple[str, ...] = ()
    """What `error` joins, where there are several."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What came of a whole run, as its exit task found it."""

    run: str
    name: str
    """As people read it."""
    pipeline: str
    model_name: str
    verdict: str
    """`passed`, `rejected`, `blocked`, `inconclusive`, `failed` or `canceled`."""
    exit_code: int
    reasons: tuple[str, ...] = ()
    """Why it is red: one cause each, the most important first; empty on a pass."""
    remedy: str = ""
    """What to change, where that is known."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """What the run made: `dataset`, `model`, `evaluation`, `comparison`, `decision`, …"""
    version: str = ""
    """In the registry, of a run that registered."""
    finished: float = 0.0


def verdict_of(exit_code: int) -> str:
    """The verdict that an exit code stands for."""
    return VERDICTS.get(exit_code, "failed")


def run_id(given: str = "") -> str:
    """The id of the run that this process belongs to; empty where there is none.

    Raises:
        UsageError: An id that cannot be one.
    """
    found = given or RUN.get()
    if found and not _RUN_ID.fullmatch(found):
        raise UsageError(
            f"{found!r} is not the id of a run: letters, digits, '.', '_' and '-', at most 128"
        )
    return found


def write_task(store: Store, run: str, record: TaskRecord) -> None:
    """Write how a task stands, over what it wrote before."""
    room = _MAX_JOINED_BYTES if record.problems else MAX_TEXT_BYTES
    record = replace(record, error=_cut(record.error, room), problems=_bounded(record.problems))
    name = f"{_place(run)}/{_hash(f'{record.task}.{record.process}')}"
    store.write_pointer(name, canonical_json({"run": run_id(run), **asdict(record)}))


def tasks(store: Store, run: str) -> list[TaskRecord]:
    """The tasks of a run, by the time of their start; records that cannot be read are left out."""
    names = store.list_pointers(f"{_place(run)}/")[:MAX_TASKS]
    names = [name for name in names if name != _outcome_of(run)]
    found = [_read(store, name, run, _task) for name in names]
    return sorted((one for one in found if one is not None), key=lambda one: one.started)


def write_outcome(store: Store, record: RunRecord) -> None:
    """Write what came of a run."""
    remedy = _cut(record.remedy, _MAX_REMEDY_BYTES)
    record = replace(record, reasons=_bounded(record.reasons), remedy=remedy)
    store.write_pointer(_outcome_of(record.run), canonical_json(asdict(record)))


def outcome(store: Store, run: str) -> RunRecord | None:
    """What came of a run; None where its exit task has not written it."""
    found: RunRecord | None = _read(store, _outcome_of(run), run, _run)
    return found


def _place(run: str) -> str:
    # Names of pointers are hashes, so that no id can mean another place.
    return f"runs/{_hash(run_id(run))}"


def _outcome_of(run: str) -> str:
    return f"{_place(run)}/{_hash('outcome')}"  # no task's: those have a dot


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
        # A hint that leads nowhere: whoever wrote it, it decides nothing.
        return None


def _task(raw: dict[str, Any]) -> TaskRecord:
    del raw["run"]
    raw.setdefault("problems", [])  # a task of an earlier version
    steps = tuple(StepRecord(**_typed(StepRecord, one)) for one in raw["steps"])
    if raw["state"] not in _STATES or not all(is_digest(one.attestation) for one in steps):
        raise IntegrityError("a task's record that was altered")
    problems = _texts(raw["problems"])
    return TaskRecord(**{**_typed(TaskRecord, raw), "steps": steps, "problems": problems})


def _run(raw: dict[str, Any]) -> RunRecord:
    known = {*VERDICTS.values(), "failed", "canceled"}
    reasons, digests = _texts(raw["reasons"]), raw["digests"]
    if (
        not isinstance(digests, dict)
        or raw["verdict"] not in known
        or not all(map(is_digest, digests.values()))
    ):
        raise IntegrityError("a run's record that was altered")
    return RunRecord(**{**_typed(RunRecord, raw), "reasons": reasons, "digests": digests})


def _texts(raw: Iterable[Any]) -> tuple[str, ...]:
    found = tuple(raw)
    if not all(isinstance(one, str) for one in found):
        raise IntegrityError("a run's record that was altered")
    return found


def _typed(kind: type, raw: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record, each a plain value of its type."""
    if set(raw) != set(kind.__annotations__):
        raise IntegrityError(f"a {kind.__name__} with other fields than this version's")
    for name, wanted in kind.__annotations__.items():
        # Canonical JSON writes 2.0 as 2.
        plain = {float: (int, float)}.get(wanted, (wanted,))
        if wanted in _PLAIN and type(raw[name]) not in plain:
            raise IntegrityError(f"{kind.__name__}.{name}: not a {wanted.__name__}")
    return dict(raw)
