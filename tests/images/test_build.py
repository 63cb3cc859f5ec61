"""What `make images`, `push` and `pin-base` say when they cannot; nothing here needs an engine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def call(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "images/build.py", *words],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )


COMMANDS = [["build"], ["push", "--registry", "registry.test/assay"], ["pin-base"]]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_without_docker_one_line_says_so(words: list[str], tmp_path: Path) -> None:
    done = call(*words, PATH=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == (
        "error: no Docker engine answers (docker is not installed); install or start one\n"
    )


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_without_an_engine_one_line_says_so(words: list[str], tmp_path: Path) -> None:
    done = call(*words, DOCKER_HOST=f"unix://{tmp_path}/no.sock")
    assert done.returncode == 2
    assert done.stderr.startswith("error: no Docker engine answers (")
    assert done.stderr.count("\n") == 1


def test_push_asks_for_a_registry() -> None:
    done = subprocess.run(["make", "push"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "error: give REGISTRY=host/path\n" in done.stderr


@pytest.mark.parametrize("command", ["build", "push", "pin-base", "sbom", "environment"])
def test_each_command_has_help(command: str) -> None:
    done = call(command, "--help")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 4


def test_every_target_about_images_is_listed() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    for target in ("images", "push", "pin-base", "sbom"):
        assert len(listed[target].split()) > 4


def test_a_tag_is_refused_where_nobody_says_that_this_is_development(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "assay.cli", "compile", "-o", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "assay-python-data:" in done.stderr
    assert "assay-python-release:" in done.stderr
    assert "--dev" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
