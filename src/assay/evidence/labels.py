"""Format and parse evidence names with labels, such as `accuracy{sex="Female"}`.

A name is a Prometheus selector with equality matchers only:

```
selector = name [ "{" [ label { "," label } [ "," ] ] "}" ]
label    = ( name | text ) "=" text
```

https://prometheus.io/docs/prometheus/latest/querying/basics/ describes selectors. In texts,
backslash, quote and line end are escaped as in its exposition format; everything else is written
as it is. A label's name that is not an identifier is quoted, as Prometheus does since version 3.

The laws: `parse_label(label(name, **labels)) == (name, labels)` for every text in `labels`, so two
different columns or values never share a name; and `label` sorts labels, so equal labels give equal
names.
"""

import math
import re
from typing import Any, Final

NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)

_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_TEXT = re.compile(r'"(?:[^"\\\n]|\\["\'\\n])*"|\'(?:[^\'\\\n]|\\["\'\\n])*\'')
_EQUALS = re.compile(r"=(?![=~<>])")
_BLANKS = re.compile(r"[ \t\r\n]*")
_LEADING_NUMBER = re.compile(r"-?(?:inf|\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?![^\s])", re.ASCII)
"""Matches a number, or a range that begins with one, such as `17 to 28`."""


class Malformed(Exception):  # noqa: N818 - callers convert it to an error with a position
    """Text that is not a selector; `offset` is the index of the first unexpected character."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset


def label(name: str, /, **labels: str) -> str:
    """An evidence name with labels: `label("accuracy", sex="Female")` is `accuracy{sex="Female"}`.

    Args:
        name: An identifier; empty for labels alone, which reports use as the name of a slice.
        labels: Any strings. Label names that are not identifiers are quoted:
            `accuracy{"marital-status"="Divorced"}`.

    Raises:
        ValueError: `name` is not an identifier. A name that contains labels would be ambiguous.
    """
    if name and not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a metric, such as accuracy")
    if not labels:
        return name
    inner = ",".join(f'{_label_name(key)}="{_escape(labels[key])}"' for key in sorted(labels))
    return f"{name}{{{inner}}}"


def parse_label(text: str) -> tuple[str, dict[str, str]]:
    """The metric and the labels of an evidence name; the inverse of `label`.

    Raises:
        Malformed: Not a selector.
    """
    scanner = Scanner(text)
    metric = scanner.take(NAME, "a name") if scanner.rest()[:1] not in {"", "{"} else ""
    labels = take_labels(scanner)
    if scanner.rest():
        raise Malformed(scanner.offset, f"unexpected {scanner.rest()[:20]!r}")
    return metric, labels


def canonical_name(name: str) -> str:
    """Normalize an evidence name to the format of `label`: `a{y='2', x="1"}` to `a{x="1",y="2"}`.

    A name that is not a selector is returned unchanged; no rule can refer to it.
    """
    try:
        metric, labels = parse_label(name)
    except Malformed:
        return name
    return label(metric, **labels)


def metric_of(name: str) -> str:
    """The metric of an evidence name, without labels."""
    return name.partition("{")[0]


def is_labelled(name: str) -> bool:
    """Whether an evidence name has labels; `accuracy{}` counts as labelled."""
    return "{" in name


def sort_key(name: str) -> tuple[Any, ...]:
    """Sort key for reports: by metric, then by label, with numeric values in numeric order."""
    try:
        metric, labels = parse_label(name)
    except Malformed:
        return (name, ())
    return (metric, tuple((key, *_value_key(value)) for key, value in labels.items()))


def _value_key(value: str) -> tuple[int, float, str]:
    number = _LEADING_NUMBER.match(value)
    return (0, float(number[0]), value) if number else (1, math.inf, value)


def take_labels(scanner: "Scanner") -> dict[str, str]:
    """Parse labels in braces, if they come next.

    Raises:
        Malformed: The contents of the braces are not labels.
    """
    labels: dict[str, str] = {}
    if not scanner.skip("{"):
        return labels
    while not scanner.skip("}"):
        if labels and scanner.take(re.compile(","), "',' or '}'") and scanner.skip("}"):
            break
        begin = scanner.begin()
        key = _take_label_name(scanner)
        if key in labels:
            raise Malformed(begin, f"label {key!r} is given twice")
        scanner.refuse(re.compile(r"!=|=~|!~"), "a rule names one value: only '=' matches labels")
        scanner.take(_EQUALS, "'='")
        expected = 'a label\'s value in quotes, such as "Female"'
        labels[key] = _unescaped(scanner.take(_TEXT, expected))
    return labels


def _take_label_name(scanner: "Scanner") -> str:
    if scanner.peek(_TEXT):
        return _unescaped(scanner.take(_TEXT, "a label"))
    name = scanner.take(_LABEL_NAME, "a label's name, such as sex")
    if re.match(r"[^\s=!,}]", scanner.rest()):
        whole = name + re.split(r"[=!,}]", scanner.rest())[0].rstrip()
        raise Malformed(
            scanner.offset - len(name),
            f'put the label\'s name in quotes, because it is not an identifier: "{whole}"',
        )
    return name


def _label_name(key: str) -> str:
    return key if _LABEL_NAME.fullmatch(key) else f'"{_escape(key)}"'


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _unescaped(quoted: str) -> str:
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], quoted[1:-1])


class Scanner:
    """Reads tokens from a text and keeps the offset."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.offset = 0

    def begin(self) -> int:
        """The offset of the next token."""
        blanks = _BLANKS.match(self._text, self.offset)
        self.offset = blanks.end() if blanks else self.offset
        return self.offset

    def peek(self, pattern: re.Pattern[str]) -> str | None:
        """The next token if it matches `pattern`, without advancing."""
        match = pattern.match(self._text, self.begin())
        return match[0] if match else None

    def take(self, pattern: re.Pattern[str], expected: str) -> str:
        """Return the next token and advance past it.

        Raises:
            Malformed: The token does not match `pattern`; the message names what was `expected`.
        """
        token = self.peek(pattern)
        if token is None:
            actual = repr(self.rest()[:20]) if self.rest() else "nothing"
            raise Malformed(self.offset, f"expected {expected}, found {actual}")
        self.offset += len(token)
        return token

    def skip(self, sign: str) -> bool:
        """Advance past `sign` if it comes next; return whether it did."""
        matches = self._text.startswith(sign, self.begin())
        self.offset += len(sign) if matches else 0
        return matches

    def refuse(self, pattern: re.Pattern[str], because: str) -> None:
        """Raise an error if a token that matches `pattern` comes next.

        Raises:
            Malformed: The next token matches; the message ends with `because`.
        """
        if token := self.peek(pattern):
            raise Malformed(self.offset, f"unexpected {token!r}: {because}")

    def rest(self) -> str:
        """The text from the next token on."""
        return self._text[self.begin() :]
