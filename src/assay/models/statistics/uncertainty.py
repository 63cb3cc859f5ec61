"""How far a metric, or the difference of two models in it, may be from what the rows show.

Shares get score intervals, areas Newcombe's, means and what behaves like them Hall's, functions of
the confusion matrix those of its posterior; see `assay.models.statistics.intervals` for each.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from scipy import stats

from assay.evidence.format import Interval
from assay.evidence.numbers import tidy
from assay.models.statistics import intervals
from assay.models.statistics.intervals import Bounds
from assay.models.statistics.metrics import CALIBRATION_BINS, LOWER_IS_BETTER, Array, Predictions
from assay.models.statistics.metrics import row_losses as losses

POWER: Final = 0.8
"""The chance with which a difference of the minimum detectable size would have been found."""
RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "matthews_corrcoef": (-1.0, 1.0),
    "r2": (-np.inf, 1.0),
    **dict.fromkeys(LOWER_IS_BETTER, (0.0, np.inf)),
    "brier_score": (0.0, 1.0),
    "expected_calibration_error": (0.0, 1.0),
}
"""Values that a metric can have; a share, from 0 to 1, if it is not named."""
_PRIOR_ONLY: Final = 0.5
_ENOUGH: Final = 30
"""Rows from which a model that says one class only is believed to be constant."""
_ROUNDING: Final = 1e-9
_BLOCK: Final = 4_000_000
"""Numbers drawn at a time; bounds memory at about 100 MB."""


def value_range(name: str) -> tuple[float, float]:
    """The lowest and the highest value that a metric can have."""
    return RANGES.get(name, (0.0, 1.0))


@np.errstate(over="ignore", invalid="ignore")
def interval(
    bounds: Bounds | None, value: float, confidence: float, limits: tuple[float, float]
) -> Interval | None:
    """Bounds as evidence: within the limits, widened where needed to hold the value.

    Returns:
        None where there are none, or where an end is not finite.
    """
    if bounds is None or not np.isfinite(value):
        return None
    low, high = intervals.clipped(bounds, *limits)(confidence)
    low, high = min(low, value), max(high, value)
    if not (np.isfinite(low) and np.isfinite(high)):
        return None
    return Interval(tidy(low), tidy(high), confidence)


def regression(metric: str, candidate: float, production: float) -> float:
    """How much worse the candidate is: production minus candidate, or the reverse for errors."""
    return candidate - production if metric in LOWER_IS_BETTER else production - candidate


def minimum_detectable_difference(found: Interval) -> float:
    """The smallest regression that this test set would show with 80% chance, two-sided.

    (z[1 - alpha/2] + z[power]) standard errors of the paired difference; for example Chow, Shao &
    Wang, Sample Size Calculations in Clinical Research, chapter 3. The standard error is that of
    the interval: its width over twice z[1 - alpha/2].
    """
    z = intervals.normal_quantile(found.confidence)
    return float((z + stats.norm.ppf(POWER)) * (found.high - found.low) / (2 * z))


# --- one model --------------------------------------------------------------------------------


@np.errstate(over="ignore", invalid="ignore")
def single(name: str, data: Predictions, value: float, resamples: int, seed: int) -> Bounds | None:
    """The bounds of a metric; None where the rows do not define one.

    Args:
        name: The metric.
        data: Predictions, at least one.
        value: The estimate.
        resamples: Draws, where the method draws.
        seed: Of the draws.
    """
    if not np.isfinite(value):
        return None
    if (row := losses(name, data)) is not None:
        return intervals.mean(value, row - row.mean(), _scale(row, data))
    return _SINGLE[name](data, value, resamples, seed)


def _scale(row: Array, data: Predictions) -> float:
    """The most that a row could add: what was seen; for a perfect model, the spread of truth."""
    highest = float(np.max(np.abs(row)))
    if highest > 0:
        return highest
    return 1.0 if data.task != "regression" else float(np.ptp(data.numbers))


def _accuracy(data: Predictions, _value: float, _resamples: int, _seed: int) -> Bounds:
    matrix = data.confusion
    return intervals.proportion(float(np.trace(matrix)), float(matrix.sum()))


def _per_class(hits: Array, rows: Array, kept: Array) -> Bounds:
    """The mean of shares of different rows."""
    weight = 1 / kept.sum()
    return intervals.square_and_add(
        [
            (weight, hit / total if total else 0.0, intervals.proportion(hit, total))
            for hit, total, keep in zip(hits, rows, kept, strict=True)
            if keep
        ]
    )


def _balanced_accuracy(data: Predictions, _value: float, _resamples: int, _seed: int) -> Bounds:
    there = data.confusion.sum(axis=1)
    return _per_class(np.diag(data.confusion), there, there > 0)


def _recall_macro(data: Predictions, _value: float, _resamples: int, _seed: int) -> Bounds:
    there, said = data.confusion.sum(axis=1), data.confusion.sum(axis=0)
    return _per_class(np.diag(data.confusion), there, there + said > 0)


def _precision_macro(data: Predictions, _value: float, _resamples: int, _seed: int) -> Bounds:
    there, said = data.confusion.sum(axis=1), data.confusion.sum(axis=0)
    return _per_class(np.diag(data.confusion), said, there + said > 0)


def _precision(data: Predictions, _value: float, _resamples: int, _seed: int) -> Bounds:
    hit, _, said = data.positive_counts
    return intervals.proportion(hit, said)


def _recall(data: Predictions, _value: float, _resamples: int, _seed: int) -> Bounds:
    hit, there, _ = data.positive_counts
    return intervals.proportion(hit, there)


def _f1(data: Predictions, _value: float, _resamples: int, _seed: int) -> Bounds:
    # F1 is 2 J / (1 + J) of Jaccard's index J, a share of the rows that are or are said positive.
    hit, there, said = data.positive_counts
    share = intervals.proportion(hit, there + said - hit)
    return intervals.transformed(share, lambda j: 2 * j / (1 + j))


def _area(data: Predictions, value: float, _resamples: int, _seed: int) -> Bounds:
    positive = data.actual_positive
    parts = _area_parts(data)
    count, others = int(positive.sum()), int((~positive).sum())
    variance = sum(
        float(np.var(part, ddof=1)) / len(part)
        for part in (parts[positive], parts[~positive])
        if len(part) > 1
    )
    return intervals.area(value, count, others, variance)


def _area_parts(data: Predictions) -> Array:
    """For each row, the share of rows of the other class that it is in right order with (DeLong).

    By mid-ranks (Sun & Xu, IEEE Signal Processing Letters 2014). SciPy, statsmodels and
    scikit-learn have areas and no variance of one.
    """
    positive, score = data.actual_positive, data.score
    ranks = stats.rankdata(score)
    parts = np.empty(len(score))
    count, others = int(positive.sum()), int((~positive).sum())
    parts[positive] = (ranks[positive] - stats.rankdata(score[positive])) / others
    parts[~positive] = 1 - (ranks[~positive] - stats.rankdata(score[~positive])) / count
    return parts


def _area_influence(data: Predictions) -> Array:
    positive, parts = data.actual_positive, _area_parts(data)
    found = np.empty(len(parts))
    for chosen in (positive, ~positive):
        found[chosen] = (parts[chosen] - parts[chosen].mean()) * len(parts) / chosen.sum()
    return found


def _precision_influence(data: Predictions) -> Array:
    """The derivative of average precision by each row's weight, times the number of rows.

    With P the precision and N the rows down to a score, and M positives, a positive row adds
    (P - AP)/M + sum of (1 - P)/N over the positives from it downwards, over M; another row takes
    away the sum of P/N over the positives from it downwards, over M.
    """
    positive, score = data.actual_positive, data.score
    order = np.argsort(-score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) != 0])
    up = np.add.reduceat(positive[order].astype(float), starts)
    told = np.cumsum(np.diff(np.r_[starts, len(score)]))
    precision = np.cumsum(up) / told
    count = up.sum()
    value = float((up * precision).sum() / count)
    gain = np.cumsum((up * (1 - precision) / told)[::-1])[::-1]
    loss = np.cumsum((up * precision / told)[::-1])[::-1]
    group = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(score)]))
    found = np.empty(len(score))
    found[order] = np.where(positive[order], precision[group] - value + gain[group], -loss[group])
    influence: Array = found * len(score) / count
    return influence


def _average_precision(
    data: Predictions, value: float, _resamples: int, _seed: int
) -> Bounds | None:
    rows, count = len(data.truth), int(data.actual_positive.sum())
    found = intervals.mean(value, _precision_influence(data), rows / count)
    if found is None or value < 1:
        return found
    # Every positive row came first: as many as there are could all have done so by chance.
    least = intervals.proportion(count, count)
    return lambda confidence: (min(found(confidence)[0], least(confidence)[0]), 1.0)


def _calibration(data: Predictions, value: float, resamples: int, seed: int) -> Bounds | None:
    """Draws of the bins' sums, which are normal by the central limit theorem.

    The error of a calibrated model is above 0 by chance, and that of its draws twice as far. So
    the interval holds both the quantiles of the draws and their mirror image about the estimate.
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
    """A symmetric root; unlike Cholesky's it exists where bins are empty."""
    values, vectors = np.linalg.eigh(matrix)
    root: Array = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root


