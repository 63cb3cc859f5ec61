"""From a dataset to a registered model with proof, or a failed run with the reason."""

from kfp import dsl

from assay.components.prepare_data.options import CHOICES, DEFAULTS
from assay.components.train.component import train
from assay.pipelines.tasks import (
    evaluate_and_register,
    prepare,
    validate_and_split,
    with_run_report,
)

__all__ = ["CHOICES", "train_and_register"]


@dsl.pipeline(name="train-and-register")
def train_and_register(
    data: str,
    target: str,
    model_name: str,
    policy: str = "",
    suite: str = "",
    estimator: str = "auto",
    primary_metric: str = "auto",
    split_by: str = "hash",
    options: dict = DEFAULTS,
) -> None:
    """Snapshot, validate, split, train, evaluate, compare with production, gate, register.

    Args:
        data: The table: a path, file://, s3://bucket/key?endpoint=…, https:// or a digest; CSV
            (any delimiter, gzip too) or Parquet.
        target: Column to predict.
        model_name: Name in the MLflow registry.
        policy: The gate's rules: JSON or YAML text, a location or a digest. Empty: the default
            policy, which admits a first model and no regression.
        suite: Great Expectations suite: JSON text, a location or a digest. Empty: structural
            checks.
        estimator: Import path of a scikit-learn estimator; "auto" picks histogram gradient
            boosting for the kind of target.
        primary_metric: The metric models are compared by; "auto" is the policy's, else accuracy
            for classes and root mean squared error for numbers; another than the policy's is
            refused.
        split_by: "hash" (of the option key_columns, or of the whole row) or "time".
        options: All other options in one object; what is left out has its default.
    """
    with with_run_report("train-and-register", model_name):
        prepared = prepare(
            data=data,
            target=target,
            model_name=model_name,
            policy=policy,
            suite=suite,
            estimator=estimator,
            primary_metric=primary_metric,
            split_by=split_by,
            options=options,
        )
        parts = validate_and_split(prepared)
        trained = train(
            data=parts.split.outputs["train"], settings=prepared.outputs["training_settings"]
        ).set_display_name("Train")
        evaluate_and_register(trained.outputs["model_digest"], parts, model_name)
