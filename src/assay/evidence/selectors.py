"""Parse expressions such as `accuracy{sex="Female"} >= 0.80`, which compare a value with a number.

```
expression = selector comparison number
comparison = "<" | "<=" | ">" | ">=" | "==" | "!="
```

`assay.evidence.labels` describes selectors, such as `accuracy{sex="Female"}`.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from assay.errors import PolicyError
from assay.evidence.labels import NAME, Malformed, Scanner, label, take_labels

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
        """The name of the value in the evidence."""
        return label(self.metric, **self.labels)

    def holds(self, value: float) -> bool:
        """Whether `value` satisfies the comparison; NaN and infinities never do."""
        return math.isfinite(value) and _COMPARISONS[self.comparison](value, self.threshold)

    def __str__(self) -> str:
        return f"{self.evidence_name} {self.comparison} {repr(self.threshold).removesuffix('.0')}"


def parse_expression(text: str) -> Expression:
    """Parse one expression.

    Raises:
        PolicyError: The text is not an expression; the message has the column.
    """
    try:
        return parse(text)
    except Malformed as problem:
        raise PolicyError(f"column {problem.offset + 1}: {problem}") from problem


def parse(text: str) -> Expression:
    """Like `parse_expression`, for callers that know the position of the text in a file.

    Raises:
        Malformed: The text is not an expression; the error has the offset.
    """
    scanner = Scanner(text)
    scanner.refuse(NUMBER, "the metric comes first, then the comparison, then the number")
    metric = scanner.take(NAME, "the name of a metric, such as accuracy")
    labels = take_labels(scanner)
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


def _threshold(scanner: Scanner) -> float:
    scanner.refuse(_NOT_FINITE, "the number must be finite: nothing compares with NaN or infinity")
    begin = scanner.begin()
    number = scanner.take(NUMBER, "a number, such as 0.94")
    threshold = float(number)
    if not math.isfinite(threshold):
        raise Malformed(begin, f"{number} is too large for a 64-bit number")
    return threshold
