"""The result of a run: a report and a notification."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazy, because kfp.dsl has no `component` inside a running task, where only `step` is needed.
    if name == "run_report":
        from assay.components.run_report.component import run_report

        return run_report
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
