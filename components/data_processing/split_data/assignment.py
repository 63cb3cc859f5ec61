"""Assign rows to sides. Memory: one batch of rows, and some ten bytes for each row.

The position of a row is a number in [0, 1) that can be recomputed by anybody. Of the key's columns,
in order of name, each value is written as text (numbers in their shortest form, `true`, ISO dates)
in a netstring, `<bytes>:<text>,`, and a missing one as `-,`, so that no two keys have the same
text. The position is the first eight bytes of the SHA-256 of the salt's netstring and these, as a
big-endian number, divided by 2^64. docs/format-dataset.md has an example.

Text and not bytes is hashed, so that most keys keep their position when later rows change the type
of their column: whole numbers, dates and booleans do. Values that a file may write in several ways
(1.5 and 1.50, a time with T or a blank) do not when their column becomes text.
"""

import functools
import hashlib
import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay import data
from assay.errors import UsageError

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Positions = np.ndarray[Any, np.dtype[np.uint64]]

MAX_CLASSES: Final = 1000
"""A target with more values than this does not have classes."""
MAX_WHOLE_NUMBERS: Final = 10
"""The same for whole numbers, which may also be amounts to predict."""
MAX_SHOWN: Final = 10
_POSITION_BYTES: Final = 8
_SCALE: Final = 1 << 64
_MISSING: Final = b"-"
_FIRST_VALUES: Final = 1000
_INT64_END: Final = 2.0**63
_MOST_PIECES: Final = 100
"""Maximum number of arrays that are joined at once."""
_UNITS: Final = 10_000
"""Units of a number with four decimals."""
_UNITS_END: Final = 10_000 * _UNITS
_TAIL_LENGTHS: Final = 6
"""The number of lengths of a point with up to four decimals, 0 to 5."""
_TRUTHS: Final = pa.array(["True", "TRUE", "False", "FALSE"])
_MIDNIGHT: Final = r" 00:00:00\.000000$"


class ByHash:
    """Decides which rows are held out, by the hash of their key.

    A row without any value in the key's columns belongs to no known entity, so it is an entity of
    its own: its key is the whole row. As one entity, all such rows together would be on one side.

    Args:
        folder: A dataset.
        keys: Columns that make the key; their order does not matter.
        salt: Another salt is another split.
        fraction: Share of rows held out, in (0, 1).
        strata: Column whose classes are each held to the fraction; none by default.
        whole: Columns that make a whole row; all of them by default.
    """

    def __init__(
        self,
        folder: Path,
        keys: Sequence[str],
        salt: str,
        fraction: float,
        strata: str = "",
        whole: Sequence[str] = (),
    ) -> None:
        self._columns = sorted(set(keys))
        self._salt = salt
        self._limit = np.uint64(int(fraction * _SCALE))
        info = data.info(folder)
        self._may_lack = _may_lack(info, self._columns)
        # Whole rows are needed only where a key may be missing.
        self._own = sorted(set(whole or info.names))
        self.unknown = 0
        """Number of rows so far without a value in any of the key's columns."""
        self._sides: Mask | None = None
        self._begin = 0
        if strata:
            self._sides = self._stratify(folder, strata, fraction)

    def __call__(self, batch: pa.RecordBatch) -> Mask:
        """Which of the next rows are held out; of whole rows, batch by batch and in order."""
        if self._may_lack:
            self.unknown += int(_lacks(batch.select(self._columns)).sum())
        if self._sides is None:
            return entities(batch, self._columns, self._salt, self._own) < self._limit
        self._begin += batch.num_rows
        return self._sides[self._begin - batch.num_rows : self._begin]

    def _stratify(self, folder: Path, strata: str, fraction: float) -> Mask:
        lacking = self._columns != self._own and self._may_lack
        read = [*self._columns, *(self._own if lacking else ()), strata]
        hashed: list[Positions] = []
        labels: dict[Any, int] = {}
        codes: list[np.ndarray[Any, np.dtype[np.int64]]] = []
        for batch in data.iter_batches(folder, list(dict.fromkeys(read))):
            hashed.append(entities(batch, self._columns, self._salt, self._own))
            values = batch.column(strata).to_pylist()
            codes.append(np.array([labels.setdefault(value, len(labels)) for value in values]))
        return _stratified(np.concatenate(hashed), np.concatenate(codes), fraction)


