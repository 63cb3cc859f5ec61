"""Resolve YAML scalars without quotes.

YAML 1.1, which PyYAML implements, and YAML 1.2 resolve some scalars differently: `no`, `017`,
`1:30`, `1e3`. Words and times stay text. A scalar that is a number in one version and something
else in the other is refused, because its meaning would depend on the parser.
"""

import math
import re
from typing import Any, Final

from assay.documents.messages import shown

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
"""Maximum length of a number, so that every integer fits into a float."""


def resolve(text: str, *, person: bool) -> Any:
    """The value of a YAML scalar without quotes: None, a boolean, a number or text.

    Args:
        text: The scalar.
        person: Whether a person wrote it. Then an ambiguous scalar is refused. If PyYAML wrote it
            the scalar is text, because PyYAML has a single format for numbers.

    Raises:
        ValueError: The scalar is ambiguous, or a number that is not finite; the message names the
            remedy.
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
