"""Tables of the outside world: one table whatever its form, and every bad row named."""

import csv
import gzip
import io
import subprocess
import sys
import tempfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import data as dataset
from assay.data.csv_bytes import BLOCK_BYTES
from assay.data.csv_source import Options, read_header
from assay.data.sources import open_table
from assay.errors import DataError, IntegrityError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


def read(path: Path, content: bytes | str, **options: Any) -> pa.Table:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    table = open_table(path, Options(**options))
    return pa.Table.from_batches(table.batches(), table.schema)


def kind(path: Path, *values: str) -> str:
    """The type of a column with these values."""
    table = read(path, "\n".join(["x", *values, ""]))
    return str(table.schema.field("x").type)


def refusal(path: Path, content: bytes | str, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(path, content, **options)
    return str(caught.value)


class TestTypes:
    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            (["1", "-2", "0"], "int64"),
            (["9223372036854775807", "-9223372036854775808"], "int64"),
            (["1", "2.5"], "double"),
            (["1e5", ".5", "5.", "-1.5E-3", "-0"], "double"),
            (["1.0", "inf", "-Infinity"], "double"),
            (["true", "False", "TRUE"], "bool"),
            (["2024-02-29"], "date32[day]"),
            (["2024-05-31", "2024-05-31 10:00"], "timestamp[us]"),
            (["2024-05-31T10:00:00.123456"], "timestamp[us]"),
            (["2024-05-31T10:00:00Z", "2024-05-31T10:00:00+02:00"], "timestamp[us]"),
            (["?", "NA"], "string"),
        ],
    )
    def test_a_column_has_the_first_type_of_all_its_values(
        self, file: Path, values: list[str], expected: str
    ) -> None:
        assert kind(file, *values) == expected

    @pytest.mark.parametrize(
        "values",
        [
            ["007", "12"],
            ["+4930", "1234"],
            ["9223372036854775808", "1"],
            ["1", "true"],
            ["true", "1"],
            ["1,5"],
            ["0x10"],
            ["1_000"],
            ["1e999", "2"],
            ["2023-02-30"],
            ["2024-1-1"],
            ["2024-05-31", "2024-05-31T10:00:00Z"],
            ["2024-05-31T10:00:00.1234567"],
            ["2024-05-31T25:00:00"],
            ["31.05.2024"],
            ["1", "x"],
        ],
    )
    def test_text_that_only_looks_like_a_number_or_date_stays_text(
        self, file: Path, values: list[str]
    ) -> None:
        # A quoted header and cells, so that a comma may be part of one.
        table = read(file, "\n".join(['"x"', *(f'"{value}"' for value in values), ""]))
        assert table.column("x").to_pylist() == values

    @pytest.mark.parametrize("limit", [2**63 - 1, -(2**63)])
    @pytest.mark.parametrize("step", [-1, 0, 1])
    def test_whole_numbers_are_exact_up_to_their_limits(
        self, file: Path, limit: int, step: int
    ) -> None:
        value = limit + step
        inside = -(2**63) <= value < 2**63
        assert read(file, f"x\n{value}\n")["x"].to_pylist() == [value if inside else str(value)]

    @given(st.lists(st.integers(-(2**65), 2**65), min_size=1, max_size=5))
    def test_no_whole_number_is_ever_rounded(self, values: list[int]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            text = "x\n" + "".join(f"{value}\n" for value in values)
            column = read(Path(folder) / "x.csv", text)["x"].to_pylist()
        assert [int(value) for value in column] == values

    def test_the_whole_file_decides_and_not_its_beginning(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("assay.data.csv_bytes.BLOCK_BYTES", 1 << 10)
        numbers = "\n".join(str(i) for i in range(5000))
        assert kind(file, numbers) == "int64"
        assert kind(file, numbers, "0.5") == "double"
        assert kind(file, numbers, "0.5", "n/k") == "string"
        assert kind(file, "", "", numbers, "?") == "int64"

    def test_an_instant_is_kept_as_its_time_in_utc(self, file: Path) -> None:
        table = read(file, "t\n2024-05-31T10:00:00+02:00\n")
        assert table["t"].to_pylist() == [datetime(2024, 5, 31, 8)]  # noqa: DTZ001


class TestCells:
    def test_blanks_around_names_and_cells_are_layout(self, file: Path) -> None:
        # UCI Adult in its original form has a blank after each comma.
        table = read(file, "age, workclass, income\n39, State-gov, <=50K\n50, ?, >50K\n")
        assert table.column_names == ["age", "workclass", "income"]
        assert table.to_pylist() == [
            {"age": 39, "workclass": "State-gov", "income": "<=50K"},
            {"age": 50, "workclass": None, "income": ">50K"},
        ]

    def test_texts_for_missing_values_can_be_chosen(self, file: Path) -> None:
        assert read(file, "x\nNA\n-1\n", missing=("-1",))["x"].to_pylist() == ["NA", None]
        assert read(file, "x,y\n,1\n", missing=())["x"].to_pylist() == [""]

    def test_quoted_cells_may_hold_anything(self, file: Path) -> None:
        table = read(file, 'a,"b\nc"\n"x,y","say ""hi""\nthere"\n"5"" pipe",z\n')
        assert table.to_pylist() == [
            {"a": "x,y", "b\nc": 'say "hi"\nthere'},
            {"a": '5" pipe', "b\nc": "z"},
        ]

    def test_line_ends_blank_lines_and_byte_order_marks_do_not_matter(self, file: Path) -> None:
        plain = read(file, "a,b\n1,x\n2,y\n")
        for other in ("a,b\r\n1,x\r\n2,y", "a,b\r1,x\r2,y\r", "\n\na,b\n\n1,x\n\n2,y\n\n"):
            assert read(file, other).equals(plain)
        assert read(file, b"\xef\xbb\xbfa,b\n1,x\n2,y\n").equals(plain)


class TestForms:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16"])
    def test_any_encoding(self, file: Path, encoding: str) -> None:
        content = "größe;ort\n1;Köln\n".encode(encoding)
        assert read(file, content, encoding=encoding).to_pylist() == [{"größe": 1, "ort": "Köln"}]

    def test_a_character_that_grows_in_utf_8_does_not_overflow_a_block(self, file: Path) -> None:
        content = "x\n" + "€" * 1_000_000 + "\n" + "€\n" * 3_000_000
        table = read(file, content.encode("cp1252"), encoding="cp1252")
        assert table.num_rows == 3_000_001

    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_the_delimiter_is_found(self, file: Path, delimiter: str) -> None:
        rows = [["a", "b", "c"], ["1,5", "x;y", "a|b"], ["2,5", "x\ty", "c"]]
        out = io.StringIO()
        csv.writer(out, delimiter=delimiter).writerows(rows)
        assert read(file, out.getvalue()).column_names == rows[0]

    @pytest.mark.parametrize(
        ("given", "character"),
        [(":", ":"), ("\\t", "\t"), ("tab", "\t"), ("\x1e", "\x1e"), ("\x1f", "\x1f")],
    )
    def test_the_delimiter_can_be_set(self, file: Path, given: str, character: str) -> None:
        table = read(file, f"a{character}b,c\n1{character}2\n", delimiter=given)
        assert table.to_pylist() == [{"a": 1, "b,c": 2}]

    def test_gzip_is_known_by_its_bytes(self, file: Path) -> None:
        assert read(file, gzip.compress(b"a,b\n1,2\n")).to_pylist() == [{"a": 1, "b": 2}]

    def test_parquet_is_known_by_its_bytes_and_made_plain(self, file: Path) -> None:
        moment = datetime(2024, 5, 31, 8, tzinfo=UTC)
        foreign = pa.table(
            {
                "small": pa.array([1], pa.uint8()),
                "real": pa.array([0.5], pa.float32()),
                "price": pa.array([Decimal("1.25")], pa.decimal128(9, 2)),
                "category": pa.array(["x"]).dictionary_encode(),
                "large": pa.array(["y"], pa.large_string()),
                "zoned": pa.array([moment], pa.timestamp("ns", "Europe/Berlin")),
                "day": pa.array([date(2024, 5, 31)], pa.date64()),
                "nothing": pa.nulls(1),
            }
        )
        pq.write_table(foreign, file)
        table = open_table(file)
        (batch,) = table.batches()
        assert [str(item.type) for item in table.schema] == [
            "int64",
            "double",
            "double",
            "string",
            "string",
            "timestamp[us]",
            "date32[day]",
            "string",
        ]
        assert batch.to_pylist() == [
            {
                "small": 1,
                "real": 0.5,
                "price": 1.25,
                "category": "x",
                "large": "y",
                "zoned": moment.replace(tzinfo=None),
                "day": date(2024, 5, 31),
                "nothing": None,
            }
        ]

    cells = st.one_of(
        st.sampled_from(["", "NA", "true", "007", "2024-05-31", "1.5", 'say "x"', "a,b;c\td|e"]),
        st.integers().map(str),
        st.floats(allow_nan=False).map(repr),
        st.text("aä \n,;'\"|", max_size=5),
    )

    @given(st.data(), st.integers(1, 4), st.integers(1, 12), st.integers(1, 5))
    def test_one_table_has_one_digest_in_every_form(
        self, data: st.DataObject, width: int, height: int, part: int
    ) -> None:
        row = st.lists(self.cells, min_size=width, max_size=width)
        rows = data.draw(st.lists(row, min_size=height, max_size=height))
        header = [f"c{i}" for i in range(width)]
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)

            def snapshot(name: str, source: Path, **options: Any) -> dict[str, bytes]:
                target = root / name
                target.mkdir()
                table = open_table(source, Options(**options))
                dataset.write(table.batches(), table.schema, target, rows_per_part=part)
                return {path.name: path.read_bytes() for path in target.iterdir()}

            def as_csv(delimiter: str, end: str, quoting: Any) -> bytes:
                out = io.StringIO(newline="")
                writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting)
                writer.writerows([header, *rows])
                return out.getvalue().encode()

            plain, other = root / "plain.csv", root / "other.gz"
            # One lone empty cell, unquoted, would be a blank line.
            plain.write_bytes(as_csv(",", "\n", csv.QUOTE_ALL))
            other.write_bytes(gzip.compress(as_csv(";", "\r\n", csv.QUOTE_ALL)))
            expected = snapshot("plain", plain, delimiter=",")
            assert snapshot("other", other, delimiter=";") == expected
            assert snapshot("again", root / "plain") == expected
            batches = dataset.iter_batches(root / "plain")
            table = pa.Table.from_batches(batches, dataset.arrow_schema(root / "plain"))
            pq.write_table(table, root / "foreign.parquet", compression="snappy", row_group_size=3)
            assert snapshot("parquet", root / "foreign.parquet") == expected


