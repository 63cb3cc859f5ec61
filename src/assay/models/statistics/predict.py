"""Predict a table and combine the predictions with the target."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from assay.errors import UsageError
from assay.models.inputs import check_labels
from assay.models.statistics.metrics import Predictions

if TYPE_CHECKING:
    import pandas as pd

    from assay.models import LoadedModel
    from assay.models.info import ModelInfo

MAX_AT_ONCE: Final = 1 << 24
"""Probabilities that are computed at once: 128 MB, of which an estimator may have several copies.

With more, rows are predicted in blocks. Whether they are depends on the number of rows and of
classes alone, because the last digit of a probability may depend on the rows beside it.
"""
BLOCK: Final = 1 << 22
"""Probabilities of a block."""


def predict(
    model: "LoadedModel", frame: "pd.DataFrame", rival: "LoadedModel | None" = None
) -> Predictions:
    """Predict the rows of a table with the target, which `LoadedModel.check_table` has passed.

    Args:
        model: The model.
        frame: The table.
        rival: A model that it is compared with, for the same target. The predictions are of its
            task, and of the classes of both: a class that `model` does not know has the probability
            0, so that its rows are errors of `model`.

    Returns:
        The predictions.

    Raises:
        UsageError: The target is missing or has another type than in training, or the model knows
            none of its values.
    """
    if model.target not in frame.columns:
        raise UsageError(f"the test data lacks the target {model.target!r}")
    truth = frame[model.target]
    if missing := int(truth.isna().sum()):
        raise UsageError(
            f"target {model.target!r} is missing in {missing} of {len(truth)} test rows"
        )
    judged = model if rival is None else rival
    more = [label for label in judged.classes if label not in model.classes]
    info = replace(judged.info, classes=(*model.classes, *more))
    check_labels(info, truth)
    rows, classes = len(frame), max(len(info.classes), 1)
    size = max(rows if rows * classes <= MAX_AT_ONCE else BLOCK // classes, 1)
    return Predictions.joined(
        [
            _predict(model, frame.iloc[first : first + size], info)
            for first in range(0, max(rows, 1), size)
        ]
    )


def _predict(model: "LoadedModel", frame: "pd.DataFrame", info: "ModelInfo") -> Predictions:
    predicted, probabilities = model.predict_both(frame)
    if probabilities is not None:
        more = len(info.classes) - len(model.classes)
        probabilities = np.pad(np.asarray(probabilities, dtype=float), ((0, 0), (0, more)))
    return Predictions(
        task=info.task,
        truth=frame[model.target].to_numpy(),
        predicted=np.asarray(predicted),
        probabilities=probabilities,
        classes=info.classes,
        positive=info.positive,
    )


def require_primary(name: str, known: list[str], task: str) -> str:
    """The primary metric.

    Args:
        name: Name of a metric; empty for the default of the task.
        known: The metrics of the task.
        task: `binary`, `multiclass` or `regression`.

    Returns:
        Name of the metric.

    Raises:
        UsageError: The task does not have the metric; the message suggests a similar one.
    """
    from difflib import get_close_matches

    from assay.models.statistics.metrics import DEFAULT_PRIMARY

    metric = name or DEFAULT_PRIMARY[task]
    if metric not in known:
        close = get_close_matches(metric, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(sorted(known))}"
        raise UsageError(f"primary_metric: no metric {metric!r} for a {task} model; {hint}")
    return metric
