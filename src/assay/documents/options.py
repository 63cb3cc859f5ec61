"""Values that somebody gave by name: each checked against what is asked for, all told at once.

A component's `settings`, and the `options` of a pipeline, are one JSON object in the run form. KFP
checks no more than that it is an object, so names and types are checked here.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from assay.documents import closest, shown, some
from assay.errors import UsageError

_WORDS: Final = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list such as [a, b]",
    dict: "an object such as {max_iter: 100}",
}


_EXACT: Final = 2**53
"""Beyond it KFP, which hands numbers over as floating point, would give a task another number."""


def typed(value: Any, wanted: type) -> Any:
    """A JSON value as a parameter of type `wanted` takes it; nothing is changed in the way.

    A whole number may come as 1.0, because KFP hands all numbers within objects over so.

    Raises:
        ValueError: Another type; the message says what was expected.
    """
    if wanted is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if wanted is not bool and isinstance(value, bool):
        raise ValueError(f"expected {_words(wanted)}, got {str(value).lower()}")
    if wanted is int and isinstance(value, int) and abs(value) > _EXACT:
        raise ValueError(f"expected a whole number up to {_EXACT}, got {shown(value)}")
    if not isinstance(value, wanted):
        raise ValueError(f"expected {_words(wanted)}, got {shown(value)}")  # noqa: TRY004 - a user's mistake
    return value


def checked(
    given: Mapping[str, Any], known: Mapping[str, type], what: str = "options"
) -> dict[str, Any]:
    """What was given under `known` names, each of its type.

    Args:
        given: By name.
        known: Type of each name that may be given.
        what: What to call `given` in errors.

    Raises:
        UsageError: Unknown names and values of other types, all of them.
    """
    unknown = [name for name in given if name not in known]
    problems = some(unknown, lambda name: f"{what}: no {shown(name)}; {hint(name, known)}")
    found: dict[str, Any] = {}
    for name in (name for name in given if name in known):
        try:
            found[name] = typed(given[name], known[name])
        except ValueError as error:
            problems.append(f"{what}.{name}: {error}")
    if problems:
        raise UsageError.all_of(problems)
    return found


def hint(name: str, known: Iterable[str]) -> str:
    """What somebody who wrote `name` could have meant."""
    names = sorted(known)
    close = closest(name, names)
    return f"did you mean {close!r}?" if close else f"there are: {', '.join(names)}"


def _words(wanted: type) -> str:
    return _WORDS.get(wanted, wanted.__name__)
