"""`assay model` and the pins of `assay store`, as a person uses them."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from mlflow.tracking import MlflowClient

from assay.cli import cli
from assay.components.snapshot_data.step import snapshot_data
from assay.core.execution import Context, execute
from assay.core.store import Store
from assay.errors import NotFoundError, UsageError
from assay.governance.mlflow_calls import quiet
from assay.governance.registry import Registry

ONE, TWO = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


def assay(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words))


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    return Registry()


@pytest.fixture
def data(context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_STORE", context.store.url)
    (tmp_path / "data.csv").write_text("a,b\n1,x\n2,\n")
    return execute(snapshot_data, {"data": "data.csv"}, context).outputs["dataset"]


class TestModels:
    def test_an_empty_registry_says_how_to_register_one(self, registry: Registry) -> None:
        assert "assay run train-and-register" in assay("model", "list").output

    def test_are_listed_with_those_that_others_registered(self, registry: Registry) -> None:
        registry.register("income", ONE, "file:///nowhere", {}, {})
        registry.register("income", TWO, "file:///nowhere", {}, {})
        registry.set_alias("income", "production", "1")
        with quiet():
            client = MlflowClient()
            client.create_registered_model("foreign")
            client.create_model_version("foreign", "file:///nowhere")
        listed = json.loads(assay("model", "list", "--json").output)
        found = {item["model"]: item for item in listed}
        assert found["income"]["digest"] == TWO
        assert found["income"]["versions"] == 2
        assert found["income"]["aliases"] == {"candidate": "2", "production": "1"}
        assert found["foreign"]["digest"] == ""
        assert "not registered by Assay" in assay("model", "list").output

    def test_a_models_versions_are_shown_newest_first(self, registry: Registry) -> None:
        for digest in (ONE, TWO):
            registry.register("income", digest, "file:///nowhere", {"assay.decision": digest}, {})
        registry.set_alias("income", "production", "1")
        newest, first = json.loads(assay("model", "show", "income", "--json").output)
        assert (newest["version"], newest["digest"], newest["aliases"]) == ("2", TWO, ["candidate"])
        assert (first["digest"], first["decision"], first["aliases"]) == (ONE, ONE, ["production"])
        refused = assay("model", "show", "incme").exception
        assert isinstance(refused, UsageError)
        assert "did you mean 'income'?" in str(refused)


class TestExport:
    @pytest.mark.parametrize(("form", "read"), [("csv", pd.read_csv), ("parquet", pd.read_parquet)])
    def test_a_dataset_becomes_one_file(
        self, data: str, tmp_path: Path, form: str, read: Any
    ) -> None:
        done = assay("model", "export", data, f"table.{form}", "--format", form)
        assert done.exit_code == 0, done.output
        frame = read(tmp_path / f"table.{form}")
        assert frame["a"].tolist() == [1, 2]
        assert frame["b"].fillna("").tolist() == ["x", ""]

    def test_what_is_there_is_not_overwritten(self, data: str, tmp_path: Path) -> None:
        (tmp_path / "mine").write_text("mine")
        refused = assay("model", "export", data, "mine").exception
        assert isinstance(refused, UsageError)
        assert (tmp_path / "mine").read_text() == "mine"


def test_a_pin_is_listed_with_its_reason_until_it_is_taken_off(
    data: str, folder_store: Store
) -> None:
    assert json.loads(assay("store", "pin", data, "--reason", "audit", "--json").output) == {
        data: "audit"
    }
    assert json.loads(assay("store", "pin", "--json").output) == {data: "audit"}
    assert isinstance(assay("store", "pin", "--reason", "audit").exception, UsageError)
    assert assay("store", "unpin", data).exit_code == 0
    assert json.loads(assay("store", "pin", "--json").output) == {}
    assert isinstance(assay("store", "unpin", data).exception, NotFoundError)
