"""Confidence intervals of metrics, and of the differences of two models.

Shares have score intervals, areas Newcombe's, means and similar statistics Hall's, functions of the
confusion matrix those of its posterior; see `assay.models.statistics.intervals`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, stats

from assay.evidence.format import Interval
from assay.evidence.numbers import tidy
from assay.models.statistics import intervals
from assay.models.statistics.intervals import Bounds
from assay.models.statistics.metrics import CALIBRATION_BINS, LOWER_IS_BETTER, Array, Predictions
from assay.models.statistics.metrics import row_losses as losses

IndexArray = NDArray[np.intp]
POWER: Final = 0.8
"""Power to detect a difference of the minimum detectable size."""
RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "matthews_corrcoef": (-1.0, 1.0),
    "r2": (-np.inf, 1.0),
    **dict.fromkeys(LOWER_IS_BETTER, (0.0, np.inf)),
    "brier_score": (0.0, 1.0),
    "expected_calibration_error": (0.0, 1.0),
}
"""Ranges of metrics; 0 to 1 for metrics that are not listed."""
_PRIOR_ONLY: Final = 0.5
_ENOUGH: Final = 30
"""Number of rows from which a model that predicts a single class is considered constant."""
_ROUNDING: Final = 1e-9
_BLOCK: Final = 4_000_000
"""Number of values drawn at a time, to limit memory to about 100 MB."""


def value_range(name: str) -> tuple[float, float]:
    """The lowest and the highest value that a metric can have."""
    return RANGES.get(name, (0.0, 1.0))


@np.errstate(over="ignore", invalid="ignore")
def interval(
    bounds: Bounds | None, value: float, confidence: float, limits: tuple[float, float]
) -> Interval | None:
    """Convert bounds to an interval of evidence, clipped to a range and including the value.

    Args:
        bounds: The bounds; None if they are not defined.
        value: The estimate.
        confidence: Confidence level.
        limits: The range of the metric.

    Returns:
        The interval; None without bounds, or if a number is not finite.
    """
    if bounds is None or not np.isfinite(value):
        return None
    low, high = intervals.clipped(bounds, *limits)(confidence)
    low, high = min(low, value), max(high, value)
    if not (np.isfinite(low) and np.isfinite(high)):
        return None
    return Interval(tidy(low), tidy(high), confidence)


def regression(metric: str, candidate: float, production: float) -> float:
    """How much worse the candidate is than production.

    Args:
        metric: Name of the metric.
        candidate: Value of the candidate.
        production: Value of the production model.

    Returns:
        Production minus candidate, or the reverse if lower values are better.
    """
    return candidate - production if metric in LOWER_IS_BETTER else production - candidate


def minimum_detectable_difference(estimate: Interval) -> float:
    """The smallest regression that this test set detects with a power of 80%, two-sided.

    (z[1 - alpha/2] + z[power]) standard errors of the paired difference; for example Chow, Shao &
    Wang, Sample Size Calculations in Clinical Research, chapter 3. The standard error is that of
    the interval: its width over twice z[1 - alpha/2].
    """
    z = intervals.normal_quantile(estimate.confidence)
    return float((z + stats.norm.ppf(POWER)) * (estimate.high - estimate.low) / (2 * z))


# --- one model --------------------------------------------------------------------------------


@np.errstate(over="ignore", invalid="ignore")
def single(name: str, data: Predictions, value: float, resamples: int, seed: int) -> Bounds | None:
    """The bounds of a metric.

    Args:
        name: The metric.
        data: Predictions, at least one.
        value: The estimate.
        resamples: Number of draws, for methods that use draws.
        seed: Seed of the draws.

    Returns:
        The bounds; None if they are not defined for these rows.
    """
    if not np.isfinite(value):
        return None
    if (row := losses(name, data)) is not None:
        return intervals.mean(value, row - row.mean(), _scale(row, data))
    return _SINGLE[name](data, value, resamples, seed)


def _scale(row: Array, data: Predictions) -> float:
    """The maximum loss of a row; for a perfect model, the spread of the target."""
    highest = float(np.max(np.abs(row)))
    if highest > 0:
        return highest
    return 1.0 if data.task != "regression" else float(np.ptp(data.numbers))


def _accuracy(data: Predictions, _value: float, _resamples: int, _seed: int) -> Bounds:
    matrix = data.confusion
    return intervals.proportion(float(np.trace(matrix)), float(matrix.sum()))


def _per_class(hits: Array, rows: Array, kept: Array) -> Bounds:
    """The bounds of a mean of shares of disjoint rows."""
    weight = 1 / kept.sum()
    return intervals.square_and_add(
        [
            (weight, hit / total if total else 0.0, intervals.proportion(hit, total))
            for hit, total, keep in zip(hits, rows, kept, strict=True)
            if keep
        ]
    )


def _balanced_accuracy(data: Predictions, _value: float, _resamples: int, _seed: int) -> Bounds:
    rows = data.confusion.sum(axis=1)
    return _per_class(np.diag(data.confusion), rows, rows > 0)


def _recall_macro(data: Predictions, _value: float, _resamples: int, _seed: int) -> Bounds:
    rows, guesses = data.confusion.sum(axis=1), data.confusion.sum(axis=0)
    return _per_class(np.diag(data.confusion), rows, rows + guesses > 0)


def _precision_macro(data: Predictions, _value: float, _resamples: int, _seed: int) -> Bounds:
    rows, guesses = data.confusion.sum(axis=1), data.confusion.sum(axis=0)
    return _per_class(np.diag(data.confusion), guesses, rows + guesses > 0)


def _precision(data: Predictions, _value: float, _resamples: int, _seed: int) -> Bounds:
    hits, _, guesses = data.positive_counts
    return intervals.proportion(hits, guesses)


def _recall(data: Predictions, _value: float, _resamples: int, _seed: int) -> Bounds:
    hits, rows, _ = data.positive_counts
    return intervals.proportion(hits, rows)


def _f1(data: Predictions, _value: float, _resamples: int, _seed: int) -> Bounds:
    # F1 is 2 J / (1 + J) of Jaccard's index J, a share of the actual or predicted positives.
    hits, rows, guesses = data.positive_counts
    share = intervals.proportion(hits, rows + guesses - hits)
    return intervals.transformed(share, lambda j: 2 * j / (1 + j))


def _area(data: Predictions, value: float, _resamples: int, _seed: int) -> Bounds:
    positive = data.actual_positive
    parts = _area_parts(data)
    positives, negatives = int(positive.sum()), int((~positive).sum())
    variance = sum(
        float(np.var(part, ddof=1)) / len(part)
        for part in (parts[positive], parts[~positive])
        if len(part) > 1
    )
    return intervals.area(value, positives, negatives, variance)


def _area_parts(data: Predictions) -> Array:
    """For each row, the share of rows of the other class in correct order with it (DeLong).

    By mid-ranks (Sun & Xu, IEEE Signal Processing Letters 2014). SciPy, statsmodels and
    scikit-learn have areas and no variance of one.
    """
    order, group, up, down = _ranked(data)
    positives, negatives = up.sum(), down.sum()
    # Rows of the other class with a lower score, and half of those with the same one.
    below_positive = (negatives - np.cumsum(down) + down / 2) / negatives
    below_negative = (positives - np.cumsum(up) + up / 2) / positives
    parts = np.empty(len(order))
    positive = data.actual_positive[order]
    parts[order] = np.where(positive, below_positive[group], 1 - below_negative[group])
    return parts


def _ranked(data: Predictions) -> tuple[IndexArray, IndexArray, Array, Array]:
    """Rows by score, highest first, and counts by distinct score.

    Returns:
        The order of the rows; for each row in this order the index of its score; for each score the
        number of positive and of negative rows.
    """
    order, starts = data.ranking
    sizes = np.diff(np.r_[starts, len(order)])
    up = np.add.reduceat(data.actual_positive[order].astype(float), starts)
    return order, np.repeat(np.arange(len(starts)), sizes), up, sizes - up


def _area_influence(data: Predictions) -> Array:
    positive, parts = data.actual_positive, _area_parts(data)
    influence = np.empty(len(parts))
    for chosen in (positive, ~positive):
        influence[chosen] = (parts[chosen] - parts[chosen].mean()) * len(parts) / chosen.sum()
    return influence


def _precision_influence(data: Predictions) -> Array:
    """The derivative of average precision by the weight of each row, times the number of rows.

    With P the precision and N the number of rows down to a score, and M positives, a positive row
    adds (P - AP)/M + sum of (1 - P)/N over the positives from it downwards, over M; a negative row
    subtracts the sum of P/N over the positives from it downwards, over M.
    """
    order, group, up, down = _ranked(data)
    positive = data.actual_positive
    guesses = np.cumsum(up + down)
    precision = np.cumsum(up) / guesses
    count = up.sum()
    value = float((up * precision).sum() / count)
    gain = np.cumsum((up * (1 - precision) / guesses)[::-1])[::-1]
    loss = np.cumsum((up * precision / guesses)[::-1])[::-1]
    changes = np.empty(len(order))
    changes[order] = np.where(positive[order], precision[group] - value + gain[group], -loss[group])
    influence: Array = changes * len(order) / count
    return influence


def _average_precision(
    data: Predictions, value: float, _resamples: int, _seed: int
) -> Bounds | None:
    rows, count = len(data.truth), int(data.actual_positive.sum())
    bounds = intervals.mean(value, _precision_influence(data), rows / count)
    if bounds is None or value < 1:
        return bounds
    # Every positive row came first, which may be by chance if there are few.
    least = intervals.proportion(count, count)
    return lambda confidence: (min(bounds(confidence)[0], least(confidence)[0]), 1.0)


def _calibration(data: Predictions, value: float, resamples: int, seed: int) -> Bounds | None:
    """Draws of the sums of the bins, which are normal by the central limit theorem.

    The error of a calibrated model is above 0 by chance, and that of its draws has twice the bias.
    The interval therefore includes the quantiles of the draws and their mirror image about the
    estimate.
    """
    score, actual = data.calibration
    gaps = score - actual
    bins = np.minimum((score * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    sums = np.bincount(bins, gaps, CALIBRATION_BINS)
    rows = len(gaps)
    covariance = np.diag(np.bincount(bins, gaps**2, CALIBRATION_BINS)) - np.outer(sums, sums) / rows
    root = _square_root(covariance)
    draws = np.random.default_rng(seed).standard_normal((resamples, CALIBRATION_BINS)) @ root
    quantiles = intervals.drawn(np.abs(sums + draws).sum(axis=1) / rows)
    if quantiles is None:
        return None
    floor = 1 / rows

    def bounds(confidence: float) -> tuple[float, float]:
        low, high = quantiles(confidence)
        z = intervals.normal_quantile(confidence)
        return min(low, 2 * value - high) - z * floor, max(high, 2 * value - low) + z * floor

    return bounds


def _square_root(matrix: Array) -> Array:
    """The symmetric square root, which, unlike Cholesky's, exists if bins are empty."""
    values, vectors = np.linalg.eigh(matrix)
    root: Array = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root


