"""Programs and rendered manifests."""

import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

import servers

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = ("kind", "seaweedfs", "production")

Object = Mapping[str, Any]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "overlay" in metafunc.fixturenames:
        metafunc.parametrize("overlay", OVERLAYS)


@pytest.fixture(scope="session")
def manifests() -> Path:
    return ROOT / "manifests"


@pytest.fixture(scope="session")
def build() -> Callable[[Path], list[Object]]:
    """Renders a folder with kustomize."""
    kustomize = servers.require("kustomize", "run: make cluster-tools")

    @cache
    def render(folder: Path) -> list[Object]:
        done = subprocess.run([kustomize, "build", str(folder)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        # A warning is something kustomize will refuse one day.
        assert done.stderr == ""
        return [item for item in yaml.safe_load_all(done.stdout) if item]

    return render


@pytest.fixture(scope="session")
def foreign() -> list[Object]:
    """What Kubeflow Pipelines brings, and a task's pod as it makes it."""
    path = Path(__file__).parent / "foreign.yaml"
    return [item for item in yaml.safe_load_all(path.read_text()) if item]


@pytest.fixture(scope="session")
def documented_secrets() -> frozenset[tuple[str, str]]:
    """Name and key of every Secret in the table of docs/cluster.md."""
    lines = (ROOT / "docs" / "cluster.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")] for line in lines if line.startswith("| `")]
    found = {
        (row[1].strip("`"), key.strip(" `"))
        for row in rows
        if row[1].startswith("`assay-") and row[1] != "`assay-config`"
        for key in row[2].split(",")
    }
    assert found, "docs/cluster.md has no table of Secrets"
    return frozenset(found)
