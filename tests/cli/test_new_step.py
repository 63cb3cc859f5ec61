"""`assay new step`: what it writes is right as it is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def new(folder: Path, *words: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, "-m", "assay.cli", "new", "step", *words],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.mark.slow
def test_a_new_step_passes_lint_types_and_its_own_test(tmp_path: Path) -> None:
    new(tmp_path, "drop_gaps")
    project = tmp_path / "drop_gaps"
    # mypy does not see the import hook of a development installation, so it gets links.
    links = tmp_path / "typing" / "assay"
    links.mkdir(parents=True)
    for path in (ROOT / "src/assay").iterdir():
        (links / path.name).symlink_to(path)
    environment = {**os.environ, "MYPYPATH": str(links.parent)}
    for words in (
        ["ruff", "format", "--check", "."],
        ["ruff", "check", "."],
        ["mypy", "-p", "drop_gaps"],
        ["mypy", "tests"],
        ["pytest", "-q", "-p", "no:cacheprovider"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    assert "5 passed" in done.stdout


def test_every_file_is_named_after_the_step(tmp_path: Path) -> None:
    told = new(tmp_path, "drop_gaps", "--folder", "steps").stdout.splitlines()
    written = sorted(p for p in (tmp_path / "steps").rglob("*") if p.is_file())
    assert sorted(told) == [str(p.relative_to(tmp_path)) for p in written]
    assert len(written) == 6
    for path in written:
        assert "$" not in path.read_text()
        assert "drop_gaps" in path.read_text() or "drop-gaps" in path.read_text()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Drop-Gaps", "small letters"),
        ("../up", "small letters"),
        ("a/b", "small letters"),
        ("größe", "small letters"),
        ("class", "means something else"),
        ("match", "means something else"),
        ("assay", "means something else"),
        ("json", "Python's own library"),
        ("_x", "begin with a letter"),
        ("x" * 41, "at most 40"),
    ],
)
def test_a_name_that_cannot_be_gets_one_line(tmp_path: Path, name: str, told: str) -> None:
    done = new(tmp_path, name, code=2)
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_what_exists_is_left_alone_and_all_problems_are_told(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work.py").write_text("precious")
    assert "mine exists" in new(tmp_path, "mine", code=2).stderr
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["work.py"]
    (tmp_path / "Mine").mkdir()
    both = new(tmp_path, "Mine", code=2).stderr
    assert "small letters" in both
    assert "exists" in both
