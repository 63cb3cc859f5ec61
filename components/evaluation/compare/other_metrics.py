"""The regression by metrics besides the primary one.

A primary metric can be uninformative, such as the recall of a model that always predicts the
positive class. A policy may ask for each of these as well: `regression_delta_<metric>`, with its
interval. `compared_<metric>` is 1 if the production model has the metric, and 0 if it does not or
no model is in production, so that a rule can depend on it.
"""

import math
from typing import Final

from assay.components.compare.settings import Settings
from assay.evidence.format import Interval
from assay.evidence.numbers import tidy
from assay.models.statistics.estimates import estimate
from assay.models.statistics.metrics import Predictions, metrics
from assay.models.statistics.uncertainty import interval, paired, regression

OTHERS: Final = ("accuracy", "balanced_accuracy", "roc_auc", "brier_score", "r2")
"""Shares without a unit, so that one margin fits every table."""


def none_compared() -> dict[str, float | None]:
    """The evidence when no model is in production."""
    return {f"compared_{name}": 0.0 for name in OTHERS}


def names_of(primary: str) -> list[str]:
    """The evidence that `compare_others` gives, by name."""
    every = dict.fromkeys((primary, *OTHERS))
    return [f"{prefix}_{name}" for name in every for prefix in ("compared", "regression_delta")]


def compare_others(
    ours: Predictions, theirs: Predictions, primary: str, settings: Settings, *, same: bool
) -> tuple[dict[str, float | None], dict[str, Interval], dict[str, str]]:
    """Values, intervals and notes, of the primary metric too, so that it has a name.

    A metric that only the production model has gets no value, which fails the rules that ask for
    it.

    Args:
        ours: Predictions of the candidate.
        theirs: Predictions of the production model.
        primary: The primary metric.
        settings: The step's parameters.
        same: Whether both are the same model.
    """
    own, others = metrics(ours), metrics(theirs)
    rows = len(ours.truth)
    values: dict[str, float | None] = {}
    intervals: dict[str, Interval] = {}
    notes: dict[str, str] = {}
    for name in dict.fromkeys((primary, *OTHERS)):
        full = f"regression_delta_{name}"
        values[f"compared_{name}"] = float(name in others)
        if name not in others:
            continue
        if name not in own:
            values[full] = None
            notes[full] = f"production has {name}, the candidate has not"
            continue
        both = (estimate({name: found[name]}, rows)[name] for found in (own, others))
        value = tidy(regression(name, *both))
        if not math.isfinite(value):
            values[full] = None
            notes[full] = f"{name} is not defined on these rows"
            continue
        values[full] = value
        if same:
            intervals[full] = Interval(0.0, 0.0, settings.confidence)
            continue
        bounds = paired(name, ours, theirs, settings.resamples, settings.seed)
        limits = (-math.inf, math.inf)
        if (found := interval(bounds, value, settings.confidence, limits)) is not None:
            intervals[full] = found
    return values, intervals, notes
