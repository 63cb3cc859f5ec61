"""HTML pages and Markdown for people: self-contained, escaped, and the same bytes every time.

Pages hold no script and load nothing, because the KFP UI shows them in a sandbox and an auditor
opens them years later. They are laid out for the 300 pixels of that UI's narrowest frame, and are
light in every frame, because the UI around them is.
"""

import html
import io
import math
import re
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from assay.text import interval_text, limit, number, one_line, visible

INK: Final = "#1c2330"
SOFT: Final = "#5c6675"
LINE: Final = "#d9dee6"
ACCENT: Final = "#2f6fde"
SECOND: Final = "#c2700a"
THIRD: Final = "#7a4fbf"
GOOD: Final = "#11734b"
BAD: Final = "#b3261e"
OPEN: Final = "#8a5a01"
"""Colours for figures. Each stands for the page's own colour, which differs in the dark."""

_THEME: Final = {
    "ink": (INK, "#e6e9ee"),
    "soft": (SOFT, "#9aa4b2"),
    "line": (LINE, "#333b47"),
    "accent": (ACCENT, "#7aa7ff"),
    "second": (SECOND, "#f0a04b"),
    "third": (THIRD, "#b79bf0"),
    "good": (GOOD, "#4cc38a"),
    "bad": (BAD, "#ff8a80"),
    "open": (OPEN, "#f0b429"),
    "page": ("#ffffff", "#14181f"),
    "band": ("#f5f7fa", "#1b212a"),
}

_MAX_FIGURE_TEXT: Final = 60
_MAX_CARD: Final = 11
"""Characters of a card's number in large type."""
_MAX_WORD: Final = 24
"""Longer ones, such as digests, may break anywhere; others only between words."""

_RULES: Final = """
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,
"Segoe UI",Roboto,"DejaVu Sans",sans-serif;overflow-wrap:anywhere}
main{max-width:1080px;margin:0 auto;padding:20px 24px 40px}
h1{font-size:22px;line-height:1.25;margin:0 10px 4px 0;display:inline-block}
h2{font-size:16px;margin:26px 0 10px;padding-bottom:4px;border-bottom:1px solid var(--line)}
h3{font-size:14px;margin:18px 0 6px}
p{margin:8px 0;max-width:80ch}.soft{color:var(--soft)}
.badge{display:inline-block;padding:1px 11px;border-radius:999px;font-weight:650;font-size:12.5px;
letter-spacing:.04em;text-transform:uppercase;border:1.5px solid;vertical-align:4px}
.pass,.passed,.done,.chosen{color:var(--good)}
.block,.blocked,.fail,.failed,.rejected,.drifted{color:var(--bad)}
.inconclusive{color:var(--open)}.skipped,.canceled{color:var(--soft)}
.why{margin:10px 0 0;padding:8px 14px;border-left:4px solid;background:var(--band);max-width:80ch}
.why p{color:var(--ink);margin:3px 0}
table{border-collapse:collapse;max-width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:5px 16px 5px 0;border-bottom:1px solid var(--line);
vertical-align:top}
th{font-size:12.5px;color:var(--soft);font-weight:600}
td b{white-space:nowrap}
td.right,th.right{text-align:right}
td.short,th{overflow-wrap:normal}
code{font:12.5px ui-monospace,"DejaVu Sans Mono",monospace}
figure{margin:0;max-width:100%}
figure svg{max-width:100%;height:auto;display:block}
.row{display:flex;flex-wrap:wrap;gap:16px 8px;margin:12px 0;align-items:flex-start}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(40%,150px),1fr));gap:10px;
margin:12px 0}
.card{border:1px solid var(--line);border-radius:8px;padding:8px 12px;background:var(--band);
font-size:12.5px;line-height:1.35;color:var(--soft)}
.card b{display:block;font-size:18px;font-weight:650;color:var(--ink);
font-variant-numeric:tabular-nums}
.card b.long{font-size:14px}
.card i{display:block;font-style:normal}
.bars{margin:12px 0}.bars p{font-size:13px}
.bar{display:grid;grid-template-columns:minmax(0,4fr) minmax(0,5fr) minmax(0,4fr);gap:0 18px;
align-items:center;font-size:13px;line-height:1.35;padding:4px 0;
font-variant-numeric:tabular-nums}
.bar svg{width:100%;height:22px;display:block;overflow:visible}
.bar b{font-weight:600}.bar span{color:var(--soft);display:inline-block}
details{margin:10px 0}
summary{cursor:pointer;color:var(--accent);font-size:14px}
@media(max-width:640px){
main{padding:12px 12px 28px}h1{font-size:19px}
.bar{grid-template-columns:minmax(0,1fr);padding:6px 0}.bar svg{order:3}
th,td{padding-right:10px}
td.short:not(.right){overflow-wrap:anywhere}
td.short:first-child:nth-last-child(2){overflow-wrap:normal}
.stacked thead{display:none}
.stacked,.stacked tbody,.stacked tr,.stacked td{display:block;width:100%}
.stacked tr{padding:7px 0;border-bottom:1px solid var(--line)}
.stacked td,.stacked td.right{border:0;padding:1px 0 1px 108px;text-align:left;min-height:22px}
.stacked td::before{content:attr(data-label);float:left;width:100px;margin-left:-108px;
color:var(--soft);font-size:12.5px;line-height:20px;overflow-wrap:anywhere}
.stacked td:first-child{padding-left:0;font-weight:600}
.stacked td:first-child::before,.stacked td:empty{display:none}
}
@media print{main{padding:0}section{break-inside:avoid-page}}
"""
_NOTHING: Final = "&#8203;"
"""A space of no width."""
_GOOD: Final = frozenset({"pass", "passed", "done", "chosen"})
_BAD: Final = frozenset({"block", "blocked", "fail", "failed", "rejected", "drifted"})
_OPEN: Final = frozenset({"inconclusive"})
_NEITHER: Final = frozenset({"skipped", "canceled"})
_OUTCOMES: Final = _GOOD | _BAD | _OPEN | _NEITHER
"""Words that have a colour: of rules, verdicts, runs and tasks."""

