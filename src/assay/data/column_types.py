"""Infer the types of all columns of a table of texts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from assay.core.findings import Finding, merged
from assay.data.text_types import Inference

if TYPE_CHECKING:
    import pyarrow as pa


class ColumnTypes:
    """Infers the types in batches; see `Inference`.

    Args:
        names: Names of the columns.
        decimal: The decimal mark of numbers.
    """

    def __init__(self, names: Sequence[str], decimal: str) -> None:
        self._names = names
        self._columns = [Inference(decimal) for _ in names]
        self.rows = 0
        """Number of rows that were added."""

    def add(self, batch: "pa.RecordBatch") -> None:
        """Add rows as text."""
        self.rows += batch.num_rows
        for inference, column in zip(self._columns, batch.columns, strict=True):
            inference.add(column)

    @property
    def kinds(self) -> list[str]:
        """The type of each column over the rows so far."""
        return [inference.kind for inference in self._columns]

    @property
    def values(self) -> "list[pa.Array | None]":
        """The columns of the last batch, converted; see `Inference.values`."""
        return [inference.values for inference in self._columns]

    def findings(self) -> list[Finding]:
        """The findings about the columns, after all rows were added."""
        pairs = zip(self._columns, self._names, strict=True)
        return merged(filter(None, [inference.finding(name) for inference, name in pairs]))
