"""Reading a YAML file that a person wrote, with the place of everything in it.

Nothing is constructed: the nodes are walked, so that every mistake has its line and column, and all
are reported at once. Unknown and repeated keys, anchors, aliases and tags are mistakes.
"""

from collections.abc import Sequence
from typing import Any, Final

import yaml

from assay.documents.nodes import Limits, compose, explain
from assay.documents.places import place
from assay.documents.words import MAX_NAMED, closest, shown
from assay.documents.yaml_values import decoded
from assay.errors import UsageError

MAX_DEPTH: Final = 8
"""A policy nests three deep."""
MAX_PROBLEMS: Final = 100
"""How many problems an error names."""
MAX_MESSAGE_CHARS: Final = 400


class NodeReader:
    """Walks a file's nodes and collects every problem.

    Args:
        name: What to call the file in errors.
        data: The file's bytes, UTF-8.
        max_bytes: The most that is read.
        error: Class of the errors.

    Raises:
        UsageError: As `error`: too large, or not UTF-8.
    """

    def __init__(
        self, name: str, data: bytes, max_bytes: int, error: type[UsageError] = UsageError
    ) -> None:
        self._name = name
        self._error = error
        self._limits = Limits(max_bytes, MAX_DEPTH)
        self._problems: list[tuple[int, int, str]] = []
        self._source = decoded(data, name, self._limits, error)

    def compose(self, otherwise: str) -> Any:
        """The document's node, a mapping.

        Args:
            otherwise: What to tell who gave something else than a mapping.

        Raises:
            UsageError: Not one YAML document, or no mapping.
        """
        try:
            composed = compose(self._source, self._limits)
        except yaml.YAMLError as error:
            raise self._error(f"{self._name} {explain(self._source, error)}") from error
        for mark, message in composed.refused:
            self._add_at(mark, message)
        node = composed.root
        if not isinstance(node, yaml.MappingNode):
            self._add_at(node.start_mark if node else None, otherwise)
            self.finish()
        return node

    def finish(self) -> None:
        """Raise all problems, in the order of the file.

        Raises:
            UsageError: If there are any.
        """
        if self._problems:
            found = sorted(set(self._problems))
            told = [
                f"{self._name} line {line}, column {column}: {_clip(message)}"
                for line, column, message in found[:MAX_PROBLEMS]
            ]
            if len(found) > MAX_PROBLEMS:
                told.append(f"and {len(found) - MAX_PROBLEMS} more")
            raise self._error.all_of(told)

    def _fields(self, node: Any, known: Sequence[str], what: str) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        unknown: list[Any] = []
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
            if name not in known:
                unknown.append(key)
                continue
            if name in fields:
                self._add(key, f"key {name!r} is given twice")
            fields.setdefault(name, value)
        # Looking for similar names takes long, so it ends where nobody would read what it found.
        told = MAX_NAMED if len(self._problems) < MAX_PROBLEMS else 0
        for key in unknown[:told]:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
            close = closest(name, known)
            hint = f"did you mean {close!r}?" if close else f"known are {', '.join(known)}"
            self._add(key, f"unknown key {shown(name)} in a {what}; {hint}")
        if len(unknown) > told:
            self._add(unknown[told], f"and {len(unknown) - told} more unknown keys in a {what}")
        return fields

    def _text(self, node: Any, default: str = "") -> str:
        if node is None:
            return default
        if not isinstance(node, yaml.ScalarNode):
            self._add(node, "expected text")
            return default
        text = str(node.value)
        if any("\ud800" <= character <= "\udfff" for character in text):
            self._add(node, "half of a surrogate pair is not text")
        return text

    def _add(self, node: Any, message: str, offset: int = 0) -> None:
        self._problems.append((*place(self._source, node, offset), message))

    def _add_at(self, mark: Any, message: str) -> None:
        self._problems.append((*((mark.line + 1, mark.column + 1) if mark else (1, 1)), message))


def _clip(message: str) -> str:
    return message if len(message) <= MAX_MESSAGE_CHARS else f"{message[:MAX_MESSAGE_CHARS]}…"
