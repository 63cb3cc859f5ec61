"""Predict all rows of a dataset, in parallel tasks of some parts each."""

from kfp import dsl

from assay.components.gather_parts.component import gather_parts
from assay.components.plan_parts.component import plan_parts
from assay.components.predict_parts.component import predict_parts


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
    rows_per_task: int = 1_000_000,
    max_tasks: int = 16,
) -> str:
    """Predict every row of a dataset; the result is a dataset with one row for each, in order.

    A small dataset gets one task, a large one up to `max_tasks` in parallel. A part that was
    predicted before with the same model is answered from the cache: after rows were appended to the
    table, only the new parts are predicted.

    Args:
        data: Digest of a dataset, such as snapshot_data makes it.
        model: Digest of a model, or MODEL/VERSION of the registry.
        keep_columns: Columns of the data that the result has, too, such as a key.
        rows_per_task: Rows that one task should have at least.
        max_tasks: Tasks at most, from 1 to 16.

    Returns:
        Digest of the predictions.
    """
    planned = plan_parts(
        data=data, rows_per_task=rows_per_task, max_tasks=max_tasks
    ).set_display_name("Plan")
    return (
        predict_in_parallel(
            ranges=planned.outputs["parts"], model=model, data=data, keep_columns=keep_columns
        )
        .set_display_name("Predict")
        .output
    )