def _from_matrix(measure: Callable[[Array], Array]) -> "_Method":
    def bounds(data: Predictions, _value: float, resamples: int, seed: int) -> Bounds | None:
        size = len(data.classes)
        counts = {cell: float(n) for cell, n in np.ndenumerate(data.confusion) if n}
        for i in range(size):
            # A row more for what is right, and one for what is wrong.
            for cell in ((i, i), (i, (i + 1) % size)):
                counts[cell] = counts.get(cell, 0.0) + 1 / size
        cells = [(cell[0], cell[1]) for cell in counts]
        found = [
            measure(_marginals(draws, cells, size))
            for draws in _posterior(list(counts.values()), resamples, seed)
        ]
        return intervals.drawn(np.concatenate(found))

    return bounds


def _posterior(counts: Sequence[float], resamples: int, seed: int) -> Iterator[Array]:
    """Draws of the cells' shares, times the rows, in blocks of shape (some draws, cells).

    Dirichlet's distribution over the cells, whose counts hold a prior already. Unlike resampling,
    it gives a chance to what was not seen (Goutte & Gaussier, ECIR 2005, do so for F1).
    """
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK // len(counts))
    for begin in range(0, resamples, block):
        size = (min(block, resamples - begin), len(counts))
        drawn = generator.gamma(counts, size=size)
        yield drawn / drawn.sum(axis=1, keepdims=True) * sum(counts)


