"""Read JSON strictly (RFC 8259), within limits, and with positions in errors."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, Final

from assay.documents.messages import shown
from assay.documents.nodes import Limits
from assay.documents.positions import position_of_index
from assay.documents.scalars import MAX_DIGITS
from assay.documents.yaml_values import decoded
from assay.errors import UsageError

_LIMITS: Final = Limits()
_TOKEN: Final = re.compile(
    r'(?P<text>"(?:[^"\\]++|\\.)*+"?)(?P<key>\s*+:)?|[{}\[\]]|[^\s{}\[\],:"]+', re.DOTALL
)
_NOT_TEXT: Final = re.compile("[\ud800-\udfff\0]")


def read_json(
    data: bytes | str,
    name: str,
    limits: Limits = _LIMITS,
    *,
    error: type[Exception] = UsageError,
    gaps: bool = False,
) -> Any:
    """Read a JSON file from an untrusted source.

    Refused: repeated names in one object, `NaN` and infinities, numbers of more than 308
    characters or beyond a float, half surrogate pairs and NUL in texts.

    Args:
        data: UTF-8, with or without a byte order mark.
        name: Name of the file in error messages.
        limits: Limits on size, depth and number of values.
        error: Class of the exceptions to raise.
        gaps: Read `NaN` as null, because MLflow writes a missing value as `NaN`.

    Returns:
        The JSON value, as `json.loads` represents it.

    Raises:
        UsageError: The file is not valid, or exceeds a limit; the message has the position. The
            class is `error` if one was given.
    """
    source = decoded(data, name, limits, error)
    if problem := _problem(source, limits):
        raise error(f"{name} {_at(source, problem[0])}: {problem[1]}")
    try:
        constant = _gap if gaps else _constant
        value = json.loads(source, parse_int=_integer, parse_float=_float, parse_constant=constant)
    except json.JSONDecodeError as cause:
        raise error(f"{name} {_at(source, cause.pos)}: not JSON: {cause.msg}") from cause
    except _RefusedError as cause:
        raise error(f"{name} {_at(source, max(source.find(cause.token), 0))}: {cause}") from cause
    if "\\" in source and not all(map(_is_text, _texts(value))):
        raise error(f"{name}: holds a text with NUL or half of a surrogate pair")
    return value


class _RefusedError(ValueError):
    """A number that is not allowed, with its spelling in the file."""

    def __init__(self, message: str, token: str) -> None:
        super().__init__(message)
        self.token = token


def _problem(source: str, limits: Limits) -> tuple[int, str] | None:
    """The index and description of the first repeated key or exceeded limit.

    Runs before any value is built. Text that is not JSON passes here; `json` reports it later.
    """
    values = 0
    open_keys: list[set[str]] = []
    for token in _TOKEN.finditer(source):
        first = source[token.start()]
        if first in "[{":
            open_keys.append(set())
            if len(open_keys) > limits.depth:
                return token.start(), f"nested too deep; the limit is {limits.depth} levels"
        elif first in "]}":
            if open_keys:
                open_keys.pop()
            continue
        elif token["key"] and open_keys:
            # Parsers disagree on which of two values with the same name to use.
            key = _unescaped(token["text"])
            if key in open_keys[-1]:
                return token.start(), f"key {shown(key)} is given twice in one object"
            open_keys[-1].add(key)
        values += 1
        if values > limits.values:
            return token.start(), f"more values than the limit of {limits.values:,}"
    return None


def _unescaped(token: str) -> str:
    if "\\" in token:
        try:
            return str(json.loads(token, strict=False))
        except ValueError:
            pass
    return token[1:-1]


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value, keys included."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            pending += item.keys()
            pending += item.values()
        elif isinstance(item, list):
            pending += item


def _is_text(text: str) -> bool:
    return _NOT_TEXT.search(text) is None


def _at(source: str, index: int) -> str:
    line, column = position_of_index(source, index)
    return f"line {line}, column {column}"


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _RefusedError(f"a number of {len(text)} characters; the limit is {MAX_DIGITS}", text)
    return int(text)


def _float(text: str) -> float:
    number = float(text) if len(text) <= MAX_DIGITS else math.inf
    if not math.isfinite(number):
        raise _RefusedError(f"{shown(text)} is too large or too long for a number", text)
    return number


def _gap(text: str) -> None:
    if text != "NaN":
        _constant(text)


def _constant(text: str) -> None:
    raise _RefusedError(f"{text} is not a number in JSON", text)
