"""Reports: what a table or a person wrote is shown as it is, and acts on nobody."""

import re
from pathlib import Path

import pyarrow as pa
import pytest
from markdown_it import MarkdownIt

from assay import data as dataset
from assay.errors import DataError
from assay.reports.figures import Bar, interval_bar, interval_bars
from assay.reports.markdown import markdown_table, markdown_text
from assay.reports.page import Section, cards, comment, details, page, paragraph, table
from assay.text import interval_text, limit, number, reason_lines, short

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


def everything(text: str) -> str:
    """A page with the text wherever a text can stand."""
    parts = [
        paragraph(text),
        table([text], [(text,)]),
        table([text, "b"], [(text, text)], stacked=True),
        cards([(text, text, text)]),
        details(text, interval_bar(text, 1.0, outcome=text, threshold=0.0, allowed=text)),
    ]
    sections = [Section(text, part) for part in parts]
    return page(text, sections, subtitle=text, verdict=text, reasons=[text])


@pytest.mark.parametrize("text", NASTY, ids=ascii)
def test_html_shows_text_and_nothing_else(text: str) -> None:
    shown, plain = everything(text), everything("t")

    def tags(made: str) -> list[str]:
        # Behind the preview. The style follows from the length of a text.
        found = re.findall(r"<[^>]*>", made.partition("\n")[2])
        return [re.sub(r' class="[\w ]*"|"[^"]*"', "", tag) for tag in found]

    assert tags(shown) == tags(plain)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)


@pytest.mark.parametrize(
    "text", [*NASTY, "-->", "--!>", "->", ">", "<!--", "a--b", "-" * 300, "ä" * 300, ""], ids=ascii
)
def test_a_page_begins_with_what_it_says(text: str) -> None:
    """The preview of the KFP UI is 255 bytes; nothing ends the comment but its end."""
    made = comment(text)
    assert len(made.encode()) == 256
    assert re.fullmatch(r"<!-- ((?!--)[^<>])*(?<!-) *-->\n", made)
    assert page("t", [], preview=text or "x").startswith(comment(text or "x"))


def test_a_page_without_a_preview_begins_with_verdict_and_reasons() -> None:
    made = page("Gate", [], verdict="block", reasons=["accuracy is 0.8", "f1 is 0.7"])
    assert made.startswith("<!-- Assay: Gate: block. accuracy is 0.8; f1 is 0.7 ")


def test_bars_show_value_interval_and_what_is_allowed() -> None:
    made = interval_bar(
        "accuracy", 0.8745, 0.87, 0.879, threshold=0.86, allowed=">=", outcome="pass"
    )
    told = "accuracy: 0.8745 (0.87 to 0.879), allowed: at least 0.86"
    assert f'aria-label="{told}"' in made
    assert "<text" not in made
    assert made.count("<line") == 3
    assert "var(--good)" in made


@pytest.mark.parametrize(
    "bar",
    [
        Bar("none", None),
        Bar("no value", None, 0.1, 0.2),
        Bar("one point", 0.0),
        Bar("infinite", 1.0, float("-inf"), float("inf")),
        Bar("not a number", float("nan"), threshold=1.0, allowed="<"),
        Bar("exactly", 3.0, threshold=3.0, allowed="=="),
    ],
    ids=lambda bar: bar.label,
)
def test_bars_of_odd_numbers_stay_within_the_frame(bar: Bar) -> None:
    for made in (interval_bars([bar]), interval_bars([bar, Bar("x", 5.0, 4.0, 6.0)], mark=4.5)):
        places = [float(place) for place in re.findall(r'"(-?[\d.]+|nan|inf)%"', made)]
        assert places
        assert all(0 <= place <= 100 for place in places)


@pytest.mark.parametrize(
    ("value", "beside", "shown"),
    [
        (None, None, "–"),
        (float("nan"), None, "–"),
        (0.874512, None, "0.8745"),
        (45222.0, None, "45,222"),
        (1234.5, None, "1,234"),
        (3.0, None, "3"),
        (0.00012345, None, "0.0001234"),
        (0.85999999, 0.86, "0.85999999"),
        (0.86000001, 0.86, "0.86000001"),
        (0.86, 0.86, "0.86"),
        (0.8745, 0.86, "0.8745"),
        (0.12341, 0.123405, "0.12341"),
        (45222.0, 40000.0, "45,222"),
        (4999.9, 5000.0, "4999.9"),
    ],
)
def test_numbers_have_four_digits_or_as_many_as_the_limit_takes(
    value: float | None, beside: float | None, shown: str
) -> None:
    assert number(value, beside=beside) == shown


def test_limits_and_intervals_in_words() -> None:
    assert limit(">=", 0.86) == "at least 0.86"
    assert limit("<=", 0.0) == "at most 0"
    assert limit("<", 10000.0) == "below 10,000"
    assert interval_text(0.121, 0.1118, 0.13149) == "0.121 (0.1118 to 0.1315)"
    assert interval_text(0.121, None, None) == "0.121"
    assert short("sha256:" + "ab" * 32) == "sha256:abababababab"
    assert short("income@production") == "income@production"


def test_reasons_are_lines_that_a_log_panel_shows_whole() -> None:
    reasons = [
        "accuracy is worse by 0.121 (0.112 to 0.131); allowed at most 0.01",
        "safety_violations is 3, and " + "word " * 20,
        "x" * 100,
        "\x1b[31mred\nline",
    ]
    lines = reason_lines(reasons)
    assert lines[0] == reasons[0]
    assert all(len(line) <= 70 and line.isprintable() for line in lines)
    assert [line for line in lines if not line.startswith("  ")] == [
        reasons[0],
        lines[1],
        "x" * 70,
        "\\x1b[31mred line",
    ]
    assert reason_lines([]) == []


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
