"""How soon a monitoring plan detects silent failures."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy, because kfp.dsl has no `component` inside a running task, where only `step` is needed.
    if name == "check_monitoring":
        from assay.components.check_monitoring.component import check_monitoring

        return check_monitoring
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
