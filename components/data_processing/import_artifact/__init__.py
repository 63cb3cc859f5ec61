"""An artifact of a foreign component, imported under a digest."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy, because kfp.dsl has no `component` inside a running task, where only `step` is needed.
    if name == "import_artifact":
        from assay.components.import_artifact.component import import_artifact

        return import_artifact
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
