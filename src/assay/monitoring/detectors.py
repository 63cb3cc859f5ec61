"""Detectors: compare a window of rows with a reference and raise an alarm.

A detector raises an alarm if the difference between window and reference is large and significant:

- its size exceeds the threshold of the plan, in the unit of the metric, and
- its p-value is below `significance`. A detector of k columns uses `significance / k` for each
  column (Bonferroni). Whether any column alarms is then the same as in Holm's procedure, whose
  first step is Bonferroni's.

Windows do not overlap: each row counts once, so that windows are independent where rows are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assay.data import column_problems
from assay.errors import UsageError
from assay.monitoring.bins import CategoryBins, NumberBins, bins_of
from assay.monitoring.plan import METRICS, Detector, Plan
from assay.monitoring.signals import Array, Signals, missing, present

if TYPE_CHECKING:
    from assay.models import ModelInfo

SMOOTHING: Final = 0.5
"""Rows added to every bin of a window, so that an empty bin has a finite logarithm."""


@dataclass
class Gauge:
    """One detector on one series (a column, the predictions, the hits), with its reference."""

    detector: Detector
    series: str
    """The column, or empty."""
    level: float
    """Significance level of a window of this series."""
    window: int
    threshold: float

    def fit(self, reference: Signals) -> None:
        """Learn the distribution of the reference."""
        raise NotImplementedError

    def measure(self, live: Signals) -> tuple[Array, Array]:
        """Sizes and alarms of the whole windows in `live`, in order; both of shape (windows,)."""
        raise NotImplementedError

    def _split(self, values: Array) -> Array:
        count = len(values) // self.window
        return values[: count * self.window].reshape(count, self.window)


@dataclass
class Stability(Gauge):
    """Population stability index of a column or of the predictions.

    The sum of both relative entropies. `scipy.stats.entropy` computes each of them with another
    order of additions: the sum differs by up to 7e-16 of a value.
    """

    _bins: NumberBins | CategoryBins = field(init=False)
    _expected: Array = field(default_factory=lambda: np.zeros(0))
    _rows: int = 0
    _critical: float = 0.0

    def fit(self, reference: Signals) -> None:
        """As in `Gauge`."""
        from scipy.stats import chi2

        values = _series(reference, self.series)
        self._rows = len(values)
        self._bins = bins_of(values, self.window)
        self._expected = np.bincount(self._bins.codes(values), minlength=self._bins.count)
        # Without a change, PSI / (1/n + 1/m) approximately follows a chi-squared distribution with
        # one degree of freedom less than there are bins (Yurdakul 2018). Bins that are empty in the
        # reference are included, because a window may have rows in them.
        freedom = max(self._bins.count - 1, 1)
        scale = 1 / self.window + 1 / self._rows
        self._critical = float(chi2.isf(self.level, freedom)) * scale

    def measure(self, live: Signals) -> tuple[Array, Array]:
        """As in `Gauge`."""
        from scipy.special import rel_entr

        codes = self._split(self._bins.codes(_series(live, self.series)))
        count = self._bins.count
        offsets = np.arange(len(codes))[:, None] * count
        seen = np.bincount((codes + offsets).ravel(), minlength=len(codes) * count)
        actual = _smoothed(seen.reshape(len(codes), count))
        # Scaled to the size of a window, so that equal shares remain equal after smoothing.
        expected = _smoothed(self._expected[None, :] * (self.window / self._rows))
        sizes = (rel_entr(actual, expected) + rel_entr(expected, actual)).sum(axis=1)
        return sizes, (sizes > self.threshold) & (sizes > self._critical)


def _smoothed(counts: Array) -> Array:
    raised = counts + SMOOTHING
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


@dataclass
class Distance(Gauge):
    """Kolmogorov-Smirnov distance of a numeric column; ties make the test conservative."""

    _reference: Array = field(default_factory=lambda: np.zeros(0))

    def fit(self, reference: Signals) -> None:
        """As in `Gauge`."""
        self._reference = present(_series(reference, self.series))

    def measure(self, live: Signals) -> tuple[Array, Array]:
        """As in `Gauge`."""
        from scipy.stats import ks_2samp

        sizes, alarms = [], []
        for window in self._split(_series(live, self.series)):
            numbers = present(window)
            if not len(numbers) or not len(self._reference):
                # Nothing to compare; missing_share detects an empty column.
                sizes.append(0.0)
                alarms.append(False)
                continue
            result = ks_2samp(numbers, self._reference, method="asymp")
            sizes.append(float(result.statistic))
            alarms.append(result.statistic > self.threshold and result.pvalue < self.level)
        return np.array(sizes, dtype=float), np.array(alarms, dtype=bool)


@dataclass
class Share(Gauge):
    """A share of rows, compared by Fisher's exact test.

    Uses the hypergeometric distribution for all windows together; `scipy.stats.fisher_exact` takes
    a single window, and differs by up to 8e-16 of a value.
    """

    sign: int = 1
    """1 to alarm on a rise, -1 on a fall, 0 on either."""
    _count: int = 0
    _rows: int = 0

    def hits(self, live: Signals) -> Array:
        """The rows that belong to the share; shape (rows,), boolean."""
        raise NotImplementedError

    def fit(self, reference: Signals) -> None:
        """As in `Gauge`."""
        hits = self.hits(reference)
        self._count, self._rows = int(hits.sum()), len(hits)

    def measure(self, live: Signals) -> tuple[Array, Array]:
        """As in `Gauge`."""
        counts = self._split(self.hits(live)).sum(axis=1)
        change = counts / self.window - self._count / self._rows
        sizes = np.abs(change) if self.sign == 0 else change * self.sign
        return sizes, (sizes > self.threshold) & (self._chance(counts, change) < self.level)

    def _chance(self, counts: Array, change: Array) -> Array:
        from scipy.stats import hypergeom

        total, hits = self._rows + self.window, self._count + counts
        rises = hypergeom.sf(counts - 1, total, hits, self.window)
        falls = hypergeom.cdf(counts, total, hits, self.window)
        if self.sign:
            return np.asarray(rises if self.sign > 0 else falls)
        return np.asarray(2 * np.where(change > 0, rises, falls))


@dataclass
class Missing(Share):
    """Share of missing values."""

    def hits(self, live: Signals) -> Array:
        """As in `Share`."""
        return missing(_series(live, self.series))


@dataclass
class OutOfRange(Share):
    """Share of numbers outside the range, or of categories that the reference does not contain."""

    _low: float = -np.inf
    _high: float = np.inf
    _known: frozenset[str] | None = None

    def fit(self, reference: Signals) -> None:
        """As in `Gauge`."""
        values = _series(reference, self.series)
        if values.dtype == object:
            self._known = frozenset(value for value in values if value is not None)
        else:
            numbers = present(values)
            low, high = self.detector.minimum, self.detector.maximum
            ends = (numbers.min(), numbers.max()) if len(numbers) else (-np.inf, np.inf)
            self._low = ends[0] if low is None else low
            self._high = ends[1] if high is None else high
        super().fit(reference)

    def hits(self, live: Signals) -> Array:
        """As in `Share`."""
        values = _series(live, self.series)
        if values.dtype == object:
            known = self._known or frozenset()
            unknown = [value is not None and value not in known for value in values]
            return np.array(unknown, dtype=bool)
        # A missing number is inside the range; an infinite one is outside.
        return np.asarray((values < self._low) | (values > self._high) | np.isinf(values))


@dataclass
class PositiveRate(Share):
    """Share of positive predictions."""

    positive: Any = None

    def hits(self, live: Signals) -> Array:
        """As in `Share`."""
        return np.asarray(live.predicted == self.positive)


@dataclass
class Accuracy(Share):
    """Share of correct predictions, if labels are known."""

    def hits(self, live: Signals) -> Array:
        """As in `Share`."""
        return np.asarray(live.predicted == _truth(live))


@dataclass
class AbsoluteError(Gauge):
    """Rise of the mean absolute error, if the target is known, by Welch's test.

    `scipy.stats.ttest_ind_from_stats` takes deviations, whose squares differ from the variances in
    the last digit: its p-values differ by up to 2e-15 of a value. It is not defined if all errors
    are equal.
    """

    _mean: float = 0.0
    _deviation: float = 0.0
    _rows: int = 0

    def fit(self, reference: Signals) -> None:
        """As in `Gauge`."""
        errors = _errors(reference)
        self._mean, self._deviation = float(errors.mean()), float(errors.std(ddof=1))
        self._rows = len(errors)

    def measure(self, live: Signals) -> tuple[Array, Array]:
        """As in `Gauge`."""
        from scipy.special import stdtr

        windows = self._split(_errors(live))
        means, variances = windows.mean(axis=1), windows.var(axis=1, ddof=1)
        rise = means - self._mean
        first, second = variances / self.window, self._deviation**2 / self._rows
        spread = np.sqrt(first + second)
        with np.errstate(divide="ignore", invalid="ignore"):
            # Without any spread, every rise is significant.
            statistic = np.where(spread > 0, rise / spread, np.where(rise > 0, np.inf, -np.inf))
            freedom = (first + second) ** 2 / (
                first**2 / (self.window - 1) + second**2 / max(self._rows - 1, 1)
            )
            sizes = np.where(self._mean > 0, rise / self._mean, np.where(rise > 0, np.inf, 0.0))
        freedom = np.where(np.isfinite(freedom), freedom, 1.0)
        chance = stdtr(freedom, -statistic)
        return sizes, (sizes > self.threshold) & (chance < self.level)


def _series(live: Signals, series: str) -> Array:
    return live.columns[series] if series else live.scores


def _truth(live: Signals) -> Array:
    if live.truth is None:
        raise UsageError("a detector needs the target, which the rows do not hold")
    return live.truth


def _errors(live: Signals) -> Array:
    return np.asarray(np.abs(live.predicted.astype(float) - _truth(live).astype(float)))


_GAUGES: Final[Mapping[str, type[Gauge]]] = {
    "psi": Stability,
    "ks": Distance,
    "missing_share": Missing,
    "out_of_range_share": OutOfRange,
    "prediction_psi": Stability,
    "accuracy": Accuracy,
    "mean_absolute_error": AbsoluteError,
}


def watched_columns(detector: Detector, info: "ModelInfo") -> list[str]:
    """The features that a detector monitors; empty if its metric is not about a column."""
    if not METRICS[detector.metric].of_column:
        return []
    suits = info.numeric if detector.metric == "ks" else info.features
    return [name for name in suits if detector.columns is None or name in detector.columns]


def plan_problems(plan: Plan, info: "ModelInfo") -> list[str]:
    """The mismatches between a plan and a model, one line each."""
    problems = []
    for detector in plan.detectors:
        where = f"monitoring: detector {detector.name!r}"
        metric = METRICS[detector.metric]
        if info.task not in metric.tasks:
            problems.append(
                f"{where}: {detector.metric} is for {' and '.join(metric.tasks)} models, and this "
                f"one is {info.task}"
            )
        known = info.numeric if detector.metric == "ks" else info.features
        problems += column_problems(detector.columns or (), known, where)
    return problems


def gauges(plan: Plan, info: "ModelInfo") -> list[Gauge]:
    """A gauge for each detector and series; detectors without threshold or window are ignored.

    Raises:
        UsageError: The plan does not fit the model; the message lists every mismatch.
    """
    if problems := plan_problems(plan, info):
        raise UsageError.all_of(problems)
    return [
        gauge for detector in plan.detectors for gauge in _gauges(detector, plan.significance, info)
    ]


def _gauges(detector: Detector, significance: float, info: "ModelInfo") -> Iterator[Gauge]:
    if detector.threshold is None or detector.window is None:
        return
    series: Sequence[str] = [""]
    if METRICS[detector.metric].of_column:
        series = watched_columns(detector, info)
    for name in series:
        level = significance / len(series)
        common = (detector, name, level, detector.window, detector.threshold)
        if detector.metric == "positive_rate":
            yield PositiveRate(*common, sign=0, positive=info.positive)
        elif detector.metric == "accuracy":
            yield Accuracy(*common, sign=-1)
        else:
            yield _GAUGES[detector.metric](*common)
