"""A rehearsal of a rollback, as a recurring run on staging; it fails if it took too long."""

from typing import Final

from kfp import dsl

from assay.components.rollback_drill.component import rollback_drill as rehearse
from assay.pipelines.tasks import never_cached
from assay.releases.layout import ENVIRONMENTS

CHOICES: Final = {"environment": tuple(name for name in ENVIRONMENTS if name != "production")}
"""Values in the run form; others are refused."""


@dsl.pipeline(name="rollback-drill")
def rollback_drill(model_name: str, environment: str = "staging") -> None:
    """Roll an environment back and forth, and compare golden predictions after each.

    Requires a signing key and an earlier release, and checks both before anything is changed.

    Args:
        model_name: Name of the model.
        environment: Where; not production.
    """
    never_cached(
        rehearse(model_name=model_name, environment=environment).set_display_name(
            "Roll back and forth"
        )
    )
