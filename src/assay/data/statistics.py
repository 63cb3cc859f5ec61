"""`statistics.json`: statistics of each part, so that the rows need not be read again.

Numbers are exact or omitted: a sum whose last bit depends on the CPU would give equal rows
different digests.
"""

import math
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

MAX_VALUES: Final = 20
"""Maximum number of distinct values that are counted individually."""
MAX_TEXT: Final = 100
"""Maximum length of texts as bounds and values."""
_EXACT_INT: Final = 1 << 53
"""JSON numbers below are exact."""
_HALF_BITS: Final = 32
_PASSES: Final = 4
"""Number of passes of `exact_sum`; more are needed only if the sizes of the values differ much."""
_LARGEST_SPLIT: Final = 2.0**1022

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
    result["distinct"], counts = _distinct(present)
    if not len(present):
        return result
    bounds = pc.min_max(present).as_py()
    if all(not isinstance(value, str) or len(value) <= MAX_TEXT for value in bounds.values()):
        result["min"], result["max"] = json_value(bounds["min"]), json_value(bounds["max"])
    mean = _mean(present)
    if mean is not None:
        result["mean"] = mean
    values = None if counts is None else _values(counts)
    if values is not None:
        result["values"] = values
    return result


def _distinct(column: "pa.ChunkedArray") -> tuple[int, Any]:
    """The number of distinct values, and the count of each; None if they are too many."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_int64(column.type) or pa.types.is_float64(column.type):
        # Sorting is several times faster than hashing. Floats are the same if their bits are.
        ordered = np.sort(column.to_numpy().view(np.int64))
        distinct = int(np.count_nonzero(ordered[1:] != ordered[:-1])) + min(len(ordered), 1)
        if distinct > MAX_VALUES:
            return distinct, None
    counts = pc.value_counts(column)
    return len(counts), counts if len(counts) <= MAX_VALUES else None


def _values(counts: Any) -> list[list[Any]] | None:
    """Each value with its count, sorted by value; None if they are too long."""
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
        mean = exact_sum(column.to_numpy()) / len(column)
    except (OverflowError, ValueError):
        # Infinities of both signs, or a sum beyond the largest float.
        return None
    return mean if math.isfinite(mean) else None


def exact_sum(values: "NDArray[np.float64]") -> float:
    """The correctly rounded sum of floats, like `math.fsum`, several times faster.

    Each pass splits all values at one power of two, which is so large that the sum of the upper
    pieces is exact in any order (Rump, Ogita and Oishi 2008, "Accurate floating-point summation").
    The lower pieces are exact, and are split by the next pass.

    Args:
        values: Floats; shape (rows,).

    Returns:
        The sum; NaN or infinite as from `math.fsum`.

    Raises:
        OverflowError: A partial sum is beyond the largest float.
        ValueError: Infinities of both signs.
    """
    import numpy as np

    rest = values
    sums: list[float] = []
    bits = (len(values) + 2).bit_length()
    for _ in range(_PASSES):
        largest = float(np.max(np.abs(rest), initial=0.0))
        if not largest:
            return math.fsum(sums)
        if not largest < _LARGEST_SPLIT / (1 << bits):
            break
        split = math.ldexp(1.0, bits + math.frexp(largest)[1])
        upper = rest + split
        upper -= split
        sums.append(float(np.sum(upper)))
        rest = rest - upper
    return math.fsum([*sums, *rest[rest != 0].tolist()])


def json_value(value: Any) -> Any:
    """A value for canonical JSON; numbers that JSON cannot represent become text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < _EXACT_INT else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
