# Generated from step.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of plan_parts."""

from typing import NamedTuple

from assay.runtime.declaration import component


@component("data")
def plan_parts(
    data: str,
    rows_per_task: int = 1_000_000,
    max_tasks: int = 16,
) -> NamedTuple("Outputs", [("parts", list)]):
    """Distribute the parts of a dataset over parallel tasks, the same number of parts to each.

    A small dataset gets one task. The rows themselves are not read.

    Args:
        data: Digest of the dataset.
        rows_per_task: Rows that one task should have at least, at least 1.
        max_tasks: Tasks at most, from 1 to 16; each then has more rows.

    Returns:
        parts: The parts of each task, as "FIRST-LAST", from 0.
    """
    from assay.components.plan_parts import step
    from assay.runtime.kfp import execute

    return execute(step.plan_parts, locals(), "parts")
