"""The KFP declaration of evaluate."""

from typing import NamedTuple

from kfp import dsl

from assay.runtime.declaration import component


@component("train")
def evaluate(
    model: str,
    test_data: str,
    evaluation: dsl.Output[dsl.HTML],
    checks: str = "",
    slices: list = [],  # noqa: B006
    primary_metric: str = "",
    confidence: float = 0.95,
    resamples: int = 1000,
    min_slice_rows: int = 30,
    latency_rows: int = 200,
    seed: int = 0,
    threads: int = 1,
    plan: str = "",
    starts: int = 20,
    settings: dict = {},  # noqa: B006 - KFP reads the default, nobody changes it
) -> NamedTuple(
    "Outputs",
    [("evaluation_digest", str), ("measurements", str), ("monitoring", str), ("evidence", list)],
):
    """Measure a model on rows it has not seen: metrics with intervals, slices, behaviour, latency.

    Args:
        model: Digest of the model.
        test_data: Digest of the held-out rows.
        evaluation: Metrics and plots, to look at.
        checks: Digest of behavioural checks. Empty: none, and no safety_violations.
        slices: Columns (or "a&b") by whose values quality is also measured.
        primary_metric: Empty: accuracy for classes, root_mean_squared_error for numbers.
        confidence: Level of the intervals, between 0 and 1.
        resamples: Draws, for metrics whose interval is drawn, at least 100.
        min_slice_rows: Slices with fewer rows get an interval and no value: inconclusive.
        latency_rows: Single-row predictions to time.
        seed: Seed of the draws.
        threads: Threads for predictions and numerics.
        plan: Digest of a monitoring plan: how soon it sees faults is measured too. Empty: none.
        starts: Repeats of each fault in each place, from 1 to 1000.
        settings: More of these parameters, as one object, whose values win; `epoch`, any text,
            only changes KFP's cache key.

    Returns:
        evaluation_digest: Digest of the evaluation; reproducible.
        measurements: Digest of latency and throughput; not reproducible.
        monitoring: Digest of the evidence about the monitoring plan; reproducible.
        evidence: These three, for a gate.
    """
    from assay.components.check_monitoring import step as watched
    from assay.components.evaluate import step
    from assay.runtime.kfp import execute_all

    return execute_all(
        [step.evaluate, watched.check_monitoring],
        locals(),
        "evaluation_digest",
        "measurements",
        "monitoring",
        "evidence",
        name="evaluate",
        lists={"evidence": ("evaluation", "measurements", "monitoring")},
    )
