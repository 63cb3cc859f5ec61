"""What a table says is what a dataset holds: exactly, or the import refuses, or a finding says so.

The situations are those in which real files were read wrongly without a word.
"""

import csv
import io
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assay import data as dataset
from assay.core.findings import Finding
from assay.data.sources import Options, open_table
from assay.errors import DataError, UsageError


class Read:
    """A file as it comes out of a dataset."""

    def __init__(self, path: Path, **options: Any) -> None:
        table = open_table(path, Options(**options))
        with tempfile.TemporaryDirectory() as folder:
            self.info = dataset.write(
                table.batches(), table.schema, Path(folder), findings=table.findings
            )
            batches = list(dataset.iter_batches(Path(folder)))
            self.table = pa.Table.from_batches(batches, dataset.arrow_schema(Path(folder)))
            self.card = (Path(folder) / "summary.md").read_text()

    def kind(self, column: str) -> str:
        return self.info.column(column).type

    def values(self, column: str) -> list[Any]:
        values: list[Any] = self.table.column(column).to_pylist()
        return values

    @property
    def codes(self) -> dict[str, list[str]]:
        """Each column with the codes of its findings."""
        found: dict[str, list[str]] = {}
        for finding in self.info.findings:
            for column in finding.columns:
                found.setdefault(column, []).append(finding.code)
        return found

    def finding(self, code: str) -> Finding:
        (found,) = [finding for finding in self.info.findings if finding.code == code]
        return found


def read(folder: Path, content: str | bytes, **options: Any) -> Read:
    path = folder / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Read(path, **options)


