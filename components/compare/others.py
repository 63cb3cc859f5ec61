"""The regression by metrics besides the primary one.

Whoever chooses the metric that models are compared by could choose one that says little, such as
the recall of a model that always says yes. A policy may ask for each of these as well:
`regression_delta_<metric>`, with its interval. `compared_<metric>` is 1 where production has the
metric, and 0 where it has not or nothing is in production, so that a rule can depend on it.
"""

import math
from typing import TYPE_CHECKING, Final

from assay.evidence import Interval
from assay.statistics.bootstrap import distribution, estimate, interval, tidy
from assay.statistics.metrics import Array, Metric, Predictions, metrics
from assay.statistics.paired import regression

if TYPE_CHECKING:
    from assay.components.compare.difference import Settings

OTHERS: Final = ("accuracy", "balanced_accuracy", "roc_auc", "brier_score", "r2")
"""Shares without a unit, so that one margin fits every table."""


def none_compared() -> dict[str, float | None]:
    """The evidence when nothing is in production."""
    return {f"compared_{name}": 0.0 for name in OTHERS}


def compare_others(
    ours: Predictions, theirs: Predictions, primary: str, settings: "Settings"
) -> tuple[dict[str, float | None], dict[str, Interval], dict[str, str]]:
    """Values, intervals and notes, of the primary metric too, so that it has a name.

    A metric that production has and the candidate has not has no value, which fails the rules
    that ask for it.
    """
    own, others = metrics(ours), metrics(theirs)
    values: dict[str, float | None] = {}
    intervals: dict[str, Interval] = {}
    notes: dict[str, str] = {}
    both: dict[str, Metric] = {}
    for name in dict.fromkeys((primary, *OTHERS)):
        values[f"compared_{name}"] = float(name in others)
        if name in others and name not in own:
            values[f"regression_delta_{name}"] = None
            notes[f"regression_delta_{name}"] = f"production has {name}, the candidate has not"
        elif name in others:
            both[name] = _difference(name, own[name], others[name])
    rows = len(ours.truth)
    spread = distribution(both, rows, settings.resamples, settings.seed)
    for name, value in estimate(both, rows).items():
        full = f"regression_delta_{name}"
        values[full] = tidy(value) if math.isfinite(value) else None
        if values[full] is None:
            notes[full] = f"{name} is not defined on these rows"
        elif (found := interval(spread[name], value, settings.confidence)) is not None:
            intervals[full] = found
    return values, intervals, notes


def _difference(name: str, candidate: Metric, production: Metric) -> Metric:
    def difference(weights: Array) -> Array:
        return regression(name, candidate(weights), production(weights))

    return difference
