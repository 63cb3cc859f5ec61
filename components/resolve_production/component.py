"""The KFP declaration of resolve_production."""

from typing import NamedTuple

from kfp import dsl

from assay.images import image


@dsl.component(base_image=image("release"), install_kfp_package=False)
def resolve_production(
    model_name: str,
    summary: dsl.Output[dsl.Markdown],
    override: str = "",
    model: str = "",
    test_data: str = "",
) -> NamedTuple(
    "Outputs",
    [("production", str), ("production_data", str), ("version", str), ("attempts", str)],
):
    """Ask the registry which model is in production; count the models tried on the test rows.

    Args:
        model_name: Name in the MLflow registry.
        summary: What was found.
        override: Digest of a model to compare with instead, to look at; it cannot be registered
            by that. Empty: the one in production.
        model: Digest of the model that is judged. Empty: nothing is counted.
        test_data: Digest of the rows it is tested on.

    Returns:
        production: Digest of the model to compare with, or empty.
        production_data: Digest of the data it was made from, or empty.
        version: Its version in the registry, or empty.
        attempts: Digest of evidence: how many models were tried on the test rows.
    """
    from assay.components.resolve_production import step
    from assay.kfp import execute

    return execute(
        step.resolve_production, locals(), "production", "production_data", "version", "attempts"
    )
