"""Text of unknown origin, made safe to show: in a terminal, a log, a report or a message."""

import re
import textwrap
from typing import Final

MAX_NAME: Final = 80
"""Characters of a column name or value that a message quotes."""

LOG_WIDTH: Final = 70
"""Characters of a line that KFP's log panel shows."""

_HIDDEN: Final = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters: move the cursor, start escape sequences
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # turn the direction of a line round
    "\u2028\u2029"  # end a line for some readers only
    "\u200b-\u200d\u2060-\u2064\u206a-\u206f\ufeff\u00ad\u180e\u3164\ufff9-\ufffb"  # show nothing
    "\ud800-\udfff"  # half a character; cannot be written as UTF-8
    "\U000e0000-\U000e007f"  # tags: invisible text
    "]"
)


def visible(text: str) -> str:
    """Text with an escape in place of each character that acts instead of showing.

    Blanks and line ends are such characters too, except the space; a caller that wants them as
    layout splits first.
    """
    return _HIDDEN.sub(_escape, text)


def one_line(text: str) -> str:
    """Text as one line: runs of white space become a blank, the rest is as in `visible`."""
    return visible(" ".join(text.split()))


def quoted(text: str, limit: int = MAX_NAME) -> str:
    """A name or value in quotes for a message: visible, on one line, at most `limit` characters."""
    cut = text if len(text) <= limit else f"{text[:limit]}…"
    mark = '"' if "'" in cut and '"' not in cut else "'"
    escaped = (
        cut.replace("\\", "\\\\")
        if mark == '"'
        else (cut.replace("\\", "\\\\").replace("'", "\\'"))
    )
    return f"{mark}{visible(escaped)}{mark}"


def log_lines(text: str, width: int = LOG_WIDTH) -> list[str]:
    """Text as lines for a log that is cut and not wrapped: one cause a line, the rest indented."""
    lines: list[str] = []
    for place, cause in enumerate(one_line(text).split("; ")):
        indent = "" if place == 0 else "  "
        lines += textwrap.wrap(
            cause,
            width,
            initial_indent=indent,
            subsequent_indent=f"{indent}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if match[0] in "\t\n\r":
        return {"\t": "\\t", "\n": "\\n", "\r": "\\r"}[match[0]]
    if code <= 0xFF:  # noqa: PLR2004 - two hex digits hold it
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - four do
