# Generated from task.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of prepare_data."""

from typing import NamedTuple, Optional

from kfp import dsl

from assay.runtime.declaration import component


@component("train")
def prepare_data(
    data: str,
    target: str,
    model_name: str,
    dataset: dsl.Output[dsl.Dataset],
    policy: str = "",
    suite: str = "",
    estimator: str = "auto",
    split_by: str = "hash",
    candidates: Optional[list] = None,
    primary_metric: str = "auto",
    options: dict = {},
) -> NamedTuple(
    "Outputs",
    [
        ("dataset_digest", str),
        ("rows", int),
        ("candidates", list),
        ("validation_settings", dict),
        ("split_settings", dict),
        ("training_settings", dict),
        ("evaluation_settings", dict),
        ("comparison_settings", dict),
        ("gate_settings", dict),
        ("selection_settings", dict),
        ("candidate_settings", dict),
    ],
):
    """Check all that a run is given, in seconds; then make the table an immutable dataset.

    What is wrong with a run is found before the table is read.

    One task runs the steps preflight and snapshot_data.

    Args:
        data: The table: a path, file://, s3://bucket/key?endpoint=…, https:// or a digest.
        target: Column to predict.
        model_name: Name in the MLflow registry.
        dataset: The dataset, for KFP's lineage.
        policy: The gate's rules: JSON or YAML text, a location or a digest. Empty: the default.
        suite: Great Expectations suite: JSON text, a location or a digest. Empty: none.
        estimator: Import path of an estimator, or "auto".
        split_by: "hash" or "time".
        candidates: Of a sweep: objects {"estimator": path, "hyperparameters": {...}}, 1 to 100.
        primary_metric: The metric models are compared by; "auto": the policy's, else the default.
        options: More options, as `assay.components.prepare_data.options` lists them.

    Returns:
        dataset_digest: Digest of the dataset.
        rows: Number of rows.
        candidates: Those of a sweep, each with estimator and hyperparameters.
        validation_settings: For validate_data.
        split_settings: For split_data.
        training_settings: For train.
        evaluation_settings: For evaluate.
        comparison_settings: For compare.
        gate_settings: For gate.
        selection_settings: For select_best.
        candidate_settings: For try_candidate.
    """
    from assay.components.preflight import step as preflight_step
    from assay.components.prepare_data import task
    from assay.components.snapshot_data import step as snapshot_data_step
    from assay.runtime.kfp import execute_all

    return execute_all(
        [preflight_step.preflight, snapshot_data_step.snapshot_data],
        locals(),
        "dataset_digest",
        "rows",
        "candidates",
        "validation_settings",
        "split_settings",
        "training_settings",
        "evaluation_settings",
        "comparison_settings",
        "gate_settings",
        "selection_settings",
        "candidate_settings",
        name="prepare_data",
        by=task.prepare_data,
    )
