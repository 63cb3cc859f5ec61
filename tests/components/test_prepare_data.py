"""prepare_data reports what is wrong before it reads the table; each stage gets what it reads."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from assay.components.prepare_data.component import prepare_data
from assay.components.prepare_data.options import DEFAULTS, SWEEP_DEFAULTS
from assay.components.prepare_data.task import STAGES
from assay.core.context import store_from_env
from assay.core.digest import is_digest
from assay.runtime import runs

TABLE = "age,sex,job,income\n" + "39,M,a,no\n40,F,b,yes\n41,M,b,no\n" * 60


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "people.csv").write_text(TABLE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_STORE", (tmp_path / "store").as_uri())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("ASSAY_RUN", "run-1")
    return tmp_path


def prepare(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"data": "people.csv", "target": "income", "model_name": "income"}
    view = type("Dataset", (), {})()
    view.metadata, view.uri, view.path = {}, "", ""
    done = prepare_data.python_func(**{**given, **changes}, dataset=view)
    names = ("dataset", "rows", "candidates", *STAGES, "candidate")
    return {**dict(zip(names, done, strict=True)), "view": view}


def test_each_stage_gets_what_it_reads_and_what_differs_from_its_defaults(project: Path) -> None:
    done = prepare(
        estimator="sklearn.linear_model.LogisticRegression",
        options={**DEFAULTS, "slices": ["sex"], "seed": 3.0, "test_fraction": 0.25},
    )
    assert done["rows"] == 180
    epoch = done["split"].pop("epoch")
    assert done["split"] == {"target": "income"}
    assert done["training"] == {
        "epoch": epoch,
        "estimator": "sklearn.linear_model.LogisticRegression",
        "seed": 3,
        "target": "income",
    }
    assert done["evaluation"] == {"epoch": epoch, "seed": 3, "slices": ["sex"]}
    assert done["comparison"] == {"epoch": epoch, "seed": 3, "slices": ["sex"]}
    assert is_digest(done["gate"]["policy"])


def test_documents_travel_as_digests_whichever_way_they_were_given(project: Path) -> None:
    policy = {"gates": [{"metric": "accuracy > 0.5"}]}
    (project / "policy.json").write_text(json.dumps(policy))
    as_text = prepare(policy=json.dumps(policy))
    as_file = prepare(policy="policy.json")
    assert as_text["gate"]["policy"] == as_file["gate"]["policy"]
    again = prepare(policy=as_text["gate"]["policy"])
    assert again["gate"]["policy"] == as_text["gate"]["policy"]


def test_the_same_again_gives_the_same_and_a_new_key_gives_another_epoch(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, again = prepare(), prepare()
    del first["view"], again["view"]
    assert first == again
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    monkeypatch.setenv("ASSAY_SIGNING_KEY", private.decode())
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", public.decode())
    later = prepare()
    assert later["dataset"] == first["dataset"]
    assert later["training"]["epoch"] != first["training"]["epoch"]


def test_all_that_is_wrong_with_the_options_is_told_before_the_table_is_read(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        prepare(data="gone.csv", options={"test_fracton": 0.2, "seed": "x", "stratify": 1})
    assert error.value.code == 2
    told = " ".join(capfd.readouterr().err.split())
    assert "options: no 'test_fracton'; did you mean 'test_fraction'?" in told
    assert "options.seed: expected a whole number, got 'x'" in told
    assert "options.stratify: expected true or false, got 1" in told
    (record,) = runs.tasks(store_from_env(), "run-1")
    assert "options.seed: expected a whole number" in record.error


def test_a_seed_out_of_range_is_refused_before_the_table_is_read(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        prepare(data="gone.csv", options={"seed": -1})
    assert error.value.code == 2
    told = " ".join(capfd.readouterr().err.split())
    assert "options.seed is -1; give a number from 0 to 4294967295" in told
    assert "gone.csv" not in told


def test_the_runs_record_says_why_it_ended_here(project: Path) -> None:
    with pytest.raises(SystemExit):
        prepare(target="incme")
    (record,) = runs.tasks(store_from_env(), "run-1")
    assert (record.task, record.state, record.exit_code) == ("prepare_data", runs.FAILED, 2)
    assert "did you mean 'income'?" in record.error


def test_a_green_task_names_both_steps_and_the_dataset_in_kfps_lineage(project: Path) -> None:
    done = prepare()
    (record,) = runs.tasks(store_from_env(), "run-1")
    assert [step.step for step in record.steps] == ["preflight", "snapshot_data"]
    assert record.state == runs.DONE
    assert done["view"].uri == "cas://" + done["dataset"].replace(":", "/")
    assert done["view"].metadata["digest"] == done["dataset"]
    assert done["view"].metadata["rows"] == 180


def test_a_sweeps_candidates_get_their_settings_and_the_split_its_second_share(
    project: Path,
) -> None:
    tree = {"estimator": "sklearn.tree.DecisionTreeClassifier", "hyperparameters": {"max_depth": 2}}
    done = prepare(candidates=[tree], options={**SWEEP_DEFAULTS, "validation_fraction": 0.4})
    assert done["candidates"] == [tree]
    assert done["split"]["validation_fraction"] == 0.4
    assert "estimator" not in done["candidate"]
    with pytest.raises(SystemExit):
        prepare(candidates=[tree], options={"hyperparameters": {"max_depth": 1}})


FLAT = "gates:   - metric: accuracy > 0.5   - metric: test_rows >= 10 on_fail: block"


@pytest.mark.parametrize("policy", [FLAT, f"on_fail: block {FLAT}", f"# mine {FLAT}"])
def test_yaml_whose_lines_the_run_form_joined_is_answered_with_what_to_do(
    project: Path, capfd: pytest.CaptureFixture[str], policy: str
) -> None:
    with pytest.raises(SystemExit) as error:
        prepare(policy=policy)
    assert error.value.code == 2
    if policy.startswith("#"):
        return  # a comment to its end, and no policy
    told = " ".join(capfd.readouterr().err.split())
    assert "policy: YAML in one line" in told
    assert "give it as JSON, or its location or digest" in told


@pytest.mark.parametrize(
    "policy", ['{"gates": [{"metric": "accuracy > 0.5"}]}', "gates: [{metric: accuracy > 0.5}]"]
)
def test_json_and_yaml_that_fit_into_a_line_are_taken(project: Path, policy: str) -> None:
    assert is_digest(prepare(policy=policy)["gate"]["policy"])


def test_columns_are_named_by_text(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        prepare(options={"drop_columns": [0], "slices": [1, "sex"], "sed": 1})
    assert error.value.code == 2
    told = " ".join(capfd.readouterr().err.split())
    assert "options.drop_columns: 0 is not a text; put it into quotes" in told
    assert "options.slices: 1 is not a text" in told
    assert "options: no 'sed'; did you mean 'seed'?" in told
