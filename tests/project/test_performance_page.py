"""docs/performance.md shows what was measured, and nothing that was written by hand."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import measured

ROOT = Path(__file__).resolve().parents[2]
_SPEC = importlib.util.spec_from_file_location("performance", ROOT / "docs" / "performance.py")
assert _SPEC
assert _SPEC.loader
performance = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(performance)
HERE = {"processor": "this one"}


def measure(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, *rows: measured.Row) -> None:
    """Keep rows as a benchmark does, in a folder of the test."""
    monkeypatch.setattr(measured, "BENCH", folder)
    measured.keep(name, f"Table {name}", rows)


@pytest.mark.parametrize("page", [performance.PAGE, performance.SCALE])
def test_a_page_is_what_its_figures_give(page: Path) -> None:
    assert page.read_text() == performance.rendered(page), "run: make goldens"


def test_the_costs_of_a_large_table_are_in_proportion() -> None:
    rows = [row(name="train", value=1.303), row(name="train, peak of memory", value=500.0),
            row(name="all steps", value=9.0)]  # fmt: skip
    measured_once = {performance.PRICE: {"title": "P", "rows": rows}}
    text = performance.parts({"machine": HERE, "measured": measured_once})["scale"]
    assert text.splitlines()[2:] == ["| train | 10 | 0.278 | 500 MB |"]


def test_a_figure_that_is_edited_by_hand_is_noticed() -> None:
    document = json.loads(performance.MEASURED.read_text())
    page = performance.PAGE.read_text()
    document["measured"] = {"x": {"title": "X", "rows": [row(value=12.0)]}}
    written = performance.render(page, document)
    assert performance.render(written.replace("| 12 s |", "| 1 s |"), document) == written


def test_prose_around_the_figures_is_kept() -> None:
    page = performance.PAGE.read_text().replace("# Performance\n", "# Performance\n\nNew words.\n")
    assert "New words." in performance.render(page, {"machine": HERE, "measured": {}})


def test_what_a_benchmark_keeps_is_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(
        monkeypatch, tmp_path, "speed",
        measured.Row("snapshot_data", 12.345, "s", 6.17, 2.0008, "at most 1.8"),
        measured.Row("rows a|b", 1_234_567),
        measured.Row("state", "cached"),
    )  # fmt: skip
    document = performance.collect({"machine": HERE, "measured": {}}, tmp_path, HERE)
    text = performance.parts(document)["measured"]
    assert "### Table speed" in text
    assert "| snapshot_data | 12.3 s | 6.17 s | 2 | at most 1.8 |" in text
    assert "| rows a\\|b | 1,234,567 |  |  |  |" in text
    assert "| state | cached |  |  |  |" in text


def test_tables_of_several_runs_on_one_machine_are_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A benchmark that was run alone replaces its own table and no other."""
    document: dict[str, Any] = {"machine": HERE, "measured": {}}
    for name in ("rows-100", "rows-20"):
        measure(monkeypatch, tmp_path / name, name, measured.Row("x", 1.0))
        document = performance.collect(document, tmp_path / name, HERE)
    assert list(document["measured"]) == ["rows-20", "rows-100"]
    measure(monkeypatch, tmp_path / "again", "rows-20", measured.Row("x", 2.0))
    document = performance.collect(document, tmp_path / "again", HERE)
    values = {name: one["rows"][0]["value"] for name, one in document["measured"].items()}
    assert values == {"rows-20": 2.0, "rows-100": 1.0}


def test_figures_of_another_machine_do_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(monkeypatch, tmp_path, "new", measured.Row("x", 1.0))
    old = {"machine": {"processor": "another"}, "measured": {"old": {"title": "O", "rows": []}}}
    assert performance.collect(old, tmp_path, HERE)["measured"].keys() == {"new"}


@pytest.mark.parametrize(
    "content", ['{"title": "T"}', "[]", '{"title": "T", "rows": [{"name": "x", "value": 1}]}']
)
def test_a_file_of_another_form_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(SystemExit, match=r"bad\.json: .*(measured\.keep|fields)"):
        performance.load(tmp_path / "bad.json")


def test_the_plain_script_on_the_page_runs(tmp_path: Path) -> None:
    """A reader who copies it from the page gets the metrics of the table."""
    lines = ["x,c,y", *(f"{number % 7},v{number % 3},{number % 2}" for number in range(200))]
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    script = performance.rendered(performance.PAGE).partition("```python\n")[2].partition("```")[0]
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "table.csv"), "y", str(tmp_path / "model")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["metrics"].keys() >= {"roc_auc", "accuracy"}


def row(**fields: Any) -> dict[str, Any]:
    empty = {"name": "x", "value": 1, "unit": "s", "beside": None, "ratio": None, "asked": ""}
    return {**empty, **fields}
