"""evaluate: the work."""

from assay.step import Checks, Dataset, Evaluation, Measurements, Model, Out, Values, step


@step
def evaluate(
    *,
    model: Model,
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
    evaluation: Out[Evaluation],
    measurements: Out[Measurements],
) -> Values:
    """Measure a model on rows it has not seen.

    Raises:
        UsageError: Labels, columns, slices, checks or numbers that cannot be; names all.
    """
    from assay import dataset as data
    from assay import findings
    from assay.components.evaluate import latency, quality, views
    from assay.model import fixed_threads, load

    settings = quality.Settings(
        slices=tuple(slices),
        primary_metric=primary_metric,
        confidence=confidence,
        resamples=resamples,
        min_slice_rows=min_slice_rows,
        seed=seed,
    )
    loaded = load(model.path)
    frame = data.read(test_data.path)
    subjects = {"model": model.digest, "data": test_data.digest}
    with fixed_threads(threads):
        found = quality.evaluate(loaded, frame, checks.path if checks else None, settings, subjects)
        found.evidence.write(evaluation.path)
        views.write(found, evaluation.path)
        measured = latency.measure(loaded, frame, latency_rows, model.path, subjects)
    measured.write(measurements.path)
    values = found.evidence.values
    return {
        "primary_metric": found.primary,
        "primary_value": values[found.primary] or 0.0,
        "safety_violations": int(values.get("safety_violations") or 0),
        **findings.values(found.findings),
    }
