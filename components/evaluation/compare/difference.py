"""The difference between two models on the same rows, and the verdict on it.

The verdict is that of a non-inferiority test with the given margin: pass when the whole interval
of the regression lies below the margin, block when the whole of it lies above, else inconclusive.
"""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from assay.components.compare.other_metrics import compare_others, names_of, none_compared
from assay.components.compare.settings import Settings
from assay.core.findings import Finding
from assay.errors import UsageError
from assay.evidence.format import EvidenceDocument, Interval
from assay.evidence.labels import label
from assay.evidence.numbers import tidy
from assay.models.statistics.estimates import estimate, settings_problems
from assay.models.statistics.intervals import Bounds, p_value
from assay.models.statistics.metrics import Predictions, metrics
from assay.models.statistics.paired import holm, mcnemar
from assay.models.statistics.predict import predict, require_primary
from assay.models.statistics.slices import Slice, check_slices, make_slices
from assay.models.statistics.uncertainty import (
    interval,
    minimum_detectable_difference,
    paired,
    regression,
)
from assay.text import regression_text

if TYPE_CHECKING:
    import pandas as pd

    from assay.models import LoadedModel

MAX_NAMED: Final = 5
"""Slices or classes that a text names; the report shows all slices."""
WAY_OUT: Final = "an approver may override the gate's decision"
ANY: Final = (-math.inf, math.inf)
DELTAS: Final = ("regression_delta", "regression_delta_lower", "regression_delta_upper")


@dataclass(frozen=True, slots=True)
class SliceDifference:
    """The difference in one slice."""

    name: str
    rows: int
    delta: float | None
    bounds: Interval | None
    p_value: float | None
    """Of a regression beyond the margin, corrected by Holm's method."""
    verdict: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows are compared: those that neither model was trained on."""

    new: NDArray[np.bool_]
    """For each test row, whether it is compared."""
    unknown: str = ""
    """Why it is unknown which rows a model was trained on; empty if it is known."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The result of a comparison."""

    primary: str
    evidence: EvidenceDocument
    slices: list[SliceDifference] = field(default_factory=list)


def no_production(subjects: dict[str, str]) -> Difference:
    """The result without a production model; the policy decides what follows."""
    notes = dict.fromkeys(DELTAS, "no model is in production")
    values: dict[str, float | None] = {"production_exists": 0.0, **none_compared()}
    evidence = EvidenceDocument(subjects, values, notes=notes, verdict="pass")
    return Difference("", evidence)


def compare(
    candidate: "LoadedModel",
    production: "LoadedModel",
    frame: "pd.DataFrame",
    groups: "pd.DataFrame",
    rows: Rows,
    settings: Settings,
    subjects: dict[str, str],
) -> Difference:
    """Compare two models, which `check` admits, on rows that neither was trained on.

    Args:
        candidate: The candidate model.
        production: The production model.
        frame: The test rows, as a model takes them.
        groups: The same rows with exact whole numbers, to slice by.
        rows: Which of them are compared.
        settings: The step's parameters.
        subjects: What the evidence is about.
    """
    primary = _primary(settings, candidate)
    everything = bool(rows.new.all())
    compared = frame if everything else frame[rows.new]
    counts: dict[str, float | None] = {
        "compared_rows": float(len(compared)),
        "left_out_rows": float(len(frame) - len(compared)),
    }
    if rows.unknown or len(compared) < settings.min_slice_rows:
        reason = rows.unknown or _too_few(len(compared), len(frame), settings)
        return not_compared(candidate, reason, settings, subjects, counts)
    values = _values(settings, counts)
    notes = candidate.info.class_notes()
    if not everything:
        for model in (candidate, production):
            model.check_table(compared)
    ours, theirs = predict(candidate, compared), predict(production, compared, candidate)
    require_primary(settings.primary_metric, list(metrics(ours)), candidate.task)
    same = subjects["model"] == subjects["production"]
    delta, bounds = _regression(primary, ours, theirs, settings, same=same)
    own = interval(bounds, delta, settings.confidence, ANY)
    by = groups if everything else groups[rows.new]
    slices = _slices(primary, ours, theirs, by, settings, candidate.target, same=same)
    verdict, reason = _verdict(primary, delta, own, slices, settings)
    # With the verdict, because whoever approves the release reads it there.
    reason = "; ".join(filter(None, [reason, _new_classes(candidate, production)]))
    values |= {
        "regression_delta": delta if math.isfinite(delta) else None,
        "regression_delta_lower": own.low if own else None,
        "regression_delta_upper": own.high if own else None,
        "minimum_detectable_difference": tidy(minimum_detectable_difference(own)) if own else None,
    }
    for prefix, predictions in (("candidate", ours), ("production", theirs)):
        found = estimate(metrics(predictions), len(compared))
        values.update({f"{prefix}_{n}": v if math.isfinite(v) else None for n, v in found.items()})
    if candidate.task != "regression":
        values["mcnemar_p_value"] = tidy(mcnemar(ours.right, theirs.right))
    intervals = {"regression_delta": own} if own else {}
    for part in slices:
        name = f"regression_delta{part.name}"
        values[name] = part.delta
        if part.bounds:
            intervals[name] = part.bounds
        if part.delta is None:
            notes[name] = f"{part.rows} rows are too few to judge"
    other_values, other_intervals, other_notes = compare_others(
        ours, theirs, primary, settings, same=same
    )
    values |= other_values
    intervals |= other_intervals
    notes |= other_notes
    evidence = EvidenceDocument(subjects, values, intervals, notes, verdict, reason)
    return Difference(primary, evidence, slices)


