"""Restrict dates and times to the years 1 to 9999, the range of Python and ISO 8601."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pyarrow as pa

_DAYS: Final = (-719_162, 2_932_896)
"""0001-01-01 and 9999-12-31, in days from 1970-01-01."""
_DAY: Final = 86_400_000_000
"""In microseconds."""


def require_years(column: "pa.Array") -> None:
    """Check the years of dates and times; other columns are ignored.

    Raises:
        pyarrow.ArrowInvalid: A year is before 1 or after 9999.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_date32(column.type):
        low, high, numbers = *_DAYS, column.cast(pa.int32())
    elif pa.types.is_timestamp(column.type) and column.type.unit == "us":
        low, high, numbers = _DAYS[0] * _DAY, (_DAYS[1] + 1) * _DAY - 1, column.cast(pa.int64())
    else:
        return
    ends = pc.min_max(numbers)
    least, most = ends["min"].as_py(), ends["max"].as_py()
    if least is not None and not low <= least <= most <= high:
        raise pa.ArrowInvalid("a year before 1 or after 9999")
