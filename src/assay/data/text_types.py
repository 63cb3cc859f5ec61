"""Infer the type of a text column from all of its values.

The type is the first one that all values have: bool, int64, float64, date32, timestamp, otherwise
string. Values that only look like numbers remain text: `007`, `+49 30 1234`, an integer that
neither int64 nor float64 represents (an identifier that rounding would change).

Unexpected results are reported as findings; see `near_types`.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from assay.core.findings import Finding, named
from assay.data.exact import SURE_DIGITS, Exactness
from assay.data.near_types import Near
from assay.data.years import require_years
from assay.text import quoted

if TYPE_CHECKING:
    import pyarrow as pa


def _whole_up_to(largest: str) -> str:
    """A pattern for the integers from 1 to `largest`, without leading zeros."""
    alternatives = [rf"[1-9][0-9]{{0,{len(largest) - 2}}}"]
    for index, digit in enumerate(largest):
        low, high = (1 if index == 0 else 0), int(digit) - 1
        if high >= low:
            rest = len(largest) - index - 1
            alternatives.append(rf"{largest[:index]}[{low}-{high}][0-9]{{{rest}}}")
    return "|".join([*alternatives, largest])


_INT64: Final = rf"0|-?({_whole_up_to('9223372036854775807')})|-9223372036854775808"
_INFINITE: Final = r"[+-]?(?i:inf|infinity)"
_DATE: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME: Final = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"


def _fraction(decimal: str) -> str:
    """A pattern for fractions and exponents with this decimal mark."""
    mark = "[.]" if decimal == "." else ","
    exponent = "[eE][+-]?[0-9]+"
    return rf"-?((0|[1-9][0-9]*)({mark}[0-9]*({exponent})?|{exponent})|{mark}[0-9]+({exponent})?)"


# RE2 syntax. `instant` is a time with a zone, stored in UTC; Postgres writes the hours of a zone
# only.
_PATTERNS: Final = {
    "bool": "true|false|True|False|TRUE|FALSE",
    "int64": _INT64,
    "float64": f"{_INT64}|-0|{_fraction('.')}|{_INFINITE}",
    "date32": _DATE,
    "timestamp": f"{_DATE}([T ]{_TIME})?",
    "instant": rf"{_DATE}[T ]{_TIME}(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)",
}
_UNUSUAL_MARKS: Final = (b"+", b"e", b"E", b"n", b"N")
"""Characters of signs, exponents, and the names of infinity and NaN."""
_COMMA_FLOAT64: Final = f"{_INT64}|-0|{_fraction(',')}|{_INFINITE}"
_GROUPED: Final = {mark: rf"0|-?[1-9][0-9]{{0,2}}([{mark}][0-9]{{3}})?" for mark in ".,"}
"""Numbers in which the decimal mark may be a group separator."""
_THOUSAND: Final = 1000
_CODES: Final = "[0-9]+([eE][0-9]+)?"
"""Integers, and codes of digits with an E that look like numbers; programs write `1e+05`."""
FIRST_VALUES: Final = 100
_CANONICAL: Final = frozenset({"int64", "date32"})
"""Types whose values have a single representation."""
_WIDER: Final = {"int64": "float64", "date32": "timestamp"}
"""Wider types, which include all values of the narrower type.

