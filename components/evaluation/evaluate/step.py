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
    """Measure a model on rows it has not seen.

    Without a model, but with the reason why a sweep's candidate has none (`failure`), the
    evaluation says so: it is about no model, has no values, and its verdict is a block.

    Raises:
        UsageError: Labels, columns, slices, checks or numbers that cannot be; names all.
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
        found = quality.evaluate(loaded, frame, groups, given, settings, own)
        found.evidence.write(evaluation.path)
        views.write(found, loaded.target, evaluation.path)
        measured = latency.measure(loaded, frame, latency_rows, model.path, subjects)
    measured.write(measurements.path)
    values = found.evidence.values
    return {
        "primary_metric": found.primary,
        "primary_value": values[found.primary] or 0.0,
        "safety_violations": int(values.get("safety_violations") or 0),
        **findings.values(found.findings),
    }
