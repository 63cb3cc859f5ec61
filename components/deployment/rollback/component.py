# Generated from step.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of rollback."""

from typing import NamedTuple

from kfp import dsl

from assay.runtime.declaration import component


@component("deploy")
def rollback(
    model_name: str,
    environment: str,
    by: str,
    why: str,
    summary: dsl.Output[dsl.Markdown],
    to: str = "",
    now: bool = False,
) -> NamedTuple("Outputs", [("record", str), ("model", str), ("commit", str), ("url", str)]):
    """Restore an earlier release, after every byte of it was verified.

    Args:
        model_name: Name of the model.
        environment: dev, staging or production.
        by: Who asks for it: Name <mail>.
        why: A line for the commit and the release log.
        summary: What was done, and how long each phase took.
        to: Digest of the model or release to restore. Empty: the one before.
        now: Push to the branch at once, without a pull request.

    Returns:
        record: Digest of the rollback's record.
        model: Digest of the model that is restored, or proposed.
        commit: The commit in the deployment repository; empty while Git is down.
        url: The pull request; empty when it was done at once or without a forge.
    """
    from assay.components.rollback import step
    from assay.runtime.kfp import execute

    return execute(step.rollback, locals(), "record", "model", "commit", "url")
