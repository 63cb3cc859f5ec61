"""Figures that more than one report has, drawn in one place; each as SVG."""

from collections.abc import Sequence
from typing import Any

from assay.reports.page import FIGURE_WIDTH, figure_svg, new_figure


def roc(
    false_positive: Any, true_positive: Any, alt: str, *, width: float = FIGURE_WIDTH,
    height: float = 2.4,
) -> str:  # fmt: skip
    """A ROC curve beside the diagonal of a guess.

    Args:
        false_positive: Rates, ascending, in [0, 1].
        true_positive: Rates, as many.
        alt: Text for those who do not see it.
        width: Inches.
        height: Inches.
    """
    figure, axes = new_figure(width, height)
    axes.plot([0, 1], [0, 1], color="grey", lw=1, ls="--")
    axes.plot(false_positive, true_positive)
    axes.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC")
    return figure_svg(figure, alt)


def confusion(
    labels: Sequence[str], matrix: Any, alt: str, *, rotation: int, align: str = "center",
    numbers: bool = True, width: float = FIGURE_WIDTH, height: float = 2.4,
) -> str:  # fmt: skip
    """A confusion matrix.

    Args:
        labels: Class names that matplotlib may draw (`figure_text`); empty names no class.
        matrix: Counts, actual by predicted class.
        alt: Text for those who do not see it.
        rotation: Of the labels of predicted classes, in degrees.
        align: Of these labels: `center`, or `right` for their ends at the ticks.
        numbers: Whether each cell shows its count.
        width: Inches.
        height: Inches.
    """
    figure, axes = new_figure(width, height)
    axes.imshow(matrix, cmap="Blues", aspect="auto")
    axes.grid(visible=False)
    ticks = range(len(labels))
    axes.set_xticks(ticks, labels, rotation=rotation, ha=align)
    axes.set_yticks(ticks, labels)
    axes.set(xlabel="predicted", ylabel="actual", title="Confusion matrix")
    if numbers:
        middle = max(max(row) for row in matrix) / 2
        for i in ticks:
            for j in ticks:
                colour = "white" if matrix[i][j] > middle else "black"
                axes.text(j, i, str(matrix[i][j]), ha="center", va="center", color=colour)
    return figure_svg(figure, alt)