def column(folder: Path, values: Sequence[str], **options: Any) -> Read:
    """A table whose column `x` has these cells, each in quotes."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([["x", "y"], *([value, "1"] for value in values)])
    return read(folder, out.getvalue(), delimiter=",", **options)


class TestNumbersWithAComma:
    CONTENT = "weight;height;ill\n" + "49,9;153,6;0\n63,1;173,9;0\n80;177,2;1\n" * 50

    def test_they_do_not_become_categories_without_a_word(self, tmp_path: Path) -> None:
        found = read(tmp_path, self.CONTENT)
        assert found.codes == {"weight": ["decimal-comma"], "height": ["decimal-comma"]}
        text = found.info.findings[0].text
        assert "column 'weight': 100 of 150 values are numbers with a comma, such as '49,9'" in text
        assert "set decimal=','" in text
        assert "set decimal=','" in found.card

    def test_the_parameter_that_the_finding_names_reads_them(self, tmp_path: Path) -> None:
        found = read(tmp_path, self.CONTENT, decimal=",")
        assert found.info.findings == ()
        assert found.kind("weight") == "float64"
        assert found.values("height")[:3] == [153.6, 173.9, 177.2]
        assert found.kind("ill") == "int64"

    def test_they_have_the_digest_of_the_same_numbers_with_a_point(self, tmp_path: Path) -> None:
        comma = read(tmp_path, self.CONTENT, decimal=",")
        point = read(tmp_path, self.CONTENT.replace(",", "."))
        assert comma.table.equals(point.table)
        assert comma.card == point.card

    @pytest.mark.parametrize("cell", ["1.5", "1.234,5", "1,2,3", "01,5"])
    def test_a_number_that_is_written_otherwise_is_not_guessed(
        self, tmp_path: Path, cell: str
    ) -> None:
        found = column(tmp_path, ["1,5", "2,5", cell], decimal=",")
        assert found.values("x") == ["1,5", "2,5", cell]

    def test_the_few_that_are_no_numbers_are_named(self, tmp_path: Path) -> None:
        found = column(tmp_path, ["1,5"] * 30 + ["n/k", "n/k"])
        assert "not numbers either way: 'n/k' (2 times)" in found.finding("decimal-comma").text

    def test_another_decimal_mark_is_refused(self) -> None:
        with pytest.raises(UsageError, match=r"decimal is ';'; give '\.' or ','"):
            Options.given("auto", [], "utf-8", 10, ";")


class TestNumbersAmongWhichAreWords:
    @pytest.mark.parametrize(
        "word",
        [
            "NULL",
            "n/a",
            "-",
            "#N/A",
            ".",
            "\\N",
            "nil",
            "<NA>",
            "NONE",
            "missing",
            "#DIV/0!",
            "\u00a0",
        ],
    )
    def test_the_words_are_named(self, tmp_path: Path, word: str) -> None:
        found = column(tmp_path, ["1", word, "3"])
        text = found.finding("not-numbers").text
        assert "2 of 3 values are numbers" in text
        assert "missing_values" in text
        assert word.replace("\\", "\\\\").replace("\u00a0", "'") in text
        assert column(tmp_path, ["1", word, "3"], missing=(word,)).kind("x") == "int64"

    def test_a_late_word_is_named_too(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("assay.data.csv_bytes.BLOCK_BYTES", 1 << 10)
        found = column(tmp_path, [str(i / 4) for i in range(5000)] + ["n/k"])
        assert "5,000 of 5,001 values are numbers" in found.finding("not-numbers").text

    @pytest.mark.parametrize(
        "values",
        [
            ["01234", "10115", "99999"],
            ["red", "green", "blue"],
            [f"A{i}" for i in range(90)] + [str(i) for i in range(100)],
            ["18446744073709551616", "5", "6"],
        ],
        ids=["postal codes", "words", "mixed codes", "identifiers"],
    )
    def test_text_that_is_meant_as_text_gets_no_finding(
        self, tmp_path: Path, values: list[str]
    ) -> None:
        found = column(tmp_path, values)
        assert found.values("x") == values
        assert found.info.findings == ()

    @pytest.mark.parametrize(
        "values",
        [["12%", "7%"], ["€ 5", "€ 7.50"], ["1.234.567", "2.000.000"], ["+5", "3"], ["(5)", "3"],
         ["1 234", "2 345"], ["5 EUR", "7 EUR"]],
        ids=str,
    )  # fmt: skip
    def test_numbers_with_a_unit_or_grouping(self, tmp_path: Path, values: list[str]) -> None:
        found = column(tmp_path, values)
        assert found.values("x") == values
        assert found.codes == {"x": ["written-numbers"]}


class TestGroupedThousands:
    """A mark that groups digits in the file and is the decimal mark for the reader."""

    @pytest.mark.parametrize(
        ("values", "decimal"),
        [
            (["12.500", "1.250", "850", "3.000", "-47.900"], "."),
            (["12,500", "1,250", "850", "3,000", "-47,900"], ","),
            ([*["5"] * 200, "0", "1.250"], "."),
        ],
    )
    def test_a_person_hears_of_it(self, tmp_path: Path, values: list[str], decimal: str) -> None:
        found = column(tmp_path, values, decimal=decimal)
        assert found.codes == {"x": ["perhaps-thousands"]}
        text = found.finding("perhaps-thousands").text
        assert f"If '{decimal}' groups thousands here, all are a thousand times too small" in text

    @pytest.mark.parametrize(
        "values",
        [
            ["12.500", "1.250", "3.5"],
            ["12.500", "1.2505"],
            ["0.125", "1.250"],
            ["1250.500", "1.250"],
            ["1250", "1.250"],
            ["12.500", "1e3"],
            ["12.500", "inf"],
            ["1", "22", "333"],
        ],
    )
    def test_what_cannot_be_grouped_gets_no_finding(
        self, tmp_path: Path, values: list[str]
    ) -> None:
        assert column(tmp_path, values).info.findings == ()

    def test_one_other_number_far_behind_is_enough(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("assay.data.csv_bytes.BLOCK_BYTES", 1 << 10)
        cells = ["850"] * 500 + ["12.500"] * 500
        assert column(tmp_path, cells).codes == {"x": ["perhaps-thousands"]}
        assert column(tmp_path, ["1850", *cells]).info.findings == ()
        assert column(tmp_path, [*cells, "12.5"]).info.findings == ()


class TestCodesThatReadAsNumbers:
    def test_a_person_hears_that_two_codes_may_be_one_number(self, tmp_path: Path) -> None:
        found = column(tmp_path, ["17", "1E3", "1000"])
        assert found.values("x") == [17.0, 1000.0, 1000.0]
        assert "like '1E3', read as 1000" in found.finding("perhaps-codes").text

    @pytest.mark.parametrize("values", [["1e+05", "17"], ["1e3", "0.5"], ["1e3", "-5"]])
    def test_what_a_program_writes_gets_no_finding(self, tmp_path: Path, values: list[str]) -> None:
        assert column(tmp_path, values).info.findings == ()


class TestTextThatTheFileSaysIsText:
    """Parquet says the type; what the text looks like, a person should hear as for a CSV."""

    @pytest.mark.parametrize(
        ("values", "code", "message"),
        [
            (
                [f"{i},5" for i in range(300)],
                "decimal-comma",
                "kept as text: write them as numbers",
            ),
            (
                [str(i) if i % 10 else "NULL" for i in range(300)],
                "not-numbers",
                "because of 'NULL' (30 times); make those null that mean a missing value",
            ),
            ([f"{1 + i % 28:02d}.01.2024" for i in range(300)], "not-iso-time", "'01.01.2024'"),
            (["1.50", "2.75", "10.00"] * 9, "typed-text", "all values are numbers, and the file"),
            (["2024-05-31"] * 9, "typed-text", "all values are dates"),
            (["", "a", "NA", "b"] * 9, "gap-words", "'' (9 times), 'NA' (9 times): a category"),
        ],
    )
    def test_it_gets_the_findings_of_a_csv_and_stays_text(
        self, tmp_path: Path, values: list[str], code: str, message: str
    ) -> None:
        pq.write_table(pa.table({"x": values, "y": [1] * len(values)}), tmp_path / "t.parquet")
        found = Read(tmp_path / "t.parquet")
        assert found.values("x") == values
        assert found.codes == {"x": [code]}
        text = found.finding(code).text
        assert message in text
        # None of the reader's parameters is of use.
        assert "missing_values" not in text
        assert "decimal=" not in text

    def test_codes_and_words_get_no_finding(self, tmp_path: Path) -> None:
        table = {"zip": ["01234", "99999"], "code": ["5", "6"], "word": ["red", "blue"]}
        pq.write_table(pa.table(table), tmp_path / "t.parquet")
        assert Read(tmp_path / "t.parquet").info.findings == ()

    def test_a_word_for_a_missing_value_among_words_is_reported_in_a_csv_too(
        self, tmp_path: Path
    ) -> None:
        found = column(tmp_path, ["red", "blue", "NULL", "NULL"])
        assert found.codes == {"x": ["gap-words"]}
        assert "name it in missing_values" in found.finding("gap-words").text
        assert column(tmp_path, ["red", "NULL"], missing=("NULL",)).info.findings == ()


class TestNumbersThatNoFloatHolds:
    def test_ids_written_as_fractions_are_kept(self, tmp_path: Path) -> None:
        ids = [f"{1582218195625938945 + i}.0" for i in range(40)]
        found = column(tmp_path, ids)
        assert found.values("x") == ids
        assert "beyond what float64 holds" in found.finding("beyond-float64").text

    def test_ids_are_kept_when_one_of_them_is_a_fraction(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("assay.data.csv_bytes.BLOCK_BYTES", 1 << 10)
        cells = [str(2**53 + 1 + i) for i in range(500)] + ["0.5"]
        found = column(tmp_path, cells)
        assert found.values("x") == cells
        assert found.codes == {"x": ["beyond-float64"]}

    @pytest.mark.parametrize("cell", ["1e-400", "0.1234567890123456789012", "4.9e-330"])
    def test_a_fraction_that_loses_digits_is_reported(self, tmp_path: Path, cell: str) -> None:
        found = column(tmp_path, ["0.5", cell])
        assert found.kind("x") == "float64"
        assert cell in found.finding("rounded").text

    @pytest.mark.parametrize("digits", [0, 1, 6, 15, 16, 17, 18, 25])
    def test_what_was_printed_from_a_float_gets_no_finding(
        self, tmp_path: Path, digits: int
    ) -> None:
        numbers = [0.1, 1 / 3, -2.5e-7, 1e22, 123456.789, 5e-310, 0.0]
        cells = [f"{number:.{digits}e}" for number in numbers] + [repr(n) for n in numbers]
        found = column(tmp_path, cells)
        assert found.kind("x") == "float64"
        assert found.info.findings == ()

    NUMBERS = st.one_of(
        st.integers(-(2**70), 2**70).map(str),
        st.decimals(allow_nan=False, allow_infinity=False).map(str),
        st.floats(allow_nan=False).map(repr),
        st.builds("{}.{}".format, st.integers(-(2**60), 2**60), st.integers(0, 10**20)),
        st.builds("{}.0".format, st.integers(-(2**60), 2**60)),
        st.builds("{}e{}".format, st.integers(-99, 99), st.integers(-420, 420)),
        st.sampled_from(["1e999", "-0", "5.", ".5", "1E5", "inf", "007", "+5", "1,5"]),
    )

    @settings(max_examples=300)
    @given(st.lists(NUMBERS, min_size=1, max_size=6))
    def test_no_number_changes_without_a_word(self, cells: list[str]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            found = column(Path(folder), cells)
        for cell, value in zip(cells, found.values("x"), strict=True):
            if isinstance(value, str):
                assert value == cell
            elif Decimal(cell) != Decimal(repr(value)) and Decimal(cell) != Decimal(value):
                significant = len(cell.lower().partition("e")[0].lstrip("-0.").replace(".", ""))
                printed = Decimal(f"{value:.{max(significant, 1) - 1}e}")
                assert printed == Decimal(cell) or found.codes == {"x": ["rounded"]}
                assert abs(value) < 2**53 or not cell.removesuffix(".0").lstrip("-").isdigit()


class TestTimes:
    def test_postgres_writes_a_zone_with_two_digits(self, tmp_path: Path) -> None:
        text = "2024-01-01 05:00:00+00"
        short = column(tmp_path, [text, "2024-07-01 05:00:00+02", "2024-01-01 00:00:00-05:30"])
        assert short.kind("x") == "timestamp"
        assert [value.replace(tzinfo=UTC) for value in short.values("x")] == [
            datetime(2024, 1, 1, 5, tzinfo=UTC),
            datetime(2024, 7, 1, 3, tzinfo=UTC),
            datetime(2024, 1, 1, 5, 30, tzinfo=UTC),
        ]

    @pytest.mark.parametrize(
        "values",
        [
            ["2024-01-01 00:00:00+00", "2024-01-01 00:00:00"],
            ["2024-01-01 00:00:00.1234567", "2024-01-01 00:00:00.0000001"],
            ["01/02/2024", "13/02/2024"],
            ["31.05.2024", "1.6.2024"],
            ["2024-5-1", "2024-12-31"],
            ["Jan 5, 2024", "Feb 6, 2024"],
            ["5-Jan-2024 10:00 AM", "6-Feb-2024 11:00 PM"],
        ],
        ids=lambda values: values[0],
    )
    def test_times_that_stay_text_are_reported(self, tmp_path: Path, values: list[str]) -> None:
        found = column(tmp_path, values)
        assert found.values("x") == values
        assert found.codes == {"x": ["not-iso-time"]}

    @pytest.mark.parametrize("value", ["0000-01-01", "0000-12-31T23:59:59", "0001-01-01T00:00+01"])
    def test_an_impossible_year_stays_text_and_is_reported(
        self, tmp_path: Path, value: str
    ) -> None:
        found = column(tmp_path, ["2024-01-01T00:00Z", value] if "+" in value else [value])
        assert found.kind("x") == "string"
        assert found.codes == {"x": ["not-iso-time"]}

    def test_the_first_and_the_last_year_are_read(self, tmp_path: Path) -> None:
        days = ["0001-01-01", "9999-12-31"]
        assert [str(day) for day in column(tmp_path, days).values("x")] == days
        times = ["0001-01-01T00:00:00", "9999-12-31T23:59:59.999999"]
        assert [t.isoformat() for t in column(tmp_path, times).values("x")] == times


class TestTruths:
    def test_true_and_false_in_several_spellings_are_reported(self, tmp_path: Path) -> None:
        found = column(tmp_path, ["true", "yes", "0", "no"])
        assert found.values("x") == ["true", "yes", "0", "no"]
        assert "spelled as '0', 'no', 'true', 'yes'" in found.finding("mixed-booleans").text

    @pytest.mark.parametrize("values", [["yes", "no"], ["Y", "N"], ["t", "f"]])
    def test_two_spellings_are_two_categories(self, tmp_path: Path, values: list[str]) -> None:
        assert column(tmp_path, values).info.findings == ()


HOSTILE = {
    "backslash": r'1,"the \"best\" one",0',
    "text behind a quote": '1,"a"b,0',
    "blank behind a quote": '1,"a" ,0',
    "blank before a quote": '1, "a,b",0',
    "quote within": '1,5" pipe,0',
    "two quotes within": '1,a "b" c,0',
    "quote at the end": '1,a",0',
    "doubled outside": '1,a""b,0',
    "three quotes": '1,"""a,0',
    "single quotes that hold the delimiter": "1,'a,b',0",
    "two delimiters": "1,,a,0",
    "no delimiter": "1 a 0",
    "another delimiter in one row": "1;a;0",
    "a row too short": "1,a",
    "a row too long": "1,a,0,9",
    "a trailing delimiter": "1,a,0,",
    "a footer": "Total: 1 row",
    "a second header with a note": "# exported",
    "a quote that opens and is never closed": '1,"a,0',
    "a line end within an unquoted field": "1,a\nb,0",
    "a carriage return within an unquoted field": "1,a\rb,0",
    "a form feed between rows": "1,a,0\x0c2,b,1",
}
"""In the spirit of the Pollock benchmark (Vitagliano et al. 2023): pollutions of one row each."""


