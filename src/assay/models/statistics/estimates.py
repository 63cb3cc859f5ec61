"""Estimates of metrics, and checks of the parameters of intervals and slices."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from assay.evidence.numbers import tidy
from assay.models.build import MAX_SEED
from assay.models.statistics.metrics import Metric

MIN_RESAMPLES: Final = 100
"""Minimum number of resamples to estimate the tails of a distribution."""


def settings_problems(
    confidence: float, resamples: int, min_slice_rows: int, seed: int
) -> list[str]:
    """Check the parameters of intervals and slices.

    Args:
        confidence: Confidence level.
        resamples: Number of resamples.
        min_slice_rows: Minimum number of rows of a slice.
        seed: Seed of random generators.

    Returns:
        One line for each value that is out of range.
    """
    problems = []
    if not 0 < confidence < 1:
        problems.append(f"confidence is {confidence}; give a number between 0 and 1")
    if resamples < MIN_RESAMPLES:
        problems.append(f"resamples is {resamples}; give at least {MIN_RESAMPLES}")
    if min_slice_rows < 1:
        problems.append(f"min_slice_rows is {min_slice_rows}; give at least 1")
    if not 0 <= seed <= MAX_SEED:
        problems.append(f"seed is {seed}; give a number from 0 to {MAX_SEED}")
    return problems


@np.errstate(over="ignore", invalid="ignore")
def estimate(metrics: Mapping[str, Metric], rows: int) -> dict[str, float]:
    """Each metric with weights of 1; infinite or NaN if numbers are too large."""
    ones = np.ones((1, rows))
    return {name: tidy(float(metric(ones)[0])) for name, metric in metrics.items()}
