"""What a run is given, checked, and its table as an immutable dataset: one task."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy: a running task needs a step, and not what declares its component to KFP.
    if name == "prepare_data":
        from assay.components.prepare_data.component import prepare_data

        return prepare_data
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
