"""Read YAML as Python values, like `yaml.safe_load` but within limits and without ambiguity."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from assay.documents.messages import MAX_NAMED, shown
from assay.documents.nodes import Limits, compose, explain
from assay.documents.positions import position_of_index
from assay.documents.scalars import resolve
from assay.errors import AssayError, UsageError

_LIMITS: Final = Limits()
Path = tuple[str | int, ...]
"""Keys and indices from the document's root."""


@dataclass(frozen=True, slots=True)
class Document:
    """The value of a file, with the position of each part."""

    value: Any
    """None, booleans, numbers, strings, lists and dicts; keys are the strings in the file."""
    _name: str
    _root: Any

    def position(self, path: Sequence[str | int] = (), *, key: bool = False) -> tuple[int, int]:
        """Line and column, counted from 1, of the value at `path`.

        If `path` leaves the document, the position of the last value on it.

        Args:
            path: Keys and indices from the root.
            key: Return the position of the key instead of its value.
        """
        node = self._root
        mark = node
        for step in path:
            entry = _entry(node, step)
            if entry is None:
                break
            mark, node = (entry[0] if key else entry[1]), entry[1]
        return (mark.start_mark.line + 1, mark.start_mark.column + 1) if mark else (1, 1)

    def at(self, position: tuple[int, int]) -> str:
        """A position for messages: `policy line 3, column 5`."""
        return f"{self._name} line {position[0]}, column {position[1]}"


def _entry(node: Any, step: str | int) -> tuple[Any, Any] | None:
    """The key and value nodes under `step`; an item of a list has no key, so it is both."""
    if isinstance(node, yaml.MappingNode):
        return next((pair for pair in node.value if pair[0].value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


def read_yaml(
    data: bytes | str,
    name: str,
    limits: Limits = _LIMITS,
    *,
    error: type[AssayError] = UsageError,
    person: bool = True,
) -> Document:
    """Read a YAML file from an untrusted source.

    Booleans, numbers and null are those of JSON; every other scalar without quotes is text as
    written: `no`, `on`, `2024-01-31`, `12:30`. Numbers that YAML versions read differently
    (`017`, `0x1f`, `1_000`, `1e5`) are refused, and so are repeated keys, merge keys (`<<`),
    anchors, aliases, tags, directives, a second document, numbers that are not finite.

    Args:
        data: UTF-8, with or without a byte order mark.
        name: Name of the file in error messages.
        limits: Limits on size, depth and number of values.
        error: Class of the exceptions to raise.
        person: False for files that PyYAML wrote: aliases are resolved, and an ambiguous scalar is
            text, because PyYAML has a single format for numbers.

    Returns:
        The value of the file, with positions.

    Raises:
        UsageError: The file is not valid; the message lists up to 20 problems with their
            positions. The class is `error` if one was given.
    """
    source = decoded(data, name, limits, error)
    try:
        composed = compose(source, limits, aliases=not person)
    except yaml.YAMLError as cause:
        raise error(f"{name} {explain(source, cause)}") from cause
    builder = _Builder(person=person)
    for mark, message in composed.refused:
        builder.add(mark, message)
    value = builder.value(composed.root) if composed.root is not None else None
    if builder.problems:
        problems = sorted(set(builder.problems))
        messages = [
            f"{name} line {line}, column {column}: {message}"
            for line, column, message in problems[:MAX_NAMED]
        ]
        if len(problems) > MAX_NAMED:
            messages.append(f"and {len(problems) - MAX_NAMED} more")
        raise error.all_of(messages)
    return Document(value, name, composed.root)


def decoded(data: bytes | str, name: str, limits: Limits, error: type[Exception]) -> str:
    """Decode a file.

    Args:
        data: UTF-8, with or without a byte order mark.
        name: Name of the file in error messages.
        limits: The limits, of which the size is checked here.
        error: Class of the exceptions to raise.

    Returns:
        The text, without the byte order mark.

    Raises:
        UsageError: The file is too large, or not UTF-8. The class is `error` if one was given.
    """
    if len(data) > limits.size:
        raise error(f"{name}: {len(data):,} bytes, the limit is {limits.size:,}")
    if isinstance(data, str):
        return data
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        before = data[: cause.start].decode(errors="replace")
        line, column = position_of_index(before, len(before))
        raise error(f"{name} line {line}, column {column}: not UTF-8") from cause


class _Builder:
    """Builds values from nodes and collects problems."""

    def __init__(self, *, person: bool) -> None:
        self._person = person
        self.problems: list[tuple[int, int, str]] = []

    def add(self, mark: Any, message: str) -> None:
        self.problems.append((mark.line + 1, mark.column + 1, message))

    def value(self, node: Any) -> Any:
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item) for item in node.value]
        if isinstance(node, yaml.MappingNode):
            return self._object(node)
        if "\0" in node.value:
            self.add(node.start_mark, "a NUL character is not text")
        if node.style:
            # A quoted scalar or a block is always text.
            return node.value
        try:
            return resolve(node.value, person=self._person)
        except ValueError as error:
            self.add(node.start_mark, str(error))
            return None

    def _object(self, node: Any) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.add(key.start_mark, "a key must be text")
            elif key.value == "<<" and not key.style:
                self.add(key.start_mark, "merge keys (<<) are not admitted; write it out")
            elif key.value in fields:
                self.add(key.start_mark, f"key {shown(key.value)} is given twice")
            else:
                fields[key.value] = self.value(value)
        return fields