def _from_matrix(measure: Callable[[Array], Array]) -> "_Method":
    def bounds(data: Predictions, _value: float, resamples: int, seed: int) -> Bounds | None:
        return intervals.drawn(measure(_drawn_sums(data, resamples, seed)))

    return bounds


def _drawn_sums(data: Predictions, resamples: int, seed: int) -> Array:
    """Draws of hits, actual and predicted rows per class; shape (resamples, 3, classes).

    Computed once for all metrics of these predictions.
    """
    key = (resamples, seed)
    if key not in data.drawn_sums:
        size = len(data.classes)
        counts = {
            (int(actual), int(predicted)): float(data.confusion[actual, predicted])
            for actual, predicted in np.argwhere(data.confusion)
        }
        for i in range(size):
            # Prior: one additional row for correct predictions, and one for wrong ones.
            for cell in ((i, i), (i, (i + 1) % size)):
                counts[cell] = counts.get(cell, 0.0) + 1 / size
        sums_of = _marginals(np.array(list(counts)), size)
        data.drawn_sums[key] = np.concatenate(
            [sums_of(draws) for draws in _posterior(list(counts.values()), resamples, seed)]
        )
    return data.drawn_sums[key]


def _posterior(counts: Sequence[float], resamples: int, seed: int) -> Iterator[Array]:
    """Draws of the shares of the cells, times the rows, in blocks of shape (draws, cells).

    The Dirichlet distribution over the cells, whose counts include a prior. Unlike resampling, it
    gives empty cells a positive probability (Goutte & Gaussier, ECIR 2005, use it for F1).
    """
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK // len(counts))
    for begin in range(0, resamples, block):
        size = (min(block, resamples - begin), len(counts))
        drawn = generator.gamma(counts, size=size)
        yield drawn / drawn.sum(axis=1, keepdims=True) * sum(counts)


