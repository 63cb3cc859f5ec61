"""What is shipped: the wheel, the components' declarations, the committed YAML."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from assay import __version__
from assay.cli.catalog import component, names
from assay.cluster.stages import library_folders
from assay.runtime.images import ROLES

ROOT = Path(__file__).resolve().parents[2]
STAGES = sorted(path.parent.name for path in ROOT.glob("components/*/*/component.py"))


def test_every_stage_is_found() -> None:
    assert len(STAGES) >= 12
    assert names("assay.components") == STAGES


def test_the_wheel_holds_the_tree(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("src", "components", "pipelines"):
        shutil.copytree(
            ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "build",
            "--wheel",
            "--no-isolation",
            "--outdir",
            str(tmp_path),
            str(copy),
        ],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    (wheel,) = tmp_path.glob("*.whl")
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")}
    expected = {
        f"assay/{p.relative_to(ROOT / 'src/assay')}" for p in (ROOT / "src/assay").rglob("*.py")
    }
    expected |= {f"assay/{p.relative_to(ROOT)}" for p in (ROOT / "pipelines").rglob("*.py")}
    expected |= {"assay/components/__init__.py"}
    expected |= {
        f"assay/components/{p.relative_to(folder.parent)}"
        for folder in library_folders().values()
        for p in folder.rglob("*.py")
    }
    assert shipped == expected
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    subprocess.run(
        [sys.executable, "-m", "assay.cli", "compile", "--dev", "-o", "compiled"],
        check=True,
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
    )
    for path in (tmp_path / "compiled").rglob("*.yaml"):
        committed = ROOT / path.relative_to(tmp_path / "compiled")
        assert path.read_text() == committed.read_text(), "installed and edited compile alike"
    assert len(list((tmp_path / "compiled").rglob("component.yaml"))) == len(STAGES)
    data = {Path(name).name for name in zipfile.ZipFile(wheel).namelist()}
    assert {"py.typed", "requirements.txt", "default_policy.yaml"} <= data
    templates = ROOT / "src/assay/reports/templates"
    assert {path.name for path in templates.iterdir() if path.is_file()} <= data


@pytest.mark.parametrize("stage", STAGES)
def test_a_components_inputs_are_documented(stage: str) -> None:
    for name, item in (component(stage).component_spec.inputs or {}).items():
        assert item.description, f"{stage}: {name} is not documented"


@pytest.mark.parametrize("stage", STAGES)
def test_a_component_is_what_its_step_declares(stage: str) -> None:
    from assay.cli.new.component import generated

    folder = library_folders()[stage]
    assert (folder / "component.py").read_text() == generated(folder), "run: make goldens"


@pytest.mark.parametrize("stage", STAGES)
def test_a_component_loads_from_its_own_yaml(stage: str) -> None:
    from kfp import components

    path = library_folders()[stage] / "component.yaml"
    text = path.read_text()
    assert "pip install" not in text
    loaded = components.load_component_from_text(text)
    assert loaded.component_spec.inputs.keys() == component(stage).component_spec.inputs.keys()


@pytest.mark.parametrize("stage", STAGES)
def test_a_component_is_described(stage: str) -> None:
    folder = library_folders()[stage]
    metadata = yaml.safe_load((folder / "metadata.yaml").read_text())
    assert metadata["name"] == stage
    assert metadata["stability"] in {"alpha", "beta", "stable"}
    assert metadata["lastVerified"]


def test_a_compiled_pipeline_installs_nothing_and_does_not_cache_the_outside_world() -> None:
    text = (ROOT / "pipelines/train_and_register/pipeline.yaml").read_text()
    assert "pip install" not in text
    spec = next(iter(yaml.safe_load_all(text)))
    tasks = {
        **spec["root"]["dag"]["tasks"],
        **spec["components"]["comp-exit-handler-1"]["dag"]["tasks"],
    }
    for name in ("prepare-data", "resolve-production", "register", "run-report"):
        assert not tasks[name].get("cachingOptions", {}).get("enableCache"), name
    for name in ("validate-data", "split-data", "train", "evaluate", "compare", "gate"):
        assert tasks[name]["cachingOptions"]["enableCache"], name


def test_committed_yaml_is_what_the_code_compiles_to(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "assay.cli", "compile", "--dev", "--check", "-o", str(ROOT)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_stale_file_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "assay.cli", "compile", "--dev", "--check", "-o", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "make goldens" in done.stderr


def test_images_by_digest_are_compiled_in(tmp_path: Path) -> None:
    pinned = {r: f"registry.test/{r}@sha256:{'a' * 64}" for r in ROLES}
    (tmp_path / "images.json").write_text(json.dumps(pinned))
    subprocess.run(
        [sys.executable, "-m", "assay.cli", "compile", "--images", "images.json"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    text = (tmp_path / "pipelines/train_and_register/pipeline.yaml").read_text()
    assert text.count("@sha256:") >= 12
    assert "assay-python-" not in text
    spec = next(iter(yaml.safe_load_all(text)))
    containers = [item["container"] for item in spec["deploymentSpec"]["executors"].values()]
    for container in containers:
        assert container["command"][3:5] == ["--image", container["image"]]


def test_version_and_changelog_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_locks_name_no_index() -> None:
    locks = [*ROOT.glob("requirements/*.txt"), *ROOT.glob("images/*/requirements.txt")]
    for path in (*locks, ROOT / "src/assay/requirements.txt"):
        text = path.read_text()
        assert "://" not in text
        assert "--hash=sha256:" in text
