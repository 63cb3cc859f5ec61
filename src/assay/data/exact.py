"""Whether float64 holds the numbers that a text or a decimal column writes."""

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from assay.core.findings import Finding, named
from assay.text import quoted

if TYPE_CHECKING:
    import pyarrow as pa

SURE_DIGITS: Final = 15
"""Decimal digits that float64 always gives back (C's DBL_DIG)."""
SMALLEST_NORMAL: Final = 2.0**-1022
"""Below, float64 has fewer digits."""
_PRINTED: Final = re.compile(r"-?[0-9]+[.](?P<digits>[0-9]{1,99})(?P<exponent>e[+-][0-9]+)?")
LARGEST_WHOLE: Final = 1 << 53
"""Up to here float64 holds every whole number."""


class Exactness:
    """Notes, batch by batch, what float64 would change in one column of numbers."""

    def __init__(self) -> None:
        self.beyond = ""
        """A number that float64 must not stand for: a whole one that it would change, or one so
        large that it would be infinite. The first one as it is written; empty for none."""
        self.rounded = ""
        """A fraction of which float64 drops digits; the first one."""

    def finding(self, name: str) -> Finding | None:
        """What to say about a float64 column of this name."""
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
        """Look at the texts of whole numbers within int64."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.beyond or (pc.max(pc.binary_length(column)).as_py() or 0) <= SURE_DIGITS:
            return
        present = column.drop_null()
        long = present.filter(pc.greater(pc.binary_length(present), SURE_DIGITS))
        values = pc.cast(long, pa.int64()).to_numpy(zero_copy_only=False)
        # Compared as whole numbers: 2^63 as a float64 has no int64 to return to.
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
            # 1e999 reads as infinity, which is another number; "inf" is what it says.
            lost = column.filter(infinite)
            lost = lost.filter(pc.match_substring_regex(lost, "[0-9]"))
            if len(lost):
                self.beyond = lost[0].as_py()
                return
        suspects = pc.greater(pc.binary_length(column), SURE_DIGITS)
        tiny = pc.less(pc.abs(values), SMALLEST_NORMAL)
        if pc.any(tiny).as_py():
            suspects = pc.or_(suspects, pc.and_(tiny, pc.match_substring_regex(column, "[eE]")))
        if not pc.any(suspects).as_py():
            return
        texts, numbers = column.filter(suspects), values.filter(suspects)
        # The shortest text that gives the same float64 is the usual case, and quickly compared.
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
            # Printed from a float64 with any number of digits, the text comes back from it.
            if digits and Decimal(f"{number:.{digits - 1}e}") != Decimal(text):
                self.rounded = self.rounded or text


def _are_printed(texts: list[str], numbers: list[float]) -> bool:
    """Whether all texts are their numbers in one of C's formats, such as NumPy's `%.18e`.

    One call formats them all, which is some ten times quicker than looking at each. Whole numbers
    beyond 2^53 are not judged here.
    """
    found = _PRINTED.fullmatch(texts[0]) if texts else None
    if found is None or max(map(abs, numbers)) >= LARGEST_WHOLE:
        return False
    form = f"%.{len(found['digits'])}{'e' if found['exponent'] else 'f'}\n"
    return (form * len(numbers)) % tuple(numbers) == "\n".join([*texts, ""])


def _digits(texts: "pa.Array") -> "pa.Array":
    """The significant digits alone: of two near numbers, equal ones mean equal numbers."""
    import pyarrow.compute as pc

    mantissa = pc.replace_substring_regex(texts, "[eE].*$", "")
    return pc.ascii_trim(pc.replace_substring_regex(mantissa, "[^0-9]", ""), "0")
