"""The report as a page and as Markdown: the difference with its interval, also per slice."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from assay.reports.figures import Bar, interval_bars
from assay.reports.markdown import markdown_table, markdown_text
from assay.reports.page import Section, long_table, page, table
from assay.text import interval_text, number, regression_text, short

if TYPE_CHECKING:
    from assay.components.compare.difference import Difference
    from assay.components.compare.settings import Settings

TITLE: Final = "Comparison with production"
NO_PRODUCTION: Final = "No model is in production, so there is nothing to compare with."
HEADERS: Final = ("slice", "rows", "worse by", "corrected p", "verdict")
MAX_BARS: Final = 30
MAX_MARKDOWN_ROWS: Final = 50


def write(difference: "Difference", settings: "Settings", folder: Path) -> None:
    """Write `report.html` and `summary.md`.

    Args:
        difference: What the comparison measured.
        settings: What it was asked for.
        folder: Where the files go.
    """
    evidence = difference.evidence
    if not difference.primary:
        (folder / "report.html").write_text(
            page(TITLE, [], subtitle=NO_PRODUCTION), encoding="utf-8"
        )
        (folder / "summary.md").write_text(f"# {TITLE}\n\n{NO_PRODUCTION}\n", encoding="utf-8")
        return
    verdict = str(evidence.verdict)
    names = (short(evidence.subjects["model"]), short(evidence.subjects["production"]))
    finding = _finding(difference, settings)
    if evidence.values["regression_delta"] is None:
        sections = [Section("Rows", table(("what", "rows"), _counts(difference), align="lr"))]
        shown = markdown_table(("what", "rows"), _counts(difference))
    else:
        rows, facts = _rows(difference), _facts(difference, settings)
        sections = [
            Section("How much worse the candidate is", _bars(difference, settings)),
            Section("Both models", _both(difference)),
            Section(
                "All rows and slices",
                long_table(HEADERS, rows, "slices", align="lrrrl", stacked=True),
            ),
            Section("How to read it", table(("what", "value"), facts)),
        ]
        shown = markdown_table(HEADERS, rows[:MAX_MARKDOWN_ROWS])
        shown += "\n" + markdown_table(("what", "value"), facts)
    (folder / "report.html").write_text(
        page(
            TITLE,
            sections,
            verdict=verdict,
            subtitle=f"Candidate {names[0]}, production {names[1]}.",
            reasons=[finding],
            preview=f"Assay comparison of {names[0]} with production: {verdict}. {finding}",
        ),
        encoding="utf-8",
    )
    (folder / "summary.md").write_text(
        f"# {TITLE}: {verdict}\n\n{markdown_text(finding)}\n\n{shown}", encoding="utf-8"
    )


def _finding(difference: "Difference", settings: "Settings") -> str:
    evidence = difference.evidence
    delta, bounds = evidence.values["regression_delta"], evidence.intervals.get("regression_delta")
    if delta is None or (evidence.reason and evidence.verdict != "pass"):
        return evidence.reason or "The difference is not defined on these rows."
    own = None if bounds is None else (bounds.low, bounds.high, bounds.confidence)
    text = regression_text(difference.primary, delta, own, "<", settings.margin)
    return "; ".join(filter(None, [text, evidence.reason]))


def _bars(difference: "Difference", settings: "Settings") -> Markup:
    """A bar for all rows, and for the slices that lose most."""
    evidence = difference.evidence
    bounds = evidence.intervals.get("regression_delta")
    whole = ("all rows", evidence.values["regression_delta"], bounds, str(evidence.verdict))
    parts = [
        (part.name.strip("{}"), part.delta, part.bounds, part.verdict)
        for part in difference.slices
        if part.delta is not None
    ]
    shown = sorted(parts, key=lambda part: -(part[1] or 0.0))[:MAX_BARS]
    return interval_bars(
        [
            Bar(
                name,
                delta,
                bounds.low if bounds else None,
                bounds.high if bounds else None,
                settings.margin,
                "<",
                verdict,
            )
            for name, delta, bounds, verdict in (whole, *shown)
        ],
        mark=0.0,
        note=(
            f"Difference in {difference.primary}; left of the dashed line the candidate is better."
        ),
    )


def _rows(difference: "Difference") -> list[tuple[Any, ...]]:
    evidence = difference.evidence
    bounds = evidence.intervals.get("regression_delta")
    rows: list[tuple[Any, ...]] = [
        (
            "all rows",
            f"{evidence.values['compared_rows']:,.0f}",
            interval_text(
                evidence.values["regression_delta"],
                bounds.low if bounds else None,
                bounds.high if bounds else None,
            ),
            "",
            evidence.verdict,
        )
    ]
    rows += [
        (
            part.name.strip("{}"),
            f"{part.rows:,}",
            interval_text(
                part.delta,
                part.bounds.low if part.bounds else None,
                part.bounds.high if part.bounds else None,
            ),
            "" if part.p_value is None else number(part.p_value),
            part.verdict,
        )
        for part in difference.slices
    ]
    return rows


def _counts(difference: "Difference") -> list[tuple[str, str]]:
    values = difference.evidence.values
    texts = {
        "compared_rows": "test rows that neither model was trained on, compared",
        "left_out_rows": "test rows that a model was trained on, left out",
    }
    counts = [(text, values[name]) for name, text in texts.items()]
    return [(text, f"{count:,.0f}") for text, count in counts if count is not None]


def _facts(difference: "Difference", settings: "Settings") -> list[tuple[str, str]]:
    values = difference.evidence.values
    facts = [
        (
            "worse by",
            f"how much worse the candidate's {difference.primary} is; below 0 it is better",
        ),
        ("margin", f"{settings.margin:g}: a larger loss is not accepted"),
        ("interval", f"of the paired difference, at {settings.confidence:g}"),
        (
            "smallest difference this test set could have shown",
            number(values.get("minimum_detectable_difference")),
        ),
    ]
    facts += _counts(difference)
    if "mcnemar_p_value" in values:
        facts.append(
            ("McNemar's p-value (both right equally often)", number(values["mcnemar_p_value"]))
        )
    return facts


def _both(difference: "Difference") -> Markup:
    values = difference.evidence.values
    names = [n.removeprefix("candidate_") for n in values if n.startswith("candidate_")]
    rows = [(n, number(values[f"candidate_{n}"]), number(values[f"production_{n}"])) for n in names]
    return table(("metric", "candidate", "production"), rows, align="lrr")
