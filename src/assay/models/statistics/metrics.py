"""Metrics as functions of row weights; each agrees with scikit-learn's of the same name.

A metric takes weights of shape (resamples, rows) and gives values of shape (resamples,). A value
that the weighted rows do not define (the area under a curve of one class) is NaN.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Predictions:
    """What a model said about rows whose truth is known."""

    task: str
    truth: NDArray[Any]
    predicted: NDArray[Any]
    probabilities: Array | None
    """Shape (rows, classes), in the order of `classes`; None when the model gives none."""
    classes: tuple[Any, ...]
    positive: Any

    def take(self, rows: NDArray[Any]) -> "Predictions":
        """The same for a subset of rows."""
        return Predictions(
            self.task,
            self.truth[rows],
            self.predicted[rows],
            None if self.probabilities is None else self.probabilities[rows],
            self.classes,
            self.positive,
        )

    @cached_property
    def codes(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """For each row, the place of the actual and of the said class in `classes`; else -1."""
        import pandas as pd

        known = pd.Index(self.classes, dtype=object)
        actual, said = (
            known.get_indexer(pd.Index(values, dtype=object))
            for values in (self.truth, self.predicted)
        )
        return actual, said

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Whether what was said is so, for each row."""
        actual, said = self.codes
        return np.asarray(actual == said, dtype=np.bool_)

    @cached_property
    def confusion(self) -> Array:
        """Rows by actual (first axis) and said class."""
        actual, said = self.codes
        size = len(self.classes)
        counts = np.bincount(actual * size + said, minlength=size * size)
        return counts.reshape(size, size).astype(np.float64)

    @property
    def positive_counts(self) -> tuple[float, float, float]:
        """Of the positive class: rows rightly said to be of it, rows of it, rows said to be."""
        place = list(self.classes).index(self.positive)
        matrix = self.confusion
        return matrix[place, place], matrix[place].sum(), matrix[:, place].sum()

    @property
    def actual_positive(self) -> NDArray[np.bool_]:
        """Whether a row is of the positive class."""
        return np.asarray(self.codes[0] == list(self.classes).index(self.positive))

    @property
    def score(self) -> Array:
        """`positive_score`, where there is one.

        Raises:
            ValueError: There is none.
        """
        if self.positive_score is None:
            raise ValueError("the model gives no probability of a positive class")
        return self.positive_score

    @property
    def calibration(self) -> tuple[Array, Array]:
        """A probability for each row, and whether what it is the probability of came true."""
        if self.task == "binary":
            return self.score, self.actual_positive.astype(np.float64)
        if self.probabilities is None:
            raise ValueError("the model gives no probabilities")
        return self.probabilities.max(axis=1), self.right.astype(np.float64)

    @property
    def numbers(self) -> Array:
        """The truth of a regression."""
        return np.asarray(self.truth, dtype=np.float64)

    @property
    def errors(self) -> Array:
        """Predicted minus actual, of a regression."""
        return np.asarray(self.predicted, dtype=np.float64) - self.numbers

    @property
    def positive_score(self) -> Array | None:
        """Probability of the positive class of a binary model."""
        if self.probabilities is None or self.task != "binary":
            return None
        return self.probabilities[:, list(self.classes).index(self.positive)]


def metrics(data: Predictions) -> Mapping[str, Metric]:
    """The metrics that are defined for the task, by name."""
    if data.task == "regression":
        return _regression(data)
    found = dict(_classification(data))
    if data.task == "binary":
        found.update(_binary(data))
    return found


def row_losses(name: str, data: Predictions) -> Array | None:
    """The values that a metric is the mean of over the rows; None if it is not such a mean."""
    if name == "log_loss" and data.probabilities is not None:
        chosen = data.probabilities[np.arange(len(data.truth)), data.codes[0]]
        return np.asarray(-np.log(np.clip(chosen, _EPSILON, 1)))
    if name == "brier_score":
        return (data.score - data.actual_positive) ** 2
    if name == "mean_absolute_error":
        return np.asarray(np.abs(data.errors))
    if name == "mean_absolute_percentage_error":
        return np.asarray(np.abs(data.errors) / np.maximum(np.abs(data.numbers), _EPSILON))
    return None


def _losses(name: str, data: Predictions) -> Metric:
    found = row_losses(name, data)
    if found is None:
        raise ValueError(f"{name} is not a mean over rows")
    return _mean(found)


def _mean(values: Array) -> Metric:
    return lambda weights: weights @ values / weights.sum(axis=1)


def _ratio(top: Array, bottom: Array, empty: float) -> Array:
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1), empty)


