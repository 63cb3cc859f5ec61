"""Detect text columns that almost have another type, such as numbers with a comma.

Text columns are treated as categories when a model is trained, so a finding reports if most values
look like another type, and how to read them.

Only columns whose first values match are checked completely.
"""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from assay.core.findings import Finding, named
from assay.text import quoted

if TYPE_CHECKING:
    import pyarrow as pa

FIRST_VALUES: Final = 1000
"""Number of values that decide whether a column is checked completely."""
MOST: Final = 0.5
"""Minimum share of matching values for a column to be checked."""
NEARLY_ALL: Final = 0.9
FEW: Final = 20
"""Maximum number of distinct exceptions; more are another type of value, such as codes."""
MAX_EXCEPTIONS: Final = 1000
"""Maximum number of distinct exceptions that are stored."""
MAX_SHOWN: Final = 10
"""Maximum number of exceptions in a finding."""

_IDENTIFIER: Final = r"[+-]?0[0-9]+|[+-]?[0-9]{19,}"
_UNIT: Final = r"(%|\p{Sc}|(?i:eur|usd|gbp|chf))"
_GROUPED: Final = r"[0-9]{1,3}([., \x{a0}\x{202f}'\x{2019}][0-9]{3})+([.,][0-9]+)?"
_WRITTEN: Final = (
    rf"{_UNIT}?\s?[+\x{{2212}}-]?\s?{_UNIT}?\s?({_GROUPED}|[0-9]+([.,][0-9]+)?)\s?\x{{a0}}?{_UNIT}?"
    rf"|\(({_GROUPED}|[0-9]+([.,][0-9]+)?)\)"
)
_CLOCK: Final = r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?( ?(?i:am|pm))?"
_ZONE: Final = r"( ?(Z|UTC|GMT|[+-][0-9]{2}(:?[0-9]{2})?))?"
_MONTH: Final = r"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_TIME: Final = (
    r"([0-9]{4}([-/.])[0-9]{1,2}[-/.][0-9]{1,2}|[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{2,4}"
    rf"|[0-9]{{1,2}}[- ]{_MONTH}[-, ]+[0-9]{{2,4}}|{_MONTH} [0-9]{{1,2}},? [0-9]{{4}})"
    rf"([T ]+{_CLOCK})?{_ZONE}"
)
_TRUTHS: Final = ("true", "false", "yes", "no", "y", "n", "t", "f", "on", "off", "0", "1")
_BOOL: Final = rf"(?i:{'|'.join(_TRUTHS)})"

# The first matching pattern is used, in this order, after the two kinds of numbers. RE2 syntax.
_KINDS: Final = {"identifier": _IDENTIFIER, "written": _WRITTEN, "time": _TIME}
_TYPED: Final = {
    "int64": "number",
    "float64": "number",
    "date32": "time",
    "timestamp": "time",
    "instant": "time",
}


