"""What a YAML value without quotes means.

YAML 1.1, which PyYAML reads, and YAML 1.2 disagree on many: `no`, `017`, `1:30`, `1e3`. What is
text to the eye stays text, letter by letter. What is a number to one of them and something else to
the other is refused, because either reading would be wrong for somebody.
"""

import math
import re
from typing import Any, Final

from assay.documents.words import shown

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTHS: Final = {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII)
_FLOAT: Final = re.compile(
    r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII
)
_NOT_FINITE: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)
_AMBIGUOUS: Final = re.compile(
    r"[-+]?("
    r"0[0-9][0-9_]*(\.[0-9]*)?([eE][-+]?[0-9]+)?"  # leading zeros: octal, or text to some
    r"|0[xob][0-9a-fA-F_]+"  # other bases
    r"|[0-9]+_[0-9_]*(\.[0-9_]*)?"  # digits in groups
    r"|[0-9]+[eE][0-9]+"  # a number, or the beginning of a commit's name
    r")",
    re.ASCII,
)
MAX_DIGITS: Final = 308
"""Of a number, so that a float holds every whole number too."""


def resolve(text: str, *, person: bool) -> Any:
    """The value of a YAML scalar that stands without quotes: None, true, a number, text.

    Args:
        text: The scalar.
        person: Whether a person wrote it, who may have meant either of two readings. What PyYAML
            wrote without quotes and is ambiguous was text: numbers it writes in one way only.

    Raises:
        ValueError: Ambiguous, or a number that is not finite; the message says what to write.
    """
    if text in _NULLS:
        return None
    if text in _TRUTHS:
        return _TRUTHS[text]
    if _INTEGER.fullmatch(text):
        _require_short(text)
        return int(text)
    if _AMBIGUOUS.fullmatch(text):
        if not person:
            return text
        raise ValueError(
            f"{shown(text)} is read differently by different programs; write it in quotes if it is "
            "text, and a number without leading zeros, '_' or letters, such as 100000 or 1.0e+5"
        )
    if _FLOAT.fullmatch(text):
        _require_short(text)
        number = float(text)
        if math.isfinite(number):
            return number
    elif not _NOT_FINITE.fullmatch(text):
        return text
    raise ValueError(
        f"{shown(text)} is not a finite number; write another number, or put text in quotes"
    )


def _require_short(text: str) -> None:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} characters; the limit is {MAX_DIGITS}")
