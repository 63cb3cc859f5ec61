"""Quality on held-out rows: metrics with intervals, slices and their gaps, behaviour."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from assay.components.evaluate.behaviour import CheckResult, run_checks
from assay.core.findings import Finding
from assay.errors import UsageError
from assay.evidence.format import EvidenceDocument, Interval
from assay.evidence.labels import label
from assay.evidence.numbers import tidy
from assay.models.behaviour import parse_checks
from assay.models.statistics.estimates import estimate, settings_problems
from assay.models.statistics.metrics import Predictions, metrics
from assay.models.statistics.predict import predict, require_primary
from assay.models.statistics.slices import Slice, make_slices
from assay.models.statistics.uncertainty import interval, single, value_range

if TYPE_CHECKING:
    import pandas as pd

    from assay.models import LoadedModel

MAX_NAMED: Final = 5
"""Limit of small slices in a note; the evidence has all."""
NO_CHECKS: Final = "no behavioural checks were given"


@dataclass(frozen=True, slots=True)
class Settings:
    """The step's parameters."""

    slices: tuple[str, ...]
    primary_metric: str
    confidence: float
    resamples: int
    min_slice_rows: int
    seed: int


@dataclass(frozen=True, slots=True)
class Quality:
    """The result of an evaluation."""

    primary: str
    evidence: EvidenceDocument
    predictions: Predictions
    slices: list[Slice]
    checks: list[CheckResult]
    findings: list[Finding]
    """How the rows differ from those that the model was trained on."""


def evaluate(
    model: "LoadedModel",
    frame: "pd.DataFrame",
    groups: "pd.DataFrame",
    checks: Path | None,
    settings: Settings,
    subjects: dict[str, str],
) -> Quality:
    """Measure a model and return the evidence.

    Args:
        model: The model.
        frame: The rows, as a model takes them.
        groups: The same rows with exact whole numbers, to slice by.
        checks: Folder of the behavioural checks, if there are any.
        settings: The step's parameters.
        subjects: What the evidence is about.
    """
    if problems := settings_problems(
        settings.confidence, settings.resamples, settings.min_slice_rows, settings.seed
    ):
        raise UsageError.all_of(problems)
    findings = model.check_table(frame)
    predictions = predict(model, frame)
    defined = metrics(predictions)
    primary = require_primary(settings.primary_metric, list(defined), model.task)
    collected = _Evidence(
        {
            "test_rows": float(len(frame)),
            "classes": float(len(model.info.classes)),
            "min_slice_rows": float(settings.min_slice_rows),
        },
        notes=model.info.class_notes(),
    )
    if findings:
        collected.notes["test_rows"] = "; ".join(finding.text for finding in findings)
    _measure(predictions, settings, {}, collected)
    slices = make_slices(groups, settings.slices, model.target)
    for part in slices:
        collected.numbers[label("test_rows", **part.labels)] = float(len(part.rows))
        _measure(predictions.take(part.rows), settings, part.labels, collected)
    _gaps(slices, list(defined), settings, collected)
    results = _behaviour(model, frame, checks, collected.numbers, collected.notes)
    evidence = EvidenceDocument(subjects, collected.numbers, collected.intervals, collected.notes)
    return Quality(primary, evidence, predictions, slices, results, findings)


@dataclass
class _Evidence:
    """The evidence while it is collected."""

    numbers: dict[str, float | None] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def _measure(
    predictions: Predictions, settings: Settings, labels: dict[str, str], collected: _Evidence
) -> None:
    """Metrics with intervals for some rows, under names with `labels`.

    A slice that is too small to judge has an interval and no value, so that a gate is inconclusive.
    """
    rows = len(predictions.truth)
    small = bool(labels) and rows < settings.min_slice_rows
    for name, value in estimate(metrics(predictions), rows).items():
        full = label(name, **labels)
        defined = math.isfinite(value)
        collected.numbers[full] = value if defined and not small else None
        if small:
            collected.notes[full] = (
                f"{rows} rows are too few to judge; the least is {settings.min_slice_rows}"
            )
        elif not defined:
            collected.notes[full] = f"not defined for these {rows} rows"
        limits = value_range(name)
        bounds = single(name, predictions, value, settings.resamples, settings.seed)
        own = interval(bounds, value, settings.confidence, limits)
        if own is None and small and all(map(math.isfinite, limits)):
            own = Interval(*limits, settings.confidence)  # anything is possible
        if own is not None:
            collected.intervals[full] = own


def _gaps(slices: list[Slice], names: list[str], settings: Settings, collected: _Evidence) -> None:
    """For each column, the largest minus the smallest value over its slices.

    A slice that is too small to judge still widens the interval by what its own admits; then the
    gap has no value.
    """
    for column in dict.fromkeys(part.column for part in slices):
        parts = [part for part in slices if part.column == column]
        small = [part for part in parts if len(part.rows) < settings.min_slice_rows]
        for name in names:
            full = label(f"{name}_gap", column=column)
            own = [label(name, **part.labels) for part in parts]
            numbers = [value for n in own if (value := collected.numbers[n]) is not None]
            undefined = len(parts) - len(small) - len(numbers)
            collected.numbers[full] = None
            if len(parts) < 2 or undefined:  # noqa: PLR2004 - two make a gap
                collected.notes[full] = f"{len(numbers)} of {len(parts)} slices have a value"
                continue
            if small:
                collected.notes[full] = _too_small(small, len(parts))
            else:
                collected.numbers[full] = tidy(max(numbers) - min(numbers))
            ends = [(collected.numbers[n], collected.intervals.get(n)) for n in own]
            known = [(value, bounds) for value, bounds in ends if bounds is not None]
            if len(known) == len(parts):
                collected.intervals[full] = _gap_interval(known)


def _too_small(small: list[Slice], count: int) -> str:
    named = ", ".join(
        f"{label('', **part.labels)} ({len(part.rows)} rows)" for part in small[:MAX_NAMED]
    )
    more = f" and {len(small) - MAX_NAMED} more" if len(small) > MAX_NAMED else ""
    return f"{len(small)} of {count} slices are too small to judge: {named}{more}"


def _gap_interval(parts: list[tuple[float | None, Interval]]) -> Interval:
    """The widest interval of the difference of two of the slices.

    Of two, it is that of independent estimates; see `statistics.intervals.square_and_add`.
    """
    lows = np.array([bounds.low for _, bounds in parts])
    highs = np.array([bounds.high for _, bounds in parts])
    values = np.array(
        [(own.low + own.high) / 2 if value is None else value for value, own in parts]
    )
    low = high = 0.0
    for first, below, above in zip(values, lows, highs, strict=True):
        difference = first - values
        low = max(low, float((difference - np.hypot(first - below, highs - values)).max()))
        high = max(high, float((difference + np.hypot(above - first, values - lows)).max()))
    return Interval(tidy(low), tidy(high), parts[0][1].confidence)


def _behaviour(
    model: "LoadedModel",
    frame: "pd.DataFrame",
    checks: Path | None,
    values: dict[str, float | None],
    notes: dict[str, str],
) -> list[CheckResult]:
    if checks is None:
        # No value, so that a rule on it fails: nothing was checked.
        notes["safety_violations"] = NO_CHECKS
        return []
    parsed = parse_checks((checks / "checks.yaml").read_bytes(), "checks.yaml")
    results = run_checks(model, frame, parsed)
    for result in results:
        values[label("safety_violations", check=result.name)] = float(result.violations)
    values["safety_violations"] = float(sum(result.violations for result in results))
    return results
