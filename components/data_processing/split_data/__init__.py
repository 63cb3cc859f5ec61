"""Split rows into training and test sets, so that an entity keeps its side."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy, because kfp.dsl has no `component` inside a running task, where only `step` is needed.
    if name == "split_data":
        from assay.components.split_data.component import split_data

        return split_data
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
