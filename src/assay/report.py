"""HTML pages and Markdown for people: self-contained, escaped, and the same bytes every time.

Pages hold no script and load nothing, because the KFP UI shows them in a sandbox and an auditor
opens them years later.
"""

import html
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

_CSS: Final = """
:root{color-scheme:light dark;--ink:#1c2330;--soft:#5c6675;--line:#d9dee6;--page:#fff;--band:#f5f7fa;
--good:#11734b;--bad:#b3261e;--open:#8a5a00}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#9aa4b2;--line:#333b47;--page:#14181f;
--band:#1b212a;--good:#4cc38a;--bad:#ff8a80;--open:#f0b429}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",
Roboto,"DejaVu Sans",sans-serif}
main{max-width:1080px;margin:0 auto;padding:32px 24px 64px}
h1{font-size:26px;margin:0 0 4px}h2{font-size:18px;margin:36px 0 12px;padding-bottom:6px;
border-bottom:1px solid var(--line)}
p{margin:8px 0}.soft{color:var(--soft)}
.badge{display:inline-block;padding:3px 12px;border-radius:999px;font-weight:600;font-size:13px;
letter-spacing:.04em;text-transform:uppercase;border:1.5px solid;margin:8px 0}
.pass{color:var(--good)}.block,.fail{color:var(--bad)}.inconclusive{color:var(--open)}
.skipped{color:var(--soft)}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:6px 12px;border-bottom:1px solid var(--line);vertical-align:top;
overflow-wrap:anywhere}
th{font-size:12.5px;color:var(--soft);font-weight:600;background:var(--band);white-space:nowrap}
td.right,th.right{text-align:right;white-space:nowrap}
code{font:13px ui-monospace,"DejaVu Sans Mono",monospace}
figure{margin:12px 0;background:#fff;border:1px solid var(--line);border-radius:8px;padding:8px;
display:inline-block;max-width:100%}figure svg{max-width:100%;height:auto;display:block}
.row{display:flex;flex-wrap:wrap;gap:16px}
"""
_OUTCOMES: Final = frozenset({"pass", "block", "fail", "inconclusive", "skipped"})


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of a page; `body` is HTML made by this module's functions."""

    title: str
    body: str


def page(
    title: str, sections: Sequence[Section], *, verdict: str | None = None, subtitle: str = ""
) -> str:
    """A whole HTML document."""
    badge = f'<div class="badge {_class(verdict)}">{html.escape(verdict)}</div>' if verdict else ""
    lead = f'<p class="soft">{html.escape(subtitle)}</p>' if subtitle else ""
    body = "\n".join(
        f"<section><h2>{html.escape(section.title)}</h2>\n{section.body}</section>"
        for section in sections
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_CSS}</style></head>\n"
        f"<body><main><h1>{html.escape(title)}</h1>{badge}{lead}\n{body}</main></body></html>\n"
    )


def paragraph(text: str) -> str:
    """Text as a paragraph, escaped."""
    return f"<p>{html.escape(text)}</p>"


def table(
    headers: Sequence[str], rows: Iterable[Sequence[Any]], *, align: str = ""
) -> str:
    """A table; cells are escaped.

    Args:
        headers: Column titles.
        rows: Cells; an outcome word (`pass`, `fail`, ...) is coloured.
        align: One letter per column, `l` or `r`; left by default.
    """
    sides = [' class="right"' if letter == "r" else "" for letter in align.ljust(len(headers), "l")]
    head = "".join(f"<th{s}>{html.escape(h)}</th>" for h, s in zip(headers, sides, strict=True))
    body = "\n".join(
        "<tr>" + "".join(_cell(cell, side) for cell, side in zip(row, sides, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def _cell(cell: Any, side: str) -> str:
    text = number(cell) if isinstance(cell, float) else str(cell)
    if text in _OUTCOMES:
        return f'<td{side}><b class="{_class(text)}">{text}</b></td>'
    return f"<td{side}>{html.escape(text)}</td>"


def _class(verdict: str) -> str:
    return verdict if verdict in _OUTCOMES else "skipped"


def number(value: float | None) -> str:
    """A number for reading: four significant digits, and a dash for none."""
    return "–" if value is None or value != value else f"{value:.4g}"  # noqa: PLR0124 - NaN


def figures(*svgs: str) -> str:
    """Figures side by side where there is room."""
    return '<div class="row">' + "".join(f"<figure>{svg}</figure>" for svg in svgs) + "</div>"


def figure_svg(figure: Any) -> str:
    """A matplotlib figure as inline SVG with the same bytes every time; closes the figure."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    buffer = io.StringIO()
    # Without a fixed salt, ids are random; text as paths would depend on the fonts installed.
    with mpl.rc_context({"svg.hashsalt": "assay", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    return re.sub(r"^.*?(?=<svg)", "", buffer.getvalue(), flags=re.DOTALL)


def new_figure(width: float = 5.0, height: float = 3.6) -> tuple[Any, Any]:
    """An empty matplotlib figure and its axes, in inches, drawn without a display."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, alpha=0.25)
    return figure, axes


def markdown_table(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; cells are escaped."""

    def line(cells: Sequence[Any]) -> str:
        texts = (number(cell) if isinstance(cell, float) else str(cell) for cell in cells)
        return "| " + " | ".join(_escape(text) for text in texts) + " |"

    return "\n".join([line(headers), line(["---"] * len(headers)), *map(line, rows)]) + "\n"


def _escape(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split())
