"""What people look at: all candidates, best first, with their intervals."""

from pathlib import Path
from typing import Any, Final

from assay.components.select_best.choice import Candidate, Choice
from assay.report import (
    ACCENT,
    SOFT,
    Section,
    figure_svg,
    figures,
    markdown_table,
    markdown_text,
    new_figure,
    page,
    paragraph,
    table,
)
from assay.text import number

HEADERS: Final = ("rank", "candidate", "value", "low", "high", "trained with", "model")
MAX_BARS: Final = 40


def write(found: Choice, folder: Path) -> None:
    """`report.html` and `summary.md`."""
    rows = [_row(rank, item) for rank, item in enumerate(found.ranked, 1)]
    title = f"Best of {len(found.ranked)} by {found.metric}"
    note = (
        "Measured on validation rows, which are training rows that no candidate was fitted on. The "
        "best of several looks better here than it is: its test rows say how good it is."
    )
    reason = found.evidence.reason
    sections = [
        Section("Candidates", figures(_bars(found)) + paragraph(note, soft=True)),
        Section("All of them", table(HEADERS, rows, align="rrrrrll")),
    ]
    if found.failed:
        lines = "".join(paragraph(line) for line in found.failed)
        sections.append(Section("Could not be trained", lines))
    (folder / "report.html").write_text(page(title, sections, subtitle=reason), encoding="utf-8")
    (folder / "summary.md").write_text(
        f"# {markdown_text(title)}\n\n{markdown_text(reason)}\n\n"
        + markdown_table(HEADERS, rows)
        + f"\n{note}\n",
        encoding="utf-8",
    )


def _row(rank: int, item: Candidate) -> tuple[Any, ...]:
    bounds = item.interval
    low, high = (bounds.low, bounds.high) if bounds else (None, None)
    return (
        rank,
        item.place,
        number(item.value),
        number(low),
        number(high),
        item.words,
        item.model,
    )


def _bars(found: Choice) -> str:
    """A bar for each candidate, the chosen one in colour, with its interval."""
    shown = [item for item in found.ranked if item.value is not None][:MAX_BARS]
    figure, axes = new_figure(6.5, 1.2 + 0.34 * len(shown))
    for position, item in enumerate(reversed(shown)):
        chosen = item is found.best
        axes.barh(position, item.value, color=ACCENT if chosen else SOFT, alpha=0.75, height=0.6)
        if item.interval is not None:
            bounds = [item.interval.low, item.interval.high]
            axes.plot(bounds, [position, position], color="C1", lw=2)
    axes.set_yticks(range(len(shown)), [f"candidate {item.place}" for item in reversed(shown)])
    axes.set(xlabel=f"{found.metric} (bar: value, line: interval)")
    return figure_svg(figure, f"{found.metric} of each candidate with its interval")
