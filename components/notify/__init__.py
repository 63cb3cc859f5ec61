"""A message about how a run ended."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy, because kfp.dsl has no `component` inside a running task, where only `step` is needed.
    if name == "notify":
        from assay.components.notify.component import notify

        return notify
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
