"""A first plan for a model, for a person to review."""

from typing import TYPE_CHECKING, Final

from assay.monitoring.plan import MIN_WINDOW, Detector, Plan
from assay.monitoring.replay import WINDOWS_NEEDED

if TYPE_CHECKING:
    from assay.models import ModelInfo

WINDOW: Final = 1000
PSI: Final = 0.1
"""Scorecard practice calls 0.1 to 0.25 a moderate change."""
SHARE: Final = 0.05
RATE: Final = 0.03
"""Of predicted positives; about what a window of 1,000 rows can tell from chance."""
OUTSIDE: Final = 0.02


def draft(info: "ModelInfo", rows: int, receiver: str = "") -> Plan:
    """A first plan, which watches everything that can be watched.

    Args:
        info: What is known of the model.
        rows: Held-out rows; the window is small enough to be measured on them.
        receiver: Who sees alarms. Empty: left out, which a reviewer has to mend.
    """
    window = max(MIN_WINDOW, min(WINDOW, _round(rows // (2 * WINDOWS_NEEDED))))
    found = [
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
        found.append(
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
    found.append(Detector("quality", name, threshold=size, delay=window, reason=late))
    return Plan(tuple(_with(one, window, receiver) for one in found))


def _with(detector: Detector, window: int, receiver: str) -> Detector:
    from dataclasses import replace

    return replace(detector, window=window, receiver=receiver)


def _round(rows: int) -> int:
    """Down to two significant digits."""
    step = int(10 ** max(len(str(rows)) - 2, 0))
    return rows // step * step
