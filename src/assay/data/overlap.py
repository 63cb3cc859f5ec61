"""Find the rows of a table that another table contains, by content.

The quality on rows that a model was trained on does not predict its quality on new rows. Rows are
compared in batches by a hash of the values in some columns, so memory is needed for one hash of
each row of the first table only. Equal rows are considered the same row. With few columns, rows may
be equal by chance; excluding them is safe.

Each call draws a random key, so collisions cannot be constructed by the person who wrote the
tables. A row is a vector of 32-bit words (`_Cells`), and different rows are different vectors. A
lane of the hash is `m + sum of (a[i] + x[i]) * (b[i] + y[i])` over pairs of words, modulo 2^64,
with random 64-bit m, a, b; its upper 32 bits are equal for two different vectors with probability
2^-32, whatever they are (Lemire & Kaser, Strongly universal string hashing is fast, The Computer
Journal 2014: Multilinear-HM). Four lanes with independent keys give 2^-128. Two SipHashes with
independent keys represent a text (Aumasson & Bernstein, SipHash, INDOCRYPT 2012); as a
pseudorandom function, they are equal for different texts with probability 2^-128. For tables of
10^8 rows each, the probability that any two different rows are considered equal is below 2^-73.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

Words = NDArray[np.uint64]
_MISSING, _NUMBER, _TEXT, _TIME = (np.uint64(kind) for kind in range(4))
"""Kinds of values."""
_EXACT: Final = 2.0**53
"""Integers below are exact as floats; from here on several integers have the same float."""
_LARGEST: Final = 2.0**63 - 1024
"""The largest float that is an int64."""
_LANES: Final = 4
_PAIRS: Final = 2
"""Pairs of 32-bit words of a cell, besides its kind."""
_HALF: Final = np.uint64(32)
_LOW: Final = np.uint64(2**32 - 1)


def contained_in(
    rows: "Iterable[pa.RecordBatch]", table: "Iterable[pa.RecordBatch]", columns: Sequence[str]
) -> NDArray[np.bool_]:
    """Find the rows with equal values in `columns` in another table.

    Numbers are equal regardless of their type. A missing value is equal to a missing value.

    Args:
        rows: The rows to look up, at least one.
        table: The other table.
        columns: The columns to compare, at least one; both tables have them.

    Returns:
        Boolean array with one value for each row; shape (rows,).
    """
    key = _Key.draw(len(columns))
    hashes = np.concatenate([_row_hashes(batch, columns, key) for batch in rows], axis=1)
    order = np.lexsort(hashes[::-1])
    ordered = hashes[:, order]
    new = np.r_[True, (ordered[:, 1:] != ordered[:, :-1]).any(axis=0)]
    distinct = ordered[:, new]
    longest = int(np.unique(distinct[0], return_counts=True)[1].max())
    seen = np.zeros(distinct.shape[1], dtype=np.bool_)
    for batch in table:
        seen[_places(distinct, longest, _row_hashes(batch, columns, key))] = True
    result = np.empty(len(order), dtype=np.bool_)
    result[order] = seen[np.cumsum(new) - 1]
    return result


def _places(distinct: Words, longest: int, hashes: Words) -> NDArray[np.intp]:
    """Where `distinct` has one of the hashes.

    Args:
        distinct: Sorted, without duplicates; shape (2, hashes).
        longest: The largest number of them with the same first half; almost always 1.
        hashes: Shape (2, rows).
    """
    begin = np.searchsorted(distinct[0], hashes[0])
    parts = []
    for offset in range(longest):
        places = np.minimum(begin + offset, distinct.shape[1] - 1)
        parts.append(places[(distinct[:, places] == hashes).all(axis=0)])
    return np.concatenate(parts)


@dataclass(frozen=True, slots=True)
class _Key:
    """The random numbers of a hash."""

    first: Words
    """Shape (lanes,)."""
    pairs: Words
    """Shape (columns, pairs, lanes, 2)."""
    kinds: Words
    """Shape (columns, lanes)."""
    texts: tuple[str, str]

    @classmethod
    def draw(cls, columns: int) -> "_Key":
        """A new key for rows of this number of columns."""

        def words(*shape: int) -> Words:
            return np.frombuffer(secrets.token_bytes(8 * int(np.prod(shape))), np.uint64).reshape(
                shape
            )

        return cls(
            words(_LANES),
            words(columns, _PAIRS, _LANES, 2),
            words(columns, _LANES),
            (secrets.token_urlsafe(12), secrets.token_urlsafe(12)),
        )


@dataclass(frozen=True, slots=True)
class _Cells:
    """The values of a column as words; different values differ in at least one."""

    kind: np.uint64
    value: Words
    """0 where the value is missing."""
    more: Words | None
    """None: 0 for all rows."""
    missing: NDArray[np.bool_] | None
    """None: no row."""


def _row_hashes(batch: "pa.RecordBatch", columns: Sequence[str], key: _Key) -> Words:
    """A hash of each row, shape (2, rows); equal numbers have equal hashes, whatever their type."""
    lanes = np.repeat(key.first[:, None], batch.num_rows, axis=1)
    for name, pairs, kinds in zip(columns, key.pairs, key.kinds, strict=True):
        cells = _cells(batch.column(name), key)
        _add_pair(lanes, cells.value, pairs[0])
        if cells.more is None:
            lanes += pairs[1].prod(axis=1, dtype=np.uint64)[:, None]
        else:
            _add_pair(lanes, cells.more, pairs[1])
        kind = (kinds * cells.kind)[:, None]
        lanes += kind if cells.missing is None else np.where(cells.missing, _MISSING, kind)
    upper = lanes >> _HALF
    return (upper[::2] << _HALF) | upper[1::2]


def _add_pair(lanes: Words, words: Words, keys: Words) -> None:
    """Add the product of the upper and the lower halves to each lane."""
    upper, lower = words >> _HALF, words & _LOW
    for index, (first, second) in enumerate(keys):
        lanes[index] += (upper + first) * (lower + second)


def _cells(column: "pa.Array", key: _Key) -> _Cells:
    import pyarrow as pa

    kind = column.type
    missing = None
    if column.null_count or pa.types.is_floating(kind):
        missing = column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
        missing = missing if missing.any() else None
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        value, more = _texts(column, missing, key.texts)
        return _Cells(_TEXT, value, more, missing)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        values = column.fill_null(0).to_numpy(zero_copy_only=False)
        return _Cells(_NUMBER, *_numbers(values, missing), missing)
    if pa.types.is_boolean(kind):
        values = column.fill_null(False).to_numpy(zero_copy_only=False)
        return _Cells(_NUMBER, *_numbers(values, missing), missing)
    # Dates and times as microseconds; a date is equal to its midnight.
    times = column.cast(pa.timestamp("us", getattr(kind, "tz", None))).cast(pa.int64())
    value = times.fill_null(0).to_numpy(zero_copy_only=False).view(np.uint64)
    return _Cells(_TIME, value, None, missing)


def _numbers(
    values: NDArray[np.generic], missing: NDArray[np.bool_] | None
) -> tuple[Words, Words | None]:
    """The nearest floats, and what distinguishes large integers with the same float."""
    floats = values.astype(np.float64) + 0.0  # -0.0 becomes 0.0
    if missing is not None:
        floats[missing] = 0.0
    rest = None
    if values.dtype.kind in "iu" and (np.abs(floats) >= _EXACT).any():
        # The rounding error, 0 for integers that are floats; 2^63 is the float of no int64.
        rounded = np.minimum(floats, _LARGEST).astype(np.int64)
        rest = (values.astype(np.int64) - rounded).view(np.uint64)
    return floats.view(np.uint64), rest


def _texts(
    column: "pa.Array", missing: NDArray[np.bool_] | None, keys: tuple[str, str]
) -> tuple[Words, Words]:
    import pyarrow as pa
    from pandas.util import hash_array

    encoded = column.cast(pa.large_binary()).fill_null(b"").dictionary_encode()
    distinct = np.empty(len(encoded.dictionary), dtype=object)
    distinct[:] = encoded.dictionary.to_pylist()
    indices = encoded.indices.to_numpy(zero_copy_only=False)
    value, more = (
        hash_array(distinct, hash_key=key, categorize=False).astype(np.uint64)[indices]
        for key in keys
    )
    if missing is not None:
        value[missing], more[missing] = 0, 0
    return value, more
