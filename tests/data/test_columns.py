"""A dataset read column by column says what the whole table says."""

import datetime as dt
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay import data
from assay.data import columns, parquet
from assay.data.columns import Column, iter_columns, read_columns
from assay.errors import UsageError

WHOLE = st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 2)
NUMBER = st.floats(allow_nan=False) | st.sampled_from([0.0, -0.0, math.inf, 1.5])
TEXT = st.text(st.characters(codec="utf-8"), max_size=3)
DAY = st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31))
MOMENT = st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 1, 1))  # noqa: DTZ001
TYPES: dict[str, tuple[Any, Any]] = {
    "int64": (WHOLE, pa.int64()),
    "float64": (NUMBER, pa.float64()),
    "string": (TEXT, pa.string()),
    "bool": (st.booleans(), pa.bool_()),
    "date32": (DAY, pa.date32()),
    "timestamp": (MOMENT, pa.timestamp("us")),
}


@st.composite
def cells(draw: Any) -> tuple[str, list[Any], Column]:
    kind = draw(st.sampled_from(sorted(TYPES)))
    value, arrow = TYPES[kind]
    found = draw(st.lists(st.none() | value, min_size=1, max_size=30))
    cut = draw(st.integers(0, len(found)))
    chunks = pa.chunked_array([pa.array(found[:cut], arrow), pa.array(found[cut:], arrow)])
    return kind, found, Column("x", kind, chunks)


def instant(value: Any) -> Any:
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return dt.datetime.combine(value, dt.time())
    return value


@settings(max_examples=200, deadline=None)
@given(cells())
def test_a_column_holds_the_values_in_order_with_their_rows(
    drawn: tuple[str, list[Any], Column],
) -> None:
    kind, found, column = drawn
    present = [(row, instant(v)) for row, v in enumerate(found) if v is not None]
    assert (column.rows, column.missing) == (len(found), found.count(None))
    indices = np.arange(len(present))
    assert column.places(indices).tolist() == [row for row, _ in present]
    expected = [value for _, value in present]
    assert [column.entry(index) for index in indices.tolist()] == expected
    assert [column.cell(row) for row in range(len(found))] == [instant(v) for v in found]
    assert sorted(column.counts) == sorted([expected.count(v) for v in set(expected)])
    assert column.is_wide == (kind == "int64" and any(abs(v) > 2**53 for _, v in present))


@settings(max_examples=200, deadline=None)
@given(cells(), st.data())
def test_cells_have_equal_ranks_if_they_are_equal(
    drawn: tuple[str, list[Any], Column], more: st.DataObject
) -> None:
    _, found, column = drawn
    places = np.array(more.draw(st.lists(st.integers(0, len(found) - 1), min_size=1)))
    for ranks, some in (
        (column.ranks(), found),
        (column.ranks(places), [found[place] for place in places]),
    ):
        pairs = list(zip(ranks.tolist(), some, strict=True))
        assert all((a == b) == (x == y) for a, x in pairs for b, y in pairs)
        assert 0 <= min(ranks) <= max(ranks) <= len(found) + 1
        assert all((rank == 0) == (value is None) for rank, value in pairs)


@settings(max_examples=100, deadline=None)
@given(cells(), st.data())
def test_cells_of_two_columns_are_compared_exactly(
    drawn: tuple[str, list[Any], Column], more: st.DataObject
) -> None:
    kind, found, column = drawn
    value = st.none() | st.sampled_from(found) | TYPES[kind][0]
    other = more.draw(st.lists(value, min_size=len(found), max_size=len(found)))
    beside = Column("y", kind, pa.chunked_array([pa.array(other, TYPES[kind][1])]))
    assert column.equals(beside).tolist() == [a == b for a, b in zip(found, other, strict=True)]


def test_texts_beyond_32_bits_of_offsets_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["a", "é", None, "a", "b", "日本"]
    chunks = pa.chunked_array([pa.array(texts), pa.array(["b", "c"])])
    monkeypatch.setattr(columns, "_LARGE_TEXTS", 0)
    large, other = (Column("x", "string", chunks) for _ in range(2))
    assert large.texts.type == pa.large_string()
    assert [large.cell(row) for row in range(8)] == [*texts, "b", "c"]
    monkeypatch.setattr(columns, "_LARGE_TEXTS", 1 << 30)
    assert other.texts.type == pa.string()
    assert large.equals(other).all()
    assert other.equals(large).all()


def stored(folder: Path, rows: int, names: list[str]) -> Path:
    rng = random.Random(5)
    made = pa.table({name: [rng.random() for _ in range(rows)] for name in names})
    folder.mkdir()
    data.write(made.to_batches(), made.schema, folder, rows_per_part=100)
    return folder


def test_columns_are_read_together_up_to_a_number_of_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"x{number}" for number in range(7)]
    folder = stored(tmp_path / "data", 250, names)
    read: list[list[str]] = []
    sound = parquet.iter_batches

    def counted(folder: Path, wanted: list[str], *more: Any, **named: Any) -> Any:
        read.append(wanted)
        return sound(folder, wanted, *more, **named)

    monkeypatch.setattr(columns, "iter_batches", counted)
    monkeypatch.setattr(columns, "GROUP_CELLS", 750)
    assert [column.name for column in iter_columns(folder)] == names
    assert read == [names[:3], names[3:6], names[6:]], "no part is read twice for one column"
    read.clear()
    monkeypatch.setattr(columns, "GROUP_CELLS", 1)
    assert [column.name for column in iter_columns(folder, names[:2])] == names[:2]
    assert read == [["x0"], ["x1"]]


def test_a_column_that_does_not_exist_is_named(tmp_path: Path) -> None:
    folder = stored(tmp_path / "data", 3, ["x"])
    with pytest.raises(UsageError, match="no column 'y'"):
        list(iter_columns(folder, ["y"]))
    with pytest.raises(UsageError, match="no column 'y'"):
        read_columns(folder, ["y"])
