"""What a run needs of the cluster, checked from inside of a pod."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy, because kfp.dsl has no `component` inside a running task, where only `step` is needed.
    if name == "doctor":
        from assay.components.doctor.component import doctor

        return doctor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