class TestStrictQuoting:
    @pytest.mark.parametrize("row", HOSTILE.values(), ids=HOSTILE.keys())
    def test_a_polluted_row_is_refused(self, tmp_path: Path, row: str) -> None:
        with pytest.raises(DataError) as caught:
            read(tmp_path, f"id,name,y\n0,plain,1\n{row}\n8,last,0\n", delimiter=",")
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500

    def test_the_line_and_the_remedy_are_reported(self, tmp_path: Path) -> None:
        with pytest.raises(DataError) as caught:
            read(tmp_path, 'id,name\n1,"a\nb"\n2,"the \\"best\\" one"\n')
        assert "line 4: a quote is escaped with a backslash" in str(caught.value)
        assert "Spark" in str(caught.value)

    def test_a_stray_quote_is_found_wherever_a_block_ends(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for size in range(40, 80):
            monkeypatch.setattr("assay.data.csv_bytes.BLOCK_BYTES", size)
            for row in ('1,"a"b', '1,a"b', '1,"a"'):
                content = 'x,y\n1,"p ""q"""\n1,plain\n' + row + '\n1,"r"\n'
                if row == '1,"a"':
                    values = read(tmp_path, content, delimiter=",").values("y")
                    assert values == ['p "q"', "plain", "a", "r"]
                else:
                    with pytest.raises(DataError, match=r"line 4: a quote"):
                        read(tmp_path, content, delimiter=",")

    TEXT = st.text(st.sampled_from('ab",;\n\\ '), max_size=6)

    @settings(max_examples=300)
    @given(st.text(st.sampled_from('ab",\n\\'), max_size=25))
    def test_any_text_is_read_as_rfc_4180_has_it_or_refused(self, body: str) -> None:
        content = f'x,y\n{body}\n"z",z\n'
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = read(Path(folder), content, delimiter=",", missing=())
            except DataError:
                return
        expected = [row for row in csv.reader(io.StringIO(content), strict=True) if row][1:]
        rows = [[row["x"], row["y"]] for row in found.table.to_pylist()]
        assert rows == [[cell.strip(" \t") for cell in row] for row in expected]
        # Written again by a writer that follows the standard, the file means the same.
        assert all('"' not in cell or '""' in content for row in rows for cell in row)

    @given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8))
    def test_what_a_writer_of_rfc_4180_wrote_is_read(self, rows: list[tuple[str, str]]) -> None:
        out = io.StringIO()
        csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows([("x", "y"), *rows])
        with tempfile.TemporaryDirectory() as folder:
            found = read(Path(folder), out.getvalue(), delimiter=",", missing=())
        cells = [(str(row["x"]), str(row["y"])) for row in found.table.to_pylist()]
        assert cells == [(a.strip(" "), b.strip(" ")) for a, b in rows]


