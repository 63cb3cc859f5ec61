# Generated from step.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of select_parts."""

from typing import NamedTuple

from assay.runtime.declaration import component


@component("data")
def select_parts(
    data: str,
    parts: str,
) -> NamedTuple("Outputs", [("selected", str)]):
    """Make a dataset of some parts of another one; no other part is fetched.

    Its digest depends on these rows only: when rows are appended to the table, work on the earlier
    parts is answered from the cache.

    Args:
        data: Digest of the dataset.
        parts: The numbers of the first and the last part, as "FIRST-LAST", from 0.

    Returns:
        selected: Digest of the dataset of these parts.
    """
    from assay.components.select_parts import step
    from assay.runtime.kfp import execute

    return execute(step.select_parts, locals(), "selected")
