"""Metrics as functions of row weights, equal to those of scikit-learn with the same names.

A metric takes weights of shape (resamples, rows) and returns values of shape (resamples,). Values
that are not defined for the weighted rows (the area under the curve of one class) are NaN.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Metric = Callable[[Array], Array]

CALIBRATION_BINS: Final = 10
LOWER_IS_BETTER: Final = frozenset(
    {
        "log_loss",
        "brier_score",
        "expected_calibration_error",
        "mean_absolute_error",
        "root_mean_squared_error",
        "median_absolute_error",
        "mean_absolute_percentage_error",
    }
)
DEFAULT_PRIMARY: Final = {
    "binary": "accuracy",
    "multiclass": "accuracy",
    "regression": "root_mean_squared_error",
}
_EPSILON: Final = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class Chances:
    """Of the probabilities of each row, those that a metric needs; each of shape (rows,)."""

    actual: Array
    """Of the actual class."""
    highest: Array
    positive: Array | None
    """Of the positive class; None if there is none."""

    def take(self, rows: NDArray[Any]) -> "Chances":
        """For a subset of the rows."""
        positive = None if self.positive is None else self.positive[rows]
        return Chances(self.actual[rows], self.highest[rows], positive)


@dataclass(frozen=True)
class Predictions:
    """Predictions of a model for rows with known target.

    The probabilities of all classes are not kept, because they may be a thousand for each row.
    """

    task: str
    truth: NDArray[Any]
    predicted: NDArray[Any]
    probabilities: InitVar[Array | None]
    """Shape (rows, classes), in the order of `classes`; None if the model has none, or if
    `chances` has what is needed of them."""
    classes: tuple[Any, ...]
    positive: Any
    chances: Chances | None = None

    def __post_init__(self, probabilities: Array | None) -> None:
        """Keep what metrics need of the probabilities."""
        if probabilities is None:
            return
        actual = probabilities[np.arange(len(self.truth)), self.codes[0]]
        column = None
        if self.task == "binary":
            column = probabilities[:, list(self.classes).index(self.positive)].copy()
        chances = Chances(actual, probabilities.max(axis=1), column)
        object.__setattr__(self, "chances", chances)

    def take(self, rows: NDArray[Any]) -> "Predictions":
        """The predictions for a subset of the rows."""
        part = Predictions(
            self.task,
            self.truth[rows],
            self.predicted[rows],
            None,
            self.classes,
            self.positive,
            None if self.chances is None else self.chances.take(rows),
        )
        if self.task != "regression":
            # Looking up the labels of every slice again would take longer than its metrics.
            actual, predicted = self.codes
            part.__dict__["codes"] = (actual[rows], predicted[rows])
        return part

    @classmethod
    def joined(cls, parts: Sequence["Predictions"]) -> "Predictions":
        """The predictions of consecutive rows by one model, at least one part."""
        first = parts[0]
        if len(parts) == 1:
            return first
        chances = [part.chances for part in parts if part.chances is not None]
        positive = [each.positive for each in chances if each.positive is not None]
        return cls(
            first.task,
            np.concatenate([part.truth for part in parts]),
            np.concatenate([part.predicted for part in parts]),
            None,
            first.classes,
            first.positive,
            Chances(
                np.concatenate([each.actual for each in chances]),
                np.concatenate([each.highest for each in chances]),
                np.concatenate(positive) if positive else None,
            )
            if chances
            else None,
        )

    @cached_property
    def codes(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """For each row, the actual and predicted class as indices of `classes`; -1 if unknown."""
        import pandas as pd

        known = pd.Index(self.classes, dtype=object)
        actual, predicted = (
            known.get_indexer(pd.Index(values, dtype=object))
            for values in (self.truth, self.predicted)
        )
        return actual, predicted

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """For each row, whether the prediction is correct."""
        actual, predicted = self.codes
        return np.asarray(actual == predicted, dtype=np.bool_)

    @cached_property
    def confusion(self) -> Array:
        """Number of rows by actual (first axis) and predicted class."""
        actual, predicted = self.codes
        size = len(self.classes)
        counts = np.bincount(actual * size + predicted, minlength=size * size)
        return counts.reshape(size, size).astype(np.float64)

    @property
    def positive_counts(self) -> tuple[float, float, float]:
        """Numbers of true positives, actual positives and predicted positives."""
        index = list(self.classes).index(self.positive)
        matrix = self.confusion
        return matrix[index, index], matrix[index].sum(), matrix[:, index].sum()

    @cached_property
    def actual_positive(self) -> NDArray[np.bool_]:
        """For each row, whether it belongs to the positive class."""
        return np.asarray(self.codes[0] == list(self.classes).index(self.positive))

    @property
    def score(self) -> Array:
        """`positive_score`, which must be available.

        Raises:
            ValueError: It is not available.
        """
        if self.positive_score is None:
            raise ValueError("the model gives no probability of a positive class")
        return self.positive_score

    @cached_property
    def ranking(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The rows by `score`, highest first, and where in it each distinct score begins.

        Sorted once for all metrics and intervals that depend on the order of the scores.

        Raises:
            ValueError: As for `score`.
        """
        order = np.argsort(-self.score, kind="stable")
        return order, np.flatnonzero(np.r_[True, np.diff(self.score[order]) != 0])

    @cached_property
    def drawn_sums(self) -> dict[tuple[int, int], Array]:
        """Draws of the confusion matrix by number and seed; several intervals share them."""
        return {}

    @property
    def calibration(self) -> tuple[Array, Array]:
        """For each row, a predicted probability, and 1 if its event occurred, otherwise 0."""
        if self.task == "binary":
            return self.score, self.actual_positive.astype(np.float64)
        if self.chances is None:
            raise ValueError("the model gives no probabilities")
        return self.chances.highest, self.right.astype(np.float64)

    @cached_property
    def numbers(self) -> Array:
        """The target of a regression."""
        return np.asarray(self.truth, dtype=np.float64)

    @cached_property
    def errors(self) -> Array:
        """Predicted minus actual, of a regression."""
        return np.asarray(self.predicted, dtype=np.float64) - self.numbers

    @property
    def positive_score(self) -> Array | None:
        """Probability of the positive class of a binary model."""
        return None if self.chances is None else self.chances.positive


