"""Programs and rendered manifests."""

import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "manifests"
OVERLAYS = ("kind", "seaweedfs", "production")

Object = Mapping[str, Any]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "overlay" in metafunc.fixturenames:
        metafunc.parametrize("overlay", OVERLAYS)


@pytest.fixture(scope="session")
def manifests() -> Path:
    return MANIFESTS


@pytest.fixture(scope="session")
def program(request: pytest.FixtureRequest) -> Callable[[str, str], str]:
    """Finds a program as the servers' fixtures do: missing, it fails in CI and skips elsewhere."""
    plugin = request.config.pluginmanager.get_plugin(str(ROOT / "tests" / "conftest.py"))
    return plugin.require  # type: ignore[no-any-return, union-attr]


@pytest.fixture(scope="session")
def build(program: Callable[[str, str], str]) -> Callable[[Path], list[Object]]:
    """Renders a folder with kustomize."""
    kustomize = program("kustomize", "run: make cluster-tools")

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
