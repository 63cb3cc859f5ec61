"""Structural checks of random tables, beside pandas."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from assay import data
from assay.components.validate_data.structure import Structure, StructureCheck
from assay.data.columns import iter_columns
from assay.data.exact_integers import read_exact


def checked(folder: Path, columns: dict[str, pa.Array], target: str = "") -> Structure:
    made = pa.table(columns)
    folder.mkdir()
    data.write(made.to_batches(), made.schema, folder)
    check = StructureCheck(made.num_rows, target)
    for column in iter_columns(folder):
        check.add(column)
    return check.finish()


def some(rng: random.Random, rows: int, values: list[Any], kind: pa.DataType) -> pa.Array:
    return pa.array([rng.choice([*values, None]) for _ in range(rows)], kind)


@pytest.mark.parametrize("seed", range(40))
def test_repeated_rows_and_missing_cells_are_those_that_pandas_counts(
    tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    rows = rng.choice([1, 2, 5, 30, 200])
    columns = {
        "flag": some(rng, rows, [True, False], pa.bool_()),
        "number": some(rng, rows, [0.0, -0.0, 1.5, float("inf")], pa.float64()),
        "whole": some(rng, rows, [1, 2], pa.int64()),
        "wide": some(rng, rows, [2**60, 2**60 + 1], pa.int64()),
        "text": some(rng, rows, ["", "a", "b"], pa.string()),
        "moment": some(rng, rows, [0, 1], pa.timestamp("us")),
        "key": pa.array([rng.randint(0, 2 * rows) for _ in range(rows)]),
    }
    names = rng.sample(sorted(columns), rng.randint(1, len(columns)))
    found = checked(tmp_path / "data", {name: columns[name] for name in names})
    frame = read_exact(tmp_path / "data")
    assert found.duplicate_rows_share == pytest.approx(frame.duplicated().mean(), rel=1e-11)
    assert found.missing_share == pytest.approx(frame.isna().to_numpy().mean(), rel=1e-11)
    constant = [n for n in names if rows > 1 and len(frame[n].unique()) == 1]
    said = {finding.text for finding in found.findings}
    for name in names:
        is_constant = name in constant and frame[name].notna().all()
        assert (f"column {name!r} has one value only" in said) == is_constant


def test_rows_that_differ_in_the_last_column_only_are_no_repetition(tmp_path: Path) -> None:
    same = pa.array([1.5] * 1000)
    last = pa.array([*range(999), 0])
    found = checked(tmp_path / "data", {"a": same, "b": same, "c": last})
    assert found.duplicate_rows_share == 0.001
    assert [finding.text for finding in found.findings] == [
        "column 'a' has one value only",
        "column 'b' has one value only",
        "1 rows (0.10%) repeat an earlier one",
    ]
