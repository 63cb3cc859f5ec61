"""Propose a checked model for an environment by a pull request."""

from typing import Final

from kfp import dsl

from assay.components.promote.component import promote as propose
from assay.pipelines.tasks import never_cached
from assay.releases.layout import ENVIRONMENTS

CHOICES: Final = {"environment": ENVIRONMENTS}
"""Values in the run form; others are refused."""


@dsl.pipeline(name="promote")
def promote(model_name: str, environment: str, model: str = "", monitoring: str = "") -> None:
    """Check a model again and open a pull request that releases it.

    Args:
        model_name: Name in the MLflow registry.
        environment: dev, staging or production; none is skipped.
        model: Digest of the model. Empty: the registry's candidate.
        monitoring: Text of monitoring.yaml. Empty: the current plan.
    """
    never_cached(
        propose(
            model_name=model_name, environment=environment, model=model, monitoring=monitoring
        ).set_display_name("Propose the release")
    )
