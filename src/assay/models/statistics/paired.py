"""Tests of two models on the same rows, and the correction for multiple tests."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

EXACT_LIMIT: Final = 1000
"""Maximum number of discordant pairs for the exact test."""


def mcnemar(candidate_right: NDArray[np.bool_], production_right: NDArray[np.bool_]) -> float:
    """Two-sided p-value of McNemar's test that both models have the same accuracy.

    Exact binomial for few discordant pairs, else chi-squared with Edwards' continuity correction
    (McNemar, Psychometrika 1947; Edwards, Psychometrika 1948).

    As `statsmodels.stats.contingency_tables.mcnemar`, to the last digit. Importing that takes 0.4 s
    more than SciPy in each comparison, and statsmodels is in no image that compares.
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


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Correct p-values for multiple tests (Holm, Scandinavian Journal of Statistics, 1979).

    Equal to `statsmodels.stats.multitest.multipletests` to the last digit; see `mcnemar`. SciPy has
    no such correction.
    """
    ordered = sorted(p_values, key=lambda name: p_values[name])
    corrected: dict[str, float] = {}
    highest = 0.0
    for rank, name in enumerate(ordered):
        highest = max(highest, min(1.0, (len(ordered) - rank) * p_values[name]))
        corrected[name] = highest
    return corrected
