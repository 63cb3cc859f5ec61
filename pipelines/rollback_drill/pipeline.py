"""A rehearsal of a rollback, meant as a recurring run on staging; red when it took too long."""

from kfp import dsl

from assay.components.halt.component import halt
from assay.components.rollback_drill.component import rollback_drill as rehearse


@dsl.pipeline(name="rollback-drill")
def rollback_drill(model_name: str, environment: str = "staging") -> None:
    """Roll an environment back and forth, and compare golden predictions on both sides.

    Args:
        model_name: Name of the model.
        environment: Where; not production.
    """
    done = rehearse(model_name=model_name, environment=environment).set_caching_options(
        enable_caching=False
    )
    with dsl.If(done.outputs["verdict"] != "pass", name="too-slow"):
        halt(kind="blocked", reason=done.outputs["reason"], report=done.outputs["record"])
