"""Colours of pages and figures, and the words that have one."""

from collections.abc import Mapping
from typing import Final

INK: Final = "#1c2330"
SOFT: Final = "#5c6675"
LINE: Final = "#d9dee6"
ACCENT: Final = "#2f6fde"
SECOND: Final = "#c2700a"
THIRD: Final = "#7a4fbf"
GOOD: Final = "#11734b"
BAD: Final = "#b3261e"
OPEN: Final = "#8a5a01"

LIGHT: Final[Mapping[str, str]] = {
    "ink": INK,
    "soft": SOFT,
    "line": LINE,
    "accent": ACCENT,
    "second": SECOND,
    "third": THIRD,
    "good": GOOD,
    "bad": BAD,
    "open": OPEN,
    "page": "#ffffff",
    "band": "#f5f7fa",
}
"""By the name of the CSS variable."""
DARK: Final[Mapping[str, str]] = {
    "ink": "#e6e9ee",
    "soft": "#9aa4b2",
    "line": "#333b47",
    "accent": "#7aa7ff",
    "second": "#f0a04b",
    "third": "#b79bf0",
    "good": "#4cc38a",
    "bad": "#ff8a80",
    "open": "#f0b429",
    "page": "#14181f",
    "band": "#1b212a",
}
"""The same for a reader whose system is dark; for figures in files of their own."""

_GOOD: Final = frozenset({"pass", "passed", "done", "chosen"})
_BAD: Final = frozenset({"block", "blocked", "fail", "failed", "rejected", "drifted"})
_OPEN: Final = frozenset({"inconclusive"})
_NEITHER: Final = frozenset({"skipped", "canceled"})
OUTCOMES: Final = _GOOD | _BAD | _OPEN | _NEITHER
"""Outcomes of rules, runs and tasks, and verdicts: what has a colour."""


def colour_of(outcome: str) -> str:
    """The name of an outcome's colour; the usual colour of marks where there is no outcome."""
    if outcome in _GOOD:
        return "good"
    if outcome in _OPEN:
        return "open"
    if outcome in _BAD:
        return "bad"
    return "soft" if outcome else "accent"


def class_of(outcome: str) -> str:
    """The CSS class of an outcome; that of a skipped one for any other text."""
    return outcome if outcome in OUTCOMES else "skipped"
