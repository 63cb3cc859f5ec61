"""Which rows of a table another table holds too, by content.

A row that a model was trained on says nothing of how it will do on new ones. Rows are compared by
a cryptographic hash of the values in some columns, a batch at a time, so memory holds one hash for
each row of the smaller table only. Whoever writes a table can make no row that is taken for
another. Equal rows are the same row: where columns are few, rows can be equal by chance, and
leaving them out is the safe side.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

Hashes = NDArray[np.bytes_]
"""In hexadecimal, because NumPy takes a zero byte at the end of a value away."""
_BYTES: Final = 16
"""Of a hash, and of what stands for one value."""
_CELL: Final = 1 + _BYTES
"""A value: its kind, and 16 bytes that no other value of this kind has."""
_MISSING, _NUMBER, _TEXT, _TIME = range(4)
_EXACT: Final = 2.0**53
"""Below, a float holds every integer; this one may stand for the next."""


def held_in(
    rows: "Iterable[pa.RecordBatch]", other: "Iterable[pa.RecordBatch]", columns: Sequence[str]
) -> NDArray[np.bool_]:
    """For each row, whether the other table holds one with equal values in `columns`.

    Args:
        rows: The rows to ask about, at least one.
        other: The other table.
        columns: Those to compare, at least one; both tables have them.
    """
    own = np.concatenate([row_hashes(batch, columns) for batch in rows])
    known = np.unique(own)
    seen = np.zeros(len(known), dtype=np.bool_)
    for batch in other:
        hashes = row_hashes(batch, columns)
        places = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
        seen[places[known[places] == hashes]] = True
    found: NDArray[np.bool_] = seen[np.searchsorted(known, own)]
    return found


def row_hashes(batch: "pa.RecordBatch", columns: Sequence[str]) -> Hashes:
    """A hash of each row's values; a number has the same one whether stored as integer or not."""
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
    """What stands for each value; all are of one width, so that no two rows are written alike."""
    import pyarrow as pa

    missing = column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
    kind = column.type
    found = np.zeros((len(column), _CELL), dtype=np.uint8)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        found[:, 0] = _NUMBER
        found[:, 1:] = _numbers(column.fill_null(0).to_numpy(zero_copy_only=False), missing)
    elif pa.types.is_boolean(kind):
        found[:, 0] = _NUMBER
        found[:, 1:] = _numbers(column.fill_null(False).to_numpy(zero_copy_only=False), missing)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        found[:, 0] = _TEXT
        found[:, 1:] = _texts(column)
    else:
        # Dates and times: as microseconds, so that a date is the midnight that it begins with.
        times = column.cast(pa.timestamp("us", getattr(kind, "tz", None))).cast(pa.int64())
        found[:, 0] = _TIME
        found[:, 1:9] = _as_bytes(times.fill_null(0).to_numpy(zero_copy_only=False), "<i8")
    found[missing] = _MISSING
    return found


def _numbers(values: NDArray[np.generic], missing: NDArray[np.bool_]) -> NDArray[np.uint8]:
    floats = values.astype(np.float64) + 0.0  # -0.0 becomes 0.0
    floats[missing] = 0.0
    rest = np.zeros(len(values), dtype=np.int64)
    if values.dtype.kind in "iu":
        for place in np.flatnonzero(np.abs(floats) >= _EXACT):
            # What the float leaves over tells large integers apart.
            rest[place] = int(values[place]) - int(floats[place])
    return np.hstack([_as_bytes(floats, "<f8"), _as_bytes(rest, "<i8")])


def _texts(column: "pa.Array") -> NDArray[np.uint8]:
    import pyarrow as pa

    encoded = column.cast(pa.large_binary()).fill_null(b"").dictionary_encode()
    hashes = b"".join(
        blake2b(text, digest_size=_BYTES).digest() for text in encoded.dictionary.to_pylist()
    )
    table = np.frombuffer(hashes, dtype=np.uint8).reshape(-1, _BYTES)
    found: NDArray[np.uint8] = table[encoded.indices.to_numpy(zero_copy_only=False)]
    return found


def _as_bytes(values: NDArray[np.generic], kind: str) -> NDArray[np.uint8]:
    """The eight bytes of each."""
    return np.ascontiguousarray(values.astype(kind)).view(np.uint8).reshape(-1, 8)
