"""The KFP declaration of compare."""

from typing import NamedTuple

from kfp import dsl

from assay.images import image


@dsl.component(base_image=image("train"), install_kfp_package=False)
def compare(
    candidate: str,
    test_data: str,
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    production: str = "",
    primary_metric: str = "",
    margin: float = 0.01,
    slices: list = [],  # noqa: B006
    confidence: float = 0.95,
    resamples: int = 2000,
    min_slice_rows: int = 30,
    seed: int = 0,
    threads: int = 1,
) -> NamedTuple("Outputs", [("comparison", str), ("verdict", str), ("reason", str)]):
    """Compare a candidate with the production model on the same held-out rows.

    Args:
        candidate: Digest of the candidate model.
        test_data: Digest of the held-out rows.
        report: The difference with its interval, to look at.
        summary: The same in short.
        production: Digest of the production model. Empty: none, and the policy decides.
        primary_metric: Empty: accuracy for classes, root_mean_squared_error for numbers.
        margin: Largest acceptable regression, 0 or more, in units of the metric.
        slices: Columns (or "a&b") by whose values to compare too.
        confidence: Level of the intervals, between 0 and 1.
        resamples: Bootstrap resamples.
        min_slice_rows: Slices with fewer rows are inconclusive.
        seed: Seed of the bootstrap.
        threads: Threads for predictions and numerics.

    Returns:
        comparison: Digest of the comparison.
        verdict: pass, block or inconclusive.
        reason: One line, when it is no pass.
    """
    from assay.components.compare import step
    from assay.kfp import execute

    return execute(step.compare, locals(), "comparison", "verdict", "reason")
