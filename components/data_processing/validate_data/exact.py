"""Whole numbers that are held as objects."""

from typing import TYPE_CHECKING

from assay.data.exact_integers import WIDE

if TYPE_CHECKING:
    import pandas as pd


def is_wide(column: "pd.Series") -> bool:
    """Whether whole numbers beyond 2^53 are held as objects, because floats would change them."""
    present = column.dropna() if column.dtype.kind == "O" else ()
    return any(isinstance(value, int) and abs(value) > WIDE for value in present)