A column with integers beyond 2^53 becomes text instead of float64, which cannot represent them all.
"""


_GAPS: Final = ("NULL", "Null", "nil", "NIL", "<NA>", "NaT", "#N/A", "\\N", "-", "--", "(null)")
"""Texts that other programs write for missing values, in addition to `MISSING_VALUES`."""
MISSING_VALUES: Final = ("", "NA", "N/A", "NaN", "nan", "null", "None", "?")
"""Default texts for missing values in a CSV."""
_TYPED_TEXT: Final = {
    "float64": "numbers",
    "date32": "dates",
    "timestamp": "times",
    "instant": "times",
}
"""Types that are rarely meant as text, unlike integers, which may be codes."""


class Inference:
    """Infers the type of a column in batches.

    Args:
        decimal: The decimal mark of numbers.
        fixed: Whether the file declares the column as text, so that only findings are determined.
    """

    def __init__(self, decimal: str = ".", *, fixed: bool = False) -> None:
        self._fixed = fixed
        self._gaps = (*_GAPS, *MISSING_VALUES) if fixed else _GAPS
        self._seen_gaps: Counter[str] = Counter()
        self._kind: str | None = None
        self._decimal = decimal
        self._exact = Exactness()
        point, comma = _PATTERNS["float64"], _COMMA_FLOAT64
        self._float64, other_mark = (comma, point) if decimal == "," else (point, comma)
        self._near: Near | None = Near(self._float64, other_mark, decimal, fixed=fixed)
        self._grouped = True
        self._codes = True
        self._example = self._code = ""
        """The first number that may have group separators, and the first that may be a code."""
        self.values: pa.Array | None = None
        """The values of the last batch, converted to the type; None if they were not converted."""

    @property
    def kind(self) -> str:
        """The current type; `string` for a column without values."""
        return self._kind or "string"

    def finding(self, name: str) -> Finding | None:
        """The finding for the column, after all values were added."""
        if self._fixed and self._kind in _TYPED_TEXT:
            kind = _TYPED_TEXT[self._kind]
            text = (
                f"all values are {kind}, and the file says text; kept as text: write it as {kind}"
            )
            return Finding("typed-text", f"{named([name])}: {text}", (name,))
        if self._kind == "float64":
            return self._exact.finding(name) or self._meant_otherwise(name)
        if self._kind != "string":
            return None
        near = self._near and self._near.finding(name, self._exact.beyond)
        return near or self._gap_words(name)

    def _gap_words(self, name: str) -> Finding | None:
        if not self._seen_gaps:
            return None
        words = ", ".join(
            f"{quoted(word)} ({count:,} times)" for word, count in self._seen_gaps.most_common()
        )
        remedy = "make it null" if self._fixed else "name it in missing_values"
        text = f"{words}: a category like others; if it means a missing value, {remedy}"
        return Finding("gap-words", f"{named([name])}: {text}", (name,))

    def _meant_otherwise(self, name: str) -> Finding | None:
        if self._codes and self._code:
            text = (
                f"{named([name])}: whole numbers, and some like {quoted(self._code)}, read as "
                f"{float(self._code):g}; if they are codes, put a letter before each, or give a "
                "Parquet file in which they are text"
            )
            return Finding("perhaps-codes", text, (name,))
        if not self._grouped or not self._example:
            return None
        text = (
            f"{named([name])}: every fraction has exactly three digits, as in "
            f"{quoted(self._example)}, and every whole number at most three; read as fractions. If "
            f"{quoted(self._decimal)} groups thousands here, all are a thousand times too small: "
            "remove it from the numbers"
        )
        return Finding("perhaps-thousands", text, (name,))

    def _note_meaning(self, column: "pa.Array") -> None:
        """Check whether numbers may be codes or have group separators."""
        self._grouped = self._grouped and _match(column, _GROUPED[self._decimal])
        if self._grouped:
            self._example = self._example or _first(column, f"[{self._decimal}]")
        self._codes = self._codes and _match(column, _CODES)
        if self._codes:
            self._code = self._code or _first(column, "[eE]")

    def add(self, column: "pa.Array") -> None:
        """Add further values."""
        self.values = None
        count = len(column) - column.null_count
        if not count:
            return
        if self._kind != "string":
            self._narrow(column)
        if self._kind == "string":
            self._count_gaps(column)
        if self._near is None:
            return
        if self._kind != "string":
            self._near.add_typed(self.kind, count)
        elif not self._near.add(column):
            self._near = None

    def _count_gaps(self, column: "pa.Array") -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        gaps = column.filter(pc.is_in(column, pa.array(self._gaps)))
        if len(gaps):
            self._seen_gaps.update(gaps.to_pylist())

    def _narrow(self, column: "pa.Array") -> None:
        if self._kind is None:
            # Failing conversions are slow, and the first values exclude most types.
            first = column.drop_null().slice(0, FIRST_VALUES).to_pylist()
            patterns = {**_PATTERNS, "float64": self._float64}
            likely = (kind for kind, pattern in patterns.items() if _all_match(first, pattern))
            self._kind = next((kind for kind in likely if self._has(column, kind)), "string")
            return
        while self._kind != "string" and not self._has(column, self._kind):
            wider = _WIDER.get(self._kind, "string")
            self._kind = "string" if wider == "float64" and self._exact.beyond else wider

    def _has(self, column: "pa.Array", kind: str) -> bool:
        """Whether all values of a batch have a type; collects numbers that float64 would change."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if kind == "bool":
            return bool(pc.all(pc.is_in(column, _truths()), min_count=0).as_py())
        if kind == "float64":
            return self._has_numbers(column)
        canonical = kind in _CANONICAL
        if not canonical and not _match(column, _PATTERNS[kind]):
            return False
        try:
            values = convert(column, kind)
        except pa.ArrowInvalid:
            # Looks like a date, but does not exist, such as 2023-02-30.
            return False
        # Comparing with the formatted value is faster than a pattern.
        same = not canonical or pc.all(pc.equal(pc.cast(values, pa.string()), column)).as_py()
        if same and kind == "int64":
            self._exact.add_whole(column)
            ends = pc.min_max(values).as_py()
            self._grouped &= -_THOUSAND < ends["min"] <= ends["max"] < _THOUSAND
        self.values = values if same else None
        return bool(same)

    def _has_numbers(self, column: "pa.Array") -> bool:
        import pyarrow as pa

        try:
            converted = convert(column, "float64", self._decimal)
        except pa.ArrowInvalid:
            return False
        present = column.drop_null()
        texts = pointed(present, self._decimal)
        # The texts have both marks with a decimal comma, and the pattern allows only one.
        plain = self._decimal == "." and _are_plain(texts)
        if not plain and not self._are_numbers(present, texts, converted.drop_null()):
            return False
        if not self._exact.beyond:
            self._note_meaning(present)
            self.values = converted
        return not self._exact.beyond

    def _are_numbers(self, column: "pa.Array", texts: "pa.Array", values: "pa.Array") -> bool:
        """Whether all match the pattern of numbers; collects those that float64 would change.

        Args:
            column: Texts, without nulls.
            texts: The same with a point as decimal mark.
            values: The same as numbers.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        if (pc.max(pc.binary_length(texts)).as_py() or 0) > SURE_DIGITS:
            # A text that is the shortest one of its number needs no further check.
            same = pc.equal(pc.cast(values, pa.string()), texts)
            rest = pc.or_(pc.invert(same), pc.is_nan(values))
            column, texts, values = column.filter(rest), texts.filter(rest), values.filter(rest)
        if not _match(column, self._float64):
            return False
        self._exact.add(texts, values)
        return True


def _truths() -> "pa.Array":
    import pyarrow as pa

    return pa.array([*_PATTERNS["bool"].split("|"), None])


def _match(column: "pa.Array", pattern: str) -> bool:
    import pyarrow.compute as pc

    # The first value often decides, and Arrow compiles the pattern for each column again.
    if not _all_match(filter(None, column.slice(0, 1).to_pylist()), pattern):
        return False
    fits = pc.match_substring_regex(column, f"^(?:{pattern})$")
    return bool(pc.all(fits, min_count=0).as_py())


def _all_match(texts: Iterable[str], pattern: str) -> bool:
    return all(map(re.compile(pattern).fullmatch, texts))


def _are_plain(column: "pa.Array") -> bool:
    """Whether all texts certainly match the pattern of numbers, and float64 preserves their digits.

    Arrow also reads signs, exponents, infinity, NaN, leading zeros and any number of digits. A
    search for a character and a look at the first digits exclude these; it is several times faster
    than the pattern, and suffices for most files.

    Args:
        column: Texts that Arrow can convert to float64, without nulls.
    """
    import numpy as np

    _, offsets, content = column.buffers()
    ends = np.frombuffer(offsets, np.int32, len(column) + 1, 4 * column.offset)
    begin, end = int(ends[0]), int(ends[-1])
    if np.diff(ends).max(initial=0) > SURE_DIGITS:
        return False
    texts = content.slice(begin, end - begin).to_pybytes() if end > begin else b""
    if any(mark in texts for mark in _UNUSUAL_MARKS):
        return False
    # A text is not empty, and has a digit or a point after a minus.
    characters = np.frombuffer(texts, np.uint8)
    first = ends[:-1] - begin
    first = first + (characters[first] == ord("-"))
    zeros = np.flatnonzero(characters[first] == ord("0"))
    # Bytes below "0" wrap around. The next byte of the last text may be beyond the end.
    following = np.take(characters, first[zeros] + 1, mode="clip") - ord("0")
    return not ((following <= 9) & (first[zeros] + 1 < ends[1:][zeros] - begin)).any()  # noqa: PLR2004


def _first(column: "pa.Array", pattern: str) -> str:
    """The first value that contains a pattern; empty if there is none."""
    import pyarrow.compute as pc

    matching = column.filter(pc.match_substring_regex(column, pattern)).drop_null()
    return str(matching[0]) if len(matching) else ""


def pointed(column: "pa.Array", decimal: str) -> "pa.Array":
    """Replace the decimal mark by a point."""
    import pyarrow.compute as pc

    return column if decimal == "." else pc.replace_substring(column, decimal, ".")


def convert(column: "pa.Array", kind: str, decimal: str = ".") -> "pa.Array":
    """Convert a text column.

    Args:
        column: The texts.
        kind: The type.
        decimal: The decimal mark of numbers.

    Returns:
        The converted column.

    Raises:
        pyarrow.ArrowInvalid: A value does not have the type.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if kind == "string":
        return column
    if kind == "bool":
        return pc.equal(pc.ascii_lower(column), "true")
    if kind == "instant":
        # Timestamps of datasets have no zone; instants are stored in UTC.
        times = pc.cast(pc.cast(column, pa.timestamp("us", "UTC")), pa.timestamp("us"))
        require_years(times)
        return times
    if kind == "float64":
        return pc.cast(pointed(column, decimal), pa.float64())
    types: dict[str, Any] = {
        "int64": pa.int64(),
        "date32": pa.date32(),
        "timestamp": pa.timestamp("us"),
    }
    values = pc.cast(column, types[kind])
    require_years(values)
    return values


def dataset_type(kind: str) -> str:
    """The type of a dataset column for an inferred type."""
    return "timestamp" if kind == "instant" else kind
