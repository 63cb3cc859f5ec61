"""Intervals compared with SciPy's bootstrap (BCa) of the same 1,000 rows.

With so many rows both are valid. The bootstrap knows nothing of a metric but its values, so a wrong
formula of an interval shows as another place or another width.
"""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from assay.models.statistics.estimates import estimate
from assay.models.statistics.metrics import Predictions, metrics
from assay.models.statistics.uncertainty import paired, regression, single

ROWS, LEVEL, RESAMPLES = 1000, 0.95, 2000
CLOSE = 0.12
"""Largest distance of two ends, in widths of the bootstrap's interval; its ends are drawn."""
WIDE = ("expected_calibration_error", "median_absolute_error")
"""Metrics with a conservative interval of the difference, the first one also of one model
(docs/evaluation.md)."""
MOST_WIDE = 2.2
"""Largest width of such an interval, in widths of the bootstrap's."""
pytestmark = pytest.mark.slow
Metric = Callable[[np.ndarray], np.ndarray]


def binary(noise: float) -> Predictions:
    rng = np.random.default_rng(5)
    truth = (rng.random(ROWS) < 0.35).astype(int)
    raw = rng.normal(1.4 * truth - 0.7, 1) + np.random.default_rng(6).normal(0, noise, ROWS)
    score = stats.norm.cdf(raw)
    both = np.stack([1 - score, score], axis=1)
    return Predictions("binary", truth, (score > 0.5).astype(int), both, (0, 1), 1)


def multiclass(noise: float) -> Predictions:
    rng = np.random.default_rng(7)
    truth = rng.choice(5, ROWS, p=[0.4, 0.25, 0.15, 0.1, 0.1])
    raw = rng.normal(0, 1, (ROWS, 5)) + np.random.default_rng(8).normal(0, noise, (ROWS, 5))
    raw[np.arange(ROWS), truth] += 1.5
    chances = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    return Predictions("multiclass", truth, chances.argmax(axis=1), chances, tuple(range(5)), None)


def numbers(noise: float) -> Predictions:
    rng = np.random.default_rng(9)
    truth = rng.gamma(12, 1, ROWS)  # far from 0, for relative errors
    said = truth + rng.normal(0.2, 1, ROWS) + np.random.default_rng(10).normal(0, noise, ROWS)
    return Predictions("regression", truth, said, None, (), None)


def bootstrap(metric: Metric) -> tuple[float, float]:
    """The ends of SciPy's interval."""

    def statistic(drawn: np.ndarray, axis: int) -> np.ndarray:
        assert axis == -1
        rows = drawn.reshape(-1, drawn.shape[-1])
        weights = np.array([np.bincount(row, minlength=ROWS) for row in rows], dtype=float)
        return metric(weights).reshape(drawn.shape[:-1])

    found = stats.bootstrap(
        (np.arange(ROWS),), statistic, vectorized=True, n_resamples=RESAMPLES, batch=500,
        confidence_level=LEVEL, method="BCa", rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return float(found.low), float(found.high)


def require_same(own: tuple[float, float], other: tuple[float, float], wide: bool) -> None:
    """Close ends; a wide interval holds the bootstrap's instead."""
    if wide:
        assert own[0] <= other[0] < other[1] <= own[1]
        assert np.ptp(own) <= MOST_WIDE * np.ptp(other)
    else:
        assert max(abs(np.subtract(own, other))) <= CLOSE * np.ptp(other)


MAKERS = [binary, multiclass, numbers]
EVERY = [(make, name) for make in MAKERS for name in metrics(make(0.0))]


@pytest.mark.parametrize(("make", "name"), EVERY)
def test_the_interval_of_a_metric_is_that_of_a_bootstrap(
    make: Callable[[float], Predictions], name: str
) -> None:
    data = make(0.0)
    value = estimate({name: metrics(data)[name]}, ROWS)[name]
    bounds = single(name, data, value, RESAMPLES, 0)
    assert bounds is not None
    require_same(bounds(LEVEL), bootstrap(metrics(data)[name]), name == WIDE[0])


@pytest.mark.parametrize(("make", "name"), EVERY)
def test_the_interval_of_a_difference_is_that_of_a_bootstrap_of_pairs(
    make: Callable[[float], Predictions], name: str
) -> None:
    ours, theirs = make(0.8), make(0.0)
    bounds = paired(name, ours, theirs, RESAMPLES, 0)
    assert bounds is not None

    def difference(weights: np.ndarray) -> np.ndarray:
        first, second = (metrics(data)[name](weights) for data in (ours, theirs))
        return np.asarray(regression(name, first, second))  # type: ignore[arg-type]

    require_same(bounds(LEVEL), bootstrap(difference), name in WIDE)
