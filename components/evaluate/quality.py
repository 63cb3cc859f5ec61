"""Quality on held-out rows: metrics with intervals, slices and their gaps, behaviour."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay.checks import parse_checks
from assay.components.evaluate.behaviour import CheckResult, run_checks
from assay.errors import UsageError
from assay.evidence import EvidenceDocument, Interval, label
from assay.findings import Finding
from assay.statistics.bootstrap import distribution, estimate, interval, settings_problems, tidy
from assay.statistics.metrics import Predictions, metrics
from assay.statistics.predict import predict, require_primary
from assay.statistics.slices import Slice, make_slices

if TYPE_CHECKING:
    import pandas as pd

    from assay.model import LoadedModel

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
    """What was found."""

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
    checks: Path | None,
    settings: Settings,
    subjects: dict[str, str],
) -> Quality:
    """All of it, as evidence."""
    if problems := settings_problems(
        settings.confidence, settings.resamples, settings.min_slice_rows
    ):
        raise UsageError.all_of(problems)
    predictions = predict(model, frame)
    defined = metrics(predictions)
    primary = require_primary(settings.primary_metric, list(defined), model.task)
    values: dict[str, float | None] = {
        "test_rows": float(len(frame)),
        "classes": float(len(model.info.classes)),
    }
    intervals: dict[str, Interval] = {}
    notes: dict[str, str] = {}
    if findings := model.check_table(frame):
        notes["test_rows"] = "; ".join(finding.text for finding in findings)
    _measure(predictions, settings, {}, values, intervals, notes)
    slices = make_slices(frame, settings.slices, model.target)
    for part in slices:
        values[label("test_rows", **part.labels)] = float(len(part.rows))
        _measure(predictions.take(part.rows), settings, part.labels, values, intervals, notes)
    _gaps(slices, list(defined), settings, values, notes)
    results = _behaviour(model, frame, checks, values, notes)
    evidence = EvidenceDocument(subjects, values, intervals, notes)
    return Quality(primary, evidence, predictions, slices, results, findings)


def _measure(
    predictions: Predictions,
    settings: Settings,
    labels: dict[str, str],
    values: dict[str, float | None],
    intervals: dict[str, Interval],
    notes: dict[str, str],
) -> None:
    """Metrics with intervals for some rows, under names with `labels`."""
    rows = len(predictions.truth)
    defined = metrics(predictions)
    found = estimate(defined, rows)
    spread = distribution(defined, rows, settings.resamples, settings.seed)
    for name, value in found.items():
        full = label(name, **labels)
        if labels and rows < settings.min_slice_rows:
            values[full] = None
            notes[full] = (
                f"{rows} rows are too few to judge; the least is {settings.min_slice_rows}"
            )
            continue
        values[full] = value if math.isfinite(value) else None
        if values[full] is None:
            notes[full] = f"not defined for these {rows} rows"
        elif (found_interval := interval(spread[name], value, settings.confidence)) is not None:
            intervals[full] = found_interval


def _gaps(
    slices: list[Slice],
    names: list[str],
    settings: Settings,
    values: dict[str, float | None],
    notes: dict[str, str],
) -> None:
    """For each column, the largest minus the smallest value over its slices."""
    for column in dict.fromkeys(part.column for part in slices):
        parts = [part for part in slices if part.column == column]
        judged = [part for part in parts if len(part.rows) >= settings.min_slice_rows]
        for name in names:
            full = label(f"{name}_gap", column=column)
            found = [values[label(name, **part.labels)] for part in judged]
            numbers = [value for value in found if value is not None]
            if len(numbers) < 2 or len(numbers) < len(found):  # noqa: PLR2004 - two make a gap
                values[full] = None
                notes[full] = f"{len(numbers)} of {len(parts)} slices have a value"
            else:
                values[full] = tidy(max(numbers) - min(numbers))


def _behaviour(
    model: "LoadedModel",
    frame: "pd.DataFrame",
    checks: Path | None,
    values: dict[str, float | None],
    notes: dict[str, str],
) -> list[CheckResult]:
    if checks is None:
        # No value, so that a rule on it fails: nothing was checked, so nothing was found safe.
        notes["safety_violations"] = NO_CHECKS
        return []
    parsed = parse_checks((checks / "checks.yaml").read_bytes(), "checks.yaml")
    results = run_checks(model, frame, parsed)
    for result in results:
        values[label("safety_violations", check=result.name)] = float(result.violations)
    values["safety_violations"] = float(sum(result.violations for result in results))
    return results
