"""`statistics.json`: statistics of each part, so that the rows need not be read again.

Numbers are exact or omitted: a sum whose last bit depends on the CPU would give equal rows
different digests.
"""

import math
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    import pyarrow as pa

MAX_VALUES: Final = 20
"""Maximum number of distinct values that are counted individually."""
MAX_TEXT: Final = 100
"""Maximum length of texts as bounds and values."""
_EXACT_INT: Final = 1 << 53
"""JSON numbers below are exact."""
_HALF_BITS: Final = 32

ColumnStatistics: TypeAlias = dict[str, Any]
PartStatistics: TypeAlias = dict[str, ColumnStatistics]


def of_table(table: "pa.Table") -> PartStatistics:
    """Statistics of each column of a part, by name."""
    return {name: of_column(table.column(name)) for name in table.column_names}


def of_column(column: "pa.ChunkedArray") -> ColumnStatistics:
    """`nulls`; `distinct` values; `min`, `max`; for numbers `mean`; a few `values` with counts.

    Numbers that are not exact, and texts of more than `MAX_TEXT` characters, are omitted.
    """
    import pyarrow.compute as pc

    result: ColumnStatistics = {"nulls": column.null_count}
    present = column.drop_null()
    counts = pc.value_counts(present)
    result["distinct"] = len(counts)
    if not len(present):
        return result
    bounds = pc.min_max(present).as_py()
    if all(not isinstance(value, str) or len(value) <= MAX_TEXT for value in bounds.values()):
        result["min"], result["max"] = json_value(bounds["min"]), json_value(bounds["max"])
    mean = _mean(present)
    if mean is not None:
        result["mean"] = mean
    values = _values(counts)
    if values is not None:
        result["values"] = values
    return result


def _values(counts: Any) -> list[list[Any]] | None:
    """Each value with its count, sorted by value; None if they are too many or too long."""
    if len(counts) > MAX_VALUES:
        return None
    pairs = sorted((item["values"], item["counts"]) for item in counts.to_pylist())
    if any(isinstance(value, str) and len(value) > MAX_TEXT for value, _ in pairs):
        return None
    return [[json_value(value), count] for value, count in pairs]


def _mean(column: "pa.ChunkedArray") -> float | None:
    """The correctly rounded mean; None if it is not defined.

    The sums of Arrow and NumPy depend on the vector width of the CPU.
    """
    import numpy as np
    import pyarrow as pa

    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int64())
    if pa.types.is_integer(column.type):
        values = column.to_numpy()
        # The sums of the two halves do not overflow up to 2^31 rows.
        high, low = int(np.sum(values >> _HALF_BITS)), int(np.sum(values & 0xFFFFFFFF))
        return ((high << _HALF_BITS) + low) / len(values)
    if not pa.types.is_floating(column.type):
        return None
    try:
        mean = math.fsum(column.to_numpy().tolist()) / len(column)
    except (OverflowError, ValueError):
        # Infinities of both signs, or a sum beyond the largest float.
        return None
    return mean if math.isfinite(mean) else None


def json_value(value: Any) -> Any:
    """A value for canonical JSON; numbers that JSON cannot represent become text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < _EXACT_INT else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
