"""Whether a dataset is fit to train on."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy, because kfp.dsl has no `component` inside a running task, where only `step` is needed.
    if name == "validate_data":
        from assay.components.validate_data.component import validate_data

        return validate_data
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
