"""HTML pages for people: self-contained, escaped, and the same bytes every time.

Pages hold no script and load nothing, because the KFP UI shows them in a sandbox and an auditor
opens them years later. They are laid out for the 300 pixels of that UI's narrowest frame, and are
light in every frame, because the UI around them is.

The functions take texts of any origin and give `Markup`: HTML that is safe to put into a page. Add
parts with `+` or `joined`; text that is added to `Markup` is escaped.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from assay.reports.colours import LIGHT, OUTCOMES
from assay.reports.templates import part, whole
from assay.text import one_line, value_text

MAX_OPEN_ROWS: Final = 12
"""Of a table that is not closed at first."""
COMMENT_BYTES: Final = 255
"""What the KFP UI shows of a page before it is opened."""
_MAX_CARD: Final = 11
"""Characters of a card's number in large type."""
_MAX_WORD: Final = 24
"""Longer ones, such as digests, may break anywhere; others only between words."""


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of a page."""

    title: str
    html: Markup


def page(
    title: str,
    sections: Sequence[Section],
    *,
    verdict: str | None = None,
    subtitle: str = "",
    reasons: Sequence[str] = (),
    preview: str = "",
) -> str:
    """A whole HTML document.

    Args:
        title: Heading and document title.
        sections: The parts, in order.
        verdict: `pass`, `block`, `rejected` and the like, shown as a badge; None shows none.
        subtitle: A line of text under the heading.
        reasons: What led to the verdict, one cause each, under the heading.
        preview: What the file begins with, see `comment`; by default all of the above.

    Returns:
        The text of the file.
    """
    lead = f"{title}: {verdict}" if verdict else title
    texts = (f"Assay: {lead}", subtitle, "; ".join(reasons))
    return whole(
        "page.html",
        comment=comment(preview or ". ".join(text for text in texts if text)),
        title=title,
        verdict=verdict,
        subtitle=subtitle,
        reasons=reasons,
        sections=sections,
        colours=LIGHT,
    )


def comment(text: str) -> Markup:
    """Text of unknown origin as an HTML comment of 255 bytes and a line end.

    Before a doctype it leaves a page in standards mode. It is filled up with blanks, so that a
    preview of that size shows nothing of the page.
    """
    shown = one_line(text).replace("<", "\u2039").replace(">", "\u203a")
    shown = re.sub("-{2,}", "\u2013", shown)
    room = COMMENT_BYTES - len("<!--  -->")
    data = shown.encode()
    if len(data) > room:
        data = data[: room - len("\u2026".encode())].decode(errors="ignore").encode()
        data += "\u2026".encode()
    filled = data.decode() + " " * (room - len(data))
    # A comment knows no entities, and ends at the first "-->" or "--!>", which are gone.
    return part("comment", Markup(filled))  # noqa: S704 - see above


def paragraph(text: str, *, soft: bool = False) -> Markup:
    """Text as a paragraph; `soft` for what a reader may skip."""
    return part("paragraph", text, soft=soft)


def heading(text: str) -> Markup:
    """A heading inside a section."""
    return part("heading", text)


def joined(parts: Iterable[Markup]) -> Markup:
    """Parts of a page one after the other."""
    return Markup().join(parts)


def details(summary: str, content: Markup) -> Markup:
    """A part of a page that opens on demand, under a summary; works without scripts."""
    return part("details", summary, content)


def figures(*drawings: Markup) -> Markup:
    """Figures side by side where there is room."""
    return part("figures", drawings)


@dataclass(frozen=True, slots=True)
class _Card:
    label: str
    value: str
    small: str

    @property
    def is_long(self) -> bool:
        return len(self.value) > _MAX_CARD


def cards(items: Iterable[tuple[str, Any] | tuple[str, Any, str]]) -> Markup:
    """Key numbers side by side: (label, value) or (label, value, small print)."""

    def card(label: str, value: Any, small: str = "") -> _Card:
        return _Card(label, value_text(value), small)

    return part("cards", [card(*item) for item in items])


@dataclass(frozen=True, slots=True)
class _Header:
    text: str
    is_right: bool


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    is_right: bool

    @property
    def is_outcome(self) -> bool:
        return self.text in OUTCOMES

    @property
    def classes(self) -> str:
        is_short = not any(len(word) > _MAX_WORD for word in self.text.split())
        names = ["right"] * self.is_right + ["short"] * (is_short and not self.is_outcome)
        return " ".join(names)


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    align: str = "",
    stacked: bool = False,
) -> Markup:
    """A table.

    Args:
        headers: Column titles.
        rows: Cells; an outcome word (`pass`, `fail`, ...) is coloured.
        align: One letter per column, `l` or `r`; left by default.
        stacked: In a narrow frame each row becomes a block, led by its first cell, and the other
            cells stand under each other beside their titles; empty ones are left out. For tables
            of more than three columns, or of long texts.

    Returns:
        HTML.

    Raises:
        ValueError: A row has more or fewer cells than there are headers.
    """
    sides = [letter == "r" for letter in align.ljust(len(headers), "l")]
    shown = [_Header(text, right) for text, right in zip(headers, sides, strict=True)]
    cells = [
        [
            (header, _Cell(value_text(value), header.is_right))
            for header, value in zip(shown, row, strict=True)
        ]
        for row in rows
    ]
    return part("table", shown, cells, stacked)


def long_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[Any]],
    what: str,
    *,
    align: str = "",
    stacked: bool = False,
) -> Markup:
    """A table as `table` makes it, that opens on demand when it is longer than a screen.

    Args:
        headers: Column titles.
        rows: Cells.
        what: Of the rows, in the plural, such as `rules`.
        align: As for `table`.
        stacked: As for `table`.

    Returns:
        HTML.

    Raises:
        ValueError: A row has more or fewer cells than there are headers.
    """
    made = table(headers, rows, align=align, stacked=stacked)
    return made if len(rows) <= MAX_OPEN_ROWS else details(f"All {len(rows):,} {what}", made)
