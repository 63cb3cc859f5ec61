"""The intervals of metrics beside the metrics themselves: `make bench`.

250,000 rows, all of them and 20 slices, all metrics of a task. Each trial has predictions of its
own, so that nothing is kept from one to the next; the smallest of three counts, in processor
seconds. An interval is computed after its metric, as `evaluate` and `compare` do.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from assay.evidence.format import Interval
from assay.models.statistics.estimates import estimate
from assay.models.statistics.metrics import Predictions, metrics
from assay.models.statistics.uncertainty import interval, paired, single, value_range

from measured import Row, keep

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

ROWS, SLICES, TRIALS = 250_000, 20, 3
MOST = 3.0
"""Intervals may take so many times the seconds of the metrics."""
RESAMPLES = {"one model": 1000, "difference of two": 2000}
"""As the steps' defaults are."""
ANY = (-np.inf, np.inf)


def binary(noise: float) -> Predictions:
    rng = np.random.default_rng(0)
    truth = rng.random(ROWS) < 0.3
    score = rng.normal(1.5 * truth, 1) + np.random.default_rng(1).normal(0, noise, ROWS)
    score = 1 / (1 + np.exp(1 - score))
    names = np.array(["no", "yes"], dtype=object)
    said = names[(score > 0.5).astype(int)]
    both = np.stack([1 - score, score], axis=1)
    return Predictions("binary", names[truth.astype(int)], said, both, ("no", "yes"), "yes")


def multiclass(noise: float) -> Predictions:
    rng = np.random.default_rng(0)
    names = np.array([f"class {place}" for place in range(10)], dtype=object)
    truth = rng.integers(0, 10, ROWS)
    scores = np.random.default_rng(1).normal(0, 1 + noise, (ROWS, 10))
    scores[np.arange(ROWS), truth] += 2
    chances = np.exp(scores)
    chances /= chances.sum(axis=1, keepdims=True)
    said = names[chances.argmax(axis=1)]
    return Predictions("multiclass", names[truth], said, chances, tuple(names), None)


def regression(noise: float) -> Predictions:
    truth = np.random.default_rng(0).normal(10, 3, ROWS)
    said = truth + np.random.default_rng(1).normal(0, 1 + noise, ROWS)
    return Predictions("regression", truth, said, None, (), None)


def parts(data: Predictions) -> list[Predictions]:
    """All rows, and the rows of each slice."""
    group = np.random.default_rng(2).integers(0, SLICES, ROWS)
    return [data, *(data.take(np.flatnonzero(group == number)) for number in range(SLICES))]


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds, and the result."""
    begin = time.process_time()
    done = work()
    return time.process_time() - begin, done


def one_trial(make: Callable[[float], Predictions]) -> dict[str, tuple[float, float]]:
    """By what was computed: the seconds of the intervals, and of the metrics."""
    models = parts(make(0.0)), parts(make(0.1))
    took, beside = dict.fromkeys(RESAMPLES, 0.0), 0.0
    for ours, theirs in zip(*models, strict=True):
        for name in metrics(ours):
            spent, values = seconds(partial(point, name, (ours, theirs)))
            beside += spent
            for what, limits in (("one model", value_range(name)), ("difference of two", ANY)):
                both = (ours, theirs) if limits is ANY else (ours,)
                spent, shown = seconds(partial(shown_interval, name, both, values[0], what, limits))
                assert shown is not None, name
                took[what] += spent
    return {what: (took[what], beside / 2 if what == "one model" else beside) for what in RESAMPLES}


def point(name: str, models: tuple[Predictions, ...]) -> list[float]:
    """The metric of each model."""
    return [estimate({name: metrics(data)[name]}, len(data.truth))[name] for data in models]


def shown_interval(
    name: str,
    models: tuple[Predictions, ...],
    value: float,
    what: str,
    limits: tuple[float, float],
) -> Interval | None:
    """The interval of a metric of one model, or of the difference of two."""
    of = (
        single(name, *models, value, RESAMPLES[what], 0)
        if len(models) == 1
        else paired(name, *models, RESAMPLES[what], 0)
    )
    return interval(of, value, 0.95, limits)


def test_intervals_beside_the_metrics_themselves() -> None:
    lines = []
    for make in (binary, multiclass, regression):
        trials = [one_trial(make) for _ in range(TRIALS)]
        for what in RESAMPLES:
            took, beside = (min(trial[what][place] for trial in trials) for place in range(2))
            name = f"{make.__name__}, {what}"
            lines.append(Row(name, took, "s", beside, took / beside, f"at most {MOST}"))
    title = f"Intervals beside their metrics: {ROWS:,} rows, {SLICES} slices, processor seconds"
    keep("intervals", title, lines)
    for line in lines:
        assert line.ratio is not None
        assert line.ratio <= MOST, line.name