def _classification(data: Predictions) -> Mapping[str, Metric]:
    size = len(data.classes)
    actual, said = (codes[:, None] == np.arange(size) for codes in data.codes)
    counts = np.hstack([actual & said, actual, said]).astype(np.float64)

    def per_class(weights: Array) -> tuple[Array, Array, Array]:
        sums = weights @ counts
        return sums[:, :size], sums[:, size : 2 * size], sums[:, 2 * size :]

    def balanced(weights: Array) -> Array:
        hit, there, _ = per_class(weights)
        recalls = np.where(there > 0, hit / np.where(there > 0, there, 1), np.nan)
        with np.errstate(all="ignore"):
            mean: Array = np.nansum(recalls, axis=1) / np.maximum((there > 0).sum(axis=1), 1)
        return mean

    def f1(weights: Array) -> tuple[Array, Array]:
        hit, there, told = per_class(weights)
        return _ratio(2 * hit, there + told, 0.0), there

    def present(weights: Array) -> Array:
        _, there, told = per_class(weights)
        return np.asarray((there + told) > 0, dtype=np.float64)

    def macro(values: Array, weights: Array) -> Array:
        here = present(weights)
        mean: Array = (values * here).sum(axis=1) / here.sum(axis=1)
        return mean

    def matthews(weights: Array) -> Array:
        hit, there, told = per_class(weights)
        total = weights.sum(axis=1)
        top = hit.sum(axis=1) * total - (there * told).sum(axis=1)
        bottom = (total**2 - (told**2).sum(axis=1)) * (total**2 - (there**2).sum(axis=1))
        return _ratio(top, np.sqrt(np.maximum(bottom, 0)), 0.0)

    found: dict[str, Metric] = {
        "accuracy": _mean(data.right.astype(np.float64)),
        "balanced_accuracy": balanced,
        "matthews_corrcoef": matthews,
        "precision_macro": lambda w: macro(_ratio(per_class(w)[0], per_class(w)[2], 0.0), w),
        "recall_macro": lambda w: macro(_ratio(per_class(w)[0], per_class(w)[1], 0.0), w),
        "f1_macro": lambda w: macro(f1(w)[0], w),
        "f1_weighted": lambda w: (f1(w)[0] * f1(w)[1]).sum(axis=1) / f1(w)[1].sum(axis=1),
    }
    if data.probabilities is not None:
        found["log_loss"] = _losses("log_loss", data)
        found["expected_calibration_error"] = _calibration_error(*data.calibration)
    return found


def _binary(data: Predictions) -> Mapping[str, Metric]:
    place = list(data.classes).index(data.positive)
    actual, said = (np.asarray(codes == place, dtype=np.float64) for codes in data.codes)
    counts = np.stack([actual * said, actual, said], axis=1)

    def precision(weights: Array) -> Array:
        sums = weights @ counts
        return _ratio(sums[:, 0], sums[:, 2], 0.0)

    def recall(weights: Array) -> Array:
        sums = weights @ counts
        return _ratio(sums[:, 0], sums[:, 1], np.nan)

    def f1(weights: Array) -> Array:
        sums = weights @ counts
        return _ratio(2 * sums[:, 0], sums[:, 1] + sums[:, 2], np.nan)

    found: dict[str, Metric] = {"precision": precision, "recall": recall, "f1": f1}
    score = data.positive_score
    if score is not None:
        found["brier_score"] = _losses("brier_score", data)
        found["roc_auc"] = _roc_auc(score, actual)
        found["average_precision"] = _average_precision(score, actual)
    return found


def _grouped(score: Array, actual: Array) -> Callable[[Array], tuple[Array, Array]]:
    """Weighted positives and negatives per distinct score, highest score first."""
    order = np.argsort(-score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) != 0])
    positive = actual[order]

    def sums(weights: Array) -> tuple[Array, Array]:
        ordered = weights[:, order]
        up = np.add.reduceat(ordered * positive, starts, axis=1)
        every = np.add.reduceat(ordered, starts, axis=1)
        return up, every - up

    return sums


def _roc_auc(score: Array, actual: Array) -> Metric:
    sums = _grouped(score, actual)

    def area(weights: Array) -> Array:
        # The share of (positive, negative) pairs in right order; ties count half (Mann-Whitney).
        up, down = sums(weights)
        below = down.sum(axis=1, keepdims=True) - np.cumsum(down, axis=1)
        top = (up * (below + 0.5 * down)).sum(axis=1)
        return _ratio(top, up.sum(axis=1) * down.sum(axis=1), np.nan)

    return area


def _average_precision(score: Array, actual: Array) -> Metric:
    sums = _grouped(score, actual)

    def value(weights: Array) -> Array:
        up, down = sums(weights)
        found, told = np.cumsum(up, axis=1), np.cumsum(up + down, axis=1)
        top = (up * _ratio(found, told, 0.0)).sum(axis=1)
        return _ratio(top, up.sum(axis=1), np.nan)

    return value


def _calibration_error(score: Array, actual: Array) -> Metric:
    """Expected calibration error over equal-width bins (Naeini et al., AAAI 2015)."""
    bins = np.minimum((score * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    one_hot = np.eye(CALIBRATION_BINS)[bins]

    def value(weights: Array) -> Array:
        gaps = weights @ (one_hot * (score - actual)[:, None])
        error: Array = np.abs(gaps).sum(axis=1) / weights.sum(axis=1)
        return error

    return value


def _regression(data: Predictions) -> Mapping[str, Metric]:
    truth, error = data.numbers, data.errors
    size = np.abs(error)

    def r2(weights: Array) -> Array:
        total = weights.sum(axis=1)
        mean = weights @ truth / total
        spread = weights @ (truth - truth.mean()) ** 2 - total * (mean - truth.mean()) ** 2
        return np.where(spread > 0, 1 - _ratio(weights @ error**2, spread, np.nan), np.nan)

    def median(weights: Array) -> Array:
        order = np.argsort(size, kind="stable")
        ordered, cumulative = size[order], np.cumsum(weights[:, order], axis=1)
        half = cumulative[:, -1:] / 2
        low = ordered[np.minimum((cumulative < half).sum(axis=1), len(size) - 1)]
        high = ordered[np.minimum((cumulative <= half).sum(axis=1), len(size) - 1)]
        middle: Array = (low + high) / 2
        return middle

    return {
        "mean_absolute_error": _losses("mean_absolute_error", data),
        "root_mean_squared_error": lambda w: np.sqrt(_mean(error**2)(w)),
        "median_absolute_error": median,
        "mean_absolute_percentage_error": _losses("mean_absolute_percentage_error", data),
        "r2": r2,
    }
