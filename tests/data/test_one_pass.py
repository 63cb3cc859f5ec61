"""A CSV is read once, and what is computed faster is the same."""

import io
import math
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from assay import data as dataset
from assay.data import csv_bytes, csv_source, one_pass, statistics, text_types
from assay.data.exact import Exactness
from assay.data.sources import Options, open_table, write_table
from assay.errors import DataError

LINES = 60_000


class Counted(io.RawIOBase):
    """A file that counts the bytes that are read."""

    def __init__(self, stream: IO[bytes], sizes: list[int]) -> None:
        self._stream, self._sizes = stream, sizes

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(size)
        self._sizes.append(len(content))
        return content

    def close(self) -> None:
        self._stream.close()
        super().close()


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all reads of CSV files, with blocks so small that a file has many."""
    found: list[int] = []
    monkeypatch.setattr(csv_bytes, "BLOCK_BYTES", 1 << 14)
    monkeypatch.setattr(one_pass, "FIRST_BYTES", 1 << 16)
    opened = csv_source.open_bytes
    monkeypatch.setattr(csv_source, "open_bytes", lambda path: Counted(opened(path), found))
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def at_once(path: Path, folder: Path, **options: Any) -> dict[str, bytes]:
    folder.mkdir()
    write_table(path, Options(**options), folder, rows_per_part=7000)
    return files(folder)


def in_two_passes(path: Path, folder: Path, **options: Any) -> dict[str, bytes]:
    folder.mkdir()
    table = open_table(path, Options(**options))
    dataset.write(
        table.batches(), table.schema, folder, rows_per_part=7000, findings=table.findings
    )
    return files(folder)


def table(path: Path, last: str) -> Path:
    rows = "".join(f"{number},{number / 8},NA, b{number % 3}\n" for number in range(LINES))
    path.write_text(f"n,f,late,c\n{rows}{last}\n")
    return path


def test_a_csv_is_read_once(tmp_path: Path, sizes: list[int]) -> None:
    path = table(tmp_path / "t.csv", "1,0.5,,b1")
    once = at_once(path, tmp_path / "once")
    # The beginning is read once more, for the header.
    assert sum(sizes) <= path.stat().st_size + csv_bytes.BLOCK_BYTES
    assert once == in_two_passes(path, tmp_path / "twice")


@pytest.mark.parametrize(
    ("last", "types"),
    [
        ("1.5,0.5,,b", ["float64", "float64", "string", "string"]),
        ("1,0.50,7,b", ["int64", "float64", "int64", "string"]),
        ("x,y,2024-05-31,b", ["string", "string", "date32", "string"]),
    ],
)
def test_a_type_that_changes_at_the_end_costs_a_second_pass(
    tmp_path: Path, sizes: list[int], last: str, types: list[str]
) -> None:
    path = table(tmp_path / "t.csv", last)
    once = at_once(path, tmp_path / "once")
    assert sum(sizes) <= 2 * path.stat().st_size + csv_bytes.BLOCK_BYTES
    assert [column.type for column in dataset.info(tmp_path / "once").columns] == types
    assert once == in_two_passes(path, tmp_path / "twice")


@pytest.mark.parametrize("last", ['1,2,3,b"c', "1,2,3", '1,2,3,"b', "1,2,3,\0"])
def test_a_wrong_row_at_the_end_leaves_nothing(tmp_path: Path, sizes: list[int], last: str) -> None:
    path = table(tmp_path / "t.csv", last)
    with pytest.raises(DataError) as once:
        at_once(path, tmp_path / "once")
    with pytest.raises(DataError) as twice:
        in_two_passes(path, tmp_path / "twice")
    assert str(once.value) == str(twice.value)
    assert str(LINES + 2) in str(once.value)
    assert files(tmp_path / "once") == {}


@pytest.mark.parametrize(
    "missing", [("", "NA"), ("NA", "b1", "x" * 1001), ("0", " NA\t", "\x1e" * 16)]
)
def test_missing_values_are_found_by_the_parser_and_after_removing_blanks(
    tmp_path: Path, missing: tuple[str, ...]
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        'a,b\nNA,"NA"\n NA,\t"NA" \n0,b1\n1, b1 \n,x\n"",""\n'.replace('\t"NA" ', "\tNA ")
    )
    write_table(path, Options(missing=missing), tmp_path)
    stripped = {text.strip(" \t") for text in missing}
    expected = [["NA", "NA", "0", "1", "", ""], ["NA", "NA", "b1", "b1", "x", ""]]
    found = pa.Table.from_batches(dataset.iter_batches(tmp_path))
    for column, texts in zip(found.columns, expected, strict=True):
        values = [None if value is None else str(value) for value in column.to_pylist()]
        assert values == [None if text in stripped else text for text in texts]


numbers = st.floats(allow_nan=False)


@given(st.lists(numbers | st.floats(-1e3, 1e3) | st.just(-0.0), max_size=300))
@example([1e308, 1e308])
@example([math.inf, -math.inf])
@example([1e300, 1.0, -1e300, 5e-324, -1.0])
@example([0.1] * 200)
def test_sums_are_those_of_fsum(values: list[float]) -> None:
    def result(function: Any, argument: Any) -> str:
        try:
            return repr(function(argument))
        except (OverflowError, ValueError) as error:
            return type(error).__name__

    assert result(statistics.exact_sum, np.array(values, float)) == result(math.fsum, values)


@given(st.lists(st.sampled_from([0.0, -0.0, 1.5]) | numbers, min_size=1, max_size=60))
def test_distinct_values_are_counted_as_by_hashing(values: list[float]) -> None:
    column = pa.chunked_array([pa.array(values, pa.float64())])
    found = statistics.of_column(column)
    assert found["distinct"] == len(pc.value_counts(column))


@given(
    st.lists(
        st.from_regex(r"[+-]?[0-9]{0,3}[.]?[0-9]{0,17}([eE][+-]?[0-9]{1,2})?", fullmatch=True)
        | st.sampled_from(["nan", "-nan", "inf", "-inf", "+inf", "-0", "00", "-01", "007.5"]),
        max_size=30,
    )
)
@example(["123456789012345", "9223372036854775808", "1"])
@example(["-", "0", "1"])
def test_numbers_that_are_not_examined_need_no_examination(texts: list[str]) -> None:
    """Alone, and beside others in one column, at any place of its buffers."""

    def numbers_of(texts: list[str]) -> list[float] | None:
        try:
            return pc.cast(pa.array(texts, pa.string()), pa.float64()).to_pylist()  # type: ignore[no-any-return]
        except pa.ArrowInvalid:
            return None

    valid = [text for text in texts if numbers_of([text])]
    pattern = f"^(?:{text_types._PATTERNS['float64']})$"
    for column in [valid, *([text] for text in valid)]:
        values = pa.array(numbers_of(column), pa.float64())
        padded = pa.array(["0x", *column, "00"], pa.string()).slice(1, len(column))
        if text_types._are_plain(padded):
            assert pc.all(pc.match_substring_regex(padded, pattern), min_count=0).as_py()
            exact = Exactness()
            exact.add(padded, values)
            assert not exact.beyond
            assert not exact.rounded


@given(st.lists(st.decimals(-(10**6), 10**6, places=4).map("{:.4f}".format)))
def test_common_numbers_are_not_examined(texts: list[str]) -> None:
    assert text_types._are_plain(pa.array(texts, pa.string()))
