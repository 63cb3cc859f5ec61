"""The model in production, or none."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy, because kfp.dsl has no `component` inside a running task, where only `step` is needed.
    if name == "resolve_production":
        from assay.components.resolve_production.component import resolve_production

        return resolve_production
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
