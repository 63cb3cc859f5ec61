# Generated from step.py, task.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of import_artifact."""

from typing import NamedTuple

from kfp import dsl

from assay.runtime.declaration import component


@component("train")
def import_artifact(
    artifact: dsl.Input[dsl.Artifact],
    card: dsl.Output[dsl.Markdown],
    target: str = "",
    delimiter: str = "auto",
    missing_values: list = ["", "NA", "N/A", "NaN", "nan", "null", "None", "?"],
    encoding: str = "utf-8",
    decimal: str = ".",
    rows_per_part: int = 100_000,
    positive_label: str = "",
) -> NamedTuple("Outputs", [("dataset", str), ("model", str)]):
    """Give a foreign component's table or scikit-learn model a digest. KFP caching must be off.

    A folder with MLflow's `MLmodel` is a model. Everything else is a table, read by the same code
    as a snapshot, so the same rows have the same digest either way.

    Args:
        artifact: A CSV or Parquet file, a folder of Parquet files, or a model in MLflow's format.
        card: What was imported.
        target: Column to predict. A table must have it; a model needs it named.
        delimiter: Field delimiter of a CSV, one character; "auto" detects it.
        missing_values: Texts that mean a missing value in a CSV.
        encoding: Encoding of a CSV, such as utf-8 or latin-1.
        decimal: Decimal mark of numbers in a CSV, "." or ",".
        rows_per_part: Rows of each Parquet part of the dataset, at least 1.
        positive_label: The positive class of a binary model. Empty: the last in sort order.

    Returns:
        dataset: Digest of the dataset, if it was a table.
        model: Digest of the model, if it was one.
    """
    from assay.components.import_artifact import step, task
    from assay.runtime.kfp import execute

    return execute(step.import_artifact, locals(), "dataset", "model", by=task.import_artifact)
