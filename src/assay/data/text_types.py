"""What type a column of text is: exact, over the whole file.

A column has the first type that all of its values have: bool, int64, float64, date32, timestamp,
else string. What reads as a number but is none stays text: `007`, `+49 30 1234`, a whole number
that neither int64 nor float64 holds (an identifier that rounding would change).

What a person might not expect of that is a finding; see `near_types`.
"""

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from assay.core.findings import Finding, named
from assay.data.exact import SURE_DIGITS, Exactness
from assay.data.near_types import Near
from assay.data.years import require_years
from assay.text import quoted

if TYPE_CHECKING:
    import pyarrow as pa


def _whole_up_to(largest: str) -> str:
    """A pattern for the whole numbers from 1 to `largest`, without leading zeros."""
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


# RE2 syntax. `instant` is a time with a zone, kept as UTC; Postgres writes a zone's hours alone.
_PATTERNS: Final = {
    "bool": "true|false|True|False|TRUE|FALSE",
    "int64": _INT64,
    "float64": f"{_INT64}|-0|{_fraction('.')}|{_INFINITE}",
    "date32": _DATE,
    "timestamp": f"{_DATE}([T ]{_TIME})?",
    "instant": rf"{_DATE}[T ]{_TIME}(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)",
}
_COMMA_FLOAT64: Final = f"{_INT64}|-0|{_fraction(',')}|{_INFINITE}"
_GROUPED: Final = {mark: rf"0|-?[1-9][0-9]{{0,2}}([{mark}][0-9]{{3}})?" for mark in ".,"}
"""Numbers as they are written where the decimal mark is none, but groups digits."""
_THOUSAND: Final = 1000
_CODES: Final = "[0-9]+([eE][0-9]+)?"
"""Whole numbers, and codes of digits with an E that read as numbers; programs write `1e+05`."""
FIRST_VALUES: Final = 100
_CANONICAL: Final = frozenset({"int64", "date32"})
"""Types of which every value has one text."""
_WIDER: Final = {"int64": "float64", "date32": "timestamp"}
"""Every value of a narrow type is one of the wider, so a column may widen half-way.

Whole numbers beyond 2^53 are not all numbers of float64, so such a column becomes text instead.
"""


_GAPS: Final = ("NULL", "Null", "nil", "NIL", "<NA>", "NaT", "#N/A", "\\N", "-", "--", "(null)")
"""What other programs write for a missing value, beyond what is read as one unless it is said."""
MISSING_VALUES: Final = ("", "NA", "N/A", "NaN", "nan", "null", "None", "?")
"""What is read as a missing value in a CSV, unless a run says otherwise."""
_TYPED_TEXT: Final = {
    "float64": "numbers",
    "date32": "dates",
    "timestamp": "times",
    "instant": "times",
}
"""What is rarely meant as text. Whole numbers often are: codes."""


