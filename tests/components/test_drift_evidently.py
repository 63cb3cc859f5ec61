"""Measures and scores are those of Evidently, on random and on real data."""

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from assay import data
from assay.components.validate_data import drift

ROWS = (600, 4000)
"""Rows of the reference: for p-values, and for distances."""


@pytest.fixture(scope="module")
def evidently() -> Any:
    """Evidently's method and score of a column."""
    patch = pytest.MonkeyPatch()
    patch.setenv("DO_NOT_TRACK", "1")
    patch.setenv("ITERATIVE_DO_NOT_TRACK", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report
        from evidently.metrics import ValueDrift

    def measure(now: pd.Series, before: pd.Series, numeric: bool) -> tuple[str, float]:
        kind = "numerical_columns" if numeric else "categorical_columns"
        definition = DataDefinition(**{kind: ["x"]})
        sides = [
            Dataset.from_pandas(pd.DataFrame({"x": side}), data_definition=definition)
            for side in (now, before)
        ]
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stderr(io.StringIO()),
            np.errstate(all="ignore"),
        ):
            warnings.simplefilter("ignore")
            (metric,) = Report([ValueDrift(column="x")]).run(*sides).dict()["metrics"]
        return metric["config"]["method"], float(metric["value"])

    yield measure
    patch.undo()


def ours(now: pd.DataFrame, before: pd.DataFrame, folder: Path) -> dict[str, drift.ColumnDrift]:
    for name, frame in (("now", now), ("before", before)):
        table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata()
        (folder / name).mkdir(parents=True)
        data.write(table.to_batches(), table.schema, folder / name, rows_per_part=3000)
    types = data.info(folder / "now").types
    columns, _ = drift.find_drift(folder / "now", folder / "before", types, 0.1)
    return {column.name: column for column in columns}


def compare(now: pd.DataFrame, before: pd.DataFrame, folder: Path, evidently: Any) -> set[str]:
    """The methods, after both answers were compared."""
    methods = set()
    for name, column in ours(now, before, folder).items():
        numeric = now[name].dtype.kind in "if"
        sides = [frame[name] for frame in (now, before)]
        if numeric:
            # Evidently divides by 0.001 if the standard deviation is smaller.
            sides = [side * 1024 for side in sides]
        else:
            # Evidently leaves out missing values.
            sides = [side.astype(object).where(side.notna(), "?").astype(str) for side in sides]
        method, score = evidently(*sides, numeric)
        assert column.method == method, name
        # Six decimal places, and the stated tolerance of a distance.
        near = drift.TOLERANCE * max(1, score) if method.startswith("Wasserstein") else 1e-6
        assert column.score == pytest.approx(score, abs=near), name
        if column.score != pytest.approx(column.threshold, abs=near):
            assert column.drifted == ((score < 0.05) if "p_value" in method else score >= 0.1), name
        methods.add(method)
    return methods


def random_table(rows: int, moved: float, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    normal = random.normal(moved, 1, rows)
    shares = np.array([5, 3, 2, 1]) + np.array([0, 1, 0, 1]) * moved
    shares = shares / shares.sum()
    return pd.DataFrame(
        {
            "normal": normal,
            "far": 1e6 + normal,
            "skewed": np.exp(2 * normal),
            "gaps": np.where(random.random(rows) < 0.1, np.nan, normal),
            "whole": np.round(normal * 100).astype(int),
            "few": random.choice([-1.5, 0.0, 2.0, 7.0], rows, p=shares),
            "two": random.choice([0, 1], rows, p=[0.5 - moved / 4, 0.5 + moved / 4]),
            "text": random.choice(["a", "b", "c", None], rows, p=shares),
            "flag": random.random(rows) < 0.5 + moved / 5,
            "many": [f"v{v}" for v in np.floor(np.abs(normal) * 40).astype(int)],
        }
    )


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("moved", [0.0, 0.08, 0.5])
def test_random_tables(rows: int, moved: float, tmp_path: Path, evidently: Any) -> None:
    before, now = random_table(rows, 0, 1), random_table(3000, moved, 2)
    methods = compare(now, before, tmp_path, evidently)
    expected = (
        {"K-S p_value", "chi-square p_value", "Z-test p_value"}
        if rows <= 1000
        else {"Wasserstein distance (normed)", "Jensen-Shannon distance"}
    )
    assert methods == expected


def test_more_numbers_than_cells(tmp_path: Path, evidently: Any) -> None:
    before, now = random_table(70_000, 0, 1), random_table(90_000, 0.08, 2)
    names = ["normal", "far", "skewed", "gaps"]
    compare(now[names], before[names], tmp_path, evidently)


@pytest.mark.parametrize("rows", ROWS)
def test_the_census(shared_data: Path, rows: int, tmp_path: Path, evidently: Any) -> None:
    before = pd.read_csv(shared_data / "adult-train.csv", skipinitialspace=True).head(rows)
    now = pd.read_csv(shared_data / "adult-test.csv", skipinitialspace=True)
    compare(now, before, tmp_path, evidently)


@pytest.mark.parametrize("rows", [900, 22_656])
def test_the_electricity_market(
    shared_data: Path, rows: int, tmp_path: Path, evidently: Any
) -> None:
    table = pd.read_csv(shared_data / "elec.csv")
    compare(table.iloc[22_656:], table.iloc[:rows], tmp_path, evidently)
