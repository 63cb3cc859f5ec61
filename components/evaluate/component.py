"""The KFP declaration of evaluate."""

from typing import NamedTuple

from kfp import dsl

from assay.images import image


@dsl.component(base_image=image("train"), install_kfp_package=False)
def evaluate(
    model: str,
    test_data: str,
    report: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
    classification: dsl.Output[dsl.ClassificationMetrics],
    checks: str = "",
    slices: list = [],  # noqa: B006
    primary_metric: str = "",
    confidence: float = 0.95,
    resamples: int = 1000,
    min_slice_rows: int = 30,
    latency_rows: int = 200,
    seed: int = 0,
    threads: int = 1,
) -> NamedTuple("Outputs", [("evaluation", str), ("measurements", str), ("primary_value", float)]):
    """Measure a model on rows it has not seen: metrics with intervals, slices, behaviour, latency.

    Args:
        model: Digest of the model.
        test_data: Digest of the held-out rows.
        report: Metrics and plots, to look at.
        metrics: The unlabelled metrics.
        classification: ROC curve and confusion matrix.
        checks: Digest of behavioural checks. Empty: none, and no safety_violations.
        slices: Columns (or "a&b") by whose values quality is also measured.
        primary_metric: Empty: accuracy for classes, root_mean_squared_error for numbers.
        confidence: Level of the intervals, between 0 and 1.
        resamples: Draws, for metrics whose interval is drawn, at least 100.
        min_slice_rows: Slices with fewer rows get an interval and no value: inconclusive.
        latency_rows: Single-row predictions to time.
        seed: Seed of the draws.
        threads: Threads for predictions and numerics.

    Returns:
        evaluation: Digest of the evaluation; reproducible.
        measurements: Digest of latency and throughput; not reproducible.
        primary_value: The primary metric.
    """
    from assay.components.evaluate import step
    from assay.kfp import execute

    return execute(step.evaluate, locals(), "evaluation", "measurements", "primary_value")