class Inference:
    """The type of one column, found batch by batch.

    Args:
        decimal: The decimal mark of numbers.
        fixed: Whether the file itself says that it is text, so that only findings are looked for.
    """

    def __init__(self, decimal: str = ".", *, fixed: bool = False) -> None:
        self._fixed = fixed
        self._gaps = (*_GAPS, *MISSING_VALUES) if fixed else _GAPS
        self._seen_gaps: Counter[str] = Counter()
        self._kind: str | None = None
        self._decimal = decimal
        self._exact = Exactness()
        self._float64, other = _PATTERNS["float64"], _COMMA_FLOAT64
        if decimal == ",":
            self._float64, other = other, self._float64
        self._near: Near | None = Near(self._float64, other, decimal, fixed=fixed)
        self._grouped = True
        self._codes = True
        self._example = self._code = ""
        """The first number that may have grouped digits, and the first that may be a code."""

    @property
    def kind(self) -> str:
        """The type so far; `string` for a column without values."""
        return self._kind or "string"

    def finding(self, name: str) -> Finding | None:
        """What a person should know about the column of this name, once all was added."""
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
        shown = ", ".join(
            f"{quoted(word)} ({count:,} times)" for word, count in self._seen_gaps.most_common()
        )
        remedy = "make it null" if self._fixed else "name it in missing_values"
        text = f"{shown}: a category like others; if it means a missing value, {remedy}"
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
        """Whether numbers may be meant as something else."""
        self._grouped = self._grouped and _match(column, _GROUPED[self._decimal])
        if self._grouped:
            self._example = self._example or _first(column, f"[{self._decimal}]")
        self._codes = self._codes and _match(column, _CODES)
        if self._codes:
            self._code = self._code or _first(column, "[eE]")

    def add(self, column: "pa.Array") -> None:
        """Take further values into account."""
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

        found = column.filter(pc.is_in(column, pa.array(self._gaps)))
        if len(found):
            self._seen_gaps.update(found.to_pylist())

    def _narrow(self, column: "pa.Array") -> None:
        if self._kind is None:
            # A conversion that fails is slow, and the first values tell most kinds apart.
            first = column.drop_null().slice(0, FIRST_VALUES)
            patterns = {**_PATTERNS, "float64": self._float64}
            likely = [kind for kind, pattern in patterns.items() if _match(first, pattern)]
            self._kind = next((kind for kind in likely if self._has(column, kind)), "string")
        while self._kind != "string" and not self._has(column, self._kind):
            wider = _WIDER.get(self._kind, "string")
            self._kind = "string" if wider == "float64" and self._exact.beyond else wider

    def _has(self, column: "pa.Array", kind: str) -> bool:
        """Whether all values of a batch are of `kind`; notes what float64 would change."""
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
            # The form of a date, but none, such as 2023-02-30.
            return False
        # Written back, a value has the only form that is accepted; quicker than a pattern.
        same = not canonical or pc.all(pc.equal(pc.cast(values, pa.string()), column)).as_py()
        if same and kind == "int64":
            self._exact.add_whole(column)
            ends = pc.min_max(values).as_py()
            self._grouped &= -_THOUSAND < ends["min"] <= ends["max"] < _THOUSAND
        return bool(same)

    def _has_numbers(self, column: "pa.Array") -> bool:
        import pyarrow as pa
        import pyarrow.compute as pc

        given, texts = column, pointed(column, self._decimal)
        try:
            values = pc.cast(texts, pa.float64())
        except pa.ArrowInvalid:
            return False
        if (pc.max(pc.binary_length(texts)).as_py() or 0) > SURE_DIGITS:
            # What is the shortest text of its number needs no further look.
            same = pc.equal(pc.cast(values, pa.string()), texts)
            rest = pc.or_(pc.invert(same), pc.is_nan(values))
            column, texts, values = column.filter(rest), texts.filter(rest), values.filter(rest)
        if not _match(column, self._float64):
            return False
        self._exact.add(texts, values)
        if not self._exact.beyond:
            self._note_meaning(given)
        return not self._exact.beyond


def _truths() -> "pa.Array":
    import pyarrow as pa

    return pa.array([*_PATTERNS["bool"].split("|"), None])


def _match(column: "pa.Array", pattern: str) -> bool:
    import pyarrow.compute as pc

    fits = pc.match_substring_regex(column, f"^(?:{pattern})$")
    return bool(pc.all(fits, min_count=0).as_py())


def _first(column: "pa.Array", pattern: str) -> str:
    """The first value in which a pattern is found; empty for none."""
    import pyarrow.compute as pc

    found = column.filter(pc.match_substring_regex(column, pattern)).drop_null()
    return str(found[0]) if len(found) else ""


def pointed(column: "pa.Array", decimal: str) -> "pa.Array":
    """Numbers with a point for their decimal mark."""
    import pyarrow.compute as pc

    return column if decimal == "." else pc.replace_substring(column, decimal, ".")


def convert(column: "pa.Array", kind: str, decimal: str = ".") -> "pa.Array":
    """Text as values of `kind`.

    Raises:
        pyarrow.ArrowInvalid: A value that is none.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if kind == "string":
        return column
    if kind == "bool":
        return pc.equal(pc.ascii_lower(column), "true")
    if kind == "instant":
        # The dataset's timestamps have no zone: an instant is its time in UTC.
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
    """The dataset type that holds values of `kind`."""
    return "timestamp" if kind == "instant" else kind
