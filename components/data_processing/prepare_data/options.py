"""The options of a run: what the run form shows as one object, each with its default."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Option:
    """An option; its type is that of its default."""

    default: Any
    meaning: str


OPTIONS: Final[Mapping[str, Option]] = {
    "categorical_columns": Option([], "Columns to treat as categories. Empty: detected."),
    "checks": Option(
        "", "Behavioural checks: an object, YAML text, a location or a digest. Empty: none."
    ),
    "confidence": Option(0.95, "Confidence level of all intervals, between 0 and 1."),
    "decimal": Option(".", 'Decimal mark of numbers in a CSV, "." or ",".'),
    "delimiter": Option("auto", 'Field delimiter of a CSV; "auto" finds it.'),
    "drift_share": Option(
        0.5, "Share of drifted columns (0 to 1) from which the data is rejected."
    ),
    "drop_columns": Option([], "Columns that are not features."),
    "encoding": Option("utf-8", "Encoding of a CSV, such as utf-8 or latin-1."),
    "hyperparameters": Option({}, "Arguments of the estimator, as an object."),
    "key_columns": Option([], "Columns that name an entity: all its rows are on one side."),
    "max_regression": Option(
        0.01,
        "Margin of the comparison, in units of the primary metric, where the policy has no rule on "
        "regression_delta; where it has one, its threshold is the margin.",
    ),
    "missing_values": Option(
        ["", "NA", "N/A", "NaN", "nan", "null", "None", "?"],
        "Texts that mean a missing value in a CSV.",
    ),
    "monitoring": Option(
        "",
        "Monitoring plan: an object, YAML text, a location or a digest. Empty: none, and a policy "
        "that asks for one blocks.",
    ),
    "numeric_columns": Option([], "Columns to treat as numbers. Empty: detected."),
    "positive_label": Option(
        "", "The positive class of a binary target. Empty: the last in sort order."
    ),
    "reference": Option(
        "", "Digest of a dataset to look for drift against. Empty: no drift check."
    ),
    "seed": Option(0, "Seed of everything random."),
    "slices": Option([], "Columns by whose values quality is also judged."),
    "stratify": Option(False, "Keep the classes' shares equal on both sides."),
    "test_fraction": Option(0.25, "Share of rows held out, between 0 and 1."),
    "threads": Option(
        1, "Threads in training; part of the result, because thread counts change bytes."
    ),
    "time_column": Option(
        "",
        "Column to split by where split_by is time: the latest rows are the test set. It is not a "
        "feature, unless numeric_columns or categorical_columns name it.",
    ),
}
"""Of every run that trains."""

SWEEP_OPTIONS: Final[Mapping[str, Option]] = {
    **{name: one for name, one in OPTIONS.items() if name != "hyperparameters"},
    "validation_fraction": Option(
        0.25, "Share of the rows that are not held out to choose the candidate on, between 0 and 1."
    ),
}
"""Of a sweep, where each candidate has hyperparameters of its own."""

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "primary_metric": (
        "auto", "accuracy", "average_precision", "balanced_accuracy", "brier_score",
        "expected_calibration_error", "f1",
        "f1_macro", "f1_weighted", "log_loss", "matthews_corrcoef", "mean_absolute_error",
        "mean_absolute_percentage_error", "median_absolute_error", "precision", "precision_macro",
        "r2", "recall", "recall_macro", "roc_auc", "root_mean_squared_error",
    ),
    "split_by": ("hash", "time"),
}  # fmt: skip
"""Parameters of a pipeline that are drop-downs in the run form."""

TEXTS: Final = frozenset({"checks", "monitoring"})
"""Options that are files: an object is as good as its text."""


DEFAULTS: Final = {name: OPTIONS[name].default for name in sorted(OPTIONS)}
SWEEP_DEFAULTS: Final = {name: SWEEP_OPTIONS[name].default for name in sorted(SWEEP_OPTIONS)}
"""The options object as the run form shows it."""
