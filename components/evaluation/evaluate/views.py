"""The report as a page and as Markdown, and the curves that the KFP UI draws."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from markupsafe import Markup

from assay.evidence.labels import is_labelled
from assay.evidence.numbers import tidy
from assay.models.statistics.metrics import LOWER_IS_BETTER
from assay.reports import figures as drawings
from assay.reports.figures import Bar, figure_svg, figure_text, interval_bars, new_figure
from assay.reports.markdown import markdown_table, markdown_text
from assay.reports.page import Section, cards, figures, long_table, page, paragraph, table
from assay.text import interval_text, number, short

if TYPE_CHECKING:
    from assay.components.evaluate.quality import Quality
    from assay.evidence.format import EvidenceDocument
    from assay.models.statistics.metrics import Predictions

CURVE_POINTS: Final = 100
HEADERS: Final = ("metric", "value and interval")
MAX_BARS: Final = 30
"""Slices in the chart: the worst ones."""
MAX_SLICE_VALUES: Final = 5_000
"""Values of slices in the table: 0.7 MB."""
MAX_NUMBERED: Final = 5
"""Classes of a confusion matrix whose cells have room for a number."""
MAX_CLASSES: Final = 15
"""Classes whose names have room at a confusion matrix."""
MAX_MATRIX: Final = 100
"""Classes of a confusion matrix that `classification.json` has: nothing draws a larger one."""
MAX_CONFUSIONS: Final = 10
MAX_LABEL: Final = 12
"""Characters of a class's name in a figure."""


def write(quality: "Quality", target: str, folder: Path) -> None:
    """Write `report.html`, `summary.md`, and for classes `classification.json`.

    Args:
        quality: What the evaluation measured.
        target: The column that the model predicts.
        folder: Where the files go.
    """
    evidence = quality.evidence
    overall = _rows(evidence, labelled=False)
    title = f"Evaluation of {target}"
    model = short(evidence.subjects["model"])
    headline = f"{quality.primary} {_interval(evidence, quality.primary)}"
    rows = f"{evidence.values['test_rows'] or 0:,.0f} held-out rows"
    sections = [Section("Metrics", _metrics(quality))]
    if drawn := _figures(quality.predictions):
        sections.append(Section("Plots", figures(*drawn) + _confusions(quality.predictions)))
    if quality.slices:
        sliced = _rows(evidence, labelled=True)
        shown = long_table(HEADERS, sliced[:MAX_SLICE_VALUES], "values of slices")
        if rest := len(sliced[MAX_SLICE_VALUES:]):
            shown += paragraph(f"and {rest:,} more, in evidence.json", soft=True)
        sections.append(Section("Slices", _slice_bars(quality) + shown))
    sections.append(Section("Behaviour", _behaviour(quality)))
    sections.append(Section("All metrics", table(HEADERS, overall)))
    (folder / "report.html").write_text(
        page(
            title,
            sections,
            subtitle=f"{headline} on {rows}. Model {model}.",
            preview=f"Assay evaluation of {target} ({model}): {headline} on {rows}",
        ),
        encoding="utf-8",
    )
    (folder / "summary.md").write_text(
        f"# {markdown_text(title)}\n\n{markdown_text(f'{headline} on {rows}')}\n\n"
        + markdown_table(HEADERS, overall),
        encoding="utf-8",
    )
    if quality.predictions.task != "regression":
        curves = json.dumps(_classification(quality.predictions), sort_keys=True)
        (folder / "classification.json").write_text(curves, encoding="utf-8")


def _interval(evidence: "EvidenceDocument", name: str) -> str:
    bounds = evidence.intervals.get(name)
    low, high = (bounds.low, bounds.high) if bounds else (None, None)
    return interval_text(evidence.values[name], low, high)


def _rows(evidence: "EvidenceDocument", *, labelled: bool) -> list[tuple[str, str]]:
    return [
        (name, _interval(evidence, name) if value is not None else evidence.notes.get(name, "–"))
        for name, value in evidence.values.items()
        if is_labelled(name) is labelled and not name.startswith("safety_violations")
    ]


def _metrics(quality: "Quality") -> Markup:
    """The primary metric as a card, and those that share its scale as bars."""
    evidence = quality.evidence
    bounds = evidence.intervals.get(quality.primary)
    between = ""
    if bounds is not None:
        level = f"at {100 * bounds.confidence:.4g} %"
        between = f"{number(bounds.low)} to {number(bounds.high)} {level}"
    key: list[tuple[str, Any, str]] = [
        (quality.primary, evidence.values[quality.primary], between),
        ("held-out rows", f"{evidence.values['test_rows'] or 0:,.0f}", ""),
    ]
    if quality.checks:
        violated = sum(check.violated for check in quality.checks)
        key.append(("violations of checks", f"{violated:,}", f"{len(quality.checks)} checks"))
    bars = [
        _bar(name, name, evidence)
        for name in sorted(evidence.intervals, key=lambda name: name != quality.primary)
        if not is_labelled(name)
        and name not in LOWER_IS_BETTER
        and evidence.values.get(name) is not None
    ]
    if quality.predictions.task == "regression":
        bars = []  # each metric has a unit of its own
    return cards(key) + (interval_bars(bars) if bars else Markup())


def _bar(label: str, name: str, evidence: "EvidenceDocument") -> Bar:
    bounds = evidence.intervals.get(name)
    low, high = (bounds.low, bounds.high) if bounds else (None, None)
    return Bar(label, evidence.values[name], low, high)


def _behaviour(quality: "Quality") -> Markup:
    if not quality.checks:
        return paragraph("No behavioural checks were given, so none has passed.")
    rows = [
        (
            c.name,
            c.kind,
            f"{c.violated:,} of {c.tried:,}",
            "yes" if c.violations else "no",
            c.example,
        )
        for c in quality.checks
    ]
    headers = ("check", "kind", "violated", "counts", "first violation")
    return long_table(headers, rows, "checks", stacked=True)


