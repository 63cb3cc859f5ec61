"""Where in a YAML file a character of a value stands.

YAML folds lines and escapes characters, so the n-th character of a value is not the n-th after its
beginning in the file. To point into an expression, the value is laid beside its source again.
"""

import re
from typing import Any, Final

import yaml

_LINE_END = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""What YAML 1.1 takes as the end of a line."""
_BLANKS: Final = " \t\r\n\x85\u2028\u2029"
_ESCAPE = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|\r\n|[\s\S])")
_BLOCK_HEADER = re.compile(r"[|>][^\r\n]*(?:\r\n|[\r\n])")


def place(source: str, node: Any, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of character `offset` of a node's value in `source`.

    For what is no scalar, or cannot be followed, the place where the node begins.
    """
    start = node.start_mark
    if not isinstance(node, yaml.ScalarNode):
        return start.line + 1, start.column + 1
    raw = source[start.index : node.end_mark.index]
    line, column = place_of_index(raw, _index(raw, node.value, node.style, offset))
    return start.line + line, column + (start.column if line == 1 else 0)


def place_of_index(source: str, index: int) -> tuple[int, int]:
    """Line and column, from 1, of character `index` of `source`."""
    line, begin = 1, 0
    for end in _LINE_END.finditer(source, 0, index):
        line, begin = line + 1, end.end()
    return line, index - begin + 1


def _index(raw: str, value: str, style: str | None, offset: int) -> int:
    """The index in `raw` of what stands for `value[offset]`; after the last one for its end."""
    at = 1 if style in {"'", '"'} else 0
    if style in {"|", ">"} and (header := _BLOCK_HEADER.match(raw)):
        at = header.end()
    begin = at
    for character in value[: offset + 1]:
        begin = _begin(raw, at, character, style)
        if begin >= len(raw):
            return 0
        at = _end(raw, begin, character, style)
    return begin if offset < len(value) else at


def _begin(raw: str, at: int, character: str, style: str | None) -> int:
    """Where the token for `character` begins: after blanks that folding left out of the value."""
    while at < len(raw):
        if style == '"' and raw[at] == "\\":
            escape = _ESCAPE.match(raw, at)
            if escape is None or escape[0][1] not in "\r\n":
                return at
            # An escaped line end, and the indentation after it, stand for nothing.
            at = escape.end()
            while at < len(raw) and raw[at] in " \t":
                at += 1
        elif raw[at] == character or raw[at] not in _BLANKS or character in " \n":
            return at
        else:
            at += 1
    return at


def _end(raw: str, at: int, character: str, style: str | None) -> int:
    if style == '"' and (escape := _ESCAPE.match(raw, at)):
        return escape.end()
    if style == "'" and character == "'":
        return at + 2
    return at + 1
