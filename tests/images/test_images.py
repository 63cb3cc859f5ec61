"""The images in a real Docker engine: what they hold, and that they compute what processes do."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from assay import __version__
from assay.core.code_identity import commit
from assay.runtime.images import ROLES

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.minio, pytest.mark.timeout(2400)]

USER = "54321:54321"
"""Neither the image's own user nor one that exists in it: an administrator may force any."""
MEASURED = {"measurements"}
SAME_INPUTS = ("snapshot_data", "validate_data", "split_data", "train", "evaluate", "compare")

LOOK = """
import json, os, shutil, sysconfig
names = ("pip", "pip3", "uv", "gcc", "g++", "cc", "c++", "clang", "make", "cmake", "ld", "cargo")
found = {"programs": [n for n in names if shutil.which(n)], "files": [], "bytes": 0}
for parent, folders, files in os.walk("/", followlinks=False):
    if parent == "/":
        folders[:] = [n for n in folders if n not in ("proc", "sys", "dev")]
    for name in files:
        path = os.path.join(parent, name)
        if path.startswith("/opt/assay/lib/"):
            found["bytes"] += os.lstat(path).st_size
        caught = (
            name == "conftest.py"
            or (name.startswith("test_") and "/tests" in parent and path.startswith("/opt/assay"))
            or name.endswith((".whl", ".deb", ".c", ".pyx", ".h"))
            and path.startswith(("/opt/assay", "/root", "/tmp", "/var", "/home"))
            or name.endswith(".tar.gz")
            and path.startswith(("/root", "/tmp", "/var", "/home"))
            or name in (".git", ".env", ".netrc", ".npmrc", ".pypirc", "pip.conf", "credentials")
            or name.startswith("id_")
            and "/.ssh" in parent
        )
        if caught or "/site-packages/pip/" in path or "/.cache/" in path:
            found["files"].append(path)
print(json.dumps(found))
"""
START = """
import os
os.environ["_KFP_RUNTIME"] = "true"
import kfp.dsl.executor
import assay.runtime.task
import assay.runtime.kfp
from assay.components.{stage} import step
print("ready")
"""
STAGES = {"data": "split_data", "train": "train", "release": "gate", "deploy": "promote"}


def docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def contained(reference: str, *words: str, user: str = USER) -> str:
    """Run a program as a cluster does: any user, no rights, nothing to write but /tmp."""
    return docker(
        *("run", "--rm", "--read-only", "--user", user),
        *("--tmpfs", "/tmp:rw,noexec,mode=1777"),  # noqa: S108 - the container's
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none"),
        *(reference, *words),
    )


@pytest.mark.parametrize("role", ROLES)
def test_an_image_says_what_it_is(built: dict[str, str], role: str) -> None:
    (found,) = json.loads(docker("image", "inspect", built[role]))
    config = found["Config"]
    assert config["User"] == "10001:10001"
    source = commit()
    assert source is not None
    revision = config["Labels"]["org.opencontainers.image.revision"]
    assert revision == f"{source.commit}{'+dirty' if source.dirty else ''}"
    assert config["Labels"]["org.opencontainers.image.version"] == __version__
    assert f"ASSAY_GIT_COMMIT={revision}" in config["Env"]
    assert "PYTHONHASHSEED=0" in config["Env"]
    assert "OMP_NUM_THREADS=1" in config["Env"]


@pytest.mark.parametrize("role", ROLES)
def test_an_image_holds_nothing_but_what_runs(built: dict[str, str], role: str) -> None:
    found = json.loads(contained(built[role], "python3", "-c", LOOK, user="0:0"))
    assert found["programs"] == []
    assert found["files"] == []
    assert found["bytes"] > 50_000_000
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", built[role])
    assert "PIP_" not in history


@pytest.mark.parametrize("role", ROLES)
def test_an_image_is_no_larger_than_it_was(built: dict[str, str], role: str) -> None:
    limits = json.loads(Path(__file__).with_name("sizes.json").read_text())
    found = json.loads(contained(built[role], "python3", "-c", LOOK, user="0:0"))
    assert found["bytes"] / 1e6 <= limits[role], "if it is meant: tests/images/sizes.json"


@pytest.mark.parametrize("role", ROLES)
def test_the_code_in_an_image_is_the_code_of_the_tree(built: dict[str, str], role: str) -> None:
    import importlib

    from assay.core import code_identity as code

    stage = STAGES[role]
    script = (
        "from assay.core import code_identity as code\n"
        f"from assay.components.{stage}.step import {stage} as step\n"
        "print(code.identity(step).digest)"
    )
    step = getattr(importlib.import_module(f"assay.components.{stage}.step"), stage)
    assert contained(built[role], "python3", "-c", script).strip() == code.identity(step).digest


