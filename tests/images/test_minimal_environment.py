"""Each image's lock suffices for its components, and yields what the full environment yields.

No container engine is needed: the environments are made as the images' Dockerfiles make theirs.
"""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from assay.images import ROLES

ROOT = Path(__file__).resolve().parents[2]
MEASURED = {"measurements"}
"""Outputs that hold times."""
SAME_INPUTS = ("snapshot_data", "validate_data", "split_data", "train", "evaluate", "compare")
"""Tasks whose inputs hold no measured times, so that their step keys must be equal."""


def versions(path: Path) -> set[str]:
    return set(re.findall(r"^([\w.-]+==[^\s;]+)", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("role", ROLES)
def test_an_image_is_locked_to_what_the_library_is_locked_to(role: str) -> None:
    locked = versions(ROOT / "images" / role / "requirements.txt")
    assert len(locked) > 40
    assert locked <= versions(ROOT / "src/assay/requirements.txt")


@pytest.mark.parametrize("role", ROLES)
def test_a_lock_names_no_index_and_every_hash(role: str) -> None:
    text = (ROOT / "images" / role / "requirements.txt").read_text()
    assert "://" not in text
    blocks = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert blocks
    assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.slow
@pytest.mark.minio
@pytest.mark.timeout(1200)
def test_the_pipeline_in_minimal_environments_gives_the_same_digests(
    ground: Any, as_processes: Any, tasks_in_their_environment: list[str], tmp_path: Path
) -> None:
    ran = ground.run_as_processes(tmp_path, "minimal")
    assert set(tasks_in_their_environment) == set(ROLES)
    assert ran.output("train", "model") == as_processes.output("train", "model")
    for name in SAME_INPUTS:
        outputs, expected = (
            {k: v for k, v in run.tasks[name]["outputs"].items() if k not in MEASURED}
            for run in (ran, as_processes)
        )
        assert outputs == expected, name
        assert ran.records[name].step_key == as_processes.records[name].step_key, name
    assert ran.tasks["register"]["values"]["registered"] == "new"


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("role", ROLES)
def test_a_stray_version_changes_the_step_key(
    environments: dict[str, Path], role: str, tmp_path: Path
) -> None:
    (site,) = (environments[role] / "lib").glob("python*/site-packages")
    (metadata,) = site.glob("rfc8785-*.dist-info")
    script = "from assay import code; print(code._requirements_digest())"
    python = str(environments[role] / "bin" / "python")

    def digest() -> str:
        done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True)
        return done.stdout

    before = digest()
    stray = metadata.with_name("rfc8785-9.9.dist-info")
    metadata.rename(stray)
    try:
        assert digest() != before
    finally:
        stray.rename(metadata)
    assert digest() == before
