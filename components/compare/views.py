"""What people look at: the difference and its interval, for all rows and per slice."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.report import (
    Section,
    figure_svg,
    figure_text,
    figures,
    markdown_table,
    markdown_text,
    new_figure,
    page,
    paragraph,
    table,
)
from assay.text import number

if TYPE_CHECKING:
    from assay.components.compare.difference import Difference, Settings

HEADERS = ("rows", "regression", "low", "high", "corrected p", "verdict")


def write(found: "Difference", settings: "Settings", folder: Path) -> None:
    """`report.html` and `summary.md`."""
    evidence = found.evidence
    title = "Comparison with production"
    if not found.primary:
        text = "No model is in production, so there is nothing to compare with."
        (folder / "report.html").write_text(page(title, [Section("Outcome", paragraph(text))]))
        (folder / "summary.md").write_text(f"# {title}\n\n{text}\n")
        return
    if evidence.values["regression_delta"] is None:
        text = evidence.reason or "The difference is not defined on these rows."
        shown = markdown_table(("what", "value"), _counts(found))
        sections = [
            Section("Why nothing can be told", paragraph(text)),
            Section("Rows", table(("what", "value"), _counts(found))),
        ]
        (folder / "report.html").write_text(page(title, sections, verdict=evidence.verdict))
        (folder / "summary.md").write_text(f"# {title}: {evidence.verdict}\n\n{text}\n\n{shown}")
        return
    rows = _rows(found)
    facts = _facts(found, settings)
    sections = [
        Section("Regression of the candidate", figures(_forest(found, settings))),
        Section("All rows and slices", table(("slice", *HEADERS), rows, align="lrrrrrl")),
        Section("How to read it", table(("what", "value"), facts)),
        Section(
            "Both models", table(("metric", "candidate", "production"), _both(found), align="lrr")
        ),
    ]
    (folder / "report.html").write_text(
        page(title, sections, verdict=evidence.verdict, subtitle=evidence.reason)
    )
    (folder / "summary.md").write_text(
        f"# {title}: {evidence.verdict}\n\n{markdown_text(evidence.reason)}\n\n"
        + markdown_table(("slice", *HEADERS), rows)
        + "\n"
        + markdown_table(("what", "value"), facts)
    )


def _rows(found: "Difference") -> list[tuple[Any, ...]]:
    evidence = found.evidence
    bounds = evidence.intervals.get("regression_delta")
    rows: list[tuple[Any, ...]] = [
        (
            "all",
            "",
            evidence.values["regression_delta"],
            bounds.low if bounds else "",
            bounds.high if bounds else "",
            "",
            evidence.verdict,
        )
    ]
    rows += [
        (
            part.name,
            part.rows,
            part.delta if part.delta is not None else "–",
            part.bounds.low if part.bounds else "",
            part.bounds.high if part.bounds else "",
            part.p_value if part.p_value is not None else "",
            part.verdict,
        )
        for part in found.slices
    ]
    return rows


def _counts(found: "Difference") -> list[tuple[str, str]]:
    values = found.evidence.values
    return [
        (
            "test rows that neither model was trained on, compared",
            f"{values['compared_rows']:,.0f}",
        ),
        ("test rows that a model was trained on, left out", f"{values['left_out_rows']:,.0f}"),
    ]


def _facts(found: "Difference", settings: "Settings") -> list[tuple[str, str]]:
    values = found.evidence.values
    facts = [
        ("regression", f"how much worse the candidate's {found.primary} is; below 0 it is better"),
        ("margin", f"{settings.margin:g}: a larger regression is not accepted"),
        ("interval", f"of the paired difference, at {settings.confidence:g}"),
        (
            "smallest difference this test set could have shown",
            number(values.get("minimum_detectable_difference")),
        ),
    ]
    facts += _counts(found)
    if "mcnemar_p_value" in values:
        facts.append(
            ("McNemar's p-value (both right equally often)", number(values["mcnemar_p_value"]))
        )
    return facts


def _both(found: "Difference") -> list[tuple[Any, ...]]:
    values = found.evidence.values
    names = [n.removeprefix("candidate_") for n in values if n.startswith("candidate_")]
    return [(n, number(values[f"candidate_{n}"]), number(values[f"production_{n}"])) for n in names]


def _forest(found: "Difference", settings: "Settings") -> str:
    evidence = found.evidence
    lines = [
        (
            "all rows",
            evidence.values["regression_delta"],
            evidence.intervals.get("regression_delta"),
        )
    ]
    lines += [(part.name.strip("{}"), part.delta, part.bounds) for part in found.slices]
    drawn = [line for line in lines if line[1] is not None]
    figure, axes = new_figure(8, 1.4 + 0.34 * len(drawn))
    for position, (_, delta, bounds) in enumerate(reversed(drawn)):
        if bounds:
            axes.plot([bounds.low, bounds.high], [position, position], color="C0", lw=2)
        axes.plot([delta], [position], marker="o", color="C0")
    axes.axvline(0, color="grey", lw=1)
    axes.axvline(settings.margin, color="C3", lw=1.2, ls="--")
    axes.set_yticks(range(len(drawn)), [figure_text(name) for name, _, _ in reversed(drawn)])
    axes.set(xlabel=f"regression of {found.primary} (dashed: margin)")
    return figure_svg(figure)
