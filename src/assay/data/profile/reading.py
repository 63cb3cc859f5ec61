"""Profile the columns of a dataset; memory does not depend on the number of rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from assay.data.parquet import BATCH_ROWS, iter_batches
from assay.data.profile import keys
from assay.data.profile.cells import Integers
from assay.data.profile.distance import between
from assay.data.profile.profile import LIMIT, NUMBERS, Profile, Profiler, keys_of
from assay.data.schema import info

PIECE: Final = 1 << 17
"""Numbers that are counted at once: fewer are merged too often, more do not fit into a cache."""


def profiles(folder: Path, columns: Sequence[str], limit: int | None = LIMIT) -> dict[str, Profile]:
    """Profile columns of a dataset; each is read once.

    Args:
        folder: A dataset with at least one row.
        columns: Columns of type bool, int64, float64 or string.
        limit: As for `assay.data.profile.of_array`.

    Returns:
        The profile of each column.

    Raises:
        UsageError: A column does not exist.
        IntegrityError: A part is missing or damaged.
    """
    types = info(folder).types
    profilers = {name: Profiler(types[name], limit) for name in columns}
    numbers = [name for name in profilers if types[name] in NUMBERS]
    others = [name for name in profilers if types[name] not in NUMBERS]
    for names, rows in ((numbers, PIECE), (others, BATCH_ROWS)):
        for batch in iter_batches(folder, names, rows, encoded=True) if names else ():
            for name, values in zip(names, batch.columns, strict=True):
                profilers[name].add(values)
    return {name: profiler.profile() for name, profiler in profilers.items()}


def counts_between(profile: Profile, folder: Path, column: str, before: Profile) -> Integers:
    """How many numbers of a column are in each class of `between`.

    Args:
        profile: The profile of the column. If it is not exact, the column is read.
        folder: The dataset.
        column: The column.
        before: A profile of the same type that is exact.

    Returns:
        Counts of the finite numbers, shape (2k + 1,).

    Raises:
        IntegrityError: A part is missing or damaged.
    """
    import numpy as np

    result = np.zeros(2 * before.distinct + 1, dtype=np.int64)
    if profile.exact and profile.cells is not None:
        np.add.at(result, between(before, profile.cells.keys), profile.cells.counts)
        return result
    for batch in iter_batches(folder, [column], PIECE):
        numbers = keys_of(before.type, batch.column(0))
        result += np.bincount(between(before, numbers), minlength=len(result))
    return result


def all_differ(profile: Profile, folder: Path, column: str) -> bool:
    """Whether no value of a column of texts is missing or occurs twice.

    Args:
        profile: The profile of the column. If it has too few texts to tell, the column is read.
        folder: The dataset.
        column: The column.

    Returns:
        True if all rows have a value and no two have the same.

    Raises:
        IntegrityError: A part is missing or damaged.
    """
    import numpy as np

    if profile.missing:
        return False
    if profile.texts is not None:
        return len(profile.texts) == profile.rows
    hashes = []
    for batch in iter_batches(folder, [column]):
        texts = batch.column(0).to_pylist()
        if len(set(texts)) < len(texts):
            return False
        hashes.append(keys.of_texts(texts))
    ordered = np.sort(np.concatenate(hashes))
    twice = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
    return not twice or _differ(folder, column, twice)


def _differ(folder: Path, column: str, hashes: set[int]) -> bool:
    """Whether the texts with some hashes are all different."""
    suspects = [
        text
        for batch in iter_batches(folder, [column])
        for text in batch.column(0).to_pylist()
        if int(keys.of_texts([text])[0]) in hashes
    ]
    return len(set(suspects)) == len(suspects)
