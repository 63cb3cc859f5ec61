"""Rows are compared by what they say, not by how it is written."""

import pyarrow as pa
import pytest

from assay.governance.disjoint import _text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array([0.0]), pa.array([-0.0])),
        (pa.array(["0"]), pa.array(["-0.0"])),
        (pa.array([1]), pa.array([1.0])),
        (pa.array(["1"]), pa.array([1.0])),
        (pa.array([True]), pa.array([1])),
        (pa.array([float("nan")]), pa.array([None], pa.float64())),
        (pa.array([1], pa.date32()), pa.array([86_400_000_000], pa.timestamp("us"))),
        (pa.array([1], pa.date32()), pa.array(["1970-01-02"])),
        (pa.array([1], pa.timestamp("us", "UTC")), pa.array([1], pa.timestamp("us"))),
        (pa.array([1], pa.timestamp("s")), pa.array([1_000_000], pa.timestamp("us"))),
    ],
)
def test_a_row_is_not_new_because_a_number_is_written_in_another_way(
    one: pa.Array, other: pa.Array
) -> None:
    assert _text(one).to_pylist() == _text(other).to_pylist()


def test_different_values_are_different_rows() -> None:
    values = [
        _text(pa.array(given)).to_pylist() for given in ([0.0], [1e-300], ["a"], [None], [""])
    ]
    # None needs a type, as a column of a dataset has one.
    assert len({tuple(value) for value in values}) == len(values)
