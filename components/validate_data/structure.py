"""Structural checks: what any table to train on must be."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from assay.dataset import DatasetInfo


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation; `blocks` when no model should be trained on such data."""

    text: str
    blocks: bool


def structure(info: "DatasetInfo", frame: "pd.DataFrame", target: str) -> list[Finding]:
    """Everything worth a word about the table's structure."""
    found = []
    if info.rows < 2:  # noqa: PLR2004 - nothing can be learnt from one row
        found.append(Finding(f"the table has {info.rows} row", blocks=True))
    if target and target not in info.names:
        found.append(Finding(f"target {target!r} is no column", blocks=True))
    for column in info.columns:
        if column.nulls == info.rows:
            found.append(Finding(f"column {column.name!r} has no value at all", blocks=True))
        elif column.name == target and column.nulls:
            text = f"target {target!r} is missing in {column.nulls} of {info.rows} rows"
            found.append(Finding(text, blocks=True))
        elif frame[column.name].nunique(dropna=False) < 2:  # noqa: PLR2004 - constant
            text = f"column {column.name!r} has one value only"
            found.append(Finding(text, blocks=column.name == target))
    repeated = int(frame.duplicated().sum())
    if repeated:
        share = repeated / info.rows
        found.append(Finding(f"{repeated} rows ({share:.1%}) repeat an earlier one", blocks=False))
    return found
