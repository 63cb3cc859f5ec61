"""resolve_production: what is in production, by the registry's own word."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from assay.components.resolve_production.step import resolve_production
from assay.components.snapshot_data.step import snapshot_data
from assay.components.split_data.step import split_data
from assay.components.train.step import train
from assay.core.execution import Context, execute
from assay.core.step import Dataset, Model, Out, Record, Services, step
from assay.core.store import Store, open_store
from assay.core.tree import get_manifest, get_tree
from assay.errors import ServiceError, UsageError
from assay.governance.mlflow_calls import quiet
from assay.governance.registry import Registry
from assay.releases import log
from assay.releases.log import Entry, Event

MODEL, OTHER, DATA = ("sha256:" + digit * 64 for digit in "abd")
NONE = {"production": "", "production_rows": "", "production_data": "", "version": ""}


@step
def bring(*, rows: Dataset, folder: str, model: Out[Model]) -> None:
    """A user's own step, which stores a model that it did not train."""
    del rows
    shutil.copytree(folder, model.path, dirs_exist_ok=True)


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


def resolve(
    folder: Path, store: Store | None = None, **arguments: str
) -> tuple[dict[str, Any], str]:
    """Values, and the summary."""
    folder.mkdir()
    bound = resolve_production.bind_parameters({"model_name": "churn", **arguments})
    store = store or open_store((folder.parent / "store").as_uri())
    values = resolve_production(
        services=Services(store, None), record=Out[Record](folder), attempts=None, **bound
    )
    assert values is not None
    record = json.loads((folder / "record.json").read_bytes())
    assert record == {
        "model_name": "churn",
        "override": arguments.get("override", ""),
        **values,
    }
    return dict(values), (folder / "summary.md").read_text()


def test_it_asks_the_world_each_time() -> None:
    assert resolve_production.side_effects


def test_nothing_then_a_model(uri: str, tmp_path: Path) -> None:
    values, text = resolve(tmp_path / "1")
    assert values == NONE
    assert text == "No version of `churn` is in production.\n"
    registry = Registry(uri)
    registry.register("churn", MODEL, "file:///m", {"assay.data": DATA}, {})
    assert resolve(tmp_path / "2")[0] == NONE
    registry.set_alias("churn", "production", "1")
    values, text = resolve(tmp_path / "3")
    assert values == {**NONE, "production": MODEL, "production_data": DATA, "version": "1"}
    assert text == f"In production: version 1 of `churn`, `{MODEL}`\n"


def test_another_model_to_compare_with(uri: str, tmp_path: Path) -> None:
    registry = Registry(uri)
    registry.register("churn", MODEL, "file:///m", {"assay.data": DATA}, {})
    values, text = resolve(tmp_path / "1", override=OTHER)
    assert values == {**NONE, "production": OTHER}
    assert "no registered version" in text
    values, text = resolve(tmp_path / "2", override=MODEL)
    assert values == {**NONE, "production": MODEL, "production_data": DATA, "version": "1"}
    assert "as `override` asks" in text


def test_the_rows_that_production_was_trained_on_are_those_of_its_attestation(
    uri: str, tmp_path: Path, folder_store: Store
) -> None:
    context = Context(folder_store)
    lines = [f"{i % 7},{i},{'yes' if i % 7 > 3 else 'no'}" for i in range(200)]
    (tmp_path / "data.csv").write_text("\n".join(["a,b,label", *lines]) + "\n")
    source = str(tmp_path / "data.csv")
    data = execute(snapshot_data, {"data": source}, context).outputs["dataset"]
    parts = execute(split_data, {"data": data, "target": "label"}, context).outputs
    tree = {"target": "label", "estimator": "sklearn.tree.DecisionTreeClassifier"}
    model = execute(train, {"data": parts["train"], **tree}, context).outputs["model"]
    Registry(uri).register("churn", model, "file:///m", {"assay.data": data}, {})
    values, _ = resolve(tmp_path / "1", folder_store, override=model)
    assert values["production_rows"] == parts["train"]
    # What the registry's tag says, all rows, held-out ones among them, is another thing.
    assert values["production_data"] == data
    # Nor do rows count that a user's own step names with the same model.
    get_tree(folder_store, get_manifest(folder_store, model), tmp_path / "brought")
    brought = {"rows": data, "folder": str(tmp_path / "brought")}
    assert execute(bring, brought, context).outputs["model"] == model
    values, _ = resolve(tmp_path / "2", folder_store, override=model)
    assert values["production_rows"] == parts["train"]


@pytest.mark.usefixtures("uri")
@pytest.mark.parametrize("arguments", [{"override": "version 3"}, {"model_name": "a/b"}])
def test_what_is_no_digest_or_name(tmp_path: Path, arguments: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        resolve(tmp_path / "1", **arguments)


def test_a_version_of_other_origin_is_refused(uri: str, tmp_path: Path) -> None:
    with quiet():  # SQLAlchemy warns of what MLflow does when it is first used
        client = MlflowClient(uri, uri)
    client.create_registered_model("churn")
    client.create_model_version("churn", "file:///m", tags={"assay.model": "latest"})
    client.set_registered_model_alias("churn", "production", "1")
    with pytest.raises(UsageError, match="version 1 of 'churn' has no digest in its tag"):
        resolve(tmp_path / "1")


def test_a_registry_that_fails_is_not_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ServiceError, match="cannot get the production version"):
        resolve(tmp_path / "1")


def released(store: Store, digest: str) -> None:
    entry = Entry(
        event=Event.RELEASE,
        model="churn",
        environment="production",
        digest=digest,
        release=DATA,
        at="2026-01-01T00:00:00Z",
        by="Ann Approver <ann@example.org>",
    )
    log.append(Services(store, None), entry, None)


def test_a_wrong_registry_is_not_a_first_model(
    uri: str, tmp_path: Path, folder_store: Store
) -> None:
    released(folder_store, MODEL)
    with pytest.raises(ServiceError, match=r"release log has .*, the registry says none; check"):
        resolve(tmp_path / "1", folder_store)
    registry = Registry(uri)
    registry.register("churn", MODEL, "file:///m", {}, {})
    registry.register("churn", OTHER, "file:///o", {}, {})
    registry.set_alias("churn", "production", "1")
    assert resolve(tmp_path / "2", folder_store)[0]["production"] == MODEL
    # Moved by hand to a weaker one, which is easier to beat.
    registry.set_alias("churn", "production", "2")
    with pytest.raises(ServiceError, match=f"the registry says {OTHER}") as raised:
        resolve(tmp_path / "3", folder_store)
    assert "assay release sync" in str(raised.value)


def test_an_alias_removed_by_hand_is_not_a_first_model(uri: str, tmp_path: Path) -> None:
    registry = Registry(uri)
    registry.register("churn", MODEL, "file:///m", {}, {})
    registry.set_alias("churn", "production", "1")
    with quiet():
        MlflowClient(uri, uri).delete_registered_model_alias("churn", "production")
    with pytest.raises(ServiceError, match="cannot determine what is in production"):
        resolve(tmp_path / "1")
