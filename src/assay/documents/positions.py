"""Map a character of a YAML value to its line and column in the file.

YAML folds lines and escapes characters, so the n-th character of a value is not the n-th character
after the beginning of its node. The value is therefore aligned with its source text.
"""

import re
from typing import Any, Final

import yaml

_LINE_END = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""Line ends according to YAML 1.1."""
_BLANKS: Final = " \t\r\n\x85\u2028\u2029"
_ESCAPE = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|\r\n|[\s\S])")
_BLOCK_HEADER = re.compile(r"[|>][^\r\n]*(?:\r\n|[\r\n])")


def position(source: str, node: Any, offset: int) -> tuple[int, int]:
    """Line and column of a character of a node's value.

    Args:
        source: The text of the file.
        node: A PyYAML node of that text.
        offset: Index of the character in the value of the node.

    Returns:
        Line and column, counted from 1. The beginning of the node if it is not a scalar or cannot
        be aligned with its source.
    """
    start = node.start_mark
    if not isinstance(node, yaml.ScalarNode):
        return start.line + 1, start.column + 1
    raw = source[start.index : node.end_mark.index]
    line, column = position_of_index(raw, _index(raw, node.value, node.style, offset))
    return start.line + line, column + (start.column if line == 1 else 0)


def position_of_index(source: str, index: int) -> tuple[int, int]:
    """Line and column, from 1, of character `index` of `source`."""
    line, begin = 1, 0
    for end in _LINE_END.finditer(source, 0, index):
        line, begin = line + 1, end.end()
    return line, index - begin + 1


def _index(raw: str, value: str, style: str | None, offset: int) -> int:
    """The index in `raw` of `value[offset]`; the index after the last character for its end."""
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
    """The index of the token for `character`, after the white space that folding removed."""
    while at < len(raw):
        if style == '"' and raw[at] == "\\":
            escape = _ESCAPE.match(raw, at)
            if escape is None or escape[0][1] not in "\r\n":
                return at
            # An escaped line end and the indentation after it are not part of the value.
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
