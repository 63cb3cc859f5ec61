"""snapshot_data: from real files to immutable datasets."""

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from assay import data as dataset
from assay.components.snapshot_data.step import snapshot_data
from assay.core.digest import of_bytes
from assay.core.execution import CacheMode, Context, execute
from assay.core.source import fetch
from assay.core.step import Dataset, Out
from assay.core.store import Store
from assay.data import sources
from assay.errors import DataError, UsageError

MAX_GROWTH_MB = 40
"""Memory may grow by so much while the file grows by three times that."""


def snapshot(table: Path, folder: Path, **parameters: Any) -> dict[str, str]:
    """The digests of the files that come of a table."""
    folder.mkdir()
    source = fetch(str(table), folder)
    snapshot_data(data=source, dataset=Out[Dataset](folder), **parameters)
    return {path.name: of_bytes(path.read_bytes()) for path in folder.iterdir()}


@pytest.fixture
def adult(shared_data: Path) -> Path:
    return shared_data / "adult-train.csv"


class TestRealData:
    def test_uci_adult_becomes_a_dataset(self, adult: Path, tmp_path: Path) -> None:
        values = snapshot_data(
            data=fetch(str(adult), tmp_path), target="income", dataset=Out[Dataset](tmp_path)
        )
        assert values == {"rows": 32_561, "columns": 15}
        info = dataset.info(tmp_path)
        assert {c.name: c.nulls for c in info.columns if c.nulls} == {
            "workclass": 1836,
            "occupation": 1843,
            "native_country": 583,
        }
        assert {c.type for c in info.columns} == {"int64", "string"}
        frame = dataset.read(tmp_path)
        assert frame["income"].value_counts().to_dict() == {"<=50K": 24_720, ">50K": 7_841}
        card = (tmp_path / "summary.md").read_text()
        assert "| income | string | 0 | &lt;=50K: 24,720 (75.9%), &gt;50K: 7,841 (24.1%) |" in card

    def test_electricity_prices_become_a_dataset(self, shared_data: Path, tmp_path: Path) -> None:
        snapshot(shared_data / "elec.csv", tmp_path / "d", target="class")
        info = dataset.info(tmp_path / "d")
        assert info.rows == 45_312
        assert info.column("period").type == "float64"
        assert info.column("class").type == "int64"

    def test_one_table_has_one_digest_whatever_its_form(self, adult: Path, tmp_path: Path) -> None:
        plain = snapshot(adult, tmp_path / "plain")
        frame = dataset.read(tmp_path / "plain")
        (tmp_path / "a.gz").write_bytes(gzip.compress(adult.read_bytes()))
        frame.to_csv(tmp_path / "a.tsv", sep="\t", index=False, na_rep="NA", lineterminator="\r\n")
        frame.to_csv(tmp_path / "a.u16", sep=";", index=False, encoding="utf-16")
        frame.to_parquet(tmp_path / "a.parquet", compression="gzip", row_group_size=999)
        assert snapshot(tmp_path / "a.gz", tmp_path / "1") == plain
        assert snapshot(tmp_path / "a.tsv", tmp_path / "2") == plain
        assert snapshot(tmp_path / "a.u16", tmp_path / "3", encoding="utf-16") == plain
        assert snapshot(tmp_path / "a.parquet", tmp_path / "4") == plain

    def test_the_target_leaves_no_trace(self, adult: Path, tmp_path: Path) -> None:
        assert snapshot(adult, tmp_path / "1", target="income") == snapshot(adult, tmp_path / "2")

    def test_appending_rows_reuses_every_full_part(self, adult: Path, tmp_path: Path) -> None:
        lines = adult.read_text().splitlines(keepends=True)
        (tmp_path / "half.csv").write_text("".join(lines[:20_001]))
        before = snapshot(tmp_path / "half.csv", tmp_path / "1", rows_per_part=5_000)
        after = snapshot(adult, tmp_path / "2", rows_per_part=5_000)
        parts = [name for name in before if name.endswith(".parquet")]
        assert len(parts) == 4
        assert all(after[name] == before[name] for name in parts)