def test_a_file_that_two_delimiters_fit_says_so(tmp_path: Path) -> None:
    """`1,5;3` was read as 1 and '5;3' without a word."""
    text = "Preis, netto;Menge\n1,5;3\n2,5;4\n"
    (told,) = read(tmp_path, text).info.findings
    assert told.code == "delimiter-tie"
    assert "may be ',', by which the file was read, or ';'" in told.text
    assert not read(tmp_path, text, delimiter=";", decimal=",").info.findings
    assert not read(tmp_path, "a;b\nx,y;3\nz;4\n").info.findings


class TestExcelsFirstLine:
    @pytest.mark.parametrize("line", ["sep=;\r\n", '"sep=;"\n', "sep=;\n"])
    def test_it_names_the_delimiter_and_is_no_header(self, tmp_path: Path, line: str) -> None:
        found = read(tmp_path, line + "a;b\n1;x,y,z\n2;u,v,w\n")
        assert found.table.to_pylist() == [{"a": 1, "b": "x,y,z"}, {"a": 2, "b": "u,v,w"}]

    @pytest.mark.parametrize("before", ["\n", "\r\n\r\n", "\ufeff\n"])
    def test_blank_lines_may_come_before_it(self, tmp_path: Path, before: str) -> None:
        """The blank line was skipped in its place, and the header became a row."""
        found = read(tmp_path, f"{before}sep=;\na;b\nx;y\n".encode())
        assert found.table.to_pylist() == [{"a": "x", "b": "y"}]
        with pytest.raises(DataError, match=r"rows? 4 \(has 3\)"):
            read(tmp_path, "\nsep=;\na;b\nx;y;z\n")

    def test_rows_are_numbered_with_it(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"rows? 4 \(has 3\)"):
            read(tmp_path, "sep=;\na;b\n1;2\n1;2;3\n")

    def test_in_utf_16(self, tmp_path: Path) -> None:
        content = "sep=;\r\na;b\r\n1;ö\r\n".encode("utf-16")
        assert read(tmp_path, content, encoding="utf-16").values("b") == ["ö"]


