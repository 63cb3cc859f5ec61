"""A real browser that shows pages as the KFP UI does: in sandboxed frames of its widths."""

import html
import json
import os
import queue
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from servers import require

PANEL, COMPARE, POPPED_OUT = 427, 300, 1078
"""Pixels of KFP's frames: of the side panel, of Compare runs, and of the window of its own."""
HEIGHT = 600
_SECONDS = 120

# Runs inside of the frame, because from outside a sandbox cannot be looked into.
_MEASURE = """<script>
document.querySelectorAll("details").forEach(part => part.open = true);
const measure = () => {
if (!innerWidth || document.readyState != "complete") return setTimeout(measure, 50);
const all = [...document.querySelectorAll("body *")], wide = document.documentElement.clientWidth;
const seen = e => e.getClientRects().length;
const named = e => e.tagName + "." + e.getAttribute("class") + ": " + e.textContent.slice(0, 60);
const size = e => parseFloat(getComputedStyle(e).fontSize);
const drawn = [...document.querySelectorAll("svg text")].filter(seen).map(e => {
  const scale = e.getScreenCTM();  // text may be turned
  return size(e) * Math.hypot(scale.a, scale.b);
});
const texts = all.filter(e => seen(e) && !e.closest("svg") && [...e.childNodes].some(n =>
  n.nodeType == 3 && n.data.trim())).map(size);
const cut = all.filter(e => {
  if (!seen(e) || e.closest("defs")) return false;
  const box = e.getBoundingClientRect();
  const own = ["TD", "TH", "DIV", "P", "H1", "H2"].includes(e.tagName);
  return box.right > wide + 1 || box.left < -1 || (own && e.scrollWidth > e.clientWidth + 1);
}).map(named);
parent.postMessage({name: NAME, mode: document.compatMode, frame: innerWidth,
  width: document.documentElement.scrollWidth, height: document.documentElement.scrollHeight,
  svg: Math.min(...drawn, 1e3), text: Math.min(...texts, 1e3), cut,
  paper: getComputedStyle(document.body).backgroundColor}, "*");
};
measure();</script>"""

_COLLECT = """<script>
const found = [];
addEventListener("message", message => {
  found.push(message.data);
  if (found.length == COUNT) fetch("/found", {method: "POST", body: JSON.stringify(found)});
});</script>"""


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
    frames = [
        _frame(page + _MEASURE.replace("NAME", json.dumps([name, width])), width)
        for name, page in pages.items()
        for width in widths
    ]
    host = _host(_COLLECT.replace("COUNT", str(len(frames))) + "".join(frames))
    with _serving(host) as (url, told), _running(folder, url):
        try:
            found = told.get(timeout=_SECONDS)
        except queue.Empty:
            pytest.fail(f"Chromium did not measure {len(frames)} frames:\n{_log(folder)}")
    return {
        (str(each["name"][0]), int(each["name"][1])): Seen(
            **{name: value for name, value in each.items() if name != "name"}
        )
        for each in found
    }


@contextmanager
def _serving(page: str) -> Iterator[tuple[str, "queue.Queue[Any]"]]:
    """A server of one page, and what the page sends back."""
    told: queue.Queue[Any] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(page.encode() if self.path == "/" else b"")

        def do_POST(self) -> None:
            told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer(b"")

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def _running(folder: Path, url: str) -> Iterator[None]:
    """Chromium on a page until the block ends, with all processes that it starts."""
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [*_command(folder), "--remote-debugging-port=0", url],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _log(folder: Path) -> str:
    return (folder / "chromium.log").read_text(errors="replace")[-2000:]


def alone(page: str, folder: Path) -> str:
    """The mode of a page in a window of its own: `CSS1Compat` is the standard's."""
    file = folder / "alone.html"
    file.write_text(page + "<script>document.title = document.compatMode</script>")
    found = re.search("<title>(.*?)</title>", _chromium(folder, "--dump-dom", file.as_uri()))
    assert found
    return found[1]


def picture(page: str, width: int, height: int, file: Path) -> None:
    """A page in a window of its own, as a PNG, for people."""
    file.parent.mkdir(parents=True, exist_ok=True)
    source = file.with_suffix(".html")
    source.write_text(page, encoding="utf-8")
    size = f"--window-size={width},{height}"
    _chromium(file.parent, size, f"--screenshot={file}", source.as_uri())


def _frame(page: str, width: int) -> str:
    return (
        f'<iframe sandbox="allow-scripts" srcdoc="{html.escape(page)}" '
        f'style="width:{width}px;height:{HEIGHT}px;border:0"></iframe>'
    )


def _host(content: str) -> str:
    return f'<!doctype html><meta charset="utf-8"><body style="margin:10px">{content}'


def _chromium(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [*_command(folder), *arguments], capture_output=True, text=True, timeout=_SECONDS
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def _command(folder: Path) -> list[str]:
    return [
        require("chromium", "on Debian: apt-get install chromium"),
        "--headless",
        "--no-sandbox",  # root has none; the frames keep theirs
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--hide-scrollbars",
        f"--user-data-dir={folder / 'chromium'}",
    ]
