"""import_artifact: the work."""

from pathlib import Path

from assay.core.step import Dataset, Model, Out, Values, step
from assay.runtime.foreign import FILE, Foreign


@step
def import_artifact(
    *,
    artifact: Foreign,
    target: str = "",
    delimiter: str = "auto",
    missing_values: list[str] = ["", "NA", "N/A", "NaN", "nan", "null", "None", "?"],  # noqa: B006 - read only
    encoding: str = "utf-8",
    decimal: str = ".",
    rows_per_part: int = 100_000,
    positive_label: str = "",
    dataset: Out[Dataset] | None,
    model: Out[Model] | None,
) -> Values:
    """Give a foreign component's table or scikit-learn model a digest. KFP caching must be off.

    A folder with MLflow's `MLmodel` is a model. Everything else is a table, read by the same code
    as a snapshot, so the same rows have the same digest either way.

    Args:
        artifact: A CSV or Parquet file, a folder of Parquet files, or a model in MLflow's format.
        target: Column to predict. A table must have it; a model needs it named.
        delimiter: Field delimiter of a CSV, one character; "auto" detects it.
        missing_values: Texts that mean a missing value in a CSV.
        encoding: Encoding of a CSV, such as utf-8 or latin-1.
        decimal: Decimal mark of numbers in a CSV, "." or ",".
        rows_per_part: Rows of each Parquet part of the dataset, at least 1.
        positive_label: The positive class of a binary model. Empty: the last in sort order.
        dataset: The dataset, if it was a table.
        model: The model, if it was one.

    Raises:
        DataError: Neither a table nor a model; says what is wrong and how to write it.
        UsageError: Invalid parameters, or parameters that a model needs and that are missing.
        IntegrityError: A model with content that is not on an allow-list.
    """
    from assay.components.import_artifact import mlmodel, tables
    from assay.core.findings import values

    place = _place(artifact.path)
    if model is not None and (place / mlmodel.FILE).is_file():
        settings = mlmodel.Settings(target, positive_label)
        mlmodel.convert(place, settings, model.path)
    elif dataset is not None:
        options = tables.Options.given(delimiter, missing_values, encoding, rows_per_part, decimal)
        info = tables.convert(place, options, target, rows_per_part, dataset.path)
        return values(info.findings)
    return {}


def _place(folder: Path) -> Path:
    single = folder / FILE
    return single if single.is_file() and len(list(folder.iterdir())) == 1 else folder
