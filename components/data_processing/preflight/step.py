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
    """Find everything that can be known to be wrong before anything costs time.

    Of the data, only what names its columns is read, however large it is. Policy, suite, checks
    and monitoring plan become artifacts here, so that all below depends on digests only.

    Raises:
        UsageError: Names all that is wrong, services that do not answer among it.
        ServiceError: Nothing but MLflow is at fault: it does not answer.
        StoreError: Nothing but the store is at fault: it does not answer, or cannot be written.
        DataError: Nothing but the data is at fault: it is not there, or no table.
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
    found = examine(plan, services.store)
    (policy_artifact.path / "policy.yaml").write_bytes(found.policy)
    if found.suite is not None and suite_artifact is not None:
        (suite_artifact.path / "suite.json").write_bytes(found.suite)
    if found.checks is not None and checks_artifact is not None:
        (checks_artifact.path / "checks.yaml").write_bytes(found.checks)
    if found.monitoring is not None and monitoring_artifact is not None:
        (monitoring_artifact.path / "monitoring.yaml").write_bytes(found.monitoring)
    (record.path / "record.json").write_bytes(canonical_json({"notes": found.notes}))
    (record.path / "summary.md").write_text(
        "# Ready\n\n" + markdown_table(["looked at", "found"], list(found.notes.items()))
    )
    return {
        "allowed_modules": list(found.allowed_modules),
        "candidates": found.candidates,
        "primary_metric": found.primary_metric,
        "max_regression": found.max_regression,
        # Whole, so that the stages below name the same dataset whatever was written.
        "reference_artifact": reference,
    }
