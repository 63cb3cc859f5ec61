"""Draft a monitoring plan for a model, for a person to review."""

from typing import TYPE_CHECKING, Final

from assay.monitoring.plan import MIN_WINDOW, Detector, Plan
from assay.monitoring.replay import WINDOWS_NEEDED

if TYPE_CHECKING:
    from assay.models import ModelInfo

WINDOW: Final = 1000
PSI: Final = 0.1
"""From 0.1 to 0.25 is a moderate change according to scorecard practice."""
SHARE: Final = 0.05
RATE: Final = 0.03
"""Of positive predictions; about the smallest significant change in a window of 1,000 rows."""
OUTSIDE: Final = 0.02


def draft(info: "ModelInfo", rows: int, receiver: str = "") -> Plan:
    """Draft a plan that monitors everything that can be monitored.

    Args:
        info: Description of the model.
        rows: Number of held-out rows; the window is small enough to be measured on them.
        receiver: Who gets alarms. Empty: left out, to be filled in by the reviewer.

    Returns:
        The plan.
    """
    window = max(MIN_WINDOW, min(WINDOW, _round(rows // (2 * WINDOWS_NEEDED))))
    detectors = [
        Detector(
            "features",
            "psi",
            threshold=PSI,
            reason="A feature that is distributed otherwise than in the held-out rows. From 0.1 on "
            "a change counts as moderate, from 0.25 as large.",
        ),
        Detector(
            "missing",
            "missing_share",
            threshold=SHARE,
            reason="A source that has stopped to fill a column.",
        ),
        Detector(
            "range",
            "out_of_range_share",
            threshold=OUTSIDE,
            reason="A change of unit, or categories that the model has not seen. Give minimum and "
            "maximum in a detector of its own where you know them.",
        ),
        Detector(
            "predictions",
            "prediction_psi",
            threshold=PSI,
            reason="Predictions that are distributed otherwise; needs no labels.",
        ),
    ]
    if info.task == "binary":
        detectors.append(
            Detector(
                "positive-rate",
                "positive_rate",
                threshold=RATE,
                reason="More or fewer predicted positives, whatever the cause.",
            )
        )
    late = "The truth, once it is known: give as 'delay' after how many rows that is."
    metric, threshold = ("accuracy", SHARE), ("mean_absolute_error", 0.25)
    name, size = threshold if info.task == "regression" else metric
    detectors.append(Detector("quality", name, threshold=size, delay=window, reason=late))
    return Plan(tuple(_with(detector, window, receiver) for detector in detectors))


def _with(detector: Detector, window: int, receiver: str) -> Detector:
    from dataclasses import replace

    return replace(detector, window=window, receiver=receiver)


def _round(rows: int) -> int:
    """Round down to two significant digits."""
    step = int(10 ** max(len(str(rows)) - 2, 0))
    return rows // step * step
