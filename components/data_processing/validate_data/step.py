"""validate_data: the work."""

from assay.core.step import Dataset, Out, Suite, Validation, Values, step


@step
def validate_data(
    *,
    data: Dataset,
    suite: Suite | None = None,
    reference: Dataset | None = None,
    target: str = "",
    drift_share: float = 0.5,
    drift_threshold: float = 0.1,
    max_sample_rows: int = 20_000,
    validation: Out[Validation],
) -> Values:
    """Judge whether a dataset is fit to train on; never fails for what it finds.

    Writes `evidence.json`, `result.json` (every expectation's and column's result), `report.html`
    and `summary.md`. The values `failed_expectations` and `drifted_columns_share` are 0 where
    nothing was looked at; in the evidence, which gates judge, they are missing then.

    Args:
        data: What is judged.
        suite: Great Expectations suite; without one only structure (and drift) is judged.
        reference: What drift is looked for against; without one it is not.
        target: Column to predict; it must be there, without missing values, and vary.
        drift_share: Share of drifted columns, in (0, 1], from which the data is rejected.
        drift_threshold: Distance, above 0, from which a column has drifted, where Evidently
            measures a distance (more than 1,000 values of the reference); where it gives a
            p-value, one below 0.05 counts.
        max_sample_rows: Rows of each side that are looked at for drift, at least 100.
        validation: What was found.

    Raises:
        UsageError: A suite or threshold that cannot be; names all.
    """
    from assay.components.validate_data import views
    from assay.components.validate_data.judge import Settings, reasons, validate

    settings = Settings(target, drift_share, drift_threshold, max_sample_rows)
    found = validate(data, suite, reference, settings)
    found.evidence.write(validation.path)
    views.write(found, settings, validation.path)
    validation.annotations["verdict"] = str(found.evidence.verdict)
    values = found.evidence.values
    return {
        "verdict": str(found.evidence.verdict),
        "reason": found.evidence.reason,
        "reasons": reasons(found.problems),
        "failed_expectations": int(values.get("failed_expectations") or 0),
        "drifted_columns_share": values.get("drifted_columns_share") or 0.0,
    }