class TestBadRows:
    def test_ragged_rows_are_counted_and_the_first_ten_named(self, file: Path) -> None:
        message = refusal(file, "a,b\n" + "1\n" * 12 + "1,2\n" + "1,2,3\n")
        assert message.startswith(
            "table.csv: 13 of 14 rows without the header's 2 fields: rows 2 ("
        )
        assert "11 (has 1) and 3 more" in message

    def test_a_row_is_numbered_by_the_line_it_begins_in(self, file: Path) -> None:
        message = refusal(file, 'a,b\n1,"x\ny"\n\n1,2\n3\n"4\n5",6,7\n')
        assert "rows 6 (has 1), 7 (has 3)" in message

    def test_bytes_of_another_encoding(self, file: Path) -> None:
        message = refusal(file, "a,b\n1,x\n2,ä\n3,y\n4,ö\n".encode("latin-1"))
        assert message == (
            "table.csv: not utf-8 in rows 3, 5; set encoding to the file's, such as 'latin-1' or "
            "'cp1252'"
        )

    def test_utf_16_is_recognised(self, file: Path) -> None:
        message = refusal(file, "a,b\n1,x\n".encode("utf-16"))
        assert "by its first bytes it is UTF-16: set encoding='utf-16'" in message

    def test_a_nul_byte(self, file: Path) -> None:
        assert "a NUL byte in row 3;" in refusal(file, b"a,b\n1,x\n2,\0\n")

    @pytest.mark.parametrize("rows", ['1,2\n3,"x\n4,5\n', '1,2\n"3,x\n4,5\n', '1,2\n3,"'])
    def test_a_quote_that_is_never_closed(self, file: Path, rows: str) -> None:
        assert "a quote that opens in row 3 is never closed" in refusal(file, "a,b\n" + rows)

    @pytest.mark.parametrize("text", ["x\n", "x"])
    def test_a_quote_that_swallows_the_rest_of_a_large_file(self, file: Path, text: str) -> None:
        message = refusal(file, 'a,b\n1,"' + text * (3 * BLOCK_BYTES))
        assert "row 2 is longer than" in message
        assert "never closed" in message

    def test_all_problems_of_header_and_rows_are_reported_together(self, file: Path) -> None:
        content = b'a,a,,d\n1,2,3,4\n1,2\n1,2,3,\xff\n1,2,"\n'
        file.write_bytes(content)
        with pytest.raises(DataError) as caught:
            open_table(file, required=[("target", "income")])
        message = str(caught.value)
        for expected in (
            "header (row 1): column 3 has no name, column 'a' occurs 2 times",
            "target: no column 'income'",
            "not utf-8 in row 4",
            "row 3 (has 2)",
            "opens in row 5",
        ):
            assert expected in message
        assert "\n" not in message

    def test_a_missing_target_gets_a_suggestion(self, file: Path) -> None:
        file.write_text("age,income\n1,x\n")
        with pytest.raises(DataError, match="target: no column 'Incom'; did you mean 'income'"):
            open_table(file, required=[("target", "Incom")])

    @pytest.mark.parametrize("content", ["a,b\n", "a,b", "a,b\n\n\n"])
    def test_a_header_without_rows(self, file: Path, content: str) -> None:
        assert refusal(file, content).startswith("table.csv: a header and no rows")

    @pytest.mark.parametrize("content", ["", "\n\n", "  \n"])
    def test_an_empty_file(self, file: Path, content: str) -> None:
        assert "empty; give a" in refusal(file, content)

    @pytest.mark.parametrize("encoding", ["klingon", "hex", "rot13", "a\0b"])
    def test_an_invalid_encoding_is_refused(self, file: Path, encoding: str) -> None:
        assert "is not a text encoding" in refusal(file, "a\n1\n", encoding=encoding)

    @pytest.mark.parametrize("delimiter", ["", "ab", '"', "\n", "§"])
    def test_an_invalid_delimiter_is_refused(self, file: Path, delimiter: str) -> None:
        assert "give one ASCII character" in refusal(file, "a\n1\n", delimiter=delimiter)

    @pytest.mark.parametrize("cut", [6, 40])
    def test_a_gzip_file_that_is_cut_off(self, file: Path, cut: int) -> None:
        rows = "".join(f"{i},{i * 7919 % 1000}\n" for i in range(400_000))
        content = gzip.compress(("a,b\n" + rows).encode())
        assert "damaged" in refusal(file, content[:-cut])
        assert "damaged" in refusal(file, b"\x1f\x8bxxxx")

    def test_a_picture(self, file: Path) -> None:
        assert "is an image" in refusal(file, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")

    @given(st.binary(max_size=60), st.sampled_from(["utf-8", "latin-1", "utf-16", "utf-7"]))
    def test_arbitrary_bytes_never_cause_a_traceback(self, content: bytes, encoding: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x"
            for prefix in (b"", b"a,b\n", b"\x1f\x8b", b"PAR1"):
                try:
                    read(path, prefix + content, encoding=encoding)
                except DataError as error:
                    lines = str(error).splitlines()
                    assert len(lines) == 1


class TestBadParquet:
    def write(self, file: Path, table: pa.Table) -> Path:
        pq.write_table(table, file)
        return file

    def test_columns_of_unsupported_types_are_reported_together(self, file: Path) -> None:
        table = pa.table({"a": [[1]], "b": [b"x"], "c": [1]})
        with pytest.raises(DataError, match=r"column 'a' is of type list.*column 'b' is of type b"):
            open_table(self.write(file, table), required=[("target", "c")])

    def test_an_extension_type_is_refused_even_if_it_is_registered(self, file: Path) -> None:
        """A month of pandas is kept as a count of months; as a number it would mislead."""
        import pandas as pd

        months = pd.DataFrame({"month": pd.period_range("2024-01", periods=3, freq="M"), "x": 1})
        months.to_parquet(file, index=False)
        # A process that has not imported pandas' types finds whole numbers with a name beside them.
        script = f"""
import pathlib
from assay.data.sources import open_table
from assay.errors import DataError
try:
    open_table(pathlib.Path({str(file)!r}))
except DataError as error:
    print(error)
"""
        message = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        ).stdout
        assert "column 'month' is of type pandas.period; make it numbers, text" in message
        with pytest.raises(DataError, match=r"'month' is of type pandas\.period"):
            open_table(file)

    def test_repeated_and_nameless_columns(self, file: Path) -> None:
        table = pa.Table.from_arrays([pa.array([1])] * 3, names=["a", "a", ""])
        with pytest.raises(DataError, match=r"column 3 has no name; column .a. occurs 2 t"):
            open_table(self.write(file, table))

    def test_values_that_do_not_fit_are_reported_with_their_rows(self, file: Path) -> None:
        table = pa.table({"id": pa.array([1, 2**64 - 1], pa.uint64())})
        with pytest.raises(DataError, match=r"column 'id', rows 1 to 2: a value that int64"):
            list(open_table(self.write(file, table)).batches())

    def test_text_that_is_no_utf_8(self, file: Path) -> None:
        text = pa.Array.from_buffers(
            pa.string(), 1, [None, pa.array([0, 1], pa.int32()).buffers()[1], pa.py_buffer(b"\xff")]
        )
        with pytest.raises(DataError, match=r"column 's', rows 1 to 1: .*UTF8"):
            list(open_table(self.write(file, pa.table({"s": text}))).batches())

    def test_a_damaged_file(self, file: Path) -> None:
        content = self.write(file, pa.table({"a": list(range(1000))})).read_bytes()
        file.write_bytes(content[:-20])
        with pytest.raises(DataError, match="a damaged Parquet file"):
            open_table(file)
        file.write_bytes(content[:10] + b"\0" * 100 + content[110:])
        with pytest.raises(DataError, match="cannot be read"):
            list(open_table(file).batches())

    def test_a_folder_that_is_no_dataset(self, tmp_path: Path) -> None:
        with pytest.raises(IntegrityError, match="not a dataset"):
            open_table(tmp_path)


class TestHeader:
    def test_the_first_bytes_are_enough(self) -> None:
        header = read_header(b"a;b;c\n1;2;3\n4;5", Options())
        assert (header.names, header.delimiter, header.problems) == (("a", "b", "c"), ";", ())

    def test_a_wide_header_is_read_whole(self, file: Path) -> None:
        names = [f"{i}_a_column_whose_name_goes_on_and_on_and_on_and_on" for i in range(6_000)]
        table = read(file, ",".join(names) + "\n" + ",".join("1" * len(names)) + "\n")
        assert table.column_names == names
