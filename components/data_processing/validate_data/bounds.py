"""Bounds and sets of a suite, compared exactly with the values of a column."""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from assay.data.exact_integers import WIDE
from assay.errors import UsageError

if TYPE_CHECKING:
    from assay.data.columns import Mask

TIMES: Final = ("date32", "timestamp")
"""The types of dates and times."""
WORDS: Final = {
    "string": "text",
    "bool": "truth values",
    "int64": "whole numbers",
    "float64": "numbers",
    "date32": "dates",
    "timestamp": "times",
}
"""The values of a type, in words."""
MAX_SHOWN: Final = 60
"""Characters of a value in a message."""
_INTEGERS: Final = np.iinfo(np.int64)


def is_number(bound: Any) -> bool:
    """Whether a value of a suite is a number."""
    return isinstance(bound, int | float) and not isinstance(bound, bool)


def is_wide(value: Any) -> bool:
    """Whether a value of a suite is a whole number beyond 2^53."""
    return is_number(value) and bool(abs(value) > WIDE and value % 1 == 0)


def within(values: NDArray[Any], kwargs: Mapping[str, Any]) -> "Mask":
    """Whether each value lies within the bounds of an expectation.

    Args:
        values: Numbers, truth values or times; none missing.
        kwargs: The expectation's arguments: `min_value` and `max_value`, of which one may be None,
            `strict_min` and `strict_max`. Those of times are texts.

    Raises:
        UsageError: A bound is not a time.
    """
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    right = np.ones(len(values), dtype=np.bool_)
    if low is not None:
        right &= _above(values, low, strict=bool(kwargs.get("strict_min")))
    if high is not None:
        right &= ~_above(values, high, strict=not kwargs.get("strict_max"))
    return right


def is_within(value: Any, kwargs: Mapping[str, Any]) -> bool:
    """Whether one number lies within the bounds of an expectation."""
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    above = low is None or (value > low if kwargs.get("strict_min") else value >= low)
    below = high is None or (value < high if kwargs.get("strict_max") else value <= high)
    return bool(above and below)


def _above(values: NDArray[Any], bound: Any, *, strict: bool) -> "Mask":
    """Whether each value is above a bound, or at it unless `strict`; without rounding."""
    if values.dtype.kind == "M":
        time = np.datetime64(instant(bound), "us")
        return np.asarray(values > time if strict else values >= time)
    if values.dtype.kind == "f":
        return _above_float(values, bound, strict=strict)
    if math.isinf(bound):
        return np.full(len(values), bound < 0)
    limit = math.floor(bound) + 1 if strict else math.ceil(bound)
    if not _INTEGERS.min < limit <= _INTEGERS.max:
        return np.full(len(values), limit < 0)
    return np.asarray(values.astype(np.int64, copy=False) >= limit)


def _above_float(values: NDArray[Any], bound: float, *, strict: bool) -> "Mask":
    try:
        limit = float(bound)
    except OverflowError:
        limit = math.copysign(math.inf, bound)
    # No float lies between a whole number and the float that is nearest to it.
    if limit != bound:
        strict = limit < bound
    return np.asarray(values > limit if strict else values >= limit)


def instant(value: Any) -> dt.datetime:
    """A date or time of a suite; without a zone, as datasets hold them in UTC.

    Raises:
        UsageError: It is neither.
    """
    try:
        if not isinstance(value, str):
            raise TypeError("not a text")  # noqa: TRY301 - reported like the others
        found = dt.datetime.fromisoformat(value)
        return found if found.tzinfo is None else found.astimezone(dt.UTC).replace(tzinfo=None)
    except (ValueError, TypeError, OverflowError) as error:
        raise UsageError(
            f"the column holds dates, and {repr(value)[:MAX_SHOWN]} is not one; write it as "
            "2024-01-31 or 2024-01-31T08:00:00"
        ) from error


def members(given: Sequence[Any], stored: str) -> list[Any]:
    """The members of a set as values of a column's type, without null.

    Args:
        given: The members.
        stored: The column's type.

    Raises:
        UsageError: A member is of another type, or null is the only one.
    """
    present = [value for value in given if value is not None]
    if stored in TIMES:
        return [instant(value) for value in present]
    kinds = {"string": str, "bool": bool}.get(stored, int | float)
    # Of Python's types, bool is an int.
    unlike = [
        value
        for value in present
        if not isinstance(value, kinds) or isinstance(value, bool) != (stored == "bool")
    ]
    if unlike or not present:
        said = repr(unlike[0])[:MAX_SHOWN] if unlike else "null alone"
        raise UsageError(
            f"the column holds {WORDS[stored]}, and the set has {said}, which is not one of "
            "these; write values of the column's type, or drop it"
        )
    return present


def as_entry(member: Any, stored: str) -> Any:
    """A member of a set as an entry of a column's type; None if no entry can be equal to it.

    Args:
        member: One of `members`.
        stored: The column's type.
    """
    if stored == "int64":
        whole = not math.isinf(member) and member % 1 == 0
        return int(member) if whole and _INTEGERS.min <= member <= _INTEGERS.max else None
    try:
        if stored == "string":
            member.encode()  # not so for half of a surrogate pair
        elif stored == "float64":
            return float(member) if float(member) == member else None
    except (UnicodeEncodeError, OverflowError):
        return None
    return member
