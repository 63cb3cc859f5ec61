"""The profile of a column: bounded, exact in its counts, and the same however it was made.

Profiles of parts are merged into that of the whole: `merge` of parts equals the profile of all of
their rows, in every count and in any order. See `cells.py` for why.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from assay.data.profile import keys
from assay.data.profile.cells import Cells, Integers, Keys
from assay.data.profile.keys import bits, of_bits, of_floats

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

LIMIT: Final = 1 << 15
"""Cells of numbers, and different texts, that a profile has at most.

Half as many cells need half the memory, and their distances have twice the error."""
NUMBERS: Final = ("int64", "float64")
CATEGORIES: Final = ("bool", "string")
_PENDING: Final = 8
"""Profiles of categories that are merged at once."""
_WAITING: Final = 1 << 21
"""Bytes of keys that are counted at once: fewer are merged too often, more fit into no cache."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of the values of a column.

    Args:
        type: The column's type, one of `NUMBERS` and `CATEGORIES`.
        rows: Number of rows.
        missing: Missing values.
        negative_infinities: Values that are -inf.
        infinities: Values that are +inf.
        low: Key of the smallest finite number; None for categories, and without numbers.
        high: Key of the largest finite number.
        cells: The finite numbers, or the hashes of texts, if there are more than the limit; None
            for categories that are counted by name.
        texts: Each category and its count, in the order of the categories; None for other columns.
    """

    type: str
    rows: int
    missing: int
    negative_infinities: int = 0
    infinities: int = 0
    low: int | None = None
    high: int | None = None
    cells: Cells | None = None
    texts: "dict[str, int] | None" = None

    @property
    def numeric(self) -> bool:
        """Whether the values are numbers."""
        return self.type in NUMBERS

    @property
    def finite(self) -> int:
        """Values that are neither missing nor infinite."""
        return self.rows - self.missing - self.negative_infinities - self.infinities

    @property
    def exact(self) -> bool:
        """Whether each different value is counted by itself."""
        return self.cells is None or (self.numeric and self.cells.level == 0)

    @property
    def distinct(self) -> int:
        """Different finite values; of a profile that is not exact, occupied cells."""
        if self.texts is not None:
            return len(self.texts)
        return 0 if self.cells is None else len(self.cells.keys)

    @property
    def minimum(self) -> int | float | None:
        """The smallest finite number."""
        return self._value(self.low)

    @property
    def maximum(self) -> int | float | None:
        """The largest finite number."""
        return self._value(self.high)

    def _value(self, key: int | None) -> int | float | None:
        import numpy as np

        if key is None or self.type == "int64":
            return key
        return float(keys.to_floats(np.array([key]))[0])


def of_array(kind: str, array: "pa.Array", limit: int | None = LIMIT) -> Profile:
    """Profile values.

    Args:
        kind: The type of the column: bool, int64, float64 or string.
        array: The values, of the Arrow type that belongs to `kind`; texts may be encoded with a
            dictionary. NaN is a missing value.
        limit: Maximum number of cells and of different texts, at least 2. None: no limit; numbers
            are then counted exactly, and the size of the result is not bounded.

    Returns:
        The profile of these values.
    """
    profiler = Profiler(kind, limit)
    profiler.add(array)
    return profiler.profile()


def merge(parts: Sequence[Profile], limit: int | None = LIMIT) -> Profile:
    """The profile of all rows of some parts.

    Args:
        parts: Profiles of the same column with the same limit; at least one.
        limit: That limit.
    """
    rows, missing = sum(p.rows for p in parts), sum(p.missing for p in parts)
    kind = parts[0].type
    if kind in NUMBERS:
        lows = [part.low for part in parts if part.low is not None]
        cells = [part.cells for part in parts if part.cells is not None]
        highs = [part.high for part in parts if part.high is not None]
        return Profile(
            kind,
            rows,
            missing,
            sum(part.negative_infinities for part in parts),
            sum(part.infinities for part in parts),
            min(lows, default=None),
            max(highs, default=None),
            Cells.merged(cells, limit) if cells else None,
        )
    counts: dict[str, int] = {}
    for part in parts:
        for text, count in (part.texts or {}).items():
            counts[text] = counts.get(text, 0) + count
    hashed = [part.cells for part in parts if part.cells is not None]
    return _categories(kind, rows, missing, counts, hashed, limit)


class Profiler:
    """Profiles a column from its values in pieces.

    Args:
        kind: As for `of_array`.
        limit: As for `of_array`.
    """

    def __init__(self, kind: str, limit: int | None = LIMIT) -> None:
        self._kind, self._limit = kind, limit
        self._parts: list[Profile] = []
        """Profiles of the pieces; those of numbers have no cells."""
        self._keys: list[Keys] = []
        """Numbers that are not yet in `_cells`."""
        self._waiting = 0
        self._cells: list[Cells] = []
        self._level = 0

    def add(self, array: "pa.Array") -> None:
        """Add values, as for `of_array`."""
        if self._kind in NUMBERS:
            # Cells of a lower level than those so far would only be merged.
            part, keys = _of_numbers(self._kind, array, self._level)
            self._parts.append(part)
            self._keys.append(keys)
            self._waiting += keys.nbytes
            # The first piece gives a level, so that less is kept of the others.
            if not self._cells or self._waiting >= _WAITING:
                self._count()
            return
        self._parts.append(_of_categories(self._kind, array, self._limit))
        if len(self._parts) == _PENDING:
            self._parts = [merge(self._parts, self._limit)]

    def profile(self) -> Profile:
        """The profile of all values that were added; at least one call of `add`."""
        if self._kind not in NUMBERS:
            return merge(self._parts, self._limit)
        if self._keys:
            self._count()
        cells = Cells.merged(self._cells, self._limit)
        return replace(merge(self._parts, self._limit), cells=cells)

    def _count(self) -> None:
        import numpy as np

        keys = self._keys[0] if len(self._keys) == 1 else np.concatenate(self._keys)
        self._keys, self._waiting = [], 0
        cells = Cells.of(keys, self._level, self._limit)
        self._cells.append(of_bits(cells) if self._kind == "float64" else cells)
        if self._limit is not None:
            self._cells = [Cells.merged(self._cells, self._limit)]
            self._level = self._cells[0].level


def _of_numbers(kind: str, array: "pa.Array", level: int) -> tuple[Profile, Keys]:
    """The profile of numbers without its cells, and their bits, shifted by `level`."""
    import numpy as np

    values = _present(array)
    below = above = 0
    if kind == "float64" and not np.isfinite([values.min(initial=0), values.max(initial=0)]).all():
        below = int(np.count_nonzero(values == -np.inf))
        above = int(np.count_nonzero(values == np.inf))
        values = values[np.isfinite(values)]
    missing = len(array) - len(values) - below - above
    low = high = None
    if len(values):
        low, high = key_of(kind, np.array([values.min(), values.max()])).tolist()
    part = Profile(kind, len(array), missing, below, above, low, high)
    return part, bits(values, level) if kind == "float64" else values >> level


def _present(array: "pa.Array") -> "NDArray[Any]":
    """The values of an array of numbers that are not missing."""
    import numpy as np

    # `to_numpy` would import pandas.
    return np.from_dlpack(array.drop_null())


def key_of(kind: str, values: "NDArray[Any]") -> Integers:
    """The keys of numbers; a whole number is its own key."""
    return of_floats(values) if kind == "float64" else values


def keys_of(kind: str, array: "pa.Array") -> Integers:
    """The keys of the finite numbers of an array, as for `of_array`."""
    import numpy as np

    values = _present(array)
    return key_of(kind, values[np.isfinite(values)])


def _of_categories(kind: str, array: "pa.Array", limit: int | None) -> Profile:
    import numpy as np
    import pyarrow as pa

    present = array.drop_null()
    missing = len(array) - len(present)
    if not pa.types.is_dictionary(array.type):
        present = present.dictionary_encode()
    numbers = np.bincount(np.from_dlpack(present.indices), minlength=len(present.dictionary))
    used = np.flatnonzero(numbers)
    # `pa.array` would import pandas.
    places = pa.Array.from_buffers(pa.int64(), len(used), [None, pa.py_buffer(used)])
    values = present.dictionary.take(places).to_pylist()
    counts: dict[str, int] = {}
    for value, number in zip(values, numbers[used].tolist(), strict=True):
        text = keys.short(str(value))
        counts[text] = counts.get(text, 0) + number
    return _categories(kind, len(array), missing, counts, [], limit)


def _categories(
    kind: str,
    rows: int,
    missing: int,
    counts: dict[str, int],
    hashed: list[Cells],
    limit: int | None,
) -> Profile:
    """By name if there are few enough, else by hash."""
    if not hashed and (limit is None or len(counts) <= limit):
        return Profile(kind, rows, missing, texts=dict(sorted(counts.items())))
    cells = [*hashed, hash_cells(counts, limit)]
    return Profile(kind, rows, missing, cells=Cells.merged(cells, limit))


def hash_cells(counts: "dict[str, int]", limit: int | None = LIMIT) -> Cells:
    """The counts of texts in cells of their hashes."""
    import numpy as np

    hashes = keys.of_texts(counts)
    order = np.argsort(hashes)
    exact = Cells(0, hashes[order], np.fromiter(counts.values(), np.int64, len(counts))[order])
    return Cells.merged([exact], limit) if len(counts) else exact
