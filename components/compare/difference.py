"""The difference between two models on the same rows, and the verdict on it.

The verdict is that of a non-inferiority test with the given margin: pass when the whole interval
of the regression lies below the margin, block when the whole of it lies above, else inconclusive.
"""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.components.compare.others import compare_others, none_compared
from assay.errors import UsageError
from assay.evidence import EvidenceDocument, Interval, label
from assay.findings import Finding
from assay.statistics.bootstrap import estimate, interval, settings_problems, tidy
from assay.statistics.metrics import Predictions, metrics
from assay.statistics.paired import (
    difference_distribution,
    exceeds,
    holm,
    mcnemar,
    minimum_detectable_difference,
    regression,
)
from assay.statistics.predict import predict, require_primary
from assay.statistics.slices import Slice, make_slices

if TYPE_CHECKING:
    import pandas as pd

    from assay.model import LoadedModel


@dataclass(frozen=True, slots=True)
class Settings:
    """The step's parameters."""

    primary_metric: str
    margin: float
    slices: tuple[str, ...]
    confidence: float
    resamples: int
    min_slice_rows: int
    seed: int


@dataclass(frozen=True, slots=True)
class SliceDifference:
    """What was found for one slice."""

    name: str
    rows: int
    delta: float | None
    bounds: Interval | None
    p_value: float | None
    """Of a regression beyond the margin, corrected by Holm's method."""
    verdict: str


@dataclass(frozen=True, slots=True)
class Difference:
    """What was found."""

    primary: str
    evidence: EvidenceDocument
    slices: list[SliceDifference] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    """How the rows differ from those that the models were trained on."""


def no_production(subjects: dict[str, str]) -> Difference:
    """Nothing to compare with; the policy decides what follows."""
    note = "no model is in production"
    evidence = EvidenceDocument(
        subjects,
        {"production_exists": 0.0, **none_compared()},
        notes=dict.fromkeys(
            ("regression_delta", "regression_delta_lower", "regression_delta_upper"), note
        ),
        verdict="pass",
    )
    return Difference("", evidence)


def compare(
    candidate: "LoadedModel",
    production: "LoadedModel",
    frame: "pd.DataFrame",
    settings: Settings,
    subjects: dict[str, str],
) -> Difference:
    """Compare two models on the rows of `frame`."""
    findings = _check(candidate, production, frame, settings)
    ours, theirs = predict(candidate, frame), predict(production, frame)
    primary = require_primary(settings.primary_metric, list(metrics(ours)), candidate.task)
    delta, spread = _regression(primary, ours, theirs, settings)
    bounds = interval(spread, delta, settings.confidence)
    slices = _slices(primary, ours, theirs, frame, settings, candidate.target)
    verdict, reason = _verdict(primary, delta, bounds, slices, settings)
    values: dict[str, float | None] = {
        "production_exists": 1.0,
        "regression_delta": delta,
        "regression_delta_lower": bounds.low if bounds else None,
        "regression_delta_upper": bounds.high if bounds else None,
        "minimum_detectable_difference": tidy(
            minimum_detectable_difference(float(np.nanstd(spread, ddof=1)), settings.confidence)
        ),
    }
    for prefix, predictions in (("candidate", ours), ("production", theirs)):
        found = estimate(metrics(predictions), len(frame))
        values.update({f"{prefix}_{n}": v if math.isfinite(v) else None for n, v in found.items()})
    if candidate.task != "regression":
        values["mcnemar_p_value"] = tidy(
            mcnemar(ours.predicted == ours.truth, theirs.predicted == theirs.truth)
        )
    intervals = {"regression_delta": bounds} if bounds else {}
    notes: dict[str, str] = {}
    for part in slices:
        name = f"regression_delta{part.name}"
        values[name] = part.delta
        if part.bounds:
            intervals[name] = part.bounds
        if part.delta is None:
            notes[name] = f"{part.rows} rows are too few to judge"
    other_values, other_intervals, other_notes = compare_others(ours, theirs, primary, settings)
    values |= other_values
    intervals |= other_intervals
    notes |= other_notes
    evidence = EvidenceDocument(subjects, values, intervals, notes, verdict, reason)
    return Difference(primary, evidence, slices, findings)