def _may_lack(info: data.DatasetInfo, columns: Sequence[str]) -> bool:
    return len(columns) < len(info.names) and all(info.column(name).nulls for name in columns)


def _lacks(batch: pa.RecordBatch) -> Mask:
    lacking = np.ones(batch.num_rows, dtype=bool)
    for column in batch.columns:
        lacking &= pc.is_null(column).to_numpy(zero_copy_only=False)
    return lacking


def entities(
    batch: pa.RecordBatch, columns: Sequence[str], salt: str, whole: Sequence[str]
) -> Positions:
    """The position of each row's entity; that of its `whole` columns if it has no key.

    Args:
        batch: Rows.
        columns: Columns that make the key, in order of name.
        salt: Another salt gives other positions.
        whole: Columns that make a whole row.
    """
    keys = batch.select(columns)
    entity_positions = positions(keys, salt)
    lacking = _lacks(keys)
    if list(columns) == list(whole) or not lacking.any():
        return entity_positions
    entity_positions = entity_positions.copy()
    rows = batch.select(whole).filter(pa.array(lacking))
    entity_positions[lacking] = positions(rows, salt)
    return entity_positions


def positions(batch: pa.RecordBatch, salt: str) -> Positions:
    """Each row's position times 2^64; see the module's docstring."""
    salted = salt.encode()
    pieces = [pa.scalar(b"%d:%s," % (len(salted), salted), pa.binary())]
    for number, column in enumerate(batch.columns):
        pieces += _netstring(column, b"," if number else b"")
    while len(pieces) > _MOST_PIECES:
        # Of a wide table, a few columns of all rows at a time are in the processor's cache.
        pieces = [
            pc.binary_join_element_wise(*pieces[begin : begin + _MOST_PIECES], b"")
            for begin in range(0, len(pieces), _MOST_PIECES)
        ]
    keys = pc.binary_join_element_wise(*pieces, b",", b"")
    _, offsets, content = keys.buffers()
    ends = np.frombuffer(offsets, np.int32, len(keys) + 1, 4 * keys.offset).tolist()
    texts, sha256 = memoryview(content or b""), hashlib.sha256
    digests = b"".join([sha256(texts[a:b]).digest() for a, b in itertools.pairwise(ends)])
    firsts = np.frombuffer(digests, ">u8")[:: sha256().digest_size // _POSITION_BYTES]
    return firsts.astype(np.uint64)


def _netstring(column: pa.Array, begin: bytes) -> list[pa.Array]:
    """Arrays that joined are `begin` and the netstrings of the values without the last comma."""
    if _repeats(column):
        encoded = column.dictionary_encode()
        netstrings = pc.binary_join_element_wise(*_netstring_of(encoded.dictionary, begin), b"")
        return [pc.fill_null(netstrings.take(encoded.indices), begin + _MISSING)]
    return _netstring_of(column, begin)


def _netstring_of(column: pa.Array, begin: bytes) -> list[pa.Array]:
    if pa.types.is_floating(column.type) and (netstrings := _netstring_of_decimals(column, begin)):
        return netstrings
    text = pc.cast(_text(column), pa.binary())
    # Few lengths differ, so that looking up their texts is faster than writing each.
    lengths = pc.fill_null(pc.binary_length(text), -1).dictionary_encode()
    begins = [
        begin + (b"%d:" % length if length >= 0 else _MISSING)
        for length in lengths.dictionary.to_pylist()
    ]
    return [pa.array(begins, pa.binary()).take(lengths.indices), pc.fill_null(text, b"")]


def _netstring_of_decimals(column: pa.Array, begin: bytes) -> list[pa.Array]:
    """The same for floats below 10^4 with at most four decimals; empty if there are others.

    A float that is equal to n / 10^4, correctly rounded, has the decimal n / 10^4 as its shortest
    text: no two decimals of at most 15 digits have the same float. So a text is the beginning up to
    the point, of a table, and the decimals, of another; this is several times faster than searching
    the shortest text of each.
    """
    values = pc.fill_null(column, 0.0).to_numpy()
    size = np.abs(values)
    units = np.rint(size * _UNITS)
    if not ((units < _UNITS_END) & (units / _UNITS == size)).all():
        return []
    whole = size.astype(np.int32)
    part = (units - whole * float(_UNITS)).astype(np.int32)
    tails, lengths = _tails()
    digits = len(str(whole.max(initial=0)))
    places = ((values < 0) * 10**digits + whole) * _TAIL_LENGTHS + lengths[part]
    missing = pc.is_null(column).to_numpy(zero_copy_only=False)
    heads = _heads(begin, digits)
    places[missing] = len(heads) - 1
    return [heads.take(pa.array(places)), tails.take(pa.array(part))]


@functools.cache
def _tails() -> tuple[pa.Array, np.ndarray[Any, np.dtype[np.int32]]]:
    """The texts of 0 to 9999 ten-thousandths after a whole number, and their lengths."""
    texts = [f".{part:04}".rstrip("0").rstrip(".").encode() for part in range(_UNITS)]
    return pa.array(texts, pa.binary()), np.array(list(map(len, texts)), np.int32)


@functools.cache
def _heads(begin: bytes, digits: int) -> pa.Array:
    """The beginnings of netstrings: for each sign, whole number and length of the decimals.

    Args:
        begin: What each begins with.
        digits: Of the largest whole number.

    Returns:
        Binary array of shape (2 * 10^digits * _TAIL_LENGTHS + 1,); the last is a missing value.
    """
    texts = [f"{sign}{whole}".encode() for sign in ("", "-") for whole in range(10**digits)]
    heads = [
        b"%b%d:%b" % (begin, len(text) + tail, text)
        for text in texts
        for tail in range(_TAIL_LENGTHS)
    ]
    return pa.array([*heads, begin + _MISSING], pa.binary())


def _repeats(column: pa.Array) -> bool:
    """Whether the first values of a column suggest that it has few distinct ones."""
    first = column.slice(0, _FIRST_VALUES)
    return 2 * len(pc.unique(first)) < len(first)


def _text(column: pa.Array) -> pa.Array:
    if pa.types.is_string(column.type):
        # All spellings of true and false are one key, as in a column of booleans.
        return pc.if_else(pc.is_in(column, _TRUTHS), pc.ascii_lower(column), column)
    if pa.types.is_timestamp(column.type):
        # A date stays the same key when its column becomes one of times.
        return pc.replace_substring_regex(pc.cast(column, pa.string()), _MIDNIGHT, "")
    if not pa.types.is_floating(column.type):
        return pc.cast(column, pa.string())
    # 10000000000.0 is the key 10000000000, which Arrow would write as 1e+10.
    whole = pc.and_(pc.equal(pc.trunc(column), column), pc.less(pc.abs(column), _INT64_END))
    text = pc.cast(column, pa.string())
    if not pc.any(whole).as_py():
        return text
    whole = pc.fill_null(whole, False)
    integers = pc.cast(column.filter(whole), pa.int64())
    return pc.replace_with_mask(text, whole, pc.cast(integers, pa.string()))


def _stratified(
    hashed: Positions, codes: np.ndarray[Any, np.dtype[np.int64]], fraction: float
) -> Mask:
    """Hold out the wanted share of each class, deciding in order of first appearance.

    A biased coin (Efron 1971, "Forcing a sequential experiment to be balanced"): an entity is held
    out with the probability that brings its class back to the share, so the count never deviates by
    one or more; the entity's position is the random number. Later entities do not change earlier
    ones. An entity counts for the class of its first row. The second of a class goes to the
    opposite side of the first, so that rare classes are on both sides.
    """
    _, first, entity = np.unique(hashed, return_index=True, return_inverse=True)
    held_out = np.zeros(len(first), dtype=bool)
    seen: Counter[int] = Counter()
    taken: Counter[int] = Counter()
    for number in np.argsort(first):
        row = first[number]
        label, throw = int(codes[row]), int(hashed[row]) / _SCALE
        if seen[label] == 1:
            side = taken[label] == 0
        else:
            side = throw < fraction * (seen[label] + 1) - taken[label]
        held_out[number] = side
        seen[label] += 1
        taken[label] += side
    rows: Mask = held_out[entity]
    return rows


class ByTime:
    """Decides which rows are held out: the latest, cut as near to the share as possible.

    Args:
        folder: A dataset.
        column: Column of dates, times or numbers, without missing values.
        fraction: Share of rows held out, in (0, 1).

    Raises:
        UsageError: All rows have the same time.
    """

    unknown = 0
    """There are no keys."""

    def __init__(self, folder: Path, column: str, fraction: float) -> None:
        self._column = column
        self._cut = _cut(folder, column, fraction)

    def __call__(self, batch: pa.RecordBatch) -> Mask:
        """Which of these rows are held out."""
        held_out: Mask = batch.column(self._column).to_numpy(zero_copy_only=False) >= self._cut
        return held_out


def _cut(folder: Path, column: str, fraction: float) -> Any:
    """The earliest time that is held out."""
    batches = data.iter_batches(folder, [column])
    values = np.concatenate([batch.column(0).to_numpy(zero_copy_only=False) for batch in batches])
    ordered = np.sort(values)
    count = len(ordered)
    near = ordered[min(int(count * (1 - fraction)), count - 1)]
    # The rows of that time go to the side that brings the test set nearer to its share.
    cuts = [int(np.searchsorted(ordered, near, side)) for side in ("left", "right")]
    possible = [cut for cut in cuts if 0 < cut < count]
    if not possible:
        raise UsageError(
            f"time_column {column!r}: nearly all of the {count:,} rows have the same time, {near}; "
            "give a finer column or split by hash"
        )
    cut = min(possible, key=lambda cut: abs(count - cut - fraction * count))
    return ordered[cut]


class Sides:
    """The rows that were assigned so far, and whether they are useful for training and testing.

    Args:
        folder: The dataset that is split.
        target: Column of classes, or empty.
        required: Whether its values are known to be classes.
    """

    def __init__(self, folder: Path, target: str, *, required: bool) -> None:
        info = data.info(folder)
        self.train = self.test = 0
        """Number of rows."""
        self._target = target
        self._required = required
        kind = info.column(target).type if target else ""
        limits = {"string": MAX_CLASSES, "bool": MAX_CLASSES, "int64": MAX_WHOLE_NUMBERS}
        self._limit = info.rows if required else limits.get(kind, 0)
        """Maximum number of classes; with more values, the target does not have classes."""
        self._classes: tuple[Counter[Any], Counter[Any]] = (Counter(), Counter())

    def add(self, train: pa.RecordBatch, test: pa.RecordBatch) -> None:
        """Count rows."""
        self.train += train.num_rows
        self.test += test.num_rows
        if not self._target or not self._limit:
            return
        for counter, batch in zip(self._classes, (train, test), strict=True):
            counted = pc.value_counts(batch.column(self._target).drop_null())
            counter.update({item["values"]: item["counts"] for item in counted.to_pylist()})
        if len(self._classes[0].keys() | self._classes[1].keys()) > self._limit:
            self._limit = 0
            self._classes = (Counter(), Counter())

    def check(self) -> None:
        """Refuse a split that is useless, after all rows were added.

        Raises:
            UsageError: A side without rows, or without rows of one of the classes.
        """
        for name, count in (("train", self.train), ("test", self.test)):
            if count == 0:
                raise UsageError(
                    f"the {name} set has none of the {self.train + self.test:,} rows; change "
                    "test_fraction, give more data, or more keys than one"
                )
        train, test = self._classes
        lacking = [
            f"{label!r} ({train[label] + test[label]} rows) has none for "
            + ("training" if train[label] == 0 else "testing")
            for label in sorted(train.keys() | test.keys(), key=str)
            if 0 in (train[label], test[label])
        ]
        if lacking:
            more = f", and {len(lacking) - MAX_SHOWN} more" if len(lacking) > MAX_SHOWN else ""
            remedy = "give more rows of it or remove these"
            raise UsageError(
                f"target {self._target!r}: class {', '.join(lacking[:MAX_SHOWN])}{more}; "
                + (remedy if self._required else f"set stratify=true and split_by='hash', {remedy}")
            )