def _figures(predictions: "Predictions") -> list[Markup]:
    if predictions.task == "regression":
        return [_residuals(predictions)]
    drawn = [_confusion_figure(predictions)]
    if predictions.positive_score is not None:
        drawn += [_roc_figure(predictions), _pr_figure(predictions), _reliability(predictions)]
    return drawn


def _classification(predictions: "Predictions") -> dict[str, Any]:
    labels, matrix = _confusion(predictions)
    curves: dict[str, Any] = {}
    if len(labels) <= MAX_MATRIX:
        curves["confusion_matrix"] = {"labels": labels, "matrix": matrix.tolist()}
    if predictions.positive_score is not None:
        fpr, tpr, thresholds = _roc(predictions)
        curves["roc"] = {
            "fpr": [tidy(value) for value in fpr],
            "tpr": [tidy(value) for value in tpr],
            # The curve begins above every score, which is no number that JSON has.
            "threshold": [tidy(min(float(value), 1.0)) for value in thresholds],
        }
    return curves


def _confusion(predictions: "Predictions") -> tuple[list[str], np.ndarray]:
    return [str(label) for label in predictions.classes], predictions.confusion.astype(int)


def _roc(predictions: "Predictions") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from sklearn.metrics import roc_curve

    curve = roc_curve(predictions.actual_positive, predictions.score)
    kept = np.unique(np.linspace(0, len(curve[0]) - 1, CURVE_POINTS).astype(int))
    return curve[0][kept], curve[1][kept], curve[2][kept]


def _confusion_figure(predictions: "Predictions") -> Markup:
    labels, matrix = _confusion(predictions)
    named = len(labels) <= MAX_CLASSES
    numbers = len(labels) <= MAX_NUMBERED
    return drawings.confusion(
        [_label(label) for label in labels] if named else [],
        matrix,
        "Confusion matrix: actual by predicted class",
        rotation=0 if len(labels) <= 2 else 45,  # noqa: PLR2004
        numbers=numbers,
        height=2.4 if named and numbers else 2.8,
    )


def _label(name: str) -> str:
    return figure_text(name if len(name) <= MAX_LABEL else f"{name[: MAX_LABEL - 1]}…")


def _confusions(predictions: "Predictions") -> Markup:
    """The most frequent mistakes, where a matrix of many classes is too small to show them."""
    if predictions.task == "regression" or len(predictions.classes) <= MAX_NUMBERED:
        return Markup()
    labels, matrix = _confusion(predictions)
    np.fill_diagonal(matrix, 0)
    worst = np.argsort(-matrix, axis=None, kind="stable")[:MAX_CONFUSIONS]
    rows = [
        (labels[i], labels[j], f"{matrix[i, j]:,}")
        for i, j in zip(*np.unravel_index(worst, matrix.shape), strict=True)
        if matrix[i, j]
    ]
    return paragraph("Most frequent mistakes:") + table(
        ("actual", "predicted", "rows"), rows, align="llr"
    )


def _roc_figure(predictions: "Predictions") -> Markup:
    fpr, tpr, _ = _roc(predictions)
    return drawings.roc(fpr, tpr, "ROC: true by false positive rate")


def _pr_figure(predictions: "Predictions") -> Markup:
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(predictions.actual_positive, predictions.score)
    kept = np.unique(np.linspace(0, len(precision) - 1, CURVE_POINTS).astype(int))
    figure, axes = new_figure()
    axes.plot(recall[kept], precision[kept])
    axes.set(xlabel="recall", ylabel="precision", title="Precision and recall", ylim=(0, 1.02))
    return figure_svg(figure, "Precision by recall")


def _reliability(predictions: "Predictions") -> Markup:
    from sklearn.calibration import calibration_curve

    actual, predicted = calibration_curve(predictions.actual_positive, predictions.score, n_bins=10)
    figure, axes = new_figure()
    axes.plot([0, 1], [0, 1], color="grey", lw=1, ls="--")
    axes.plot(predicted, actual, marker="o")
    axes.set(xlabel="predicted probability", ylabel="share of positives", title="Reliability")
    return figure_svg(figure, "Share of positives by predicted probability")


def _residuals(predictions: "Predictions") -> Markup:
    kept = np.unique(np.linspace(0, len(predictions.truth) - 1, 500).astype(int))
    figure, axes = new_figure()
    predicted = np.asarray(predictions.predicted, dtype=float)[kept]
    axes.axhline(0, color="grey", lw=1, ls="--")
    actual = np.asarray(predictions.truth, dtype=float)[kept]
    axes.scatter(predicted, actual - predicted, s=8, alpha=0.6)
    axes.set(xlabel="predicted", ylabel="actual minus predicted", title="Residuals")
    return figure_svg(figure, "Residuals by prediction")


def _slice_bars(quality: "Quality") -> Markup:
    """The primary metric of the worst slices with its interval, beside that of all rows."""
    evidence = quality.evidence
    prefix = f"{quality.primary}{{"
    worst = 1 if quality.primary in LOWER_IS_BETTER else -1
    values = [(n, v) for n, v in evidence.values.items() if n.startswith(prefix) and v is not None]
    shown = sorted(values, key=lambda pair: -worst * pair[1])[:MAX_BARS]
    if not shown:
        return Markup()
    note = f"{quality.primary}, the worst slices first; dashed: all rows."
    bars = [_bar(name[len(prefix) : -1], name, evidence) for name, _ in shown]
    return interval_bars(bars, mark=evidence.values[quality.primary], note=note)