def not_compared(
    candidate: "LoadedModel",
    reason: str,
    settings: Settings,
    subjects: dict[str, str],
    counts: dict[str, float | None],
) -> Difference:
    """An inconclusive result.

    Args:
        candidate: The candidate model.
        reason: Why the difference is unknown.
        settings: The step's parameters.
        subjects: What the evidence is about.
        counts: Numbers of compared and left out rows; None if unknown.
    """
    primary = _primary(settings, candidate)
    values, notes = _values(settings, counts), candidate.info.class_notes()
    # No value, so that no rule passes.
    values |= dict.fromkeys((*DELTAS, *names_of(primary)))
    notes |= {name: reason for name, value in values.items() if value is None}
    evidence = EvidenceDocument(subjects, values, {}, notes, "inconclusive", reason)
    return Difference(primary, evidence)


def _values(settings: Settings, counts: dict[str, float | None]) -> dict[str, float | None]:
    return {
        "production_exists": 1.0,
        "regression_margin": settings.margin,
        "min_slice_rows": float(settings.min_slice_rows),
        **counts,
    }


def _primary(settings: Settings, candidate: "LoadedModel") -> str:
    from assay.models.statistics.metrics import DEFAULT_PRIMARY

    return settings.primary_metric or DEFAULT_PRIMARY[candidate.task]


def _too_few(compared: int, every: int, settings: Settings) -> str:
    left_out = every - compared
    if not left_out:
        return f"{every} test rows are too few to tell; the least is {settings.min_slice_rows}"
    return (
        f"{left_out} of {every} test rows are rows that a model was trained on; the other "
        f"{compared} are too few to tell, the least is {settings.min_slice_rows}"
    )


def check(
    candidate: "LoadedModel", production: "LoadedModel", frame: "pd.DataFrame", settings: Settings
) -> tuple[list[Finding], str]:
    """Check the parameters and the table, and whether the models can be compared on it.

    A production model that cannot be compared with the candidate, such as one for other classes or
    other columns, is not an error: no run could replace it. It is a fact that an approver decides
    about.

    Args:
        candidate: The new model.
        production: The model to compare with.
        frame: The test data.
        settings: The step's parameters.

    Returns:
        What a reader should know of how the rows differ from those of training; and why the models
        cannot be compared, empty if they can.

    Raises:
        UsageError: Parameters, or columns for the candidate, that cannot be; names all.
    """
    problems = settings_problems(
        settings.confidence, settings.resamples, settings.min_slice_rows, settings.seed
    )
    if not 0 <= settings.margin < math.inf:
        problems.append(f"margin is {settings.margin}; give 0 or more")
    both = (candidate.task, production.task) == ("binary", "binary")
    if both and candidate.positive != production.positive in candidate.classes:
        problems.append(
            f"the positive class of the production model is {str(production.positive)!r}, that of "
            f"the candidate {str(candidate.positive)!r}, so their metrics are about different "
            "things; train with production's as positive_label"
        )
    findings: list[Finding] = []
    reasons = _unlike(candidate, production)
    for role, model, found in (
        ("candidate", candidate, problems),
        ("production", production, reasons),
    ):
        try:
            findings += [
                Finding(one.code, f"{role}: {one.text}", one.columns)
                for one in model.check_table(frame)
                if one.code != "not-read"
            ]
        except UsageError as error:
            found.append(f"{role}: {error}")
    problems += check_slices(settings.slices, list(frame.columns), candidate.target)
    if problems:
        raise UsageError.all_of(problems)
    if not reasons:
        reasons = _unreadable(candidate, production, frame)
    if reasons:
        return findings, f"{'; '.join(reasons)}; {WAY_OUT}"
    if new := _new_classes(candidate, production):
        findings.append(Finding("new-classes", new, (candidate.target,)))
    return findings, ""


