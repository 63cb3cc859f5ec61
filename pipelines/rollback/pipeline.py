"""An earlier release, put back."""

from typing import Final

from kfp import dsl

from assay.components.rollback.component import rollback as put_back
from assay.pipelines.tasks import never_cached
from assay.releases.layout import ENVIRONMENTS

CHOICES: Final = {"environment": ENVIRONMENTS}
"""Offered in the run form, and nothing else is taken."""


@dsl.pipeline(name="rollback")
def rollback(
    model_name: str, environment: str, by: str, why: str, to: str = "", now: bool = False
) -> None:
    """Put an earlier release back, after every byte of it was verified.

    Args:
        model_name: Name of the model.
        environment: dev, staging or production.
        by: Who asks for it: Name <mail>.
        why: A line for the commit and the release log.
        to: Digest of the model or release to go back to. Empty: what came before.
        now: Push to the branch at once, without a pull request.
    """
    never_cached(
        put_back(
            model_name=model_name, environment=environment, by=by, why=why, to=to, now=now
        ).set_display_name("Roll back")
    )
