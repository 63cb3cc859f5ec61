"""halt: the work."""

from typing import Final

from assay.errors import RunBlocked, RunHalted, RunInconclusive, RunRejected, UsageError

KINDS: Final[dict[str, type[RunHalted]]] = {
    "rejected": RunRejected,
    "blocked": RunBlocked,
    "inconclusive": RunInconclusive,
}


def halt(kind: str, reason: str, report: str = "") -> None:
    """Turn the run red; the last line of the log says why.

    Raises:
        RunRejected: The data did not pass validation (exit code 3).
        RunBlocked: The gate's policy was not met (exit code 4).
        RunInconclusive: Too little data to tell (exit code 5).
        UsageError: Another kind; an unknown reason to stop must not end a run green.
    """
    if kind not in KINDS:
        raise UsageError(f"halt: kind {kind!r}; use one of {', '.join(KINDS)}")
    where = f" (report: {report})" if report else ""
    raise KINDS[kind](f"{kind}: {reason or 'no reason was given'}{where}")
