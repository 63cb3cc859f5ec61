"""Helpers for error messages: similar names, the first of many problems, shortened values.

Error messages quote untrusted input, so each function is bounded in output length and time,
whatever the size of the input.
"""

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Final, TypeVar

MAX_NAMED: Final = 20
"""Problems of one kind that an error lists; it gives the number of the others."""
MAX_WORD_CHARS: Final = 100
"""Longer words are not compared with others."""
MAX_WORDS: Final = 2000
"""Maximum number of names that a word is compared with, at about 10 microseconds each."""
MAX_SHOWN_CHARS: Final = 80

_T = TypeVar("_T")


def closest(word: str, words: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The most similar of `words`.

    Args:
        word: The misspelt word.
        words: The known words, in any order.
        cutoff: Minimum similarity, from 0 to 1, as in `difflib.get_close_matches`.

    Returns:
        The most similar word, which does not depend on the order; None if none is similar.
    """
    if len(word) > MAX_WORD_CHARS:
        return None
    near = sorted(words)
    if len(near) > MAX_WORDS:
        near = [item for item in near if item[:1].casefold() == word[:1].casefold()]
    return next(iter(get_close_matches(word, near[:MAX_WORDS], n=1, cutoff=cutoff)), None)


def some(items: Sequence[_T], describe: Callable[[_T], str], limit: int = MAX_NAMED) -> list[str]:
    """Describe the first `limit` items and count the others.

    Args:
        items: What a message is about.
        describe: Returns one line for an item.
        limit: Maximum number of items to describe.

    Returns:
        A line for each described item, and one with the number of the others if there are any.
    """
    lines = [describe(item) for item in items[:limit]]
    more = len(items) - limit
    return lines if more <= 0 else [*lines, f"and {more} more"]


def shown(value: Any, limit: int = MAX_SHOWN_CHARS) -> str:
    """The `repr` of a value for an error message, at most `limit` characters."""
    if isinstance(value, dict | list | tuple | set):
        # The representation could be as large as the file.
        return f"{type(value).__name__} of {len(value)}"
    text = repr(value[: limit + 1] if isinstance(value, str) else value)
    return text if len(text) <= limit else f"{text[:limit]}…"
