"""A scikit-learn estimator with its preprocessing, fitted bit-reproducibly."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy, because kfp.dsl has no `component` inside a running task, where only `step` is needed.
    if name == "train":
        from assay.components.train.component import train

        return train
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
