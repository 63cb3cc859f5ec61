"""`assay new step`: what it writes is right as it is."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml

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
    output = new(tmp_path, "drop_gaps", "--folder", "steps").stdout.splitlines()
    written = sorted(p for p in (tmp_path / "steps").rglob("*") if p.is_file())
    assert sorted(output) == [str(p.relative_to(tmp_path)) for p in written]
    assert len(written) == 7
    for path in written:
        assert "$" not in path.read_text()
        assert "drop_gaps" in path.read_text() or "drop-gaps" in path.read_text()


def test_a_new_step_is_a_stage_like_the_librarys_own(tmp_path: Path) -> None:
    new(tmp_path, "drop_gaps")
    stage = tmp_path / "drop_gaps/drop_gaps/stage.yaml"
    stage.write_text(stage.read_text() + "secrets: [git]\nnever_retried: it is a test\n")
    python = installed(tmp_path / "drop_gaps", tmp_path / "env")
    profile = "components: {drop_gaps: {cpu_limit: 3}}"
    done = subprocess.run([python, "-c", COMPILE, profile], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    spec, platform = yaml.safe_load_all(done.stdout)
    (executor,) = spec["deploymentSpec"]["executors"].values()
    assert executor["container"]["resources"]["resourceMemoryLimit"] == "4Gi"
    assert executor["container"]["resources"]["resourceCpuLimit"] == "3"
    (pod,) = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values()
    paths = [volume["mountPath"] for volume in pod["secretAsVolume"]]
    assert paths == ["/etc/assay/runner", "/etc/assay/git"]
    (task,) = spec["root"]["dag"]["tasks"].values()
    assert "retryPolicy" not in task
    refused = "components: {drop_gaps: {retry: {count: 1}}}"
    done = subprocess.run([python, "-c", COMPILE, refused], capture_output=True, text=True)
    assert "drop_gaps must not be retried: it is a test" in done.stderr


COMPILE = """
import sys
from kfp import dsl
from assay.cluster.apply import with_profile
from assay.cluster.profile import parse_profile
from assay.runtime.compiled import compile_pipeline
from assay.runtime.images import read_images
from drop_gaps.component import drop_gaps

@dsl.pipeline(name="mine")
def mine(data: str):
    drop_gaps(data=data)

profile = parse_profile(sys.argv[1].encode())
print(compile_pipeline(with_profile(mine, profile), read_images(None, development=True)))
"""


def installed(project: Path, folder: Path) -> str:
    """Python of an environment that has what this one has, and a project besides."""
    python = folder / "bin" / "python"
    uv = [str(Path(sys.executable).with_name("uv")), "--quiet", "--offline", "--no-cache"]
    subprocess.run([*uv, "venv", "--python", sys.executable, str(folder)], check=True)
    (site,) = folder.glob("lib/python3*/site-packages")
    (site / "this.pth").write_text(
        f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})"
    )
    install = ["pip", "install", "--no-deps", "--no-build-isolation", "--python", str(python)]
    subprocess.run([*uv, *install, str(project)], check=True, capture_output=True)
    return str(python)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Drop-Gaps", "lower-case letters"),
        ("../up", "lower-case letters"),
        ("a/b", "lower-case letters"),
        ("größe", "lower-case letters"),
        ("class", "has another meaning"),
        ("match", "has another meaning"),
        ("assay", "has another meaning"),
        ("json", "Python's standard library"),
        ("_x", "begin with a letter"),
        ("x" * 41, "at most 40"),
    ],
)
def test_a_name_that_cannot_be_gets_one_line(tmp_path: Path, name: str, told: str) -> None:
    done = new(tmp_path, name, code=2)
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_what_exists_is_left_alone_and_all_problems_are_reported(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work.py").write_text("precious")
    assert "mine exists" in new(tmp_path, "mine", code=2).stderr
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["work.py"]
    (tmp_path / "Mine").mkdir()
    both = new(tmp_path, "Mine", code=2).stderr
    assert "lower-case letters" in both
    assert "exists" in both
