# Generated from step.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of compare."""

from typing import NamedTuple

from kfp import dsl

from assay.runtime.declaration import component


@component("train")
def compare(
    candidate: str,
    test_data: str,
    comparison: dsl.Output[dsl.HTML],
    production: str = "",
    candidate_rows: str = "",
    production_rows: str = "",
    primary_metric: str = "",
    margin: float = 0.01,
    slices: list = [],
    confidence: float = 0.95,
    resamples: int = 2000,
    min_slice_rows: int = 30,
    seed: int = 0,
    threads: int = 1,
    settings: dict = {},
) -> NamedTuple("Outputs", [("comparison_digest", str)]):
    """Compare a candidate with the production model on rows that neither was trained on.

    Test rows that are equal, in a model's features and target, to a row it was trained on are left
    out. Where the rows that a model was trained on are unknown, or the models cannot be compared,
    the verdict is inconclusive.

    Args:
        candidate: Digest of the candidate model.
        test_data: Digest of the held-out rows.
        comparison: The difference with its interval.
        production: Digest of the production model. Empty: none, and the policy decides.
        candidate_rows: Digest of the rows the candidate was trained on. Empty: inconclusive.
        production_rows: Digest of the rows the production model was trained on. Empty: inconclusive
            if there is one.
        primary_metric: Empty: accuracy for classes, root_mean_squared_error for numbers.
        margin: Largest acceptable regression, 0 or more, in units of the metric.
        slices: Columns (or "a&b") by whose values to compare too.
        confidence: Level of the intervals, between 0 and 1.
        resamples: Draws, for metrics whose interval is drawn, at least 100.
        min_slice_rows: With fewer rows, a slice, or all of the comparison, is inconclusive.
        seed: Seed of the draws.
        threads: Threads for predictions and numerics.
        settings: More of these parameters, as one object, whose values win; `epoch`, any text, only
            changes KFP's cache key.

    Returns:
        comparison_digest: Digest of the comparison.
    """
    from assay.components.compare import step
    from assay.runtime.kfp import execute

    return execute(step.compare, locals(), "comparison_digest")
