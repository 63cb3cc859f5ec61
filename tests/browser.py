"""A real browser that shows pages as the KFP UI does: in sandboxed frames of its widths."""

import html
import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers import require

PANEL, COMPARE, POPPED_OUT = 427, 300, 1078
"""Pixels of KFP's frames: of the side panel, of Compare runs, and of the window of its own."""
HEIGHT = 600
_SECONDS = 120

# Runs inside of the frame, because from outside a sandbox cannot be looked into.
_MEASURE = """<script>addEventListener("load", () => {
document.querySelectorAll("details").forEach(d => OPEN ? d.open = true : 0);
const all = [...document.querySelectorAll("body *")], wide = document.documentElement.clientWidth;
const seen = e => e.getClientRects().length;
const named = e => e.tagName + "." + e.getAttribute("class") + ": " + e.textContent.slice(0, 60);
const sizes = [...document.querySelectorAll("svg text")].filter(seen).map(e =>
  parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a);
const texts = all.filter(e => seen(e) && [...e.childNodes].some(n =>
  n.nodeType == 3 && n.data.trim()) && !e.closest("svg")).map(e =>
  parseFloat(getComputedStyle(e).fontSize));
const cut = all.filter(e => {
  if (!seen(e) || e.closest("defs")) return false;
  const box = e.getBoundingClientRect();
  const out = box.right > wide + 1 || box.left < -1;
  const own = ["TD", "TH", "DIV", "P", "H1", "H2"].includes(e.tagName);
  return out || (own && e.scrollWidth > e.clientWidth + 1);
}).map(named);
parent.postMessage({name: NAME, mode: document.compatMode, frame: innerWidth,
  width: document.documentElement.scrollWidth, height: document.documentElement.scrollHeight,
  svg: Math.min(...sizes, 1e3), text: Math.min(...texts, 1e3), cut,
  paper: getComputedStyle(document.body).backgroundColor}, "*");
});</script>"""

_COLLECT = """<script>const found = []; addEventListener("message", m => { found.push(m.data);
document.querySelector("pre").textContent = JSON.stringify(found); });</script><pre></pre>"""


@dataclass(frozen=True)
class Seen:
    """What a page looks like in a frame."""

    mode: str
    frame: int
    width: int
    height: int
    svg: float
    """Size of the smallest text of a figure, in pixels as rendered; large when there is none."""
    text: float
    cut: list[str]
    """Elements that stick out of the frame, or whose content sticks out of them."""
    paper: str


def show(
    pages: Mapping[str, str], folder: Path, widths: Sequence[int] = (COMPARE, PANEL, POPPED_OUT)
) -> dict[tuple[str, int], Seen]:
    """Each page in a frame of each width, all closed parts opened."""
    frames = []
    for name, page in pages.items():
        for width in widths:
            script = _MEASURE.replace("NAME", json.dumps([name, width])).replace("OPEN", "true")
            frames.append(_frame(page + script, width))
    host = folder / "frames.html"
    host.write_text(_host(_COLLECT + "".join(frames)), encoding="utf-8")
    dumped = _chromium(folder, "--virtual-time-budget=20000", "--dump-dom", host.as_uri())
    told = re.search("<pre>(.*?)</pre>", dumped, re.DOTALL)
    assert told, dumped[:1000]
    found: list[dict[str, Any]] = json.loads(html.unescape(told[1]) or "[]")
    return {
        (str(each["name"][0]), int(each["name"][1])): Seen(
            **{name: value for name, value in each.items() if name != "name"}
        )
        for each in found
    }


def alone(page: str, folder: Path) -> str:
    """The mode of a page in a window of its own: `CSS1Compat` is the standard's."""
    file = folder / "alone.html"
    file.write_text(page + "<script>document.title = document.compatMode</script>")
    found = re.search("<title>(.*?)</title>", _chromium(folder, "--dump-dom", file.as_uri()))
    assert found
    return found[1]


def picture(page: str, width: int, height: int, file: Path) -> None:
    """A page in a frame, as a PNG, for people."""
    host = file.with_suffix(".html")
    host.write_text(_host(_frame(page, width, height)), encoding="utf-8")
    size = f"--window-size={width + 20},{height + 20}"
    _chromium(file.parent, size, f"--screenshot={file}", host.as_uri())


def _frame(page: str, width: int, height: int = HEIGHT) -> str:
    return (
        f'<iframe sandbox="allow-scripts" srcdoc="{html.escape(page)}" '
        f'style="width:{width}px;height:{height}px;border:0"></iframe>'
    )


def _host(content: str) -> str:
    return f'<!doctype html><meta charset="utf-8"><body style="margin:10px">{content}'


def _chromium(folder: Path, *arguments: str) -> str:
    program = require("chromium", "on Debian: apt-get install chromium")
    done = subprocess.run(
        [
            program,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--hide-scrollbars",
            f"--user-data-dir={folder / 'chromium'}",
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
