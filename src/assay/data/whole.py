"""Tables in which no whole number changes, though pandas holds gaps in float64."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay.data.parquet import iter_batches, read
from assay.data.schema import info

if TYPE_CHECKING:
    import pandas as pd

WIDE: Final = 1 << 53
"""float64 holds every whole number up to this size."""


def read_exact(folder: Path, columns: list[str] | None = None) -> "pd.DataFrame":
    """As `assay.data.read`, but no whole number changes.

    Raises:
        UsageError: No such column.
        IntegrityError: A part is missing or damaged.
    """
    return exact(read(folder, columns), folder)


def exact(frame: "pd.DataFrame", folder: Path) -> "pd.DataFrame":
    """A table that `assay.data.read` gave, with whole numbers as they are stored.

    A column of whole numbers with gaps is read as float64, which has 53 bits. Where one of them
    needs more, the column becomes one of Python's numbers. A gap is NaN, as in other columns.

    Args:
        frame: All rows of the dataset, in order; not changed.
        folder: The dataset.

    Raises:
        IntegrityError: A part is missing or damaged.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    gaps = [c.name for c in info(folder).columns if c.type == "int64" and c.nulls]
    suspects = [name for name in gaps if name in frame.columns and _may_be_wide(frame[name])]
    if not suspects:
        return frame
    batches = list(iter_batches(folder, suspects))
    found = {}
    for name in suspects:
        values = pa.chunked_array([batch.column(name) for batch in batches])
        if pc.any(pc.or_(pc.greater(values, WIDE), pc.less(values, -WIDE))).as_py():
            cells = [math.nan if value is None else value for value in values.to_pylist()]
            found[name] = pd.Series(cells, index=frame.index, dtype=object)
    return frame.assign(**found)


def _may_be_wide(column: "pd.Series") -> bool:
    # Rounded to a float, a number beyond 2^53 is at least 2^53.
    return bool((column.abs() >= WIDE).any())
