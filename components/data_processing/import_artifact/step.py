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
    """Make a foreign component's table a dataset, or its scikit-learn model one of ours.

    A folder with MLflow's `MLmodel` is a model. Everything else is a table, read by the same code
    as a snapshot, so the same rows have the same digest on either way.

    Raises:
        DataError: No table and no model; says what is wrong and how to write it.
        UsageError: Parameters that cannot be, or that lack for a model.
        IntegrityError: A model that holds what no allow-list holds.
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
