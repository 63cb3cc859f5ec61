"""Text for people: of unknown origin, made safe to show, and numbers, limits and reasons in words.

For a terminal, a log, a report or a message.
"""

import math
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

MAX_NAME: Final = 80
"""Characters of a column name or value that a message quotes."""

MAX_LINE: Final = 70
"""Characters of a line of a log; the KFP UI cuts longer ones."""

SHORT_HEX: Final = 12
"""Digits of a short digest; with fewer, two of a large store could be the same."""

_LIMITS: Final[Mapping[str, str]] = {
    ">=": "at least",
    ">": "above",
    "<=": "at most",
    "<": "below",
    "==": "exactly",
    "!=": "anything but",
}
_THOUSAND: Final = 1_000
_EXACT: Final = 1e15
_USUAL: Final = 0.95
"""Confidence of an interval that needs no word."""
_SAME: Final = 1e-9
_DIGITS: Final = 4
_ALL_DIGITS: Final = 17

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


def short(digest: str) -> str:
    """A digest short enough for a line or a table; commands take it as it stands."""
    prefix, _, digits = digest.partition(":")
    return f"{prefix}:{digits[:SHORT_HEX]}" if digits else digest


def number(value: float | None, *, beside: float | None = None) -> str:
    """A number for reading: four significant digits, and a dash for none.

    Args:
        value: Above 1,000 it is rounded to a whole one.
        beside: A limit that it is compared with. It gets as many digits as it takes to stand on
            its own side of the limit.
    """
    if value is None or not math.isfinite(value):
        return "\u2013"
    if beside is None:
        whole = _THOUSAND <= abs(value) < _EXACT
        return f"{value:,.0f}" if whole else f"{value:.{_DIGITS}g}"
    for digits in range(_DIGITS, _ALL_DIGITS):
        text = f"{value:.{digits}g}"
        shown = float(text)
        if (shown > beside, shown < beside) == (value > beside, value < beside):
            return text if "e" not in text else _exact(value)
    return _exact(value)


def value_text(value: Any) -> str:
    """A value of a table: numbers with a fraction, and None, as in `number`; others as they are."""
    return number(value) if value is None or isinstance(value, float) else str(value)


def _exact(value: float) -> str:
    value = float(value)  # a parameter that is 1.0 comes as 1 out of JSON
    return f"{value:,.0f}" if value.is_integer() and abs(value) < _EXACT else repr(value)


def interval_text(
    value: float | None, low: float | None, high: float | None, *, beside: float | None = None
) -> str:
    """A value and its interval, such as `0.8745 (0.87 to 0.879)`; `beside` as for `number`."""
    told = number(value, beside=beside)
    if low is None or high is None:
        return told
    return f"{told} ({number(low, beside=beside)} to {number(high, beside=beside)})"


def limit(comparison: str, threshold: float) -> str:
    """What a comparison such as `>=` allows, in words: `at least 0.86`."""
    # A person wrote it: all its digits.
    return f"{_LIMITS.get(comparison, comparison)} {_exact(threshold)}".strip()


def finding_text(
    name: str,
    value: float,
    bounds: tuple[float, float, float] | None,
    comparison: str,
    threshold: float,
) -> str:
    """A finding as a sentence: `accuracy is 0.84 (0.83 to 0.85); allowed at least 0.86`.

    Args:
        name: Of what was measured.
        value: What was found.
        bounds: Low end, high end and confidence of its interval; None when it has none.
        comparison: As for `limit`.
        threshold: What the value is compared with.
    """
    found = _found(value, bounds, threshold)
    return f"{name} is {found}; allowed {limit(comparison, threshold)}"


def regression_text(
    metric: str,
    value: float,
    bounds: tuple[float, float, float] | None,
    comparison: str,
    threshold: float,
) -> str:
    """A comparison with production as a sentence; the arguments are as for `finding_text`.

    For example `accuracy is worse by 0.121 (0.112 to 0.131); allowed at most 0.01`.
    """
    better = value < 0
    if better:
        turned = None if bounds is None else (-bounds[1], -bounds[0], bounds[2])
        found = f"{metric} is better by {_found(-value, turned, -threshold)}"
    else:
        found = f"{metric} is worse by {_found(value, bounds, threshold)}"
    if threshold < 0:
        return f"{found}; wanted better by {limit(comparison.replace('<', '>'), -threshold)}"
    allowed = limit(comparison, threshold).replace(_LIMITS["<"], "less than")
    return f"{found}; allowed {'worse by ' if better else ''}{allowed}"


def _found(value: float, bounds: tuple[float, float, float] | None, beside: float) -> str:
    low, high, confidence = bounds or (None, None, _USUAL)
    told = interval_text(value, low, high, beside=beside)
    if abs(confidence - _USUAL) < _SAME:
        return told
    return f"{told[:-1]} at {100 * confidence:.4g} %)"


def reason_lines(reasons: Iterable[str], width: int = MAX_LINE) -> list[str]:
    """Reasons as lines of a log: each begins a line, and goes on with two blanks."""
    return [
        line
        for reason in reasons
        for line in textwrap.wrap(
            one_line(reason), width, subsequent_indent="  ", break_on_hyphens=False
        )
    ]


def log_lines(causes: Sequence[str], width: int = MAX_LINE) -> list[str]:
    """Causes as lines for a log that is cut and not wrapped: each begins a line."""
    lines: list[str] = []
    for place, cause in enumerate(map(one_line, causes), 1):
        indent = "" if place == 1 else "  "
        lines += textwrap.wrap(
            cause if place == len(causes) else f"{cause};",
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
