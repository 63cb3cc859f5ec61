"""HTML pages and Markdown for people: self-contained, escaped, and the same bytes every time.

Pages hold no script and load nothing, because the KFP UI shows them in a sandbox and an auditor
opens them years later. Figures take their colours from the page, so they suit light and dark.
"""

import html
import io
import math
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from assay.text import one_line, visible

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

_MAX_WORD: Final = 40
"""Longer ones, such as digests, may break anywhere; others only between words."""

_RULES: Final = """
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.55 system-ui,-apple-system,
"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1080px;margin:0 auto;padding:36px 24px 64px}
h1{font-size:26px;line-height:1.25;margin:0 12px 4px 0;display:inline-block;overflow-wrap:anywhere}
h2{font-size:18px;margin:36px 0 12px;padding-bottom:6px;border-bottom:1px solid var(--line)}
h3{font-size:15px;margin:20px 0 6px}
p{margin:8px 0;max-width:80ch;overflow-wrap:anywhere}.soft{color:var(--soft)}
.badge{display:inline-block;padding:2px 12px;border-radius:999px;font-weight:650;font-size:13px;
letter-spacing:.05em;text-transform:uppercase;border:1.5px solid;vertical-align:5px}
.pass{color:var(--good)}.block,.fail{color:var(--bad)}.inconclusive{color:var(--open)}
.skipped{color:var(--soft)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;min-width:50%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:6px 14px;border-bottom:1px solid var(--line);vertical-align:top}
td b{white-space:nowrap}td.long{overflow-wrap:anywhere}
th{font-size:12.5px;color:var(--soft);font-weight:600;background:var(--band);white-space:nowrap}
td.right,th.right{text-align:right;white-space:nowrap}
code{font:13px ui-monospace,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
figure{margin:0;border:1px solid var(--line);border-radius:10px;padding:12px;max-width:100%}
figure svg{max-width:100%;height:auto;display:block}
.row{display:flex;flex-wrap:wrap;gap:16px;margin:12px 0;align-items:flex-start}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(170px,1fr));gap:12px;
margin:20px 0}
.tile{border:1px solid var(--line);border-radius:10px;padding:10px 14px;background:var(--band)}
.tile b{display:block;font-size:22px;font-weight:650;font-variant-numeric:tabular-nums}
.tile span{font-size:12.5px;color:var(--soft);overflow-wrap:anywhere}
@media print{main{padding:0}section{break-inside:avoid-page}}
"""
_NOTHING: Final = "&#8203;"
"""A space of no width."""
_OUTCOMES: Final = frozenset({"pass", "block", "fail", "inconclusive", "skipped"})


def _css() -> str:
    light = "".join(f"--{name}:{colours[0]};" for name, colours in _THEME.items())
    dark = "".join(f"--{name}:{colours[1]};" for name, colours in _THEME.items())
    return (
        f"\n:root{{color-scheme:light dark;{light}}}\n"
        f"@media(prefers-color-scheme:dark){{:root{{{dark}}}}}{_RULES}"
    )


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of a page; `html` is made by this module's functions."""

    title: str
    html: str


def page(
    title: str, sections: Sequence[Section], *, verdict: str | None = None, subtitle: str = ""
) -> str:
    """A whole HTML document.

    Args:
        title: Heading and document title; escaped.
        sections: The parts, in order.
        verdict: `pass`, `block` or `inconclusive`, shown as a badge; None shows none.
        subtitle: A line of text under the heading; escaped.
    """
    badge = f'<span class="badge {_class(verdict)}">{_text(verdict)}</span>' if verdict else ""
    lead = f'<p class="soft">{_text(subtitle)}</p>' if subtitle else ""
    body = "\n".join(
        f"<section><h2>{_text(section.title)}</h2>\n{section.html}</section>"
        for section in sections
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{_text(title)}</title><style>{_css()}</style></head>\n"
        f"<body><main><h1>{_text(title)}</h1>{badge}{lead}\n{body}</main></body></html>\n"
    )


def paragraph(text: str, *, soft: bool = False) -> str:
    """Text as a paragraph, escaped; `soft` for what a reader may skip."""
    style = ' class="soft"' if soft else ""
    return f"<p{style}>{_text(text)}</p>"


def heading(text: str) -> str:
    """A heading inside a section, escaped."""
    return f"<h3>{_text(text)}</h3>"


def tiles(items: Iterable[tuple[str, Any]]) -> str:
    """Key numbers side by side: (label, value) pairs, escaped."""
    cells = "".join(
        f'<div class="tile"><b>{_text(_shown(value))}</b><span>{_text(name)}</span></div>'
        for name, value in items
    )
    return f'<div class="tiles">{cells}</div>'


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]], *, align: str = "") -> str:
    """A table; cells are escaped.

    Args:
        headers: Column titles.
        rows: Cells; an outcome word (`pass`, `fail`, ...) is coloured.
        align: One letter per column, `l` or `r`; left by default.
    """
    sides = [' class="right"' if letter == "r" else "" for letter in align.ljust(len(headers), "l")]
    head = "".join(f"<th{s}>{_text(h)}</th>" for h, s in zip(headers, sides, strict=True))
    body = "\n".join(
        "<tr>" + "".join(_cell(cell, side) for cell, side in zip(row, sides, strict=True)) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(cell: Any, side: str) -> str:
    text = _shown(cell)
    if text in _OUTCOMES:
        return f'<td{side}><b class="{_class(text)}">{text}</b></td>'
    if not side and any(len(word) > _MAX_WORD for word in text.split()):
        side = ' class="long"'
    return f"<td{side}>{_text(text)}</td>"


def _text(value: Any) -> str:
    """Text of unknown origin as HTML; the only function that puts such text into a page."""
    return html.escape(visible(str(value)))


def _shown(value: Any) -> str:
    return number(value) if value is None or isinstance(value, float) else str(value)


def _class(verdict: str) -> str:
    return verdict if verdict in _OUTCOMES else "skipped"


def number(value: float | None) -> str:
    """A number for reading: four significant digits, and a dash for none."""
    return "\u2013" if value is None or not math.isfinite(value) else f"{value:.4g}"


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

    buffer = io.StringIO()
    # Without a fixed salt, ids are random; text as paths would depend on the fonts installed.
    with mpl.rc_context({"svg.hashsalt": "assay", "svg.fonttype": "none"}):
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


def new_figure(width: float = 5.0, height: float = 3.6) -> tuple[Any, Any]:
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
            "font.size": 9.5,
            "font.family": "DejaVu Sans",  # ships with matplotlib: the same layout everywhere
            "text.color": INK,
            "axes.labelcolor": SOFT,
            "axes.edgecolor": LINE,
            "axes.titlecolor": INK,
            "axes.titlesize": 10.5,
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


def legend(axes: Any, **options: Any) -> None:
    """A legend in the page's colours, without a frame."""
    axes.legend(frameon=False, labelcolor=SOFT, fontsize=8.5, **options)


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