class TestParquet:
    def write(self, folder: Path, table: pa.Table) -> Read:
        pq.write_table(table, folder / "t.parquet")
        return Read(folder / "t.parquet")

    def decimals(self, folder: Path, texts: Sequence[str], scale: int) -> Read:
        values = pa.array([Decimal(text) for text in texts], pa.decimal128(38, scale))
        return self.write(folder, pa.table({"x": values}))

    def test_whole_decimals_beyond_2_53_are_exact(self, tmp_path: Path) -> None:
        ids = [1582218195625938945 + i for i in range(200)]
        found = self.decimals(tmp_path, [str(i) for i in ids], 0)
        assert found.kind("x") == "int64"
        assert found.values("x") == ids

    def test_those_beyond_int64_are_text(self, tmp_path: Path) -> None:
        ids = [str(10**30 + i) for i in range(3)]
        found = self.decimals(tmp_path, ids, 0)
        assert found.values("x") == ids
        assert found.codes == {"x": ["beyond-float64"]}

    def test_decimals_that_float64_represents_are_numbers(self, tmp_path: Path) -> None:
        found = self.decimals(tmp_path, ["12.34", "0.1", "-99999.000001"], 18)
        assert found.kind("x") == "float64"
        assert found.values("x") == [12.34, 0.1, -99999.000001]
        assert found.info.findings == ()

    def test_decimals_with_more_digits_are_rounded_and_reported(self, tmp_path: Path) -> None:
        found = self.decimals(tmp_path, ["0.123456789012345678901", "1.5"], 30)
        assert found.codes == {"x": ["rounded"]}

    @settings(max_examples=100)
    @example([83_282_661_557_815_888], 2)
    @given(
        st.lists(st.integers(-(10**37), 10**37), min_size=1, max_size=5),
        st.sampled_from([0, 2, 20]),
    )
    def test_every_change_of_a_decimal_is_reported(self, whole: list[int], scale: int) -> None:
        values = [Decimal(value).scaleb(-scale) for value in whole]
        with tempfile.TemporaryDirectory() as folder:
            found = self.decimals(Path(folder), [f"{value:f}" for value in values], scale)
        for value, stored in zip(values, found.values("x"), strict=True):
            exact = value in {Decimal(str(stored)), Decimal(stored)}
            if isinstance(stored, float):  # printed with as many digits, it is the same text
                digits = len(value.as_tuple().digits)
                exact = exact or value == Decimal(f"{stored:.{digits - 1}e}")
            assert exact or found.codes == {"x": ["rounded"]}

    @pytest.mark.parametrize(
        "values",
        [
            pa.array([-800_000, 0], pa.date32()),
            pa.array([0, 3_000_000], pa.date32()),
            pa.array([None, 253_402_300_800], pa.timestamp("s")),
            pa.array([-62_135_596_801], pa.timestamp("s", "Asia/Kolkata")),
        ],
        ids=str,
    )
    def test_a_year_that_python_does_not_know_is_refused(
        self, tmp_path: Path, values: pa.Array
    ) -> None:
        with pytest.raises(DataError, match=r"'x', rows 1 to .*a year before 1 or after 9999"):
            self.write(tmp_path, pa.table({"x": values}))

    def test_an_index_of_pandas_is_no_feature(self, tmp_path: Path) -> None:
        frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [0, 1, 0]}).iloc[[2, 0, 1]]
        frame.to_parquet(tmp_path / "t.parquet")
        found = Read(tmp_path / "t.parquet")
        assert found.table.column_names == ["x", "y"]
        assert "'__index_level_0__': the index of the pandas frame" in found.info.findings[0].text

    def test_a_named_index_is_a_column(self, tmp_path: Path) -> None:
        frame = pd.DataFrame({"x": [1.0, 2.0]}, index=pd.Index([7, 8], name="customer"))
        frame.to_parquet(tmp_path / "t.parquet")
        found = Read(tmp_path / "t.parquet")
        assert found.table.column_names == ["x", "customer"]
        assert found.info.findings == ()

    def test_a_column_that_is_only_named_like_an_index_is_kept_and_reported(
        self, tmp_path: Path
    ) -> None:
        found = self.write(tmp_path, pa.table({"x": [1.5], "__index_level_0__": [3]}))
        assert found.table.column_names == ["x", "__index_level_0__"]
        assert found.codes == {"__index_level_0__": ["index-kept"]}

    @pytest.mark.parametrize("metadata", [b"{", b"[]", b'{"index_columns": 5}', b"\xff"])
    def test_odd_metadata_is_ignored(self, tmp_path: Path, metadata: bytes) -> None:
        table = pa.table({"x": [1.5], "__index_level_0__": [3]})
        found = self.write(tmp_path, table.replace_schema_metadata({"pandas": metadata}))
        assert found.codes == {"__index_level_0__": ["index-kept"]}

    def write_int96(self, folder: Path, *times: datetime) -> Path:
        path = folder / "old.parquet"
        table = pa.table({"t": pa.array(times, pa.timestamp("us")), "y": list(range(len(times)))})
        pq.write_table(table, path, use_deprecated_int96_timestamps=True)
        return path

    def test_far_times_of_old_writers_do_not_turn_into_others(self, tmp_path: Path) -> None:
        times = [
            datetime(1, 1, 1),  # noqa: DTZ001
            datetime(1970, 1, 1, 0, 0, 0, 1),  # noqa: DTZ001
            datetime(2024, 5, 31, 10),  # noqa: DTZ001
            datetime(9999, 12, 31, 23, 59, 59),  # noqa: DTZ001
        ]
        assert Read(self.write_int96(tmp_path, *times)).values("t") == times

    def test_nanoseconds_of_old_writers_are_not_dropped(self, tmp_path: Path) -> None:
        table = pa.table({"t": pa.array([1_500_000_000_000_000_001], pa.timestamp("ns"))})
        path = tmp_path / "old.parquet"
        pq.write_table(table, path, use_deprecated_int96_timestamps=True)
        with pytest.raises(DataError, match="more than six digits of a second"):
            Read(path)


