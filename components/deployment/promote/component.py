# Generated from step.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of promote."""

from typing import NamedTuple

from kfp import dsl

from assay.runtime.declaration import component


@component("deploy")
def promote(
    model_name: str,
    environment: str,
    summary: dsl.Output[dsl.Markdown],
    model: str = "",
    monitoring: str = "",
) -> NamedTuple(
    "Outputs",
    [
        ("record", str),
        ("outcome", str),
        ("release", str),
        ("branch", str),
        ("url", str),
    ],
):
    """Propose a model for an environment by a pull request, after all checks.

    Running it again updates the same pull request.

    Args:
        model_name: Name in the MLflow registry.
        environment: dev, staging or production; none is skipped.
        summary: What changes, for the approver.
        model: Digest of the model. Empty: the registry's candidate.
        monitoring: Text of monitoring.yaml. Empty: the current plan, or that of the environment
            below.

    Returns:
        record: Digest of the promotion's record.
        outcome: opened, updated, unchanged, or released when the environment has it already.
        release: Digest of the release.yaml.
        branch: The branch that proposes it.
        url: The pull request; empty without a forge.
    """
    from assay.components.promote import step
    from assay.runtime.kfp import execute

    return execute(step.promote, locals(), "record", "outcome", "release", "branch", "url")
