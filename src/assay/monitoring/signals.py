"""The input of detectors: columns, predictions and, if known, the target."""

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
    """The series that detectors read; every array has one value for each row."""

    columns: Mapping[str, Array]
    scores: Array
    """The probability of the positive class, a predicted number, or the predicted label."""
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
    """Predict rows and extract the series that detectors read.

    Args:
        model: Predicts the rows.
        frame: The rows.
        columns: The features to extract; None for all.

    Returns:
        The series; `truth` is set if the table has the target.

    Raises:
        UsageError: The model does not accept the rows, or the type of the target differs from
            the labels of the model.
    """
    if model.target in frame.columns:
        # New classes are allowed in live rows: they count as wrong predictions.
        check_labels(model.info, frame[model.target], "the table", new=True)
    predicted = np.asarray(model.predict(frame))
    scores = predicted
    if model.task == "binary" and (chances := model.predict_proba(frame)) is not None:
        scores = np.asarray(chances[:, list(model.classes).index(model.positive)], dtype=float)
    names = model.features if columns is None else columns
    return Signals(
        columns={
            name: column_values(frame[name], model.info.types.get(name, "")) for name in names
        },
        scores=_scores(scores, model.task),
        predicted=predicted,
        truth=frame[model.target].to_numpy() if model.target in frame.columns else None,
    )


def _scores(scores: Array, task: str) -> Array:
    """Numbers as floats; labels as text, so that they are binned as categories."""
    if task == "regression" or scores.dtype.kind == "f":
        return np.asarray(scores, dtype=float)
    return np.array([str(label) for label in scores], dtype=object)


def column_values(column: "pd.Series", kind: str = "") -> Array:
    """Convert a column to an array with missing values.

    Args:
        column: The values.
        kind: The type that the model recorded for the column. It takes precedence over the type of
            `column`, because booleans with missing values and empty columns are read as objects.
            Empty: the type of `column`.

    Returns:
        Floats with NaN for missing values if the column is numeric or boolean; otherwise strings
        with None for missing values.
    """
    if (kind or column_type(column)) in NUMERIC_TYPES:
        return column.astype(float).to_numpy()
    values = column.to_numpy(dtype=object)
    missing = column.isna().to_numpy()
    return np.array(
        [
            None if is_missing else str(value)
            for value, is_missing in zip(values, missing, strict=True)
        ],
        dtype=object,
    )


def missing(values: Array) -> Array:
    """Which values of a series are missing."""
    if values.dtype.kind == "f":
        return np.asarray(np.isnan(values))
    return np.array([value is None for value in values], dtype=bool)


def present(values: Array) -> Array:
    """The numbers without missing values."""
    return np.asarray(values[~np.isnan(values)])