class TestExecution:
    def test_a_changed_file_with_the_same_rows_gives_the_same_dataset(
        self, adult: Path, tmp_path: Path, folder_store: Store
    ) -> None:
        context = Context(folder_store)
        first = execute(snapshot_data, {"data": str(adult)}, context)
        again = execute(snapshot_data, {"data": str(adult)}, context)
        other = tmp_path / "other.csv"
        other.write_bytes(adult.read_bytes().replace(b"\n", b"\r\n"))
        changed = execute(snapshot_data, {"data": str(other)}, context)
        assert (again.cached, changed.cached) == (True, False)
        assert first.outputs == again.outputs == changed.outputs

    def test_a_snapshot_of_a_snapshot_is_itself(self, adult: Path, folder_store: Store) -> None:
        context = Context(folder_store, cache=CacheMode.OFF)
        first = execute(snapshot_data, {"data": str(adult)}, context)
        again = execute(snapshot_data, {"data": first.outputs["dataset"]}, context)
        assert again.outputs == first.outputs


class TestRefusals:
    def refused(self, content: bytes, tmp_path: Path, **parameters: Any) -> str:
        source, target = tmp_path / "bad.csv", tmp_path / "out"
        source.write_bytes(content)
        with pytest.raises(DataError) as caught:
            snapshot(source, target, **parameters)
        assert list(target.iterdir()) == []
        return str(caught.value)

    def test_adult_with_broken_rows_names_them_all(self, adult: Path, tmp_path: Path) -> None:
        lines = adult.read_bytes().splitlines(keepends=True)
        lines[99] = b"1,2\n"
        lines[20_000] = lines[20_000].replace(b"United-States", b"\xc9tats-Unis")
        lines[32_000] = lines[32_000].replace(b",", b";")
        told = self.refused(b"".join(lines), tmp_path, target="incom")
        assert "target: no column 'incom'; did you mean 'income'?" in told
        assert "2 of 32,561 rows without the header's 15 fields: rows 100 (has 2), 32001 (" in told
        assert "not utf-8 in row 20001" in told

    def test_a_file_that_is_written_to_leaves_no_dataset(
        self, adult: Path, tmp_path: Path, folder_store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mine = tmp_path / "growing.csv"
        mine.write_bytes(adult.read_bytes())
        write = sources.write

        def grow(*arguments: Any, **settings: Any) -> Any:
            with mine.open("ab") as stream:
                stream.write(b"\n")
            return write(*arguments, **settings)

        monkeypatch.setattr(sources, "write", grow)
        with pytest.raises(DataError, match="changed while it was read"):
            execute(snapshot_data, {"data": str(mine)}, Context(folder_store))
        assert list(folder_store.iter_blobs()) == []

    def test_parameters_that_cannot_be_are_told_at_once(self, adult: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"missing_values: -1 is not a text.*rows_per_part is"):
            snapshot(adult, tmp_path / "d", missing_values=[-1], rows_per_part=0)


PROGRAM = """
import pathlib, resource, sys
from assay.components.snapshot_data.step import snapshot_data
from assay.core.source import fetch
from assay.core.step import Out
# Smaller than in earnest, so that a small file is read in as many steps as a large one would be:
# allocators keep some memory of each of the first few dozen.
from assay.data import csv_bytes
csv_bytes.BLOCK_BYTES = 1 << 18
folder = pathlib.Path(sys.argv[1])
row = "{0},2024-05-31 10:00:00,{1},{2},some text of row {0},yes\\n"
with (folder / "big.csv").open("w") as stream:
    stream.write("id,when,a,b,text,label\\n")
    for i in range(int(sys.argv[2])):
        stream.write(row.format(i, i * 0.37, i % 97))
(folder / "out").mkdir()
source = fetch(str(folder / "big.csv"), folder)
values = snapshot_data(data=source, rows_per_part=10_000, dataset=Out(folder / "out"))
assert values["rows"] == int(sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    used, sizes = [], []
    for rows in (500_000, 2_500_000):
        folder = tmp_path / str(rows)
        folder.mkdir()
        told = subprocess.run(
            [sys.executable, "-c", PROGRAM, folder, str(rows)], check=True, capture_output=True
        )
        used.append(int(told.stdout))
        sizes.append((folder / "big.csv").stat().st_size >> 20)
    # The larger file alone is larger than all that the growth may be.
    assert sizes[1] - sizes[0] > 3 * MAX_GROWTH_MB
    assert used[1] - used[0] < MAX_GROWTH_MB, f"{used} MB for files of {sizes} MB"
