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
    validation: Out[Validation],
) -> Values:
    """Judge whether a dataset is fit to train on: structure, expectations, drift.

    The result has the files `evidence.json`, `result.json` (of every expectation and column),
    `report.html` and `summary.md`.

    Args:
        data: The dataset.
        suite: A Great Expectations suite. Empty: structural checks only.
        reference: A dataset to look for drift against. Empty: no drift check.
        target: Column to predict; it must exist, have no missing values, and vary.
        drift_share: Share of drifted columns, above 0, at most 1, from which the data is rejected.
        drift_threshold: Distance, above 0, from which a column has drifted (for up to 1,000 rows of
            reference a p-value below 0.05 counts instead).
        validation: The findings.

    Returns:
        verdict (str): pass or block.
        reason (str): One line; empty on a pass.
        reasons (list): One sentence for each.
        failed_expectations (int): 0 where there is no suite; the evidence then has no value.
        drifted_columns_share (float): 0 where there is no reference; the evidence then has no
            value.

    Raises:
        UsageError: An invalid suite or threshold; names all.
    """
    from assay.components.validate_data import views
    from assay.components.validate_data.judge import Settings, reasons, validate

    settings = Settings(target, drift_share, drift_threshold)
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
