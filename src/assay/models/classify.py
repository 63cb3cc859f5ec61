"""Labels and probabilities of a classifier, computing what both need only once."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def classify(estimator: Any, rows: Any) -> "tuple[np.ndarray, np.ndarray]":
    """The results of `predict` and `predict_proba`, equal to the last bit.

    Histogram gradient boosting and forests pass the rows through their trees once: labels and
    probabilities follow from the result exactly as in scikit-learn, whatever the state of the
    estimator, so that a crafted model gives here what it gives elsewhere.

    Args:
        estimator: A fitted classifier with `predict_proba`.
        rows: The rows, as the estimator takes them.

    Returns:
        Labels, shape (rows,), and probabilities, shape (rows, classes).
    """
    from sklearn import ensemble

    # By exact type, because a subclass may predict in another way.
    kind = type(estimator)
    if kind is ensemble.HistGradientBoostingClassifier:
        scores = estimator.decision_function(rows)
        if scores.ndim == 1:
            codes, scores = (scores > 0).astype(int), scores.reshape(-1, 1)
        else:
            codes = scores.argmax(axis=1)
        chances = estimator._loss.predict_proba(scores)  # noqa: SLF001 - predict_proba's last line
        return estimator.classes_[codes], chances
    forests = (ensemble.RandomForestClassifier, ensemble.ExtraTreesClassifier)
    if kind in forests and estimator.n_outputs_ == 1:
        chances = estimator.predict_proba(rows)
        return estimator.classes_.take(chances.argmax(axis=1), axis=0), chances
    return estimator.predict(rows), estimator.predict_proba(rows)
