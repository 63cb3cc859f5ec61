# Generated from step.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of preflight."""

from typing import NamedTuple, Optional

from kfp import dsl

from assay.runtime.declaration import component


@component("train")
def preflight(
    data: str,
    target: str,
    model_name: str,
    summary: dsl.Output[dsl.Markdown],
    policy: str = "",
    suite: str = "",
    checks: str = "",
    monitoring: str = "",
    estimator: str = "auto",
    hyperparameters: dict = {},
    numeric_columns: list = [],
    categorical_columns: list = [],
    drop_columns: list = [],
    delimiter: str = "auto",
    missing_values: list = ["", "NA", "N/A", "NaN", "nan", "null", "None", "?"],
    encoding: str = "utf-8",
    decimal: str = ".",
    split_by: str = "hash",
    key_columns: list = [],
    time_column: str = "",
    test_fraction: float = 0.25,
    slices: list = [],
    primary_metric: str = "",
    reference: str = "",
    drift_share: float = 0.5,
    confidence: float = 0.95,
    max_regression: float = 0.01,
    threads: int = 1,
    candidates: Optional[list] = None,
    validation_fraction: float = 0.25,
) -> NamedTuple(
    "Outputs",
    [
        ("policy_artifact", str),
        ("suite_artifact", str),
        ("checks_artifact", str),
        ("monitoring_artifact", str),
        ("reference_artifact", str),
        ("allowed_modules", list),
        ("candidates", list),
        ("primary_metric", str),
        ("max_regression", float),
    ],
):
    """Find, in seconds, everything that can be known to be wrong before anything costs time.

    Only the header of the data is read. Policy, suite, checks and monitoring plan become artifacts,
    so that all later stages depend on digests only.

    Args:
        data: The table: a path, file://, s3://bucket/key?endpoint=…, https:// or a digest.
        target: Column to predict.
        model_name: Name in the MLflow registry.
        summary: What was checked.
        policy: The gate's rules: JSON or YAML text, a location or a digest. Empty: the default.
        suite: Great Expectations suite: JSON text, a location or a digest. Empty: none.
        checks: Behavioural checks: YAML text, a location or a digest. Empty: none.
        monitoring: Monitoring plan: YAML text, a location or a digest. Empty: none.
        estimator: Import path of an estimator, or "auto".
        hyperparameters: Its arguments.
        numeric_columns: Columns that must be numbers.
        categorical_columns: Columns to treat as categories.
        drop_columns: Columns that are not features.
        delimiter: Field delimiter of a CSV, one character; "auto" detects it.
        missing_values: Texts that mean a missing value in a CSV.
        encoding: Encoding of a CSV, such as utf-8 or latin-1.
        decimal: Decimal mark of numbers in a CSV, "." or ",".
        split_by: "hash" or "time".
        key_columns: Columns that name an entity.
        time_column: Column to split by time.
        test_fraction: Share held out, between 0 and 1.
        slices: Columns (or "a&b") to slice by.
        primary_metric: The metric models are compared by. Empty: the default of the task.
        reference: Digest of a dataset to look for drift against. Empty: none.
        drift_share: Share of drifted columns that rejects the data, above 0, at most 1.
        confidence: Confidence level of intervals, between 0 and 1.
        max_regression: Margin of the comparison, at least 0, where the policy has no rule on
            regression_delta.
        threads: Threads in training, at least 1.
        candidates: Of a sweep: objects {"estimator": path, "hyperparameters": {...}}, 1 to 100.
        validation_fraction: Of a sweep: share of the training rows to choose on, between 0 and 1.

    Returns:
        policy_artifact: Digest of the policy.
        suite_artifact: Digest of the suite, or empty.
        checks_artifact: Digest of the checks, or empty.
        monitoring_artifact: Digest of the monitoring plan, or empty.
        reference_artifact: Digest of the dataset to look for drift against, or empty.
        allowed_modules: Import prefixes that the policy admits besides scikit-learn.
        candidates: Those of a sweep, each with estimator and hyperparameters.
        primary_metric: The metric that models are compared by: the policy's, else the run's.
        max_regression: The margin of the comparison: the policy's, else the run's.
    """
    from assay.components.preflight import step
    from assay.runtime.kfp import execute

    return execute(
        step.preflight,
        locals(),
        "policy_artifact",
        "suite_artifact",
        "checks_artifact",
        "monitoring_artifact",
        "reference_artifact",
        "allowed_modules",
        "candidates",
        "primary_metric",
        "max_regression",
    )
