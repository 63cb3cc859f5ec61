"""Structural checks: what any table to train on must be."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from assay.evidence.numbers import tidy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from assay.data.columns import Column


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation; `blocks` when no model should be trained on such data."""

    text: str
    blocks: bool


@dataclass(frozen=True, slots=True)
class Structure:
    """What was found; shares are of all rows and of all cells, 0 to 1."""

    findings: tuple[Finding, ...]
    duplicate_rows_share: float
    missing_share: float


class StructureCheck:
    """Checks the columns of a table one after the other.

    Args:
        rows: Number of rows of the table.
        target: The column to predict; empty when it is not known.
    """

    def __init__(self, rows: int, target: str) -> None:
        self._rows = rows
        self._target = target
        self._names: list[str] = []
        self._missing = 0
        self._findings: list[Finding] = []
        self._repeats = _Repeats(rows)

    def add(self, column: "Column") -> None:
        """Check the next column; each column of the table is added once."""
        self._names.append(column.name)
        # Counted here and not taken from the dataset's schema: a schema is a claim.
        self._missing += column.missing
        self._findings += _column(column, is_target=column.name == self._target)
        self._repeats.add(column)

    def finish(self) -> Structure:
        """Everything worth a word about the table's structure, after all columns were added."""
        rows, repeated = self._rows, self._repeats.count
        findings = [*_table(rows, self._target, self._names), *self._findings]
        if repeated:
            share = repeated / rows
            findings.append(Finding(f"{repeated} rows ({share:.2%}) repeat an earlier one", False))
        cells = rows * len(self._names)
        return Structure(
            tuple(findings),
            duplicate_rows_share=tidy(repeated / max(1, rows)),
            missing_share=tidy(self._missing / max(1, cells)),
        )


class _Repeats:
    """Counts the rows that are equal to an earlier one, exactly.

    Rows are partitioned into groups that are equal in all columns so far; each column splits the
    groups. A row that is alone in its group is equal to no other, and is not looked at again. So
    memory is needed for one number of each row, each column is read once, and nothing depends on
    hashes of rows. In tables with measurements few rows are left after a few columns.
    """

    def __init__(self, rows: int) -> None:
        self._places: NDArray[np.int64] | None = None
        """The rows that are not alone; None for all of them."""
        self._groups = np.zeros(rows, np.int64)
        """The group of each, from 0."""

    def add(self, column: "Column") -> None:
        """Split the groups by the values of a column."""
        if not len(self._groups):
            return
        ranks = column.ranks(self._places)
        # Both are about the number of rows at most, so that the product is below 2^63.
        keys = self._groups * (int(ranks.max()) + 1) + ranks
        order = np.argsort(keys)
        ordered = keys[order]
        starts = np.ones(len(keys), dtype=np.bool_)
        np.not_equal(ordered[1:], ordered[:-1], out=starts[1:])
        alone = starts & np.append(starts[1:], True)
        groups = np.cumsum(starts & ~alone) - 1
        kept = order[~alone]
        self._groups = groups[~alone]
        self._places = kept if self._places is None else self._places[kept]

    @property
    def count(self) -> int:
        """Number of rows that repeat an earlier one."""
        groups = self._groups
        return len(groups) - (int(groups.max()) + 1 if len(groups) else 0)


def _table(rows: int, target: str, names: list[str]) -> Iterator[Finding]:
    if rows < 2:  # noqa: PLR2004 - nothing can be learnt from one row
        yield Finding(f"the table has {rows} row{'s' * (rows != 1)}; give at least 2", blocks=True)
    if target and target not in names:
        yield Finding(f"target {target!r} is no column", blocks=True)


def _column(column: "Column", *, is_target: bool) -> Iterator[Finding]:
    name, rows, missing = column.name, column.rows, column.missing
    if missing == rows:
        yield Finding(f"column {name!r} has no value at all", blocks=True)
        return
    if is_target and missing:
        yield Finding(f"target {name!r} is missing in {missing} of {rows} rows", blocks=True)
    values = column.entries
    if rows > 1 and not missing and bool((values == values[0]).all()):
        what = "target" if is_target else "column"
        yield Finding(f"{what} {name!r} has one value only", blocks=is_target)
    if values.dtype.kind == "f" and (infinite := int(np.count_nonzero(np.isinf(values)))):
        yield Finding(f"column {name!r} is infinite in {infinite} of {rows} rows", blocks=is_target)
