"""Intervals that are corrected for several models tried on the same test rows.

By Bonferroni's inequality, of k intervals at confidence 1 - a/k all cover with at least 1 - a
(Bonferroni 1936; Dunn 1961, "Multiple comparisons among means"). The evidence has only the interval
at 1 - a, so it is widened around the value: each side is multiplied by ln(2k/a) / ln(2/a). This is
the factor for a bound with an exponential tail, such as the exact bound of a proportion near 0 or
1; the tail of a normal distribution decreases faster, so there the interval becomes wider than
necessary.
"""

import math
from typing import Final

from assay.evidence.format import Interval

ATTEMPTS: Final = "attempts_on_test_data"


def widened(interval: Interval, value: float, attempts: float) -> Interval:
    """The interval corrected for `attempts` models, including its own.

    Args:
        interval: At confidence 1 - a.
        value: The estimate that it is about, within it.
        attempts: At least 1; 1 changes nothing.

    Returns:
        An interval of the same confidence over all attempts.
    """
    if attempts <= 1:
        return interval
    alpha = 1 - interval.confidence
    factor = math.log(2 * attempts / alpha) / math.log(2 / alpha)
    return Interval(
        value - (value - interval.low) * factor,
        value + (interval.high - value) * factor,
        1 - alpha / attempts,
    )
