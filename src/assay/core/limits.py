"""Resource limits for reading tables."""

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
"""The ratio is not limited for files that decompress to at most this size."""
MOST_BY_GZIP: Final = 1032
"""Maximum compression ratio of gzip (limit of the DEFLATE format)."""
_SETTINGS: Final = (
    MAX_COLUMNS, MAX_TABLE_BYTES, MAX_PART_BYTES, MAX_UNPACKED_RATIO, MAX_READ_SECONDS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits for reading one table; the deadline is relative to their creation."""

    columns: int
    table_bytes: int
    """Size of the decompressed table: the text of a CSV, the pages and values of Parquet."""
    part_bytes: int
    """Size in memory of the rows of one part."""
    ratio: int
    seconds: float
    deadline: float

    @classmethod
    def from_env(cls) -> "Limits":
        """Read the limits from the settings.

        Raises:
            UsageError: Variables are not integers of at least 1; the message lists all of them.
        """
        check(*_SETTINGS)
        columns, table_bytes, part_bytes, ratio, seconds = (item.get() for item in _SETTINGS)
        return cls(columns, table_bytes, part_bytes, ratio, seconds, time.monotonic() + seconds)

    def check_columns(self, count: int, where: str) -> None:
        """Refuse a table with too many columns.

        Raises:
            DataError: The limit is exceeded.
        """
        if count > self.columns:
            raise DataError(
                f"{where}: {count:,} columns, and the limit is {self.columns:,} "
                f"({MAX_COLUMNS.name}); is it a table with one row for each example? if so, raise "
                "the limit"
            )

    def unpacked(self, packed: int) -> int:
        """Maximum decompressed size of a file of `packed` bytes."""
        return min(self.table_bytes, max(RATIO_FROM_BYTES, packed * self.ratio))

    def check_unpacked(self, size: int, packed: int, where: str) -> None:
        """Refuse a table that is too large, or whose compression ratio is implausible.

        Args:
            size: Decompressed size in bytes.
            packed: Size of the file in bytes.
            where: Name of the table in error messages.

        Raises:
            DataError: A limit is exceeded.
        """
        if size > self.table_bytes:
            raise DataError(
                f"{where}: more than {self.table_bytes:,} bytes unpacked, which is the limit "
                f"({MAX_TABLE_BYTES.name}); give fewer rows, or raise the limit"
            )
        if size > self.unpacked(packed):
            raise DataError(
                f"{where}: {packed:,} bytes that unpack to more than {self.unpacked(packed):,}, "
                f"which is the limit ({MAX_UNPACKED_RATIO.name}={self.ratio}); is the file what it "
                "should be? if so, raise the limit"
            )

    def check_part(self, size: int, rows: int) -> None:
        """Refuse rows that take too much memory.

        Raises:
            DataError: The limit is exceeded.
        """
        if size > self.part_bytes:
            raise DataError(
                f"{rows:,} rows of one part take more than {self.part_bytes:,} bytes in memory, "
                f"which is the limit ({MAX_PART_BYTES.name}); set rows_per_part lower, or raise it"
            )

    def check_time(self, where: str) -> None:
        """Stop reading after the deadline.

        Raises:
            DataError: The deadline has passed.
        """
        if time.monotonic() > self.deadline:
            raise DataError(
                f"{where}: not read after {math.ceil(self.seconds):,} seconds, which is the limit "
                f"({MAX_READ_SECONDS.name}); give fewer rows, or raise it"
            )
