"""The percentile bootstrap (Efron & Tibshirani, 1993, chapter 13) over row weights."""

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from assay.evidence import Interval
from assay.statistics.metrics import Array, Metric

BLOCK_ELEMENTS: Final = 4_000_000
"""Weights held at a time; bounds memory at about 100 MB whatever the number of rows."""
MAX_UNDEFINED_SHARE: Final = 0.05
"""With more resamples than this in which a metric is undefined, it has no interval."""

MIN_RESAMPLES: Final = 100
"""Fewer say too little about the tails of a distribution."""


def settings_problems(confidence: float, resamples: int, min_slice_rows: int) -> list[str]:
    """Everything wrong with what a user asks of intervals and slices."""
    problems = []
    if not 0 < confidence < 1:
        problems.append(f"confidence is {confidence}; give a number between 0 and 1")
    if resamples < MIN_RESAMPLES:
        problems.append(f"resamples is {resamples}; give at least {MIN_RESAMPLES}")
    if min_slice_rows < 1:
        problems.append(f"min_slice_rows is {min_slice_rows}; give at least 1")
    return problems


def weight_blocks(rows: int, resamples: int, seed: int) -> Iterator[Array]:
    """Resampling counts, in blocks of shape (some resamples, rows); the same for the same seed."""
    generator = np.random.default_rng(seed)
    block = max(1, BLOCK_ELEMENTS // rows)
    for begin in range(0, resamples, block):
        size = min(block, resamples - begin)
        drawn = generator.integers(0, rows, size=(size, rows))
        flat = drawn + rows * np.arange(size)[:, None]
        yield np.bincount(flat.ravel(), minlength=size * rows).reshape(size, rows).astype(float)


def estimate(metrics: Mapping[str, Metric], rows: int) -> dict[str, float]:
    """Each metric on the rows as they are."""
    ones = np.ones((1, rows))
    return {name: tidy(float(metric(ones)[0])) for name, metric in metrics.items()}


def distribution(
    metrics: Mapping[str, Metric], rows: int, resamples: int, seed: int
) -> dict[str, Array]:
    """Each metric on each resample; one set of resamples for all of them."""
    found: dict[str, list[Array]] = {name: [] for name in metrics}
    for weights in weight_blocks(rows, resamples, seed):
        for name, metric in metrics.items():
            found[name].append(metric(weights))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def interval(values: Array, estimated: float, confidence: float) -> Interval | None:
    """The percentile interval, widened where needed to hold the estimate; None if undefined.

    Args:
        values: Bootstrap distribution, shape (resamples,).
        estimated: The value on the rows as they are.
        confidence: In (0, 1).
    """
    defined = values[np.isfinite(values)]
    if not np.isfinite(estimated) or len(defined) < (1 - MAX_UNDEFINED_SHARE) * len(values):
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    # The bootstrap of a biased metric, such as calibration error, can miss its own estimate.
    return Interval(tidy(min(float(low), estimated)), tidy(max(float(high), estimated)), confidence)


def tidy(value: float) -> float:
    """Twelve significant digits: beyond them, results depend on the processor's instructions."""
    return float(f"{value:.12g}")
