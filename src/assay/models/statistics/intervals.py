"""Closed-form confidence intervals that have a positive width for small or perfect samples.

Each function takes sample statistics and returns `Bounds`: a function from a confidence level in
(0, 1) to the two ends. docs/evaluation.md has the table of methods, and
tests/models/test_coverage.py simulates the coverage of each.

SciPy provides distributions, ranks and special functions. If SciPy or statsmodels has an interval
of the same name, the docstring describes the difference, and tests/models/test_other_libraries.py
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
"""Up to this number of rows, at most two hits are few; with more rows, three."""
_STEPS = 60
"""Number of bisections of an interval of length 2, for the precision of a float."""


def normal_quantile(confidence: float) -> float:
    """The normal quantile z of a two-sided interval: 1.96 for 0.95."""
    return float(special.ndtri(0.5 + confidence / 2))


def proportion(hits: float, rows: float) -> Bounds:
    """A share of rows: Wilson's score interval; Clopper and Pearson's if all or none are hits.

    Wilson's interval has the nominal coverage on average over shares and row counts, but not for a
    single hit: the coverage would be 84% for an expected number of 0.18 hits. Up to three hits
    therefore use the end of the Poisson interval (Wilson, JASA 1927; Clopper & Pearson, Biometrika
    1934; Brown, Cai & DasGupta, Statistical Science 2001, section 4.1.1).

    No library has the ends for few hits. Wilson's interval of `scipy.stats.binomtest` differs by
    up to 6e-15 of a value, that of statsmodels by 1.5e-14. At 0 and 1 the closed form is exact;
    `binomtest` looks for a root, and differs by up to 2e-10.

    Args:
        hits: From 0 to `rows`.
        rows: 0 gives the whole range.

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
    """The difference of two shares of the same rows: Tango's score interval.

    Its width is positive even if both agree on every row (Tango, Statistics in Medicine 1998). The
    variance is that of the restricted maximum likelihood estimate, a root of a quadratic equation.
    The ends are computed by bisection; those of `scipy.optimize.brentq` differ by up to 2e-14 of a
    value.

    Args:
        first_only: Number of rows that only the first model predicts correctly.
        second_only: Number of rows that only the second model predicts correctly.
        rows: Number of all rows; 0 gives the whole range.

    Returns:
        Bounds from -1 to 1, of the first share minus the second.
    """
    excess = first_only - second_only

    def score(difference: float) -> float:
        b = (2 * rows - excess) * difference - first_only - second_only
        c = -second_only * difference * (1 - difference)
        share = (np.sqrt(max(b * b - 8 * rows * c, 0.0)) - b) / (4 * rows)
        variance = rows * (2 * share + difference * (1 - difference))
        return float((excess - rows * difference) / np.sqrt(max(variance, 1e-300)))

    def bounds(confidence: float) -> Ends:
        if rows <= 0:
            return -1.0, 1.0
        z = normal_quantile(confidence)
        middle = excess / rows
        low = _boundary(-1.0, middle, lambda value: score(value) > z)
        high = _boundary(1.0, middle, lambda value: score(value) < -z)
        return low, high

    return bounds


def area(value: float, positives: int, negatives: int, variance: float) -> Bounds:
    """The area under a ROC curve, valid near 1 and for few rows.

    Newcombe's method 5 solves |area - A| = z sqrt(V(A)) with Hanley and McNeil's variance, which
    depends on the unknown area A and is therefore never 0 (Newcombe, Statistics in Medicine 2006).
    V assumes a distribution of the scores; DeLong's estimate does not, but may be 0 (DeLong et al.,
    Biometrics 1988). V is scaled towards DeLong's estimate depending on the number of pairs in
    wrong order: by (DeLong's / V(area)) to the power e / (e + 1), where e = min(positives,
    negatives) * min(area, 1 - area).

    Args:
        value: The area, from 0 to 1.
        positives: Number of positive rows, at least 1.
        negatives: Number of negative rows, at least 1.
        variance: DeLong's estimate of the variance.

    Returns:
        Bounds from 0 to 1.
    """
    weight = (positives + negatives) / 2 - 1

    def hanley_mcneil(a: float) -> float:
        pairs = positives * negatives
        return a * (1 - a) * (1 + weight * (1 - a) / (2 - a) + weight * a / (1 + a)) / pairs

    wrong = min(positives, negatives) * min(value, 1 - value)
    assumed = hanley_mcneil(value)
    positive = variance > 0 and assumed > 0
    scale = (variance / assumed) ** (wrong / (wrong + 1)) if positive else 1.0

    def bounds(confidence: float) -> Ends:
        z = normal_quantile(confidence)

        def outside(a: float) -> bool:
            return bool(abs(value - a) > z * np.sqrt(scale * hanley_mcneil(a)))

        return _boundary(0.0, value, outside), _boundary(1.0, value, outside)

    return bounds


