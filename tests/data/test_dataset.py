"""Datasets: the same rows are the same bytes, and a folder that lies is refused."""

import json
import math
import subprocess
import sys
import tempfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import data as dataset
from assay.core.digest import of_bytes
from assay.errors import DataError, IntegrityError, UsageError

TYPES = dataset.arrow_types()
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float64": st.floats(),
    "string": st.text(st.characters(codec="utf-8"), max_size=6),
    "date32": st.dates(date(1, 1, 1), date(9999, 12, 31)),
    "timestamp": st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)),  # noqa: DTZ001
}
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=4)


@st.composite
def tables(draw: st.DrawFn, max_rows: int = 25) -> pa.Table:
    columns = draw(
        st.lists(st.tuples(NAMES, st.sampled_from(sorted(VALUES))), min_size=1, max_size=4)
    )
    kinds = dict(columns)
    rows = draw(st.integers(1, max_rows))
    return pa.table(
        {
            name: pa.array(
                draw(st.lists(st.none() | VALUES[kind], min_size=rows, max_size=rows)), TYPES[kind]
            )
            for name, kind in kinds.items()
        }
    )


def files(table: pa.Table, rows_per_part: int = 7, batch_rows: int = 1000) -> dict[str, str]:
    """What a dataset of these rows consists of: the digest of each file."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        batches = table.to_batches(batch_rows)
        dataset.write(batches, table.schema, root, rows_per_part=rows_per_part)
        return {path.name: of_bytes(path.read_bytes()) for path in root.iterdir()}


def rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    """The rows, a missing number and NaN being one thing."""
    return [
        tuple(None if isinstance(v, float) and math.isnan(v) else v for v in row.values())
        for row in table.to_pylist()
    ]


def written(table: pa.Table, folder: Path, rows_per_part: int = 100) -> Path:
    dataset.write(table.to_batches(), table.schema, folder, rows_per_part=rows_per_part)
    return folder


class TestLaws:
    @given(tables(), st.integers(1, 9), st.integers(1, 9))
    def test_how_rows_arrive_does_not_matter(self, table: pa.Table, some: int, others: int) -> None:
        assert files(table, batch_rows=some) == files(table, batch_rows=others)

    @given(tables(), st.data())
    def test_appending_rows_leaves_every_full_part_as_it_was(
        self, table: pa.Table, data: st.DataObject
    ) -> None:
        size = data.draw(st.integers(1, 9))
        earlier = table.slice(0, data.draw(st.integers(1, table.num_rows)))
        before, after = files(earlier, size), files(table, size)
        full = earlier.num_rows // size
        for number in range(full):
            name = f"part-{number:05d}.parquet"
            assert after[name] == before[name]

    @given(tables(), st.integers(1, 9))
    def test_rows_read_back_are_the_rows_written(self, table: pa.Table, size: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            root = written(table, Path(folder), size)
            read = pa.Table.from_batches(dataset.iter_batches(root), dataset.arrow_schema(root))
            info = dataset.info(root)
        assert rows_of(read) == rows_of(table)
        assert info.names == tuple(table.column_names)
        assert info.rows == table.num_rows
        for column, values in zip(info.columns, zip(*rows_of(table), strict=True), strict=True):
            assert column.nulls == values.count(None)

    @given(tables(), st.integers(1, 9))
    def test_a_dataset_written_from_a_dataset_is_the_same_dataset(
        self, table: pa.Table, size: int
    ) -> None:
        with tempfile.TemporaryDirectory() as folder:
            root = written(table, Path(folder), size)
            again = pa.Table.from_batches(dataset.iter_batches(root), dataset.arrow_schema(root))
            assert files(again, size) == files(table, size)

    @given(tables(max_rows=6))
    def test_another_value_is_another_dataset(self, table: pa.Table) -> None:
        column = table.column(0).to_pylist()
        changed = [*column[:-1], "x" if column[-1] is None else None]
        other = pa.array([None if v == "x" else v for v in changed], table.field(0).type)
        if rows_of(pa.table({"a": other})) == rows_of(pa.table({"a": table.column(0)})):
            return
        assert files(table.set_column(0, table.field(0), other)) != files(table)


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    program = """
import sys, pathlib, pyarrow as pa
from assay import data as dataset
table = pa.table({"n": [1, None, 3], "x": [0.1, float("nan"), -0.0], "s": ["ä", None, "|"]})
dataset.write(table.to_batches(), table.schema, pathlib.Path(sys.argv[1]))
"""
    contents = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        subprocess.run(
            [sys.executable, "-c", program, folder], check=True, env={"PYTHONHASHSEED": seed}
        )
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1]


def test_looking_at_a_dataset_needs_no_parquet_reader(tmp_path: Path) -> None:
    folder = written(pa.table({"a": [1]}), tmp_path)
    program = (
        "import sys, pathlib; from assay import data as dataset; "
        "print(dataset.info(pathlib.Path(sys.argv[1])).rows, 'pyarrow' in sys.modules, "
        "'pandas' in sys.modules)"
    )
    message = subprocess.run(
        [sys.executable, "-c", program, folder], check=True, capture_output=True
    )
    assert message.stdout.split() == [b"1", b"False", b"False"]


class TestReading:
    def test_gives_types_that_scikit_learn_takes(self, tmp_path: Path) -> None:
        table = pa.table(
            {
                "whole": pa.array([1, 2]),
                "whole_missing": pa.array([1, None]),
                "real": pa.array([0.5, None]),
                "flag": pa.array([True, False]),
                "flag_missing": pa.array([True, None]),
                "text": pa.array(["a", None]),
                "day": pa.array([date(2024, 5, 31), None]),
                "time": pa.array([datetime(2024, 5, 31, 1), None], pa.timestamp("us")),  # noqa: DTZ001
            }
        )
        frame = dataset.read(written(table, tmp_path))
        kinds = {name: kind.kind for name, kind in frame.dtypes.items()}
        assert kinds == {
            "whole": "i",
            "whole_missing": "f",
            "real": "f",
            "flag": "b",
            "flag_missing": "O",
            "text": "O",
            "day": "M",
            "time": "M",
        }
        assert frame["text"].tolist() == ["a", None]
        assert frame["flag_missing"].tolist() == [True, None]
        assert frame["day"].tolist() == [pd.Timestamp("2024-05-31"), pd.NaT]

    def test_columns_are_in_the_given_order(self, tmp_path: Path) -> None:
        folder = written(pa.table({"a": [1], "b": [2], "c": [3]}), tmp_path)
        assert list(dataset.read(folder, ["c", "a"]).columns) == ["c", "a"]

    def test_an_unknown_column_gets_a_suggestion(self, tmp_path: Path) -> None:
        folder = written(pa.table({"income": [1], "age": [2]}), tmp_path)
        with pytest.raises(UsageError, match="no column 'INCOMES'; did you mean 'income'"):
            dataset.read(folder, ["INCOMES"])
        with pytest.raises(UsageError, match="no column 'zzz'; columns are: income, age"):
            dataset.info(folder).column("zzz")

    def test_all_unknown_columns_are_reported_together(self) -> None:
        with pytest.raises(UsageError, match=r"'x'.*; slices: no column 'y'"):
            dataset.require_columns(["x", "y"], ["age"], "slices")


class TestWriting:
    def test_statistics_say_what_the_parts_hold(self, tmp_path: Path) -> None:
        table = pa.table(
            {
                "n": pa.array([1, 2, None, 2**62, 2**62]),
                "x": pa.array([0.1, 0.2, float("nan"), float("inf"), 1.0]),
                "s": pa.array(["b", "a", "b", None, None]),
                "d": pa.array([date(2024, 1, 2), date(2024, 1, 1), None, None, None]),
                "b": pa.array([True, True, False, None, None]),
            }
        )
        folder = written(table, tmp_path, 3)
        first, second = json.loads((folder / "statistics.json").read_text())["parts"]
        assert first["path"] == "part-00000.parquet"
        assert first["columns"]["n"] == {
            "nulls": 1,
            "distinct": 2,
            "min": 1,
            "max": 2,
            "mean": 1.5,
            "values": [[1, 1], [2, 1]],
        }
        assert first["columns"]["x"]["mean"] == math.fsum([0.1, 0.2]) / 2
        assert first["columns"]["s"]["values"] == [["a", 1], ["b", 2]]
        assert first["columns"]["d"]["min"] == "2024-01-01"
        assert first["columns"]["b"]["mean"] == pytest.approx(2 / 3)
        # Beyond 2^53 JSON numbers are not exact, and infinities are none.
        assert second["columns"]["n"] == {
            "nulls": 0,
            "distinct": 1,
            "min": str(2**62),
            "max": str(2**62),
            "mean": pytest.approx(2.0**62, rel=1e-15),
            "values": [[str(2**62), 2]],
        }
        assert second["columns"]["x"]["max"] == "inf"
        assert "mean" not in second["columns"]["x"]
        assert second["columns"]["s"] == {"nulls": 2, "distinct": 0}

    def test_means_are_exact_where_a_float_sum_would_not_be(self, tmp_path: Path) -> None:
        folder = written(pa.table({"x": [1e16, 1.0, -1e16, 1.0], "n": [2**62] * 4}), tmp_path)
        (part,) = json.loads((folder / "statistics.json").read_text())["parts"]
        assert part["columns"]["x"]["mean"] == 0.5
        assert float(part["columns"]["n"]["mean"]) == 2.0**62

    def test_the_card_shows_shares_and_ranges_over_all_parts(self, tmp_path: Path) -> None:
        table = pa.table(
            {
                "a|b": ["<x>", "y", "y", None],
                "n": pa.array(range(4)),
                "empty": pa.array([None] * 4, pa.string()),
                "long": ["x" * 200, "y" * 200, "z" * 200, "w" * 200],
            }
        )
        card = (written(table, tmp_path, 3) / "summary.md").read_text()
        assert "# Dataset: 4 rows, 4 columns" in card
        assert r"| a\|b | string | 1 (25.0%) | y: 2 (66.7%), &lt;x&gt;: 1 (33.3%) |" in card
        assert "| empty | string | 4 (100.0%) | none |" in card
        assert "| long | string | 0 | long texts |" in card

    def test_pandas_metadata_leaves_no_trace(self, tmp_path: Path) -> None:
        table = pa.Table.from_pandas(pd.DataFrame({"a": [1, 2]}, index=[5, 6]))
        plain = table.drop_columns(["__index_level_0__"])
        assert plain.schema.metadata
        assert files(plain) == files(pa.table({"a": [1, 2]}))
        folder = written(plain, tmp_path)
        assert pq.read_schema(folder / "part-00000.parquet").metadata is None

    def test_nothing_is_left_after_an_error(self, tmp_path: Path) -> None:
        def batches() -> Any:
            yield from pa.table({"a": list(range(10))}).to_batches(2)
            raise DataError("row 11 is bad")

        with pytest.raises(DataError, match="row 11"):
            dataset.write(batches(), pa.schema([("a", pa.int64())]), tmp_path, rows_per_part=3)
        assert list(tmp_path.iterdir()) == []

    def test_a_table_without_rows_or_columns_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="no rows"):
            dataset.write([], pa.schema([("a", pa.int64())]), tmp_path)
        with pytest.raises(DataError, match="no columns"):
            dataset.write([], pa.schema([]), tmp_path)

    def test_types_that_a_dataset_lacks_are_refused_all_at_once(self, tmp_path: Path) -> None:
        schema = pa.schema([("a", pa.list_(pa.int64())), ("b", pa.binary()), ("c", pa.int64())])
        with pytest.raises(DataError, match=r"'a' is of type list.*; column 'b' is of type binary"):
            dataset.write([], schema, tmp_path)

    def test_parts_must_hold_rows(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="rows_per_part is 0"):
            dataset.write([], pa.schema([("a", pa.int64())]), tmp_path, rows_per_part=0)

    def test_more_parts_than_an_artifact_has_files_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("assay.data.parquet.MAX_PARTS", 3)
        table = pa.table({"a": list(range(10))})
        with pytest.raises(UsageError, match="more than 3 parts; give a larger number"):
            written(table, tmp_path, 3)
        assert list(tmp_path.iterdir()) == []
        assert dataset.info(written(table.slice(0, 9), tmp_path, 3)).rows == 9


class TestFoldersThatLie:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return written(pa.table({"a": [1, 2, 3]}), tmp_path, 2)

    def altered(self, folder: Path, **fields: Any) -> Path:
        path = folder / "schema.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
        return folder

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"format": "assay-dataset/99"}, "not of format assay-dataset/1"),
            ({"parts": [{"path": "../../etc/passwd", "rows": 3}]}, "malformed"),
            ({"parts": [{"path": "part-00001.parquet", "rows": 3}]}, "malformed"),
            ({"parts": []}, "do not add up"),
            ({"rows": -1}, "malformed"),
            ({"rows": True}, "malformed"),
            ({"columns": [{"name": "a", "type": "blob", "nulls": 0}]}, "malformed"),
            ({"columns": [{"name": "a"}]}, "malformed"),
            ({"columns": [{"name": "a", "type": "int64", "nulls": 0}] * 2}, "duplicate column"),
        ],
    )
    def test_a_schema_that_cannot_be_is_refused(
        self, folder: Path, fields: dict[str, Any], reason: str
    ) -> None:
        with pytest.raises(IntegrityError, match=reason):
            dataset.info(self.altered(folder, **fields))

    def test_a_part_with_other_columns_or_rows_is_refused(self, folder: Path) -> None:
        for table in (pa.table({"b": [1, 2]}), pa.table({"a": [1]}), pa.table({"a": ["1", "2"]})):
            pq.write_table(table, folder / "part-00000.parquet")
            with pytest.raises(
                IntegrityError, match=r"part-00000\.parquet: columns or rows do not match"
            ):
                list(dataset.iter_batches(folder))

    def test_a_damaged_or_missing_part_is_refused(self, folder: Path) -> None:
        part = folder / "part-00001.parquet"
        part.write_bytes(part.read_bytes()[:50])
        with pytest.raises(IntegrityError, match=r"part-00001\.parquet: cannot be read"):
            list(dataset.iter_batches(folder))
        part.unlink()
        with pytest.raises(IntegrityError, match=r"part-00001\.parquet: cannot be read"):
            list(dataset.iter_batches(folder))

    def test_a_folder_without_a_schema_is_no_dataset(self, tmp_path: Path) -> None:
        with pytest.raises(IntegrityError, match=r"not a dataset: schema\.json cannot be read"):
            dataset.info(tmp_path)
        (tmp_path / "schema.json").write_text("{")
        with pytest.raises(IntegrityError, match="not a dataset"):
            dataset.info(tmp_path)
