"""One candidate of a sweep, trained and measured in one task."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy: a running task needs a step, and not what declares its component to KFP.
    if name == "try_candidate":
        from assay.components.try_candidate.component import try_candidate

        return try_candidate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
