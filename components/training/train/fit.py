"""Fitting: from a dataset's folder to a model's folder."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay import data
from assay.components.train.columns import (
    Columns,
    choose_columns,
    column_findings,
    require_exact,
    require_finite,
)
from assay.components.train.curves import read_curves
from assay.components.train.target import Target, read_target
from assay.components.train.views import write_views
from assay.core.findings import Finding
from assay.errors import UsageError
from assay.models import ModelInfo, fixed_threads, make_pipeline, save
from assay.models.build import MAX_SEED, kind_of, make_estimator, resolve
from assay.models.mlflow_folder import versions


@dataclass(frozen=True, slots=True)
class Settings:
    """The step's parameters."""

    target: str
    estimator: str
    hyperparameters: Mapping[str, Any]
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    dropped: tuple[str, ...]
    time_column: str
    """Not a feature either, unless `numeric` or `categorical` name it; may be empty."""
    positive_label: str
    seed: int
    threads: int
    allowed_modules: tuple[str, ...]


def fit(dataset: Path, settings: Settings, folder: Path) -> tuple[ModelInfo, list[Finding]]:
    """Fit and save a model; returns its description, and findings for people.

    Args:
        dataset: Folder of the training rows.
        settings: The step's parameters.
        folder: Where the model is written.

    Raises:
        UsageError: Invalid parameters or data, or an estimator that does not accept them.
    """
    _check_numbers(settings)
    table = data.info(dataset)
    dropped, time_notes = _without_time(settings, table.names)
    columns = choose_columns(
        table, settings.target, settings.numeric, settings.categorical, dropped
    )
    frame = data.read(dataset, [*columns.features, settings.target])
    target = read_target(
        frame.pop(settings.target),
        settings.target,
        kind_of(settings.estimator, settings.allowed_modules),
        settings.estimator,
        settings.positive_label,
    )
    require_finite(frame, columns)
    require_exact(table, frame, columns)
    estimator = make_estimator(
        settings.estimator,
        settings.hyperparameters,
        task=target.task,
        seed=settings.seed,
        threads=settings.threads,
        allowed_modules=settings.allowed_modules,
        classes=target.classes,
    )
    _require_kind(estimator, target.task, settings)
    pipeline = make_pipeline(estimator, columns.numeric, columns.categorical, frame)
    with fixed_threads(settings.threads), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            pipeline.fit(frame, target.labels)
            curves = read_curves(pipeline, frame, target.labels)
            info = _info(settings, target, columns, pipeline, len(frame))
            save(pipeline, info, frame, folder)
        except (ValueError, TypeError, AttributeError, ArithmeticError, IndexError) as error:
            # Whatever an estimator dislikes about its hyperparameters or the data; some tell it
            # only when they are asked for a prediction.
            raise UsageError(f"{type(estimator).__name__} cannot be fitted: {error}") from error
    times = [Finding("time-column", note, (settings.time_column,)) for note in time_notes]
    findings = [*times, *target.findings, *column_findings(frame, columns)]
    notes = [*(finding.text for finding in findings), *_warnings(said)]
    write_views(info, pipeline[-1], curves, notes, folder)
    return info, findings


def _without_time(
    settings: Settings, names: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns to drop, and what to say of the time column.

    The test rows are the latest: their times are values that no training row had, from which a
    model learns nothing that holds for them.
    """
    column = settings.time_column
    if not column or column in {*settings.numeric, *settings.categorical, *settings.dropped}:
        return settings.dropped, ()
    if problems := data.column_problems([column], names, "time_column"):
        raise UsageError.all_of(problems)
    note = (
        f"column {column!r}, by which the rows were split in time, is not a feature; to make it "
        "one, name it in numeric_columns or categorical_columns"
    )
    return (*settings.dropped, column), (note,)


def _check_numbers(settings: Settings) -> None:
    problems = []
    if settings.threads < 1:
        problems.append(f"threads is {settings.threads}; give at least 1")
    if not 0 <= settings.seed <= MAX_SEED:
        problems.append(f"seed is {settings.seed}; give a number from 0 to {MAX_SEED}")
    if problems:
        raise UsageError.all_of(problems)


def _require_kind(estimator: Any, task: str, settings: Settings) -> None:
    """Refuse what only its own parts could tell: a pipeline or search over the wrong kind."""
    from sklearn.base import is_classifier, is_regressor

    try:
        fits = is_regressor(estimator) if task == "regression" else is_classifier(estimator)
    except AttributeError as error:
        raise UsageError(f"{settings.estimator} lacks an inner estimator: {error}") from error
    if not fits:
        wanted = "a regressor" if task == "regression" else "a classifier"
        values = "numbers" if task == "regression" else "labels"
        raise UsageError(
            f"{settings.estimator}: target {settings.target!r} needs {wanted}, because its values "
            f"are {values}"
        )


def _info(
    settings: Settings, target: Target, columns: Columns, pipeline: Any, rows: int
) -> ModelInfo:
    return ModelInfo(
        task=target.task,
        target=settings.target,
        features=columns.features,
        numeric=columns.numeric,
        categorical=columns.categorical,
        classes=target.classes,
        positive=target.positive,
        estimator=resolve(settings.estimator, target.task),
        hyperparameters=dict(settings.hyperparameters),
        seed=settings.seed,
        threads=settings.threads,
        rows=rows,
        allowed_modules=settings.allowed_modules,
        types=columns.types,
        class_rows=target.class_rows,
        left_out=columns.left_out,
        transformed=len(pipeline[:-1].get_feature_names_out()),
        versions=versions(settings.allowed_modules),
    )


def _warnings(caught: list[warnings.WarningMessage]) -> list[str]:
    """Warnings of the fit, such as a solver that did not converge; each line once."""
    return sorted(
        {
            f"{w.category.__name__}: {' '.join(str(w.message).split())}"
            for w in caught
            if w.category.__module__.startswith("sklearn") or issubclass(w.category, RuntimeWarning)
        }
    )
