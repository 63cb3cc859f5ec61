"""A stage is its folder: with one more of them, nothing else in the repository is edited."""

import filecmp
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {
    "README.md",
    "docs/policy.md",
    "docs/profiles.md",
    "src/assay/governance/policy/stages.json",
}
FILES = {
    "__init__.py": "",
    "step.py": '''"""tally: the work."""

from assay.core.step import Dataset, Evidence, Out, Values, step


@step
def tally(*, data: Dataset, counts: Out[Evidence]) -> Values:
    """Count."""
    counts.path.joinpath("evidence.json").write_text(data.digest)
    return {}
''',
    "component.py": '''"""The KFP declaration of tally."""

from typing import NamedTuple

from assay.runtime.declaration import component


@component("train")
def tally(data: str) -> NamedTuple("Outputs", [("counts", str)]):
    """Count what is there. Then stop.

    Args:
        data: Digest of a dataset.

    Returns:
        counts: Digest of the evidence.
    """
    from assay.components.tally import step
    from assay.runtime.kfp import execute

    return execute(step.tally, locals(), "counts")
''',
    "stage.yaml": """category: training
image: train
secrets: [mlflow]
resources: {memory_request: 3Gi, memory_limit: 5Gi}
timeout_seconds: 77
never_retried: counting twice gives two counts
evidence: {about: model, names: [tallied_rows]}
""",
    "README.md": "# tally\n\n<!-- generated:io -->\n<!-- /generated:io -->\n",
}
ASK = """
import json
from assay.cluster.profile import default_profile
from assay.governance.makers import EVIDENCE
from assay.governance.policy.names import is_about_model, is_known

task = default_profile().task("tally")
print(json.dumps({
    "memory": task.memory_limit, "needs": task.needs, "seconds": task.timeout_seconds,
    "retried": task.retry is not None, "known": is_known("tallied_rows"),
    "about_model": is_about_model("tallied_rows"),
    "admitted": "assay.components.tally.step:tally" in EVIDENCE,
}))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with one stage more, installed as a developer installs it."""
    folder = tmp_path_factory.mktemp("repository")
    leave = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("src", "components", "pipelines", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=leave)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    stage = folder / "components/training/tally"
    stage.mkdir()
    for name, text in FILES.items():
        (stage / name).write_text(text)
    uv = [str(Path(sys.executable).with_name("uv")), "--quiet", "--offline", "--no-cache"]
    subprocess.run([*uv, "venv", "--python", sys.executable, str(folder / "env")], check=True)
    python = folder / "env/bin/python"
    (site,) = folder.glob("env/lib/python3*/site-packages")
    # As a plain folder: the editable installation that it holds is not followed.
    (site / "this.pth").write_text(sysconfig.get_path("purelib"))
    install = ["pip", "install", "--no-deps", "--no-build-isolation", "--python", str(python)]
    subprocess.run([*uv, *install, "--editable", str(folder)], check=True, capture_output=True)
    run(folder, "-m", "assay.cli", "compile", "--dev")
    run(folder, "docs/generate.py")
    return folder


def run(folder: Path, *words: str) -> str:
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("ASSAY_", "PYTHONPATH"))
    }
    done = subprocess.run(
        ["env/bin/python", *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
class TestAStageMore:
    def test_it_is_compiled(self, copy: Path) -> None:
        text = (copy / "components/training/tally/component.yaml").read_text()
        spec: dict[str, Any] = next(iter(yaml.safe_load_all(text)))
        assert list(spec["root"]["inputDefinitions"]["parameters"]) == ["data"]
        assert "tally" in json.dumps(spec["deploymentSpec"])

    def test_it_gets_what_it_needs_and_its_evidence_is_known(self, copy: Path) -> None:
        assert json.loads(run(copy, "-c", ASK)) == {
            "memory": "5Gi",
            "needs": ["runner", "mlflow"],
            "seconds": 77,
            "retried": False,
            "known": True,
            "about_model": True,
            "admitted": True,
        }

    def test_it_is_in_the_documentation(self, copy: Path) -> None:
        components = (copy / "docs/components.md").read_text()
        row = "| [tally](../components/training/tally) | training | Count what is there. |"
        assert row in components
        assert "| `tally` | `tallied_rows` |" in (copy / "docs/policy.md").read_text()
        (row,) = (
            line
            for line in (copy / "docs/profiles.md").read_text().splitlines()
            if line.startswith("| tally |")
        )
        assert "runner, mlflow" in row
        assert "never: counting twice gives two counts" in row
        assert "Digest of a dataset." in (copy / "components/training/tally/README.md").read_text()

    def test_nothing_else_changed_but_what_is_generated(self, copy: Path) -> None:
        names = (
            "src",
            "components",
            "pipelines",
            "docs",
            "README.md",
            "setup.py",
            "pyproject.toml",
        )
        files = [
            path.relative_to(copy)
            for name in names
            for path in ([copy / name] if (copy / name).is_file() else (copy / name).rglob("*"))
            if path.is_file() and not {"__pycache__", "kfp_assay.egg-info"} & set(path.parts)
        ]
        assert len(files) > 500
        changed = {
            str(file)
            for file in files
            if not (ROOT / file).exists()
            or not filecmp.cmp(ROOT / file, copy / file, shallow=False)
        }
        own = {name for name in changed if name.startswith("components/training/tally/")}
        assert own == {f"components/training/tally/{name}" for name in [*FILES, "component.yaml"]}
        assert changed - own == GENERATED
