"""Read a dataset column by column, so that memory does not grow with the number of columns."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from assay.data.exact_integers import WIDE
from assay.data.parquet import iter_batches
from assay.data.schema import info, require_columns

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_CELLS: Final = 4_000_000
"""Columns are read together up to this number of cells, because opening a part costs the same for
one column as for many."""
_BATCH_ROWS: Final = 1 << 17
"""A column is in memory as a whole, so that its batches need not be small."""

_LARGE_TEXTS: Final = 1 << 30
"""Distinct texts of more bytes get offsets of 64 bits; with 32 bits they end at twice that."""

_PIECE: Final = 100_000
"""Texts that are Python's at a time, which need more memory than Arrow's."""

Mask = NDArray[np.bool_]
Places = NDArray[np.int64]


class Column:
    """One column in memory; what is derived from it is computed once, when it is first needed.

    Args:
        name: Its name.
        type: Its type, one of `assay.data.TYPES`.
        cells: Its cells.
    """

    def __init__(self, name: str, type: str, cells: "pa.ChunkedArray") -> None:  # noqa: A002
        self.name = name
        self.type = type
        self.rows = len(cells)
        self._cells: pa.ChunkedArray | None = cells
        # Before the cells are released.
        self.missing_cells = _missing(cells, type)
        """Whether each cell is missing, shape (rows,); None if no cell is."""

    @cached_property
    def missing(self) -> int:
        """Number of missing cells."""
        return 0 if self.missing_cells is None else int(np.count_nonzero(self.missing_cells))

    @property
    def present(self) -> int:
        """Number of cells that are not missing."""
        return self.rows - self.missing

    def places(self, indices: NDArray[Any]) -> Places:
        """The rows, from 0, of some present values.

        Args:
            indices: Indices into `entries`.
        """
        return indices if self.missing_cells is None else self._places[indices]

    @cached_property
    def _places(self) -> Places:
        return np.flatnonzero(~self.missing_cells)  # type: ignore[operator]

    @cached_property
    def entries(self) -> NDArray[Any]:
        """The present values in order, shape (present,).

        int64, float64, bool or datetime64; for texts, the index of each in `texts`.
        """
        if self.type == "string":
            return self._encoded[0]
        values = as_numpy(self._release())
        if len(values) != self.present:
            values = values[~np.isnan(values)]
        return values

    def _release(self) -> "pa.ChunkedArray":
        """The cells without missing ones; no longer held here, because `entries` hold the same."""
        cells, self._cells = self._cells, None
        return cells if self.missing_cells is None else cells.drop_null()  # type: ignore[union-attr]

    @property
    def texts(self) -> "pa.Array":
        """The distinct texts of a column of texts, in no particular order."""
        return self._encoded[1]

    def of_texts(self, right: Callable[[str], bool]) -> Mask:
        """What a function says of each of `texts`, which it sees once."""
        pieces = (
            self.texts.slice(start, _PIECE).to_pylist()
            for start in range(0, len(self.texts), _PIECE)
        )
        return np.array([right(text) for piece in pieces for text in piece], dtype=np.bool_)

    @cached_property
    def _encoded(self) -> "tuple[NDArray[np.int32], pa.Array]":
        import pyarrow as pa

        cells = self._release()
        if not pa.types.is_dictionary(cells.type):
            cells = cells.dictionary_encode()
        if not len(cells):
            return np.zeros(0, np.int32), pa.array([], pa.string())
        if sum(chunk.dictionary.nbytes for chunk in cells.chunks) > _LARGE_TEXTS:
            cells = cells.cast(pa.dictionary(pa.int32(), pa.large_string()))
        encoded = cells.unify_dictionaries().combine_chunks()
        indices: NDArray[np.int32] = np.from_dlpack(encoded.indices)  # type: ignore[assignment]
        return indices, encoded.dictionary

    @cached_property
    def is_wide(self) -> bool:
        """Whether it holds whole numbers of which one is beyond 2^53."""
        if self.type != "int64" or not self.present:
            return False
        return bool(self.entries.max() > WIDE or self.entries.min() < -WIDE)

    @property
    def gaps_are_floats(self) -> bool:
        """Whether pandas holds these whole numbers as floats, because some are missing."""
        return self.type == "int64" and self.missing > 0 and not self.is_wide

    @property
    def type_in_memory(self) -> np.dtype[Any]:
        """The type that pandas has for it; object for texts, and truth values with gaps."""
        if self.type == "string" or (self.type == "bool" and self.missing):
            return np.dtype(object)
        if self.type == "int64" and self.missing:
            return np.dtype(np.float64)
        return np.dtype(
            {"date32": "datetime64[ms]", "timestamp": "datetime64[us]"}.get(self.type, self.type)
        )

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """How many values each distinct value has, in no particular order."""
        if self.type in {"string", "bool"}:
            counts = np.bincount(self.entries)
            return counts[counts > 0]
        starts = np.flatnonzero(_starts(np.sort(self.entries)))
        return np.diff(starts, append=self.present)

    @cached_property
    def filled(self) -> NDArray[Any]:
        """A value for each cell, shape (rows,); that of missing cells has no meaning."""
        if self.missing_cells is None:
            return self.entries
        filled = np.zeros(self.rows, self.entries.dtype)
        filled[~self.missing_cells] = self.entries
        return filled

    def ranks(self, places: Places | None = None) -> NDArray[np.int64]:
        """A number for each cell, equal for equal cells; that of missing cells is 0.

        Args:
            places: The cells; all by default.

        Returns:
            Numbers from 0 to at most one more than the number of rows, in the order of the values
            except for texts.
        """
        values, missing = self.filled, self.missing_cells
        if places is not None:
            values = values[places]
            missing = missing if missing is None else missing[places]
        ranks = values.astype(np.int64) if self.type in {"string", "bool"} else _ranks(values)
        ranks += 1
        if missing is not None:
            ranks[missing] = 0
        return ranks

    def entry(self, index: int) -> Any:
        """One of `entries` as Python has it; a text for a text."""
        return self._as_python(self.entries[index])

    def cell(self, row: int) -> Any:
        """One cell as Python has it, None if it is missing.

        Args:
            row: Its row, from 0.
        """
        if self.missing_cells is not None and self.missing_cells[row]:
            return None
        return self._as_python(self.filled[row])

    def _as_python(self, value: Any) -> Any:
        return self.texts[value].as_py() if self.type == "string" else value.item()

    def equals(self, other: "Column") -> Mask:
        """Whether each cell is equal to that of another column of the same type, shape (rows,).

        Missing cells are equal to missing cells.
        """
        import pyarrow.compute as pc

        cells, others = self.filled, other.filled
        if self.type == "string" and self.present and other.present:
            place = pc.index_in(other.texts.cast(self.texts.type), value_set=self.texts).fill_null(
                -1
            )
            others = as_numpy(place)[others]
        equal: Mask = cells == others
        missing, too = (
            np.zeros(self.rows, np.bool_) if side.missing_cells is None else side.missing_cells
            for side in (self, other)
        )
        return (equal & ~missing & ~too) | (missing & too)


def _missing(cells: "pa.ChunkedArray", stored: str) -> Mask | None:
    if not cells.null_count and stored != "float64":
        return None
    missing = as_numpy(cells.is_null(nan_is_null=True))
    return missing if missing.any() else None


def as_numpy(cells: "pa.Array | pa.ChunkedArray") -> NDArray[Any]:
    """Arrow's values without missing ones as an array that cannot be written to.

    By DLPack, because Arrow's own conversion imports pandas.
    """
    import pyarrow as pa

    if pa.types.is_boolean(cells.type):
        return as_numpy(cells.cast(pa.uint8())).view(np.bool_)
    if pa.types.is_temporal(cells.type):
        numbers = cells.cast(pa.timestamp("us")).cast(pa.int64())
        return as_numpy(numbers).view("datetime64[us]")
    whole = cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells
    array: NDArray[Any] = np.from_dlpack(whole)
    return array


def alone(keys: NDArray[Any]) -> Mask:
    """Whether each of some values occurs once."""
    order = np.argsort(keys)
    starts = _starts(keys[order])
    result = np.empty(len(keys), dtype=np.bool_)
    result[order] = starts & np.append(starts[1:], True)
    return result


def _starts(ordered: NDArray[Any]) -> Mask:
    """Whether each of some sorted values differs from the one before it."""
    starts = np.ones(len(ordered), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=starts[1:])
    return starts


def _ranks(values: NDArray[Any]) -> NDArray[np.int64]:
    order = np.argsort(values)
    ranks = np.empty(len(values), np.int64)
    ranks[order] = np.cumsum(_starts(values[order])) - 1
    return ranks


def iter_columns(folder: Path, names: Sequence[str] | None = None) -> Iterator[Column]:
    """The columns of a dataset, one after the other.

    Memory holds `GROUP_CELLS` cells, or one column if it has more.

    Args:
        folder: A dataset.
        names: The columns to read, in this order; all by default.

    Raises:
        UsageError: A column does not exist.
        IntegrityError: A part is missing, damaged or does not match `schema.json`.
    """
    table = info(folder)
    wanted = list(table.names if names is None else names)
    require_columns(wanted, table.names, "dataset")
    together = max(1, GROUP_CELLS // max(1, table.rows))
    for start in range(0, len(wanted), together):
        columns = _read(folder, wanted[start : start + together], table.types)[::-1]
        while columns:
            # Removed, because what is derived from a column may be larger than the column.
            yield columns.pop()


def read_columns(folder: Path, names: Iterable[str]) -> list[Column]:
    """Some columns of a dataset, read together.

    Args:
        folder: A dataset.
        names: The columns to read, in this order.

    Raises:
        UsageError: A column does not exist.
        IntegrityError: As for `iter_columns`.
    """
    return _read(folder, list(names), info(folder).types)


def _read(folder: Path, names: list[str], types: dict[str, str]) -> list[Column]:
    import pyarrow as pa

    batches = iter_batches(folder, names, _BATCH_ROWS, encoded=True)
    table = pa.Table.from_batches(batches)
    return [Column(name, types[name], table.column(name)) for name in names]
