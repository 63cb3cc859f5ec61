"""What people look at: the report, the summary, and the curves that the KFP UI draws."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assay.evidence import EvidenceDocument
from assay.labels import is_labelled
from assay.report import (
    Section,
    figure_svg,
    figure_text,
    figures,
    markdown_table,
    new_figure,
    page,
    paragraph,
    table,
)
from assay.statistics.estimates import tidy
from assay.text import number

if TYPE_CHECKING:
    from assay.components.evaluate.quality import Quality
    from assay.statistics.metrics import Predictions

CURVE_POINTS: Final = 100
HEADERS: Final = ("metric", "value", "low", "high")


def write(found: "Quality", folder: Path) -> None:
    """`report.html`, `summary.md`, and for classes `classification.json`."""
    evidence = found.evidence
    overall = _rows(evidence, labelled=False)
    title = f"Evaluation on {int(evidence.values['test_rows'] or 0):,} held-out rows"
    sections = [Section("Metrics", table(HEADERS, overall, align="lrrr"))]
    if drawn := _figures(found.predictions):
        sections.append(Section("Plots", figures(*drawn)))
    if found.slices:
        sections.append(
            Section(
                "Slices",
                figures(_slice_figure(found))
                + table(HEADERS, _rows(evidence, labelled=True), align="lrrr"),
            )
        )
    sections.append(Section("Behaviour", _behaviour(found)))
    subtitle = f"primary metric {found.primary}: {number(evidence.values[found.primary])}"
    (folder / "report.html").write_text(page(title, sections, subtitle=subtitle))
    (folder / "summary.md").write_text(f"# {title}\n\n" + markdown_table(HEADERS, overall))
    if found.predictions.task != "regression":
        curves = json.dumps(_classification(found.predictions), sort_keys=True)
        (folder / "classification.json").write_text(curves)


def _rows(evidence: EvidenceDocument, *, labelled: bool) -> list[tuple[Any, ...]]:
    rows = []
    for name, value in evidence.values.items():
        if is_labelled(name) is labelled and not name.startswith("safety_violations"):
            bounds = evidence.intervals.get(name)
            low, high = (bounds.low, bounds.high) if bounds else ("", "")
            missing = evidence.notes.get(name, "–")
            rows.append((name, value if value is not None else missing, low, high))
    return rows


def _behaviour(found: "Quality") -> str:
    if not found.checks:
        return paragraph("No behavioural checks were given, so none has passed.")
    return table(
        ("check", "kind", "rows tried", "violated", "counted", "first violation"),
        [(c.name, c.kind, c.tried, c.violated, c.violations, c.example) for c in found.checks],
        align="llrrrl",
    )


def _figures(predictions: "Predictions") -> list[str]:
    if predictions.task == "regression":
        return [_residuals(predictions)]
    drawn = [_confusion_figure(predictions)]
    if predictions.positive_score is not None:
        drawn += [_roc_figure(predictions), _pr_figure(predictions), _reliability(predictions)]
    return drawn


def _classification(predictions: "Predictions") -> dict[str, Any]:
    labels, matrix = _confusion(predictions)
    found: dict[str, Any] = {"confusion_matrix": {"labels": labels, "matrix": matrix.tolist()}}
    if predictions.positive_score is not None:
        fpr, tpr, thresholds = _roc(predictions)
        found["roc"] = {
            "fpr": [tidy(value) for value in fpr],
            "tpr": [tidy(value) for value in tpr],
            # The curve begins above every score, which is no number that JSON has.
            "threshold": [tidy(min(float(value), 1.0)) for value in thresholds],
        }
    return found


def _confusion(predictions: "Predictions") -> tuple[list[str], np.ndarray]:
    from sklearn.metrics import confusion_matrix

    labels = list(predictions.classes)
    return [str(label) for label in labels], confusion_matrix(
        list(predictions.truth), list(predictions.predicted), labels=labels
    )


def _roc(predictions: "Predictions") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from sklearn.metrics import roc_curve

    curve = roc_curve(predictions.truth == predictions.positive, predictions.positive_score)
    kept = np.unique(np.linspace(0, len(curve[0]) - 1, CURVE_POINTS).astype(int))
    return curve[0][kept], curve[1][kept], curve[2][kept]


def _confusion_figure(predictions: "Predictions") -> str:
    labels, matrix = _confusion(predictions)
    figure, axes = new_figure(4.2, 3.6)
    axes.imshow(matrix, cmap="Blues", aspect="auto")
    axes.grid(visible=False)
    ticks = range(len(labels))
    named = [figure_text(label) for label in labels]
    axes.set_xticks(ticks, named, rotation=30, ha="right")
    axes.set_yticks(ticks, named)
    axes.set(xlabel="predicted", ylabel="actual", title="Confusion matrix")
    if len(labels) <= 10:  # noqa: PLR2004 - more would not be readable
        middle = matrix.max() / 2
        for i in ticks:
            for j in ticks:
                colour = "white" if matrix[i, j] > middle else "black"
                axes.text(j, i, str(matrix[i, j]), ha="center", va="center", color=colour)
    return figure_svg(figure)


def _roc_figure(predictions: "Predictions") -> str:
    fpr, tpr, _ = _roc(predictions)
    figure, axes = new_figure(3.8, 3.6)
    axes.plot([0, 1], [0, 1], color="grey", lw=1, ls="--")
    axes.plot(fpr, tpr)
    axes.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC")
    return figure_svg(figure)


def _pr_figure(predictions: "Predictions") -> str:
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(
        predictions.truth == predictions.positive, predictions.positive_score
    )
    kept = np.unique(np.linspace(0, len(precision) - 1, CURVE_POINTS).astype(int))
    figure, axes = new_figure(3.8, 3.6)
    axes.plot(recall[kept], precision[kept])
    axes.set(xlabel="recall", ylabel="precision", title="Precision and recall", ylim=(0, 1.02))
    return figure_svg(figure)


def _reliability(predictions: "Predictions") -> str:
    from sklearn.calibration import calibration_curve

    actual, said = calibration_curve(
        predictions.truth == predictions.positive, predictions.positive_score, n_bins=10
    )
    figure, axes = new_figure(3.8, 3.6)
    axes.plot([0, 1], [0, 1], color="grey", lw=1, ls="--")
    axes.plot(said, actual, marker="o")
    axes.set(xlabel="mean predicted probability", ylabel="share of positives", title="Reliability")
    return figure_svg(figure)


def _residuals(predictions: "Predictions") -> str:
    kept = np.unique(np.linspace(0, len(predictions.truth) - 1, 500).astype(int))
    figure, axes = new_figure(5.5, 3.6)
    said = np.asarray(predictions.predicted, dtype=float)[kept]
    axes.axhline(0, color="grey", lw=1, ls="--")
    axes.scatter(said, np.asarray(predictions.truth, dtype=float)[kept] - said, s=8, alpha=0.6)
    axes.set(xlabel="predicted", ylabel="actual minus predicted", title="Residuals")
    return figure_svg(figure)


def _slice_figure(found: "Quality") -> str:
    """The primary metric of every slice with its interval, beside that of all rows."""
    evidence = found.evidence
    prefix = f"{found.primary}{{"
    names = [n for n, v in evidence.values.items() if n.startswith(prefix) and v is not None]
    figure, axes = new_figure(8, 1.2 + 0.32 * max(len(names), 1))
    for position, name in enumerate(reversed(names)):
        value = evidence.values[name] or 0.0
        bounds = evidence.intervals.get(name)
        if bounds:
            axes.plot([bounds.low, bounds.high], [position, position], color="C0", lw=2)
        axes.plot([value], [position], marker="o", color="C0")
    axes.axvline(evidence.values[found.primary] or 0.0, color="grey", lw=1, ls="--")
    axes.set_yticks(range(len(names)), [figure_text(n[len(prefix) : -1]) for n in reversed(names)])
    axes.set(xlabel=found.primary, title=f"{found.primary} by slice (dashed: all rows)")
    return figure_svg(figure)
