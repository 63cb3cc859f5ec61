"""Expressions such as `accuracy{sex="Female"} >= 0.80`: one comparison of evidence with a number.

```
expression = selector comparison number
selector   = name [ "{" [ label { "," label } [ "," ] ] "}" ]
label      = ( name | text ) "=" text
comparison = "<" | "<=" | ">" | ">=" | "==" | "!="
```

Selectors are Prometheus' instant vector selectors with equality matchers only, because a rule must
name one value: https://prometheus.io/docs/prometheus/latest/querying/basics/. In texts, back-slash,
quote and line end are escaped as in its exposition format.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from assay.errors import PolicyError
from assay.evidence import label

NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)

_COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_COMPARISON = re.compile("|".join(map(re.escape, _COMPARISONS)))
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_TEXT = re.compile(r'"(?:[^"\\\n]|\\["\'\\n])*"|\'(?:[^\'\\\n]|\\["\'\\n])*\'')
_EQUALS = re.compile(r"=(?![=~<>])")
_BLANKS = re.compile(r"[ \t\r\n]*")
_MISTAKES: Final = {
    "=": "write '==' to compare",
    "=>": "write '>='",
    "=<": "write '<='",
    "<>": "write '!='",
    "≥": "write '>='",
    "≤": "write '<='",
    "≠": "write '!='",
}
_MISTAKE = re.compile("=>|=<|<>|=(?!=)|≥|≤|≠")
_NOT_FINITE = re.compile(r"[+-]?\.?(nan|inf(inity)?)\b", re.ASCII | re.IGNORECASE)


class Malformed(Exception):  # noqa: N818 - becomes a PolicyError with the place in the file
    """Text that is no expression; `offset` is where it stops being one, in characters from 0."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Expression:
    """One comparison. The law: `parse_expression(str(e)) == e`."""

    metric: str
    labels: Mapping[str, str]
    comparison: str
    threshold: float
    """Finite."""

    @property
    def evidence_name(self) -> str:
        """The name under which the value stands in the evidence."""
        return label(self.metric, **self.labels)

    def holds(self, value: float) -> bool:
        """Whether `value` satisfies the comparison; NaN and infinities never do."""
        return math.isfinite(value) and _COMPARISONS[self.comparison](value, self.threshold)

    def __str__(self) -> str:
        return f"{self.evidence_name} {self.comparison} {repr(self.threshold).removesuffix('.0')}"


def parse_expression(text: str) -> Expression:
    """Parse one expression.

    Raises:
        PolicyError: With the column.
    """
    try:
        return parse(text)
    except Malformed as problem:
        raise PolicyError(f"column {problem.offset + 1}: {problem}") from problem


def parse(text: str) -> Expression:
    """As `parse_expression`, for callers that know where the text stands in a file.

    Raises:
        Malformed: With the offset.
    """
    scanner = _Scanner(text)
    scanner.refuse(NUMBER, "the metric comes first, then the comparison, then the number")
    metric = scanner.take(NAME, "the name of a metric, such as accuracy")
    labels = _labels(scanner)
    if mistake := scanner.peek(_MISTAKE):
        raise Malformed(scanner.offset, _MISTAKES[mistake])
    comparison = scanner.take(_COMPARISON, "one of < <= > >= == !=")
    threshold = _threshold(scanner)
    if scanner.rest():
        hint = (
            "write a share, such as 0.94" if scanner.rest()[0] == "%" else "one rule compares once"
        )
        raise Malformed(scanner.offset, f"unexpected {scanner.rest()[:20]!r}; {hint}")
    return Expression(metric, labels, comparison, threshold)


def canonical_name(name: str) -> str:
    """An evidence name in the spelling that rules use: `a{y='2', x="1"}` is `a{x="1",y="2"}`.

    A name that is no selector stays as it is; no rule can ask for it.
    """
    scanner = _Scanner(name)
    try:
        metric, labels = scanner.take(NAME, "a name"), _labels(scanner)
    except Malformed:
        return name
    return name if scanner.rest() else label(metric, **labels)


def _labels(scanner: "_Scanner") -> dict[str, str]:
    labels: dict[str, str] = {}
    if not scanner.skip("{"):
        return labels
    while not scanner.skip("}"):
        if labels and scanner.take(re.compile(","), "',' or '}'") and scanner.skip("}"):
            break
        begin = scanner.begin()
        key = _label_name(scanner)
        if key in labels:
            raise Malformed(begin, f"label {key!r} is given twice")
        scanner.refuse(re.compile(r"!=|=~|!~"), "a rule names one value: only '=' matches labels")
        scanner.take(_EQUALS, "'='")
        wanted = 'a label\'s value in quotes, such as "Female"'
        labels[key] = _unescaped(scanner.take(_TEXT, wanted))
    return labels


def _label_name(scanner: "_Scanner") -> str:
    if scanner.peek(_TEXT):
        return _unescaped(scanner.take(_TEXT, "a label"))
    name = scanner.take(_LABEL_NAME, "a label's name, such as sex")
    if re.match(r"[^\s=!,}]", scanner.rest()):
        whole = name + re.split(r"[=!,}]", scanner.rest())[0].rstrip()
        raise Malformed(
            scanner.offset - len(name),
            f'put the label\'s name in quotes, because it is no identifier: "{whole}"',
        )
    return name


def _unescaped(quoted: str) -> str:
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], quoted[1:-1])


def _threshold(scanner: "_Scanner") -> float:
    scanner.refuse(_NOT_FINITE, "the number must be finite: nothing compares with NaN or infinity")
    begin = scanner.begin()
    number = scanner.take(NUMBER, "a number, such as 0.94")
    threshold = float(number)
    if not math.isfinite(threshold):
        raise Malformed(begin, f"{number} is too large for a 64-bit number")
    return threshold


class _Scanner:
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
        match = pattern.match(self._text, self.begin())
        return match[0] if match else None

    def take(self, pattern: re.Pattern[str], wanted: str) -> str:
        found = self.peek(pattern)
        if found is None:
            there = repr(self.rest()[:20]) if self.rest() else "nothing"
            raise Malformed(self.offset, f"expected {wanted}, found {there}")
        self.offset += len(found)
        return found

    def skip(self, sign: str) -> bool:
        there = self._text.startswith(sign, self.begin())
        self.offset += len(sign) if there else 0
        return there

    def refuse(self, pattern: re.Pattern[str], because: str) -> None:
        if found := self.peek(pattern):
            raise Malformed(self.offset, f"unexpected {found!r}: {because}")

    def rest(self) -> str:
        return self._text[self.begin() :]
