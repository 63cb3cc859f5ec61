# Generated from step.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of predict_data."""

from typing import NamedTuple

from assay.runtime.declaration import component


@component("train")
def predict_data(
    model: str,
    data: str,
    keep_columns: list = [],
    threads: int = 1,
) -> NamedTuple("Outputs", [("predictions", str), ("rows", int)]):
    """Predict every row of a dataset; the result is a dataset with one row for each, in order.

    Its columns are `keep_columns`, `prediction`, and for a classifier `probability of CLASS` for
    each class. Memory is bounded by one part of the dataset.

    Args:
        model: Digest of the model.
        data: Digest of the rows. The target need not be among the columns.
        keep_columns: Columns of the data that the result has, too, such as a key.
        threads: Threads for predictions and numerics.

    Returns:
        predictions: Digest of the predictions.
        rows: Number of rows.
    """
    from assay.components.predict_data import step
    from assay.runtime.kfp import execute

    return execute(step.predict_data, locals(), "predictions", "rows")
