"""A model's quality on rows it has not seen."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy, because kfp.dsl has no `component` inside a running task, where only `step` is needed.
    if name == "evaluate":
        from assay.components.evaluate.component import evaluate

        return evaluate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
