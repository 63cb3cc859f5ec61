"""What type a column of text is: exact, over the whole file.

A column has the first type that all of its values have: bool, int64, float64, date32, timestamp,
else string. What reads as a number but is none stays text: `007`, `+49 30 1234`, a whole number
beyond int64 (an identifier that float64 would round).
"""

from typing import TYPE_CHECKING, Any, Final

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
_FRACTION: Final = (
    r"-?((0|[1-9][0-9]*)(\.[0-9]*|([eE]|\.[0-9]*[eE])[+-]?[0-9]+)|\.[0-9]+([eE][+-]?[0-9]+)?)"
)
_INFINITE: Final = r"[+-]?(?i:inf|infinity)"
_DATE: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME: Final = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"

# RE2 syntax. `instant` is a time with a zone, kept as UTC.
_PATTERNS: Final = {
    "bool": "true|false|True|False|TRUE|FALSE",
    "int64": _INT64,
    "float64": f"{_INT64}|-0|{_FRACTION}|{_INFINITE}",
    "date32": _DATE,
    "timestamp": f"{_DATE}([T ]{_TIME})?",
    "instant": rf"{_DATE}[T ]{_TIME}(Z|[+-][0-9]{{2}}:?[0-9]{{2}})",
}
_WIDER: Final = {"int64": "float64", "date32": "timestamp"}
"""Every value of a narrow type is one of the wider, so a column may widen half-way."""


class Inference:
    """The type of one column, found batch by batch."""

    def __init__(self) -> None:
        self._kind: str | None = None

    @property
    def kind(self) -> str:
        """The type so far; `string` for a column without values."""
        return self._kind or "string"

    def add(self, column: "pa.Array") -> None:
        """Take further values into account."""
        if self._kind == "string" or column.null_count == len(column):
            return
        if self._kind is None:
            self._kind = next((kind for kind in _PATTERNS if _has(column, kind)), "string")
        while self._kind != "string" and not _has(column, self._kind):
            self._kind = _WIDER.get(self._kind, "string")


def convert(column: "pa.Array", kind: str) -> "pa.Array":
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
        return pc.cast(pc.cast(column, pa.timestamp("us", "UTC")), pa.timestamp("us"))
    types: dict[str, Any] = {
        "int64": pa.int64(),
        "float64": pa.float64(),
        "date32": pa.date32(),
        "timestamp": pa.timestamp("us"),
    }
    return pc.cast(column, types[kind])


def dataset_type(kind: str) -> str:
    """The dataset type that holds values of `kind`."""
    return "timestamp" if kind == "instant" else kind


def _has(column: "pa.Array", kind: str) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    fits = pc.match_substring_regex(column, f"^(?:{_PATTERNS[kind]})$")
    if not pc.all(fits, min_count=0).as_py():
        return False
    if kind in {"bool", "int64"}:
        return True
    try:
        values = convert(column, kind)
    except pa.ArrowInvalid:
        # The form of a date, but none, such as 2023-02-30.
        return False
    if kind != "float64":
        return True
    # 1e999 reads as infinity, which is another number: such a column stays text.
    named = pc.match_substring_regex(column, f"^{_INFINITE}$")
    return bool(pc.all(pc.or_(pc.invert(pc.is_inf(values)), named), min_count=0).as_py())
