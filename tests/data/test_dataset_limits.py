"""A table that costs too much is refused quickly and in little memory; other files are named."""

import contextlib
import gzip
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import pytest

from assay import data as dataset
from assay.components.preflight.header import column_names
from assay.components.snapshot_data.step import snapshot_data
from assay.core.context import context_from_env
from assay.core.execution import execute
from assay.core.limits import Limits
from assay.core.store.folder import FolderStore
from assay.data.schema import column_problems
from assay.data.sources import Options, open_table
from assay.errors import AssayError, DataError, UsageError

MAX_SECONDS = 20.0
"""Of a refusal, the interpreter's start included; the readings themselves took minutes."""
MAX_MEGABYTES = 900

_SNAPSHOT = """
import json, sys, tempfile
from pathlib import Path
from assay.data import write
from assay.data.sources import open_table
from assay.errors import AssayError
said = ""
try:
    table = open_table(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as folder:
        write(table.batches(), table.schema, Path(folder))
except AssayError as error:
    said = str(error)
# Not getrusage, which counts what the parent had before this process began.
(line,) = [x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x]
peak = int(line.split()[1]) // 1024
print(json.dumps({"said": said, "megabytes": peak}))
"""


def refused(path: Path, **settings: str) -> str:
    """What a process of its own says of a table, which it must do soon and in little memory."""
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _SNAPSHOT, str(path)],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    seconds = time.monotonic() - begin
    found = json.loads(done.stdout)
    assert found["said"], "it was read"
    assert seconds < MAX_SECONDS, found
    assert found["megabytes"] < MAX_MEGABYTES, found
    assert "\n" not in found["said"]
    return str(found["said"])


