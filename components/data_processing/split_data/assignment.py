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

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
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
_INT64_END: Final = 2.0**63
_TRUTHS: Final = pa.array(["True", "TRUE", "False", "FALSE"])
_MIDNIGHT: Final = r" 00:00:00\.000000$"


def by_hash(
    folder: Path,
    keys: Sequence[str],
    salt: str,
    fraction: float,
    strata: str = "",
    whole: Sequence[str] = (),
) -> Mask:
    """Which rows are held out, by the hash of their key.

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
    columns = sorted(set(keys))
    info = data.info(folder)
    # Whole rows are needed only where a key may be missing.
    own = sorted(set(whole or info.names))
    lacking = columns != own and _may_lack(info, columns)
    read = list(dict.fromkeys([*columns, *own])) if lacking else columns
    if not strata:
        limit = np.uint64(int(fraction * _SCALE))
        batches = data.iter_batches(folder, read)
        return np.concatenate([entities(batch, columns, salt, own) < limit for batch in batches])
    hashed: list[Positions] = []
    labels: dict[Any, int] = {}
    codes: list[np.ndarray[Any, np.dtype[np.int64]]] = []
    for batch in data.iter_batches(folder, list(dict.fromkeys([*read, strata]))):
        hashed.append(entities(batch, columns, salt, own))
        values = batch.column(strata).to_pylist()
        codes.append(np.array([labels.setdefault(value, len(labels)) for value in values]))
    return _stratified(np.concatenate(hashed), np.concatenate(codes), fraction)


def unknown_entities(folder: Path, keys: Sequence[str]) -> int:
    """Rows without a value in any of the key's columns."""
    columns = sorted(set(keys))
    if not _may_lack(data.info(folder), columns):
        return 0
    return sum(int(_lacks(batch).sum()) for batch in data.iter_batches(folder, columns))


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
    pieces = [_netstrings(column) for column in batch.columns]
    keys = pc.binary_join_element_wise(*pieces, b"")
    salted = salt.encode()
    begun = hashlib.sha256(b"%d:%s," % (len(salted), salted))
    digests = bytearray()
    for key in keys.to_pylist():
        hasher = begun.copy()
        hasher.update(key)
        digests += hasher.digest()[:_POSITION_BYTES]
    return np.frombuffer(bytes(digests), ">u8").astype(np.uint64)


def _netstrings(column: pa.Array) -> pa.Array:
    text = pc.cast(_text(column), pa.binary())
    length = pc.cast(pc.cast(pc.binary_length(text), pa.string()), pa.binary())
    # A missing value makes the whole piece null.
    return pc.fill_null(pc.binary_join_element_wise(length, b":", text, b",", b""), b"-,")


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
    integers = pc.cast(pc.if_else(whole, column, 0.0), pa.int64())
    return pc.if_else(whole, pc.cast(integers, pa.string()), pc.cast(column, pa.string()))


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


def by_time(folder: Path, column: str, fraction: float) -> Mask:
    """Which rows are held out: the latest, cut between two times, as near to the share as possible.

    Args:
        folder: A dataset.
        column: Column of dates, times or numbers.
        fraction: Share of rows held out, in (0, 1).

    Raises:
        UsageError: All rows have the same time.
    """
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
    held_out: Mask = values >= ordered[cut]
    return held_out


def rows_of(folder: Path, side: Mask) -> Iterator[pa.RecordBatch]:
    """The rows where `side` holds, batch by batch."""
    begin = 0
    for batch in data.iter_batches(folder):
        yield batch.filter(pa.array(side[begin : begin + batch.num_rows]))
        begin += batch.num_rows


def check(folder: Path, held_out: Mask, target: str, *, required: bool) -> None:
    """Refuse a split that is useless for training or testing.

    Args:
        folder: The dataset that was split.
        held_out: The split.
        target: Column of classes; empty if there is none.
        required: Whether its values are known to be classes.

    Raises:
        UsageError: A side without rows, or without rows of one of the classes.
    """
    rows = len(held_out)
    for name, count in (("train", rows - int(held_out.sum())), ("test", int(held_out.sum()))):
        if count == 0:
            raise UsageError(
                f"the {name} set has none of the {rows:,} rows; change test_fraction, give more "
                "data, or more keys than one"
            )
    if not target:
        return
    kind = data.info(folder).column(target).type
    limits = {"string": MAX_CLASSES, "bool": MAX_CLASSES, "int64": MAX_WHOLE_NUMBERS}
    counts = _class_counts(folder, target, held_out, rows if required else limits.get(kind, 0))
    lacking = [
        f"{label!r} ({train + test} rows) has none for {'training' if train == 0 else 'testing'}"
        for label, (train, test) in sorted(counts.items(), key=lambda item: str(item[0]))
        if 0 in (train, test)
    ]
    if lacking:
        more = f", and {len(lacking) - MAX_SHOWN} more" if len(lacking) > MAX_SHOWN else ""
        remedy = "give more rows of it or remove these"
        raise UsageError(
            f"target {target!r}: class {', '.join(lacking[:MAX_SHOWN])}{more}; "
            + (remedy if required else f"set stratify=true and split_by='hash', {remedy}")
        )


def _class_counts(
    folder: Path, target: str, held_out: Mask, limit: int
) -> dict[Any, tuple[int, int]]:
    """Rows for training and testing of each class; empty if there are more than `limit`."""
    sides: tuple[Counter[Any], Counter[Any]] = (Counter(), Counter())
    begin = 0
    for batch in data.iter_batches(folder, [target]) if limit else ():
        side = pa.array(held_out[begin : begin + batch.num_rows])
        begin += batch.num_rows
        for counter, mask in zip(sides, (pc.invert(side), side), strict=True):
            counted = pc.value_counts(batch.column(0).filter(mask).drop_null())
            counter.update({item["values"]: item["counts"] for item in counted.to_pylist()})
        if len(sides[0].keys() | sides[1].keys()) > limit:
            return {}
    return {
        label: (sides[0][label], sides[1][label]) for label in sides[0].keys() | sides[1].keys()
    }
