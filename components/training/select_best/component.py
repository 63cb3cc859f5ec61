# Generated from step.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of select_best."""

from typing import NamedTuple

from kfp import dsl

from assay.runtime.declaration import component


@component("train")
def select_best(
    models: list,
    evaluations: list,
    selection: dsl.Output[dsl.HTML],
    candidates: list = [],
    primary_metric: str = "",
    settings: dict = {},
) -> NamedTuple(
    "Outputs",
    [
        ("model", str),
        ("selection_digest", str),
        ("place", int),
        ("reason", str),
    ],
):
    """Choose the best of several models by their quality on validation rows.

    Of equal models, the one listed first is chosen. A candidate without a model (an empty digest)
    is reported with the reason in its evaluation, and the best of the others is chosen.

    Args:
        models: Digests of the candidates, such as dsl.Collected gives them.
        evaluations: Digests of the evaluation of each model, all on the same validation rows.
        selection: All candidates with their intervals.
        candidates: What each was trained with, in the same order, for the report.
        primary_metric: Empty: accuracy for classes, root_mean_squared_error for numbers.
        settings: More of these parameters, as one object, whose values win; `epoch`, any text, only
            changes KFP's cache key.

    Returns:
        model: Digest of the best.
        selection_digest: Digest of the choice and its reasons.
        place: Its place in the list, from 1.
        reason: One line.
    """
    from assay.components.select_best import step
    from assay.runtime.kfp import execute

    return execute(step.select_best, locals(), "model", "selection_digest", "place", "reason")
