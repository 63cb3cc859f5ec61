# Generated from step.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of snapshot_data."""

from typing import NamedTuple

from kfp import dsl

from assay.runtime.declaration import component


@component("data")
def snapshot_data(
    data: str,
    dataset: dsl.Output[dsl.Dataset],
    target: str = "",
    delimiter: str = "auto",
    missing_values: list = ["", "NA", "N/A", "NaN", "nan", "null", "None", "?"],
    encoding: str = "utf-8",
    decimal: str = ".",
    rows_per_part: int = 100_000,
) -> NamedTuple("Outputs", [("dataset_digest", str), ("rows", int), ("columns", int)]):
    """Make a table an immutable dataset: the same rows always give the same digest.

    Neither the location nor the format of the source, nor `target`, changes the dataset, except for
    findings: what a person should know about how the table was read.

    Args:
        data: A path, file://, s3://bucket/key?endpoint=…, https:// or a dataset's digest.
        dataset: The dataset, for KFP's lineage.
        target: Column that must exist. Empty: not checked.
        delimiter: Field delimiter of a CSV, one character; "auto" detects it.
        missing_values: Texts that mean a missing value in a CSV.
        encoding: Encoding of a CSV, such as utf-8 or latin-1.
        decimal: Decimal mark of numbers in a CSV, "." or ",".
        rows_per_part: Rows of each Parquet part, at least 1; part of the dataset's identity.

    Returns:
        dataset_digest: Digest of the dataset.
        rows: Number of rows.
        columns: Number of columns.
    """
    from assay.components.snapshot_data import step
    from assay.runtime.kfp import execute

    return execute(step.snapshot_data, locals(), "dataset_digest", "rows", "columns")
