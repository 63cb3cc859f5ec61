"""Naming what is wrong in few words: similar names, some of many problems, values cut short.

Error messages quote what somebody else wrote, so each of these is bounded in length and in time,
however much was written.
"""

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Final, TypeVar

MAX_NAMED: Final = 20
"""Offenders of one kind that an error names; of the rest it says how many there are."""
MAX_WORD_CHARS: Final = 100
"""Longer words are not compared: nobody misspells a name of that length into another."""
MAX_WORDS: Final = 2000
"""Names that a word is compared with; comparing takes some 10 microseconds each."""
MAX_SHOWN_CHARS: Final = 80

_T = TypeVar("_T")


def closest(word: str, words: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The most similar of `words`, or None; the same answer whatever their order.

    Args:
        word: What was written.
        words: What could have been meant.
        cutoff: The least similarity, from 0 to 1, as `difflib.get_close_matches` defines it.
    """
    if len(word) > MAX_WORD_CHARS:
        return None
    near = sorted(words)
    if len(near) > MAX_WORDS:
        near = [other for other in near if other[:1].casefold() == word[:1].casefold()]
    return next(iter(get_close_matches(word, near[:MAX_WORDS], n=1, cutoff=cutoff)), None)


def some(offenders: Sequence[_T], tell: Callable[[_T], str], limit: int = MAX_NAMED) -> list[str]:
    """One line for each of the first `limit` offenders, and one with the number of the others."""
    told = [tell(offender) for offender in offenders[:limit]]
    more = len(offenders) - limit
    return told if more <= 0 else [*told, f"and {more} more"]


def shown(value: Any, limit: int = MAX_SHOWN_CHARS) -> str:
    """A value as an error quotes it: as Python writes it, at most `limit` characters."""
    if isinstance(value, dict | list | tuple | set):
        # Written out, it could be as large as the file.
        return f"{type(value).__name__} of {len(value)}"
    text = repr(value[: limit + 1] if isinstance(value, str) else value)
    return text if len(text) <= limit else f"{text[:limit]}…"
