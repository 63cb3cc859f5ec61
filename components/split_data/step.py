"""split_data: the work."""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from assay.errors import UsageError
from assay.step import Dataset, Out, Values, step

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_UNIT_SEPARATOR: Final = "\x1f"
_NULL: Final = "\x00"


@step
def split_data(
    *,
    dataset: Dataset,
    target: str = "",
    by: str = "hash",
    key_columns: list[str] = [],  # noqa: B006 - read only
    time_column: str = "",
    test_fraction: float = 0.25,
    stratify: bool = False,
    salt: str = "",
    train: Out[Dataset],
    test: Out[Dataset],
) -> Values:
    """Split rows into training and test sets, stable as the data grows.

    By hash: a row's side depends on nothing but its own key (`key_columns`, or the whole row), so
    a row keeps its side when others come, and equal rows never stand on both sides. With
    `stratify`, each class is cut at its own quantile of the hash: shares become exact, and the few
    rows near the cut may change sides as data grows.

    By time: the latest `test_fraction` of rows; rows with the time of the cut are all on one side.

    Raises:
        UsageError: Unknown columns, a fraction outside (0, 1), a side without rows or without one
            of the classes.
    """
    from assay import dataset as data

    info = data.info(dataset.path)
    problems = data.column_problems([str(c) for c in key_columns], info.names, "key_columns")
    if by not in {"hash", "time"}:
        problems.append(f"by: {by!r}; use 'hash' or 'time'")
    if by == "time":
        problems += (
            data.column_problems([time_column], info.names, "time_column")
            if time_column
            else ["time_column is missing; name the column to split by"]
        )
    if stratify and not target:
        problems.append("stratify needs the target; name it")
    if target:
        problems += data.column_problems([target], info.names, "target")
    if not 0 < test_fraction < 1:
        problems.append(f"test_fraction is {test_fraction}; give a share between 0 and 1")
    if problems:
        raise UsageError.all_of(problems)
    if by == "time":
        held_out = _by_time(dataset, time_column, test_fraction)
    else:
        keys = [str(name) for name in key_columns] or sorted(info.names)
        held_out = _by_hash(dataset, keys, salt, test_fraction, target if stratify else "")
    sides = {"train": ~held_out, "test": held_out}
    if empty := [name for name, side in sides.items() if not side.any()]:
        raise UsageError(f"the {empty[0]} set has no rows (of {info.rows}); change test_fraction")
    schema = data.arrow_schema(dataset.path)
    for out, side in ((train, sides["train"]), (test, sides["test"])):
        data.write(_filtered(dataset, side), schema, out.path)
    return {"train_rows": int(sides["train"].sum()), "test_rows": int(sides["test"].sum())}


def _filtered(dataset: Dataset, mask: "np.ndarray") -> "Iterator[pa.RecordBatch]":
    """The rows where `mask` holds, batch by batch."""
    import pyarrow as pa

    from assay import dataset as data

    begin = 0
    for batch in data.iter_batches(dataset.path):
        yield batch.filter(pa.array(mask[begin : begin + batch.num_rows]))
        begin += batch.num_rows


def _by_hash(
    dataset: Dataset, keys: list[str], salt: str, fraction: float, strata: str
) -> "np.ndarray":
    import numpy as np

    from assay import dataset as data

    hashes: list[np.ndarray] = []
    classes: list[np.ndarray] = []
    columns = list(dict.fromkeys([*keys, strata] if strata else keys))
    for batch in data.iter_batches(dataset.path, columns):
        hashes.append(_hash_rows(batch.select(keys), salt))
        if strata:
            classes.append(np.asarray([str(v) for v in batch.column(strata).to_pylist()]))
    position = np.concatenate(hashes)
    if not strata:
        return position < np.uint64(int(fraction * 2**64))
    labels = np.concatenate(classes)
    held_out = np.zeros(len(position), dtype=bool)
    for label in np.unique(labels):
        rows = labels == label
        # "lower" makes the cut a value that is there: equal rows stay on one side of it.
        cut = np.quantile(position[rows], fraction, method="lower")
        held_out[rows] = position[rows] < cut
    return held_out


def _hash_rows(batch: "pa.RecordBatch", salt: str) -> "np.ndarray":
    """A uniform 64-bit number for each row, from the text of its values; the same everywhere.

    BLAKE2b, because Python's and pandas' own hashes promise no stability across versions.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = [pc.cast(column, pa.string()) for column in batch.columns]
    joined = pc.binary_join_element_wise(
        *texts, _UNIT_SEPARATOR, null_handling="replace", null_replacement=_NULL
    )
    seed = hashlib.blake2b(salt.encode(), digest_size=8)

    def one(text: str) -> int:
        hasher = seed.copy()
        hasher.update(text.encode())
        return int.from_bytes(hasher.digest(), "big")

    return np.fromiter((one(text) for text in joined.to_pylist()), np.uint64, len(joined))


def _by_time(dataset: Dataset, column: str, fraction: float) -> "np.ndarray":
    import numpy as np

    from assay import dataset as data

    kind = data.info(dataset.path).column(column).type
    if kind == "string":
        raise UsageError(
            f"time_column {column!r} is text; give a column of dates, times or numbers "
            "(ISO 8601, such as 2024-05-31, is read as a date)"
        )
    times = data.read(dataset.path, [column])[column]
    if times.isna().any():
        raise UsageError(f"time_column {column!r} has {int(times.isna().sum())} missing values")
    values = times.to_numpy()
    cut = np.sort(values)[int(len(values) * (1 - fraction))]
    return np.asarray(values >= cut)
