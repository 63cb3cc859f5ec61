"""What is computed again after a change of the library: exactly what can give another result."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from sklearn.datasets import load_breast_cancer

ROOT = Path(__file__).resolve().parents[2]
PURE = [
    "snapshot_data", "validate_data", "split_data", "train", "evaluate", "compare",
    "check_monitoring", "gate",
]  # fmt: skip
RUNS = 9


class Installation:
    """A copy of the library, and a user's folder in which pipelines are run with it."""

    def __init__(self, folder: Path) -> None:
        self.package = folder / "lib" / "assay"
        leave = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "src" / "assay", self.package, ignore=leave)
        shutil.copytree(ROOT / "pipelines", self.package / "pipelines", ignore=leave)
        components = self.package / "components"
        components.mkdir()
        shutil.copy(ROOT / "components" / "__init__.py", components)
        for stage in (ROOT / "components").glob("*/*/"):  # installed without their categories
            shutil.copytree(stage, components / stage.name, ignore=leave)
        self.project = folder / "project"
        self.project.mkdir()
        bunch = load_breast_cancer(as_frame=True)
        table = bunch.frame.rename(columns=lambda name: name.replace(" ", "_"))
        table["target"] = table["target"].map({0: "malignant", 1: "benign"})
        table.to_csv(self.project / "data.csv", index=False)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ASSAY_", "MLFLOW_"))}
        self.environment = {**kept, "PYTHONPATH": str(self.package.parent)}

    def python(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.project,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self) -> dict[str, Any]:
        parameters = {
            "data": "data.csv",
            "target": "target",
            "model_name": "cancer",
            "policy": "gates: [{metric: accuracy > 0.85}]",
            "estimator": "sklearn.linear_model.LogisticRegression",
        }
        words = [word for name, value in parameters.items() for word in ("-p", f"{name}={value}")]
        text = self.python("-m", "assay.cli", "run", "train-and-register", "--json", *words)
        tasks: list[dict[str, Any]] = json.loads(text)["tasks"]
        return {task["name"]: task for task in tasks}

    def change(self, name: str, change: Callable[[str], str]) -> None:
        path = self.package / name
        before = path.read_text()
        path.write_text(change(before))
        assert path.read_text() != before


def comment(text: str) -> str:
    return f"{text}# changed\n"


def computed(run: dict[str, Any]) -> set[str]:
    return {name for name in PURE if run[name]["state"] != "cached"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_change_computes_again_what_can_give_another_result(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    first = installation.run()
    assert computed(first) == set(PURE)
    # A room that no step of this pipeline's work imports, and the version of a forge's client.
    for path in sorted((installation.package / "releases").rglob("*.py")):
        installation.change(str(path.relative_to(installation.package)), comment)
    installation.change(
        "requirements.txt", lambda lock: re.sub(r"(?m)^pygithub==\S+", "pygithub==99.0", lock)
    )
    again = installation.run()
    assert computed(again) == set()
    assert {n: again[n]["outputs"] for n in PURE} == {n: first[n]["outputs"] for n in PURE}
    # What makes the estimator: train and what follows from it, and nothing before it.
    installation.change("models/build.py", comment)
    assert computed(installation.run()) == set(PURE[PURE.index("train") :])


COLD = """
import time
from assay.core import code_identity
begin = time.process_time()
{work}
print(time.process_time() - begin)
"""
CLOSURE = "code_identity.identity_of('assay.components.train.step:train')"
LIBRARY = "code_identity.installed()"
"""Reads and hashes all files of the library; nothing less could be the price of a key."""


@pytest.mark.bench
def test_the_identity_of_train_costs_little_more_than_a_digest_of_the_library() -> None:
    seconds: dict[str, list[float]] = {CLOSURE: [], LIBRARY: []}
    for _ in range(RUNS):
        for work, found in seconds.items():
            done = subprocess.run(
                [sys.executable, "-c", COLD.format(work=work)],
                capture_output=True,
                text=True,
                check=True,
            )
            found.append(float(done.stdout))
    medians = {work: median(found) for work, found in seconds.items()}
    sys.stdout.write("".join(f"\n{work}: {found * 1e3:.1f} ms" for work, found in medians.items()))
    assert medians[CLOSURE] < 2.5 * medians[LIBRARY]
    assert medians[CLOSURE] < 0.1
