# Generated from step.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of release_evidence."""

from typing import NamedTuple

from assay.runtime.declaration import component


@component("release")
def release_evidence(
    model: str,
    model_name: str,
) -> NamedTuple("Outputs", [("rehearsal", str)]):
    """Count the days since the last successful rollback drill of a model's name, for the gate.

    Without a drill the value is null, which fails every rule about it.

    Args:
        model: Digest of the model to judge.
        model_name: Name under which it is released.

    Returns:
        rehearsal: Digest of the evidence rollback_drill_age_days.
    """
    from assay.components.release_evidence import step
    from assay.runtime.kfp import execute

    return execute(step.release_evidence, locals(), "rehearsal")
