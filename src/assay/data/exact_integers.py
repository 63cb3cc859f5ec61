"""Read tables with exact integers, although pandas uses float64 for columns with missing values."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay.data.parquet import iter_batches, read
from assay.data.schema import info

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

WIDE: Final = 1 << 53
"""Up to this size, float64 represents every integer exactly."""


def read_exact(folder: Path, columns: list[str] | None = None) -> "pd.DataFrame":
    """Like `assay.data.read`, but integers are exact.

    Raises:
        UsageError: A column does not exist.
        IntegrityError: A part is missing or damaged.
    """
    return exact(read(folder, columns), folder)


def exact(frame: "pd.DataFrame", folder: Path) -> "pd.DataFrame":
    """Restore the exact integers of a table from `assay.data.read`.

    An integer column with missing values is read as float64, which has 53 bits. If a value needs
    more bits, the column is converted to Python integers. Missing values remain NaN.

    Args:
        frame: All rows of the dataset, in order; it is not changed.
        folder: The dataset.

    Raises:
        IntegrityError: A part is missing or damaged.
    """
    import pandas as pd

    nullable = [c.name for c in info(folder).columns if c.type == "int64" and c.nulls]
    suspects = [name for name in nullable if name in frame.columns and _may_be_wide(frame[name])]
    if not suspects:
        return frame
    batches = list(iter_batches(folder, suspects))
    replaced = {}
    for name in suspects:
        if cells := _wide_cells([batch.column(name) for batch in batches]):
            replaced[name] = pd.Series(cells, index=frame.index, dtype=object)
    return frame.assign(**replaced)


def _wide_cells(arrays: "list[pa.Array]") -> list[int | float]:
    """The values with NaN for missing ones; empty if float64 represents all of them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = pa.chunked_array(arrays)
    if not pc.any(pc.or_(pc.greater(values, WIDE), pc.less(values, -WIDE))).as_py():
        return []
    return [math.nan if value is None else value for value in values.to_pylist()]


def _may_be_wide(column: "pd.Series") -> bool:
    # An integer beyond 2^53 is at least 2^53 after rounding to a float.
    return bool((column.abs() >= WIDE).any())