class TestEncodings:
    def test_the_message_names_the_parameter(self, tmp_path: Path) -> None:
        content = "stadt,x\nKöln,1\nMünchen,2\n".encode("latin-1")
        with pytest.raises(DataError, match="set encoding to the file's, such as 'latin-1'"):
            read(tmp_path, content)
        assert read(tmp_path, content, encoding="latin-1").values("stadt") == ["Köln", "München"]

    def test_utf_8_that_is_read_in_another_encoding_is_reported(self, tmp_path: Path) -> None:
        found = read(tmp_path, "stadt,x\nKöln,1\n", encoding="latin-1")
        assert "set encoding='utf-8'" in found.finding("is-utf-8").text
        assert read(tmp_path, "stadt,x\nUlm,1\n", encoding="latin-1").info.findings == ()


class TestIndexOfPandas:
    def test_in_a_csv_that_was_written_once(self, tmp_path: Path) -> None:
        frame = pd.DataFrame({"x": [1.5, 2.5], "y": [0, 1]})
        with pytest.raises(DataError, match="is it pandas' index\\? write the file with index=F"):
            read(tmp_path, frame.to_csv())

    def test_in_a_csv_that_was_written_twice(self, tmp_path: Path) -> None:
        again = pd.read_csv(io.StringIO(pd.DataFrame({"x": [1.5, 2.5]}).to_csv()))
        assert read(tmp_path, again.to_csv(index=False)).codes == {"Unnamed: 0": ["index-kept"]}


