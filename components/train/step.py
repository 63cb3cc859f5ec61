"""train: the work."""

from typing import Any

from assay.step import Dataset, Model, Out, Values, step


@step
def train(
    *,
    data: Dataset,
    target: str,
    estimator: str = "auto",
    hyperparameters: dict[str, Any] = {},  # noqa: B006 - read only
    numeric_columns: list[str] = [],  # noqa: B006
    categorical_columns: list[str] = [],  # noqa: B006
    drop_columns: list[str] = [],  # noqa: B006
    time_column: str = "",
    positive_label: str = "",
    seed: int = 0,
    threads: int = 1,
    allowed_modules: list[str] = [],  # noqa: B006
    model: Out[Model],
) -> Values:
    """Fit an estimator with its preprocessing; the same inputs give the same bytes.

    Raises:
        UsageError: A target, column, estimator or hyperparameter that cannot be; names all.
    """
    from assay.components.train.fit import Settings, fit

    settings = Settings(
        target=target,
        estimator=estimator,
        hyperparameters=hyperparameters,
        numeric=tuple(numeric_columns),
        categorical=tuple(categorical_columns),
        dropped=tuple(drop_columns),
        time_column=time_column,
        positive_label=positive_label,
        seed=seed,
        threads=threads,
        allowed_modules=tuple(allowed_modules),
    )
    info = fit(data.path, settings, model.path)
    return {"task": info.task, "estimator": info.estimator}