def _marginals(cells: IndexArray, size: int) -> Callable[[Array], Array]:
    """A function from draws to sums per class.

    Args:
        cells: The actual and the predicted class of each cell; shape (cells, 2).
        size: Number of classes.

    Returns:
        From draws of shape (draws, cells) to the hits, the actual and the predicted rows of each
        class; shape (draws, 3, classes).
    """
    actual, predicted = cells.T
    hits = np.flatnonzero(actual == predicted)
    every = np.arange(len(cells))
    # The product of a sparse matrix adds the cells of a class one after the other.
    indicators = [
        sparse.csr_array((np.ones(len(own)), (classes[own], own)), shape=(size, len(cells)))
        for classes, own in ((actual, hits), (actual, every), (predicted, every))
    ]

    def sums_of(draws: Array) -> Array:
        sums = np.empty((len(draws), 3, size))
        for place, indicator in enumerate(indicators):
            sums[:, place] = (indicator @ draws.T).T
        return sums

    return sums_of


def _share(top: Array, bottom: Array) -> Array:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)


def _matthews(sums: Array) -> Array:
    hits, rows, guesses = sums[:, 0], sums[:, 1], sums[:, 2]
    total = rows.sum(axis=1)
    top = hits.sum(axis=1) * total - (rows * guesses).sum(axis=1)
    bottom = (total**2 - (guesses**2).sum(axis=1)) * (total**2 - (rows**2).sum(axis=1))
    return _share(top, np.sqrt(np.maximum(bottom, 0)))