def _check(
    candidate: "LoadedModel", production: "LoadedModel", frame: "pd.DataFrame", settings: Settings
) -> list[Finding]:
    """Refuse what cannot be compared; what a reader should know of the rest."""
    problems = settings_problems(settings.confidence, settings.resamples, settings.min_slice_rows)
    if not 0 <= settings.margin < math.inf:
        problems.append(f"margin is {settings.margin}; give 0 or more")
    if candidate.task != production.task or candidate.target != production.target:
        problems.append(
            f"the production model is {production.task} for {production.target!r}, the candidate "
            f"{candidate.task} for {candidate.target!r}; they cannot be compared"
        )
    # A production model that cannot read today's data is a fact that the release must face, and no
    # reason to pass: the run stops here and names the model.
    findings: list[Finding] = []
    for role, model in (("candidate", candidate), ("production", production)):
        try:
            findings += [
                Finding(one.code, f"{role}: {one.text}", one.columns)
                for one in model.check_table(frame)
                if one.code != "not-read"
            ]
        except UsageError as error:
            problems.append(f"{role}: {error}")
    if not problems:
        problems += _unreadable(candidate, production, frame)
    if problems:
        raise UsageError.all_of(problems)
    return findings


def _unreadable(
    candidate: "LoadedModel", production: "LoadedModel", frame: "pd.DataFrame"
) -> list[str]:
    """Columns of which production knows no value at all, and the candidate knows some.

    Such a production model is measured on data that it cannot read, such as codes that are
    written another way since, and any candidate would win.
    """
    known = candidate.unseen_shares(frame)
    return [
        f"production: none of the values of column {name!r} were in its training data, and the "
        "candidate knows some of them; give data that both can read"
        for name, share in production.unseen_shares(frame).items()
        if share == 1.0 and known.get(name, 1.0) < 1.0
    ]


def _regression(
    primary: str, ours: Predictions, theirs: Predictions, settings: Settings
) -> tuple[float, Any]:
    candidate, production = metrics(ours)[primary], metrics(theirs)[primary]
    rows = len(ours.truth)
    ones = np.ones((1, rows))
    delta = tidy(float(regression(primary, candidate(ones), production(ones))[0]))
    spread = difference_distribution(
        primary, candidate, production, rows, settings.resamples, settings.seed
    )
    return delta, spread


def _slices(
    primary: str,
    ours: Predictions,
    theirs: Predictions,
    frame: "pd.DataFrame",
    settings: Settings,
    target: str,
) -> list[SliceDifference]:
    found: dict[str, tuple[Slice, float, Interval | None]] = {}
    small: list[Slice] = []
    raw: dict[str, float] = {}
    for part in make_slices(frame, settings.slices, target):
        if len(part.rows) < settings.min_slice_rows:
            small.append(part)
            continue
        name = label("", **part.labels)
        delta, spread = _regression(primary, ours.take(part.rows), theirs.take(part.rows), settings)
        found[name] = (part, delta, interval(spread, delta, settings.confidence))
        raw[name] = exceeds(spread, settings.margin)
    corrected = holm(raw)
    results = [
        SliceDifference(
            name,
            len(part.rows),
            delta if math.isfinite(delta) else None,
            bounds,
            tidy(corrected[name]),
            _slice_verdict(bounds, corrected[name], settings),
        )
        for name, (part, delta, bounds) in found.items()
    ]
    return results + [
        SliceDifference(label("", **part.labels), len(part.rows), None, None, None, "inconclusive")
        for part in small
    ]


def _slice_verdict(bounds: Interval | None, p_value: float, settings: Settings) -> str:
    if p_value < 1 - settings.confidence:
        return "block"
    if bounds is not None and bounds.high < settings.margin:
        return "pass"
    return "inconclusive"


def _verdict(
    primary: str,
    delta: float,
    bounds: Interval | None,
    slices: list[SliceDifference],
    settings: Settings,
) -> tuple[str, str]:
    worse = [part for part in slices if part.verdict == "block"]
    if bounds is None:
        return "inconclusive", f"{primary} has no interval on these rows; give more test data"
    shown = (
        f"{primary} of the candidate is worse by {delta:.4g}, interval {bounds.low:.4g} to "
        f"{bounds.high:.4g}, margin {settings.margin:g}"
    )
    if bounds.low > settings.margin:
        return "block", shown
    if worse:
        named = ", ".join(f"{part.name} by {part.delta:.4g}" for part in worse)
        return "block", f"{primary} is worse beyond the margin of {settings.margin:g} for {named}"
    # Equality of the bound and the margin is no proof of less.
    if bounds.high < settings.margin or bounds.low == bounds.high == 0:
        return "pass", ""
    return (
        "inconclusive",
        f"{shown}: too little test data to tell; give more rows or a wider margin",
    )
