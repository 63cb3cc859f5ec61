"""evaluate: the work."""

from assay.core.step import Checks, Dataset, Evaluation, Measurements, Model, Out, Values, step


@step
def evaluate(
    *,
    model: Model | None = None,
    test_data: Dataset,
    checks: Checks | None = None,
    slices: list[str] = [],  # noqa: B006 - read only
    primary_metric: str = "",
    confidence: float = 0.95,
    resamples: int = 1000,
    min_slice_rows: int = 30,
    latency_rows: int = 200,
    seed: int = 0,
    threads: int = 1,
    failure: str = "",
    evaluation: Out[Evaluation],
    measurements: Out[Measurements] | None,
) -> Values:
    """Measure a model on rows it has not seen: metrics with intervals, slices, behaviour, latency.

    Args:
        model: The model.
        test_data: The held-out rows.
        checks: Behavioural checks. Empty: none, and no safety_violations.
        slices: Columns (or "a&b") by whose values quality is also measured.
        primary_metric: Empty: accuracy for classes, root_mean_squared_error for numbers.
        confidence: Level of the intervals, between 0 and 1.
        resamples: Draws, for metrics whose interval is drawn, at least 100.
        min_slice_rows: Slices with fewer rows get an interval and no value: inconclusive.
        latency_rows: Single-row predictions to time.
        seed: Seed of the draws.
        threads: Threads for predictions and numerics.
        failure: Why a candidate of a sweep has no model: the evaluation then has no values, and its
            verdict is block. Empty: it has one.
        evaluation: The evaluation; reproducible.
        measurements: The latency and throughput; not reproducible.

    Returns:
        primary_metric (str): The metric used.
        primary_value (float): Its value.
        safety_violations (int): Behavioural checks that failed.

    Raises:
        UsageError: Invalid labels, columns, slices, checks or numbers; names all.
    """
    from assay import data
    from assay.components.evaluate import latency, quality, views
    from assay.core import findings
    from assay.data.exact_integers import exact
    from assay.errors import StepError, UsageError
    from assay.evidence.format import EvidenceDocument
    from assay.models import fixed_threads, load, platform_classes

    if model is None:
        if not failure:
            raise UsageError("evaluate: input 'model' is missing; give an artifact's digest")
        EvidenceDocument({"data": test_data.digest}, {}, verdict="block", reason=failure).write(
            evaluation.path
        )
        return {"primary_metric": primary_metric, "primary_value": 0.0, "safety_violations": 0}
    if measurements is None:
        raise StepError("evaluate: no folder for the measurements")
    settings = quality.Settings(
        slices=tuple(slices),
        primary_metric=primary_metric,
        confidence=confidence,
        resamples=resamples,
        min_slice_rows=min_slice_rows,
        seed=seed,
    )
    loaded = load(model.path, allowed_modules=sorted(platform_classes()))
    frame = data.read(test_data.path)
    subjects = {"model": model.digest, "data": test_data.digest}
    with fixed_threads(threads):
        groups = exact(frame, test_data.path)
        given = checks.path if checks else None
        own = subjects | ({"checks": checks.digest} if checks else {})
        result = quality.evaluate(loaded, frame, groups, given, settings, own)
        result.evidence.write(evaluation.path)
        views.write(result, loaded.target, evaluation.path)
        measured = latency.measure(loaded, frame, latency_rows, model.path, subjects)
    measured.write(measurements.path)
    values = result.evidence.values
    return {
        "primary_metric": result.primary,
        "primary_value": values[result.primary] or 0.0,
        "safety_violations": int(values.get("safety_violations") or 0),
        **findings.values(result.findings),
    }