class Near:
    """Counts in batches what the values of a text column look like."""

    def __init__(self, number: str, other_mark: str, decimal: str, *, fixed: bool = False) -> None:
        """Counts for an empty column.

        Args:
            number: RE2 pattern of valid numbers.
            other_mark: The same with the other decimal mark.
            decimal: The decimal mark of `number`.
            fixed: Whether the file declares the column as text, so that options do not help.
        """
        self._fixed = fixed
        self._kinds = {"number": number, "comma": other_mark, **_KINDS}
        self._decimal = decimal
        self._counts: Counter[str] = Counter()
        self._others: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._truths: set[str] | None = set()
        """Spellings of true and false; None if there are other values."""
        self._many = False
        self._text = False

    def add_typed(self, kind: str, count: int) -> None:
        """Count values that had a type before other values were found."""
        self._counts[_TYPED.get(kind, kind)] += count
        if kind != "bool":
            self._truths = None
        elif self._truths is not None:
            self._truths |= {"true", "false"}

    def add(self, column: "pa.Array") -> bool:
        """Count a batch of text; False if the column need not be checked further."""
        import pyarrow.compute as pc

        present = column.drop_null()
        if not self._text:
            self._text = True
            first = present.slice(0, FIRST_VALUES)
            looks = sum(self._counts.values()) or self._looks(first)
            if not looks:
                return False
        counted = pc.value_counts(present)
        values, counts = counted.field(0), counted.field(1)
        self._note_truths(values)
        for kind, pattern in self._kinds.items():
            fits = pc.match_substring_regex(values, f"^(?:{pattern})$")
            if pc.any(fits).as_py():
                matching = values.filter(fits)
                self._counts[kind] += pc.sum(counts.filter(fits)).as_py()
                self._examples.setdefault(kind, matching[0].as_py())
                values, counts = values.filter(pc.invert(fits)), counts.filter(pc.invert(fits))
        self._note_others(values.to_pylist(), counts.to_pylist())
        return not self._counts["identifier"]

    def _looks(self, values: "pa.Array") -> bool:
        import pyarrow.compute as pc

        def share(pattern: str) -> float:
            count = pc.sum(pc.match_substring_regex(values, f"^(?:{pattern})$")).as_py()
            return float(count) / len(values)

        numbers = "|".join(self._kinds[kind] for kind in ("number", "comma", "written"))
        return any(share(pattern) >= MOST for pattern in (numbers, _TIME, _BOOL))

    def _note_truths(self, values: "pa.Array") -> None:
        if self._truths is None:
            return
        if len(values) > 2 * len(_TRUTHS):
            self._truths = None
            return
        texts = set(values.to_pylist())
        self._truths = (
            self._truths | texts if {v.casefold() for v in texts} <= set(_TRUTHS) else None
        )

    def _note_others(self, values: Iterable[str], counts: Iterable[int]) -> None:
        for value, count in zip(values, counts, strict=True):
            self._counts["other"] += count
            if value in self._others or len(self._others) < MAX_EXCEPTIONS:
                self._others[value] += count
            else:
                self._many = True

    def finding(self, name: str, beyond: str) -> Finding | None:
        """The finding for the column, if there is one.

        Args:
            name: Name of the column.
            beyond: A number in it that float64 cannot represent; empty for none.
        """
        total = sum(self._counts.values())
        if not total or self._counts["identifier"]:
            return None
        if self._truths is not None and len({t.casefold() for t in self._truths}) > 2:  # noqa: PLR2004
            code, text = "mixed-booleans", self._truths_text(self._truths)
        else:
            code, text = self._number_finding(total, beyond)
            if not code and self._counts["time"] / total >= NEARLY_ALL:
                code, text = "not-iso-time", self._time_text()
        return Finding(code, f"{named([name])}: {text}", (name,)) if code else None

    def _number_finding(self, total: int, beyond: str) -> tuple[str, str]:
        """Code and text of a finding about numbers; empty if there is none."""
        number, comma, written = (
            self._counts[kind] / total for kind in ("number", "comma", "written")
        )
        if beyond and number == 1:
            text = (
                f"numbers such as {quoted(beyond)} are beyond what float64 holds; kept as text, "
                "none was changed"
            )
            return "beyond-float64", text
        if comma and number + comma >= NEARLY_ALL and self._decimal == ".":
            return "decimal-comma", self._comma_text(total)
        if comma + written and number + comma + written >= NEARLY_ALL:
            return "written-numbers", self._written_text()
        if number >= MOST and self._few(number):
            return "not-numbers", self._exceptions_text(total)
        return "", ""

    def _truths_text(self, truths: set[str]) -> str:
        spelled = ", ".join(map(quoted, sorted(truths)))
        return f"true and false are spelled as {spelled}; kept as text: use two spellings only"

    def _written_text(self) -> str:
        example = self._examples.get("written") or self._examples["comma"]
        return (
            "nearly all values are numbers, some with a sign, unit, grouping or decimal mark as in "
            f"{quoted(example)}; kept as text: write them as plain numbers, such as 1234"
            f"{self._decimal}5"
        )

    def _time_text(self) -> str:
        example = self._examples.get("time") or "2024-05-31T10:00"
        return (
            "nearly all values are dates or times, but not all in one form of ISO 8601 (such as "
            f"{quoted(example)}); kept as text: write all as 2024-05-31 or 2024-05-31T10:00:00, "
            "with at most six digits of a second, all with a zone or all without"
        )

    def _few(self, numbers: float) -> bool:
        return not self._many and (len(self._others) <= FEW or numbers >= NEARLY_ALL)

    def _comma_text(self, total: int) -> str:
        commas = self._counts["comma"]
        remedy = (
            "write them as numbers"
            if self._fixed
            else "set decimal=',' if it is the decimal mark, or remove it if it groups digits"
        )
        text = (
            f"{commas:,} of {total:,} values are numbers with a comma, such as "
            f"{quoted(self._examples['comma'])}; kept as text: {remedy}"
        )
        return f"{text}; not numbers either way: {self._exceptions()}" if self._others else text

    def _exceptions_text(self, total: int) -> str:
        numbers = self._counts["number"]
        remedy = (
            "make those null that mean a missing value"
            if self._fixed
            else "name those that mean a missing value in missing_values"
        )
        return (
            f"{numbers:,} of {total:,} values are numbers, but the column is kept as text because "
            f"of {self._exceptions()}; {remedy}, and correct the others"
        )

    def _exceptions(self) -> str:
        ranked = sorted(self._others.items(), key=lambda item: (-item[1], item[0]))
        listed = [
            quoted(value) + (f" ({count:,} times)" if count > 1 else "")
            for value, count in ranked[:MAX_SHOWN]
        ]
        more = len(ranked) - MAX_SHOWN
        rest = f" and {more:,}{' or more' * self._many} others" if more > 0 else ""
        return ", ".join(listed) + rest
