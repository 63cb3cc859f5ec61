"""What is checked, and the verdict on it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from assay import data
from assay.components.validate_data.drift import MIN_ROWS, ColumnDrift, find_drift, schema_changes
from assay.components.validate_data.expectations import Outcome, SuiteCheck
from assay.components.validate_data.structure import Structure, StructureCheck
from assay.core.findings import Finding
from assay.core.step import Dataset, Suite
from assay.data import DatasetInfo
from assay.data.columns import iter_columns
from assay.data.suite import FILE_NAME, MAX_SUITE_BYTES, parse_suite
from assay.data.suite import Suite as ParsedSuite
from assay.errors import UsageError
from assay.evidence.format import EvidenceDocument
from assay.evidence.labels import label
from assay.evidence.numbers import tidy

MAX_REASONS: Final = 20
"""Problems that the one-line reason names; the summary names all."""
MAX_REASON: Final = 400
"""Characters of one problem in the reason."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The step's parameters."""

    target: str
    drift_share: float
    drift_threshold: float


@dataclass(frozen=True, slots=True)
class Drift:
    """What was found against the reference."""

    rows: int
    """Of the reference."""
    columns: tuple[ColumnDrift, ...]
    left_out: dict[str, str]
    """Columns that were not compared, with the reason."""
    changes: tuple[str, ...]
    """Of the schema."""
    share: float | None
    """Of the compared columns, how many drifted; None when none was compared."""
    too_small: str = ""
    """Why drift could not be looked for."""


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a validation."""

    evidence: EvidenceDocument
    rows: int
    structure: Structure
    suite: str
    """The suite's name; empty without one."""
    outcomes: tuple[Outcome, ...] | None
    """In the suite's order; None without a suite."""
    drift: Drift | None
    """None without a reference."""
    problems: tuple[str, ...]
    """Every reason for a verdict that is not pass."""
    findings: tuple[Finding, ...] = ()
    """Findings of the time when the dataset was made."""


@dataclass
class _Judgement:
    """Collects the problems and the numbers."""

    numbers: dict[str, float | None] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    blocked: list[str] = field(default_factory=list)
    open_questions: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        if self.blocked:
            return "block"
        return "inconclusive" if self.open_questions else "pass"

    @property
    def problems(self) -> list[str]:
        """One line each."""
        return [" ".join(text.split()) for text in self.blocked + self.open_questions]


def validate(
    dataset: Dataset, suite: Suite | None, reference: Dataset | None, settings: Settings
) -> Found:
    """Check the structure; with a suite, expectations; with a reference, drift.

    Args:
        dataset: The dataset.
        suite: Its expectations, or None.
        reference: The dataset to look for drift against, or None.
        settings: The step's parameters.

    Raises:
        UsageError: An invalid suite or threshold; names all.
    """
    _check(settings)
    expected = None if suite is None else SuiteCheck(dataset.path, _read_suite(suite.path))
    table = data.info(dataset.path)
    checks = StructureCheck(table.rows, settings.target)
    for column in iter_columns(dataset.path):
        checks.add(column)
        if expected is not None:
            expected.add(column)
    judged = _Judgement()
    shape = _structure(checks.finish(), table, judged)
    outcomes = None if expected is None else _expectations(expected, judged)
    subjects = {"data": dataset.digest}
    drift = None
    if reference is not None:
        subjects["reference"] = reference.digest
        drift = _drift(table, dataset.path, reference.path, settings, judged)
    evidence = EvidenceDocument(
        subjects,
        judged.numbers,
        notes=judged.notes,
        verdict=judged.verdict,
        reason="; ".join(reasons(judged.problems)),
    )
    name = "" if expected is None else expected.suite.name
    problems = tuple(judged.problems)
    return Found(evidence, table.rows, shape, name, outcomes, drift, problems, table.findings)


