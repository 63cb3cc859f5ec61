"""Profiles: merged without loss, bounded, and their distances within the stated bounds."""

import itertools
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from assay import data
from assay.data.profile import LIMIT, Profile, merge, of_array, profiles, wasserstein
from assay.data.profile.keys import of_floats, short, to_floats
from assay.data.profile.profile import Profiler

FLOATS = st.floats(allow_nan=True, width=64) | st.sampled_from([0.0, -0.0, 1.0, 1e-310, 1e300])
TYPES = {"int64": pa.int64(), "float64": pa.float64(), "string": pa.string(), "bool": pa.bool_()}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int64": st.integers(-(2**63), 2**63 - 1) | st.integers(-20, 20),
    "float64": FLOATS,
    "string": st.text(max_size=3),
    "bool": st.booleans(),
}
LOW = 8
"""A limit that few values reach."""


@st.composite
def parts(draw: st.DrawFn) -> tuple[str, list[list[Any]]]:
    """The type of a column, and its values in parts."""
    kind = draw(st.sampled_from(sorted(TYPES)))
    part = st.lists(VALUES[kind] | st.none(), max_size=30)
    return kind, draw(st.lists(part, min_size=1, max_size=5))


def profile(kind: str, values: list[Any], limit: int | None = LOW) -> Profile:
    return of_array(kind, pa.array(values, TYPES[kind], from_pandas=True), limit)


@given(parts())
def test_merged_parts_are_the_profile_of_all_rows_in_any_order(
    given_parts: tuple[str, list[list[Any]]],
) -> None:
    kind, pieces = given_parts
    whole = profile(kind, list(itertools.chain(*pieces)))
    single = [profile(kind, piece) for piece in pieces]
    for order in itertools.islice(itertools.permutations(single), 6):
        assert merge(order, LOW) == whole
    one_by_one = single[0]
    for piece in single[1:]:
        one_by_one = merge([one_by_one, piece], LOW)
    assert one_by_one == whole
    profiler = Profiler(kind, LOW)
    for piece in pieces:
        profiler.add(pa.array(piece, TYPES[kind], from_pandas=True))
    assert profiler.profile() == whole


@given(parts())
def test_a_profile_is_bounded_and_its_counts_are_exact(
    given_parts: tuple[str, list[list[Any]]],
) -> None:
    kind, pieces = given_parts
    values = list(itertools.chain(*pieces))
    found = profile(kind, values)
    present = [v for v in values if v is not None and (kind == "string" or not math.isnan(v))]
    finite = [v for v in present if kind == "string" or abs(v) != math.inf]
    assert (found.rows, found.missing) == (len(values), len(values) - len(present))
    assert found.finite == len(finite)
    assert found.negative_infinities + found.infinities == len(present) - len(finite)
    assert found.distinct <= LOW
    different = len(set(finite))
    assert found.exact == (different <= LOW)
    if found.exact:
        assert found.distinct == different
    if found.numeric:
        assert found.minimum == min(finite, default=None)
        assert found.maximum == max(finite, default=None)
    if found.cells is not None:
        assert found.cells.counts.sum() == len(finite)
        assert (found.cells.keys[1:] > found.cells.keys[:-1]).all()


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_keys_have_the_order_of_the_numbers(values: list[float]) -> None:
    numbers = np.array(values)
    keys = of_floats(numbers)
    assert (to_floats(keys) == numbers).all()
    for (a, x), (b, y) in itertools.combinations(zip(values, keys.tolist(), strict=True), 2):
        assert (a < b, a == b) == (x < y, x == y)


SIDES = st.lists(
    st.floats(-1e300, 1e300) | st.floats(-10, 10) | st.floats(1e9, 1e9 + 1), min_size=1
)


@settings(max_examples=300)
@given(SIDES, SIDES, st.sampled_from([8, 16]))
def test_the_exact_distance_is_within_the_bounds(
    before: list[float], now: list[float], limit: int
) -> None:
    exact = wasserstein(profile("float64", before, None), profile("float64", now, None))
    rough = wasserstein(profile("float64", before, limit), profile("float64", now, limit))
    assert exact.low == exact.value == exact.high
    assert rough.low <= rough.value <= rough.high
    assert rough.low <= exact.value * (1 + 1e-9)
    assert exact.value <= rough.high * (1 + 1e-9) or rough.high == exact.value


