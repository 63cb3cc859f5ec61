"""Which rows of a table another table contains: equal to a comparison value by value."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from assay.data.overlap import _Key, _places, _row_hashes, contained_in

NUMBERS = st.one_of(
    st.sampled_from([0, 1, -1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63 - 2, -(2**63)]),
    st.integers(-(2**63), 2**63 - 1),
    st.none(),
)
FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 5e-324, float(2**53), float(2**63), -float(2**63), math.nan]),
    st.floats(),
    st.none(),
)
TEXTS = st.one_of(st.sampled_from(["", "\0", "\0\0", "0", "a", "ab", "b"]), st.text(), st.none())
TYPES = [
    (pa.int64(), NUMBERS),
    (pa.float64(), FLOATS),
    (pa.bool_(), st.one_of(st.booleans(), st.none())),
    (pa.string(), TEXTS),
    (pa.date32(), st.one_of(st.integers(-1000, 1000), st.none())),
    (pa.timestamp("us"), st.one_of(st.integers(-(10**15), 10**15), st.none())),
]


def identity(value: Any, kind: pa.DataType) -> tuple[str, Any]:
    """What two cells must have in common to be equal."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ("missing", None)
    if pa.types.is_date(kind):
        return ("time", value * 86_400_000_000)
    if pa.types.is_timestamp(kind):
        return ("time", value)
    # Python compares integers and floats exactly.
    return ("text" if isinstance(value, str) else "number", value)


@st.composite
def tables(draw: st.DrawFn) -> list[list[tuple[pa.DataType, list[Any]]]]:
    """Two tables with the same number of columns, whose types may differ."""
    width = draw(st.integers(1, 3))
    result = []
    for _ in range(2):
        rows = draw(st.integers(1, 8))
        chosen = [draw(st.sampled_from(TYPES)) for _ in range(width)]
        result.append(
            [(kind, draw(st.lists(of, min_size=rows, max_size=rows))) for kind, of in chosen]
        )
    return result


def batches(table: list[tuple[pa.DataType, list[Any]]], size: int) -> list[pa.RecordBatch]:
    """The table in batches; columns are named by position."""
    arrays = [pa.array(values, kind) for kind, values in table]
    names = [str(place) for place in range(len(arrays))]
    whole = pa.RecordBatch.from_arrays(arrays, names)
    return [whole.slice(first, size) for first in range(0, whole.num_rows, size)]


@given(tables(), st.integers(1, 8))
def test_rows_are_equal_if_and_only_if_all_their_values_are(
    both: list[list[tuple[pa.DataType, list[Any]]]], size: int
) -> None:
    rows = [
        list(zip(*([identity(cell, kind) for cell in cells] for kind, cells in table), strict=True))
        for table in both
    ]
    columns = [str(place) for place in range(len(both[0]))]
    one, other = (batches(table, size) for table in both)
    assert contained_in(one, other, columns).tolist() == [row in rows[1] for row in rows[0]]
    assert contained_in(one, one, columns).all()


def test_a_row_that_differs_in_one_bit_of_one_cell_is_another_row() -> None:
    """Each bit of each word of a number is in the hash."""
    bits = np.uint64(1) << np.arange(62, dtype=np.uint64)
    numbers = np.r_[np.uint64(0), bits].view(np.float64)
    floats = pa.record_batch({"x": pa.array(numbers), "y": pa.array(np.zeros(63))})
    swapped = pa.record_batch({"x": floats["y"], "y": floats["x"]})
    same = [place == 0 for place in range(63)]
    assert contained_in([floats], [swapped], ["x", "y"]).tolist() == same
    assert contained_in([floats], [floats.slice(0, 1)], ["x", "y"]).tolist() == same


def test_two_rows_whose_hashes_agree_in_one_half_stay_apart() -> None:
    distinct = np.array([[3, 7, 7, 7, 9], [1, 2, 4, 8, 2]], dtype=np.uint64)
    asked = np.array([[7, 7, 9, 3, 10, 0], [8, 3, 2, 2, 1, 0]], dtype=np.uint64)
    assert set(_places(distinct, 3, asked)) == {3, 4}


def test_no_result_depends_on_the_key() -> None:
    """A key is drawn for each call, so that nobody can prepare rows with equal hashes."""
    rng = np.random.default_rng(0)
    table = pa.record_batch(
        {"x": rng.integers(0, 600, 2000), "t": pa.array(rng.choice(["a", "b", "c"], 2000))}
    )
    keys = [_Key.draw(2) for _ in range(2)]
    hashes = [_row_hashes(table, ["x", "t"], key) for key in keys]
    assert not (hashes[0] == hashes[1]).any()
    asked, held = table.slice(0, 40), table.slice(1000)
    results = {tuple(contained_in([asked], [held], ["x", "t"])) for _ in range(20)}
    pairs = set(zip(*(held[name].to_pylist() for name in ("x", "t")), strict=True))
    expected = [
        pair in pairs for pair in zip(*(asked[n].to_pylist() for n in ("x", "t")), strict=True)
    ]
    assert results == {tuple(expected)}
    assert len(set(expected)) == 2