def _unlike(candidate: "LoadedModel", production: "LoadedModel") -> list[str]:
    """Why the metrics of two models are about different things; empty if they are not."""
    if candidate.target != production.target:
        text = (
            f"the production model predicts {production.target!r}, and the candidate "
            f"{candidate.target!r}; give another model_name for another target"
        )
        return [text]
    tasks = (production.task, candidate.task)
    if candidate.task != production.task and tasks != ("binary", "multiclass"):
        return [f"the production model is {production.task}, and the candidate {candidate.task}"]
    new = _new(candidate, production)
    if new and len(new) == len(candidate.classes):
        return [f"the production model knows none of the candidate's classes, {_some(new)}"]
    if candidate.task == "binary" and production.positive not in candidate.classes:
        text = f"the candidate does not know {str(production.positive)!r}, production's positive"
        return [f"{text} class"]
    return []


def _new(candidate: "LoadedModel", production: "LoadedModel") -> list[Any]:
    """The classes that only the candidate knows."""
    return [label for label in candidate.classes if label not in production.classes]


def _new_classes(candidate: "LoadedModel", production: "LoadedModel") -> str:
    """What the classes that only the candidate knows mean for the comparison; "" without any."""
    new = _some(_new(candidate, production))
    text = f"production does not know the classes {new}; their rows count as its errors"
    return text if new else ""


def _some(labels: list[Any]) -> str:
    more = ", …" * (len(labels) > MAX_NAMED)
    return ", ".join(repr(str(label)) for label in labels[:MAX_NAMED]) + more


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
        "candidate knows some of them"
        for name, share in production.unseen_shares(frame).items()
        if share == 1.0 and known.get(name, 1.0) < 1.0
    ]


def _regression(
    primary: str, ours: Predictions, theirs: Predictions, settings: Settings, *, same: bool
) -> tuple[float, Bounds | None]:
    """The regression, and its bounds; a model differs from itself by nothing, on any rows."""
    if same:
        return 0.0, lambda _: (0.0, 0.0)
    rows = len(ours.truth)
    found = [estimate({primary: metrics(data)[primary]}, rows)[primary] for data in (ours, theirs)]
    delta = tidy(regression(primary, *found))
    if not math.isfinite(delta):
        return delta, None
    return delta, paired(primary, ours, theirs, settings.resamples, settings.seed)


def _slices(
    primary: str,
    ours: Predictions,
    theirs: Predictions,
    frame: "pd.DataFrame",
    settings: Settings,
    target: str,
    *,
    same: bool,
) -> list[SliceDifference]:
    found: dict[str, tuple[Slice, float, Interval | None]] = {}
    raw: dict[str, float] = {}
    for part in make_slices(frame, settings.slices, target):
        name = label("", **part.labels)
        delta, bounds = _regression(
            primary, ours.take(part.rows), theirs.take(part.rows), settings, same=same
        )
        found[name] = (part, delta, interval(bounds, delta, settings.confidence, ANY))
        if len(part.rows) >= settings.min_slice_rows and bounds is not None:
            raw[name] = p_value(bounds, delta, settings.margin)
    corrected = holm(raw)
    return [
        SliceDifference(
            name,
            len(part.rows),
            delta if name in raw else None,
            bounds,
            tidy(corrected[name]) if name in raw else None,
            _slice_verdict(bounds, corrected[name], settings) if name in raw else "inconclusive",
        )
        for name, (part, delta, bounds) in found.items()
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
    shown = _worse(primary, delta, bounds, settings)
    if bounds.low > settings.margin:
        return "block", shown
    if worse:
        told = [
            _worse(f"{primary}{part.name}", part.delta, part.bounds, settings)
            for part in worse[:MAX_NAMED]
            if part.delta is not None
        ]
        more = [f"and {len(worse) - MAX_NAMED} more slices"] if len(worse) > MAX_NAMED else []
        return "block", "; ".join([*told, *more])
    # Equality of the bound and the margin does not prove less, but for a model and itself.
    if bounds.high < settings.margin or bounds.low == bounds.high == 0:
        return "pass", ""
    return (
        "inconclusive",
        f"{shown}, which lies within the interval: too little test data to decide",
    )


def _worse(name: str, delta: float, bounds: Interval | None, settings: Settings) -> str:
    own = None if bounds is None else (bounds.low, bounds.high, bounds.confidence)
    return regression_text(name, delta, own, "<", settings.margin)