def _check(settings: Settings) -> None:
    problems = []
    if not 0 < settings.drift_share <= 1:
        problems.append(f"drift_share is {settings.drift_share}; give a share above 0, at most 1")
    # Wasserstein distances have no upper end, and a p-value's threshold is not this one.
    if not 0 < settings.drift_threshold < float("inf"):
        problems.append(f"drift_threshold is {settings.drift_threshold}; give a number above 0")
    if problems:
        raise UsageError.all_of(problems)


def _read_suite(folder: Path) -> ParsedSuite:
    try:
        with (folder / FILE_NAME).open("rb") as stream:
            text = stream.read(MAX_SUITE_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"suite: it holds no {FILE_NAME} ({error.strerror}); give the digest of a suite"
        ) from error
    return parse_suite(text, name=FILE_NAME)


def _structure(found: Structure, table: DatasetInfo, judged: _Judgement) -> Structure:
    judged.numbers |= {
        "rows": float(table.rows),
        "columns": float(len(table.columns)),
        "duplicate_rows_share": found.duplicate_rows_share,
        "missing_share": found.missing_share,
    }
    judged.blocked += [finding.text for finding in found.findings if finding.blocks]
    return found


def _expectations(expected: SuiteCheck, judged: _Judgement) -> tuple[Outcome, ...]:
    outcomes, given = tuple(expected.finish()), len(expected.suite.expectations)
    failed = [outcome for outcome in outcomes if outcome.success is not True]
    if not outcomes or len(outcomes) != given:
        judged.blocked.append(f"{len(outcomes)} of {given} expectations were judged")
    judged.blocked += [outcome.text for outcome in failed]
    judged.numbers["expectations"] = float(given)
    # Those that nothing was said about have not held either.
    judged.numbers["failed_expectations"] = float(len(failed) + max(0, given - len(outcomes)))
    return outcomes


def _drift(
    table: DatasetInfo, folder: Path, reference: Path, settings: Settings, judged: _Judgement
) -> Drift:
    before = data.info(reference)
    changes = tuple(schema_changes(table, before))
    judged.blocked += changes
    if min(table.rows, before.rows) < MIN_ROWS:
        text = (
            f"{table.rows} rows against {before.rows} of the reference are too few to tell drift; "
            f"give at least {MIN_ROWS} of each"
        )
        judged.open_questions.append(text)
        return Drift(before.rows, (), {}, changes, None, text)
    shared = {c.name: c.type for c in table.columns if before.types.get(c.name) == c.type}
    columns, left_out = find_drift(folder, reference, shared, settings.drift_threshold)
    share = _judge_drift(columns, settings.drift_share, judged)
    return Drift(before.rows, tuple(columns), left_out, changes, share)


def _judge_drift(columns: Sequence[ColumnDrift], limit: float, judged: _Judgement) -> float | None:
    """The share of drifted columns, with its evidence."""
    drifted = [column for column in columns if column.drifted]
    for column in columns:
        name = label("drift_score", column=column.name)
        judged.numbers[name] = column.score
        if column.score is None:
            judged.notes[name] = column.method
    judged.numbers["drifted_columns"] = float(len(drifted))
    if not columns:
        judged.numbers["drifted_columns_share"] = None
        judged.notes["drifted_columns_share"] = "no column could be compared"
        judged.open_questions.append("no column could be compared with the reference")
        return None
    share = len(drifted) / len(columns)
    judged.numbers["drifted_columns_share"] = tidy(share)
    if share >= limit:
        named = ", ".join(
            f"{column.name} ({'no score' if column.score is None else f'{column.score:.3g}'})"
            for column in drifted
        )
        judged.blocked.append(
            f"{len(drifted)} of {len(columns)} columns drifted from the reference; allowed below "
            f"{limit:.0%}: {named}"
        )
    return tidy(share)


def reasons(problems: Sequence[str]) -> list[str]:
    """The first problems, each of bounded length."""
    cut = [p if len(p) <= MAX_REASON else f"{p[:MAX_REASON]}…" for p in problems[:MAX_REASONS]]
    more = len(problems) - MAX_REASONS
    return [*cut, f"and {more} more, see the report"] if more > 0 else cut
