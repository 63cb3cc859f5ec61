"""Two models on the same rows: differences, tests, and what a test set could have shown."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from assay.statistics.bootstrap import weight_blocks
from assay.statistics.metrics import LOWER_IS_BETTER, Array, Metric

POWER: Final = 0.8
"""The chance with which a difference of the minimum detectable size would have been found."""
EXACT_LIMIT: Final = 1000
"""Up to so many discordant pairs McNemar's test is exact."""


def regression(metric: str, candidate: Array, production: Array) -> Array:
    """How much worse the candidate is: production minus candidate, or the reverse for errors."""
    return candidate - production if metric in LOWER_IS_BETTER else production - candidate


def difference_distribution(
    name: str, candidate: Metric, production: Metric, rows: int, resamples: int, seed: int
) -> Array:
    """Bootstrap distribution of the regression; both models on the same resample each time."""
    blocks = weight_blocks(rows, resamples, seed)
    return np.concatenate([regression(name, candidate(w), production(w)) for w in blocks])


def mcnemar(candidate_right: NDArray[np.bool_], production_right: NDArray[np.bool_]) -> float:
    """Two-sided p-value of McNemar's test that both are right equally often.

    Exact binomial for few discordant pairs, else chi-square with Edwards' continuity correction
    (McNemar, Psychometrika 1947; Edwards, Psychometrika 1948).
    """
    only_candidate = int((candidate_right & ~production_right).sum())
    only_production = int((~candidate_right & production_right).sum())
    total = only_candidate + only_production
    if total == 0:
        return 1.0
    if total <= EXACT_LIMIT:
        return float(stats.binomtest(min(only_candidate, only_production), total, 0.5).pvalue)
    statistic = (abs(only_candidate - only_production) - 1) ** 2 / total
    return float(stats.chi2.sf(statistic, 1))


def minimum_detectable_difference(standard_error: float, confidence: float) -> float:
    """The smallest regression that this test set would show with 80% chance, two-sided.

    (z[1 - alpha/2] + z[power]) standard errors of the paired difference; for example Chow, Shao &
    Wang, Sample Size Calculations in Clinical Research, chapter 3.
    """
    alpha = 1 - confidence
    return float((stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(POWER)) * standard_error)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values corrected for being many (Holm, Scandinavian Journal of Statistics, 1979)."""
    ordered = sorted(p_values, key=lambda name: p_values[name])
    corrected: dict[str, float] = {}
    highest = 0.0
    for rank, name in enumerate(ordered):
        highest = max(highest, min(1.0, (len(ordered) - rank) * p_values[name]))
        corrected[name] = highest
    return corrected


def exceeds(values: Array, margin: float) -> float:
    """One-sided bootstrap p-value that the regression is no larger than `margin`.

    (1 + number of resamples at or below the margin) / (1 + resamples); the added one keeps it
    from ever being zero (Davison & Hinkley, 1997, section 4.2).
    """
    return float((1 + (values <= margin).sum()) / (1 + len(values)))
