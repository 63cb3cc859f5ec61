"""compare: the work."""

from assay.step import Comparison, Dataset, Model, Out, Values, step


@step
def compare(
    *,
    candidate: Model,
    production: Model | None = None,
    test_data: Dataset,
    primary_metric: str = "",
    margin: float = 0.01,
    slices: list[str] = [],  # noqa: B006 - read only
    confidence: float = 0.95,
    resamples: int = 2000,
    min_slice_rows: int = 30,
    seed: int = 0,
    threads: int = 1,
    comparison: Out[Comparison],
) -> Values:
    """Compare a candidate with the production model on the same held-out rows.

    Raises:
        UsageError: Columns, labels or numbers that cannot be; names all.
    """
    from assay import dataset as data
    from assay import findings
    from assay.components.compare import difference, views
    from assay.model import fixed_threads, load

    settings = difference.Settings(
        primary_metric=primary_metric,
        margin=margin,
        slices=tuple(slices),
        confidence=confidence,
        resamples=resamples,
        min_slice_rows=min_slice_rows,
        seed=seed,
    )
    subjects = {"model": candidate.digest, "data": test_data.digest}
    if production is None:
        found = difference.no_production(subjects)
    else:
        subjects["production"] = production.digest
        ours, theirs = load(candidate.path), load(production.path)
        frame = data.read(test_data.path)
        with fixed_threads(threads):
            found = difference.compare(ours, theirs, frame, settings, subjects)
    found.evidence.write(comparison.path)
    views.write(found, settings, comparison.path)
    comparison.annotations["verdict"] = str(found.evidence.verdict)
    return {
        "verdict": str(found.evidence.verdict),
        "reason": found.evidence.reason,
        **findings.values(found.findings),
    }
