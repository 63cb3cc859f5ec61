# Generated from step.py and stage.yaml by `make goldens`. Do not edit.
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
    slices: list = [],
    primary_metric: str = "",
    confidence: float = 0.95,
    resamples: int = 1000,
    min_slice_rows: int = 30,
    latency_rows: int = 200,
    seed: int = 0,
    threads: int = 1,
    plan: str = "",
    starts: int = 20,
    settings: dict = {},
) -> NamedTuple(
    "Outputs",
    [
        ("evaluation_digest", str),
        ("measurements", str),
        ("monitoring", str),
        ("evidence", list),
    ],
):
    """Measure a model on rows it has not seen: metrics with intervals, slices, behaviour, latency.

    One task runs the steps evaluate and check_monitoring.

    Args:
        model: Digest of the model.
        test_data: Digest of the held-out rows.
        evaluation: Metrics and plots.
        checks: Digest of behavioural checks. Empty: none, and no safety_violations.
        slices: Columns (or "a&b") by whose values quality is also measured.
        primary_metric: Empty: accuracy for classes, root_mean_squared_error for numbers.
        confidence: Level of the intervals, between 0 and 1.
        resamples: Draws, for metrics whose interval is drawn, at least 100.
        min_slice_rows: Slices with fewer rows get an interval and no value: inconclusive.
        latency_rows: Single-row predictions to time.
        seed: Seed of the draws.
        threads: Threads for predictions and numerics.
        plan: Digest of the monitoring plan: how soon it detects faults is measured. Empty: none,
            and no evidence of one.
        starts: Repeats of each fault at each position, from 1 to 1000.
        settings: More of these parameters, as one object, whose values win; `epoch`, any text, only
            changes KFP's cache key.

    Returns:
        evaluation_digest: Digest of the evaluation; reproducible.
        measurements: Digest of the latency and throughput; not reproducible.
        monitoring: Digest of the evidence about the monitoring plan; reproducible.
        evidence: The digests evaluation, measurements and monitoring in one list.
    """
    from assay.components.check_monitoring import step as check_monitoring_step
    from assay.components.evaluate import step
    from assay.runtime.kfp import execute_all

    return execute_all(
        [step.evaluate, check_monitoring_step.check_monitoring],
        locals(),
        "evaluation_digest",
        "measurements",
        "monitoring",
        "evidence",
        name="evaluate",
        lists={"evidence": ["evaluation", "measurements", "monitoring"]},
    )
