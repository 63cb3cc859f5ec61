# Generated from step.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of train."""

from typing import NamedTuple

from kfp import dsl

from assay.runtime.declaration import component


@component("train")
def train(
    data: str,
    model: dsl.Output[dsl.Model],
    target: str = "",
    estimator: str = "auto",
    hyperparameters: dict = {},
    numeric_columns: list = [],
    categorical_columns: list = [],
    drop_columns: list = [],
    time_column: str = "",
    positive_label: str = "",
    seed: int = 0,
    threads: int = 1,
    allowed_modules: list = [],
    settings: dict = {},
) -> NamedTuple("Outputs", [("model_digest", str), ("task", str), ("estimator", str)]):
    """Fit a scikit-learn estimator with its preprocessing; bit-identical for the same inputs.

    Args:
        data: Digest of the training rows.
        model: The model, for KFP's lineage.
        target: Column to predict.
        estimator: Import path of a scikit-learn estimator; "auto": gradient boosting.
        hyperparameters: Its arguments; one nested: {"$estimator": path, "hyperparameters": {}}.
        numeric_columns: Columns that must be numbers. Empty: detected by type.
        categorical_columns: Columns to treat as categories, whatever their type.
        drop_columns: Columns that are not features.
        time_column: The column that the rows were split by in time; not a feature unless
            numeric_columns or categorical_columns name it.
        positive_label: The positive class of a binary target. Empty: the last in sort order.
        seed: Seed of everything random, 0 or more.
        threads: Threads to fit with, at least 1; part of the result.
        allowed_modules: Import prefixes admitted besides scikit-learn.
        settings: More of these parameters, as one object, whose values win; `epoch`, any text, only
            changes KFP's cache key.

    Returns:
        model_digest: Digest of the model.
        task: binary, multiclass or regression.
        estimator: Import path of the estimator used.
    """
    from assay.components.train import step
    from assay.runtime.kfp import execute

    return execute(step.train, locals(), "model_digest", "task", "estimator")
