"""The KFP declaration of release_evidence."""

from typing import NamedTuple

from kfp import dsl

from assay.images import image


@dsl.component(base_image=image("release"), install_kfp_package=False)
def release_evidence(model: str, model_name: str) -> NamedTuple("Outputs", [("evidence", str)]):
    """How well a model's releases are rehearsed, as evidence for the gate.

    Args:
        model: Digest of the model to judge.
        model_name: Name under which it is released.

    Returns:
        evidence: Digest of the evidence: rollback_drill_age_days.
    """
    from assay.components.release_evidence import step
    from assay.kfp import execute

    return execute(step.release_evidence, locals(), "evidence")
