"""Check named values against their declared types, and report all problems together.

The `settings` of a component and the `options` of a pipeline are one JSON object in the run form.
KFP only checks that it is an object, so names and types are checked here.
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
"""KFP passes numbers as floating point, which is not exact for larger integers."""


def typed(value: Any, expected: type) -> Any:
    """Convert a JSON value to the type `expected`, without losing information.

    An integer may arrive as 1.0, because KFP passes all numbers inside objects as floats.

    Raises:
        ValueError: The value has another type; the message names the expected type.
    """
    value = _as_number(value, expected)
    if expected is not bool and isinstance(value, bool):
        raise ValueError(f"expected {_words(expected)}, got {str(value).lower()}")
    if expected is int and isinstance(value, int) and abs(value) > _EXACT:
        raise ValueError(f"expected a whole number up to {_EXACT}, got {shown(value)}")
    if not isinstance(value, expected):
        raise ValueError(f"expected {_words(expected)}, got {shown(value)}")  # noqa: TRY004 - a user's mistake
    return value


def _as_number(value: Any, expected: type) -> Any:
    """Convert between int and float, if that is exact; other values are not changed."""
    if expected is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def checked(
    values: Mapping[str, Any], known: Mapping[str, type], what: str = "options"
) -> dict[str, Any]:
    """Check the names and types of `values`.

    Args:
        values: Values by name.
        known: Type of each allowed name.
        what: Name of the object in error messages.

    Returns:
        The values, each converted to its type.

    Raises:
        UsageError: Unknown names or values of other types; the message lists all of them.
    """
    unknown = [name for name in values if name not in known]
    problems = some(unknown, lambda name: f"{what}: no {shown(name)}; {hint(name, known)}")
    converted: dict[str, Any] = {}
    for name in (name for name in values if name in known):
        try:
            converted[name] = typed(values[name], known[name])
        except ValueError as error:
            problems.append(f"{what}.{name}: {error}")
    if problems:
        raise UsageError.all_of(problems)
    return converted


def hint(name: str, known: Iterable[str]) -> str:
    """A suggestion for the unknown name `name`."""
    names = sorted(known)
    close = closest(name, names)
    return f"did you mean {close!r}?" if close else f"there are: {', '.join(names)}"


def _words(expected: type) -> str:
    return _WORDS.get(expected, expected.__name__)
