"""A table of the outside world, made an immutable dataset."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy, because kfp.dsl has no `component` inside a running task, where only `step` is needed.
    if name == "snapshot_data":
        from assay.components.snapshot_data.component import snapshot_data

        return snapshot_data
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
