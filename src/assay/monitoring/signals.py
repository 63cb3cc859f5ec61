"""What detectors look at: columns, predictions and, where it is known, the truth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.data import NUMERIC_TYPES
from assay.models.inputs import check_labels, column_type

if TYPE_CHECKING:
    import pandas as pd

    from assay.models import LoadedModel

Array = np.ndarray


@dataclass(frozen=True)
class Signals:
    """All that detectors look at, row by row; every array has the same length."""

    columns: Mapping[str, Array]
    scores: Array
    """The positive class's probability, a predicted number, or else the predicted label."""
    predicted: Array
    truth: Array | None = None

    def __len__(self) -> int:
        return len(self.predicted)

    def take(self, rows: Any) -> "Signals":
        """The given rows, in that order."""
        return Signals(
            {name: values[rows] for name, values in self.columns.items()},
            self.scores[rows],
            self.predicted[rows],
            None if self.truth is None else self.truth[rows],
        )


def signals(
    model: "LoadedModel", frame: "pd.DataFrame", columns: Sequence[str] | None = None
) -> Signals:
    """What detectors see of rows, predictions included; the target too where the table has it.

    Args:
        model: Predicts the rows.
        frame: The rows.
        columns: The features to look at; None for all.

    Raises:
        UsageError: The model cannot take the rows, or the target is of another type than its
            labels.
    """
    if model.target in frame.columns:
        # A class that is new among live rows is wrong predictions, which metrics are there to see.
        check_labels(model.info, frame[model.target], "the table", new=True)
    predicted = np.asarray(model.predict(frame))
    scores = predicted
    if model.task == "binary" and (found := model.predict_proba(frame)) is not None:
        scores = np.asarray(found[:, list(model.classes).index(model.positive)], dtype=float)
    wanted = model.features if columns is None else columns
    return Signals(
        columns={
            name: column_values(frame[name], model.info.types.get(name, "")) for name in wanted
        },
        scores=_scores(scores, model.task),
        predicted=predicted,
        truth=frame[model.target].to_numpy() if model.target in frame.columns else None,
    )


def _scores(scores: Array, task: str) -> Array:
    """Numbers stay numbers; labels become text, so that bins take them as categories."""
    if task == "regression" or scores.dtype.kind == "f":
        return np.asarray(scores, dtype=float)
    return np.array([str(label) for label in scores], dtype=object)


def column_values(column: "pd.Series", kind: str = "") -> Array:
    """Numbers and truth values as floats with NaN for missing, else text with None for missing.

    Args:
        column: The values.
        kind: The dataset type that the model recorded. It decides, and not the column's own:
            truth values with gaps, or a column that holds nothing, come as objects. Empty: the
            column's own type decides.
    """
    if (kind or column_type(column)) in NUMERIC_TYPES:
        return column.astype(float).to_numpy()
    values = column.to_numpy(dtype=object)
    missing = column.isna().to_numpy()
    return np.array(
        [None if gone else str(value) for value, gone in zip(values, missing, strict=True)],
        dtype=object,
    )


def missing(values: Array) -> Array:
    """Which values of a series are missing."""
    if values.dtype.kind == "f":
        return np.asarray(np.isnan(values))
    return np.array([value is None for value in values], dtype=bool)


def present(values: Array) -> Array:
    """The numbers that are there."""
    return np.asarray(values[~np.isnan(values)])
