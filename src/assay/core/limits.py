"""What a table may cost before it is refused."""

import math
import time
from dataclasses import dataclass
from typing import Final

from assay.core.settings import (
    MAX_COLUMNS,
    MAX_PART_BYTES,
    MAX_READ_SECONDS,
    MAX_TABLE_BYTES,
    MAX_UNPACKED_RATIO,
    check,
)
from assay.errors import DataError

RATIO_FROM_BYTES: Final = 256 << 20
"""A file that unpacks to no more than this may do so at any ratio."""
MOST_BY_GZIP: Final = 1032
"""Bytes that one byte of a gzip file unpacks to at most (the DEFLATE format's limit)."""
_SETTINGS: Final = (
    MAX_COLUMNS, MAX_TABLE_BYTES, MAX_PART_BYTES, MAX_UNPACKED_RATIO, MAX_READ_SECONDS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one reading; time counts from when they were made."""

    columns: int
    table_bytes: int
    """Of the table unpacked: a CSV's text, a Parquet file's pages and values."""
    part_bytes: int
    """Of the rows that are in memory at a time, those of one part."""
    ratio: int
    seconds: float
    deadline: float

    @classmethod
    def from_env(cls) -> "Limits":
        """The settings, or their defaults.

        Raises:
            UsageError: Names each variable that is no whole number of at least 1.
        """
        check(*_SETTINGS)
        columns, table_bytes, part_bytes, ratio, seconds = (item.get() for item in _SETTINGS)
        return cls(columns, table_bytes, part_bytes, ratio, seconds, time.monotonic() + seconds)

    def check_columns(self, count: int, where: str) -> None:
        """Refuse a table that is too wide."""
        if count > self.columns:
            raise DataError(
                f"{where}: {count:,} columns, and the limit is {self.columns:,} "
                f"({MAX_COLUMNS.name}); is it a table with one row for each example? if so, raise "
                "the limit"
            )

    def unpacked(self, packed: int) -> int:
        """The most that a file of `packed` bytes may unpack to."""
        return min(self.table_bytes, max(RATIO_FROM_BYTES, packed * self.ratio))

    def check_unpacked(self, size: int, packed: int, where: str) -> None:
        """Refuse a table that is too large, or that unpacks as no honest data does."""
        if size > self.table_bytes:
            raise DataError(
                f"{where}: more than {self.table_bytes:,} bytes unpacked, which is the limit "
                f"({MAX_TABLE_BYTES.name}); give fewer rows, or raise it"
            )
        if size > self.unpacked(packed):
            raise DataError(
                f"{where}: {packed:,} bytes that unpack to more than {self.unpacked(packed):,}, "
                f"which is the limit ({MAX_UNPACKED_RATIO.name}={self.ratio}); is the file what it "
                "should be? if so, raise the limit"
            )

    def check_part(self, size: int, rows: int) -> None:
        """Refuse rows that do not fit into memory."""
        if size > self.part_bytes:
            raise DataError(
                f"{rows:,} rows of one part take more than {self.part_bytes:,} bytes in memory, "
                f"which is the limit ({MAX_PART_BYTES.name}); set rows_per_part lower, or raise it"
            )

    def check_time(self, where: str) -> None:
        """Refuse to go on when the time is over."""
        if time.monotonic() > self.deadline:
            raise DataError(
                f"{where}: not read after {math.ceil(self.seconds):,} seconds, which is the limit "
                f"({MAX_READ_SECONDS.name}); give fewer rows, or raise it"
            )
