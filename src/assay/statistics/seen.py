"""Which rows of a table another table holds too, by content.

A row that a model was trained on says nothing of how it will do on new ones. Rows are compared by
a hash of the values in some columns, a batch at a time, so memory holds one number for each row of
the smaller table only. Equal rows are the same row: where columns are few, rows can be equal by
chance, and leaving them out is the safe side.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

Hashes = NDArray[np.uint64]
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that multiplying loses nothing; the golden ratio's, as in Fibonacci hashing."""
_EXACT = 2.0**53
"""Below, a float holds every integer; this one may stand for the next."""
_MISSING = np.uint64(0xD1B54A32D192ED03)
"""The hash of a missing value. Not 0, which is the hash of the numbers 0 and false."""


def held_in(
    rows: "Iterable[pa.RecordBatch]", other: "Iterable[pa.RecordBatch]", columns: Sequence[str]
) -> NDArray[np.bool_]:
    """For each row, whether the other table holds one with equal values in `columns`.

    Two different rows share a hash of 64 bits with a chance of one in 10^19; a row would then be
    left out that need not be.

    Args:
        rows: The rows to ask about, at least one.
        other: The other table.
        columns: Those to compare, at least one; both tables have them.
    """
    own = np.concatenate([row_hashes(batch, columns) for batch in rows])
    known = np.unique(own)
    seen = np.zeros(len(known), dtype=np.bool_)
    for batch in other:
        seen |= np.isin(known, np.unique(row_hashes(batch, columns)), assume_unique=True)
    found: NDArray[np.bool_] = seen[np.searchsorted(known, own)]
    return found


def row_hashes(batch: "pa.RecordBatch", columns: Sequence[str]) -> Hashes:
    """A hash of each row's values; a number has the same one whether stored as integer or not."""
    found = np.zeros(batch.num_rows, dtype=np.uint64)
    for name in columns:
        found = found * _FACTOR + _cell_hashes(batch.column(name))
    return found


def _cell_hashes(column: "pa.Array") -> Hashes:
    import pyarrow as pa
    import pyarrow.compute as pc
    from pandas.util import hash_array

    missing = column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        hashes = _number_hashes(column.fill_null(0).to_numpy(zero_copy_only=False), missing)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        texts = column.fill_null("").to_numpy(zero_copy_only=False)
        hashes = hash_array(texts, categorize=True)
    elif pa.types.is_boolean(kind):
        truths = pc.fill_null(column, False)
        hashes = hash_array(truths.to_numpy(zero_copy_only=False))
    else:
        # Dates and times: as microseconds, so that a date is the midnight that it begins with.
        times = column.cast(pa.timestamp("us", getattr(kind, "tz", None))).cast(pa.int64())
        hashes = hash_array(times.fill_null(0).to_numpy(zero_copy_only=False))
    hashes = hashes.astype(np.uint64)
    hashes[missing] = _MISSING
    return hashes


def _number_hashes(values: NDArray[np.generic], missing: NDArray[np.bool_]) -> Hashes:
    from pandas.util import hash_array

    floats = values.astype(np.float64) + 0.0  # -0.0 becomes 0.0
    floats[missing] = 0.0
    hashes = np.asarray(hash_array(floats), dtype=np.uint64)
    if values.dtype.kind in "iu":
        for place in np.flatnonzero(np.abs(floats) >= _EXACT):
            # What the float leaves over tells large integers apart.
            rest = int(values[place]) - int(floats[place])
            hashes[place] = np.uint64((int(hashes[place]) + rest * int(_FACTOR)) % 2**64)
    return hashes
