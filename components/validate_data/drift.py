"""Drift of each column against a reference, measured by Evidently.

Evidently picks the measure by size and kind of a column: a p-value of a two-sample test for up to
1,000 rows, a distance beyond. A p-value below, or a distance of at least, the threshold is drift.
A column for which no finite number comes out counts as drifted.
"""

import contextlib
import io
import math
import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assay.statistics.bootstrap import tidy

if TYPE_CHECKING:
    import pandas as pd

MIN_ROWS: Final = 100
"""With fewer rows on either side nothing is said about drift."""
P_VALUE_ROWS: Final = 1000
P_VALUE_THRESHOLD: Final = 0.05


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """What was found for one column."""

    name: str
    method: str
    score: float | None
    threshold: float
    drifted: bool


def sample(frame: "pd.DataFrame", rows: int) -> "pd.DataFrame":
    """Every k-th row, so that at most `rows` are left; the same ones every time."""
    return frame.iloc[:: max(1, math.ceil(len(frame) / rows))]


def find_drift(
    current: "pd.DataFrame", reference: "pd.DataFrame", threshold: float, max_rows: int
) -> list[ColumnDrift]:
    """Drift of every column that has values on both sides."""
    current, reference = sample(current, max_rows), sample(reference, max_rows)
    names = [str(name) for name in current.columns]
    silent = [n for n in names if current[n].isna().all() or reference[n].isna().all()]
    judged = [name for name in names if name not in silent]
    numeric = [n for n in judged if _is_numeric(current[n]) and _is_numeric(reference[n])]
    scores = _evidently(current, reference, judged, numeric, threshold) if judged else {}
    found = [ColumnDrift(n, "no values on one side", None, threshold, drifted=True) for n in silent]
    for name in judged:
        method, score, limit = scores.get(name, ("not judged", math.nan, threshold))
        by_p_value = "p_value" in method
        drifted = not math.isfinite(score) or (score < limit if by_p_value else score >= limit)
        shown = tidy(score) if math.isfinite(score) else None
        found.append(ColumnDrift(name, method, shown, limit, drifted))
    return sorted(found, key=lambda column: names.index(column.name))


def _is_numeric(column: "pd.Series") -> bool:
    return column.dtype.kind in "iuf"


def _evidently(
    current: "pd.DataFrame",
    reference: "pd.DataFrame",
    names: list[str],
    numeric: list[str],
    threshold: float,
) -> dict[str, tuple[str, float, float]]:
    """Method, score and threshold of each column."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        # Divisions by an empty bin and deprecations inside of Evidently; scores are checked below.
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report
        from evidently.metrics import ValueDrift

        categorical = [name for name in names if name not in numeric]
        definition = DataDefinition(numerical_columns=numeric, categorical_columns=categorical)

        def prepared(frame: "pd.DataFrame") -> Any:
            table = frame[names].copy()
            for name in categorical:
                values = table[name].astype(object)
                table[name] = np.where(values.isna(), "(missing)", values.astype(str))
            return Dataset.from_pandas(table, data_definition=definition)

        small = len(reference) <= P_VALUE_ROWS
        limit = P_VALUE_THRESHOLD if small else threshold
        with np.errstate(all="ignore"):
            snapshot = Report([ValueDrift(column=name, threshold=limit) for name in names]).run(
                prepared(current), prepared(reference)
            )
    found = {}
    for metric in snapshot.dict()["metrics"]:
        config = metric["config"]
        method = metric["metric_name"].partition("method=")[2].rpartition(",threshold")[0]
        try:
            score = float(metric["value"])
        except (TypeError, ValueError):
            score = math.nan
        found[config["column"]] = (method, score, float(config.get("threshold") or limit))
    return found
