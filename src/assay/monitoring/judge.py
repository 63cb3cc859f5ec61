"""Check whether a plan is complete, describe how it detects faults, and produce its evidence."""

import math
from collections.abc import Iterator, Mapping
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
"""Minimum share of detected replays for a plan to cover a kind of fault."""
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
    """The assessment of a plan."""

    gaps: tuple[str, ...]
    """Reasons why the plan is incomplete, one line each."""
    answers: dict[str, str]
    """By kind of fault: which metric detects it, after how many rows, and who gets the alarm."""
    findings: Findings

    @property
    def complete(self) -> bool:
        """Whether the plan has no gaps."""
        return not self.gaps


def judge(plan: Plan, info: "ModelInfo", findings: Findings) -> Judgement:
    """Assess a plan.

    Args:
        plan: The plan.
        info: Description of the model.
        findings: Result of the replay of the plan.

    Returns:
        The gaps of the plan, and a sentence for each kind of fault.
    """
    by_name = {detector.name: detector for detector in plan.detectors}
    answers = {kind: _answer(kind, plan, by_name, findings) for kind in findings.kinds}
    return Judgement(tuple(_gaps(plan, info, findings)), answers, findings)


def _gaps(plan: Plan, info: "ModelInfo", findings: Findings) -> Iterator[str]:
    yield from plan_problems(plan, info)
    for detector in plan.detectors:
        yield from detector.gaps()
    yield from _unwatched(plan, info)
    if not findings.kinds:
        yield "no detector could be replayed, so that no fault was seen"
    for kind in findings.kinds:
        if findings.seen(kind) < MIN_SEEN:
            yield f"no detector sees that {_WORDS[kind]}: {_missed(kind, findings)}"


def _unwatched(plan: Plan, info: "ModelInfo") -> Iterator[str]:
    """Features and predictions that no complete detector monitors."""
    working = [detector for detector in plan.detectors if not detector.gaps()]
    watched = {column for detector in working for column in watched_columns(detector, info)}
    for role, names in (("numeric", info.numeric), ("categorical", info.categorical)):
        if bare := [name for name in names if name not in watched]:
            yield f"no detector watches the {role} features {', '.join(map(repr, bare))}"
    if _PREDICTIONS.isdisjoint(detector.metric for detector in working):
        yield "no detector watches the predictions (prediction_psi, or positive_rate)"


def _missed(kind: str, findings: Findings) -> str:
    replays = findings.of(kind)
    missed = sum(not math.isfinite(replay.rows) for replay in replays)
    return f"{missed} of {len(replays)} replays ended without an alarm"


def _answer(kind: str, plan: Plan, by_name: dict[str, Detector], findings: Findings) -> str:
    condition = f"If {_WORDS[kind]}"
    name = findings.first_detector(kind)
    if not name:
        return f"{condition}, no metric tells, and nobody sees it."
    usual, late = findings.quantile(kind, 0.5), findings.quantile(kind, 0.95)
    if name == REFUSED:
        receiver, source = "whoever calls the model", REFUSED
    else:
        receiver = by_name[name].receiver or "nobody (no receiver is given)"
        source = f"{by_name[name].metric} (detector {name})"
    if not math.isfinite(usual):
        return f"{condition}, {source} may tell, but {_missed(kind, findings)}."
    after = f"half of the time within {_span(usual, plan)}"
    after += (
        f", 19 times out of 20 within {_span(late, plan)}"
        if math.isfinite(late)
        else f"; {_missed(kind, findings)}"
    )
    return f"{condition}, {source} tells {receiver}: {after}."


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
    """The numbers that a policy may use.

    The time to detect is infinite if a fault was never detected. JSON cannot represent that: the
    value is null, a note gives the reason, and every rule on it fails.
    """
    findings = judgement.findings
    values = {
        name: value if math.isfinite(value) else None for name, value in _values(judgement).items()
    }
    notes = {name: note for name, note in _notes(findings, values).items() if values[name] is None}
    if not judgement.complete:
        notes = {COMPLETE: "; ".join(judgement.gaps), **notes}
    intervals = {} if values[FALSE_ALARMS] is None else {FALSE_ALARMS: _poisson(findings)}
    return EvidenceDocument(subjects, values, intervals, notes)


def _values(judgement: Judgement) -> dict[str, float]:
    findings = judgement.findings
    values = {COMPLETE: float(judgement.complete)}
    for name, share in ((P50, 0.5), (P95, 0.95)):
        values[name] = findings.worst(share)
        for kind in findings.kinds:
            values[label(name, fault=kind)] = findings.quantile(kind, share)
    for kind in findings.kinds:
        values[label(DETECTED, fault=kind)] = findings.seen(kind)
    values[DETECTED] = min(map(findings.seen, findings.kinds), default=0.0)
    values[FALSE_ALARMS] = findings.false_alarm_rate
    return values


def _notes(findings: Findings, values: Mapping[str, float | None]) -> dict[str, str]:
    """The reasons why times to detect are infinite."""
    notes = {}
    blind = [kind for kind in findings.kinds if not math.isfinite(findings.quantile(kind, 0.95))]
    for kind in blind:
        for name in (P50, P95):
            notes[label(name, fault=kind)] = _missed(kind, findings)
    for name in (P50, P95):
        if values[name] is None:
            missed = "; ".join(f"{kind}: {_missed(kind, findings)}" for kind in blind)
            notes[name] = missed or "no detector could be replayed"
    return notes


def no_plan(subjects: dict[str, str]) -> EvidenceDocument:
    """Evidence without values, so that every rule on a value fails."""
    return EvidenceDocument(subjects, {}, notes=dict.fromkeys(NAMES, NO_PLAN))


def _poisson(findings: Findings) -> Interval:
    """Garwood's exact confidence interval of the false alarms per 10,000 rows.

    Equal to `statsmodels.stats.rates.confint_poisson` to the last digit; SciPy has no interval of a
    count, and statsmodels is not in the image of evaluation.
    """
    from scipy.stats import chi2

    from assay.evidence.numbers import tidy

    count, tail = findings.false_alarms.total(), (1 - CONFIDENCE) / 2
    low = chi2.ppf(tail, 2 * count) / 2 if count else 0.0
    high = chi2.isf(tail, 2 * count + 2) / 2
    scale = PER_ROWS / findings.clean_rows
    return Interval(tidy(float(low * scale)), tidy(float(high * scale)), CONFIDENCE)
