"""Check whether float64 represents the numbers of a text or decimal column exactly."""

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from assay.core.findings import Finding, named
from assay.text import quoted

if TYPE_CHECKING:
    import pyarrow as pa

SURE_DIGITS: Final = 15
"""Number of decimal digits that float64 always preserves (DBL_DIG in C)."""
SMALLEST_NORMAL: Final = 2.0**-1022
"""Smaller numbers have fewer digits in float64."""
_PRINTED: Final = re.compile(r"-?[0-9]+[.](?P<digits>[0-9]{1,99})(?P<exponent>e[+-][0-9]+)?")
LARGEST_WHOLE: Final = 1 << 53
"""Up to this size, float64 represents every integer exactly."""


class Exactness:
    """Collects in batches the numbers of a column that float64 would change."""

    def __init__(self) -> None:
        self.beyond = ""
        """The text of the first number that float64 cannot represent: an integer that it would
        change, or a number that would be infinite. Empty if there is none."""
        self.rounded = ""
        """The first fraction that float64 rounds; empty if there is none."""

    def finding(self, name: str) -> Finding | None:
        """The finding for a float64 column; None if no number is rounded."""
        if not self.rounded:
            return None
        return Finding(
            "rounded",
            f"{named([name])}: numbers such as {quoted(self.rounded)} have more digits than "
            "float64 holds and are rounded to the nearest that it holds; if every digit matters, "
            "keep the column as text, with a letter in front of each",
            (name,),
        )

    def add_whole(self, column: "pa.Array") -> None:
        """Check the texts of integers within int64."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.beyond or (pc.max(pc.binary_length(column)).as_py() or 0) <= SURE_DIGITS:
            return
        present = column.drop_null()
        long = present.filter(pc.greater(pc.binary_length(present), SURE_DIGITS))
        values = pc.cast(long, pa.int64()).to_numpy(zero_copy_only=False)
        # Compared as Python integers, because 2^63 as a float64 does not fit into int64.
        for text, value in zip(long.to_pylist(), values.tolist(), strict=True):
            if int(float(value)) != value:
                self.beyond = text
                return

    def add(self, column: "pa.Array", values: "pa.Array") -> None:
        """Compare the texts of numbers, with a point as decimal mark, with their float64 values."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.beyond:
            return
        infinite = pc.is_inf(values)
        if pc.any(infinite).as_py():
            # 1e999 is read as infinity, which is wrong, unlike for "inf".
            lost = column.filter(infinite)
            lost = lost.filter(pc.match_substring_regex(lost, "[0-9]"))
            if len(lost):
                self.beyond = lost[0].as_py()
                return
        suspects = pc.greater(pc.binary_length(column), SURE_DIGITS)
        tiny = pc.less(pc.abs(values), SMALLEST_NORMAL)
        if pc.any(tiny).as_py() and _has_exponent(column.filter(tiny)):
            suspects = pc.or_(suspects, pc.and_(tiny, pc.match_substring_regex(column, "[eE]")))
        if not pc.any(suspects).as_py():
            return
        texts, numbers = column.filter(suspects), values.filter(suspects)
        # Usually the text is the shortest one of its float64, which can be checked quickly.
        differ = pc.not_equal(texts, pc.cast(numbers, pa.string()))
        texts, numbers = texts.filter(differ), numbers.filter(differ)
        if _are_printed(texts.to_pylist(), numbers.to_pylist()):
            return
        differ = pc.not_equal(_digits(texts), _digits(pc.cast(numbers, pa.string())))
        self._compare(texts.filter(differ).to_pylist(), numbers.filter(differ).to_pylist())

    def _compare(self, texts: list[str], numbers: list[float]) -> None:
        for text, number in zip(texts, numbers, strict=True):
            if self.rounded and abs(number) < LARGEST_WHOLE:
                continue
            mantissa = text.lower().partition("e")[0]
            whole, _, fraction = mantissa.lstrip("-").partition(".")
            if mantissa == text and not fraction.strip("0"):
                if abs(number) >= LARGEST_WHOLE and Decimal(number) != Decimal(text):
                    self.beyond = text
                    return
                continue
            digits = len((whole + fraction).lstrip("0"))
            # The text is exact if it is the float64 formatted with this number of digits.
            if digits and Decimal(f"{number:.{digits - 1}e}") != Decimal(text):
                self.rounded = self.rounded or text


def _has_exponent(texts: "pa.Array") -> bool:
    import pyarrow.compute as pc

    return bool(pc.any(pc.match_substring_regex(texts, "[eE]")).as_py())


def _are_printed(texts: list[str], numbers: list[float]) -> bool:
    """Whether all texts have been formatted from their numbers by one C format, such as `%.18e`.

    A single call formats all numbers, which is about ten times faster than single checks. False if
    there are integers beyond 2^53.
    """
    match = _PRINTED.fullmatch(texts[0]) if texts else None
    if match is None or max(map(abs, numbers)) >= LARGEST_WHOLE:
        return False
    form = f"%.{len(match['digits'])}{'e' if match['exponent'] else 'f'}\n"
    return (form * len(numbers)) % tuple(numbers) == "\n".join([*texts, ""])


def _digits(texts: "pa.Array") -> "pa.Array":
    """The significant digits; two close numbers are equal if their digits are."""
    import pyarrow.compute as pc

    mantissa = pc.replace_substring_regex(texts, "[eE].*$", "")
    return pc.ascii_trim(pc.replace_substring_regex(mantissa, "[^0-9]", ""), "0")
