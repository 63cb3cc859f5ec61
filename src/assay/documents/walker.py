"""Read a YAML file that a person wrote, keeping the position of every value.

The nodes are walked without constructing Python objects, so that every mistake has a line and a
column, and all mistakes are reported together. Unknown and repeated keys, anchors, aliases and tags
are mistakes.
"""

from collections.abc import Sequence
from typing import Any, Final

import yaml

from assay.documents.messages import MAX_NAMED, closest, shown
from assay.documents.nodes import Limits, compose, explain
from assay.documents.positions import position
from assay.documents.yaml_values import decoded
from assay.errors import UsageError

MAX_DEPTH: Final = 8
"""Policies need three levels."""
MAX_PROBLEMS: Final = 100
"""Maximum number of problems in an error."""
MAX_MESSAGE_CHARS: Final = 400


class NodeReader:
    """Walks a file's nodes and collects every problem.

    Args:
        name: Name of the file in error messages.
        data: Content of the file, UTF-8.
        max_bytes: Maximum size in bytes.
        error: Class of the exceptions to raise.

    Raises:
        UsageError: The file is too large or not UTF-8. The class is `error` if one was given.
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
        """The root node of the document, a mapping.

        Args:
            otherwise: Error message for a document that is not a mapping.

        Raises:
            UsageError: The file does not consist of one YAML document, or it is not a mapping.
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
            UsageError: At least one problem was reported.
        """
        if self._problems:
            problems = sorted(set(self._problems))
            messages = [
                f"{self._name} line {line}, column {column}: {_clip(message)}"
                for line, column, message in problems[:MAX_PROBLEMS]
            ]
            if len(problems) > MAX_PROBLEMS:
                messages.append(f"and {len(problems) - MAX_PROBLEMS} more")
            raise self._error.all_of(messages)

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
        # The search for similar names is slow, so it is skipped for problems that are not reported.
        reported = MAX_NAMED if len(self._problems) < MAX_PROBLEMS else 0
        for key in unknown[:reported]:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
            close = closest(name, known)
            hint = f"did you mean {close!r}?" if close else f"known are {', '.join(known)}"
            self._add(key, f"unknown key {shown(name)} in a {what}; {hint}")
        if len(unknown) > reported:
            self._add(
                unknown[reported], f"and {len(unknown) - reported} more unknown keys in a {what}"
            )
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
        self._problems.append((*position(self._source, node, offset), message))

    def _add_at(self, mark: Any, message: str) -> None:
        self._problems.append((*((mark.line + 1, mark.column + 1) if mark else (1, 1)), message))


def _clip(message: str) -> str:
    return message if len(message) <= MAX_MESSAGE_CHARS else f"{message[:MAX_MESSAGE_CHARS]}…"
