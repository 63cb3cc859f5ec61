"""Replay: run the detectors of a plan on held-out rows with injected faults.

Each repeat splits the held-out rows at random into two halves. The detectors are fitted to one half
as the reference; the other half is the stream. The halves have the same distribution, so every
alarm on the unchanged stream is a false alarm. Each fault then begins at a row of the first window,
at another row in each repeat. The time to detect is the number of rows from there to the end of the
first window that raises an alarm. Alarms that the same rows raise without the fault are ignored.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from assay.errors import UsageError
from assay.models.build import MAX_SEED
from assay.models.inputs import check_labels
from assay.monitoring.detectors import Gauge, gauges
from assay.monitoring.inject import KINDS, PRIOR, Fault, apply, faults, kept
from assay.monitoring.plan import Plan
from assay.monitoring.signals import Array, Signals, signals

if TYPE_CHECKING:
    import pandas as pd

    from assay.models import LoadedModel

MAX_ROWS: Final = 50_000
"""Maximum number of rows used, evenly spaced; larger if windows are large."""
WINDOWS_NEEDED: Final = 6
"""Minimum number of held-out rows, in multiples of the largest window. Half of them are the
reference; the stream has three windows: the fault begins in the first and fills the other two."""
MAX_STARTS: Final = 1000
REFUSED: Final = "the model itself, which refuses such rows"
"""Name of the detector of a fault that makes prediction fail, which is visible at the first row."""
PER_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Replay:
    """The replay of one fault with one starting row."""

    fault: Fault
    rows: float
    """Rows from the first faulty row to the first alarm; infinite without an alarm."""
    detector: str = ""
    """The detector of the first alarm; empty without an alarm."""


@dataclass(frozen=True)
class Findings:
    """The results of the replays of a plan."""

    replays: tuple[Replay, ...]
    starts: int
    false_alarms: Counter[str]
    """Number by detector, in all streams without a fault."""
    clean_rows: int
    """Rows of these streams in windows of every detector."""
    _by_kind: dict[str, list[Replay]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for replay in self.replays:
            self._by_kind.setdefault(replay.fault.kind, []).append(replay)

    @property
    def kinds(self) -> list[str]:
        """Kinds of fault that could be injected into these rows."""
        return [kind for kind in KINDS if kind in self._by_kind]

    def of(self, kind: str) -> list[Replay]:
        """The replays of a kind of fault."""
        return self._by_kind.get(kind, [])

    def quantile(self, kind: str, share: float) -> float:
        """Quantile of the time to detect a kind of fault, in rows; may be infinite."""
        return quantile([replay.rows for replay in self.of(kind)], share)

    def worst(self, share: float) -> float:
        """The largest `quantile` of all kinds; NaN without replays."""
        return max((self.quantile(kind, share) for kind in self.kinds), default=math.nan)

    def seen(self, kind: str) -> float:
        """Share of a kind's replays that ended in an alarm."""
        rows = [replay.rows for replay in self.of(kind)]
        return sum(map(math.isfinite, rows)) / len(rows) if rows else 0.0

    def first_detector(self, kind: str) -> str:
        """The detector that raised the first alarm most often; empty without alarms."""
        counts = Counter(replay.detector for replay in self.of(kind) if replay.detector)
        return max(sorted(counts), key=counts.__getitem__) if counts else ""

    @property
    def false_alarm_rate(self) -> float:
        """False alarms of all detectors per 10,000 rows; NaN without complete windows."""
        if not self.clean_rows:
            return math.nan
        return PER_ROWS * self.false_alarms.total() / self.clean_rows


def quantile(rows: Sequence[float], share: float) -> float:
    """The smallest of `rows` such that at least `share` of them are not larger.

    Values are not interpolated, because some may be infinite.
    """
    return float(np.quantile(rows, share, method="inverted_cdf")) if rows else math.nan


@dataclass(frozen=True)
class _Stream:
    """One repeat: the order of rows, the first faulty row, the detectors, their false alarms."""

    rows: Array
    onset: int
    gauges: list[Gauge]
    alarms: list[Array]
    """Alarms of each gauge without a fault."""


def check_numbers(starts: int, seed: int) -> None:
    """Check the numeric parameters of `replay`.

    Raises:
        UsageError: A number is out of range; the message lists all of them.
    """
    problems = []
    if not 1 <= starts <= MAX_STARTS:
        problems.append(f"starts is {starts}; give a number from 1 to {MAX_STARTS}")
    if not 0 <= seed <= MAX_SEED:
        problems.append(f"seed is {seed}; give a number from 0 to {MAX_SEED}")
    if problems:
        raise UsageError.all_of(problems)


def replay(
    plan: Plan,
    model: "LoadedModel",
    frame: "pd.DataFrame",
    *,
    starts: int = 20,
    seed: int = 0,
    threads: int = 1,
    progress: Callable[[int, int], object] | None = None,
) -> Findings:
    """Measure how soon a plan detects faults, and how often it raises false alarms.

    Args:
        plan: Detectors without threshold or window are ignored.
        model: Predicts the rows.
        frame: Held-out rows with the target.
        starts: Number of repeats of each fault, from 1 to `MAX_STARTS`.
        seed: Selects the split of the rows and the first faulty rows; from 0 to `MAX_SEED`.
        threads: Number of threads for predictions and numerics.
        progress: Called with the number of completed faults and their total.

    Returns:
        The results; without replays if the plan has no complete detector.

    Raises:
        UsageError: The plan does not fit the model, there are too few rows, or the model does not
            accept them.
    """
    check_numbers(starts, seed)
    if model.target not in frame.columns:
        raise UsageError(f"the test data lacks the target {model.target!r}")
    if not gauges(plan, model.info):
        return Findings((), starts, Counter(), 0)
    model.check_table(frame)
    check_labels(model.info, frame[model.target])
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=threads):
        frame = _enough(plan, frame.dropna(subset=[model.target]))
        return _measure(plan, model, frame, starts, seed, progress or (lambda *_: None))