MAX_OPEN_ROWS: Final = 12
"""Of a table that is not closed at first."""
COMMENT_BYTES: Final = 255
"""What the KFP UI shows of a page before it is opened."""
FIGURE_WIDTH: Final = 2.6
"""Inches of a figure: 250 pixels, one in the narrowest frame and four in the widest."""
SMALLEST_POINTS: Final = 8.5
"""Size of the smallest text of a figure: above 11 pixels."""


def _css() -> str:
    light = "".join(f"--{name}:{colours[0]};" for name, colours in _THEME.items())
    return f"\n:root{{color-scheme:light;{light}}}{_RULES}"


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of a page; `html` is made by this module's functions."""

    title: str
    html: str


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
        title: Heading and document title; escaped.
        sections: The parts, in order.
        verdict: `pass`, `block`, `rejected` and the like, shown as a badge; None shows none.
        subtitle: A line of text under the heading; escaped.
        reasons: What led to the verdict, one cause each, under the heading; escaped.
        preview: What the file begins with, see `comment`; by default all of the above.
    """
    badge = f'<span class="badge {_class(verdict)}">{_text(verdict)}</span>' if verdict else ""
    lead = f'<p class="soft">{_text(subtitle)}</p>' if subtitle else ""
    if reasons:
        lead += f'<div class="why {_class(verdict or "")}">{"".join(map(paragraph, reasons))}</div>'
    body = "\n".join(
        f"<section><h2>{_text(section.title)}</h2>\n{section.html}</section>"
        for section in sections
    )
    told = f"{title}: {verdict}" if verdict else title
    told = ". ".join(text for text in (f"Assay: {told}", subtitle, "; ".join(reasons)) if text)
    return (
        f"{comment(preview or told)}<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{_text(title)}</title><style>{_css()}</style></head>\n"
        f"<body><main><h1>{_text(title)}</h1>{badge}{lead}\n{body}</main></body></html>\n"
    )


def comment(text: str) -> str:
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
    return f"<!-- {data.decode()}{' ' * (room - len(data))} -->\n"


def paragraph(text: str, *, soft: bool = False) -> str:
    """Text as a paragraph, escaped; `soft` for what a reader may skip."""
    style = ' class="soft"' if soft else ""
    return f"<p{style}>{_text(text)}</p>"


def heading(text: str) -> str:
    """A heading inside a section, escaped."""
    return f"<h3>{_text(text)}</h3>"


def long_table(headers: Sequence[str], rows: Sequence[Sequence[Any]], what: str, **how: Any) -> str:
    """A table as `table` makes it, that opens on demand when it is longer than a screen.

    Args:
        headers: Column titles.
        rows: Cells.
        what: Of the rows, in the plural, such as `rules`.
        how: Further arguments of `table`.
    """
    made = table(headers, rows, **how)
    return made if len(rows) <= MAX_OPEN_ROWS else details(f"All {len(rows):,} {what}", made)


def details(summary: str, content: str) -> str:
    """HTML of this module that opens on demand, under an escaped summary; works without scripts."""
    return f"<details><summary>{_text(summary)}</summary>\n{content}</details>"


def cards(items: Iterable[tuple[str, Any] | tuple[str, Any, str]]) -> str:
    """Key numbers side by side: (label, value) or (label, value, small print), escaped."""

    def card(label: str, value: Any, small: str = "") -> str:
        # Between label and number a reader without this style, or of the text alone, needs a blank.
        rest = f"<i>{_text(small)}</i>" if small else ""
        shown = _shown(value)
        long = _classes("long" if len(shown) > _MAX_CARD else "")
        return f'<div class="card"><b{long}>{_text(shown)}</b> {_text(label)}{rest}</div>'

    return f'<div class="cards">{"".join(card(*item) for item in items)}</div>'


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    align: str = "",
    stacked: bool = False,
) -> str:
    """A table; cells are escaped.

    Args:
        headers: Column titles.
        rows: Cells; an outcome word (`pass`, `fail`, ...) is coloured.
        align: One letter per column, `l` or `r`; left by default.
        stacked: In a narrow frame each row becomes a block, led by its first cell, and the other
            cells stand under each other beside their titles; empty ones are left out. For tables
            of more than three columns, or of long texts.
    """
    sides = ["right" if letter == "r" else "" for letter in align.ljust(len(headers), "l")]
    labels = [f' data-label="{_text(header)}"' if stacked else "" for header in headers]
    head = "".join(f"<th{_classes(s)}>{_text(h)}</th>" for h, s in zip(headers, sides, strict=True))
    body = "\n".join(
        "<tr>"
        + "".join(_cell(cell, *rest) for cell, *rest in zip(row, sides, labels, strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f"<table{_classes('stacked' if stacked else '')}><thead><tr>{head}</tr></thead>\n"
        f"<tbody>{body}</tbody></table>"
    )


def _cell(cell: Any, side: str, label: str) -> str:
    text = _shown(cell)
    if text in _OUTCOMES:
        return f'<td{_classes(side)}{label}><b class="{_class(text)}">{text}</b></td>'
    short = "" if any(len(word) > _MAX_WORD for word in text.split()) else "short"
    return f"<td{_classes(side, short)}{label}>{_text(text)}</td>"


def _classes(*names: str) -> str:
    given = " ".join(name for name in names if name)
    return f' class="{given}"' if given else ""


@dataclass(frozen=True, slots=True)
class Bar:
    """A value with its interval, to be drawn."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    threshold: float | None = None
    allowed: str = ""
    """The comparison that the value has to satisfy: `>=`, `>`, `<=`, `<`, `==` or `!=`."""
    outcome: str = ""
    """Such as `pass`; decides the colour."""
    told: str = ""
    """The numbers in words; by default value and interval."""

    @property
    def numbers(self) -> list[float]:
        """All that is drawn."""
        given = (self.value, self.low, self.high, self.threshold)
        return [each for each in given if each is not None and math.isfinite(each)]


