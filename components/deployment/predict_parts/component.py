# Generated from task.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of predict_parts."""

from typing import NamedTuple

from assay.runtime.declaration import component


@component("train")
def predict_parts(
    model: str,
    data: str,
    parts: str,
    keep_columns: list = [],
) -> NamedTuple("Outputs", [("gathered", str)]):
    """Predict the rows of some parts of a dataset, each part by itself.

    The predictions for a part depend on its rows and the model only: parts that were predicted
    before are answered from the cache, also after rows were appended to the table.

    One task runs the steps select_parts, predict_data and gather_parts.

    Args:
        model: Digest of the model.
        data: Digest of the dataset.
        parts: The numbers of the first and the last part, as "FIRST-LAST", from 0.
        keep_columns: Columns of the data that the result has, too, such as a key.

    Returns:
        gathered: Digest of the dataset of all their rows.
    """
    from assay.components.gather_parts import step as gather_parts_step
    from assay.components.predict_data import step as predict_data_step
    from assay.components.predict_parts import task
    from assay.components.select_parts import step as select_parts_step
    from assay.runtime.kfp import execute_all

    return execute_all(
        [
            select_parts_step.select_parts,
            predict_data_step.predict_data,
            gather_parts_step.gather_parts,
        ],
        locals(),
        "gathered",
        name="predict_parts",
        by=task.predict_parts,
    )
