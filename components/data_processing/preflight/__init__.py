"""Everything that can be known to be wrong, checked before anything costs time."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy, because kfp.dsl has no `component` inside a running task, where only `step` is needed.
    if name == "preflight":
        from assay.components.preflight.component import preflight

        return preflight
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
