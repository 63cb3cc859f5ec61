"""Run the detectors of a plan on a stream of rows, with the same windows and alarms as a replay."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from assay.monitoring.detectors import Gauge, gauges
from assay.monitoring.plan import Plan
from assay.monitoring.signals import Signals, signals

if TYPE_CHECKING:
    import pandas as pd

    from assay.models import LoadedModel


@dataclass(frozen=True, slots=True)
class Alarm:
    """A detector's alarm."""

    detector: str
    metric: str
    series: str
    """The column; empty for metrics that are not about a column."""
    rows: int
    """Rows from the start of the stream to the alarm: end of the window plus label delay."""
    size: float
    receiver: str


class Monitor:
    """Detectors that are fitted to a reference and accept rows in batches of any size.

    Args:
        plan: Detectors without threshold or window are ignored.
        model: Predicts the rows.
        reference: Rows without faults; with the target for metrics that need labels.

    Raises:
        UsageError: The plan does not fit the model.
    """

    def __init__(self, plan: Plan, model: "LoadedModel", reference: "pd.DataFrame") -> None:
        self._model = model
        self._gauges = gauges(plan, model.info)
        learned = signals(model, reference)
        for gauge in self._gauges:
            gauge.fit(learned)
        self._kept: Signals | None = None
        self._begin = 0
        self._judged = [0] * len(self._gauges)

    def push(self, frame: "pd.DataFrame") -> list[Alarm]:
        """Process the next rows and return the alarms of all completed windows, in order.

        Raises:
            UsageError: The model does not accept the rows, or a metric needs the missing target.
        """
        new = signals(self._model, frame)
        self._kept = new if self._kept is None else _joined(self._kept, new)
        end = self._begin + len(self._kept)
        alarms: list[Alarm] = []
        for number, gauge in enumerate(self._gauges):
            begin, whole = self._judged[number], (end - self._judged[number]) // gauge.window
            if whole:
                stop = begin + whole * gauge.window
                part = self._kept.take(slice(begin - self._begin, stop - self._begin))
                alarms += _alarms(gauge, part, begin)
                self._judged[number] = stop
        done = min(self._judged, default=end)
        self._kept = self._kept.take(slice(done - self._begin, None))
        self._begin = done
        return sorted(alarms, key=lambda alarm: alarm.rows)


def _alarms(gauge: Gauge, part: Signals, begin: int) -> list[Alarm]:
    sizes, alarms = gauge.measure(part)
    detector = gauge.detector
    return [
        Alarm(
            detector=detector.name,
            metric=detector.metric,
            series=gauge.series,
            rows=begin + (int(window) + 1) * gauge.window + detector.delay,
            size=float(sizes[window]),
            receiver=detector.receiver,
        )
        for window in np.flatnonzero(alarms)
    ]


def _joined(first: Signals, second: Signals) -> Signals:
    def both(head: np.ndarray, tail: np.ndarray) -> np.ndarray:
        return np.concatenate([head, tail])

    known = first.truth is not None and second.truth is not None
    return Signals(
        {name: both(first.columns[name], second.columns[name]) for name in first.columns},
        both(first.scores, second.scores),
        both(first.predicted, second.predicted),
        both(first.truth, second.truth) if known else None,  # type: ignore[arg-type]
    )
