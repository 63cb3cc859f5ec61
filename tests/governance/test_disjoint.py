"""Rows are compared by what they say, not by how it is written."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.data.overlap import contained_in
from assay.governance.disjoint import _numbers_and_texts


def same(one: pa.Array, other: pa.Array) -> list[bool]:
    """For each value of a column, whether another column contains it."""
    batches = [
        pa.RecordBatch.from_arrays(list(_numbers_and_texts(column)), ["number", "text"])
        for column in (one, other)
    ]
    return contained_in(batches[:1], batches[1:], ["number", "text"]).tolist()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array([0.0]), pa.array([-0.0])),
        (pa.array(["0"]), pa.array(["-0.0"])),
        (pa.array([1]), pa.array([1.0])),
        (pa.array(["1"]), pa.array([1.0])),
        (pa.array(["+1.50"]), pa.array([1.5])),
        (pa.array([True]), pa.array([1])),
        (pa.array([float("nan")]), pa.array([None], pa.float64())),
        (pa.array([None], pa.string()), pa.array([None], pa.int64())),
        (pa.array([1], pa.date32()), pa.array([86_400_000_000], pa.timestamp("us"))),
        (pa.array([1], pa.date32()), pa.array(["1970-01-02"])),
        (pa.array([1], pa.timestamp("us", "UTC")), pa.array([1], pa.timestamp("us"))),
        (pa.array([1], pa.timestamp("s")), pa.array([1_000_000], pa.timestamp("us"))),
    ],
)
def test_a_row_is_not_new_because_a_number_is_written_in_another_way(
    one: pa.Array, other: pa.Array
) -> None:
    assert same(one, other) == [True]
    assert same(other, one) == [True]


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=20))
def test_a_number_is_not_new_because_one_table_has_it_as_text(numbers: list[float]) -> None:
    column = pa.array(numbers)
    assert all(same(column, pc.cast(column, pa.string())))
    assert all(same(pa.array([repr(number) for number in numbers]), column))


def test_different_values_are_different_rows() -> None:
    values = [
        pa.array([0.0]),
        pa.array([1e-300]),
        pa.array(["a"]),
        # None needs a type, as a column of a dataset has one.
        pa.array([None], pa.string()),
        pa.array([""]),
        pa.array(["1-1"]),
        pa.array([1], pa.date32()),
    ]
    assert [[same(one, other) == [True] for other in values] for one in values] == [
        [row == column for column in range(len(values))] for row in range(len(values))
    ]
