"""Findings: a person who looks at the terminal, the report or the card sees them."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from assay import data as dataset
from assay.cli.run import print_outcome
from assay.components.snapshot_data.step import snapshot_data
from assay.components.validate_data.step import validate_data
from assay.core import findings
from assay.core.findings import Finding
from assay.core.step import Dataset, Out, Validation
from assay.errors import IntegrityError
from assay.runtime import kfp, local

TABLE = pa.table({"a": [1, 2, 3], "b": ["x", "y", "x"]})
FOUND = Finding("decimal-comma", "column 'b': 3 of 3 values are numbers; set decimal=','", ("b",))


def written(folder: Path, *found: Finding) -> Path:
    folder.mkdir()
    dataset.write(TABLE.to_batches(), TABLE.schema, folder, findings=found)
    return folder


class TestStoredWithTheDataset:
    def test_they_are_read_back(self, tmp_path: Path) -> None:
        assert dataset.info(written(tmp_path / "d", FOUND)).findings == (FOUND,)

    def test_a_dataset_without_any_keeps_the_bytes_of_format_1(self, tmp_path: Path) -> None:
        folder = written(tmp_path / "d")
        schema = json.loads((folder / "schema.json").read_text())
        assert schema.keys() == {"columns", "format", "parts", "rows"}
        assert schema["format"] == "assay-dataset/1"
        assert "Findings" not in (folder / "summary.md").read_text()

    def test_a_reader_of_format_1_does_not_miss_them(self, tmp_path: Path) -> None:
        schema = json.loads((written(tmp_path / "d", FOUND) / "schema.json").read_text())
        assert schema["format"] == "assay-dataset/2"

    @pytest.mark.parametrize(
        "raw",
        [
            None,
            "text",
            [{"code": "x"}],
            [{"code": "X Y", "text": "t", "columns": []}],
            [{"code": "x", "text": 1, "columns": []}],
            [{"code": "x", "text": "t", "columns": "abc"}],
            [{"code": "x", "text": "t", "columns": []}] * 101,
        ],
    )
    def test_malformed_ones_are_refused(self, tmp_path: Path, raw: object) -> None:
        folder = written(tmp_path / "d", FOUND)
        path = folder / "schema.json"
        schema = {**json.loads(path.read_text()), "findings": raw}
        path.chmod(0o644)
        path.write_text(json.dumps(schema))
        with pytest.raises(IntegrityError, match="malformed"):
            dataset.info(folder)


class TestShown:
    def test_the_card_shows_them_escaped(self, tmp_path: Path) -> None:
        found = Finding("odd-name", "column '[x](javascript:alert(1))' and \x1b[31m \u202e", ("b",))
        card = (written(tmp_path / "d", found) / "summary.md").read_text()
        assert "## Findings" in card
        assert "\\[x\\](javascript:alert(1))" in card
        assert "\x1b" not in card
        assert "\u202e" not in card

    def test_the_validation_report_and_summary_show_them(self, tmp_path: Path) -> None:
        folder = written(tmp_path / "d", FOUND)
        (tmp_path / "v").mkdir()
        given = Dataset(folder, "sha256:" + "0" * 64)
        values = validate_data(data=given, validation=Out[Validation](tmp_path / "v"))
        assert values is not None
        assert values["verdict"] == "pass"
        for name in ("report.html", "summary.md", "result.json"):
            assert "decimal-comma" in (tmp_path / "v" / name).read_text(), name

    def test_a_step_returns_them_among_its_values(self) -> None:
        assert findings.values([]) == {}
        message = findings.values([FOUND])
        assert findings.lines(message) == [FOUND.line]

    def test_a_long_text_is_cut(self) -> None:
        assert len(Finding("x", "y" * 10_000).text) == findings.MAX_TEXT


class TestInTheTerminal:
    def test_the_log_of_a_task_has_them(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("ASSAY_STORE", (tmp_path / "store").as_uri())
        (tmp_path / "table.csv").write_text("a,b\n" + '"1,5",x\n"2,5",y\n' * 20)
        given = {"data": str(tmp_path / "table.csv")}
        kfp.execute(snapshot_data, given, "dataset")
        message = capsys.readouterr().err
        assert "finding: " in message
        assert "[decimal-comma]" in message
        # A cached answer says it again.
        kfp.execute(snapshot_data, given, "dataset")
        assert "[decimal-comma]" in capsys.readouterr().err

    def test_a_local_run_ends_with_them(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("ASSAY_STORE", (tmp_path / "store").as_uri())
        hostile = {"findings": [FOUND.line, "red \x1b[31m and \u202e turned"]}
        task = local.Task("snapshot-data", "done", values=hostile)
        other = local.Task("validate-data", "done", values={"findings": "no list"})
        outcome = local.Outcome([task, other], tmp_path, 0, "")
        print_outcome(outcome)
        message = capsys.readouterr().out
        assert f"finding: snapshot-data: {FOUND.line}" in message
        assert "red \\x1b[31m and \\u202e turned" in message
        assert message.replace("\n", "").isprintable()

    @pytest.mark.parametrize(
        ("code", "message"),
        [(3, "validate-data"), (4, "gate"), (5, "test_fraction")],
    )
    def test_a_run_that_did_not_register_names_the_remedy(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        code: int,
        message: str,
    ) -> None:
        monkeypatch.setenv("ASSAY_STORE", (tmp_path / "store").as_uri())
        print_outcome(local.Outcome([], tmp_path, code, "why"))
        last = capsys.readouterr().out.splitlines()[-1]
        assert last.startswith("next: ")
        assert message in last

    def test_the_line_of_a_pass_has_no_blank_at_its_end(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("ASSAY_STORE", (tmp_path / "store").as_uri())
        print_outcome(local.Outcome([], tmp_path, 0, ""))
        assert capsys.readouterr().out.splitlines()[0] == "PASSED"