@settings(max_examples=300)
@given(SIDES, SIDES)
def test_the_exact_distance_is_that_of_scipy(before: list[float], now: list[float]) -> None:
    unit = -math.frexp(max(map(abs, before + now)))[1]
    old, new = (np.ldexp(side, unit) for side in (before, now))
    deviation = float(np.std(old))
    if not deviation > 1e-6:
        return
    right = stats.wasserstein_distance(old, new) / deviation
    found = wasserstein(profile("float64", before, None), profile("float64", now, None))
    assert found.value == pytest.approx(right, rel=1e-6, abs=1e-9)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2), st.integers(1, 1000))
def test_whole_numbers_of_any_size_keep_their_distances(values: list[int], step: int) -> None:
    before = [v for v in values if v < 2**63 - 1 - step] or [0]
    now = [v + step for v in before]
    found = wasserstein(profile("int64", before, None), profile("int64", now, None))
    least = min(before)
    deviation = float(np.std([float(v - least) for v in before]))
    if deviation == 0:
        assert found.value == math.inf
    else:
        assert found.value == pytest.approx(step / deviation, rel=1e-6)


def test_a_million_numbers_far_from_zero_are_counted_finely(tmp_path: Path) -> None:
    """Times in seconds: neither a shift nor a scale is needed."""
    random = np.random.default_rng(0)
    sides = [1.7e9 + 3600 * random.random(300_000) + 10 * k for k in range(2)]
    rough = wasserstein(*(of_array("float64", pa.array(side)) for side in sides))
    exact = wasserstein(*(of_array("float64", pa.array(side), None) for side in sides))
    assert rough.high - rough.low < 0.001
    assert abs(rough.value - exact.value) < 1e-6


def test_an_outlier_does_not_make_the_other_cells_wider() -> None:
    values = np.random.default_rng(1).normal(0, 1, 200_000)
    calm = of_array("float64", pa.array(values))
    wild = of_array("float64", pa.array([*values, 1e300, -1e300]))
    assert calm.cells is not None
    assert wild.cells is not None
    assert wild.cells.level - calm.cells.level <= 1


def test_more_texts_than_the_limit_are_counted_by_hash() -> None:
    texts = [f"t{number}" for number in range(2 * LIMIT)]
    found = of_array("string", pa.array(texts))
    assert found.texts is None
    assert found.cells is not None
    assert len(found.cells.keys) <= LIMIT
    assert found.cells.counts.sum() == len(texts)
    assert found == of_array("string", pa.array(texts[::-1]))


def test_long_texts_are_kept_short_and_apart() -> None:
    long = ["x" * 1000 + end for end in "ab"]
    found = of_array("string", pa.array([*long, long[0]]))
    assert sorted((found.texts or {}).values()) == [1, 2]
    assert all(len(text) < 200 for text in found.texts or {})
    assert short(short(long[0])) != short(long[0])


def test_each_column_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(2)
    table = pa.table({"a": random.normal(size=5000), "b": ["x", "y"] * 2500, "c": [1.0] * 5000})
    data.write(table.to_batches(), table.schema, tmp_path, rows_per_part=700)
    decoded: Counter[str] = Counter()
    iter_batches = pa.parquet.ParquetFile.iter_batches

    def counted(self: Any, rows: int, columns: list[str]) -> Any:
        for batch in iter_batches(self, rows, columns=columns):
            decoded.update(dict.fromkeys(columns, batch.num_rows))
            yield batch

    monkeypatch.setattr(pa.parquet.ParquetFile, "iter_batches", counted)
    found = profiles(tmp_path, ["a", "b"])
    assert decoded == {"a": 5000, "b": 5000}
    assert found["a"] == of_array("float64", table["a"].combine_chunks())
    assert found["b"].texts == {"x": 2500, "y": 2500}
