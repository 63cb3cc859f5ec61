"""Fitting: from a dataset's folder to a model's folder."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from threadpoolctl import threadpool_limits

from assay import dataset as data
from assay.errors import UsageError
from assay.model import ModelInfo, make_pipeline, save
from assay.model.build import make_estimator
from assay.report import (
    Section,
    figure_svg,
    figures,
    markdown_table,
    new_figure,
    page,
    paragraph,
    table,
)

if TYPE_CHECKING:
    import pandas as pd

MAX_CLASSES: Final = 100
"""A whole-number target with more values than this is a number to predict, not a class."""
MIN_CLASS_ROWS: Final = 2


@dataclass(frozen=True, slots=True)
class Settings:
    """The step's parameters."""

    target: str
    estimator: str
    hyperparameters: Mapping[str, Any]
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    dropped: tuple[str, ...]
    positive_label: str
    seed: int
    threads: int
    allowed_modules: tuple[str, ...]


def fit(dataset: Path, settings: Settings, folder: Path) -> ModelInfo:
    """Fit and save a model; returns what it is."""
    if settings.threads < 1:
        raise UsageError(f"threads is {settings.threads}; give at least 1")
    numeric, categorical = _features(data.info(dataset), settings)
    frame = data.read(dataset, [*numeric, *categorical, settings.target])
    labels = frame.pop(settings.target)
    task = _task(labels, settings)
    classes, positive = _classes(labels, task, settings)
    estimator = make_estimator(
        settings.estimator,
        settings.hyperparameters,
        task=task,
        seed=settings.seed,
        threads=settings.threads,
        allowed_modules=settings.allowed_modules,
    )
    _require_kind(estimator, task, settings)
    pipeline = make_pipeline(estimator, numeric, categorical)
    # Thread counts change the order of sums, and with it the last bits of a model.
    with threadpool_limits(limits=settings.threads), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            pipeline.fit(frame, labels.to_numpy())
        except (ValueError, TypeError) as error:
            raise UsageError(f"{type(estimator).__name__} cannot be fitted: {error}") from error
        info = ModelInfo(
            task=task,
            target=settings.target,
            features=(*numeric, *categorical),
            numeric=numeric,
            categorical=categorical,
            classes=classes,
            positive=positive,
            estimator=f"{type(estimator).__module__}.{type(estimator).__qualname__}",
            hyperparameters=dict(settings.hyperparameters),
            seed=settings.seed,
            threads=settings.threads,
            rows=len(frame),
            allowed_modules=settings.allowed_modules,
        )
        save(pipeline, info, frame, folder)
    notes = sorted({f"{w.category.__name__}: {w.message}" for w in said if _concerns_fit(w)})
    _write_views(info, estimator, notes, folder)
    return info


def _concerns_fit(warning: warnings.WarningMessage) -> bool:
    # What scikit-learn says about the fit, such as a solver that did not converge.
    return warning.category.__module__.startswith("sklearn") or issubclass(
        warning.category, RuntimeWarning
    )