def _f1_of(sums: Array) -> Array:
    return _share(2 * sums[:, 0], sums[:, 1] + sums[:, 2])


def _mean_over_classes(values: Array, sums: Array) -> Array:
    # A class with less than half a row, actual or predicted, has rows from the prior only.
    present = sums[:, 1] + sums[:, 2] > _PRIOR_ONLY
    return _share((values * present).sum(axis=1), present.sum(axis=1).astype(float))


def _f1_macro(sums: Array) -> Array:
    return _mean_over_classes(_f1_of(sums), sums)


def _f1_weighted(sums: Array) -> Array:
    mean: Array = (_f1_of(sums) * sums[:, 1]).sum(axis=1) / sums[:, 1].sum(axis=1)
    return mean


def _correlation(data: Predictions, value: float, resamples: int, seed: int) -> Bounds | None:
    if len(data.truth) >= _ENOUGH and np.count_nonzero(data.confusion.sum(axis=0)) == 1:
        # The value of a constant model is 0 by definition, not by chance.
        return lambda _: (0.0, 0.0)
    return _from_matrix(_matthews)(data, value, resamples, seed)


def _root_mean_squared(
    data: Predictions, value: float, _resamples: int, _seed: int
) -> Bounds | None:
    squares = data.errors**2
    scale = float(squares.max()) or float(np.ptp(data.numbers) ** 2)
    bounds = intervals.mean(value**2, squares - squares.mean(), scale)
    return bounds and intervals.transformed(bounds, lambda square: float(np.sqrt(max(square, 0))))


