"""The evidence names that the library's stages give, so that a misspelt name is reported.

docs/policy.md shows the same table; tests/governance/test_policy.py compares the two.
"""

from typing import Final

from assay.documents import closest

KNOWN_METRICS: Final = {
    "evaluate": (
        "accuracy", "balanced_accuracy", "precision", "recall", "f1", "roc_auc",
        "average_precision", "log_loss", "brier_score", "matthews_corrcoef",
        "expected_calibration_error", "precision_macro", "recall_macro", "f1_macro",
        "f1_weighted",
        "r2", "mean_absolute_error", "root_mean_squared_error", "median_absolute_error",
        "mean_absolute_percentage_error", "safety_violations", "test_rows", "classes",
        "latency_p50_ms", "latency_p99_ms", "throughput_rows_per_s", "model_bytes",
        "min_slice_rows",
    ),
    "compare": (
        "production_exists", "regression_delta", "regression_delta_lower",
        "regression_delta_upper", "minimum_detectable_difference", "mcnemar_p_value",
        "regression_margin", "compared_rows", "left_out_rows", "min_slice_rows",
    ),
    "check_monitoring": (
        "monitoring_plan_complete", "time_to_detect_rows_p50", "time_to_detect_rows_p95",
        "faults_detected_share", "false_alarms_per_10k_rows",
    ),
    "validate_data": (
        "rows", "columns", "expectations", "failed_expectations", "duplicate_rows_share",
        "missing_share", "drifted_columns", "drifted_columns_share", "drift_score",
    ),
    "release_evidence": ("rollback_drill_age_days",),
    "resolve_production": ("attempts_on_test_data",),
}  # fmt: skip
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
"""Other words for the same, which spelling alone would not lead to the right name."""

BY_CLASS: Final = frozenset({"precision", "recall", "f1", "average_precision"})
"""Metrics of a binary task that mean something else when the other class is the positive one."""

_PREFIXES: Final = ("candidate_", "production_", "regression_delta_", "compared_")
_CUTOFF: Final = 0.8
"""Ratio of difflib from which a name counts as misspelt rather than as another."""
_MODEL_STAGES: Final = ("evaluate", "compare", "check_monitoring", "resolve_production")
_MODEL_NAMES: Final = frozenset(name for stage in _MODEL_STAGES for name in KNOWN_METRICS[stage])
_ALL_NAMES: Final = frozenset(name for names in KNOWN_METRICS.values() for name in names)


def is_by_class(metric: str) -> bool:
    """Whether a metric, or the one that it derives from, depends on which class is positive."""
    return metric in BY_CLASS or _base(metric) in BY_CLASS


def is_known(metric: str) -> bool:
    """Whether a stage of the library gives `metric`, or it derives from one that does."""
    return metric in _ALL_NAMES or _base(metric) in _ALL_NAMES


def is_about_model(metric: str) -> bool:
    """Whether `metric` can only be said of a model, and so never by evidence about data alone."""
    return metric in _MODEL_NAMES or (metric not in _ALL_NAMES and _base(metric) in _MODEL_NAMES)


def suggest(metric: str) -> str | None:
    """The known name that `metric` probably misspells; None when it is known or far from all."""
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