def test_the_pipeline_in_containers_gives_the_same_digests(
    ground: Any, as_processes: Any, built: dict[str, str], tmp_path: Path
) -> None:
    compiled = tmp_path / "compiled"
    command = [sys.executable, "-m", "assay.cli", "compile", "--dev", "-o", str(compiled)]
    subprocess.run(command, check=True, capture_output=True)
    pipeline = compiled / "pipelines/train_and_register/pipeline.yaml"
    ran = ground.run_in_containers(tmp_path / "run", "containers", pipeline, USER)
    assert ran.output("train", "model") == as_processes.output("train", "model")
    source = commit()
    assert source is not None
    for name in SAME_INPUTS:
        outputs, expected = (
            {k: v for k, v in run.tasks[name]["outputs"].items() if k not in MEASURED}
            for run in (ran, as_processes)
        )
        assert outputs == expected, name
        record = ran.records[name]
        assert record.step_key == as_processes.records[name].step_key, name
        assert record.image in built.values()
        assert record.git == source
    assert ran.tasks["register"]["values"]["registered"] == "new"


def build_tiny(tag: str, folder: Path) -> None:
    """An image that holds its own tag: pushing it takes no time."""
    (folder / "tag").write_text(tag)
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY tag /\n")
    docker("build", "--quiet", "-t", tag, str(folder))


def test_what_is_pushed_is_compiled_in_by_digest(
    docker_engine: None,
    image_registry: str,
    build_images: Any,
    tmp_path: Path,
) -> None:
    tags = {role: f"assay-test-{role}:1" for role in ROLES}
    (tmp_path / "tags.json").write_text(json.dumps(tags))
    words = ("push", "--registry", f"{image_registry}/assay", "-o", str(tmp_path / "digests.json"))
    words += ("--tags", str(tmp_path / "tags.json"))
    done = build_images(*words)
    assert done.returncode == 2
    assert done.stderr == f"error: not built: {', '.join(tags.values())}; run: make images\n"
    for tag in tags.values():
        build_tiny(tag, tmp_path)
    done = build_images(*words)
    for tag in tags.values():
        docker("image", "rm", "--force", tag)
    assert done.returncode == 0, done.stderr
    pushed = json.loads((tmp_path / "digests.json").read_text())
    assert set(pushed) == set(ROLES)
    for role, reference in pushed.items():
        assert reference.startswith(f"{image_registry}/assay/assay-test-{role}@sha256:")
        docker("pull", "--quiet", reference)
    command = [sys.executable, "-m", "assay.cli", "compile", "--images"]
    command += [str(tmp_path / "digests.json"), "-o", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    texts = [path.read_text() for path in tmp_path.glob("pipelines/*/pipeline.yaml")]
    for reference in pushed.values():
        assert any(reference in text for text in texts), reference


def test_a_base_image_is_pinned_to_what_its_tag_names(
    docker_engine: None, image_registry: str, build_images: Any, tmp_path: Path
) -> None:
    tag = f"{image_registry}/base:1"
    pin = tmp_path / "base"
    pin.write_text(f"{tag}@sha256:{'0' * 64}\n")
    found = []
    for content in ("old", "new"):
        (tmp_path / "Dockerfile").write_text(
            f"FROM scratch\nLABEL content={content}\nCOPY base /\n"
        )
        docker("build", "--quiet", "-t", tag, str(tmp_path))
        docker("push", "--quiet", tag)
        done = build_images("pin-base", "--file", str(pin))
        assert done.returncode == 0, done.stderr
        found.append(pin.read_text())
    assert found[0] != found[1]
    assert re.fullmatch(rf"{re.escape(tag)}@sha256:[0-9a-f]{{64}}\n", found[1])
    docker("pull", "--quiet", found[1].strip().replace(":1@", "@"))


def test_a_base_image_whose_registry_is_away_keeps_its_pin(
    docker_engine: None, build_images: Any, tmp_path: Path
) -> None:
    pin = tmp_path / "base"
    pin.write_text(f"127.0.0.1:9/base:1@sha256:{'0' * 64}\n")
    done = build_images("pin-base", "--file", str(pin))
    assert done.returncode == 1
    assert "is unchanged" in done.stderr
    assert done.stderr.count("\n") == 1
    assert pin.read_text().endswith(f"{'0' * 64}\n")


@pytest.mark.bench
def test_size_and_start(built: dict[str, str]) -> None:
    """Prints each image's size, and the time to a component's first line of work."""
    for role, reference in built.items():
        script = START.format(stage=STAGES[role])
        contained(reference, "python3", "-c", script)  # warm file caches
        times = []
        for _ in range(5):
            begun = time.monotonic()
            assert contained(reference, "python3", "-c", script).strip() == "ready"
            times.append(time.monotonic() - begun)
        size = int(docker("image", "inspect", "-f", "{{.Size}}", reference)) / 1e6
        print(f"{role}: {size:.0f} MB, starts in {sorted(times)[2]:.2f} s (median of 5)")  # noqa: T201
