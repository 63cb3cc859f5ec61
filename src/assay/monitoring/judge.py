"""Is a plan complete, what does it answer, and what does the gate get to see of it?"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay.evidence.format import EvidenceDocument, Interval
from assay.evidence.labels import label
from assay.monitoring.detectors import plan_problems, watched_columns
from assay.monitoring.inject import DEAD, PRIOR, SHIFTED, UNIT
from assay.monitoring.plan import Detector, Plan
from assay.monitoring.replay import PER_ROWS, REFUSED, Findings

if TYPE_CHECKING:
    from assay.models import ModelInfo

COMPLETE: Final = "monitoring_plan_complete"
P50, P95 = "time_to_detect_rows_p50", "time_to_detect_rows_p95"
DETECTED: Final = "faults_detected_share"
FALSE_ALARMS: Final = "false_alarms_per_10k_rows"
NAMES: Final = (COMPLETE, P50, P95, DETECTED, FALSE_ALARMS)
NO_PLAN: Final = "no monitoring plan was given"
MIN_SEEN: Final = 0.5
"""Share of a kind's replays from which a plan is said to see that kind of fault."""
CONFIDENCE: Final = 0.95
_PREDICTIONS: Final = frozenset({"prediction_psi", "positive_rate"})
_WORDS: Final = {
    SHIFTED: "a feature shifts",
    PRIOR: "the share of a class changes",
    DEAD: "a column goes dead",
    UNIT: "a column changes its unit",
}


@dataclass(frozen=True)
class Judgement:
    """What is to be said of a plan."""

    gaps: tuple[str, ...]
    """What keeps it from being complete; one line each."""
    answers: dict[str, str]
    """By kind of fault: which metric tells, after how long, and who sees it."""
    findings: Findings

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.gaps


def judge(plan: Plan, info: "ModelInfo", findings: Findings) -> Judgement:
    """Look for gaps, and answer the three questions as far as they can be answered."""
    by_name = {detector.name: detector for detector in plan.detectors}
    answers = {kind: _answer(kind, plan, by_name, findings) for kind in findings.kinds}
    return Judgement(tuple(_gaps(plan, info, findings)), answers, findings)


def _gaps(plan: Plan, info: "ModelInfo", findings: Findings) -> Iterator[str]:
    yield from plan_problems(plan, info)
    for detector in plan.detectors:
        yield from detector.gaps()
    working = [one for one in plan.detectors if not one.gaps()]
    watched = {column for one in working for column in watched_columns(one, info)}
    for role, names in (("numeric", info.numeric), ("categorical", info.categorical)):
        if bare := [name for name in names if name not in watched]:
            yield f"no detector watches the {role} features {', '.join(map(repr, bare))}"
    if not any(one.metric in _PREDICTIONS for one in working):
        yield "no detector watches the predictions (prediction_psi, or positive_rate)"
    if not findings.kinds:
        yield "no detector could be replayed, so that no fault was seen"
    for kind in findings.kinds:
        if findings.seen(kind) < MIN_SEEN:
            yield f"no detector sees that {_WORDS[kind]}: {_missed(kind, findings)}"


def _missed(kind: str, findings: Findings) -> str:
    replays = findings.of(kind)
    missed = sum(not math.isfinite(one.rows) for one in replays)
    return f"{missed} of {len(replays)} replays ended without an alarm"


def _answer(kind: str, plan: Plan, by_name: dict[str, Detector], findings: Findings) -> str:
    told = f"If {_WORDS[kind]}"
    name = findings.first_detector(kind)
    if not name:
        return f"{told}, no metric tells, and nobody sees it."
    usual, late = findings.quantile(kind, 0.5), findings.quantile(kind, 0.95)
    if name == REFUSED:
        who, what = "whoever calls the model", REFUSED
    else:
        who = by_name[name].receiver or "nobody (no receiver is given)"
        what = f"{by_name[name].metric} (detector {name})"
    if not math.isfinite(usual):
        return f"{told}, {what} may tell, but {_missed(kind, findings)}."
    after = f"half of the time within {_span(usual, plan)}"
    after += (
        f", 19 times out of 20 within {_span(late, plan)}"
        if math.isfinite(late)
        else f"; {_missed(kind, findings)}"
    )
    return f"{told}, {what} tells {who}: {after}."


def _span(rows: float, plan: Plan) -> str:
    text = f"{rows:,.0f} rows"
    if plan.rows_per_day is None:
        return text
    days = rows / plan.rows_per_day
    for unit, size in (("days", 1.0), ("hours", 1 / 24)):
        if days >= 2 * size:
            return f"{text} (about {days / size:.1f} {unit})"
    return f"{text} (about {days * 24 * 60:.0f} minutes)"


def evidence(judgement: Judgement, subjects: dict[str, str]) -> EvidenceDocument:
    """The numbers a policy may ask for.

    What was never detected is infinite, which JSON has no number for: it is written as null with
    the reason, and fails every rule that bounds it.
    """
    findings = judgement.findings
    values: dict[str, float | None] = {COMPLETE: float(judgement.complete)}
    notes = {} if judgement.complete else {COMPLETE: "; ".join(judgement.gaps)}
    for name, share in ((P50, 0.5), (P95, 0.95)):
        values[name] = findings.worst(share)
        for kind in findings.kinds:
            values[label(name, fault=kind)] = findings.quantile(kind, share)
    for kind in findings.kinds:
        values[label(DETECTED, fault=kind)] = findings.seen(kind)
    values[DETECTED] = min(map(findings.seen, findings.kinds), default=0.0)
    values[FALSE_ALARMS] = findings.false_alarm_rate
    blind = [kind for kind in findings.kinds if not math.isfinite(findings.quantile(kind, 0.95))]
    for kind in blind:
        for name in (P50, P95):
            notes[label(name, fault=kind)] = _missed(kind, findings)
    for name in (P50, P95):
        if not math.isfinite(values[name] or math.inf):
            told = "; ".join(f"{kind}: {_missed(kind, findings)}" for kind in blind)
            notes[name] = told or "no detector could be replayed"
    finite = {k: v if v is not None and math.isfinite(v) else None for k, v in values.items()}
    kept = {name: note for name, note in notes.items() if name == COMPLETE or finite[name] is None}
    intervals = {} if finite[FALSE_ALARMS] is None else {FALSE_ALARMS: _poisson(findings)}
    return EvidenceDocument(subjects, finite, intervals, kept)


def no_plan(subjects: dict[str, str]) -> EvidenceDocument:
    """Without a plan there is no value at all, so that every rule on one fails."""
    return EvidenceDocument(subjects, {}, notes=dict.fromkeys(NAMES, NO_PLAN))


def _poisson(findings: Findings) -> Interval:
    """Garwood's exact interval of a count, per 10,000 rows.

    As `statsmodels.stats.rates.confint_poisson`, to the last digit; SciPy has no interval of a
    count, and statsmodels is not in the image of evaluation.
    """
    from scipy.stats import chi2

    from assay.evidence.numbers import tidy

    count, tail = findings.false_alarms.total(), (1 - CONFIDENCE) / 2
    low = chi2.ppf(tail, 2 * count) / 2 if count else 0.0
    high = chi2.isf(tail, 2 * count + 2) / 2
    scale = PER_ROWS / findings.clean_rows
    return Interval(tidy(float(low * scale)), tidy(float(high * scale)), CONFIDENCE)
