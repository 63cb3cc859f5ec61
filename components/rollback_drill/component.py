"""The KFP declaration of rollback_drill."""

from typing import NamedTuple

from kfp import dsl

from assay.declaration import component


@component("deploy")
def rollback_drill(
    model_name: str,
    summary: dsl.Output[dsl.Markdown],
    environment: str = "staging",
) -> NamedTuple(
    "Outputs", [("record", str), ("verdict", str), ("reason", str), ("seconds", float)]
):
    """Roll an environment back and forth, and compare golden predictions on both sides.

    Args:
        model_name: Name of the model.
        summary: How long each phase took.
        environment: Where; not production.

    Returns:
        record: Digest of the drill's record, with its Prometheus metrics.
        verdict: pass, or block when it took longer than five minutes.
        reason: One line, empty on a pass.
        seconds: Of the slower of the two rollbacks.
    """
    from assay.components.rollback_drill import step
    from assay.kfp import execute

    return execute(step.rollback_drill, locals(), "record", "verdict", "reason", "seconds")
