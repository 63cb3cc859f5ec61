"""Read the rows of a CSV and determine their types in one pass."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from assay.core.findings import Finding
from assay.data.column_types import ColumnTypes
from assay.data.csv_source import CsvFile

if TYPE_CHECKING:
    import pyarrow as pa

FIRST_BYTES: Final = 16 << 20
"""Size of the text of the first rows, whose types are expected of all rows."""


class TypesChangedError(Exception):
    """Later rows do not have the types of the first ones; the file must be read again."""


class OnePass:
    """Reads a CSV once, converted to the types of its first rows.

    If later rows have other types, the remaining rows are only examined, and the file must be read
    again with the types of all rows.

    Args:
        file: The file.

    Raises:
        DataError: As for `CsvFile.infer`, for the first rows.
    """

    def __init__(self, file: CsvFile) -> None:
        self._file = file
        self._types = ColumnTypes(file.header.names, file.options.decimal)
        self._text = file.text()
        self._first: list[pa.RecordBatch] = []
        size = 0
        for batch in self._text:
            self._types.add(batch)
            self._first.append(batch)
            size += batch.nbytes
            if size >= FIRST_BYTES:
                break
        self._expected = self._types.kinds

    @property
    def kinds(self) -> list[str]:
        """The types of the rows so far: of the first rows, or of all after they were read."""
        return self._types.kinds

    def batches(self, schema: "pa.Schema") -> "Iterator[pa.RecordBatch]":
        """The rows; can be read once.

        Args:
            schema: The schema for the types of the first rows.

        Raises:
            DataError: As for `CsvFile.infer`.
            TypesChangedError: Raised after all rows were examined.
        """
        while self._first:
            yield self._file.converted(self._first.pop(0), schema, self._expected)
        for batch in self._text:
            self._types.add(batch)
            if self._types.kinds == self._expected:
                yield self._file.converted(batch, schema, self._expected, self._types.values)
        if self._types.kinds != self._expected:
            raise TypesChangedError

    def findings(self) -> list[Finding]:
        """The findings about the file and its types, after all rows were read.

        Raises:
            DataError: There are no rows.
        """
        return self._file.findings(self._types)
