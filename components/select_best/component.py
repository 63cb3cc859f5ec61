"""The KFP declaration of select_best."""

from typing import NamedTuple

from kfp import dsl

from assay.images import image


@dsl.component(base_image=image("train"), install_kfp_package=False)
def select_best(
    models: list,
    evaluations: list,
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    candidates: list = [],  # noqa: B006
    primary_metric: str = "",
) -> NamedTuple("Outputs", [("model", str), ("selection", str), ("place", int), ("reason", str)]):
    """Choose the best of several models by their quality on validation rows.

    Args:
        models: Digests of the candidates, such as dsl.Collected gives them.
        evaluations: Digest of each one's evaluation on the same validation rows.
        report: All candidates with their intervals, to look at.
        summary: The same in short.
        candidates: What each was trained with, in the same order, for the report.
        primary_metric: Empty: accuracy for classes, root_mean_squared_error for numbers.

    Returns:
        model: Digest of the best.
        selection: Digest of the choice and its reasons.
        place: Its place in the list, from 1.
        reason: One line.
    """
    from assay.components.select_best import step
    from assay.kfp import execute

    return execute(step.select_best, locals(), "model", "selection", "place", "reason")
