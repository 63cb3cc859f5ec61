"""Evidence about how a model is released, for a gate."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy, because kfp.dsl has no `component` inside a running task, where only `step` is needed.
    if name == "release_evidence":
        from assay.components.release_evidence.component import release_evidence

        return release_evidence
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