class TestBlankLines:
    def test_in_a_table_of_one_column_they_are_reported(self, tmp_path: Path) -> None:
        found = read(tmp_path, "x\n1\n\n3\n\n\n4\n\n")
        assert found.values("x") == [1, 3, 4]
        assert found.finding("blank-lines").text.startswith("3 blank lines are not counted as rows")

    def test_before_the_header_of_one_column_they_mean_nothing(self, tmp_path: Path) -> None:
        found = read(tmp_path, "\n\nx\n1\n\n3\n")
        assert found.values("x") == [1, 3]
        assert found.finding("blank-lines").text.startswith("1 blank lines")

    def test_in_others_and_at_the_end_they_mean_nothing(self, tmp_path: Path) -> None:
        assert read(tmp_path, "x\n1\n3\n\n\n").info.findings == ()
        assert read(tmp_path, "x,y\n1,2\n\n3,4\n").info.findings == ()


class TestCards:
    def test_bounds_of_large_numbers_are_exact_over_all_parts(self, tmp_path: Path) -> None:
        ids = [2**60 + i for i in (5, 7, 3, 4, 9, 8)] + [2**60 + i for i in range(10, 40)]
        table = pa.table({"id": [*ids, None], "y": [0] * (len(ids) + 1)})
        dataset.write(table.to_batches(), table.schema, tmp_path, rows_per_part=12)
        assert f"{2**60 + 3} … {2**60 + 39}" in (tmp_path / "summary.md").read_text()


class TestSnapshotsOfSnapshots:
    def test_findings_stay_with_the_rows(self, tmp_path: Path) -> None:
        table = open_table_of(tmp_path, "x,y\n1,a\nNULL,b\n3,a\n")
        first, second = tmp_path / "1", tmp_path / "2"
        for source, folder in ((table, first), (None, second)):
            folder.mkdir()
            given_table = source or open_table(first)
            dataset.write(
                given_table.batches(), given_table.schema, folder, findings=given_table.findings
            )
        assert (first / "schema.json").read_bytes() == (second / "schema.json").read_bytes()
        assert dataset.info(second).findings[0].code == "not-numbers"


def open_table_of(folder: Path, content: str) -> Any:
    (folder / "t.csv").write_text(content)
    return open_table(folder / "t.csv")