def mean(value: float, influence: Array, scale: float) -> Bounds | None:
    """A mean, or a similar statistic: Student's t with Hall's correction for skewness.

    The cubic transformation of Hall (JRSS B 1992) corrects for the skewness of losses like the
    bootstrap-t, without resampling. The variance is at least that of half an additional row at
    `scale` on either side, as Agresti and Min propose for proportions (Statistics in Medicine
    2005), so that samples without spread have a positive width; otherwise a quarter of it is added,
    because few rows may not show the whole spread.

    Args:
        value: The estimate.
        influence: Contribution of each row times the number of rows, minus the estimate; its mean
            is 0.
        scale: Maximum contribution of a row, in the units of `influence`.

    Returns:
        The bounds; None without rows, if the scale is not finite, or if squares overflow.
    """
    rows = len(influence)
    if rows == 0 or not np.isfinite(scale):
        return None
    observed = float(np.mean(influence**2)) * rows / max(rows - 1, 1)
    try:
        variance = max(observed + scale**2 / (4 * rows), scale**2 / rows)
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
    """The median: two order statistics, selected by the binomial distribution.

    Valid for every distribution, and conservative, because values are discrete (David & Nagaraja,
    Order Statistics, section 7.1). Too few values for the level give infinite ends.

    `scipy.stats.quantile_test` gives the same ends, except at levels such as 0.5 and 0.75, at which
    a tail is exactly a binomial probability and it reports too few values. It sorts the values for
    each level; a p-value needs 30 levels.
    """
    ordered = np.sort(values)
    rows = len(ordered)

    def bounds(confidence: float) -> Ends:
        # The largest k with P(fewer than k of `rows` fair coins) at most the tail.
        index = int(stats.binom.ppf((1 - confidence) / 2, rows, 0.5))
        if stats.binom.cdf(index, rows, 0.5) > (1 - confidence) / 2:
            index -= 1
        if index < 0:
            return -np.inf, np.inf
        return float(ordered[index]), float(ordered[rows - 1 - index])

    return bounds


def square_and_add(parts: Sequence[tuple[float, float, Bounds]]) -> Bounds:
    """A weighted sum of independent estimates, from the squared distances of their ends.

    The method of variance estimates recovery (Newcombe, Statistics in Medicine 1998; Zou & Donner,
    Statistics in Medicine 2008).

    Args:
        parts: Weight, estimate and bounds of each.
    """

    def bounds(confidence: float) -> Ends:
        total, below, above = 0.0, 0.0, 0.0
        for weight, value, part in parts:
            low, high = part(confidence)
            if weight < 0:
                low, high = high, low
            total += weight * value
            below += np.float64(weight * (value - low)) ** 2
            above += np.float64(weight * (high - value)) ** 2
        return float(total - np.sqrt(below)), float(total + np.sqrt(above))

    return bounds


def drawn(values: Array) -> Bounds | None:
    """The quantiles of draws; None if some of them are not finite."""
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
    """Clip both ends to a range.

    Args:
        bounds: The bounds.
        low: Minimum of the range.
        high: Maximum of the range.

    Returns:
        The clipped bounds.
    """

    def within(confidence: float) -> Ends:
        left, right = bounds(confidence)
        return min(max(left, low), high), min(max(right, low), high)

    return within


def p_value(bounds: Bounds, value: float, limit: float) -> float:
    """One-sided p-value of the hypothesis that the true value is at most `limit`.

    It is the level at which the lower end is equal to `limit`.

    Args:
        bounds: The bounds of the estimate.
        value: The estimate.
        limit: The limit.

    Returns:
        1 if the estimate is at most `limit`; never 0.
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
    """Bisect between a point outside of the interval and one inside.

    Args:
        outer: The end of the range.
        inner: The estimate.
        outside: Whether a point is outside of the interval.

    Returns:
        The boundary; `outer` if that is inside too.
    """
    if not outside(outer):
        return outer
    for _ in range(_STEPS):
        middle = (outer + inner) / 2
        outer, inner = (middle, inner) if outside(middle) else (outer, middle)
    return (outer + inner) / 2
