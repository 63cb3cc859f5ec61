"""Structural checks: what any table to train on must be."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.evidence.numbers import tidy

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation; `blocks` when no model should be trained on such data."""

    text: str
    blocks: bool


@dataclass(frozen=True, slots=True)
class Structure:
    """What was found; shares are of all rows and of all cells, 0 to 1."""

    findings: tuple[Finding, ...]
    duplicate_rows_share: float
    missing_share: float


def structure(frame: "pd.DataFrame", target: str) -> Structure:
    """Everything worth a word about the table's structure.

    Args:
        frame: The whole table.
        target: The column to predict; empty when it is not known.
    """
    # Counted here and not taken from the dataset's schema: a schema is a claim.
    missing = frame.isna().sum()
    findings = list(_table(frame, target))
    for name in frame.columns:
        findings += _column(str(name), frame[name], int(missing[name]), is_target=name == target)
    repeated = int(frame.duplicated().sum())
    if repeated:
        share = repeated / len(frame)
        findings.append(Finding(f"{repeated} rows ({share:.2%}) repeat an earlier one", False))
    return Structure(
        tuple(findings),
        duplicate_rows_share=tidy(repeated / max(1, len(frame))),
        missing_share=tidy(int(missing.sum()) / max(1, frame.size)),
    )


def _table(frame: "pd.DataFrame", target: str) -> Iterator[Finding]:
    rows = len(frame)
    if rows < 2:  # noqa: PLR2004 - nothing can be learnt from one row
        yield Finding(f"the table has {rows} row{'s' * (rows != 1)}; give at least 2", blocks=True)
    if target and target not in frame.columns:
        yield Finding(f"target {target!r} is no column", blocks=True)


def _column(name: str, values: "pd.Series", missing: int, *, is_target: bool) -> Iterator[Finding]:
    rows = len(values)
    if missing == rows:
        yield Finding(f"column {name!r} has no value at all", blocks=True)
        return
    if is_target and missing:
        yield Finding(f"target {name!r} is missing in {missing} of {rows} rows", blocks=True)
    if rows > 1 and len(values.unique()) == 1:
        what = "target" if is_target else "column"
        yield Finding(f"{what} {name!r} has one value only", blocks=is_target)
    if values.dtype.kind == "f" and (infinite := int((values.abs() == math.inf).sum())):
        yield Finding(f"column {name!r} is infinite in {infinite} of {rows} rows", blocks=is_target)
