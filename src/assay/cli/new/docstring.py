"""The parts of a docstring in Google style that a component is declared from."""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_SECTION: Final = re.compile(r"(Args|Returns|Raises|Yields):")
_ENTRY: Final = re.compile(r"(?P<name>\w+)(?: \((?P<type>\w+)\))?: (?P<meaning>\S.*)")
_INDENT: Final = "    "


@dataclass(frozen=True, slots=True)
class Entry:
    """What a section says of one name."""

    meaning: str
    """On one line."""
    type: str = ""
    """The word in parentheses after the name."""


@dataclass(frozen=True, slots=True)
class Docstring:
    """A docstring's text and two of its sections."""

    description: str
    """Everything above the first section."""
    arguments: Mapping[str, Entry]
    returns: Mapping[str, Entry]

    @classmethod
    def of(cls, function: object) -> "Docstring":
        """The docstring of a function; empty if it has none."""
        return cls.parse(inspect.getdoc(function) or "")

    @classmethod
    def parse(cls, text: str) -> "Docstring":
        """A docstring's text, without its indentation."""
        parts: dict[str, list[str]] = {"": []}
        section = ""
        for line in text.splitlines():
            if match := _SECTION.fullmatch(line):
                section = match[1]
            parts.setdefault(section, []).append(line)
        return cls(
            "\n".join(parts[""]).strip(),
            dict(_entries(parts.get("Args", ()))),
            dict(_entries(parts.get("Returns", ()))),
        )


def _entries(lines: Sequence[str]) -> Iterator[tuple[str, Entry]]:
    """The entries `name: meaning` or `name (type): meaning`; other text is left out."""
    entry: re.Match[str] | None = None
    words: list[str] = []
    for line in [*lines, _INDENT]:
        if line.startswith(_INDENT * 2) or not line:
            words.append(line.strip())
            continue
        if entry:
            yield entry["name"], Entry(" ".join(filter(None, words)), entry["type"] or "")
        entry = _ENTRY.fullmatch(line.strip())
        words = [entry["meaning"]] if entry else []
