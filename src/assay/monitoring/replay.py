"""Replay: held-out rows with faults put into them, through the plan's detectors.

Each repeat deals the held-out rows anew into two halves. The detectors learn one as the reference;
the other is the stream. Nothing differs between the halves but chance, so every alarm on the stream
as it is, is a false one. Then each fault begins at a row of the first window, another one in each
repeat, and the rows are counted from there to the end of the first window that alarms. An alarm
that the same rows give without the fault does not count: luck detects nothing.
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
"""Of more held-out rows, this many are taken, spread evenly; more where windows are large."""
WINDOWS_NEEDED: Final = 6
"""Held-out rows in largest windows: half is the reference, and a stream has room to begin a fault
within its first window and to see it in two more."""
MAX_STARTS: Final = 1000
REFUSED: Final = "the model itself, which refuses such rows"
"""What sees a fault that makes prediction fail: that is loud, from the first row."""
PER_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Replay:
    """One fault, from one starting point."""

    fault: Fault
    rows: float
    """Rows from the fault's beginning to the first alarm; infinite when there was none."""
    detector: str = ""
    """Which alarmed first; empty when none did."""


@dataclass(frozen=True)
class Findings:
    """What the replays showed."""

    replays: tuple[Replay, ...]
    starts: int
    false_alarms: Counter[str]
    """By detector, over all streams without a fault."""
    clean_rows: int
    """Rows of these streams that every detector has judged."""
    _by_kind: dict[str, list[Replay]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for replay in self.replays:
            self._by_kind.setdefault(replay.fault.kind, []).append(replay)

    @property
    def kinds(self) -> list[str]:
        """Kinds of fault that could be put into these rows."""
        return [kind for kind in KINDS if kind in self._by_kind]

    def of(self, kind: str) -> list[Replay]:
        """The replays of a kind of fault."""
        return self._by_kind.get(kind, [])

    def quantile(self, kind: str, share: float) -> float:
        """Rows to alarm that this share of a kind's replays does not exceed; may be infinite."""
        return quantile([replay.rows for replay in self.of(kind)], share)

    def worst(self, share: float) -> float:
        """As `quantile`, of the kind that takes longest; NaN without any replay."""
        return max((self.quantile(kind, share) for kind in self.kinds), default=math.nan)

    def seen(self, kind: str) -> float:
        """Share of a kind's replays that ended in an alarm."""
        rows = [replay.rows for replay in self.of(kind)]
        return sum(map(math.isfinite, rows)) / len(rows) if rows else 0.0

    def first_detector(self, kind: str) -> str:
        """The detector that was most often first; empty when none was."""
        found = Counter(replay.detector for replay in self.of(kind) if replay.detector)
        return max(sorted(found), key=found.__getitem__) if found else ""

    @property
    def false_alarm_rate(self) -> float:
        """False alarms of all detectors together per 10,000 rows; NaN when nothing was judged."""
        if not self.clean_rows:
            return math.nan
        return PER_ROWS * self.false_alarms.total() / self.clean_rows


def quantile(rows: Sequence[float], share: float) -> float:
    """The smallest of `rows` that at least this share of them does not exceed.

    One of the values themselves, never between two, because some may be infinite.
    """
    return float(np.quantile(rows, share, method="inverted_cdf")) if rows else math.nan


@dataclass(frozen=True)
class _Stream:
    """One repeat: the order of rows, where faults begin, the detectors, their false alarms."""

    rows: Array
    onset: int
    gauges: list[Gauge]
    alarms: list[Array]
    """Of each gauge, without a fault."""


def check_numbers(starts: int, seed: int) -> None:
    """Check what `replay` takes besides a plan, a model and rows.

    Raises:
        UsageError: A number out of its range; names all.
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
    """Measure a plan.

    Args:
        plan: Its detectors without threshold or window are left out.
        model: Predicts the rows.
        frame: Held-out rows with the target.
        starts: Repeats of each fault in each place, from 1 to `MAX_STARTS`.
        seed: Decides how rows are dealt, and where faults begin; from 0 to `MAX_SEED`.
        threads: Threads for predictions and numerics.
        progress: Called with the faults done and their total.

    Raises:
        UsageError: A plan that does not fit the model, too few rows for it, or rows that the model
            cannot read.
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
    found: list[Replay] = []
    todo = faults(frame, model.info)
    for number, fault in enumerate(todo):
        progress(number, len(todo))
        found += _replays(fault, model, frame, clean, streams, seed)
    progress(len(todo), len(todo))
    return Findings(tuple(found), starts, counted, rows)


def _enough(plan: Plan, frame: "pd.DataFrame") -> "pd.DataFrame":
    problems = [
        f"detector {one.name!r}: a window of {one.window} rows needs {one.window * WINDOWS_NEEDED} "
        f"held-out rows to be measured, and there are {len(frame)}; make it smaller, or hold out "
        "more"
        for one in plan.detectors
        if one.window is not None and one.window * WINDOWS_NEEDED > len(frame)
    ]
    if problems:
        raise UsageError.all_of(problems)
    largest = max(one.window for one in plan.detectors if one.window is not None)
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
    # Spread over the first of the largest windows, so that faults begin at every phase of windows.
    largest = max(gauge.window for gauge in fitted)
    onset = int((number + random.random()) / starts * largest)
    live = clean.take(order[half:])
    return _Stream(order[half:], onset, fitted, [gauge.measure(live)[1] for gauge in fitted])


def _false_alarms(streams: Sequence[_Stream]) -> tuple[Counter[str], int]:
    """Windows in which a detector alarmed, however many of its columns did."""
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
        # What looks at other columns only sees what it saw without the fault.
        concerned = [g.series in {"", fault.place} for g in stream.gauges]
        live = _mixed(clean, faulty, stream, fault.place)
        yield _first_alarm(fault, live, stream, concerned, paired=True)


def _prior_replay(fault: Fault, clean: Signals, stream: _Stream, seed: list[int]) -> Replay:
    before, after = stream.rows[: stream.onset], stream.rows[stream.onset :]
    assert clean.truth is not None  # noqa: S101 - `replay` has looked
    stays = kept(clean.truth[after], fault, seed)
    live = clean.take(np.concatenate([before, after[stays]]))
    return _first_alarm(fault, live, stream, [True] * len(stream.gauges), paired=False)


def _mixed(clean: Signals, faulty: Signals, stream: _Stream, place: str) -> Signals:
    """The stream, clean before its onset and faulty after it."""
    before, after = stream.rows[: stream.onset], stream.rows[stream.onset :]

    def joined(old: Array, new: Array) -> Array:
        return np.concatenate([old[before], new[after]])

    return Signals(
        columns={place: joined(clean.columns[place], faulty.columns[place])},
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