def _features(
    info: data.DatasetInfo, settings: Settings
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Numeric and categorical feature columns, in the dataset's order."""
    problems = data.column_problems([settings.target], info.names, "target")
    for what, given in (
        ("numeric_columns", settings.numeric),
        ("categorical_columns", settings.categorical),
        ("drop_columns", settings.dropped),
    ):
        problems += data.column_problems(given, info.names, what)
    both = sorted(set(settings.numeric) & set(settings.categorical))
    problems += [f"column {name!r} is given as numeric and as categorical" for name in both]
    numeric, categorical = [], []
    for column in info.columns:
        if column.name == settings.target or column.name in settings.dropped:
            continue
        if column.name in settings.categorical:
            categorical.append(column.name)
        elif column.type in {"int64", "float64"}:
            numeric.append(column.name)
        elif column.name in settings.numeric and column.type != "bool":
            problems.append(f"numeric_columns: {column.name!r} is of type {column.type}")
        elif column.type in {"string", "bool"}:
            categorical.append(column.name)
        else:
            problems.append(
                f"column {column.name!r} is of type {column.type}, no feature; put it into "
                "drop_columns, or into categorical_columns"
            )
    if not problems and not numeric and not categorical:
        problems.append("no feature columns are left; drop fewer")
    if problems:
        raise UsageError.all_of(problems)
    return tuple(numeric), tuple(categorical)


def _task(labels: "pd.Series", settings: Settings) -> str:
    missing = int(labels.isna().sum())
    if missing:
        raise UsageError(
            f"target {settings.target!r} is missing in {missing} of {len(labels)} rows; remove them"
        )
    distinct = labels.nunique()
    if distinct < 2:  # noqa: PLR2004 - nothing to learn
        raise UsageError(f"target {settings.target!r} has one value only, {labels.iloc[0]!r}")
    if labels.dtype.kind == "f" or (labels.dtype.kind == "i" and distinct > MAX_CLASSES):
        return "regression"
    if labels.dtype.kind == "i" and settings.estimator.endswith("Regressor"):
        return "regression"
    if distinct > MAX_CLASSES:
        raise UsageError(
            f"target {settings.target!r} has {distinct} labels, the limit is {MAX_CLASSES}"
        )
    return "binary" if distinct == 2 else "multiclass"  # noqa: PLR2004


def _classes(labels: "pd.Series", task: str, settings: Settings) -> tuple[tuple[Any, ...], Any]:
    if task == "regression":
        return (), None
    counts = labels.value_counts()
    rare = sorted(str(label) for label, count in counts.items() if count < MIN_CLASS_ROWS)
    if rare:
        raise UsageError(
            f"target {settings.target!r}: fewer than {MIN_CLASS_ROWS} training rows for "
            f"{', '.join(rare)}; remove these rows or give more"
        )
    classes = tuple(sorted(counts.index))
    if not settings.positive_label:
        return classes, classes[-1] if task == "binary" else None
    named = {str(label): label for label in classes}
    if settings.positive_label not in named:
        raise UsageError(
            f"positive_label {settings.positive_label!r} is no label of {settings.target!r}; "
            f"there are: {', '.join(named)}"
        )
    return classes, named[settings.positive_label] if task == "binary" else None


def _require_kind(estimator: Any, task: str, settings: Settings) -> None:
    from sklearn.base import is_classifier, is_regressor

    if task == "regression" and not is_regressor(estimator):
        wanted = "a regressor, because its values are numbers"
    elif task != "regression" and not is_classifier(estimator):
        wanted = "a classifier, because its values are labels"
    else:
        return
    raise UsageError(f"{settings.estimator}: target {settings.target!r} needs {wanted}")


def _write_views(info: ModelInfo, estimator: Any, notes: list[str], folder: Path) -> None:
    """`report.html`, `summary.md` and `metrics.json`: facts of the fit, none of the clock."""
    settings = {
        name: value
        for name, value in sorted(estimator.get_params(deep=False).items())
        if isinstance(value, str | int | float | bool | type(None))
    }
    facts = [
        ("estimator", info.estimator),
        ("task", info.task),
        ("target", info.target),
        ("training rows", f"{info.rows:,}"),
        ("numeric features", len(info.numeric)),
        ("categorical features", len(info.categorical)),
        ("classes", ", ".join(str(label) for label in info.classes) or "–"),
        ("seed", info.seed),
        ("threads", info.threads),
    ]
    curves = _curves(estimator)
    sections = [Section("Model", table(["what", "value"], facts))]
    if curves:
        sections.append(Section("Fit, iteration by iteration", figures(_curve_figure(curves))))
    if notes:
        sections.append(Section("Warnings", "".join(paragraph(note) for note in notes)))
    sections.append(Section("Hyperparameters", table(["name", "value"], settings.items())))
    title = f"{type(estimator).__name__} for {info.target}"
    (folder / "report.html").write_text(page(title, sections))
    (folder / "summary.md").write_text(
        f"# {title}\n\n"
        + markdown_table(["what", "value"], facts)
        + "".join(f"\n- {n}" for n in notes)
    )
    metrics: dict[str, float] = {"training_rows": info.rows, "features": len(info.features)}
    metrics.update({f"last_{name}": float(values[-1]) for name, values in curves.items()})
    iterations = getattr(estimator, "n_iter_", None)
    if isinstance(iterations, int):
        metrics["iterations"] = iterations
    (folder / "metrics.json").write_text(json.dumps(metrics, sort_keys=True))


def _curves(estimator: Any) -> dict[str, list[float]]:
    """Loss or score by iteration, where the estimator kept any."""
    found = {}
    for attribute, name in (
        ("loss_curve_", "training_loss"),
        ("train_score_", "training_score"),
        ("validation_score_", "validation_score"),
        ("validation_scores_", "validation_score"),
    ):
        values = getattr(estimator, attribute, None)
        if values is not None and len(values) > 1:
            found[name] = [float(value) for value in values]
    return found


def _curve_figure(curves: Mapping[str, list[float]]) -> str:
    figure, axes = new_figure(7, 3.2)
    for name, values in curves.items():
        axes.plot(range(1, len(values) + 1), values, label=name.replace("_", " "))
    axes.set_xlabel("iteration")
    axes.legend()
    return figure_svg(figure)