def _median(data: Predictions, _value: float, _resamples: int, _seed: int) -> Bounds:
    return intervals.median(np.abs(data.errors))


def _r2(data: Predictions, value: float, _resamples: int, _seed: int) -> Bounds | None:
    unexplained, influence = _unexplained(data)
    return intervals.mean(value, -influence, float(np.max(unexplained)) or 1.0)


def _unexplained(data: Predictions) -> tuple[Array, Array]:
    """Relative squared errors (in variances of the target), and their influence on 1 - r2."""
    truth = data.numbers
    distance = (truth - truth.mean()) ** 2
    error = data.errors**2 / distance.mean()
    return error, error - error.mean() * distance / distance.mean()


_Method = Callable[[Predictions, float, int, int], Bounds | None]
_SINGLE: Final[Mapping[str, _Method]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "recall_macro": _recall_macro,
    "precision_macro": _precision_macro,
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
    "roc_auc": _area,
    "average_precision": _average_precision,
    "expected_calibration_error": _calibration,
    "matthews_corrcoef": _correlation,
    "f1_macro": _from_matrix(_f1_macro),
    "f1_weighted": _from_matrix(_f1_weighted),
    "root_mean_squared_error": _root_mean_squared,
    "median_absolute_error": _median,
    "r2": _r2,
}


# --- two models on the same rows --------------------------------------------------------------


@np.errstate(over="ignore", invalid="ignore")
def paired(
    name: str, candidate: Predictions, production: Predictions, resamples: int, seed: int
) -> Bounds | None:
    """The bounds of the regression of a candidate; above 0, the candidate is worse.

    Args:
        name: The metric, defined for both on these rows.
        candidate: Predictions of the candidate.
        production: Predictions of the other model for the same rows.
        resamples: Number of draws, for methods that use draws.
        seed: Seed of the draws.

    Returns:
        The bounds; None if they are not defined for these rows.
    """
    first, second = losses(name, candidate), losses(name, production)
    if first is not None and second is not None:
        difference = first - second
        scale = max(_scale(first, candidate), _scale(second, production))
        return intervals.mean(float(difference.mean()), difference - difference.mean(), scale)
    if name in _RIGHT:
        return _right(candidate, production, _RIGHT[name](candidate))
    if name in _INFLUENCE:
        return _from_influence(name, candidate, production)
    if (measure := _measure(name, candidate)) is not None:
        return _from_both(measure, candidate, production, resamples, seed)
    # Conservative, because the estimates are not independent but positively correlated.
    values = [_value(name, data) for data in (candidate, production)]
    parts = [
        single(name, data, value, resamples, seed)
        for data, value in zip((candidate, production), values, strict=True)
    ]
    if parts[0] is None or parts[1] is None:
        return None
    sign = 1 if name in LOWER_IS_BETTER else -1
    return intervals.square_and_add([(sign, values[0], parts[0]), (-sign, values[1], parts[1])])


def _from_influence(name: str, candidate: Predictions, production: Predictions) -> Bounds | None:
    influence, scale_of = _INFLUENCE[name]
    value = regression(name, *(_value(name, data) for data in (candidate, production)))
    change = influence(candidate) - influence(production)
    if name not in LOWER_IS_BETTER:
        change = -change
    least = max(scale_of(candidate), scale_of(production))
    largest = float(np.max(np.abs(change)))
    # Rounding errors are not a spread.
    return intervals.mean(value, change, largest if largest > _ROUNDING * least else least)


def _value(name: str, data: Predictions) -> float:
    from assay.models.statistics.estimates import estimate
    from assay.models.statistics.metrics import metrics

    return estimate({name: metrics(data)[name]}, len(data.truth))[name]


def _right(candidate: Predictions, production: Predictions, groups: Array) -> Bounds:
    """The mean over groups of rows (-1: no group) of the difference in shares of correct rows."""
    better, worse = candidate.right & ~production.right, ~candidate.right & production.right
    parts = []
    numbers = [group for group in np.unique(groups) if group >= 0]
    for group in numbers:
        rows = groups == group
        total = int(rows.sum())
        only_first, only_second = int((better & rows).sum()), int((worse & rows).sum())
        bounds = intervals.paired_proportions(only_second, only_first, total)
        parts.append((1 / len(numbers), (only_second - only_first) / total, bounds))
    return parts[0][2] if len(parts) == 1 else intervals.square_and_add(parts)


