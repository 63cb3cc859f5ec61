"""The best of several candidates, on rows that none of them was trained on."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy, because kfp.dsl has no `component` inside a running task, where only `step` is needed.
    if name == "select_best":
        from assay.components.select_best.component import select_best

        return select_best
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
