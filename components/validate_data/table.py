"""The table to be judged, with the values that are stored."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from assay import dataset
from assay.components.validate_data.exact import WIDE

if TYPE_CHECKING:
    import pandas as pd


def read_exact(folder: Path, columns: list[str] | None = None) -> "pd.DataFrame":
    """As `assay.dataset.read`, but no whole number changes.

    A column of whole numbers with gaps is read as float64, which has 53 bits. Where one of them
    needs more, the column becomes one of Python's numbers. A gap is NaN, as in other columns.

    Raises:
        UsageError: No such column.
        IntegrityError: A part is missing or damaged.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    frame = dataset.read(folder, columns)
    gaps = [c.name for c in dataset.info(folder).columns if c.type == "int64" and c.nulls]
    suspects = [name for name in gaps if name in frame.columns and _may_be_wide(frame[name])]
    if not suspects:
        return frame
    batches = list(dataset.iter_batches(folder, suspects))
    for name in suspects:
        values = pa.chunked_array([batch.column(name) for batch in batches])
        if pc.any(pc.or_(pc.greater(values, WIDE), pc.less(values, -WIDE))).as_py():
            cells = [math.nan if value is None else value for value in values.to_pylist()]
            frame[name] = pd.Series(cells, index=frame.index, dtype=object)
    return frame


def _may_be_wide(column: "pd.Series") -> bool:
    # Rounded to a float, a number beyond 2^53 is at least 2^53.
    return bool((column.abs() >= WIDE).any())


def whole_columns(folder: Path) -> set[str]:
    """Columns of whole numbers, with gaps or not."""
    return {c.name for c in dataset.info(folder).columns if c.type == "int64"}
