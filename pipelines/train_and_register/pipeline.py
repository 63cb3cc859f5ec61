"""From a dataset to a registered model with proof, or a red run with the reason.

Judging tasks succeed with a verdict and the pipeline branches on it, because KFP uploads nothing
but the log of a failed task; `halt` turns the run red with the reason in one line.
"""

from kfp import dsl

from assay.components.halt.component import halt
from assay.components.notify.component import notify
from assay.components.preflight.component import preflight
from assay.components.snapshot_data.component import snapshot_data
from assay.components.split_data.component import split_data
from assay.components.train.component import train
from assay.components.validate_data.component import validate_data
from assay.pipelines.release import outside, release


@dsl.pipeline(name="train-and-register")
def train_and_register(
    data: str,
    target: str,
    model_name: str,
    policy: str = "",
    suite: str = "",
    checks: str = "",
    monitoring: str = "",
    estimator: str = "auto",
    hyperparameters: dict = {},  # noqa: B006 - KFP reads the default, nobody changes it
    numeric_columns: list = [],  # noqa: B006
    categorical_columns: list = [],  # noqa: B006
    drop_columns: list = [],  # noqa: B006
    positive_label: str = "",
    missing_values: list = ["", "NA", "N/A", "NaN", "nan", "null", "None", "?"],  # noqa: B006
    delimiter: str = "auto",
    split_by: str = "hash",
    key_columns: list = [],  # noqa: B006
    time_column: str = "",
    test_fraction: float = 0.25,
    stratify: bool = False,
    reference: str = "",
    drift_share: float = 0.5,
    primary_metric: str = "",
    max_regression: float = 0.01,
    slices: list = [],  # noqa: B006
    confidence: float = 0.95,
    seed: int = 0,
    threads: int = 1,
) -> None:
    """Snapshot, validate, split, train, evaluate, compare with production, gate, register.

    Args:
        data: The table: a path, file://, s3://bucket/key?endpoint=…, https:// or a digest; CSV
            (any delimiter, gzip too) or Parquet.
        target: Column to predict.
        model_name: Name in the MLflow registry.
        policy: The gate's rules: YAML text, or its location or digest. Empty: the default policy,
            which admits a first model and no regression.
        suite: Great Expectations suite: JSON text, location or digest. Empty: structural checks.
        checks: Behavioural checks: YAML text, location or digest. Empty: none.
        monitoring: Monitoring plan: YAML text, location or digest. Empty: none, and a policy that
            asks for one blocks.
        estimator: Import path of a scikit-learn estimator; "auto" picks histogram gradient
            boosting for the kind of target.
        hyperparameters: Arguments of the estimator, as a JSON object.
        numeric_columns: Columns to treat as numbers. Empty: detected.
        categorical_columns: Columns to treat as categories. Empty: detected.
        drop_columns: Columns that are not features.
        positive_label: The positive class of a binary target. Empty: the last in sort order.
        missing_values: Texts that mean a missing value in a CSV.
        delimiter: Field delimiter of a CSV; "auto" finds it.
        split_by: "hash" (of key_columns, or of the whole row) or "time".
        key_columns: Columns that name an entity, which never changes sides.
        time_column: Column to split by when split_by is "time": the latest rows are the test set.
            It is not a feature, unless numeric_columns or categorical_columns name it.
        test_fraction: Share of rows held out, between 0 and 1.
        stratify: Keep the classes' shares equal on both sides.
        reference: Digest of a dataset to look for drift against. Empty: no drift check.
        drift_share: Share of drifted columns (0 to 1) from which the data is rejected.
        primary_metric: The metric models are compared by. Empty: the policy's, else accuracy for
            classes and root mean squared error for numbers; another than the policy's is refused.
        max_regression: Margin of the comparison, in units of the primary metric.
        slices: Columns by whose values quality is also judged.
        confidence: Confidence level of all intervals, between 0 and 1.
        seed: Seed of everything random.
        threads: Threads in training; part of the result, because thread counts change bytes.
    """
    told = outside(
        notify(
            model_name=model_name,
            pipeline="train-and-register",
            run=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
        )
    )
    with dsl.ExitHandler(told):
        ready = outside(
            preflight(
                data=data,
                target=target,
                model_name=model_name,
                policy=policy,
                suite=suite,
                checks=checks,
                monitoring=monitoring,
                estimator=estimator,
                hyperparameters=hyperparameters,
                numeric_columns=numeric_columns,
                categorical_columns=categorical_columns,
                drop_columns=drop_columns,
                delimiter=delimiter,
                split_by=split_by,
                key_columns=key_columns,
                time_column=time_column,
                test_fraction=test_fraction,
                slices=slices,
                primary_metric=primary_metric,
                reference=reference,
                drift_share=drift_share,
                confidence=confidence,
                max_regression=max_regression,
                threads=threads,
            )
        )
        table = outside(
            snapshot_data(
                data=data, target=target, delimiter=delimiter, missing_values=missing_values
            ).after(ready)
        )
        valid = validate_data(
            data=table.outputs["dataset"],
            suite=ready.outputs["suite_artifact"],
            reference=ready.outputs["reference_artifact"],
            target=target,
            drift_share=drift_share,
        )
        with dsl.If(valid.outputs["verdict"] != "pass", name="rejected"):
            halt(
                kind="rejected",
                reason=valid.outputs["reason"],
                report=valid.outputs["validation"],
            )
        with dsl.Else(name="valid"):
            parts = split_data(
                data=table.outputs["dataset"],
                target=target,
                split_by=split_by,
                key_columns=key_columns,
                time_column=time_column,
                test_fraction=test_fraction,
                stratify=stratify,
            )
            candidate = train(
                data=parts.outputs["train"],
                target=target,
                estimator=estimator,
                hyperparameters=hyperparameters,
                numeric_columns=numeric_columns,
                categorical_columns=categorical_columns,
                drop_columns=drop_columns,
                time_column=time_column,
                positive_label=positive_label,
                seed=seed,
                threads=threads,
                allowed_modules=ready.outputs["allowed_modules"],
            )
            release(
                candidate.outputs["model"],
                model_name=model_name,
                ready=ready,
                table=table,
                valid=valid,
                test_data=parts.outputs["test"],
                slices=slices,
                primary_metric=ready.outputs["primary_metric"],
                max_regression=max_regression,
                confidence=confidence,
                seed=seed,
                threads=threads,
            )
