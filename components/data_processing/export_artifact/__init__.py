"""A dataset or model as an ordinary KFP artifact."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy, because kfp.dsl has no `component` inside a running task, where only `step` is needed.
    if name == "export_artifact":
        from assay.components.export_artifact.component import export_artifact

        return export_artifact
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
