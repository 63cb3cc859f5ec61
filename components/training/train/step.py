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
    """Fit a scikit-learn estimator with its preprocessing; bit-identical for the same inputs.

    Args:
        data: The training rows.
        target: Column to predict.
        estimator: Import path of a scikit-learn estimator; "auto": gradient boosting.
        hyperparameters: Its arguments; one nested: {"$estimator": path, "hyperparameters": {}}.
        numeric_columns: Columns that must be numbers. Empty: detected by type.
        categorical_columns: Columns to treat as categories, whatever their type.
        drop_columns: Columns that are not features.
        time_column: The column that the rows were split by in time; not a feature unless
            numeric_columns or categorical_columns name it.
        positive_label: The positive class of a binary target. Empty: the last in sort order.
        seed: Seed of everything random, 0 or more.
        threads: Threads to fit with, at least 1; part of the result.
        allowed_modules: Import prefixes admitted besides scikit-learn.
        keep_going: Write a `failure` instead of raising when the estimator cannot be trained, so
            that
            one candidate of a sweep does not fail the others.
        model: The model.
        failure: With `keep_going`, why there is no model.

    Returns:
        task (str): binary, multiclass or regression.
        estimator (str): Import path of the estimator used.
        reason (str): Why there is no model; empty if there is one.

    Raises:
        UsageError: An invalid target, column, estimator or hyperparameter; names all.
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
        info, findings = fit(data.path, settings, model.path)
    except UsageError as error:
        if not keep_going or failure is None:
            raise
        document = {"estimator": estimator, "reason": str(error)}
        (failure.path / "failure.json").write_bytes(canonical_json(document))
        (failure.path / "summary.md").write_text(
            f"# No model\n\n{markdown_text(str(error))}\n", encoding="utf-8"
        )
        return {"task": "", "estimator": estimator, "reason": str(error)}
    return {"task": info.task, "estimator": info.estimator, "reason": "", **values(findings)}
