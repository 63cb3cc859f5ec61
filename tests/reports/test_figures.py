"""Figures of data whose texts mean something to the library that draws them."""

from xml.etree import ElementTree as ET

import pytest

from assay.evidence.format import EvidenceDocument, Interval
from assay.evidence.labels import label
from assay.releases.evaluation import Evidence, _figures
from assay.reports.figures import figure_svg, figure_text, new_figure

ODD = ["$x_$y", "$", "a$b$c", r"\$z", "_x^2", "x\x1b[31my", "中", "\u202eabc", "%s{}", "<b>&amp;"]


@pytest.mark.parametrize("text", ODD)
def test_texts_of_users_are_drawn_as_they_are(text: str) -> None:
    """A dollar sign began a formula, and half a formula ended the run in a traceback."""
    figure, axes = new_figure()
    axes.bar([0], [1], label=figure_text(f"n {text}"))
    axes.set_xticks([0], [figure_text(text)])
    axes.set(title=figure_text(text), xlabel=figure_text(text))
    axes.text(0, 0, figure_text(text))
    axes.legend()
    svg = figure_svg(figure, text if text.isprintable() else "")
    root = ET.fromstring(svg)  # noqa: S314 - our own
    drawn = ["".join(node.itertext()).strip() for node in root.iter() if node.tag.endswith("text")]
    assert drawn.count(figure_text(text)) >= 4
    assert "\x1b" not in svg
    assert "\u202e" not in svg or text.isprintable()


def test_promotion_figures_of_odd_categories_are_drawn() -> None:
    names = [label("accuracy", **{"$g_$h": text}) for text in ODD]
    values = {"accuracy": 0.8, **dict.fromkeys(names, 0.7)}
    document = EvidenceDocument(
        {}, values, {name: Interval(0.6, 0.9, 0.95) for name in values}, verdict="pass"
    )
    deltas = {f"regression_delta{label('', c=text)}": 0.1 for text in ODD}
    comparison = EvidenceDocument(
        {}, deltas, {name: Interval(0.0, 0.2, 0.95) for name in deltas}, verdict="pass"
    )
    matrix = [[1] * len(ODD)] * len(ODD)
    curves = {"confusion_matrix": {"labels": ODD, "matrix": matrix}}
    drawn = _figures(Evidence(document, comparison, None, None, curves))
    assert len(drawn) == 4
    for svg in drawn.values():
        ET.fromstring(svg)  # noqa: S314 - our own
    assert "$x_$y" in "".join(drawn.values())
