"""Metrics as functions of row weights; each agrees with scikit-learn's of the same name.

A metric takes weights of shape (resamples, rows) and gives values of shape (resamples,). A value
that the weighted rows do not define (the area under a curve of one class) is NaN.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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


def _mean(values: Array) -> Metric:
    return lambda weights: weights @ values / weights.sum(axis=1)


def _ratio(top: Array, bottom: Array, empty: float) -> Array:
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1), empty)


def _classification(data: Predictions) -> Mapping[str, Metric]:
    labels = np.asarray(data.classes, dtype=object)
    actual = np.asarray(data.truth, dtype=object)[:, None] == labels
    said = np.asarray(data.predicted, dtype=object)[:, None] == labels
    counts = np.hstack([actual & said, actual, said]).astype(np.float64)
    size = len(labels)

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
        "accuracy": _mean((actual & said).any(axis=1).astype(np.float64)),
        "balanced_accuracy": balanced,
        "matthews_corrcoef": matthews,
        "precision_macro": lambda w: macro(_ratio(per_class(w)[0], per_class(w)[2], 0.0), w),
        "recall_macro": lambda w: macro(_ratio(per_class(w)[0], per_class(w)[1], 0.0), w),
        "f1_macro": lambda w: macro(f1(w)[0], w),
        "f1_weighted": lambda w: (f1(w)[0] * f1(w)[1]).sum(axis=1) / f1(w)[1].sum(axis=1),
    }
    if data.probabilities is not None:
        chosen = np.where(actual, data.probabilities, 0).sum(axis=1)
        found["log_loss"] = _mean(-np.log(np.clip(chosen, _EPSILON, 1)))
        found["expected_calibration_error"] = _calibration_error(
            data.probabilities.max(axis=1), (actual & said).any(axis=1).astype(np.float64)
        )
    return found


def _binary(data: Predictions) -> Mapping[str, Metric]:
    actual = np.asarray(data.truth == data.positive, dtype=np.float64)
    said = np.asarray(data.predicted == data.positive, dtype=np.float64)
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
        found["brier_score"] = _mean((score - actual) ** 2)
        found["expected_calibration_error"] = _calibration_error(score, actual)
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
    truth = np.asarray(data.truth, dtype=np.float64)
    error = np.asarray(data.predicted, dtype=np.float64) - truth
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
        "mean_absolute_error": _mean(size),
        "root_mean_squared_error": lambda w: np.sqrt(_mean(error**2)(w)),
        "median_absolute_error": median,
        "mean_absolute_percentage_error": _mean(size / np.maximum(np.abs(truth), _EPSILON)),
        "r2": r2,
    }
