"""Counts of 64-bit keys in at most a given number of cells; the cells grow as keys arrive.

A cell of level `n` holds the keys that are equal without their lowest `n` bits. The level is the
smallest at which no more than the permitted number of cells is occupied. It depends on the set of
keys only, not on their order or on how they were divided, because

- more keys never occupy fewer cells, so the level of a part is never above the level of the whole;
- the cells of a level follow from those of any lower level.

Hence merged counts equal those of all keys at once. Level 0 counts each key by itself, which is
exact. Dense keys get narrow cells, however far from zero they are, and however far the outliers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers: TypeAlias = NDArray[np.int64]
    Keys: TypeAlias = NDArray[np.signedinteger[Any]]
else:
    Integers = Keys = Any


@dataclass(frozen=True, eq=False, slots=True)
class Cells:
    """Counted keys.

    Args:
        level: Number of low bits of a key that its cell ignores, 0 to 63.
        keys: The occupied cells, ascending: a key shifted right by `level` bits.
        counts: Keys in each cell, at least 1.
    """

    level: int
    keys: Integers
    counts: Integers

    @staticmethod
    def of(keys: Keys, level: int, limit: int | None) -> "Cells":
        """Count keys.

        Args:
            keys: The keys, shifted right by `level` bits; sorted in place.
            level: A level that the result has at least.
            limit: Maximum number of cells, at least 2; None for no limit.

        Returns:
            The counts, at the lowest level that has at most `limit` cells.
        """
        import numpy as np

        keys.sort()
        level, keys, starts = _cells(level, keys, limit)
        return Cells(level, keys[starts].astype(np.int64), np.diff(starts, append=len(keys)))

    def __eq__(self, other: object) -> bool:
        """Whether both count the same keys in the same cells."""
        import numpy as np

        return (
            isinstance(other, Cells)
            and self.level == other.level
            and np.array_equal(self.keys, other.keys)
            and np.array_equal(self.counts, other.counts)
        )

    __hash__ = None  # type: ignore[assignment]

    def at(self, level: int) -> "Cells":
        """The same keys in cells of a level that is not below this one."""
        return self if level == self.level else Cells.merged([self], None, level)

    @staticmethod
    def merged(parts: "Sequence[Cells]", limit: int | None, level: int = 0) -> "Cells":
        """The keys of all parts, which are at least one.

        Args:
            parts: Counts within the same limit.
            limit: As for `of`.
            level: As for `of`.

        Returns:
            The counts of `of` for all of these keys.
        """
        import numpy as np

        level = max(level, *(part.level for part in parts))
        keys = np.concatenate([part.keys >> (level - part.level) for part in parts])
        counts = np.concatenate([part.counts for part in parts])
        if len(parts) > 1:
            # Stable sorting merges ascending runs in linear time.
            order = np.argsort(keys, kind="stable")
            keys, counts = keys[order], counts[order]
        level, keys, starts = _cells(level, keys, limit)
        return Cells(level, keys[starts], np.add.reduceat(counts, starts) if len(keys) else counts)


def aligned(left: Cells, right: Cells) -> tuple[Cells, Integers, Integers]:
    """Two counts over the same cells, at the higher of their levels.

    Args:
        left: Counted keys.
        right: Other counted keys.

    Returns:
        The cells that either occupies with the sum of both counts, the counts of `left` in each,
        and those of `right`; 0 where a side has no key.
    """
    import numpy as np

    both = Cells.merged([left, right], None)
    counts = np.zeros((2, len(both.keys)), dtype=np.int64)
    for row, side in zip(counts, (left.at(both.level), right.at(both.level)), strict=True):
        row[np.searchsorted(both.keys, side.keys)] = side.counts
    return both, counts[0], counts[1]


def _cells(level: int, keys: Keys, limit: int | None) -> "tuple[int, Keys, Integers]":
    """Divide ascending keys into cells.

    Args:
        level: The level of the keys.
        keys: The keys, which may be equal.
        limit: Maximum number of cells; None for no limit.

    Returns:
        The lowest level that has at most `limit` cells, the keys of this level, and the places in
        them at which a cell begins.
    """
    import numpy as np

    # Neighbours share a cell once the highest bit in which they differ is left out.
    differ = keys[1:] ^ keys[:-1]
    low, high = 0, 8 * keys.itemsize - 1
    # Usually the level does not change.
    if limit is None or np.count_nonzero(differ) < limit:
        high = low
    while low < high:
        middle = (low + high) // 2
        if np.count_nonzero(differ >> middle) < (limit or 0):
            high = middle
        else:
            low = middle + 1
    if low:
        keys, differ = keys >> low, differ >> low
    borders = np.flatnonzero(differ) + 1
    starts = np.concatenate([np.zeros(min(len(keys), 1), dtype=np.int64), borders])
    return level + low, keys, starts
