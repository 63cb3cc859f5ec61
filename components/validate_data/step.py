"""validate_data: the work."""

from assay.step import Dataset, Out, Suite, Validation, Values, step


@step
def validate_data(
    *,
    dataset: Dataset,
    suite: Suite | None = None,
    reference: Dataset | None = None,
    target: str = "",
    drift_share: float = 0.5,
    drift_threshold: float = 0.1,
    max_sample_rows: int = 20_000,
    validation: Out[Validation],
) -> Values:
    """Judge whether a dataset is fit to train on; never fails for what it finds.

    Raises:
        UsageError: A suite or threshold that cannot be; names all.
    """
    from assay.components.validate_data import views
    from assay.components.validate_data.judge import Settings, validate

    settings = Settings(target, drift_share, drift_threshold, max_sample_rows)
    found = validate(dataset, suite, reference, settings)
    found.evidence.write(validation.path)
    views.write(found, settings, validation.path)
    validation.annotations["verdict"] = str(found.evidence.verdict)
    values = found.evidence.values
    return {
        "verdict": str(found.evidence.verdict),
        "reason": found.evidence.reason,
        "failed_expectations": int(values.get("failed_expectations") or 0),
        "drifted_columns_share": values.get("drifted_columns_share") or 0.0,
    }
