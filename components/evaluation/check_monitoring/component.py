# Generated from step.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of check_monitoring."""

from typing import NamedTuple

from kfp import dsl

from assay.runtime.declaration import component


@component("train")
def check_monitoring(
    model: str,
    test_data: str,
    monitoring_report: dsl.Output[dsl.HTML],
    plan: str = "",
    starts: int = 20,
    seed: int = 0,
    threads: int = 1,
) -> NamedTuple("Outputs", [("monitoring", str)]):
    """Measure how soon a monitoring plan detects faults, by injecting them into held-out rows.

    Args:
        model: Digest of the model.
        test_data: Digest of the held-out rows.
        monitoring_report: Rows until the alarm for each fault.
        plan: Digest of the monitoring plan: how soon it detects faults is measured. Empty: none,
            and no evidence of one.
        starts: Repeats of each fault at each position, from 1 to 1000.
        seed: Seed of the order of rows, and of where faults begin.
        threads: Threads for predictions and numerics.

    Returns:
        monitoring: Digest of the evidence about the monitoring plan; reproducible.
    """
    from assay.components.check_monitoring import step
    from assay.runtime.kfp import execute

    return execute(step.check_monitoring, locals(), "monitoring")
