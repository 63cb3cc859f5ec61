"""A version in the MLflow registry, for a model whose decision is a pass."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy, because kfp.dsl has no `component` inside a running task, where only `step` is needed.
    if name == "register":
        from assay.components.register.component import register

        return register
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