def interval_bar(
    label: str,
    value: float | None,
    low: float | None = None,
    high: float | None = None,
    *,
    threshold: float | None = None,
    allowed: str = "",
    outcome: str = "",
) -> str:
    """One value with its interval beside a threshold, on a scale of its own; see `Bar`."""
    return interval_bars([Bar(label, value, low, high, threshold, allowed, outcome)])


def interval_bars(bars: Sequence[Bar], *, mark: float | None = None, note: str = "") -> str:
    """Values with their intervals on one scale: a dot, a line, and where allowed values lie.

    Text is HTML and places are shares of the width, so that it fits every frame and its text keeps
    its size.

    Args:
        bars: From top to bottom; labels are escaped.
        mark: Where a dashed line goes through all of them, such as 0 or the value of all rows.
        note: A line below, such as what the dashed line is; escaped.
    """
    limits = {(bar.allowed, bar.threshold) for bar in bars}
    common = len(bars) > 1 and len(limits) == 1 and bars[0].threshold is not None
    if common and bars[0].threshold is not None:
        wanted = f"Allowed (shaded): {limit(bars[0].allowed, bars[0].threshold)}."
        note = f"{wanted} {note}".rstrip()
    numbers = [each for bar in bars for each in bar.numbers]
    if mark is not None and math.isfinite(mark):
        numbers.append(mark)
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    room = 0.08 * (high - low) or abs(high) * 0.1 or 1.0
    scale = low - room, high + room
    drawn = "".join(_bar(bar, scale, mark, alone=not common) for bar in bars)
    return f'<div class="bars">{drawn}{paragraph(note, soft=True) if note else ""}</div>'


