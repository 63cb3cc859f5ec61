# Generated from step.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of gather_parts."""

from typing import NamedTuple

from assay.runtime.declaration import component


@component("data")
def gather_parts(
    parts: list,
) -> NamedTuple("Outputs", [("gathered", str), ("rows", int)]):
    """Join datasets, such as the results of parallel tasks, in the order in which they are given.

    Args:
        parts: Digests of the datasets; all with the same columns and types.

    Returns:
        gathered: Digest of the dataset of all their rows.
        rows: Number of rows.
    """
    from assay.components.gather_parts import step
    from assay.runtime.kfp import execute

    return execute(step.gather_parts, locals(), "gathered", "rows")