def _measure(
    plan: Plan,
    model: "LoadedModel",
    frame: "pd.DataFrame",
    starts: int,
    seed: int,
    progress: Callable[[int, int], object],
) -> Findings:
    clean = signals(model, frame)
    streams = [_stream(plan, model, clean, starts, seed, number) for number in range(starts)]
    counted, rows = _false_alarms(streams)
    replays: list[Replay] = []
    todo = faults(frame, model.info)
    for number, fault in enumerate(todo):
        progress(number, len(todo))
        replays += _replays(fault, model, frame, clean, streams, seed)
    progress(len(todo), len(todo))
    return Findings(tuple(replays), starts, counted, rows)


def _enough(plan: Plan, frame: "pd.DataFrame") -> "pd.DataFrame":
    windows = [(item.name, item.window) for item in plan.detectors if item.window is not None]
    problems = [
        f"detector {name!r}: a window of {window} rows needs {window * WINDOWS_NEEDED} held-out "
        f"rows to be measured, and there are {len(frame)}; make it smaller, or hold out more"
        for name, window in windows
        if window * WINDOWS_NEEDED > len(frame)
    ]
    if problems:
        raise UsageError.all_of(problems)
    largest = max(window for _, window in windows)
    limit = max(MAX_ROWS, 2 * WINDOWS_NEEDED * largest)
    if len(frame) <= limit:
        return frame
    return frame.iloc[np.linspace(0, len(frame) - 1, limit).astype(int)]


def _stream(
    plan: Plan, model: "LoadedModel", clean: Signals, starts: int, seed: int, number: int
) -> _Stream:
    random = np.random.default_rng([seed, number])
    order = random.permutation(len(clean))
    half = len(order) // 2
    fitted = gauges(plan, model.info)
    reference = clean.take(order[:half])
    for gauge in fitted:
        gauge.fit(reference)
    # Spread over the first window of the largest size, so that faults begin anywhere in a window.
    largest = max(gauge.window for gauge in fitted)
    onset = int((number + random.random()) / starts * largest)
    live = clean.take(order[half:])
    return _Stream(order[half:], onset, fitted, [gauge.measure(live)[1] for gauge in fitted])


def _false_alarms(streams: Sequence[_Stream]) -> tuple[Counter[str], int]:
    """Count windows with an alarm by detector; several columns of a detector count once."""
    counted: Counter[str] = Counter()
    rows = 0
    for stream in streams:
        alarmed: dict[str, Array] = {}
        for gauge, alarms in zip(stream.gauges, stream.alarms, strict=True):
            name = gauge.detector.name
            alarmed[name] = alarmed[name] | alarms if name in alarmed else alarms
        for name, alarms in alarmed.items():
            counted[name] += int(alarms.sum())
        rows += min(len(stream.rows) // g.window * g.window for g in stream.gauges)
    return counted, rows


def _replays(
    fault: Fault,
    model: "LoadedModel",
    frame: "pd.DataFrame",
    clean: Signals,
    streams: Sequence[_Stream],
    seed: int,
) -> Iterator[Replay]:
    if fault.kind == PRIOR:
        for number, stream in enumerate(streams):
            yield _prior_replay(fault, clean, stream, [seed, number])
        return
    try:
        changed = apply(frame, fault, seed, model.info.categorical)
        faulty = signals(model, changed, [fault.place])
    except UsageError:
        yield from (Replay(fault, 1.0, REFUSED) for _ in streams)
        return
    for stream in streams:
        # Detectors of other columns are not affected by the fault.
        concerned = [g.series in {"", fault.place} for g in stream.gauges]
        live = _mixed(clean, faulty, stream, fault.place)
        yield _first_alarm(fault, live, stream, concerned, paired=True)


def _prior_replay(fault: Fault, clean: Signals, stream: _Stream, seed: list[int]) -> Replay:
    before, after = stream.rows[: stream.onset], stream.rows[stream.onset :]
    assert clean.truth is not None  # noqa: S101 - `replay` has checked
    remaining = kept(clean.truth[after], fault, seed)
    live = clean.take(np.concatenate([before, after[remaining]]))
    return _first_alarm(fault, live, stream, [True] * len(stream.gauges), paired=False)


def _mixed(clean: Signals, faulty: Signals, stream: _Stream, column: str) -> Signals:
    """The stream, without the fault before its onset and with the fault after it."""
    before, after = stream.rows[: stream.onset], stream.rows[stream.onset :]

    def joined(old: Array, new: Array) -> Array:
        return np.concatenate([old[before], new[after]])

    return Signals(
        columns={column: joined(clean.columns[column], faulty.columns[column])},
        scores=joined(clean.scores, faulty.scores),
        predicted=joined(clean.predicted, faulty.predicted),
        truth=None if clean.truth is None else clean.truth[stream.rows],
    )


def _first_alarm(
    fault: Fault, live: Signals, stream: _Stream, concerned: Sequence[bool], *, paired: bool
) -> Replay:
    first = Replay(fault, math.inf)
    for gauge, without, look in zip(stream.gauges, stream.alarms, concerned, strict=True):
        if not look:
            continue
        _, alarms = gauge.measure(live)
        if paired:
            alarms &= ~without
        alarms[: stream.onset // gauge.window] = False
        windows = np.flatnonzero(alarms)
        if len(windows):
            rows = (int(windows[0]) + 1) * gauge.window - stream.onset + gauge.detector.delay
            if rows < first.rows:
                first = Replay(fault, float(rows), gauge.detector.name)
    return first