def _bar(bar: Bar, scale: tuple[float, float], mark: float | None, *, alone: bool) -> str:
    told = bar.told or interval_text(bar.value, bar.low, bar.high, beside=bar.threshold)
    word = f' <b class="{_class(bar.outcome)}">{_text(bar.outcome)}</b>' if bar.outcome else ""
    wanted = ""
    if bar.threshold is not None:
        wanted = f"allowed: {limit(bar.allowed, bar.threshold)}"
    alt = f"{bar.label}: {told}" + (f", {wanted}" if wanted else "")
    return (
        f'<div class="bar"><div>{_text(bar.label)}{word}</div>'
        f'<svg role="img" aria-label="{_text(alt)}">{"".join(_marks(bar, scale, mark))}</svg>'
        f"<div>{_text(told)}{f' <span>{_text(wanted)}</span>' if wanted and alone else ''}</div>"
        "</div>"
    )


def _marks(bar: Bar, scale: tuple[float, float], mark: float | None) -> Iterable[str]:
    low, high = scale

    def share(value: float) -> float:
        return 100 * min(max((value - low) / (high - low), 0.0), 1.0)

    def at(value: float) -> str:
        return f"{share(value):.2f}%"

    def line(x1: str, x2: str, y1: int, y2: int, style: str) -> str:
        return f'<line x1="{x1}" x2="{x2}" y1="{y1}" y2="{y2}" {style}/>'

    if bar.threshold is not None and bar.allowed in {"<", "<=", ">", ">="}:
        edge = share(bar.threshold)
        below = bar.allowed.startswith("<")
        width = edge if below else 100 - edge
        yield (
            f'<rect x="{0 if below else edge:.2f}%" y="3" width="{width:.2f}%" height="16" '
            'style="fill:var(--good);opacity:.13"/>'
        )
    yield line("0%", "100%", 11, 11, 'style="stroke:var(--line)"')
    if mark is not None and math.isfinite(mark):
        yield line(at(mark), at(mark), 0, 22, 'style="stroke:var(--soft)" stroke-dasharray="3 3"')
    if bar.threshold is not None and math.isfinite(bar.threshold):
        place = at(bar.threshold)
        yield line(place, place, 1, 21, 'style="stroke:var(--ink);stroke-width:2"')
    colour = f"var(--{_colour(bar.outcome)})"
    if bar.low is not None and bar.high is not None:
        style = f'style="stroke:{colour};stroke-width:4;stroke-linecap:round;opacity:.55"'
        yield line(at(bar.low), at(bar.high), 11, 11, style)
    if bar.value is not None and math.isfinite(bar.value):
        yield f'<circle cx="{at(bar.value)}" cy="11" r="5" style="fill:{colour}"/>'


def _colour(outcome: str) -> str:
    if outcome in _GOOD:
        return "good"
    if outcome in _OPEN:
        return "open"
    if outcome in _BAD:
        return "bad"
    return "soft" if outcome else "accent"


def _text(value: Any) -> str:
    """Text of unknown origin as HTML; the only function that puts such text into a page."""
    return html.escape(visible(str(value)))


def _shown(value: Any) -> str:
    return number(value) if value is None or isinstance(value, float) else str(value)


def _class(verdict: str) -> str:
    return verdict if verdict in _OUTCOMES else "skipped"


def figures(*svgs: str) -> str:
    """Figures side by side where there is room."""
    return '<div class="row">' + "".join(f"<figure>{svg}</figure>" for svg in svgs) + "</div>"


def figure_svg(figure: Any, alt: str = "") -> str:
    """A matplotlib figure as inline SVG with the same bytes every time.

    Args:
        figure: The figure; closed when pyplot made it.
        alt: What it shows, for readers who cannot see it.
    """
    import matplotlib as mpl
    from matplotlib.text import Text

    buffer = io.StringIO()
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    # Without a fixed salt, ids are random; text as paths would depend on the fonts installed. A
    # dollar sign in a category would begin a formula, in texts that drawing makes too.
    settings: dict[Any, Any] = {
        "svg.hashsalt": "assay",
        "svg.fonttype": "none",
        "text.parse_math": False,
    }
    with mpl.rc_context(settings), warnings.catch_warnings():
        # The reader's own fonts draw the text; only its width is guessed.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(
            buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    if (pyplot := sys.modules.get("matplotlib.pyplot")) is not None:
        pyplot.close(figure)
    # The page is HTML: no XML prologue, no metadata block, and no rule that leaks into the page.
    svg = re.sub(r"^.*?(?=<svg)", "", buffer.getvalue(), flags=re.DOTALL)
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = svg.replace("*{stroke-linejoin: round; stroke-linecap: butt}", "")
    for name, (light, _) in _THEME.items():
        svg = svg.replace(f": {light}", f": var(--{name})")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{_text(alt)}" ', 1)


