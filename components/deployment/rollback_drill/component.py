# Generated from step.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of rollback_drill."""

from typing import NamedTuple

from kfp import dsl

from assay.runtime.declaration import component


@component("deploy")
def rollback_drill(
    model_name: str,
    drill: dsl.Output[dsl.Markdown],
    environment: str = "staging",
) -> NamedTuple("Outputs", [("record", str), ("seconds", float)]):
    """Roll an environment back and forth, and compare golden predictions after each.

    A drill that took longer than five minutes has the verdict `block`.

    A verdict other than pass fails the task, with exit code 4, or 5 if it is inconclusive, after
    the result is stored.

    Args:
        model_name: Name of the model.
        drill: The time of each phase.
        environment: The environment; not production.

    Returns:
        record: Digest of the drill's record, with its Prometheus metrics.
        seconds: Duration of the slower of the two rollbacks.
    """
    from assay.components.rollback_drill import step
    from assay.runtime.kfp import BLOCKS, execute

    return execute(step.rollback_drill, locals(), "record", "seconds", judge=BLOCKS)
