r"""Regular expressions of suites: matched by RE2, which takes time linear in the text.

Python's own matcher goes back and tries again, so that a short pattern can take years on a short
text. RE2 refuses what it could not match in linear time (back references, look-around). What both
take but read differently is translated, so that a pattern means what it means to Great
Expectations, which uses Python's:

| pattern | Python | RE2 |
| --- | --- | --- |
| `\d`, `\w`, `\s` and their opposites | of Unicode | of ASCII |
| `$` | also before a line end that ends the text | only at the end |
| `\Z` | the end | not known |
| `{,3}` | up to 3 | these characters |

`\b` and `\B` stay RE2's: they know words of ASCII letters.
"""

import re
import warnings
from typing import TYPE_CHECKING, Final

from assay.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

MAX_PATTERN: Final = 1000
"""Characters of a pattern."""
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
_FLAGS: Final = re.compile(r"\(\?[a-zA-Z]*m")


def pattern_problem(pattern: str) -> str:
    """Why a pattern cannot be used; empty when it can."""
    try:
        compiled(pattern)
    except UsageError as error:
        return str(error)
    return ""


def compiled(pattern: str) -> str:
    """A pattern of Python's as RE2's, which was tried.

    Raises:
        UsageError: Too long, no pattern of Python's, or one that RE2 refuses.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(pattern) > MAX_PATTERN:
        raise UsageError(f"has {len(pattern)} characters, the limit is {MAX_PATTERN}")
    shown = pattern if len(pattern) <= 80 else f"{pattern[:80]}…"  # noqa: PLR2004 - enough to find it
    try:
        with warnings.catch_warnings():
            # A nested set, which Python's next versions read as another pattern.
            warnings.simplefilter("error")
            re.compile(pattern)
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
    """For each text, whether the pattern is found somewhere in it; null for null.

    Raises:
        UsageError: As `compiled`.
    """
    import pyarrow.compute as pc

    return pc.match_substring_regex(texts, compiled(pattern))


def _translated(pattern: str) -> str:
    multiline = _FLAGS.search(pattern) is not None
    found, place, inside = [], 0, False
    while place < len(pattern):
        piece = pattern[place]
        if piece == "\\" and place + 1 < len(pattern):
            name = pattern[place + 1]
            if inside and name in "WS":
                raise UsageError(f"\\{name} within [ ] is not supported; write what it stands for")
            known = _INSIDE if inside else _OUTSIDE
            piece, place = known.get(name, pattern[place : place + 2]), place + 2
        elif inside:
            inside = piece != "]"
            place += 1
        elif piece == "[":
            # The first "]" of a class is one of its characters.
            first = re.compile(r"\[\^?\]?").match(pattern, place)
            piece = first.group() if first else piece
            inside, place = True, place + len(piece)
        elif piece == "$" and not multiline:
            piece, place = r"(?:\n?\z)", place + 1
        elif pattern.startswith("{,", place):
            piece, place = "{0,", place + 2
        else:
            place += 1
        found.append(piece)
    return "".join(found)
