"""A stage is its folder: with one more of them, nothing else in the repository is edited."""

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
    "docs/components.md",
    "docs/policy.md",
    "docs/profiles.md",
    "src/assay/governance/policy/stages.json",
}
FILES = {
    "__init__.py": "",
    "step.py": '''"""tally: the work."""

from assay.core.step import Dataset, Evidence, Out, Values, step


@step
def tally(*, data: Dataset, limit: int = 10, counts: Out[Evidence]) -> Values:
    """Count the rows. Then stop.

    Args:
        data: The rows.
        limit: The number to stop at.
        counts: The evidence.
    """
    counts.path.joinpath("evidence.json").write_text(data.digest)
    return {}
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
NAMES = ("src", "components", "pipelines", "docs")
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
    for name in NAMES:
        shutil.copytree(ROOT / name, folder / name, ignore=leave)
    (folder / "tests/benchmarks").mkdir(parents=True)
    files = ("pyproject.toml", "setup.py", "README.md", "LICENSE")
    for name in (*files, "tests/benchmarks/plain_script.py"):
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
    generate(folder)
    return folder


def generate(folder: Path) -> None:
    """What `make goldens` generates of stages."""
    stages = sorted(str(file.parent) for file in folder.glob("components/*/*/stage.yaml"))
    run(folder, "-m", "assay.cli", "new", "component", *stages)
    run(folder, "-m", "assay.cli", "compile", "--dev")
    run(folder, "docs/generate.py")


def all_files(folder: Path) -> dict[str, bytes]:
    """The content of the repository's files, by path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for name in (*NAMES, "README.md", "setup.py", "pyproject.toml")
        for path in ([folder / name] if (folder / name).is_file() else (folder / name).rglob("*"))
        if path.is_file() and not {"__pycache__", "kfp_assay.egg-info"} & set(path.parts)
    }


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
        assert list(spec["root"]["inputDefinitions"]["parameters"]) == ["data", "limit"]
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
        row = "| [tally](../components/training/tally) | training | Count the rows. |"
        assert row in components
        assert "| `tally` | `tallied_rows` |" in (copy / "docs/policy.md").read_text()
        (row,) = (
            line
            for line in (copy / "docs/profiles.md").read_text().splitlines()
            if line.startswith("| tally |")
        )
        assert "runner, mlflow" in row
        assert "never: counting twice gives two counts" in row
        assert "Digest of the rows." in (copy / "components/training/tally/README.md").read_text()

    def test_nothing_else_changed_but_what_is_generated(self, copy: Path) -> None:
        ours, theirs = all_files(ROOT), all_files(copy)
        assert len(theirs) > 500
        changed = {name for name, content in theirs.items() if ours.get(name) != content}
        own = {name for name in changed if name.startswith("components/training/tally/")}
        made = {"component.py", "component.yaml"}
        assert own == {f"components/training/tally/{name}" for name in {*FILES, *made}}
        assert changed - own == GENERATED

    def test_a_changed_parameter_of_its_step_reaches_all_that_says_it(self, copy: Path) -> None:
        stage = copy / "components/training/tally"
        before = all_files(copy)
        step = (stage / "step.py").read_text()
        changed = step.replace("limit: int = 10", "most: float = 0.5").replace(
            "limit: The number", "most: The share"
        )
        (stage / "step.py").write_text(changed)
        try:
            generate(copy)
            after = all_files(copy)
        finally:
            (stage / "step.py").write_text(step)
            generate(copy)
        assert {name for name in after if before[name] != after[name]} == {
            f"components/training/tally/{name}"
            for name in ("step.py", "component.py", "component.yaml", "README.md")
        }
        texts = {Path(name).name: after[name].decode() for name in after if "/tally/" in name}
        assert "    most: float = 0.5,\n" in texts["component.py"]
        assert "        most: The share to stop at.\n" in texts["component.py"]
        assert "| most | Float | `0.5` | The share to stop at. |" in texts["README.md"]
        spec = next(iter(yaml.safe_load_all(texts["component.yaml"])))
        assert spec["root"]["inputDefinitions"]["parameters"]["most"] == {
            "defaultValue": 0.5,
            "description": "The share to stop at.",
            "isOptional": True,
            "parameterType": "NUMBER_DOUBLE",
        }
        assert all_files(copy) == before
