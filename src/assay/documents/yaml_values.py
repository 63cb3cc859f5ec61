"""YAML as values: what `yaml.safe_load` gives, without its surprises and without its dangers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from assay.documents.nodes import Limits, compose, explain
from assay.documents.places import place_of_index
from assay.documents.scalars import resolve
from assay.documents.words import MAX_NAMED, shown
from assay.errors import AssayError, UsageError

_LIMITS: Final = Limits()
Path = tuple[str | int, ...]
"""Keys and indices from the document's root."""


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says, and where."""

    value: Any
    """None, truth values, numbers, texts, lists and dicts; keys are texts as they are written."""
    _name: str
    _root: Any

    def place(self, path: Sequence[str | int] = (), *, key: bool = False) -> tuple[int, int]:
        """Line and column, from 1, where the value at `path` begins, or the key that leads to it.

        Of a path that leaves the document, the place of the last value on it.
        """
        node = found = self._root
        for step in path:
            if isinstance(node, yaml.MappingNode):
                pair = next((pair for pair in node.value if pair[0].value == step), None)
                if pair is None:
                    break
                found, node = (pair[0] if key else pair[1]), pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
                if step >= len(node.value):
                    break
                found = node = node.value[step]
            else:
                break
        return (found.start_mark.line + 1, found.start_mark.column + 1) if found else (1, 1)

    def at(self, place: tuple[int, int]) -> str:
        """A place in words: `policy line 3, column 5`."""
        return f"{self._name} line {place[0]}, column {place[1]}"


def read_yaml(
    data: bytes | str,
    name: str,
    limits: Limits = _LIMITS,
    *,
    error: type[AssayError] = UsageError,
    person: bool = True,
) -> Document:
    """Read a YAML file that somebody else wrote.

    JSON's booleans, numbers and null are themselves; everything else without quotes is text as it
    is written: `no`, `on`, `2024-01-31`, `12:30`. What YAML versions read as different numbers
    (`017`, `0x1f`, `1_000`, `1e5`) is refused. Refused as well: repeated keys, merge keys (`<<`),
    anchors, aliases, tags, directives, a second document, numbers that are not finite.

    Args:
        data: UTF-8, with or without a byte order mark.
        name: What to call the file in errors.
        limits: How much is read.
        error: Class of the errors.
        person: False for files that PyYAML wrote: aliases are followed, and what is ambiguous was
            text, because it writes numbers in one way only.

    Raises:
        UsageError: As `error`: not such a file; names up to 20 offenders, each with its place.
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
        found = sorted(set(builder.problems))
        told = [
            f"{name} line {line}, column {column}: {message}"
            for line, column, message in found[:MAX_NAMED]
        ]
        if len(found) > MAX_NAMED:
            told.append(f"and {len(found) - MAX_NAMED} more")
        raise error.all_of(told)
    return Document(value, name, composed.root)


def decoded(data: bytes | str, name: str, limits: Limits, error: type[Exception]) -> str:
    """The text of a file, within its bounds.

    Raises:
        UsageError: As `error`: too large, or not UTF-8.
    """
    if len(data) > limits.size:
        raise error(f"{name}: {len(data):,} bytes, the limit is {limits.size:,}")
    if isinstance(data, str):
        return data
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        before = data[: cause.start].decode(errors="replace")
        line, column = place_of_index(before, len(before))
        raise error(f"{name} line {line}, column {column}: not UTF-8") from cause


class _Builder:
    """Makes values of nodes and collects what is wrong with them."""

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
            # Quoted, or a block: text, whatever it looks like.
            return node.value
        try:
            return resolve(node.value, person=self._person)
        except ValueError as error:
            self.add(node.start_mark, str(error))
            return None

    def _object(self, node: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.add(key.start_mark, "a key must be text")
            elif key.value == "<<" and not key.style:
                self.add(key.start_mark, "merge keys (<<) are not admitted; write it out")
            elif key.value in found:
                self.add(key.start_mark, f"key {shown(key.value)} is given twice")
            else:
                found[key.value] = self.value(value)
        return found
