"""Each image's lock suffices for its components, and yields what the full environment yields.

No container engine is needed: the environments are made as the images' Dockerfiles make theirs.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import component_imports
import pytest

from assay import __version__
from assay.cli.catalog import pipeline
from assay.cluster.stages import library_stages
from assay.runtime import events, local
from assay.runtime.images import ROLES

ROOT = Path(__file__).resolve().parents[2]
MEASURED = {"measurements"}
"""Outputs that hold times."""
SAME_INPUTS = ("snapshot_data", "validate_data", "split_data", "train", "evaluate", "compare")
"""Tasks whose inputs hold no measured times, so that their step keys must be equal."""
IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        print(error.name)
"""
SERVERS_ONLY = {"sqlalchemy"}
"""For MLflow on a database file, which no image is for."""
NOT_NEEDED = {
    "data": SERVERS_ONLY,
    "train": SERVERS_ONLY,
    # Charts, which neither gate nor doctor draws; and KFP's client, of which doctor uses no part.
    "release": SERVERS_ONLY | {"matplotlib", "cycler", "kfp_server_api"},
    "deploy": SERVERS_ONLY,
}


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


def stages(role: str) -> list[str]:
    """The components that run in an image."""
    return [name for name, stage in library_stages().items() if stage.image == role]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("role", ROLES)
def test_an_image_can_import_all_that_its_components_may_import(
    environments: dict[str, Path], role: str
) -> None:
    modules = component_imports.reached(
        *(
            f"assay.components.{stage}.{name}"
            for stage in stages(role)
            for name in ("component", "step")
        )
    )
    own = [f"assay.components.{stage}" for stage in stages(role)]
    done = subprocess.run(
        [str(environments[role] / "bin" / "python"), "-c", IMPORT_ALL, *sorted(modules), *own],
        capture_output=True,
        text=True,
        env={"_KFP_RUNTIME": "true", "PATH": "/usr/bin:/bin"},
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == NOT_NEEDED[role]


@pytest.mark.slow
@pytest.mark.minio
@pytest.mark.timeout(1200)
def test_doctor_finds_only_what_is_wrong_when_it_runs_in_its_image(
    ground: Any, tasks_in_their_environment: list[str], tmp_path: Path
) -> None:
    nowhere = f"127.0.0.1:9/assay@sha256:{'0' * 64}"
    with pytest.MonkeyPatch.context() as patch:
        ground.set_environment(patch, ground.new_store())
        outcome = local.run(pipeline("doctor"), {"images": [nowhere]}, tmp_path)
    assert "release" in tasks_in_their_environment
    assert outcome.exit_code != 0
    (done,) = (
        event
        for event, _ in events.read(tmp_path / "events.jsonl")
        if event["task"] == "doctor" and event["state"] == events.FAILED
    )
    # A package that is missing would be a check that broke.
    assert done["values"]["reason"] == (
        "image assay: 127.0.0.1:9 does not answer (ConnectionError); "
        "check that the registry can be reached"
    )


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
    script = "from assay.core import distributions; print(distributions.digest_of(None))"
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


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_sbom_lists_what_the_lock_does_and_the_library(
    wheel: None, build_images: Any, tmp_path: Path
) -> None:
    for folder in ("one", "two"):
        done = build_images("sbom", "release", "-o", str(tmp_path / folder))
        assert done.returncode == 0, done.stderr
    text = (tmp_path / "one" / "release.cdx.json").read_text()
    assert text == (tmp_path / "two" / "release.cdx.json").read_text()
    assert str(ROOT) not in text
    document = json.loads(text)
    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["name"] == "assay-python-release"
    listed = {f"{item['name'].lower()}=={item['version']}" for item in document["components"]}
    locked = {
        line.lower().replace("_", "-")
        for line in versions(ROOT / "images" / "release" / "requirements.txt")
        if not line.startswith("pywin32")
    }
    assert {item.replace("_", "-").replace(".", "-") for item in listed} == {
        item.replace(".", "-") for item in locked | {f"kfp-assay=={__version__}"}
    }