def _from_both(
    measure: Callable[[Array], Array],
    candidate: Predictions,
    production: Predictions,
    resamples: int,
    seed: int,
) -> Bounds | None:
    """Like `_from_matrix`, over cells of (actual, candidate, production)."""
    # A model may know classes that the other does not.
    classes = list(dict.fromkeys((*candidate.classes, *production.classes)))
    size = len(classes)
    places = np.array([classes.index(label) for label in production.classes])
    codes = (*candidate.codes, places[production.codes[1]])
    # One number for each cell, because np.unique sorts rows of an array much more slowly.
    shape = (size + 1,) * 3
    numbers, counted = np.unique(
        np.ravel_multi_index([code + 1 for code in codes], shape), return_counts=True
    )
    cells = np.stack(np.unravel_index(numbers, shape), axis=1) - 1
    counts = {tuple(map(int, cell)): float(n) for cell, n in zip(cells, counted, strict=True)}
    for i in range(size):
        j = (i + 1) % size
        # Prior: half an additional row for each way in which two models agree or differ.
        for cell in ((i, i, i), (i, i, j), (i, j, i), (i, j, j)):
            counts[cell] = counts.get(cell, 0.0) + 0.5 / size
    names = np.array(list(counts))
    first, second = (_marginals(names[:, [0, model]], size) for model in (1, 2))
    differences = [
        measure(second(draws)) - measure(first(draws))
        for draws in _posterior(list(counts.values()), resamples, seed)
    ]
    return intervals.drawn(np.concatenate(differences))


def _measure(name: str, data: Predictions) -> Callable[[Array], Array] | None:
    """A metric as a function of hits, actual and predicted rows per class, if it is one."""
    if name == "recall_macro":
        return lambda sums: _mean_over_classes(_share(sums[:, 0], sums[:, 1]), sums)
    if name == "precision_macro":
        return lambda sums: _mean_over_classes(_share(sums[:, 0], sums[:, 2]), sums)
    if name in {"precision", "f1"}:
        index = list(data.classes).index(data.positive)
        if name == "f1":
            return lambda sums: _f1_of(sums)[:, index]
        return lambda sums: _share(sums[:, 0], sums[:, 2])[:, index]
    return _MATRIX.get(name)


_MATRIX: Final[Mapping[str, Callable[[Array], Array]]] = {
    "matthews_corrcoef": _matthews,
    "f1_macro": _f1_macro,
    "f1_weighted": _f1_weighted,
}
_RIGHT: Final[Mapping[str, Callable[[Predictions], Array]]] = {
    "accuracy": lambda data: np.zeros(len(data.truth)),
    "recall": lambda data: np.where(data.actual_positive, 0.0, -1.0),
    "balanced_accuracy": lambda data: data.codes[0].astype(np.float64),
}
"""Metrics that are means over groups of rows of shares of correct rows, and these groups."""


def _smaller_class(data: Predictions) -> float:
    positives = int(data.actual_positive.sum())
    return len(data.truth) / max(min(positives, len(data.truth) - positives), 1)


def _root_influence(data: Predictions) -> Array:
    squares = data.errors**2
    middle = float(squares.mean())
    return np.abs(data.errors) if middle == 0 else (squares - middle) / (2 * np.sqrt(middle))


_INFLUENCE: Final[
    Mapping[str, tuple[Callable[[Predictions], Array], Callable[[Predictions], float]]]
] = {
    "roc_auc": (_area_influence, _smaller_class),
    "average_precision": (_precision_influence, _smaller_class),
    "root_mean_squared_error": (_root_influence, lambda data: _scale(data.errors, data)),
    "r2": (lambda data: -_unexplained(data)[1], lambda _: 1.0),
}
"""By metric: the influence of each row, and the maximum contribution of a row without spread."""
