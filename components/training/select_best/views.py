"""The report as a page and as Markdown: all candidates, best first, with their intervals."""

from pathlib import Path
from typing import Any, Final

from markupsafe import Markup

from assay.components.select_best.choice import Candidate, Choice
from assay.reports.figures import Bar, interval_bars
from assay.reports.markdown import markdown_table, markdown_text
from assay.reports.page import Section, joined, long_table, page, paragraph
from assay.text import interval_text, short

HEADERS: Final = ("candidate", "rank", "value", "trained with", "model")
MAX_BARS: Final = 40
MAX_MARKDOWN_ROWS: Final = 50


def write(choice: Choice, folder: Path) -> None:
    """Write `report.html` and `summary.md`."""
    rows = [_row(rank, item) for rank, item in enumerate(choice.ranked, 1)]
    title = f"Best of {len(choice.ranked)} by {choice.metric}"
    note = (
        "Measured on validation rows, which are training rows that no candidate was fitted on. The "
        "best of several looks better here than it is: its test rows say how good it is."
    )
    reason = choice.evidence.reason
    sections = [
        Section("Candidates", _bars(choice) + paragraph(note, soft=True)),
        Section("All of them", long_table(HEADERS, rows, "candidates", align="lrr", stacked=True)),
    ]
    if choice.failed:
        lines = joined(map(paragraph, choice.failed))
        sections.append(Section("Could not be trained", lines))
    (folder / "report.html").write_text(page(title, sections, subtitle=reason), encoding="utf-8")
    (folder / "summary.md").write_text(
        f"# {markdown_text(title)}\n\n{markdown_text(reason)}\n\n"
        + markdown_table(HEADERS, rows[:MAX_MARKDOWN_ROWS])
        + f"\n{note}\n",
        encoding="utf-8",
    )


def _row(rank: int, item: Candidate) -> tuple[Any, ...]:
    bounds = item.interval
    low, high = (bounds.low, bounds.high) if bounds else (None, None)
    return (
        f"candidate {item.place}",
        rank,
        interval_text(item.value, low, high),
        item.words,
        short(item.model),
    )


def _bars(choice: Choice) -> Markup:
    """A bar for each candidate; the chosen one is marked."""
    shown = [item for item in choice.ranked if item.value is not None][:MAX_BARS]
    return interval_bars(
        [
            Bar(
                f"candidate {item.place}",
                item.value,
                item.interval.low if item.interval else None,
                item.interval.high if item.interval else None,
                outcome="chosen" if item is choice.best else "",
            )
            for item in shown
        ],
        note=f"{choice.metric} with its interval.",
    )
