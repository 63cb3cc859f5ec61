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
    missing_values: list = ["", "NA", "N/A", "NaN", "nan", "null", "None", "?"],  # noqa: B006
    encoding: str = "utf-8",
    decimal: str = ".",
    rows_per_part: int = 100_000,
    positive_label: str = "",
) -> NamedTuple("Outputs", [("dataset", str), ("model", str)]):
    """Give a foreign component's table or scikit-learn model a digest. KFP caching must be off.

    Args:
        artifact: A CSV or Parquet file, a folder of Parquet files, or a model in MLflow's format.
        card: What it is, to look at.
        target: Column to predict. A table must have it; a model needs it said.
        delimiter: Field delimiter of a CSV, one character; "auto" finds it.
        missing_values: Texts that mean a missing value in a CSV.
        encoding: Encoding of a CSV.
        decimal: Decimal mark of numbers in a CSV, "." or ",".
        rows_per_part: Rows of each Parquet part of the dataset, at least 1.
        positive_label: The positive class of a binary model. Empty: the last in sort order.

    Returns:
        dataset: Digest of the dataset, when it was a table.
        model: Digest of the model, when it was one.
    """
    from assay.components.import_artifact import step
    from assay.runtime.kfp import adopt

    return adopt(step.import_artifact, "artifact", locals(), "dataset", "model")
