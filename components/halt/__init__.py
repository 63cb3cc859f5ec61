"""A red run with the reason."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy, because kfp.dsl has no `component` inside a running task, where only `step` is needed.
    if name == "halt":
        from assay.components.halt.component import halt

        return halt
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