def metrics(data: Predictions) -> Mapping[str, Metric]:
    """The metrics of the task by name; nothing is computed before one is called."""
    if data.task == "regression":
        return _regression(data)
    result = dict(_classification(data))
    if data.task == "binary":
        result.update(_binary(data))
    return result


def row_losses(name: str, data: Predictions) -> Array | None:
    """The values of which a metric is the mean; None if it is not a mean over rows."""
    if name == "log_loss" and data.chances is not None:
        return np.asarray(-np.log(np.clip(data.chances.actual, _EPSILON, 1)))
    if name == "brier_score":
        return (data.score - data.actual_positive) ** 2
    if name == "mean_absolute_error":
        return np.asarray(np.abs(data.errors))
    if name == "mean_absolute_percentage_error":
        return np.asarray(np.abs(data.errors) / np.maximum(np.abs(data.numbers), _EPSILON))
    return None


def _losses(name: str, data: Predictions) -> Metric:
    def mean(weights: Array) -> Array:
        values = row_losses(name, data)
        if values is None:
            raise ValueError(f"{name} is not a mean over rows")
        return _mean(values, weights)

    return mean


def _mean(values: Array, weights: Array) -> Array:
    mean: Array = weights @ values / weights.sum(axis=1)
    return mean


def _ratio(top: Array, bottom: Array, empty: float) -> Array:
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1), empty)


def _class_sums(data: Predictions, weights: Array) -> tuple[Array, Array, Array]:
    """Weights of the hits, the actual and the predicted rows; each of shape (resamples, classes).

    Rows whose class is unknown (-1) count in none.
    """
    size = len(data.classes) + 1
    actual, predicted = (codes + 1 for codes in data.codes)
    hits = np.where(data.right, actual, 0)
    sums = [
        np.array([np.bincount(codes, row, size) for row in weights])[:, 1:]
        for codes in (hits, actual, predicted)
    ]
    return sums[0], sums[1], sums[2]


def _classification(data: Predictions) -> Mapping[str, Metric]:
    def per_class(weights: Array) -> tuple[Array, Array, Array]:
        return _class_sums(data, weights)

    def balanced(weights: Array) -> Array:
        hits, rows, _ = per_class(weights)
        recalls = np.where(rows > 0, hits / np.where(rows > 0, rows, 1), np.nan)
        with np.errstate(all="ignore"):
            mean: Array = np.nansum(recalls, axis=1) / np.maximum((rows > 0).sum(axis=1), 1)
        return mean

    def f1(weights: Array) -> tuple[Array, Array]:
        hits, rows, guesses = per_class(weights)
        return _ratio(2 * hits, rows + guesses, 0.0), rows

    def present(weights: Array) -> Array:
        _, rows, guesses = per_class(weights)
        return np.asarray((rows + guesses) > 0, dtype=np.float64)

    def macro(values: Array, weights: Array) -> Array:
        here = present(weights)
        mean: Array = (values * here).sum(axis=1) / here.sum(axis=1)
        return mean

    def matthews(weights: Array) -> Array:
        hits, rows, guesses = per_class(weights)
        total = weights.sum(axis=1)
        top = hits.sum(axis=1) * total - (rows * guesses).sum(axis=1)
        bottom = (total**2 - (guesses**2).sum(axis=1)) * (total**2 - (rows**2).sum(axis=1))
        return _ratio(top, np.sqrt(np.maximum(bottom, 0)), 0.0)

    result: dict[str, Metric] = {
        "accuracy": lambda w: _mean(data.right.astype(np.float64), w),
        "balanced_accuracy": balanced,
        "matthews_corrcoef": matthews,
        "precision_macro": lambda w: macro(_ratio(per_class(w)[0], per_class(w)[2], 0.0), w),
        "recall_macro": lambda w: macro(_ratio(per_class(w)[0], per_class(w)[1], 0.0), w),
        "f1_macro": lambda w: macro(f1(w)[0], w),
        "f1_weighted": lambda w: (f1(w)[0] * f1(w)[1]).sum(axis=1) / f1(w)[1].sum(axis=1),
    }
    if data.chances is not None:
        result["log_loss"] = _losses("log_loss", data)
        result["expected_calibration_error"] = lambda w: _calibration_error(data, w)
    return result


