"""Candidate and production model on the same rows."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy, because kfp.dsl has no `component` inside a running task, where only `step` is needed.
    if name == "compare":
        from assay.components.compare.component import compare

        return compare
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
