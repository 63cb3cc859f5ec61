"""A rollback and back again, rehearsed and timed."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy, because kfp.dsl has no `component` inside a running task, where only `step` is needed.
    if name == "rollback_drill":
        from assay.components.rollback_drill.component import rollback_drill

        return rollback_drill
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
