"""YAML files that people write, read into nodes: no anchors, aliases or tags, and a bounded depth.

Whoever reads the nodes can say of each problem where it stands; see `assay.policy.places`.
"""

from typing import Any, Final, cast

import yaml

from assay.policy.places import place_of_index

MAX_DEPTH: Final = 8
"""A policy nests three deep; without a limit, a file of brackets would exhaust the stack."""


class Composer(yaml.SafeLoader):
    """Makes nodes, which know their places, and constructs nothing.

    `refused` holds what was found and is not admitted: events, each with what to do.
    """

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self.refused: list[tuple[Any, str]] = []
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Make the next node; called by the parser."""
        events = cast("Any", self)  # the parser's half of the class has no annotations
        event = events.peek_event()
        if events.check_event(yaml.AliasEvent):
            events.get_event()
            self.refused.append((event, "aliases (*) are not admitted; write it out"))
            return yaml.ScalarNode("", "", event.start_mark, event.end_mark)
        if event.anchor is not None:
            self.refused.append((event, "anchors (&) are not admitted; write it out"))
            event.anchor = None
        if event.tag is not None:
            self.refused.append((event, "tags (!) are not admitted; leave it out"))
            event.tag = "!"
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="nested too deep", problem_mark=event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def explain(source: str, error: yaml.YAMLError) -> str:
    """Where and why `source` is no YAML: `line 1, column 2: not YAML: ...`."""
    if isinstance(error, yaml.reader.ReaderError):
        line, column = place_of_index(source, error.position)
        return f"line {line}, column {column}: not YAML: a character that is not admitted"
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    context, problem = getattr(error, "context", None), getattr(error, "problem", None)
    reason = ", ".join(str(part) for part in (context, problem) if part)
    return f"line {line}, column {column}: not YAML: {reason or error}"
