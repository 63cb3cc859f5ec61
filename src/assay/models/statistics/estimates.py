"""Metrics on the rows as they are, and the parameters that intervals and slices take."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from assay.evidence.numbers import tidy
from assay.models.build import MAX_SEED
from assay.models.statistics.metrics import Metric

MIN_RESAMPLES: Final = 100
"""Fewer say too little about the tails of a distribution."""


def settings_problems(
    confidence: float, resamples: int, min_slice_rows: int, seed: int
) -> list[str]:
    """Everything wrong with what a user asks of intervals and slices."""
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
    """Each metric on the rows as they are; infinite or NaN where numbers are too large for it."""
    ones = np.ones((1, rows))
    return {name: tidy(float(metric(ones)[0])) for name, metric in metrics.items()}
