r"""Regular expressions of suites, matched by RE2 in linear time.

Python's matcher uses backtracking, so that a short pattern can take years on a short text. RE2
refuses features that need backtracking (back references, look-around). Syntax with a different
meaning is translated, so that patterns have the same meaning as in Great Expectations, which uses
Python's matcher:

| pattern | Python | RE2 |
| --- | --- | --- |
| `\d`, `\w`, `\s` and their opposites | Unicode | ASCII |
| `$` | also before a line end at the end of the text | only at the end |
| `\Z` | the end | not supported |
| `{,3}` | up to 3 | literal characters |

`\b` and `\B` are those of RE2, for words of ASCII letters.
"""

import re
import warnings
from functools import lru_cache
from re import _parser  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Final

from assay.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

MAX_PATTERN: Final = 1000
"""Maximum length of a pattern."""
_WORD: Final = r"\p{L}\p{N}_"
_SPACE: Final = r"\s\x0b\x1c-\x1f\x85\p{Z}"
_INSIDE: Final = {"d": r"\p{Nd}", "D": r"\P{Nd}", "w": _WORD, "s": _SPACE}
"""Within a class, such as `[\\w-]`."""
_OUTSIDE: Final = {
    **{name: f"[{_INSIDE[name]}]" for name in "dDws"},
    "W": f"[^{_WORD}]",
    "S": rf"[^{_SPACE}]",
    "Z": r"\z",
}
_CLASS: Final = re.compile(r"\[\^?\]?")
_FLAGS: Final = re.compile(r"\(\?[a-zA-Z]*m")


def pattern_problem(pattern: str) -> str:
    """Why a pattern cannot be used; empty if it can."""
    try:
        compiled(pattern)
    except UsageError as error:
        return str(error)
    return ""


@lru_cache(maxsize=256)
def compiled(pattern: str) -> str:
    """Translate a Python pattern to RE2.

    Raises:
        UsageError: The pattern is too long, not valid in Python, or not supported by RE2.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(pattern) > MAX_PATTERN:
        raise UsageError(f"has {len(pattern)} characters, the limit is {MAX_PATTERN}")
    shown = pattern if len(pattern) <= 80 else f"{pattern[:80]}…"  # noqa: PLR2004 - enough to recognize it
    try:
        with warnings.catch_warnings():
            # Nested sets have another meaning in future versions of Python.
            warnings.simplefilter("error")
            # Not compiled: with (?i) that walks each range of characters, for seconds.
            _parser.parse(pattern)
    except (re.error, RecursionError, OverflowError, FutureWarning, DeprecationWarning) as error:
        raise UsageError(f"{shown!r} is not a regular expression: {error}") from error
    translated = _translated(pattern)
    try:
        pc.match_substring_regex(pa.array([""]), translated)
    except pa.ArrowInvalid as error:
        reason = " ".join(str(error).split()).removeprefix("Invalid regular expression: ")
        raise UsageError(
            f"{shown!r} cannot be matched in bounded time (RE2: {reason}); write it without back "
            "references and look-around"
        ) from error
    return translated


def matches(texts: "pa.Array", pattern: str) -> "pa.Array":
    """For each text, whether it contains the pattern; null for null.

    Raises:
        UsageError: As for `compiled`.
    """
    import pyarrow.compute as pc

    return pc.match_substring_regex(texts, compiled(pattern))


def _translated(pattern: str) -> str:
    multiline = _FLAGS.search(pattern) is not None
    pieces, index, inside = [], 0, False
    while index < len(pattern):
        piece = pattern[index]
        if piece == "\\" and index + 1 < len(pattern):
            name = pattern[index + 1]
            if inside and name in "WS":
                raise UsageError(f"\\{name} within [ ] is not supported; write it out")
            known = _INSIDE if inside else _OUTSIDE
            piece, index = known.get(name, pattern[index : index + 2]), index + 2
        elif inside:
            inside = piece != "]"
            index += 1
        elif piece == "[":
            # The first "]" of a class is one of its characters.
            first = _CLASS.match(pattern, index)
            piece = first.group() if first else piece
            inside, index = True, index + len(piece)
        elif piece == "$" and not multiline:
            piece, index = r"(?:\n?\z)", index + 1
        elif pattern.startswith("{,", index):
            piece, index = "{0,", index + 2
        else:
            index += 1
        pieces.append(piece)
    return "".join(pieces)
