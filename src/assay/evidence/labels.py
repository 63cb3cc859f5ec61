"""Evidence names with labels, such as `accuracy{sex="Female"}`: written and parsed here alone.

A name is a selector of Prometheus with equality only:

```
selector = name [ "{" [ label { "," label } [ "," ] ] "}" ]
label    = ( name | text ) "=" text
```

https://prometheus.io/docs/prometheus/latest/querying/basics/ describes selectors. In texts,
back-slash, quote and line end are escaped as in its exposition format; everything else is written
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
"""A value that is a number, or a range that begins with one, such as `17 to 28`."""


class Malformed(Exception):  # noqa: N818 - callers make an error of it that names the place
    """Text that is not a selector; `offset` is where it stops being one, in characters from 0."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset


def label(name: str, /, **labels: str) -> str:
    """An evidence name with labels: `label("accuracy", sex="Female")` is `accuracy{sex="Female"}`.

    Args:
        name: An identifier; empty for labels alone, which readers see as the name of a slice.
        labels: Any texts. Label names that are not identifiers are quoted:
            `accuracy{"marital-status"="Divorced"}`.

    Raises:
        ValueError: `name` is not an identifier; with labels in it, two names could be the same.
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
    """An evidence name in the spelling of `label`: `a{y='2', x="1"}` is `a{x="1",y="2"}`.

    A name that is not a selector stays as it is; no rule can ask for it.
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
    """Whether an evidence name has labels; `accuracy{}` is counted as one that has."""
    return "{" in name


def sort_key(name: str) -> tuple[Any, ...]:
    """Order for readers: by metric, then by label, values that are numbers as numbers."""
    try:
        metric, labels = parse_label(name)
    except Malformed:
        return (name, ())
    return (metric, tuple((key, *_value_key(value)) for key, value in labels.items()))


def _value_key(value: str) -> tuple[int, float, str]:
    number = _LEADING_NUMBER.match(value)
    return (0, float(number[0]), value) if number else (1, math.inf, value)


def take_labels(scanner: "Scanner") -> dict[str, str]:
    """The labels in braces that come next, if any do.

    Raises:
        Malformed: Braces whose contents are not labels.
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
        wanted = 'a label\'s value in quotes, such as "Female"'
        labels[key] = _unescaped(scanner.take(_TEXT, wanted))
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
    """Takes tokens from a text and knows how far it is."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.offset = 0

    def begin(self) -> int:
        """The offset of the next token."""
        blanks = _BLANKS.match(self._text, self.offset)
        self.offset = blanks.end() if blanks else self.offset
        return self.offset

    def peek(self, pattern: re.Pattern[str]) -> str | None:
        """The next token if it is of this form; it stays where it is."""
        match = pattern.match(self._text, self.begin())
        return match[0] if match else None

    def take(self, pattern: re.Pattern[str], wanted: str) -> str:
        """The next token.

        Raises:
            Malformed: It is not of this form; the message says what was `wanted`.
        """
        found = self.peek(pattern)
        if found is None:
            there = repr(self.rest()[:20]) if self.rest() else "nothing"
            raise Malformed(self.offset, f"expected {wanted}, found {there}")
        self.offset += len(found)
        return found

    def skip(self, sign: str) -> bool:
        """Step over `sign` if it comes next, and say whether it did."""
        there = self._text.startswith(sign, self.begin())
        self.offset += len(sign) if there else 0
        return there

    def refuse(self, pattern: re.Pattern[str], because: str) -> None:
        """Stop if a token of this form comes next.

        Raises:
            Malformed: It does.
        """
        if found := self.peek(pattern):
            raise Malformed(self.offset, f"unexpected {found!r}: {because}")

    def rest(self) -> str:
        """The text from the next token on."""
        return self._text[self.begin() :]
