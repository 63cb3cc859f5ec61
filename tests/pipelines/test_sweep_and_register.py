"""Several candidates through kfp.local, as a user starts them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from sklearn.datasets import load_breast_cancer

from assay.components.snapshot_data.step import snapshot_data
from assay.components.split_data.component import split_data
from assay.core.attestation import about
from assay.core.provenance import nodes, passport
from assay.core.store import open_store
from assay.core.tree import get_manifest, read_file
from assay.runtime import events
from assay.runtime.kfp import execute
from assay.runtime.local import Task, _Follower

ROOT = Path(__file__).resolve().parents[2]
LINEAR = "sklearn.linear_model.LogisticRegression"
DUMMY = {"estimator": "sklearn.dummy.DummyClassifier"}
GOOD = {"estimator": LINEAR}
WEAK = {"estimator": LINEAR, "hyperparameters": {"C": 0.0001}}
UNFIT = {"estimator": "sklearn.ensemble.BaggingClassifier", "hyperparameters": {"max_features": 99}}
OPTIONS = ("--json", "--params", "run.yaml")
POLICY = "gates:\n  - metric: accuracy > 0.85\n"


class Project:
    """A user's folder, and `assay run sweep-and-register` in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ASSAY_", "MLFLOW_"))
        }
        frame = load_breast_cancer(as_frame=True).frame
        frame.columns = [column.replace(" ", "_") for column in frame.columns]
        frame.to_csv(folder / "data.csv", index=False)

    def run(self, candidates: list[Any], *, code: int = 0, **changes: Any) -> dict[str, Any]:
        parameters = {
            "data": "data.csv",
            "target": "target",
            "model_name": "cancer",
            "policy": POLICY,
            "candidates": candidates,
            **changes,
        }
        (self.folder / "run.yaml").write_text(yaml.safe_dump(parameters))
        done = subprocess.run(
            [sys.executable, "-m", "assay.cli", "run", "sweep-and-register", *OPTIONS],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return dict(json.loads(done.stdout))

    @property
    def store(self) -> Any:
        return open_store((self.folder / ".assay/store").as_uri())


def tasks(outcome: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [task for task in outcome["tasks"] if task["name"] == name]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("sweep"))


@pytest.fixture(scope="module")
def first(project: Project) -> dict[str, Any]:
    return project.run([DUMMY, GOOD, WEAK])


@pytest.mark.slow
def test_the_best_is_chosen_and_only_it_meets_the_test_rows(
    project: Project, first: dict[str, Any]
) -> None:
    assert first["verdict"] == "passed"
    (chosen,) = tasks(first, "select_best")
    assert chosen["values"]["place"] == 2
    best = chosen["values"]["model"]
    assert len(tasks(first, "train")) == 3
    outer, inner = tasks(first, "split_data")
    *tried, final = tasks(first, "evaluate")
    seen = [
        about(project.store, task["outputs"]["evaluation"], None)[0].inputs["test_data"]
        for task in (*tried, final)
    ]
    assert seen == [inner["outputs"]["test"]] * 3 + [outer["outputs"]["test"]]
    behind = {
        n.digest for n in nodes(passport(project.store, chosen["outputs"]["selection"], None))
    }
    assert outer["outputs"]["train"] in behind
    assert outer["outputs"]["test"] not in behind
    (registered,) = tasks(first, "register")
    (attestation,) = about(project.store, registered["outputs"]["record"], None)
    assert best in {*attestation.input_digests(), attestation.parameters.get("model")}


@pytest.mark.slow
def test_another_candidate_costs_only_itself(project: Project, first: dict[str, Any]) -> None:
    again = project.run([DUMMY, GOOD, WEAK, {"estimator": LINEAR, "hyperparameters": {"C": 0.01}}])
    states = sorted(task["state"] for task in tasks(again, "train"))
    assert states == ["cached", "cached", "cached", "done"]


@pytest.mark.slow
def test_everything_wrong_with_any_candidate_is_reported_before_one_is_trained(
    project: Project,
) -> None:
    wrong = project.run(
        [GOOD, {"estimator": LINEAR, "hyperparameters": {"c": 1}}, {"estimater": "x"}],
        code=2,
        validation_fraction=1.5,
    )
    for part in ("candidate 2: ", "candidate 3 has estimater", "validation_fraction is 1.5"):
        assert part in wrong["error"]
    assert {task["name"] for task in wrong["tasks"]} == {"preflight", "run_report"}
    none = project.run([], code=2)
    assert "candidates: 0 are given" in none["error"]


@pytest.mark.slow
def test_one_that_fails_on_the_data_is_named_and_the_others_are_kept(
    project: Project, first: dict[str, Any]
) -> None:
    done = project.run([UNFIT, GOOD])
    (chosen,) = tasks(done, "select_best")
    assert chosen["values"]["place"] == 2
    assert chosen["values"]["model"] == done["passed"]["model"]
    reason = chosen["values"]["reason"]
    assert "failed: candidate 1 (BaggingClassifier" in reason
    assert "BaggingClassifier cannot be fitted" in reason
    manifest = get_manifest(project.store, chosen["outputs"]["selection"])
    page = read_file(project.store, manifest, "report.html", 1 << 22)
    assert page is not None
    assert b"Could not be trained" in page


@pytest.mark.slow
def test_when_all_fail_the_run_is_red_and_names_each(
    project: Project, first: dict[str, Any]
) -> None:
    other = {**UNFIT, "hyperparameters": {"max_features": 98}}
    red = project.run([UNFIT, other], code=2)
    assert "no candidate could be trained" in red["error"]
    assert "candidate 1" in red["error"]
    assert "candidate 2" in red["error"]
    assert not tasks(red, "register")
    assert tasks(red, "run_report")


def test_the_choice_is_given_no_test_rows() -> None:
    text = (ROOT / "pipelines/sweep_and_register/pipeline.yaml").read_text()
    spec = next(iter(yaml.safe_load_all(text)))
    calls = [
        task
        for component in spec["components"].values()
        for task in component.get("dag", {}).get("tasks", {}).values()
        if task["componentRef"]["name"] == "comp-try-candidates"
    ]
    (call,) = calls
    given = {
        (
            item["taskOutputParameter"]["producerTask"],
            item["taskOutputParameter"]["outputParameterKey"],
        )
        for item in call["inputs"]["parameters"].values()
        if "taskOutputParameter" in item
    }
    assert given == {
        ("split-data", "candidates"),
        ("prepare-data", "candidates"),
        ("prepare-data", "selection_settings"),
    }


def test_what_candidates_are_given_is_cut_from_the_training_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_STORE", (tmp_path / "store").as_uri())
    lines = [f"{place},{place % 2}" for place in range(200)]
    (tmp_path / "data.csv").write_text("\n".join(["a,label", *lines]))
    table = str(tmp_path / "data.csv")
    (data,) = execute(snapshot_data, {"data": table}, "dataset")
    arguments = {
        "data": data,
        "candidates": [GOOD, DUMMY],
        "candidate_settings": {"seed": 3},
        "settings": {"target": "label", "validation_fraction": 0.3},
    }
    train, test, _, _, candidates = split_data.python_func(**arguments)
    inner = {side: candidates[0][side] for side in ("data", "test_data")}
    settings = {"settings": {"seed": 3}}
    assert candidates == [GOOD | inner | settings, DUMMY | inner | settings]
    assert not {train, test} & set(inner.values())
    store = open_store((tmp_path / "store").as_uri())
    for side in inner.values():
        assert about(store, side, None)[0].inputs == {"data": train}


def test_tasks_of_one_name_that_run_side_by_side_are_reported_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.jsonl"
    monkeypatch.setenv("ASSAY_EVENTS", str(path))
    for process, state in (("a", "started"), ("b", "started"), ("a", "failed"), ("b", "done")):
        monkeypatch.setattr(events, "PROCESS", process)
        events.emit("train", state)
    output: list[Task] = []
    follower = _Follower(path, output.append)
    follower._read()
    assert [(t.process, t.state) for t in follower.tasks] == [("a", "failed"), ("b", "done")]
