"""The main pipeline through kfp.local, in every outcome, as a user starts it."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_breast_cancer

POLICY = """
gates:
  - metric: accuracy > 0.85
  - metric: regression_delta < 0.05
    when: production_exists == 1
on_fail: block_and_notify
"""
PURE = [
    "snapshot_data", "validate_data", "split_data", "train", "evaluate", "compare",
    "check_monitoring", "gate",
]  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = ["preflight", "resolve_production", "release_evidence", "register", "run_report"]


def write_table(path: Path, *, factor: float = 1.0, quoted: bool = False) -> None:
    bunch = load_breast_cancer()
    names = [name.replace(" ", "_") for name in bunch.feature_names]
    quoting = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    with path.open("w", newline="") as stream:
        out = csv.writer(stream, quoting=quoting)
        out.writerow([*names, "diagnosis"])
        for row, label in zip(bunch.data, bunch.target, strict=True):
            cells = [float(row[0]) * factor, *map(float, row[1:])]
            out.writerow([*map(repr, cells), bunch.target_names[label]])


class Project:
    """A user's folder, and `assay` called in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ASSAY_", "MLFLOW_"))
        }
        write_table(folder / "data.csv")
        (folder / "policy.yaml").write_text(POLICY)

    def command(self, *words: str, **parameters: object) -> list[str]:
        pairs = [
            f"{name}={json.dumps(v) if not isinstance(v, str) else v}"
            for name, v in parameters.items()
        ]
        return [
            sys.executable,
            "-m",
            "assay.cli",
            *words,
            *(w for pair in pairs for w in ("-p", pair)),
        ]

    def assay(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def arguments(self, **changes: object) -> dict[str, object]:
        plain: dict[str, object] = {
            "data": "data.csv",
            "target": "diagnosis",
            "model_name": "cancer",
            "policy": "policy.yaml",
            "estimator": "sklearn.linear_model.LogisticRegression",
            "max_regression": 0.05,
        }
        return {**plain, **changes}

    def run(self, *, code: int = 0, **changes: object) -> dict[str, Any]:
        done = subprocess.run(
            self.command("run", "train-and-register", "--json", **self.arguments(**changes)),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stdout + done.stderr
        outcome = json.loads(done.stdout)
        return {
            **outcome,
            "states": {t["name"]: t["state"] for t in outcome["tasks"]},
            "by": {t["name"]: t for t in outcome["tasks"]},
        }


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def twice(project: Project) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first run, and the same again before other models are tried on the same test data."""
    return project.run(), project.run()


@pytest.fixture(scope="module")
def first(twice: tuple[dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
    """The first run: no production model, registered."""
    return twice[0]


def test_a_first_model_is_registered(project: Project, first: dict[str, Any]) -> None:
    assert first["verdict"] == "passed"
    assert first["states"] == {**dict.fromkeys(PURE, "done"), **dict.fromkeys(OUTSIDE, "done")}
    values = first["by"]["register"]["values"]
    assert values == {"model_uri": "models:/cancer@candidate", "registered": "new", "version": "1"}


def test_the_registered_model_loads_and_predicts(project: Project, first: dict[str, Any]) -> None:
    script = (
        "import mlflow, csv\n"
        f"mlflow.set_tracking_uri('sqlite:///{project.folder}/.assay/mlflow.db')\n"
        "import pandas as pd\n"
        "model = mlflow.pyfunc.load_model('models:/cancer@candidate')\n"
        "table = pd.read_csv('data.csv')\n"
        "print((model.predict(table.drop(columns='diagnosis')) == table.diagnosis).mean())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) > 0.9


def test_after_a_pass_a_person_has_all_to_go_on(
    project: Project, first: dict[str, Any], tmp_path: Path
) -> None:
    output = project.assay(*project.command("run", "train-and-register", **project.arguments())[3:])
    lines = output.splitlines()
    model = first["by"]["train"]["outputs"]["model"]
    assert f"model: {model}" in lines
    database = f"sqlite:///{project.folder}/.assay/mlflow.db"
    assert f"registry: {database}" in lines
    assert "next: assay model production cancer --set 1" in lines
    (accuracy,) = [line for line in lines if line.startswith("measured: accuracy ")]
    assert re.fullmatch(r"measured: accuracy 0\.\d+ \([\d.]+ to [\d.]+ at 95 %\)", accuracy)
    # Pasted as it stands, in a folder that has nothing to do with the run.
    (load,) = [line.removeprefix("load in Python: ") for line in lines if "load_model" in line]
    done = subprocess.run(
        [sys.executable, "-c", f"{load}\nprint(model.metadata.signature is not None)"],
        cwd=tmp_path,
        env=project.environment,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "True\n", done.stderr
    assert list(tmp_path.iterdir()) == []


def test_programs_are_reported_the_same(project: Project, first: dict[str, Any]) -> None:
    passed = first["passed"]
    assert passed["model"] == first["by"]["train"]["outputs"]["model"]
    assert passed["metrics"]["accuracy"]["low"] < passed["metrics"]["accuracy"]["high"]
    assert passed["load"].startswith("import mlflow; mlflow.set_tracking_uri('sqlite:///")
    assert str(project.folder) in passed["trackingUri"]


def test_the_same_again_is_answered_from_the_cache(
    twice: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    first, again = twice
    assert again["states"] == {**dict.fromkeys(PURE, "cached"), **dict.fromkeys(OUTSIDE, "done")}
    assert again["by"]["register"]["values"]["registered"] == "existing"
    assert again["by"]["register"]["values"]["version"] == "1"
    for name in PURE:
        assert again["by"][name]["outputs"] == first["by"][name]["outputs"]


def test_early_cut_off_when_another_file_holds_the_same_rows(
    project: Project, first: dict[str, Any]
) -> None:
    write_table(project.folder / "quoted.csv", quoted=True)
    again = project.run(data="quoted.csv")
    assert again["states"].pop("snapshot_data") == "done"
    # The gate hears how many models were tried on these rows, of which other tests add some.
    pure = set(PURE) - {"snapshot_data", "gate"}
    assert {again["states"][name] for name in pure} == {"cached"}


def test_bad_data_is_rejected_at_validation(project: Project, first: dict[str, Any]) -> None:
    write_table(project.folder / "micrometres.csv", factor=1000)
    project.assay(
        "suite", "draft", "data.csv", "--target", "diagnosis", "-o", "suite.json", "--force"
    )
    rejected = project.run(code=3, data="micrometres.csv", suite="suite.json")
    assert rejected["verdict"] == "rejected"
    assert "mean_radius" in rejected["error"]
    assert "569 of 569" in rejected["error"]
    assert "train" not in rejected["states"]
    assert rejected["states"]["run_report"] == "done"


@pytest.mark.slow
def test_a_worse_model_is_blocked_and_a_small_difference_is_inconclusive(
    project: Project, first: dict[str, Any]
) -> None:
    # Under a name of its own, because tests run in any order and share the project.
    project.run(model_name="rival")
    project.assay("model", "production", "rival", "--set", "1")
    dummy = {"estimator": "sklearn.dummy.DummyClassifier", "model_name": "rival"}
    blocked = project.run(code=4, **dummy)
    assert "accuracy is 0.6067; allowed above 0.85" in blocked["error"]
    assert "accuracy is worse by 0.3733; allowed less than 0.05" in blocked["error"]
    assert "register" not in blocked["states"]
    assert blocked["by"]["compare"]["values"]["verdict"] == "block"

    lenient = "gates:\n  - metric: accuracy > 0.5\n"
    unsure = project.run(code=5, hyperparameters={"C": 0.001}, policy=lenient, model_name="rival")
    assert unsure["verdict"] == "inconclusive"
    assert "too little test data to decide" in unsure["error"]
    assert "register" not in unsure["states"]


def test_all_that_is_wrong_is_reported_before_anything_is_computed(project: Project) -> None:
    wrong = project.run(
        code=2,
        data="dtaa.csv",
        estimator="sklearn.linear_model.LogisticRegresion",
        test_fraction=1.5,
        policy="gates:\n  - metric: acuracy > 0.9\n",
    )
    for part in (
        "did you mean data.csv",
        "LogisticRegression",
        "test_fraction is 1.5",
        "'accuracy'",
    ):
        assert part in wrong["error"]
    assert set(wrong["states"]) == {"preflight", "run_report"}
    misspelt = project.run(code=2, target="diagnose", slices=["sex"])
    assert "did you mean 'diagnosis'" in misspelt["error"]
    assert "slices: no column 'sex'" in misspelt["error"]


def test_parameters_that_are_none(project: Project) -> None:
    done = subprocess.run(
        project.command("run", "train-and-register", targt="x", test_fraction="much"),
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    for part in ("did you mean 'target'", "'data' is missing", "expected a number"):
        assert part in done.stderr
    assert "Traceback" not in done.stderr


def test_the_passport_verifies_and_every_pure_step_is_reproduced_elsewhere(
    project: Project, first: dict[str, Any]
) -> None:
    record = first["by"]["register"]["outputs"]["record"]
    verified = json.loads(project.assay("store", "verify", record, "--json"))
    assert verified["artifacts"] > 10
    drawn = project.assay("passport", record)
    for name in (
        "register",
        "gate",
        "compare",
        "evaluate",
        "train",
        "split_data",
        "snapshot_data",
        "data.csv",
    ):
        assert name in drawn
    rows = json.loads(project.assay("reproduce", record, "--all", "--json"))
    outcomes = {(row["step"], row["output"]): row["outcome"] for row in rows}
    assert {outcomes[key] for key in outcomes if key[0] in PURE} == {"equal", "measured"}
    assert outcomes[("evaluate", "measurements")] == "measured"
    assert outcomes[("train", "model")] == "equal"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_pure_step_is_reproduced_in_an_environment_made_from_the_locks(
    project: Project, first: dict[str, Any], tmp_path: Path
) -> None:
    """What a user installs, not this checkout: another interpreter, folder and site-packages."""
    uv = [str(Path(sys.executable).with_name("uv")), "--quiet"]
    checkout = tmp_path / "checkout"
    for name in ("src", "components", "pipelines"):
        shutil.copytree(
            ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    build = ["build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(checkout)]
    lock = str(ROOT / "src/assay/requirements.txt")
    other = str(tmp_path / "other")
    python = f"{other}/bin/python"
    for command in (
        [sys.executable, "-W", "ignore", "-m", *build],
        [*uv, "venv", "--python", sys.executable, other],
        [*uv, "pip", "sync", "--compile-bytecode", "--require-hashes", "--python", python, lock],
    ):
        subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([*uv, "pip", "install", "--no-deps", "--python", python, str(wheel)], check=True)
    record = first["by"]["register"]["outputs"]["record"]
    rows = json.loads(project.assay("reproduce", record, "--all", "--python", python, "--json"))
    outcomes = {row["step"]: row for row in rows if row["outcome"] not in {"measured", "acts"}}
    assert set(outcomes) == set(PURE)
    assert {row["outcome"] for row in outcomes.values()} == {"equal"}
    assert {row["note"] for row in outcomes.values()} == {""}  # by the very same code


def test_one_flipped_byte_is_found(project: Project, first: dict[str, Any]) -> None:
    model = first["by"]["train"]["outputs"]["model"]
    shown = json.loads(project.assay("show", model, "--json"))
    digest = next(f["digest"] for f in shown["files"] if f["path"] == "model.skops")
    blob = project.folder / ".assay/store/blobs/sha256" / digest[7:9] / digest[7:]
    data = blob.read_bytes()
    blob.chmod(0o644)
    try:
        blob.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
        done = subprocess.run(
            project.command("store", "verify", model),
            cwd=project.folder,
            env=project.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 6
        assert digest in done.stderr
    finally:
        blob.write_bytes(data)
    project.assay("store", "verify", model)


@pytest.mark.slow
def test_models_and_data_can_be_compared(project: Project, first: dict[str, Any]) -> None:
    data = first["by"]["split_data"]["outputs"]
    rows = json.loads(project.assay("model", "diff", data["train"], data["test"], "--json"))
    assert {"what": "rows"}.items() <= next(r for r in rows if r["what"] == "rows").items()
    model = first["by"]["train"]["outputs"]["model"]
    assert json.loads(project.assay("model", "diff", model, model, "--json")) == []
    project.assay("model", "diff", model, data["train"], code=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "victim", ["snapshot_data", "validate_data", "train", "evaluate", "gate", "register"]
)
def test_a_run_that_is_killed_goes_on_where_it_was(
    tmp_path: Path, first: dict[str, Any], victim: str
) -> None:
    project = Project(tmp_path)
    process = subprocess.Popen(
        project.command("run", "train-and-register", "--json", **project.arguments()),
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    done: list[str] = []
    while time.monotonic() < deadline and process.poll() is None:
        events = [
            json.loads(line)
            for path in project.folder.glob(".assay/runs/*/events.jsonl")
            for line in path.read_text().splitlines(keepends=True)
            if line.endswith("\n")
        ]
        done = [e["task"] for e in events if e["state"] == "done"]
        if any(e["task"] == victim and e["state"] == "started" for e in events):
            break
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    project.assay("store", "verify")
    again = project.run()
    assert again["verdict"] == "passed"
    assert {again["states"][name] for name in done if name in PURE} <= {"cached"}
    for name in PURE:
        outputs = dict(again["by"][name]["outputs"])
        expected = dict(first["by"][name]["outputs"])
        for measured in ("measurements", "decision"):  # latency stands in both
            outputs.pop(measured, None), expected.pop(measured, None)
        assert outputs == expected
