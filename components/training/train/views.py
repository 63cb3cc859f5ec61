"""`report.html`, `summary.md` and `metrics.json`: facts of the fit, none of the clock."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup

from assay.components.train.curves import iterations
from assay.models import ModelInfo
from assay.reports.figures import figure_svg, legend, new_figure
from assay.reports.markdown import markdown_table, markdown_text
from assay.reports.page import (
    Section,
    cards,
    details,
    figures,
    joined,
    long_table,
    page,
    paragraph,
    table,
)

MAX_FEATURES_SHOWN: Final = 300
MAX_CLASSES_SHOWN: Final = 100
FEATURES: Final = ("column", "type", "taken as")
_DASH: Final = "\u2013"


def write_views(
    info: ModelInfo,
    estimator: Any,
    curves: Mapping[str, Sequence[float]],
    notes: Sequence[str],
    folder: Path,
) -> None:
    """Write the report, and the metrics that are logged to MLflow, into the model's folder.

    Args:
        info: What the model is.
        estimator: The fitted estimator, without its preprocessing.
        curves: Loss or score by iteration.
        notes: Lines that a reader should know of.
        folder: The model's folder.
    """
    title = f"{type(estimator).__name__} for {info.target}"
    facts = _facts(info)
    given = {name: _shown(value) for name, value in info.hyperparameters.items()}
    summary = [f"# {markdown_text(title)}\n", *(f"{markdown_text(note)}\n" for note in notes)]
    summary.append(markdown_table(["what", "value"], facts))
    if given:
        summary.append(markdown_table(["hyperparameter", "value"], sorted(given.items())))
    (folder / "summary.md").write_text("\n".join(summary), encoding="utf-8")
    size = f"{info.rows:,} training rows, {len(info.features):,} features"
    (folder / "report.html").write_text(
        page(
            title,
            _sections(info, estimator, curves, notes),
            subtitle=f"{size}. {info.estimator}",
            preview=f"Assay model of {info.target}: {type(estimator).__name__} on {size}",
        ),
        encoding="utf-8",
    )
    (folder / "metrics.json").write_text(
        json.dumps(_metrics(info, estimator, curves), sort_keys=True) + "\n", encoding="utf-8"
    )


def _facts(info: ModelInfo) -> list[tuple[str, Any]]:
    pairs = list(zip(info.classes, info.class_rows, strict=True))
    classes = [f"{label} ({rows:,})" for label, rows in pairs[:MAX_CLASSES_SHOWN]]
    if rest := len(pairs) - len(classes):
        classes.append(f"and {rest:,} more, in assay-model.json")
    facts = [
        ("estimator", info.estimator),
        ("task", info.task),
        ("target", info.target),
        ("training rows", f"{info.rows:,}"),
        ("classes", ", ".join(classes)),
        ("positive class", "" if info.positive is None else str(info.positive)),
        ("numeric features", len(info.numeric)),
        ("categorical features", len(info.categorical)),
        ("columns after preprocessing", info.transformed),
        ("seed", info.seed),
        ("threads", info.threads),
        ("made with", ", ".join(f"{name} {number}" for name, number in info.versions.items())),
    ]
    return [(name, value) for name, value in facts if value != ""]


def _sections(
    info: ModelInfo,
    estimator: Any,
    curves: Mapping[str, Sequence[float]],
    notes: Sequence[str],
) -> list[Section]:
    key = [
        ("training rows", f"{info.rows:,}"),
        ("features", len(info.features)),
        ("classes", len(info.classes) or _DASH),
        ("iterations", iterations(estimator) or _DASH),
        *((f"last {_words(name)}", float(values[-1])) for name, values in curves.items()),
    ]
    sections = [Section("Model", cards(key))]
    if notes:
        sections.append(Section("To know", joined(map(paragraph, notes))))
    if curves:
        sections.append(Section("Fit, iteration by iteration", figures(*_plots(curves))))
    sections.append(Section("Facts", table(["what", "value"], _facts(info))))
    settings = [
        (name, _shown(value), "yes" if name in info.hyperparameters else "")
        for name, value in sorted(estimator.get_params(deep=False).items())
    ]
    sections.append(Section("Hyperparameters", _settings(settings)))
    rows = [
        (name, info.types.get(name, ""), "numeric" if name in info.numeric else "categorical")
        for name in info.features[:MAX_FEATURES_SHOWN]
    ]
    rest = len(info.features) - len(rows)
    more = paragraph(f"and {rest} more, in assay-model.json", soft=True) if rest else Markup()
    sections.append(Section("Features", long_table(FEATURES, rows, "features") + more))
    return sections


def _settings(settings: Sequence[tuple[str, str, str]]) -> Markup:
    """The given hyperparameters, and all on demand."""
    headers = ("hyperparameter", "value", "given")
    given = [row for row in settings if row[2]]
    lead = table(headers[:2], [row[:2] for row in given]) if given else Markup()
    return lead + details(f"All {len(settings)} hyperparameters", table(headers, settings))


def _plots(curves: Mapping[str, Sequence[float]]) -> list[Markup]:
    """One plot for losses and one for scores: they share no scale."""
    plots = []
    for unit in ("loss", "score"):
        chosen = {name: values for name, values in curves.items() if name.endswith(unit)}
        if chosen:
            figure, axes = new_figure()
            for name, values in chosen.items():
                axes.plot(range(1, len(values) + 1), values, label=_words(name))
            axes.set_xlabel("iteration")
            axes.set_ylabel(unit)
            legend(axes)
            plots.append(figure_svg(figure, f"{', '.join(map(_words, chosen))} by iteration"))
    return plots


def _metrics(
    info: ModelInfo, estimator: Any, curves: Mapping[str, Sequence[float]]
) -> dict[str, float]:
    metrics: dict[str, float] = {
        "training_rows": info.rows,
        "features": len(info.features),
        "transformed_features": info.transformed,
    }
    count = iterations(estimator)
    if count is not None:
        metrics["iterations"] = count
    metrics.update({f"last_{name}": float(values[-1]) for name, values in curves.items()})
    # JSON has no NaN, and neither the KFP UI nor a chart can show one.
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _words(name: str) -> str:
    return name.replace("_", " ")


def _shown(value: Any) -> str:
    """A hyperparameter for people, without memory addresses."""
    if isinstance(value, str | int | float | bool | None):
        return _DASH if value is None else str(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_shown(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_shown(item) for item in value)
    if hasattr(value, "get_params"):
        return " ".join(repr(value).split())
    return type(value).__name__