def _marginals(draws: Array, cells: list[tuple[int, int]], size: int) -> Array:
    """For each draw: hits, actual and said per class, and the total, shape (draws, 3, classes)."""
    found = np.zeros((len(draws), 3, size))
    for place, (actual, said) in enumerate(cells):
        column = draws[:, place]
        if actual == said:
            found[:, 0, actual] += column
        found[:, 1, actual] += column
        found[:, 2, said] += column
    return found


def _share(top: Array, bottom: Array) -> Array:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)


def _matthews(sums: Array) -> Array:
    hit, there, said = sums[:, 0], sums[:, 1], sums[:, 2]
    total = there.sum(axis=1)
    top = hit.sum(axis=1) * total - (there * said).sum(axis=1)
    bottom = (total**2 - (said**2).sum(axis=1)) * (total**2 - (there**2).sum(axis=1))
    return _share(top, np.sqrt(np.maximum(bottom, 0)))


def _f1_of(sums: Array) -> Array:
    return _share(2 * sums[:, 0], sums[:, 1] + sums[:, 2])


def _mean_over_classes(values: Array, sums: Array) -> Array:
    # A class with less than half a row, actual or said, is there because of the prior alone.
    here = sums[:, 1] + sums[:, 2] > _PRIOR_ONLY
    return _share((values * here).sum(axis=1), here.sum(axis=1).astype(float))


def _f1_macro(sums: Array) -> Array:
    return _mean_over_classes(_f1_of(sums), sums)


def _f1_weighted(sums: Array) -> Array:
    mean: Array = (_f1_of(sums) * sums[:, 1]).sum(axis=1) / sums[:, 1].sum(axis=1)
    return mean


def _correlation(data: Predictions, value: float, resamples: int, seed: int) -> Bounds | None:
    if len(data.truth) >= _ENOUGH and np.count_nonzero(data.confusion.sum(axis=0)) == 1:
        # A model that says the same for every row has 0 by definition, not by chance.
        return lambda _: (0.0, 0.0)
    return _from_matrix(_matthews)(data, value, resamples, seed)


def _root_mean_squared(
    data: Predictions, value: float, _resamples: int, _seed: int
) -> Bounds | None:
    squares = data.errors**2
    scale = float(squares.max()) or float(np.ptp(data.numbers) ** 2)
    found = intervals.mean(value**2, squares - squares.mean(), scale)
    return found and intervals.transformed(found, lambda square: float(np.sqrt(max(square, 0))))


def _median(data: Predictions, _value: float, _resamples: int, _seed: int) -> Bounds:
    return intervals.median(np.abs(data.errors))


def _r2(data: Predictions, value: float, _resamples: int, _seed: int) -> Bounds | None:
    unexplained, influence = _unexplained(data)
    return intervals.mean(value, -influence, float(np.max(unexplained)) or 1.0)


