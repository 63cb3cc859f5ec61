"""preflight: the work."""

from typing import Any

from assay.core.step import (
    Checks,
    Digest,
    MonitoringPlan,
    Out,
    Policy,
    Record,
    Services,
    Suite,
    Values,
    step,
)


@step(side_effects=True)
def preflight(
    *,
    services: Services,
    data: str,
    target: str,
    model_name: str,
    policy: str = "",
    suite: str = "",
    checks: str = "",
    monitoring: str = "",
    estimator: str = "auto",
    hyperparameters: dict[str, Any] = {},  # noqa: B006 - read only
    numeric_columns: list[str] = [],  # noqa: B006
    categorical_columns: list[str] = [],  # noqa: B006
    drop_columns: list[str] = [],  # noqa: B006
    delimiter: str = "auto",
    missing_values: list[str] = ["", "NA", "N/A", "NaN", "nan", "null", "None", "?"],  # noqa: B006
    encoding: str = "utf-8",
    decimal: str = ".",
    split_by: str = "hash",
    key_columns: list[str] = [],  # noqa: B006
    time_column: str = "",
    test_fraction: float = 0.25,
    slices: list[str] = [],  # noqa: B006
    primary_metric: str = "",
    reference: Digest = "",
    drift_share: float = 0.5,
    confidence: float = 0.95,
    max_regression: float = 0.01,
    threads: int = 1,
    candidates: list[dict[str, Any]] | None = None,
    validation_fraction: float = 0.25,
    policy_artifact: Out[Policy],
    suite_artifact: Out[Suite] | None,
    checks_artifact: Out[Checks] | None,
    monitoring_artifact: Out[MonitoringPlan] | None,
    record: Out[Record],
) -> Values:
    """Find, in seconds, everything that can be known to be wrong before anything costs time.

    Only the header of the data is read. Policy, suite, checks and monitoring plan become artifacts,
    so that all later stages depend on digests only.

    Args:
        services: The store, and the keys that attestations are verified with.
        data: The table: a path, file://, s3://bucket/key?endpoint=…, https:// or a digest.
        target: Column to predict.
        model_name: Name in the MLflow registry.
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
        policy_artifact: The policy.
        suite_artifact: The suite, or empty.
        checks_artifact: The checks, or empty.
        monitoring_artifact: The monitoring plan, or empty.
        record: What was checked: `record.json`, `summary.md`.

    Returns:
        allowed_modules (list): Import prefixes that the policy admits besides scikit-learn.
        candidates (list): Those of a sweep, each with estimator and hyperparameters.
        primary_metric (str): The metric that models are compared by: the policy's, else the run's.
        max_regression (float): The margin of the comparison: the policy's, else the run's.
        reference_artifact (str): Digest of the dataset to look for drift against, or empty.

    Raises:
        UsageError: Names everything that is wrong, services that do not answer included.
        ServiceError: Only MLflow is at fault: it does not answer.
        StoreError: Only the store is at fault: it does not answer, or cannot be written.
        DataError: Only the data is at fault: it does not exist, or is not a table.
    """
    from assay.components.preflight.examine import Plan, examine
    from assay.core.digest import canonical_json
    from assay.reports.markdown import markdown_table

    plan = Plan(
        data=data,
        target=target,
        model_name=model_name,
        policy=policy,
        suite=suite,
        checks=checks,
        monitoring=monitoring,
        estimator=estimator,
        hyperparameters=hyperparameters,
        columns={
            "numeric_columns": numeric_columns,
            "categorical_columns": categorical_columns,
            "drop_columns": drop_columns,
            "key_columns": key_columns,
            "time_column": [time_column] if time_column else [],
        },
        delimiter=delimiter,
        missing_values=missing_values,
        encoding=encoding,
        decimal=decimal,
        split_by=split_by,
        time_column=time_column,
        slices=slices,
        primary_metric=primary_metric,
        reference=reference,
        shares={
            "confidence": confidence,
            "test_fraction": test_fraction,
            "validation_fraction": validation_fraction,
        },
        drift_share=drift_share,
        max_regression=max_regression,
        threads=threads,
        candidates=candidates,
    )
    examined = examine(plan, services.store)
    (policy_artifact.path / "policy.yaml").write_bytes(examined.policy)
    if examined.suite is not None and suite_artifact is not None:
        (suite_artifact.path / "suite.json").write_bytes(examined.suite)
    if examined.checks is not None and checks_artifact is not None:
        (checks_artifact.path / "checks.yaml").write_bytes(examined.checks)
    if examined.monitoring is not None and monitoring_artifact is not None:
        (monitoring_artifact.path / "monitoring.yaml").write_bytes(examined.monitoring)
    (record.path / "record.json").write_bytes(canonical_json({"notes": examined.notes}))
    (record.path / "summary.md").write_text(
        "# Ready\n\n" + markdown_table(["checked", "result"], list(examined.notes.items())),
        encoding="utf-8",
    )
    return {
        "allowed_modules": list(examined.allowed_modules),
        "candidates": examined.candidates,
        "primary_metric": examined.primary_metric,
        "max_regression": examined.max_regression,
        # Whole, so that the stages below name the same dataset whatever was written.
        "reference_artifact": reference,
    }
