"""Restore an earlier release."""

from typing import Final

from kfp import dsl

from assay.components.rollback.component import rollback as put_back
from assay.pipelines.tasks import never_cached
from assay.releases.layout import ENVIRONMENTS

CHOICES: Final = {"environment": ENVIRONMENTS}
"""Values in the run form; others are refused."""


@dsl.pipeline(name="rollback")
def rollback(
    model_name: str, environment: str, by: str, why: str, to: str = "", now: bool = False
) -> None:
    """Restore an earlier release, after every byte of it was verified.

    Args:
        model_name: Name of the model.
        environment: dev, staging or production.
        by: Who requests it: Name <mail>.
        why: A line for the commit and the release log.
        to: Digest of the model or release to restore. Empty: the previous release.
        now: Push to the branch at once, without a pull request.
    """
    never_cached(
        put_back(
            model_name=model_name, environment=environment, by=by, why=why, to=to, now=now
        ).set_display_name("Roll back")
    )
