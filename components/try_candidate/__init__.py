"""One candidate of a sweep, trained and measured in one task."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy, because kfp.dsl has no `component` inside a running task, where only `step` is needed.
    if name == "try_candidate":
        from assay.components.try_candidate.component import try_candidate

        return try_candidate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