def _binary(data: Predictions) -> Mapping[str, Metric]:
    index = list(data.classes).index(data.positive)

    def sums_of(weights: Array) -> tuple[Array, Array, Array]:
        hits, rows, guesses = _class_sums(data, weights)
        return hits[:, index], rows[:, index], guesses[:, index]

    def precision(weights: Array) -> Array:
        hits, _, guesses = sums_of(weights)
        return _ratio(hits, guesses, 0.0)

    def recall(weights: Array) -> Array:
        hits, rows, _ = sums_of(weights)
        return _ratio(hits, rows, np.nan)

    def f1(weights: Array) -> Array:
        hits, rows, guesses = sums_of(weights)
        return _ratio(2 * hits, rows + guesses, np.nan)

    result: dict[str, Metric] = {"precision": precision, "recall": recall, "f1": f1}
    if data.chances is not None:
        result["brier_score"] = _losses("brier_score", data)
        result["roc_auc"] = lambda w: _roc_auc(data, w)
        result["average_precision"] = lambda w: _average_precision(data, w)
    return result


def _grouped(data: Predictions, weights: Array) -> tuple[Array, Array]:
    """Weighted positives and negatives per distinct score, highest score first."""
    order, starts = data.ranking
    ordered = weights[:, order]
    up = np.add.reduceat(ordered * data.actual_positive[order], starts, axis=1)
    every = np.add.reduceat(ordered, starts, axis=1)
    return up, every - up


def _roc_auc(data: Predictions, weights: Array) -> Array:
    # The share of (positive, negative) pairs in correct order; ties count half (Mann-Whitney).
    up, down = _grouped(data, weights)
    below = down.sum(axis=1, keepdims=True) - np.cumsum(down, axis=1)
    top = (up * (below + 0.5 * down)).sum(axis=1)
    return _ratio(top, up.sum(axis=1) * down.sum(axis=1), np.nan)


def _average_precision(data: Predictions, weights: Array) -> Array:
    up, down = _grouped(data, weights)
    hits, guesses = np.cumsum(up, axis=1), np.cumsum(up + down, axis=1)
    top = (up * _ratio(hits, guesses, 0.0)).sum(axis=1)
    return _ratio(top, up.sum(axis=1), np.nan)


def _calibration_error(data: Predictions, weights: Array) -> Array:
    """Expected calibration error over equal-width bins (Naeini et al., AAAI 2015)."""
    score, actual = data.calibration
    bins = np.minimum((score * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    one_hot = np.eye(CALIBRATION_BINS)[bins]
    gaps = weights @ (one_hot * (score - actual)[:, None])
    error: Array = np.abs(gaps).sum(axis=1) / weights.sum(axis=1)
    return error


def _regression(data: Predictions) -> Mapping[str, Metric]:
    def r2(weights: Array) -> Array:
        truth, error = data.numbers, data.errors
        total = weights.sum(axis=1)
        mean = weights @ truth / total
        spread = weights @ (truth - truth.mean()) ** 2 - total * (mean - truth.mean()) ** 2
        return np.where(spread > 0, 1 - _ratio(weights @ error**2, spread, np.nan), np.nan)

    def median(weights: Array) -> Array:
        size = np.abs(data.errors)
        order = np.argsort(size, kind="stable")
        ordered, cumulative = size[order], np.cumsum(weights[:, order], axis=1)
        half = cumulative[:, -1:] / 2
        low = ordered[np.minimum((cumulative < half).sum(axis=1), len(size) - 1)]
        high = ordered[np.minimum((cumulative <= half).sum(axis=1), len(size) - 1)]
        middle: Array = (low + high) / 2
        return middle

    return {
        "mean_absolute_error": _losses("mean_absolute_error", data),
        "root_mean_squared_error": lambda w: np.sqrt(_mean(data.errors**2, w)),
        "median_absolute_error": median,
        "mean_absolute_percentage_error": _losses("mean_absolute_percentage_error", data),
        "r2": r2,
    }
