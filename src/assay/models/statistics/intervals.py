"""Confidence intervals in closed form that do not collapse on small or perfect samples.

Each function takes what was seen and gives `Bounds`: a function from a confidence level in (0, 1)
to the two ends. docs/evaluation.md has the table of methods, and tests/models/test_coverage.py
simulates the coverage of each.

SciPy gives distributions, ranks and special functions. Where SciPy or statsmodels has an interval
of the same name, the docstring says how it differs, and tests/models/test_other_libraries.py
compares the two. Evidence has twelve digits (`assay.evidence.numbers.tidy`); a difference in the
last digit of a float still changes one in ten thousand of them, and so a digest. SciPy and
statsmodels do not have the intervals of Tango, Newcombe, Hall, and Zou and Donner.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Array = NDArray[np.float64]
Ends = tuple[float, float]
Bounds = Callable[[float], Ends]

_FEW_ROWS = 50
"""Up to so many rows two hits are few; with more, three are."""
_STEPS = 60
"""Halvings of an interval no longer than 2: exact to the last digit of a float."""


def normal_quantile(confidence: float) -> float:
    """The normal quantile z of a two-sided interval: 1.96 for 0.95."""
    return float(special.ndtri(0.5 + confidence / 2))


def proportion(hits: float, rows: float) -> Bounds:
    """A share of rows: Wilson's score interval; Clopper and Pearson's where all or none are hits.

    Wilson's interval covers the level on average over shares and row counts, but of one hit it
    says too little: a share of 0.18 hits in all rows would be covered 84 times in 100. So up to
    three hits have the end that is Poisson's (Wilson, JASA 1927; Clopper & Pearson, Biometrika
    1934; Brown, Cai & DasGupta, Statistical Science 2001, section 4.1.1).

    No library has the ends for few hits. Wilson's interval of `scipy.stats.binomtest` differs by
    up to 6e-15 of a value, that of statsmodels by 1.5e-14. At 0 and 1 the closed form is exact;
    `binomtest` looks for a root, and differs by up to 2e-10.

    Args:
        hits: From 0 to `rows`.
        rows: 0 gives the whole range, because nothing was seen.

    Returns:
        Bounds from 0 to 1.
    """

    def bounds(confidence: float) -> Ends:
        if rows <= 0:
            return 0.0, 1.0
        tail = (1 - confidence) / 2
        if hits <= 0:
            return 0.0, float(1 - tail ** (1 / rows))
        if hits >= rows:
            return float(tail ** (1 / rows)), 1.0
        z = normal_quantile(confidence)
        share = hits / rows
        middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
        half = z * np.sqrt(share * (1 - share) / rows + (z / (2 * rows)) ** 2) / (1 + z * z / rows)
        low, high = float(middle - half), float(middle + half)
        few = 2 if rows <= _FEW_ROWS else 3
        if hits <= few:
            low = min(low, float(special.gammaincinv(hits, 2 * tail) / rows))
        if rows - hits <= few:
            high = max(high, float(1 - special.gammaincinv(rows - hits, 2 * tail) / rows))
        return low, high

    return bounds


def paired_proportions(first_only: int, second_only: int, rows: int) -> Bounds:
    """The first share minus the second, of the same rows: Tango's score interval.

    It stays an interval where both agree on every row (Tango, Statistics in Medicine 1998). The
    variance under a difference is that of its restricted maximum likelihood estimate, a root of a
    quadratic. The ends are found by halving; `scipy.optimize.brentq` gives ends that differ by up
    to 2e-14 of a value.

    Args:
        first_only: Rows that only the first has right.
        second_only: Rows that only the second has right.
        rows: All of them; 0 gives the whole range.

    Returns:
        Bounds from -1 to 1.
    """
    seen = first_only - second_only

    def score(difference: float) -> float:
        b = (2 * rows - seen) * difference - first_only - second_only
        c = -second_only * difference * (1 - difference)
        share = (np.sqrt(max(b * b - 8 * rows * c, 0.0)) - b) / (4 * rows)
        variance = rows * (2 * share + difference * (1 - difference))
        return float((seen - rows * difference) / np.sqrt(max(variance, 1e-300)))

    def bounds(confidence: float) -> Ends:
        if rows <= 0:
            return -1.0, 1.0
        z = normal_quantile(confidence)
        middle = seen / rows
        low = _boundary(-1.0, middle, lambda value: score(value) > z)
        high = _boundary(1.0, middle, lambda value: score(value) < -z)
        return low, high

    return bounds


def area(value: float, positives: int, negatives: int, variance: float) -> Bounds:
    """The area under a ROC curve, also near 1 and for few rows.

    Newcombe's method 5 solves |area - A| = z sqrt(V(A)) with Hanley and McNeil's variance, which
    depends on the unknown area A and so never collapses (Newcombe, Statistics in Medicine 2006).
    Its V supposes a form of the scores; DeLong's estimate does not, but collapses (DeLong et al.,
    Biometrics 1988). V is scaled towards DeLong's, the more the more pairs are in wrong order:
    by (DeLong's / V(area)) to the power e / (e + 1), where e = min(positives, negatives) *
    min(area, 1 - area).

    Args:
        value: The area, from 0 to 1.
        positives: At least 1.
        negatives: At least 1.
        variance: DeLong's.

    Returns:
        Bounds from 0 to 1.
    """
    weight = (positives + negatives) / 2 - 1

    def hanley_mcneil(a: float) -> float:
        pairs = positives * negatives
        return a * (1 - a) * (1 + weight * (1 - a) / (2 - a) + weight * a / (1 + a)) / pairs

    wrong = min(positives, negatives) * min(value, 1 - value)
    here = hanley_mcneil(value)
    known = variance > 0 and here > 0
    scale = (variance / here) ** (wrong / (wrong + 1)) if known else 1.0

    def bounds(confidence: float) -> Ends:
        z = normal_quantile(confidence)

        def outside(a: float) -> bool:
            return bool(abs(value - a) > z * np.sqrt(scale * hanley_mcneil(a)))

        return _boundary(0.0, value, outside), _boundary(1.0, value, outside)

    return bounds


def mean(value: float, influence: Array, scale: float) -> Bounds | None:
    """A mean, or what behaves like one: Student's t with Hall's correction for skewness.

    The cubic transformation of Hall (JRSS B 1992) gives, without resampling, what the bootstrap-t
    gives: ends that follow the skewness of losses. So that a sample without spread does not give
    an interval without width, its variance is at least what half a row more at `scale` on either
    side would have, as Agresti and Min add for proportions (Statistics in Medicine 2005); where
    there is spread, a quarter of that is added, for what few rows have not shown yet.

    Args:
        value: The estimate.
        influence: What each row adds, times the number of rows, minus the estimate: of mean zero.
        scale: The most that one row could add, in the units of `influence`.

    Returns:
        None where there are no rows, nothing is known of the scale, or squares are too large for a
        float.
    """
    rows = len(influence)
    if rows == 0 or not np.isfinite(scale):
        return None
    seen = float(np.mean(influence**2)) * rows / max(rows - 1, 1)
    try:
        variance = max(seen + scale**2 / (4 * rows), scale**2 / rows)
    except OverflowError:
        return None
    if not (np.isfinite(variance) and variance > 0):
        return None
    spread = float(np.sqrt(variance))
    skewness = float(np.mean((influence / spread) ** 3))

    def end(quantile: float) -> float:
        bend = skewness / 3
        shifted = quantile - skewness / (6 * rows)
        moved = (np.cbrt(1 + 3 * bend * shifted) - 1) / bend if abs(bend) > 1e-9 else shifted  # noqa: PLR2004 - no skewness
        return float(value - spread * moved)

    def bounds(confidence: float) -> Ends:
        t = float(stats.t.ppf(0.5 + confidence / 2, max(rows - 1, 1)) / np.sqrt(rows))
        return end(t), end(-t)

    return bounds


def median(values: Array) -> Bounds:
    """The median: two of the sorted values, as many from either end as the binomial allows.

    Exact whatever the distribution; conservative, because values are few (David & Nagaraja, Order
    Statistics, section 7.1). Too few values for the level give an infinite end.

    `scipy.stats.quantile_test` gives the same ends, but at levels such as 0.5 and 0.75, where a
    tail is exactly a probability of the binomial and it says that the values are too few. It sorts
    for each level, which a p-value asks for 30 of.
    """
    ordered = np.sort(values)
    rows = len(ordered)

    def bounds(confidence: float) -> Ends:
        # The largest k with P(fewer than k of `rows` fair coins) at most the tail.
        place = int(stats.binom.ppf((1 - confidence) / 2, rows, 0.5))
        if stats.binom.cdf(place, rows, 0.5) > (1 - confidence) / 2:
            place -= 1
        if place < 0:
            return -np.inf, np.inf
        return float(ordered[place]), float(ordered[rows - 1 - place])

    return bounds


def square_and_add(parts: Sequence[tuple[float, float, Bounds]]) -> Bounds:
    """A sum of independent estimates: the distances of their ends, squared and added.

    The method of variance estimates recovery (Newcombe, Statistics in Medicine 1998; Zou & Donner,
    Statistics in Medicine 2008).

    Args:
        parts: Weight, estimate and bounds of each.
    """

    def bounds(confidence: float) -> Ends:
        total, below, above = 0.0, 0.0, 0.0
        for weight, value, own in parts:
            low, high = own(confidence)
            if weight < 0:
                low, high = high, low
            total += weight * value
            below += np.float64(weight * (value - low)) ** 2
            above += np.float64(weight * (high - value)) ** 2
        return float(total - np.sqrt(below)), float(total + np.sqrt(above))

    return bounds


def drawn(values: Array) -> Bounds | None:
    """The quantiles of draws; None when a part of them is not defined."""
    if len(values) == 0 or not np.isfinite(values).all():
        return None

    def bounds(confidence: float) -> Ends:
        tail = (1 - confidence) / 2
        low, high = np.quantile(values, [tail, 1 - tail])
        return float(low), float(high)

    return bounds


def transformed(bounds: Bounds, change: Callable[[float], float]) -> Bounds:
    """The bounds of an increasing function of the estimate."""
    return lambda confidence: (change(bounds(confidence)[0]), change(bounds(confidence)[1]))


def clipped(bounds: Bounds, low: float, high: float) -> Bounds:
    """The bounds within the values that there can be, from `low` to `high`."""

    def within(confidence: float) -> Ends:
        one, other = bounds(confidence)
        return min(max(one, low), high), min(max(other, low), high)

    return within


def p_value(bounds: Bounds, value: float, limit: float) -> float:
    """One-sided p-value that the truth is at most `limit`: the level whose lower end meets it.

    Args:
        bounds: Of the estimate.
        value: The estimate.
        limit: What the truth is compared with.

    Returns:
        1 where the estimate itself is at most `limit`; never 0.
    """
    if value <= limit:
        return 1.0
    low, high = 1e-9, 0.5
    for _ in range(_STEPS // 2):
        middle = float(np.sqrt(low * high))
        if bounds(1 - 2 * middle)[0] > limit:
            high = middle
        else:
            low = middle
    return high


def _boundary(outer: float, inner: float, outside: Callable[[float], bool]) -> float:
    """Between a point outside and one inside, where it changes.

    Args:
        outer: The end of the range.
        inner: The estimate.
        outside: Whether a point is outside of the interval.

    Returns:
        `outer` if that is inside too.
    """
    if not outside(outer):
        return outer
    for _ in range(_STEPS):
        middle = (outer + inner) / 2
        outer, inner = (middle, inner) if outside(middle) else (outer, middle)
    return (outer + inner) / 2