def _unexplained(data: Predictions) -> tuple[Array, Array]:
    """Each row's squared error in units of the target's variance, and its influence on 1 - r2."""
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
    name: str, ours: Predictions, theirs: Predictions, resamples: int, seed: int
) -> Bounds | None:
    """The bounds of the regression of `ours` against `theirs`; above 0, ours is worse.

    Args:
        name: The metric, defined for both on these rows.
        ours: Predictions of the candidate.
        theirs: Predictions of the other model for the same rows.
        resamples: Draws, where the method draws.
        seed: Of the draws.
    """
    one, other = losses(name, ours), losses(name, theirs)
    if one is not None and other is not None:
        difference = one - other
        scale = max(_scale(one, ours), _scale(other, theirs))
        return intervals.mean(float(difference.mean()), difference - difference.mean(), scale)
    if name in _RIGHT:
        return _right(ours, theirs, _RIGHT[name](ours))
    if name in _INFLUENCE:
        influence, scale_of = _INFLUENCE[name]
        value = regression(name, *(_value(name, data) for data in (ours, theirs)))
        change = influence(ours) - influence(theirs)
        if name not in LOWER_IS_BETTER:
            change = -change
        least = max(scale_of(ours), scale_of(theirs))
        seen = float(np.max(np.abs(change)))
        # What is left by rounding is no spread.
        return intervals.mean(value, change, seen if seen > _ROUNDING * least else least)
    if (measure := _measure(name, ours)) is not None:
        return _from_both(measure, ours, theirs, resamples, seed)
    # Not of independent estimates, but of positively correlated ones: wider than it need be.
    values = [_value(name, data) for data in (ours, theirs)]
    parts = [
        single(name, data, value, resamples, seed)
        for data, value in zip((ours, theirs), values, strict=True)
    ]
    if parts[0] is None or parts[1] is None:
        return None
    sign = 1 if name in LOWER_IS_BETTER else -1
    return intervals.square_and_add([(sign, values[0], parts[0]), (-sign, values[1], parts[1])])


def _value(name: str, data: Predictions) -> float:
    from assay.models.statistics.estimates import estimate
    from assay.models.statistics.metrics import metrics

    return estimate({name: metrics(data)[name]}, len(data.truth))[name]


def _right(ours: Predictions, theirs: Predictions, groups: Array) -> Bounds:
    """Shares of rows that are right, as the mean over groups of rows (-1: in none)."""
    right, wrong = ours.right & ~theirs.right, ~ours.right & theirs.right
    parts = []
    found = [group for group in np.unique(groups) if group >= 0]
    for group in found:
        rows = groups == group
        total = int(rows.sum())
        only_ours, only_theirs = int((right & rows).sum()), int((wrong & rows).sum())
        bounds = intervals.paired_proportions(only_theirs, only_ours, total)
        parts.append((1 / len(found), (only_theirs - only_ours) / total, bounds))
    return parts[0][2] if len(parts) == 1 else intervals.square_and_add(parts)


def _from_both(
    measure: Callable[[Array], Array],
    ours: Predictions,
    theirs: Predictions,
    resamples: int,
    seed: int,
) -> Bounds | None:
    """As `_from_matrix`, over the cells of (actual, ours, theirs)."""
    size = len(ours.classes)
    actual, said = ours.codes
    cells, counted = np.unique(
        np.stack([actual, said, theirs.codes[1]], axis=1), axis=0, return_counts=True
    )
    counts = {tuple(map(int, cell)): float(n) for cell, n in zip(cells, counted, strict=True)}
    for i in range(size):
        other = (i + 1) % size
        # Half a row more for each way in which two models agree or differ.
        for cell in ((i, i, i), (i, i, other), (i, other, i), (i, other, other)):
            counts[cell] = counts.get(cell, 0.0) + 0.5 / size
    names = list(counts)
    found = []
    for draws in _posterior(list(counts.values()), resamples, seed):
        sides = [
            measure(_marginals(draws, [(cell[0], cell[side]) for cell in names], size))
            for side in (1, 2)
        ]
        found.append(sides[1] - sides[0])
    return intervals.drawn(np.concatenate(found))


def _measure(name: str, data: Predictions) -> Callable[[Array], Array] | None:
    """A metric as a function of hits, actual and said per class; None if it is not one."""
    if name == "recall_macro":
        return lambda sums: _mean_over_classes(_share(sums[:, 0], sums[:, 1]), sums)
    if name == "precision_macro":
        return lambda sums: _mean_over_classes(_share(sums[:, 0], sums[:, 2]), sums)
    if name in {"precision", "f1"}:
        place = list(data.classes).index(data.positive)
        if name == "f1":
            return lambda sums: _f1_of(sums)[:, place]
        return lambda sums: _share(sums[:, 0], sums[:, 2])[:, place]
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
"""Metrics that are shares of rows that are right, and the groups of rows they are the mean of."""


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
"""Metrics by the influence of each row, and what one row could add where nothing was seen."""
