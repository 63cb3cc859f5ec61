"""What a table may cost before it is refused: settings of the environment (`assay.core.config`)."""

import math
import os
import time
from dataclasses import dataclass
from typing import Final

from assay.errors import DataError, UsageError

MAX_COLUMNS: Final = "ASSAY_MAX_COLUMNS"
MAX_TABLE_BYTES: Final = "ASSAY_MAX_TABLE_BYTES"
MAX_PART_BYTES: Final = "ASSAY_MAX_PART_BYTES"
MAX_UNPACKED_RATIO: Final = "ASSAY_MAX_UNPACKED_RATIO"
MAX_READ_SECONDS: Final = "ASSAY_MAX_READ_SECONDS"
"""Environment variables."""

RATIO_FROM_BYTES: Final = 256 << 20
"""A file that unpacks to no more than this may do so at any ratio."""
MOST_BY_GZIP: Final = 1032
"""Bytes that one byte of a gzip file unpacks to at most (the DEFLATE format's limit)."""

_DEFAULTS: Final = {
    MAX_COLUMNS: 20_000,
    MAX_TABLE_BYTES: 32 << 30,
    MAX_PART_BYTES: 1 << 30,
    MAX_UNPACKED_RATIO: 200,
    MAX_READ_SECONDS: 4 * 3600,
}


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
        given: dict[str, int] = {}
        problems = []
        for name, default in _DEFAULTS.items():
            text = os.environ.get(name, "") or str(default)
            if (
                not (text.isascii() and text.isdigit() and len(text) < len(str(1 << 62)))
                or int(text) < 1
            ):
                problems.append(f"{name} is {text[:40]!r}; give a whole number of at least 1")
            else:
                given[name] = int(text)
        if problems:
            raise UsageError.all_of(problems)
        seconds = given[MAX_READ_SECONDS]
        return cls(
            given[MAX_COLUMNS],
            given[MAX_TABLE_BYTES],
            given[MAX_PART_BYTES],
            given[MAX_UNPACKED_RATIO],
            seconds,
            time.monotonic() + seconds,
        )

    def check_columns(self, count: int, where: str) -> None:
        """Refuse a table that is too wide."""
        if count > self.columns:
            raise DataError(
                f"{where}: {count:,} columns, and the limit is {self.columns:,} ({MAX_COLUMNS}); "
                "is it a table with one row for each example? if so, raise the limit"
            )

    def unpacked(self, packed: int) -> int:
        """The most that a file of `packed` bytes may unpack to."""
        return min(self.table_bytes, max(RATIO_FROM_BYTES, packed * self.ratio))

    def check_unpacked(self, size: int, packed: int, where: str) -> None:
        """Refuse a table that is too large, or that unpacks as no honest data does."""
        if size > self.table_bytes:
            raise DataError(
                f"{where}: more than {self.table_bytes:,} bytes unpacked, which is the limit "
                f"({MAX_TABLE_BYTES}); give fewer rows, or raise it"
            )
        if size > self.unpacked(packed):
            raise DataError(
                f"{where}: {packed:,} bytes that unpack to more than {self.unpacked(packed):,}, "
                f"which is the limit ({MAX_UNPACKED_RATIO}={self.ratio}); is the file what it "
                "should be? if so, raise the limit"
            )

    def check_part(self, size: int, rows: int) -> None:
        """Refuse rows that do not fit into memory."""
        if size > self.part_bytes:
            raise DataError(
                f"{rows:,} rows of one part take more than {self.part_bytes:,} bytes in memory, "
                f"which is the limit ({MAX_PART_BYTES}); set rows_per_part lower, or raise it"
            )

    def check_time(self, where: str) -> None:
        """Refuse to go on when the time is over."""
        if time.monotonic() > self.deadline:
            raise DataError(
                f"{where}: not read after {math.ceil(self.seconds):,} seconds, which is the limit "
                f"({MAX_READ_SECONDS}); give fewer rows, or raise it"
            )
