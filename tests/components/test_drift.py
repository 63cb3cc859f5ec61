"""Drift scores are those of SciPy on the source data, whatever the unit."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats
from scipy.spatial import distance

from assay import data
from assay.components.validate_data import drift
from assay.data import profile
from assay.data.profile import LIMIT, keys

UNITS = (1.0, 1e-6, 1e-12, 1e-300, 1e12, 1e200)
NEAR = 2e-6
"""Scores have six decimal places."""


def written(values: Any, folder: Path) -> Path:
    """A dataset with the column x."""
    column = pa.array(values, from_pandas=True)
    folder.mkdir()
    batch = pa.record_batch([column], names=["x"])
    data.write([batch], batch.schema, folder, rows_per_part=700)
    return folder


def found(now: Any, before: Any) -> drift.ColumnDrift:
    with tempfile.TemporaryDirectory() as name:
        sides = [written(now, Path(name, "now")), written(before, Path(name, "before"))]
        columns, left_out = drift.find_drift(*sides, data.info(sides[0]).types, 0.1)
    assert left_out == {}
    (column,) = columns
    return column


def shares(values: Any, keys: Any) -> np.ndarray:
    counted: Mapping[Any, float] = pd.Series(values).value_counts(normalize=True).to_dict()
    return np.array([counted.get(key, 0.0) for key in keys])


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("moved", [0.0, 0.05, 0.3, 2.0])
def test_a_large_reference_is_compared_by_the_normed_distance(unit: float, moved: float) -> None:
    random = np.random.default_rng(0)
    before, now = random.normal(5, 2, 3000), random.normal(5 + moved, 2, 2000)
    right = stats.wasserstein_distance(before, now) / before.std()
    column = found(now * unit, before * unit)
    assert column.method == "Wasserstein distance (normed)"
    assert column.score == pytest.approx(right, abs=NEAR)
    assert column.drifted == (right >= 0.1)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("moved", [0.0, 0.3])
def test_a_small_reference_is_compared_by_kolmogorov_and_smirnov(unit: float, moved: float) -> None:
    random = np.random.default_rng(1)
    before, now = random.normal(0, 1, 500), random.normal(moved, 1, 700)
    column = found(now * unit, before * unit)
    assert column.method == "K-S p_value"
    assert column.score == pytest.approx(stats.ks_2samp(before, now).pvalue, abs=NEAR)


@pytest.mark.parametrize("unit", [1.0, 1e-6, 1e12])
def test_few_different_numbers_are_compared_as_categories(unit: float) -> None:
    random = np.random.default_rng(2)
    before = random.choice([1, 2, 3], 2000, p=[0.5, 0.3, 0.2]) * unit
    now = random.choice([1, 2, 3], 2000, p=[0.4, 0.3, 0.3]) * unit
    keys = sorted({*before, *now})
    right = distance.jensenshannon(shares(before, keys), shares(now, keys))
    column = found(now, before)
    assert column.method == "Jensen-Shannon distance"
    assert column.score == pytest.approx(right, abs=NEAR)


@pytest.mark.parametrize("rows", [800, 3000])
def test_texts_are_compared_by_their_shares(rows: int) -> None:
    random = np.random.default_rng(3)
    before = random.choice(["a", "b", "c"], rows, p=[0.5, 0.3, 0.2])
    now = random.choice(["a", "b", "c"], 900, p=[0.45, 0.3, 0.25])
    keys = ["a", "b", "c"]
    old, new = shares(before, keys), shares(now, keys)
    right = stats.chisquare(new * 900, old * 900).pvalue
    if rows > 1000:
        right = distance.jensenshannon(old, new)
    column = found(now.astype(object), before.astype(object))
    assert column.score == pytest.approx(right, abs=NEAR)


def test_two_categories_are_compared_as_proportions() -> None:
    before, now = [True] * 300 + [False] * 200, [True] * 330 + [False] * 170
    pooled = 630 / 1000
    z = (330 / 500 - 300 / 500) / np.sqrt(pooled * (1 - pooled) * 2 / 500)
    column = found(now, before)
    assert column.method == "Z-test p_value"
    assert column.score == pytest.approx(2 * stats.norm.sf(abs(z)), abs=NEAR)


def test_a_column_in_millionths_that_drifts_is_seen() -> None:
    random = np.random.default_rng(4)
    before, now = random.normal(1e-6, 2e-7, 5000), random.normal(3e-6, 2e-7, 5000)
    column = found(now, before)
    assert column.drifted
    assert column.score == pytest.approx(10, rel=0.05)


def test_identifiers_beyond_53_bits_that_move_by_little_are_seen() -> None:
    first = 2**60
    before = np.arange(first, first + 2000, dtype=np.int64)
    right = 1000 / np.arange(2000).std()
    assert found(before + 1000, before).score == pytest.approx(right, abs=NEAR)
    gaps = np.array([*before[:-1] + 1000, np.nan], dtype=object)
    gaps[:-1] = [int(value) for value in gaps[:-1]]
    assert found(gaps, before).score == pytest.approx(right, rel=1e-2)
    assert not found(before, before).drifted


def test_a_text_that_says_missing_is_no_missing_value() -> None:
    before = np.array(["a", None] * 500, dtype=object)
    now = np.array(["a", "(missing)"] * 500, dtype=object)
    assert found(now, before).drifted
    assert not found(before, before).drifted


def test_another_value_than_the_only_one_of_the_reference_has_drifted() -> None:
    before = np.full(2000, 1e-9)
    now = np.linspace(1e-9, 2e-9, 2000)
    assert found(now, before).drifted
    assert not found(before, before).drifted


@pytest.mark.parametrize("rows", [500, 3000])
@pytest.mark.parametrize("sign", [1, -1])
def test_values_that_become_infinite_are_drift(rows: int, sign: int) -> None:
    """They have no distance, and without them the rest looks as it did."""
    random = np.random.default_rng(5)
    before = random.normal(0, 1, rows)
    now = np.where(np.arange(rows) % 10 < 3, sign * np.inf, before)
    for one, other in ((now, before), (before, now)):
        column = found(one, other)
        assert column.drifted
        assert column.method == "difference in the share of infinite values"
        assert column.score == pytest.approx(0.3, abs=NEAR)
        assert column.histogram is not None
    assert not found(now, now).drifted
    few = np.where(np.arange(rows) % 100 == 0, sign * np.inf, before)
    assert not found(few, before).drifted
    assert found(np.full(rows, sign * np.inf), before).drifted


def test_a_distance_near_the_threshold_is_counted_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """More numbers than cells: where the bounds include the threshold, the verdict is exact."""
    random = np.random.default_rng(6)
    before = random.normal(0, 1, 100_000)
    moved = before + 0.1 * before.std()
    exact = stats.wasserstein_distance(before, moved) / before.std()
    limits = []
    profiles = drift.profiles
    monkeypatch.setattr(
        drift, "profiles", lambda *given: limits.append(given[2]) or profiles(*given)
    )
    for now, right in (
        (moved + 1e-5, exact + 1e-5),
        (moved - 1e-5, exact - 1e-5),
        (moved + 0.1, exact + 0.1),
    ):
        column = found(now, before)
        assert column.score == pytest.approx(right, abs=drift.TOLERANCE)
        assert column.drifted == (right >= 0.1)
    # Only those near the threshold were read twice, once for each side.
    assert limits == [LIMIT, LIMIT, 32 * LIMIT, 32 * LIMIT] * 2 + [LIMIT, LIMIT]


def test_bounds_that_are_far_apart_are_not_reported() -> None:
    """Numbers of all sizes: half of the cells are used for values that are nearly zero."""
    random = np.random.default_rng(7)
    before = np.exp(random.uniform(-600, 0, 120_000))
    now = np.exp(random.uniform(-600, 0, 120_000)) * 1.3
    right = stats.wasserstein_distance(before, now) / before.std()
    assert found(now, before).score == pytest.approx(right, abs=drift.TOLERANCE)


def test_a_small_reference_is_compared_exactly_with_many_rows() -> None:
    random = np.random.default_rng(8)
    before, now = random.normal(0, 1, 900), random.normal(0.02, 1, 100_000)
    column = found(now, before)
    assert column.method == "K-S p_value"
    assert column.score == pytest.approx(stats.ks_2samp(before, now).pvalue, abs=NEAR)


NAMES = [f"name {number}" for number in range(2 * LIMIT)]


def test_more_texts_than_a_profile_holds_are_compared_by_hash() -> None:
    random = np.random.default_rng(9)
    before, now = (list(random.choice(NAMES, 4 * LIMIT)) for _ in range(2))
    column = found(now, before)
    assert column.method == "Jensen-Shannon distance of hashed texts"
    # The texts of two samples differ by chance.
    known = sorted({*before, *now})
    exact = distance.jensenshannon(shares(before, known), shares(now, known))
    assert 0.1 < (column.score or 0) < exact
    few = ["name 1", "name 2"] * 1000
    assert found(now, few).drifted
    assert found(few, before).drifted


@pytest.mark.parametrize("rows", [1000, 2 * LIMIT])
def test_texts_that_all_differ_on_both_sides_are_keys(tmp_path: Path, rows: int) -> None:
    unique = [NAMES[:rows], [f"other {name}" for name in NAMES[:rows]]]
    twice = [*unique[0][:-1], unique[0][0]]
    gaps = [*unique[0][:-1], None]
    for number, (now, before, is_key) in enumerate(
        [
            (*unique, True),
            (twice, unique[1], False),
            (unique[1], twice, False),
            (gaps, unique[1], False),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        sides = [written(now, folder / "now"), written(before, folder / "before")]
        columns, left_out = drift.find_drift(*sides, {"x": "string"}, 0.1)
        assert bool(left_out) == is_key == (not columns)


def test_equal_hashes_are_not_equal_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "of_texts", lambda texts: np.array([*map(len, texts)], dtype=int))
    column = profile.of_array("string", pa.array(NAMES))
    assert profile.all_differ(column, written(NAMES, tmp_path / "all"), "x")
    twice = [*NAMES, NAMES[5]]
    column = profile.of_array("string", pa.array(twice))
    assert not profile.all_differ(column, written(twice, tmp_path / "twice"), "x")
