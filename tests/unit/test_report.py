"""Reports: what a table or a person wrote is shown as it is, and acts on nobody."""

import re
from pathlib import Path

import pyarrow as pa
import pytest
from markdown_it import MarkdownIt

from assay import dataset
from assay.errors import DataError
from assay.report import Section, markdown_table, markdown_text, page, paragraph, table

NASTY = [
    "[click](javascript:alert(1))",
    "![x](https://evil.example/p.png)",
    "<img src=x onerror=alert(1)>",
    "<https://evil.example>",
    "https://evil.example/a",
    "www.evil.example",
    "@everyone and @org/team",
    "closes #12",
    "a | b || c",
    "line\none\r\ntwo",
    "`code` **bold** _it_ ~~gone~~",
    "\\[x](y)",
    "# heading",
    "- item",
    "1. item",
    "---",
    "/merge",
    "\u202etxt.exe",
    "\x1b[31mred",
    "[ref]: https://evil.example",
    "a&lt;b",
    "$\\href{https://evil.example}{x}$",
]
PLAIN = ["native_country", "hours-per-week", "-5.25", "1.5", "<=50K", "Köln", "a+b", "50%", "x=1"]


def rendered(text: str) -> str:
    """Markdown as HTML, by a renderer that lets HTML pass and finds bare addresses."""
    return str(
        MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)
    )


@pytest.mark.parametrize("text", [*NASTY, *PLAIN], ids=ascii)
@pytest.mark.parametrize("place", ["{}", "- {}", "# {}", "| a |\n| --- |\n| {} |"])
def test_markdown_shows_text_and_nothing_else(text: str, place: str) -> None:
    html = rendered(place.format(markdown_text(text)))
    for tag in re.findall(r"</?(\w+)", html):
        assert tag in {"p", "ul", "li", "h1", "table", "thead", "tbody", "tr", "th", "td"}, html
    assert html.count("<td>") <= 1
    assert html.count("<p>") + html.count("<li>") + html.count("<h1>") <= 2
    assert not re.search(r"[@#]\w|https?://|\bwww\.", html.replace("&#", ""))
    assert html.replace("\n", "").replace("\u200b", "").isprintable()


@pytest.mark.parametrize("text", PLAIN)
def test_plain_text_looks_plain_in_the_source_too(text: str) -> None:
    assert markdown_text(text) == text.replace("<", "&lt;").replace(">", "&gt;")


def test_a_table_of_nasty_cells_keeps_its_shape() -> None:
    html = rendered(markdown_table(["a", NASTY[8]], [(text, text) for text in NASTY]))
    assert html.count("<tr>") == len(NASTY) + 1
    assert html.count("<td>") == 2 * len(NASTY)


@pytest.mark.parametrize("text", NASTY, ids=ascii)
def test_html_shows_text_and_nothing_else(text: str) -> None:
    empty = page("t", [Section("s", paragraph("") + table(["h"], [("",)]))])
    full = page(text, [Section(text, paragraph(text) + table([text], [(text,)]))], subtitle=text)
    tags = re.compile(r"<[^>]*>")
    assert len(tags.findall(full)) == len(tags.findall(empty)) + 2
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", full)


@pytest.mark.parametrize("text", NASTY, ids=ascii)
def test_a_card_shows_names_and_values_and_nothing_else(tmp_path: Path, text: str) -> None:
    shown = pa.table({text: [text, "x"], "y": [1, 2]})
    dataset.write(shown.to_batches(), shown.schema, tmp_path)
    html = rendered((tmp_path / "summary.md").read_text())
    assert set(re.findall(r"<(\w+)", html)) == {"h1", "table", "thead", "tbody", "tr", "th", "td"}
    assert html.count("<tr>") == 3
    assert html.replace("\n", "").replace("\u200b", "").isprintable()


@pytest.mark.parametrize("text", ["\x1b[2J", "\u202e", "\x07", "\x9b31m", "\u2066", "\ud800"])
def test_no_error_acts_on_a_terminal(text: str) -> None:
    assert str(DataError(f"column {text}: bad")).isprintable()
