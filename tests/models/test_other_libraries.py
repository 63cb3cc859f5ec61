"""Own statistics beside those of SciPy, statsmodels and NumPy of the same name.

Where they agree to the last digit, it is said so with `==`. Where they do not, evidence would have
other bytes with the library's; the largest difference is what the docstring of each says.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as other_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.rates import confint_poisson

from assay.evidence.numbers import tidy
from assay.models.statistics import intervals
from assay.models.statistics.paired import EXACT_LIMIT, holm, mcnemar
from assay.monitoring.judge import CONFIDENCE, _poisson
from assay.monitoring.replay import PER_ROWS, Findings, quantile

LEVELS = (0.8, 0.9, 0.95, 0.99, 0.999)
Ends = Callable[[int, int, float], tuple[float, float]]


def scipy_ends(method: str) -> Ends:
    def ends(hits: int, rows: int, confidence: float) -> tuple[float, float]:
        found = stats.binomtest(hits, rows).proportion_ci(confidence, method=method)
        return float(found.low), float(found.high)

    return ends


def statsmodels_ends(method: str) -> Ends:
    def ends(hits: int, rows: int, confidence: float) -> tuple[float, float]:
        low, high = proportion_confint(hits, rows, 1 - confidence, method=method)
        return float(low), float(high)

    return ends


def furthest(other: Ends, counts: Iterable[tuple[int, int]]) -> float:
    """The largest difference from `proportion`, as a share of the value."""
    return max(
        abs(own - given) / max(own, 1e-300)
        for hits, rows in counts
        for confidence in LEVELS
        for own, given in zip(
            intervals.proportion(hits, rows)(confidence),
            other(hits, rows, confidence),
            strict=True,
        )
    )


@pytest.mark.parametrize(
    ("other", "most"), [(scipy_ends("wilson"), 1e-14), (statsmodels_ends("wilson"), 2e-14)]
)
def test_wilsons_interval_differs_in_the_last_digits(other: Ends, most: float) -> None:
    counts = [(h, n) for n in range(20, 3000, 97) for h in range(4, n - 3, max(1, n // 11))]
    assert 0 < furthest(other, counts) <= most


@pytest.mark.parametrize(
    ("other", "most"), [(scipy_ends("exact"), 1e-9), (statsmodels_ends("beta"), 1e-11)]
)
def test_the_exact_interval_of_all_or_none_differs_in_more_digits(other: Ends, most: float) -> None:
    counts = [(h, n) for n in (1, 2, 5, 10, 51, 100, 999, 3000, 10_000) for h in (0, n)]
    assert 0 < furthest(other, counts) <= most


def test_the_normal_quantile_is_scipys() -> None:
    for confidence in np.linspace(0.001, 0.9999, 2000):
        assert intervals.normal_quantile(confidence) == stats.norm.ppf(0.5 + confidence / 2)


@pytest.mark.parametrize("rows", [*range(1, 40), 100, 999, 1000])
def test_the_interval_of_a_median_is_scipys_at_usual_levels(rows: int) -> None:
    generator = np.random.default_rng(rows)
    for values in (generator.normal(size=rows), np.round(generator.exponential(3, rows))):
        for confidence in LEVELS:
            found = stats.quantile_test(values, p=0.5).confidence_interval(confidence)
            given = (
                -math.inf if math.isnan(found.low) else found.low,
                math.inf if math.isnan(found.high) else found.high,
            )
            assert intervals.median(values)(confidence) == given


def test_the_interval_of_a_median_has_ends_where_a_tail_is_just_reached() -> None:
    """Two values miss the median, on one side, with a chance of a quarter."""
    values = np.array([1.0, 2.0])
    assert intervals.median(values)(0.5) == (1.0, 2.0)
    assert math.isnan(stats.quantile_test(values, p=0.5).confidence_interval(0.5).low)


def test_holms_correction_is_that_of_statsmodels() -> None:
    generator = np.random.default_rng(0)
    for size in (1, 2, 10, 100):
        for _ in range(2):
            given = generator.random(size) ** 3
            given[generator.random(size) < 0.1] = given[0]
            own = holm({str(place): float(value) for place, value in enumerate(given)})
            other = multipletests(given, method="holm")[1]
            assert [own[str(place)] for place in range(size)] == other.tolist()


@pytest.mark.parametrize("rows", [5, 50, 900, 3000, 10_000])
def test_mcnemars_test_is_that_of_statsmodels(rows: int) -> None:
    generator = np.random.default_rng(rows)
    for _ in range(20):
        one, other = (generator.random(rows) < generator.random() for _ in range(2))
        first, second = int((one & ~other).sum()), int((~one & other).sum())
        if first + second:
            exact = first + second <= EXACT_LIMIT
            found = other_mcnemar([[0, first], [second, 0]], exact=exact, correction=True)
            assert mcnemar(one, other) == found.pvalue


def test_the_interval_of_a_count_is_that_of_statsmodels() -> None:
    for count in range(300):
        low, high = confint_poisson(count, 1, method="exact-c", alpha=1 - CONFIDENCE)
        own = _poisson(Findings((), 1, Counter(detector=count), PER_ROWS))
        assert (own.low, own.high) == (tidy(float(low)), tidy(float(high)))


def test_a_quantile_of_replays_is_one_of_them_also_where_some_never_end() -> None:
    for size in (1, 2, 3, 20, 40, 60, 333):
        for endless in (0, 1, size // 2, size):
            rows = [math.inf] * endless + [float(place) for place in range(size - endless)]
            for share in (0.05, 0.5, 0.95, 1.0):
                below = sum(row <= quantile(rows, share) for row in rows)
                assert below >= share * size - 1e-9
                assert quantile(rows, share) == sorted(rows)[math.ceil(share * size - 1e-9) - 1]
    assert math.isnan(quantile([], 0.5))
