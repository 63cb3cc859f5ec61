"""Metrics and checks that an estimator can never have a value for, known before it is fitted."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from assay.errors import UsageError
from assay.governance.policy import Policy, terms
from assay.models.behaviour import Check

PROBABILITIES: Final = frozenset(
    {"roc_auc", "average_precision", "log_loss", "brier_score", "expected_calibration_error"}
)
CLASSES: Final = PROBABILITIES | {
    "accuracy", "balanced_accuracy", "precision", "recall", "f1", "matthews_corrcoef",
    "precision_macro", "recall_macro", "f1_macro", "f1_weighted",
}  # fmt: skip
NUMBERS: Final = frozenset(
    {
        "r2", "mean_absolute_error", "root_mean_squared_error", "median_absolute_error",
        "mean_absolute_percentage_error",
    }
)  # fmt: skip


def base_of(metric: str) -> str:
    """The metric that a derived name, such as `roc_auc_gap`, is made of."""
    return metric.removesuffix("_gap").removeprefix("candidate_")


@dataclass(frozen=True, slots=True)
class Ability:
    """What an estimator can give."""

    what: str
    """Its name in a message."""
    kind: str
    """`classifier`, `regressor`, or empty if the class does not declare it."""
    probabilities: bool

    def lacks(self, metric: str) -> str:
        """Why it never has a value of `metric`; empty if it may."""
        base = base_of(metric)
        if self.kind == "classifier" and base in NUMBERS:
            return f"{self.what} is a classifier, and {base} is a metric of numbers"
        if self.kind == "regressor" and base in CLASSES:
            return f"{self.what} is a regressor, and {base} is a metric of classes"
        if base in PROBABILITIES and not self.probabilities:
            return f"{self.what} gives no probabilities, and {base} needs them"
        return ""


def ability(
    what: str, estimator: str, hyperparameters: Mapping[str, Any], allowed: Sequence[str]
) -> Ability:
    """What an unfitted estimator will be able to give; what is unknown counts as possible.

    Args:
        what: Prefix of its name in a message.
        estimator: Import path, or "auto".
        hyperparameters: Its arguments.
        allowed: Import prefixes admitted besides scikit-learn.
    """
    from assay.models.build import AUTO, kind_of, make_estimator

    if estimator == AUTO:
        return Ability(what, "", probabilities=True)
    what = f"{what}{estimator.rpartition('.')[2]}"
    try:
        kind = kind_of(estimator, allowed)
        if kind != "classifier":
            return Ability(what, kind, probabilities=True)
        made = make_estimator(
            estimator,
            hyperparameters,
            task="binary",
            seed=0,
            threads=1,
            allowed_modules=allowed,
        )
    except UsageError:
        # Reported by the check of estimators.
        return Ability(what, "", probabilities=True)
    # A stacking or voting estimator delegates to parts that exist after the fit, so only an
    # estimator without parts can be asked before.
    composed = any(hasattr(part, "fit") for part in vars(made).values()) or hasattr(
        made, "estimators"
    )
    return Ability(what, kind, probabilities=composed or hasattr(made, "predict_proba"))


def problems(
    abilities: Sequence[Ability], policy: Policy, checks: Sequence[Check], primary_metric: str
) -> Iterator[str]:
    """One line for each requirement that an estimator can never meet.

    Args:
        abilities: Of the estimator, or of each candidate.
        policy: Its rules without `when`, and its primary metric.
        checks: Behavioural checks.
        primary_metric: The run's; may be empty.
    """
    required = [(f"primary_metric {primary_metric}", primary_metric)]
    required.append((f"policy: primary_metric {policy.primary_metric}", policy.primary_metric))
    required += [
        (f"policy line {rule.line}: {rule.expression}", rule.expression.metric)
        for rule in policy.rules
        if rule.when is None and rule.expression.metric not in policy.custom_metrics
    ]
    for able in abilities:
        for where, metric in required:
            if reason := able.lacks(metric):
                yield f"{where}: {reason}; choose another metric or estimator"
        for check in checks:
            if check.kind == "direction" and not able.probabilities:
                yield (
                    f"checks: {check.name!r} looks at the direction of a probability, and "
                    f"{able.what} gives none; choose another estimator"
                )


def level_problems(policy: Policy, confidence: float) -> Iterator[str]:
    """Rules that are judged at another confidence level than that of the run's intervals.

    Rules with `when` too: if they apply, they can only fail.
    """
    for rule in policy.rules:
        if rule.confidence is not None and abs(rule.confidence - confidence) > 1e-9:  # noqa: PLR2004
            yield (
                f"policy line {rule.line}: {rule.expression} is judged at confidence "
                f"{rule.confidence:g}, and the run's intervals are at {confidence:g}; set "
                f"'confidence' to {rule.confidence:g}, or the rule's to {confidence:g}"
            )
    if confidence < terms.level(policy) - terms.LEVEL_TOLERANCE:
        yield (
            f"confidence is {confidence:g}, and the least at which models are compared is "
            f"{terms.level(policy):g}; set it to that, or let the policy name another"
        )
