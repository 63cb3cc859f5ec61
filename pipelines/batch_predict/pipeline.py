"""Predict all rows of a table, in parallel tasks of some parts each."""

from typing import Final

from kfp import dsl

from assay.components.export_artifact.component import export_artifact
from assay.components.gather_parts.component import gather_parts
from assay.components.plan_parts.component import plan_parts
from assay.components.predict_parts.component import predict_parts
from assay.components.snapshot_data.component import snapshot_data
from assay.data.text_types import MISSING_VALUES
from assay.pipelines.tasks import never_cached

CHOICES: Final = {"file_format": ("parquet", "csv")}
"""Values in the run form; others are refused."""


@dsl.pipeline(name="predict-in-parallel")
def predict_in_parallel(ranges: list, model: str, data: str, keep_columns: list) -> str:
    """Predict the parts in parallel, and join the predictions in the order of the rows.

    A nested pipeline instead of a loop, because kfp.local 2.17 finds the items of a loop only among
    the inputs of a pipeline.
    """
    with dsl.ParallelFor(ranges, name="Parts") as parts:
        predicted = predict_parts(
            model=model, data=data, parts=parts, keep_columns=keep_columns
        ).set_display_name("Predict parts")
    return (
        gather_parts(parts=dsl.Collected(predicted.outputs["gathered"]))
        .set_display_name("Gather the predictions")
        .outputs["gathered"]
    )


@dsl.pipeline(name="batch-predict")
def batch_predict(
    data: str,
    model: str,
    keep_columns: list = [],  # noqa: B006 - read only
    delimiter: str = "auto",
    missing_values: list = list(MISSING_VALUES),  # noqa: B006 - read only
    encoding: str = "utf-8",
    decimal: str = ".",
    file_format: str = "parquet",
    rows_per_task: int = 1_000_000,
    max_tasks: int = 16,
) -> str:
    """Predict every row of a table; the result is a dataset with one row for each, in order.

    A small table gets one task, a large one up to `max_tasks` in parallel. A part that was
    predicted before with the same model is answered from the cache: after rows were appended to the
    table, only the new parts are predicted.

    Args:
        data: The table: a path, file://, s3://bucket/key?endpoint=…, https:// or a digest; CSV
            (any delimiter, gzip too) or Parquet.
        model: Digest of a model, or MODEL/VERSION of the registry.
        keep_columns: Columns of the table that the result has, too, such as a key.
        delimiter: Field delimiter of a CSV, one character; "auto" detects it.
        missing_values: Texts that mean a missing value in a CSV; as in training.
        encoding: Encoding of a CSV, such as utf-8 or latin-1.
        decimal: Decimal mark of numbers in a CSV, "." or ",".
        file_format: Of the exported predictions: "parquet", or "csv", which keeps no types.
        rows_per_task: Rows that one task should have at least.
        max_tasks: Tasks at most, from 1 to 16.

    Returns:
        Digest of the predictions.
    """
    snapshot = never_cached(
        snapshot_data(
            data=data,
            delimiter=delimiter,
            missing_values=missing_values,
            encoding=encoding,
            decimal=decimal,
        ).set_display_name("Snapshot")
    )
    table = snapshot.outputs["dataset_digest"]
    planned = plan_parts(
        data=table, rows_per_task=rows_per_task, max_tasks=max_tasks
    ).set_display_name("Plan")
    predictions = predict_in_parallel(
        ranges=planned.outputs["parts"], model=model, data=table, keep_columns=keep_columns
    ).set_display_name("Predict")
    export_artifact(artifact=predictions.output, file_format=file_format).set_display_name("Export")
    return predictions.output
