"""A model proposed for an environment by a pull request."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy, because kfp.dsl has no `component` inside a running task, where only `step` is needed.
    if name == "promote":
        from assay.components.promote.component import promote

        return promote
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