class TestCost:
    def test_a_csv_of_300_000_columns(self, tmp_path: Path) -> None:
        path = tmp_path / "wide.csv"
        row = ",".join(["0"] * 300_000)
        path.write_text(",".join(f"c{i}" for i in range(300_000)) + f"\n{row}\n{row}\n")
        said = refused(path)
        assert "300,000 columns, and the limit is 20,000 (ASSAY_MAX_COLUMNS)" in said

    def test_a_parquet_file_of_too_many_columns(self, tmp_path: Path) -> None:
        path = tmp_path / "wide.parquet"
        pq.write_table(pa.table({f"c{i}": [1] for i in range(25_000)}), path)
        assert "25,000 columns, and the limit is 20,000" in refused(path)

    def test_a_small_parquet_file_of_4_gigabytes(self, tmp_path: Path) -> None:
        path = tmp_path / "large.parquet"
        # Each row names one of four texts of 100 kB.
        texts = pa.array([letter * 100_000 for letter in "abcd"])
        codes = pa.array([i % 4 for i in range(40_000)], pa.int32())
        table = pa.table({"t": pa.DictionaryArray.from_arrays(codes, texts)})
        pq.write_table(table, path)
        assert path.stat().st_size < 1 << 20
        assert "ASSAY_MAX_PART_BYTES" in refused(path)

    def test_a_parquet_file_that_packs_zeros(self, tmp_path: Path) -> None:
        path = tmp_path / "zeros.parquet"
        column = pa.array([b"0" * 1_000_000] * 600, pa.binary())
        pq.write_table(
            pa.table({"t": column.cast(pa.string())}), path, use_dictionary=False,
            compression="zstd",
        )  # fmt: skip
        assert path.stat().st_size < 1 << 20
        assert "ASSAY_MAX_UNPACKED_RATIO=200" in refused(path)

    def test_a_small_parquet_file_whose_texts_each_repeat_the_one_before(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "delta.parquet"
        texts = pa.array([f"{'x' * 1_000_000}{i % 10}" for i in range(1_000)], pa.large_string())
        pq.write_table(
            pa.table({"t": texts}), path, use_dictionary=False, compression="zstd",
            column_encoding={"t": "DELTA_BYTE_ARRAY"},
        )  # fmt: skip
        assert path.stat().st_size < 1 << 20
        assert "ASSAY_MAX_TABLE_BYTES" in refused(path, ASSAY_MAX_TABLE_BYTES="500000000")

    def test_a_parquet_file_of_a_billion_equal_numbers(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.parquet"
        with pq.ParquetWriter(path, pa.schema([("x", pa.int64())])) as writer:
            zeros = pa.table({"x": pa.array([0] * 1_000_000)})
            for _ in range(100):
                writer.write_table(zeros)
        said = refused(path, ASSAY_MAX_TABLE_BYTES="10000000")
        assert "10,000,000 bytes unpacked, which is the limit (ASSAY_MAX_TABLE_BYTES)" in said

    def test_a_small_gzip_file_of_1_5_gigabytes(self, tmp_path: Path) -> None:
        path = tmp_path / "large.csv.gz"
        with gzip.open(path, "wb", compresslevel=9) as stream:
            stream.write(b"a,b\n")
            block = b"1,2\n" * (1 << 18)
            for _ in range(1500):
                stream.write(block)
        assert path.stat().st_size < 8 << 20
        assert "ASSAY_MAX_UNPACKED_RATIO=200" in refused(path)

    def test_rows_that_do_not_fit_into_memory(self, tmp_path: Path) -> None:
        path = tmp_path / "long.csv"
        path.write_text("a,b\n" + f"{'x' * 100_000},1\n" * 300)
        assert "set rows_per_part lower" in refused(path, ASSAY_MAX_PART_BYTES="10000000")

    def test_a_field_that_is_too_long(self, tmp_path: Path) -> None:
        path = tmp_path / "field.csv"
        path.write_text("a,b\n1,2\n" + "x" * (20 << 20) + ",1\n")
        assert "row 3 is longer than 4,194,304 bytes" in refused(path)

    def test_a_reading_that_takes_too_long(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "slow.csv"
        path.write_text("a,b\n" + "1,2\n" * 2_000_000)
        monkeypatch.setenv("ASSAY_MAX_READ_SECONDS", "1")
        monkeypatch.setattr(Limits, "check_time", _as_if_a_second_had_gone(Limits.check_time))
        with pytest.raises(DataError, match=r"not read after 1 seconds.*ASSAY_MAX_READ_SECONDS"):
            open_table(path)

    def test_a_table_within_the_limits_is_read_as_before(self, tmp_path: Path) -> None:
        names = [f"c{i}" for i in range(10_000)]
        path = tmp_path / "wide.csv"
        path.write_text(",".join(names) + "\n" + ",".join(["1"] * len(names)) + "\n")
        assert len(open_table(path).schema) == len(names)

    def test_a_server_that_sends_without_end(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sent = 0

        class Endless(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                nonlocal sent
                self.send_response(200)
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(b"a,b\n")
                    while sent < 1 << 30:
                        sent += self.wfile.write(b"1,2\n" * (1 << 16))

            def log_message(self, *_: Any) -> None:
                pass

        monkeypatch.setenv("ASSAY_STORE", (tmp_path / "store").as_uri())
        monkeypatch.setenv("ASSAY_MAX_TABLE_BYTES", "10000000")
        with HTTPServer(("127.0.0.1", 0), Endless) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            location = f"http://127.0.0.1:{server.server_port}/table.csv"
            with pytest.raises(DataError, match="larger than the limit of 10,000,000 bytes"):
                execute(snapshot_data, {"data": location}, context_from_env())
            server.shutdown()
        assert sent < 100_000_000

    def test_many_names_that_are_no_columns_are_refused_quickly_and_briefly(self) -> None:
        known = [f"column_{i}" for i in range(20_000)]
        begin = time.monotonic()
        problems = column_problems([f"colunm_{i}" for i in range(20_000)], known, "drop_columns")
        assert time.monotonic() - begin < 5
        assert len("; ".join(problems)) < 20_000
        assert problems[-1].startswith("and ")
        (one,) = column_problems(["COLUMN_7"], known, "target")
        assert "did you mean 'column_7'?" in one

    def test_a_limit_that_is_no_number_is_refused_by_name(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ASSAY_MAX_COLUMNS", "many")
        monkeypatch.setenv("ASSAY_MAX_TABLE_BYTES", "-1")
        with pytest.raises(UsageError, match=r"ASSAY_MAX_COLUMNS: 'many'.*ASSAY_MAX_TABLE_BYTES"):
            Limits.from_env()


def _as_if_a_second_had_gone(check: Any) -> Any:
    def later(limits: Limits, where: str) -> None:
        object.__setattr__(limits, "deadline", limits.deadline - 0.5)
        check(limits, where)

    return later


def excel(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as held:
        held.writestr("table.csv", "a,b\n1,2\n")


def sqlite(path: Path) -> None:
    import sqlite3

    with sqlite3.connect(path) as database:
        database.execute("create table secret (password text)")
    database.close()


def tar(path: Path) -> None:
    import tarfile

    (path.parent / "secret.csv").write_text("password,b\n1,2\n")
    with tarfile.open(path, "w:gz") as held:
        held.add(path.parent / "secret.csv", "password.csv")


FRAME = pd.DataFrame({"password": ["hunter2"] * 3, "y": [1, 2, 3]})
OTHERS = {
    "xlsx": (excel, "is an Excel workbook (.xlsx); save the table as CSV"),
    "xls": (
        lambda path: path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"password" * 99),
        "is an Excel workbook (.xls)",
    ),
    "zip": (archive, "is a zip archive; unpack it"),
    "feather": (FRAME.to_feather, "is an Arrow or Feather file; write it with"),
    "orc": (FRAME.to_orc, "is an ORC file; write it as Parquet"),
    "avro": (lambda path: path.write_bytes(b"Obj\x01password" * 9), "is an Avro file"),
    "sqlite": (sqlite, "is an SQLite database; export"),
    "pdf": (lambda path: path.write_bytes(b"%PDF-1.7\npassword,b\n" * 9), "is a PDF document"),
    "html": (
        lambda path: path.write_text("\n<!DOCTYPE html><html><title>password</title>" * 9),
        "is a web page or XML; was it downloaded from a page that asks for a login",
    ),
    "json": (lambda path: FRAME.to_json(path, orient="records"), "is JSON; save"),
    "pickle": (FRAME.to_pickle, "is a pickle, which runs code"),
    "xz": (lambda path: FRAME.to_csv(path, compression="xz"), "is a file packed with xz; unpack"),
    "tar.gz": (tar, "is a tar archive; unpack it"),
    "lfs": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid password\n"),
        "run git lfs pull",
    ),
    "key": (
        lambda path: path.write_text("-----BEGIN PRIVATE KEY-----\npassword\n" * 9),
        "is a key or certificate",
    ),
    "random": (
        lambda path: path.write_bytes(bytes(range(256)) * 64 + b"password,b\n"),
        "is a binary file of an unknown format",
    ),
}


class TestFilesThatAreNoTables:
    @pytest.mark.parametrize("kind", OTHERS)
    def test_they_are_named_and_nothing_of_them_is_quoted(self, tmp_path: Path, kind: str) -> None:
        make, said = OTHERS[kind]
        path = tmp_path / "data"
        make(path)
        store = FolderStore(tmp_path / "store")
        for look in (
            lambda: open_table(path, Options(), required=[("target", "y")]),
            lambda: column_names(str(path), Options(), store),
        ):
            with pytest.raises(DataError) as caught:
                look()
            message = str(caught.value)
            assert said in message
            assert "password" not in message.replace("asks for a password", "")
            assert "hunter2" not in message
            assert message.isprintable()

    @pytest.mark.parametrize(
        "content",
        ["s3cr3t-t0ken\n", "DB_PASSWORD=s3cr3t\nUSER=root\n", "root:s3cr3t,x:0:0\na:b\nc:d\ne:f\n"],
    )
    def test_a_text_that_is_no_table_is_not_quoted(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "data"
        path.write_text(content)
        store = FolderStore(tmp_path / "store")
        with pytest.raises(DataError) as early:
            column_names(str(path), Options(), store)
        with pytest.raises(DataError) as late:
            open_table(path, required=[("target", "income")])
        assert "s3cr3t" not in str(early.value) + str(late.value)
        assert "is it a table" in str(early.value)


class TestControlCharacters:
    NASTY = "a\x1b[31mb\x07\u202ec\x9b"

    def test_no_message_prints_them(self, tmp_path: Path) -> None:
        path = tmp_path / "t.csv"
        path.write_text(f"{self.NASTY},{self.NASTY},x\n1,2,3\n")
        with pytest.raises(AssayError) as caught:
            open_table(path, required=[("target", self.NASTY[:-1])])
        assert str(caught.value).isprintable()
        assert "\\x1b" in str(caught.value)

    def test_no_card_prints_them_and_the_dataset_holds_them(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text(f"{self.NASTY},y\n{self.NASTY},1\nNULL,2\n")
        table = open_table(tmp_path / "t.csv")
        (tmp_path / "d").mkdir()
        info = dataset.write(table.batches(), table.schema, tmp_path / "d", findings=table.findings)
        assert info.names[0] == self.NASTY
        card = (tmp_path / "d" / "summary.md").read_text()
        assert card.replace("\n", "").isprintable()
        assert "\\\\u202e" in card
