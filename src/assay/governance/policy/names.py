"""The evidence names that the library's stages give, so that a misspelt name is reported.

`stages.json` is generated from the stages' `stage.yaml`, and so is the table in docs/policy.md.
"""

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from assay.documents import closest


@dataclass(frozen=True, slots=True)
class Requirement:
    """An option of a run without which a stage's evidence is missing."""

    option: str
    names: tuple[str, ...]
    missing: str
    """The message."""


def _stages() -> dict[str, dict[str, Any]]:
    """The evidence of each of the library's stages, from `stage.yaml`."""
    text = (
        resources.files("assay.governance.policy")
        .joinpath("stages.json")
        .read_text(encoding="utf-8")
    )
    declared: dict[str, dict[str, Any]] = json.loads(text)
    return declared


_STAGES: Final = _stages()
STAGES: Final = tuple(_STAGES)
"""The library's stages that give evidence."""
REQUIREMENTS: Final = tuple(
    Requirement(item["option"], tuple(item["names"]), item["missing"])
    for stage in _STAGES.values()
    for item in stage["requires"]
)
KNOWN_METRICS: Final = {
    name: tuple(stage["names"]) for name, stage in _STAGES.items() if stage["names"]
}
"""By the stage that gives them. Derived names: `<metric>_gap` (largest minus smallest value over
slices), `candidate_<metric>`, `production_<metric>`, `regression_delta_<metric>` and
`compared_<metric>`. Any other name is a user's own."""

SYNONYMS: Final = {
    "auc": "roc_auc",
    "auroc": "roc_auc",
    "pr_auc": "average_precision",
    "mcc": "matthews_corrcoef",
    "ece": "expected_calibration_error",
    "brier": "brier_score",
    "mae": "mean_absolute_error",
    "rmse": "root_mean_squared_error",
    "mape": "mean_absolute_percentage_error",
    "macro_f1": "f1_macro",
    "weighted_f1": "f1_weighted",
    "f1_score": "f1",
    "r2_score": "r2",
    "sensitivity": "recall",
}
"""Synonyms, for suggestions that the spelling alone would not give."""

BY_CLASS: Final = frozenset({"precision", "recall", "f1", "average_precision"})
"""Metrics of a binary task that depend on which class is positive."""

_PREFIXES: Final = ("candidate_", "production_", "regression_delta_", "compared_")
_CUTOFF: Final = 0.8
"""Ratio of difflib from which a name counts as misspelt rather than as another."""
_MODEL_NAMES: Final = frozenset(
    name for stage in _STAGES.values() if stage["about"] == "model" for name in stage["names"]
)
_ALL_NAMES: Final = frozenset(name for names in KNOWN_METRICS.values() for name in names)


def is_by_class(metric: str) -> bool:
    """Whether a metric, or the one that it derives from, depends on which class is positive."""
    return metric in BY_CLASS or _base(metric) in BY_CLASS


def is_known(metric: str) -> bool:
    """Whether a stage of the library gives `metric`, or it derives from one that does."""
    return metric in _ALL_NAMES or _base(metric) in _ALL_NAMES


def is_about_model(metric: str) -> bool:
    """Whether `metric` is only defined for models, not for data alone."""
    return metric in _MODEL_NAMES or (metric not in _ALL_NAMES and _base(metric) in _MODEL_NAMES)


def suggest(metric: str) -> str | None:
    """The known name that `metric` probably misspells; None if it is known or not similar."""
    if is_known(metric):
        return None
    lowered = metric.lower()
    if lowered in SYNONYMS:
        return SYNONYMS[lowered]
    derived = (f"{name}_gap" for name in KNOWN_METRICS["evaluate"])
    return closest(lowered, (*_ALL_NAMES, *derived), _CUTOFF)


def _base(metric: str) -> str:
    for prefix in _PREFIXES:
        metric = metric.removeprefix(prefix)
    return metric.removesuffix("_gap")
