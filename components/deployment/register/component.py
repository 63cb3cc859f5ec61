# Generated from step.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of register."""

from typing import NamedTuple

from assay.runtime.declaration import component


@component("deploy")
def register(
    model: str,
    decision: str,
    evaluation: str,
    model_name: str,
    measurements: str = "",
    data: str = "",
) -> NamedTuple(
    "Outputs",
    [
        ("record", str),
        ("version", str),
        ("registered", str),
        ("model_uri", str),
    ],
):
    """Make a registry version of a model whose decision is a pass for exactly this model.

    The same digest registered twice is the same version. Where `ASSAY_DEPLOYMENTS` names a
    repository with a policy that governs the model, this policy judges the evidence too. The model
    in production is resolved again: the decision must rest on a comparison with the current one.

    Args:
        model: Digest of the model.
        decision: Digest of the gate's decision about it.
        evaluation: Digest of its evaluation.
        model_name: Name in the MLflow registry.
        measurements: Digest of its latency measurements.
        data: Digest of the whole dataset it was made from.

    Returns:
        record: Digest of the registration's record.
        version: Version in the registry.
        registered: new or existing.
        model_uri: What mlflow.pyfunc.load_model loads.
    """
    from assay.components.register import step
    from assay.runtime.kfp import execute

    return execute(step.register, locals(), "record", "version", "registered", "model_uri")
