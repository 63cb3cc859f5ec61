"""Input and findings of the doctor's checks, and the function that makes them concurrently."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from assay.cluster.client import Endpoint
from assay.errors import AssayError, ServiceError, StoreError, UsageError

LIMIT_SECONDS: Final = 30.0


class Status(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    """A run works, but something should be corrected."""
    FAILED = "failed"
    """A run would fail, or its result could not be trusted."""
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    check: str
    status: Status
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class WantedSecret:
    """A Secret that runs use."""

    name: str
    keys: tuple[str, ...]
    required_keys: tuple[str, ...]
    """Keys without which no task can work."""
    optional: bool
    """Whether a pod starts without it."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What to check, besides the environment."""

    endpoint: Endpoint | None = None
    """KFP's API; None if its address is not configured."""
    namespace: str = ""
    """Namespace of the Secrets. Empty: that of this pod, or of the kubeconfig."""
    images: tuple[str, ...] = ()
    """References of the images that a run pulls."""
    secrets: tuple[WantedSecret, ...] = ()


def finding_of(check: str, status: Status, error: AssayError) -> Finding:
    """An error as a line of the report.

    Args:
        check: Name of the check.
        status: Its result.
        error: The error; its first line becomes the detail, the rest the remedy.

    Returns:
        The finding.
    """
    detail, *remedy = error.lines if error.remedy else (str(error),)
    return Finding(check, status, detail, "; ".join(remedy))


Check = Callable[[Ground], Sequence[Finding]]


@dataclass
class _Job:
    name: str
    check: Check
    findings: Sequence[Finding] = ()
    done: bool = False
    started: float = field(default_factory=time.monotonic)


def run_checks(
    checks: Sequence[tuple[str, Check]], ground: Ground, limit_seconds: float
) -> list[Finding]:
    """Make the checks concurrently; a time-out or an unexpected error is a failure.

    Args:
        checks: Name and function of each.
        ground: What to check.
        limit_seconds: How long they may take.

    Returns:
        The findings, in the order of the checks.
    """
    ended: queue.Queue[_Job] = queue.Queue()
    jobs = [_Job(name, check) for name, check in checks]
    for job in jobs:
        # Daemons, because the interpreter would wait for other threads that hang.
        threading.Thread(target=_run, args=(job, ground, ended), daemon=True).start()
    deadline = time.monotonic() + limit_seconds
    for _ in jobs:
        try:
            ended.get(timeout=max(deadline - time.monotonic(), 0))
        except queue.Empty:
            break
    return [finding for job in jobs for finding in _findings(job, limit_seconds)]


def _findings(job: _Job, limit_seconds: float) -> Sequence[Finding]:
    if job.done:
        return job.findings
    text = f"gave no answer in {limit_seconds:g} s"
    return [
        Finding(job.name, Status.FAILED, text, "check that the service runs and can be reached")
    ]


def _run(job: _Job, ground: Ground, ended: "queue.Queue[_Job]") -> None:
    try:
        job.findings = job.check(ground)
    except AssayError as error:
        job.findings = [finding_of(job.name, Status.FAILED, error)]
    except Exception as error:  # noqa: BLE001 - a check that raised has not passed
        text = f"unexpected error: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        job.findings = [Finding(job.name, Status.FAILED, text, "report this as a bug of Assay")]
    job.done = True
    ended.put(job)


def failed(findings: Sequence[Finding]) -> list[Finding]:
    """Findings for which a run must not start."""
    return [finding for finding in findings if finding.status is Status.FAILED]


def exit_code(findings: Sequence[Finding]) -> int:
    """0, or the code of the first failure: 2 for a setting, 7 for the store, 8 otherwise."""
    bad = failed(findings)
    if not bad:
        return 0
    if bad[0].check == "settings":
        return UsageError.exit_code
    return (StoreError if bad[0].check.startswith("store") else ServiceError).exit_code
