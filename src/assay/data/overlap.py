"""Find the rows of a table that another table contains, by content.

The quality on rows that a model was trained on does not predict its quality on new rows. Rows are
compared in batches by a cryptographic hash of the values in some columns, so memory is needed for
one hash of each row of the first table only, and collisions cannot be constructed. Equal rows are
considered the same row. With few columns, rows may be equal by chance; excluding them is safe.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

Hashes = NDArray[np.bytes_]
"""In hexadecimal, because NumPy removes zero bytes at the end of a value."""
_BYTES: Final = 16
"""Size of a hash, and of the encoding of a value."""
_CELL: Final = 1 + _BYTES
"""Size of an encoded value: its kind, and 16 bytes that are unique within this kind."""
_MISSING, _NUMBER, _TEXT, _TIME = range(4)
_EXACT: Final = 2.0**53
"""Integers below are exact as floats; from here on several integers have the same float."""


def contained_in(
    rows: "Iterable[pa.RecordBatch]", table: "Iterable[pa.RecordBatch]", columns: Sequence[str]
) -> NDArray[np.bool_]:
    """Find the rows with equal values in `columns` in another table.

    Args:
        rows: The rows to look up, at least one.
        table: The other table.
        columns: The columns to compare, at least one; both tables have them.

    Returns:
        Boolean array with one value for each row; shape (rows,).
    """
    hashes = np.concatenate([row_hashes(batch, columns) for batch in rows])
    distinct = np.unique(hashes)
    seen = np.zeros(len(distinct), dtype=np.bool_)
    for batch in table:
        candidates = row_hashes(batch, columns)
        indices = np.minimum(np.searchsorted(distinct, candidates), len(distinct) - 1)
        seen[indices[distinct[indices] == candidates]] = True
    result: NDArray[np.bool_] = seen[np.searchsorted(distinct, hashes)]
    return result


def row_hashes(batch: "pa.RecordBatch", columns: Sequence[str]) -> Hashes:
    """A hash of each row; equal numbers have equal hashes, regardless of their type."""
    cells = [_cells(batch.column(name)) for name in columns]
    content, width = np.hstack(cells).tobytes(), _CELL * len(columns)
    return np.array(
        [
            blake2b(content[start : start + width], digest_size=_BYTES).hexdigest()
            for start in range(0, len(content), width)
        ],
        dtype=f"S{2 * _BYTES}",
    )


def _cells(column: "pa.Array") -> NDArray[np.uint8]:
    """The encoded values; of fixed width, so that different rows have different encodings."""
    import pyarrow as pa

    missing = column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
    kind = column.type
    cells = np.zeros((len(column), _CELL), dtype=np.uint8)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        cells[:, 0] = _NUMBER
        cells[:, 1:] = _numbers(column.fill_null(0).to_numpy(zero_copy_only=False), missing)
    elif pa.types.is_boolean(kind):
        cells[:, 0] = _NUMBER
        cells[:, 1:] = _numbers(column.fill_null(False).to_numpy(zero_copy_only=False), missing)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        cells[:, 0] = _TEXT
        cells[:, 1:] = _texts(column)
    else:
        # Dates and times as microseconds; a date is equal to its midnight.
        times = column.cast(pa.timestamp("us", getattr(kind, "tz", None))).cast(pa.int64())
        cells[:, 0] = _TIME
        cells[:, 1:9] = _as_bytes(times.fill_null(0).to_numpy(zero_copy_only=False), "<i8")
    cells[missing] = _MISSING
    return cells


def _numbers(values: NDArray[np.generic], missing: NDArray[np.bool_]) -> NDArray[np.uint8]:
    floats = values.astype(np.float64) + 0.0  # -0.0 becomes 0.0
    floats[missing] = 0.0
    rest = np.zeros(len(values), dtype=np.int64)
    if values.dtype.kind in "iu":
        for index in np.flatnonzero(np.abs(floats) >= _EXACT):
            # The rounding error distinguishes large integers with the same float.
            rest[index] = int(values[index]) - int(floats[index])
    return np.hstack([_as_bytes(floats, "<f8"), _as_bytes(rest, "<i8")])


def _texts(column: "pa.Array") -> NDArray[np.uint8]:
    import pyarrow as pa

    encoded = column.cast(pa.large_binary()).fill_null(b"").dictionary_encode()
    hashes = b"".join(
        blake2b(text, digest_size=_BYTES).digest() for text in encoded.dictionary.to_pylist()
    )
    table = np.frombuffer(hashes, dtype=np.uint8).reshape(-1, _BYTES)
    result: NDArray[np.uint8] = table[encoded.indices.to_numpy(zero_copy_only=False)]
    return result


def _as_bytes(values: NDArray[np.generic], kind: str) -> NDArray[np.uint8]:
    """The eight bytes of each value."""
    return np.ascontiguousarray(values.astype(kind)).view(np.uint8).reshape(-1, 8)
