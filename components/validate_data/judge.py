"""What is checked, and the verdict on it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from assay.components.validate_data.drift import MIN_ROWS, ColumnDrift, find_drift
from assay.components.validate_data.expectations import Outcome, run_suite
from assay.components.validate_data.structure import Finding, structure

from assay import dataset as data
from assay.errors import UsageError
from assay.evidence import EvidenceDocument, label
from assay.statistics.bootstrap import tidy
from assay.step import Dataset, Suite
from assay.suite import parse_suite

if TYPE_CHECKING:
    import pandas as pd

MAX_REASONS: Final = 10


@dataclass(frozen=True, slots=True)
class Settings:
    """The step's parameters."""

    target: str
    drift_share: float
    drift_threshold: float
    max_sample_rows: int


@dataclass(frozen=True, slots=True)
class Found:
    """What was found."""

    evidence: EvidenceDocument
    rows: int
    findings: list[Finding]
    outcomes: list[Outcome] | None
    """None when no suite was given."""
    drift: list[ColumnDrift] | None
    """None when no reference was given."""
    notes: list[str] = field(default_factory=list)


def validate(
    dataset: Dataset, suite: Suite | None, reference: Dataset | None, settings: Settings
) -> Found:
    """Structure always, expectations with a suite, drift with a reference."""
    _check(settings)
    info = data.info(dataset.path)
    frame = data.read(dataset.path)
    findings = structure(info, frame, settings.target)
    values: dict[str, float | None] = {
        "rows": float(info.rows),
        "columns": float(len(info.columns)),
        "duplicate_rows_share": tidy(float(frame.duplicated().mean())),
        "missing_share": tidy(sum(c.nulls for c in info.columns) / (info.rows * len(info.columns))),
    }
    blocked = [finding.text for finding in findings if finding.blocks]
    open_questions: list[str] = []
    outcomes = None
    if suite is not None:
        parsed = parse_suite((suite.path / "suite.json").read_bytes(), name="suite.json")
        outcomes = run_suite(frame, parsed)
        failed = [outcome for outcome in outcomes if not outcome.success]
        values["expectations"] = float(len(parsed.expectations))
        values["failed_expectations"] = float(len(failed))
        blocked += [outcome.text for outcome in failed]
        if len(outcomes) != len(parsed.expectations) or not outcomes:
            blocked.append(
                f"{len(outcomes)} of {len(parsed.expectations)} expectations were judged"
            )
    drift = None
    subjects = {"data": dataset.digest}
    if reference is not None:
        subjects["reference"] = reference.digest
        drift, problems, too_small = _drift(frame, reference, settings, values)
        blocked += problems
        open_questions += too_small
    verdict = "block" if blocked else "inconclusive" if open_questions else "pass"
    reason = _reason(blocked or open_questions)
    evidence = EvidenceDocument(subjects, values, verdict=verdict, reason=reason)
    return Found(evidence, info.rows, findings, outcomes, drift)


def _check(settings: Settings) -> None:
    problems = []
    for name in ("drift_share", "drift_threshold"):
        value = getattr(settings, name)
        if not 0 < value <= 1:
            problems.append(f"{name} is {value}; give a share above 0, at most 1")
    if settings.max_sample_rows < MIN_ROWS:
        problems.append(f"max_sample_rows is {settings.max_sample_rows}; give at least {MIN_ROWS}")
    if problems:
        raise UsageError.all_of(problems)


def _drift(
    frame: "pd.DataFrame",
    reference: Dataset,
    settings: Settings,
    values: dict[str, float | None],
) -> tuple[list[ColumnDrift], list[str], list[str]]:
    other = data.read(reference.path)
    missing = [name for name in other.columns if name not in frame.columns]
    added = [name for name in frame.columns if name not in other.columns]
    problems = [f"column {name!r} of the reference is missing" for name in missing]
    problems += [f"column {name!r} is not in the reference" for name in added]
    if min(len(frame), len(other)) < MIN_ROWS:
        small = f"{len(frame)} rows against {len(other)} of the reference are too few to tell drift"
        return [], problems, [f"{small}; the least is {MIN_ROWS}"]
    shared = [name for name in frame.columns if name in other.columns]
    found = find_drift(
        frame[shared], other[shared], settings.drift_threshold, settings.max_sample_rows
    )
    drifted = [column for column in found if column.drifted]
    share = len(drifted) / len(found) if found else 1.0
    values["drifted_columns"] = float(len(drifted))
    values["drifted_columns_share"] = tidy(share)
    for column in found:
        values[label("drift_score", column=column.name)] = column.score
    if share >= settings.drift_share:
        named = ", ".join(
            f"{c.name} ({c.score:.3g})" if c.score is not None else c.name for c in drifted
        )
        problems.append(
            f"{len(drifted)} of {len(found)} columns drifted from the reference "
            f"(limit {settings.drift_share:g}): {named}"
        )
    return found, problems, []


def _reason(problems: list[str]) -> str:
    shown = "; ".join(problems[:MAX_REASONS])
    more = len(problems) - MAX_REASONS
    return f"{shown}; and {more} more, see the report" if more > 0 else shown
