"""split_data: the work."""

import math
from collections.abc import Sequence
from typing import Final

from assay.core.findings import Finding, named, values
from assay.core.step import Dataset, Out, Values, step
from assay.data import DatasetInfo, column_problems
from assay.errors import UsageError

SHARE_TOLERANCE: Final = 0.05
"""How much the share of held-out rows may deviate without a finding."""

_NEARLY: Final = frozenset({"not-numbers", "not-iso-time"})
"""Codes of findings about columns that would have another type without a few values."""


@step
def split_data(
    *,
    data: Dataset,
    target: str = "",
    split_by: str = "hash",
    key_columns: list[str] = [],  # noqa: B006 - read only
    drop_columns: list[str] = [],  # noqa: B006
    time_column: str = "",
    test_fraction: float = 0.25,
    stratify: bool = False,
    salt: str = "",
    train: Out[Dataset],
    test: Out[Dataset],
) -> Values:
    """Split rows into training and test sets; an entity never changes sides as data grows.

    By hash: the side of a row depends on its key only (`key_columns`, or the whole row without
    `drop_columns`), so it keeps its side whatever other rows are added or removed, and rows that a
    model cannot tell apart are never on both sides. The exception are rows that turn a column of
    fractions or times into text; a finding reports them. A row without any value in the key is an
    entity of its own, and a finding reports how many there are. With `stratify`, each class is held
    to `test_fraction` to within one entity, and each class of two entities or more is on both
    sides; a side then also depends on the rows before, so it is kept when rows are appended. By
    time: the latest rows are the test set, and rows of one time are on one side; the cut moves as
    data grows.

    Args:
        data: A dataset.
        target: Column to predict; needed with stratify.
        split_by: "hash" (of key_columns, or of the whole row) or "time".
        key_columns: Columns that name an entity; all its rows are on one side.
        drop_columns: Columns that are not features: rows that differ only in them are equal.
        time_column: Column of dates, times or numbers; the latest rows are the test set.
        test_fraction: Share of rows held out, between 0 and 1.
        stratify: Give both sides the same share of each class.
        salt: Any text; another salt is another split.
        train: The training rows.
        test: The test rows.

    Returns:
        train_rows (int): Number of training rows.
        test_rows (int): Number of test rows.

    Raises:
        UsageError: Unknown columns, parameters that contradict each other, a fraction outside of
            (0, 1), a side without rows, or a class without rows on one side.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from assay import data as dataset
    from assay.components.split_data import assignment

    info = dataset.info(data.path)
    keys = [str(name) for name in key_columns]
    dropped = {str(name) for name in drop_columns}
    whole = [name for name in info.names if name not in dropped]
    problems = column_problems(keys, info.names, "key_columns")
    problems += column_problems(sorted(dropped), info.names, "drop_columns")
    if not whole:
        problems.append("drop_columns: no column is left; drop fewer")
    if target:
        problems += column_problems([target], info.names, "target")
    if split_by == "time":
        problems += _time_problems(info, time_column, keys, stratify=stratify)
    else:
        problems += _hash_problems(split_by, time_column, target, stratify=stratify)
    if not 0 < test_fraction < 1:
        problems.append(f"test_fraction is {test_fraction}; give a share between 0 and 1")
    if problems:
        raise UsageError.all_of(problems)
    decide: assignment.ByTime | assignment.ByHash
    if split_by == "time":
        decide = assignment.ByTime(data.path, time_column, test_fraction)
    else:
        strata = target if stratify else ""
        decide = assignment.ByHash(data.path, keys or whole, salt, test_fraction, strata, whole)
    sides = assignment.Sides(data.path, target, required=stratify)
    schema = dataset.arrow_schema(data.path)
    with (
        dataset.Writer(schema, train.path) as train_writer,
        dataset.Writer(schema, test.path) as test_writer,
    ):
        for batch in dataset.iter_batches(data.path):
            held_out = pa.array(decide(batch))
            train_rows, test_rows = batch.filter(pc.invert(held_out)), batch.filter(held_out)
            sides.add(train_rows, test_rows)
            train_writer.add(train_rows)
            test_writer.add(test_rows)
        sides.check()
        unknown = decide.unknown if keys else 0
        findings = _findings(keys, unknown, test_fraction, sides.test, info.rows)
        if split_by == "hash":
            findings += _moved(info, keys or info.names)
        for writer in (train_writer, test_writer):
            writer.finish(findings)
    return {"train_rows": sides.train, "test_rows": sides.test, **values(findings)}


def _findings(
    keys: list[str], unknown: int, fraction: float, held_out: int, rows: int
) -> list[Finding]:
    """What a person should know about the split."""
    findings = []
    if unknown:
        findings.append(
            Finding(
                "unknown-entity",
                f"{unknown:,} of {rows:,} rows have no value in key_columns ({named(keys)}); each "
                "is taken for an entity of its own, so one entity may be on both sides: fill the "
                "values in, or remove these rows",
                tuple(keys),
            )
        )
    share = held_out / rows
    # Three standard errors of a share of rows that are drawn one by one.
    if abs(share - fraction) > SHARE_TOLERANCE + 3 * math.sqrt(fraction * (1 - fraction) / rows):
        findings.append(
            Finding(
                "share-off",
                f"{share:.1%} of the rows are held out where test_fraction asks for "
                f"{fraction:.1%}: a few entities or times have many of the rows",
                tuple(keys),
            )
        )
    return findings


def _moved(info: DatasetInfo, keys: Sequence[str]) -> list[Finding]:
    """Findings about keys that are text because of a few values, and may have been numbers."""
    nearly = {
        name for finding in info.findings if finding.code in _NEARLY for name in finding.columns
    }
    columns = [name for name in keys if name in nearly]
    if not columns:
        return []
    text = (
        f"{named(columns)}: text because of some values among numbers or times; if a split of "
        "earlier rows read it as numbers or times, rows may stand on other sides than there (1.50 "
        "is hashed as 1.5 only as a number): correct these values, or leave the column out of the "
        "key"
    )
    return [Finding("sides-may-move", text, tuple(columns))]


def _hash_problems(split_by: str, time_column: str, target: str, *, stratify: bool) -> list[str]:
    if split_by != "hash":
        return [f"split_by: {split_by!r} is not a way to split; use 'hash' or 'time'"]
    problems = []
    if time_column:
        problems.append(
            "time_column goes with split_by='time'; set that, or leave time_column empty"
        )
    if stratify and not target:
        problems.append("stratify needs the target; name its column")
    return problems


def _time_problems(info: DatasetInfo, column: str, keys: list[str], *, stratify: bool) -> list[str]:
    problems = []
    if stratify:
        problems.append(
            "stratify goes with split_by='hash'; a cut in time leaves no choice of rows"
        )
    if keys:
        problems.append("key_columns goes with split_by='hash'; a cut in time may part an entity")
    if not column:
        return [*problems, "time_column is missing; name the column to split by"]
    if unknown := column_problems([column], info.names, "time_column"):
        return [*problems, *unknown]
    kind, nulls = info.column(column).type, info.column(column).nulls
    if kind in {"string", "bool"}:
        problems.append(
            f"time_column {column!r} is {kind}; give a column of dates, times or numbers (text in "
            "ISO 8601, such as 2024-05-31, is read as a date)"
        )
    if nulls:
        problems.append(
            f"time_column {column!r} has {nulls:,} missing values; remove these rows, or split by "
            "hash"
        )
    return problems
