"""Markdown for people: texts of any origin show as they are and act on nobody."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from assay.text import one_line, value_text

_NOTHING: Final = "&#8203;"
"""A space of no width."""


def markdown_table(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; cells are escaped."""

    def line(cells: Sequence[Any]) -> str:
        return "| " + " | ".join(markdown_text(value_text(cell)) for cell in cells) + " |"

    return "\n".join([line(headers), "|" + " --- |" * len(headers), *map(line, rows)]) + "\n"


def markdown_text(text: str) -> str:
    """Text as one line of Markdown that renders as it is: no markup, HTML or links of its own.

    The only function that puts text of unknown origin into Markdown. It escapes what has a meaning
    in CommonMark and in the dialects of GitHub and GitLab (links, images, table borders, bare
    addresses, mentions, quick actions), and writes characters that act instead of showing as
    escapes.
    """
    escaped = re.sub(r"([\\`*\[\]|~$])", r"\\\1", one_line(text))
    # Between letters or digits an underscore is text, as in most column names.
    escaped = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", escaped)
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # Some readers look for these in what was rendered, where an entity is a character again; only
    # a character between, which shows nothing, keeps them from it.
    escaped = re.sub(r"(?<=[a-zA-Z0-9]):(?=//)|[@#](?=\w)", rf"\g<0>{_NOTHING}", escaped)
    escaped = re.sub(r"(?i)\bwww(?=\.)", rf"\g<0>{_NOTHING}", escaped)
    # What begins a line may be a list, a heading, a rule or a command to the forge.
    return re.sub(r"^([-+=#]|\d+[.)])(?=[-+=#]*(\s|$))|^/(?=\w)", _begun, escaped)


def _begun(match: re.Match[str]) -> str:
    return f"{match[0][:-1]}&#{ord(match[0][-1])};"
