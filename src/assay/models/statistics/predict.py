"""From a model and a table to predictions beside the truth."""

from typing import TYPE_CHECKING

import numpy as np

from assay.errors import UsageError
from assay.models.inputs import check_labels
from assay.models.statistics.metrics import Predictions

if TYPE_CHECKING:
    import pandas as pd

    from assay.models import LoadedModel


def predict(model: "LoadedModel", frame: "pd.DataFrame") -> Predictions:
    """Predictions for the rows of a table that holds the target.

    Raises:
        UsageError: The target or a feature is missing or of another type than in training, or the
            model knows none of its values.
    """
    model.check_table(frame)
    if model.target not in frame.columns:
        raise UsageError(f"the test data lacks the target {model.target!r}")
    truth = frame[model.target]
    if missing := int(truth.isna().sum()):
        raise UsageError(
            f"target {model.target!r} is missing in {missing} of {len(truth)} test rows"
        )
    check_labels(model.info, truth)
    probabilities = model.predict_proba(frame)
    return Predictions(
        task=model.task,
        truth=truth.to_numpy(),
        predicted=np.asarray(model.predict(frame)),
        probabilities=None if probabilities is None else np.asarray(probabilities, dtype=float),
        classes=model.classes,
        positive=model.positive,
    )


def require_primary(name: str, known: list[str], task: str) -> str:
    """The primary metric: `name`, or the default of the task.

    Raises:
        UsageError: Not a metric of this task; suggests a close one.
    """
    from difflib import get_close_matches

    from assay.models.statistics.metrics import DEFAULT_PRIMARY

    wanted = name or DEFAULT_PRIMARY[task]
    if wanted not in known:
        close = get_close_matches(wanted, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(sorted(known))}"
        raise UsageError(f"primary_metric: no metric {wanted!r} for a {task} model; {hint}")
    return wanted
