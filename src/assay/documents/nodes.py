"""Parse YAML text into nodes with positions; no Python objects are constructed.

libyaml, which PyYAML includes, parses the text one event at a time, so that parsing stops as soon
as a file exceeds a limit. The nodes have positions, so that each problem can be located; see
`assay.documents.positions`.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from assay.documents.positions import position_of_index

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml if PyYAML was built with it, which is about 20 times faster."""
_NOT_PRINTABLE: Final = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
"""Characters that YAML forbids (YAML 1.2.2, section 5.1), and the byte order mark."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on a file."""

    size: int = 1 << 20
    """Bytes."""
    depth: int = 64
    """Nesting depth of lists and objects."""
    values: int = 200_000
    """Number of scalars, lists and objects; an alias counts as everything that it refers to."""


@dataclass(frozen=True, slots=True)
class Composed:
    """A file's nodes, and the syntax in it that is not allowed."""

    root: Any
    """A PyYAML node; None for a file without content."""
    refused: list[tuple[Any, str]] = field(default_factory=list)
    """The mark and a message for each violation."""


def compose(source: str, limits: Limits, *, aliases: bool = False) -> Composed:
    """The one document in `source`.

    Args:
        source: The text.
        limits: Depth and number of values.
        aliases: Resolve anchors and aliases, which programs write for values that occur twice. If
            false they are reported in `refused`. Tags and directives are always reported.

    Returns:
        The nodes and the violations.

    Raises:
        yaml.YAMLError: Not YAML, more than one document, or a limit was exceeded; `explain`
            formats the position and the reason.
    """
    if bad := _NOT_PRINTABLE.search(source):
        raise yaml.reader.ReaderError("", bad.start(), ord(bad[0]), "", "")
    return _Composer(source, limits, aliases=aliases).document()


def explain(source: str, error: yaml.YAMLError) -> str:
    """Format a parse error with its position: `line 1, column 2: not YAML: ...`."""
    if isinstance(error, yaml.reader.ReaderError):
        line, column = position_of_index(source, error.position)
        return f"line {line}, column {column}: not YAML: a character that is not admitted"
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    context, problem = getattr(error, "context", None), getattr(error, "problem", None)
    reason = ", ".join(str(part) for part in (context, problem) if part)
    # An exceeded limit is not a syntax error.
    kind = "" if isinstance(error, _LimitError) else "not YAML: "
    return f"line {line}, column {column}: {kind}{reason or error}"


class _LimitError(yaml.MarkedYAMLError):
    """A file that exceeds a limit."""

    def __init__(self, problem: str, mark: Any) -> None:
        super().__init__(problem=problem, problem_mark=mark)


class _Composer:
    """Builds nodes from the parser's events."""

    def __init__(self, source: str, limits: Limits, *, aliases: bool) -> None:
        self._events = _LOADER(source)
        self._limits = limits
        self._aliases = aliases
        self._anchors: dict[str, tuple[Any, int]] = {}
        """Each completed node with an anchor, and the number of values in it."""
        self._refused: list[tuple[Any, str]] = []
        self._values = 0

    def document(self) -> Composed:
        try:
            self._events.get_event()  # the stream's start
            if self._events.check_event(yaml.StreamEndEvent):
                return Composed(None)
            start = self._events.get_event()
            if start.version or start.tags:
                self._refused.append((start.start_mark, "directives (%) are not admitted"))
            root = self._node(1)
            self._events.get_event()  # the document's end
            if not self._events.check_event(yaml.StreamEndEvent):
                second = self._events.get_event().start_mark
                raise yaml.MarkedYAMLError(
                    problem="a second document begins; give one", problem_mark=second
                )
            return Composed(root, self._refused)
        finally:
            self._events.dispose()

    def _node(self, depth: int) -> Any:
        event: Any = self._events.get_event()
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        before = self._values
        self._count(1, event.start_mark)
        if event.anchor is not None and not self._aliases:
            self._refused.append((event.start_mark, "anchors (&) are not admitted; write it out"))
        if event.tag is not None:
            self._refused.append((event.start_mark, "tags (!) are not admitted; leave it out"))
        if isinstance(event, yaml.ScalarEvent):
            scalar: Any = event
            node: Any = yaml.ScalarNode(
                "", scalar.value, scalar.start_mark, scalar.end_mark, scalar.style
            )
        else:
            node = self._collection(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, self._values - before)
        return node

    def _collection(self, event: Any, depth: int) -> Any:
        if depth > self._limits.depth:
            raise _LimitError(
                f"nested too deep; the limit is {self._limits.depth} levels", event.start_mark
            )
        items: list[Any] = []
        if isinstance(event, yaml.SequenceStartEvent):
            while not self._events.check_event(yaml.SequenceEndEvent):
                items.append(self._node(depth + 1))
            kind: Any = yaml.SequenceNode
        else:
            while not self._events.check_event(yaml.MappingEndEvent):
                items.append((self._node(depth + 1), self._node(depth + 1)))
            kind = yaml.MappingNode
        end = self._events.get_event()
        return kind("", items, event.start_mark, end.end_mark, event.flow_style)

    def _alias(self, event: Any) -> Any:
        if not self._aliases:
            self._refused.append((event.start_mark, "aliases (*) are not admitted; write it out"))
            return yaml.ScalarNode("", "", event.start_mark, event.end_mark)
        if event.anchor not in self._anchors:
            # Undefined, or inside the node that it refers to, which would recurse without end.
            raise yaml.MarkedYAMLError(
                problem=f"the alias {event.anchor!r} refers to no node before it",
                problem_mark=event.start_mark,
            )
        node, values = self._anchors[event.anchor]
        self._count(values, event.start_mark)
        return node

    def _count(self, values: int, mark: Any) -> None:
        self._values += values
        if self._values > self._limits.values:
            raise _LimitError(f"more values than the limit of {self._limits.values:,}", mark)
