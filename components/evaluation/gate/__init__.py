"""A policy over evidence, failing closed."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy, because kfp.dsl has no `component` inside a running task, where only `step` is needed.
    if name == "gate":
        from assay.components.gate.component import gate

        return gate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
