"""train: the work."""

from typing import Any

from assay.core.step import Dataset, Failure, Model, Out, Values, step


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
    keep_going: bool = False,
    model: Out[Model] | None,
    failure: Out[Failure] | None = None,
) -> Values:
    """Fit an estimator with its preprocessing; the same inputs give the same bytes.

    With `keep_going`, what cannot be trained has no model and a `failure` that says why, so that
    one candidate of a sweep does not take the others with it.

    Raises:
        UsageError: A target, column, estimator or hyperparameter that cannot be; names all.
    """
    from assay.components.train.fit import Settings, fit
    from assay.core.digest import canonical_json
    from assay.core.findings import values
    from assay.errors import StepError, UsageError
    from assay.reports.markdown import markdown_text

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
    if model is None:
        raise StepError("train: no folder for the model")
    try:
        info, found = fit(data.path, settings, model.path)
    except UsageError as error:
        if not keep_going or failure is None:
            raise
        document = {"estimator": estimator, "reason": str(error)}
        (failure.path / "failure.json").write_bytes(canonical_json(document))
        (failure.path / "summary.md").write_text(f"# No model\n\n{markdown_text(str(error))}\n")
        return {"task": "", "estimator": estimator, "reason": str(error)}
    return {"task": info.task, "estimator": info.estimator, "reason": "", **values(found)}
