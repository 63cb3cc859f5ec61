"""Loss or score by iteration, if an estimator keeps it or it can be computed afterwards."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS: Final = 5_000
"""Training rows that a curve is computed on if the estimator kept none; evenly spaced."""
LOSS: Final = "training_loss"
_KEPT: Final = (
    ("loss_curve_", LOSS),
    ("train_score_", "training_score"),
    ("validation_score_", "validation_score"),
    ("validation_scores_", "validation_score"),
)


def read_curves(
    pipeline: Any, frame: "pd.DataFrame", labels: "np.ndarray"
) -> dict[str, list[float]]:
    """Values by iteration, by name; empty if the estimator has no iterations.

    Kept by the estimator: its own loss or score. Otherwise, for boosting: log loss or mean squared
    error after each stage, on at most `MAX_ROWS` training rows.

    Args:
        pipeline: The fitted pipeline.
        frame: Training rows.
        labels: Their targets.
    """
    estimator = pipeline[-1]
    curves = {}
    for attribute, name in _KEPT:
        values = getattr(estimator, attribute, None)
        if values is not None and len(values) > 1:
            sign, shown = _meaning(estimator, attribute, name)
            curves[shown] = [sign * float(value) for value in values]
    return curves or _staged(pipeline, frame, labels)


def iterations(estimator: Any) -> int | None:
    """Iterations that the fit took (the most, where there are several), if it counts them."""
    count = getattr(estimator, "n_iter_", None)
    if count is None or isinstance(count, str):
        return None
    return int(np.max(count))


def _meaning(estimator: Any, attribute: str, name: str) -> tuple[int, str]:
    boosting = type(estimator).__name__
    if boosting.startswith("HistGradientBoosting") and estimator.scoring == "loss":
        # It keeps the negative of its loss.
        return -1, name.replace("score", "loss")
    if attribute == "train_score_" and boosting.startswith("GradientBoosting"):
        # Named a score, but its loss: scikit-learn's documentation of `train_score_`.
        return 1, LOSS
    return 1, name


def _staged(pipeline: Any, frame: "pd.DataFrame", labels: "np.ndarray") -> dict[str, list[float]]:
    from sklearn.metrics import log_loss, mean_squared_error

    estimator = pipeline[-1]
    classifies = hasattr(estimator, "staged_predict_proba")
    if not (classifies or hasattr(estimator, "staged_predict")) or (
        not classifies and hasattr(estimator, "classes_")
    ):
        return {}
    rows = np.unique(np.linspace(0, len(frame) - 1, MAX_ROWS).astype(int))
    prepared, truth = pipeline[:-1].transform(frame.iloc[rows]), labels[rows]
    if classifies:
        stages = estimator.staged_predict_proba(prepared)
        values = [float(log_loss(truth, p, labels=estimator.classes_)) for p in stages]
    else:
        stages = estimator.staged_predict(prepared)
        values = [float(mean_squared_error(truth, predicted)) for predicted in stages]
    return {LOSS: values} if len(values) > 1 else {}