def standalone_svg(svg: str) -> str:
    """A figure of `figure_svg` as a file of its own, with the colours that a page would give it."""
    light = "".join(f"--{name}:{colours[0]};" for name, colours in _THEME.items())
    dark = "".join(f"--{name}:{colours[1]};" for name, colours in _THEME.items())
    style = f"<style>svg{{{light}}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}</style>"
    opening, _, rest = svg.partition(">")
    return f"{opening}>{style}{rest}"


def new_figure(width: float = FIGURE_WIDTH, height: float = 2.4) -> tuple[Any, Any]:
    """An empty matplotlib figure and its axes in the page's colours.

    Args:
        width: Inches.
        height: Inches.
    """
    # Not pyplot: it keeps figures alive, and picks a backend for the whole process.
    import matplotlib as mpl
    from cycler import cycler
    from matplotlib.figure import Figure

    with mpl.rc_context(
        {
            "font.size": SMALLEST_POINTS,
            "font.family": "DejaVu Sans",  # ships with matplotlib: the same layout everywhere
            "text.color": INK,
            "axes.labelcolor": SOFT,
            "axes.edgecolor": LINE,
            "axes.titlecolor": INK,
            "axes.titlesize": 9.5,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.axisbelow": True,
            "axes.prop_cycle": cycler(color=[ACCENT, SECOND, THIRD, GOOD, BAD, SOFT]),
            "xtick.color": LINE,
            "ytick.color": LINE,
            "xtick.labelcolor": SOFT,
            "ytick.labelcolor": SOFT,
            "grid.color": LINE,
            "grid.linewidth": 0.7,
        }
    ):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True)
    return figure, axes


def figure_text(text: str) -> str:
    """Text of users for a figure: on one line, control characters visible, of bounded length."""
    shown = one_line(str(text))
    return shown if len(shown) <= _MAX_FIGURE_TEXT else f"{shown[: _MAX_FIGURE_TEXT - 1]}\u2026"


def legend(axes: Any) -> None:
    """A legend in the page's colours, below the axes: a small figure has no free place within."""
    axes.figure.legend(
        frameon=False,
        labelcolor=SOFT,
        fontsize=SMALLEST_POINTS,
        loc="outside lower center",
        ncols=2,
    )


def markdown_table(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; cells are escaped."""

    def line(cells: Sequence[Any]) -> str:
        return "| " + " | ".join(markdown_text(_shown(cell)) for cell in cells) + " |"

    return "\n".join([line(headers), "|" + " --- |" * len(headers), *map(line, rows)]) + "\n"


def markdown_text(text: str) -> str:
    """Text as one line of Markdown that renders as it is: no markup, HTML or links of its own.

    The only function that puts text of unknown origin into Markdown. It escapes what has a meaning
    in CommonMark and in the dialects of GitHub and GitLab (links, images, table borders, bare
    addresses, mentions, quick actions), and writes characters that act instead of showing as
    escapes.
    """
    escaped = re.sub(r"([\\`*\[\]|~$])", r"\\\1", one_line(text))
    # Between letters or digits an underscore is text, as in most column names.
    escaped = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", escaped)
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # Some readers look for these in what was rendered, where an entity is a character again; only
    # a character between, which shows nothing, keeps them from it.
    escaped = re.sub(r"(?<=[a-zA-Z0-9]):(?=//)|[@#](?=\w)", rf"\g<0>{_NOTHING}", escaped)
    escaped = re.sub(r"(?i)\bwww(?=\.)", rf"\g<0>{_NOTHING}", escaped)
    # What begins a line may be a list, a heading, a rule or a command to the forge.
    return re.sub(r"^([-+=#]|\d+[.)])(?=[-+=#]*(\s|$))|^/(?=\w)", _begun, escaped)


def _begun(match: re.Match[str]) -> str:
    return f"{match[0][:-1]}&#{ord(match[0][-1])};"
