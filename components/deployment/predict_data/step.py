"""predict_data: the work."""

from assay.core.step import Dataset, Model, Out, Values, step


@step
def predict_data(
    *,
    model: Model,
    data: Dataset,
    keep_columns: list[str] = [],  # noqa: B006 - read only
    threads: int = 1,
    predictions: Out[Dataset],
) -> Values:
    """Predict every row of a dataset; the result is a dataset with one row for each, in order.

    Its columns are `keep_columns`, `prediction`, and for a classifier `probability of CLASS` for
    each class. Memory is bounded by one part of the dataset.

    Args:
        model: The model.
        data: The rows. The target need not be among the columns.
        keep_columns: Columns of the data that the result has, too, such as a key.
        threads: Threads for predictions and numerics.
        predictions: The predictions.

    Returns:
        rows (int): Number of rows.

    Raises:
        UsageError: Columns are missing or of other types than in training, columns to keep do not
            exist, or have the names of the result's own; names all.
    """
    from assay.components.predict_data.prediction import predict
    from assay.core import findings
    from assay.models import fixed_threads, load, platform_classes

    loaded = load(model.path, allowed_modules=sorted(platform_classes()))
    with fixed_threads(threads):
        table, differences = predict(loaded, data.path, keep_columns, predictions.path)
    return {"rows": table.rows, **findings.values(differences)}
