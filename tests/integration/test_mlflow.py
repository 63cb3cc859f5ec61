"""A real MLflow server with SQLite behind it."""

import contextlib
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow.tracking import MlflowClient
from sklearn.linear_model import LogisticRegression

from assay.cli import cli
from assay.components.resolve_production.step import resolve_production
from assay.core import plain_copies
from assay.core.digest import of_bytes
from assay.core.step import Model, Out, Record, Services
from assay.core.store import Store, open_store
from assay.core.tree import put_tree
from assay.errors import IntegrityError, ServiceError, UsageError
from assay.governance.mlflow_calls import quiet
from assay.governance.registry import Registry

from servers import free_ports, serving

MODEL, OTHER, DATA = ("sha256:" + digit * 64 for digit in "abd")
RACERS = 3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    with _server(folder) as url:
        yield url


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[str]:
    (port,) = free_ports(1)
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/server.db"),
        *("--artifacts-destination", str(folder / "artifacts")),
    ]
    url = f"http://127.0.0.1:{port}"
    # Its background jobs would be eight idle processes.
    with serving(
        command, f"{url}/health", folder / "log", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"
    ):
        yield url


@pytest.fixture
def client(server: str) -> MlflowClient:
    with quiet():
        return MlflowClient(server, server)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame = pd.DataFrame({"x": np.arange(20.0)})
    labels = np.where(frame["x"] > 9, "high", "low")
    folder = tmp_path_factory.mktemp("model") / "model"
    with quiet(), warnings.catch_warnings():
        # "int64 columns may have missing values", and that types are inferred.
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            LogisticRegression().fit(frame, labels), folder, serialization_format="skops"
        )
    return folder


def predictions(server: str, name: str) -> list[str]:
    mlflow.set_tracking_uri(server)
    try:
        with quiet():
            model = mlflow.pyfunc.load_model(f"models:/{name}@candidate")
    finally:
        mlflow.set_tracking_uri(None)
    return list(model.predict(pd.DataFrame({"x": [0.0, 19.0]})))


def register(server: str, store: Store, folder: Path, name: str) -> str:
    """Register the model's view; the version's source."""
    manifest = put_tree(store, folder, Model.type, {})
    version, new = Registry(server).register(
        name,
        manifest.digest,
        plain_copies.make(store, manifest),
        {"assay.data": DATA},
        {"accuracy": 0.9},
    )
    assert new
    assert version.model == manifest.digest
    return version.source


def test_it_is_reached_and_silent(server: str, capfd: pytest.CaptureFixture[str]) -> None:
    registry = Registry(server)
    registry.ping()
    registry.register("silent", MODEL, "s3://bucket/a", {}, {})
    assert capfd.readouterr() == ("", "")


def test_what_is_on_this_machines_disk_is_uploaded(
    server: str, client: MlflowClient, folder_store: Store, model_folder: Path
) -> None:
    source = register(server, folder_store, model_folder, "uploaded")
    run_id = client.get_model_version("uploaded", "1").run_id
    assert source == f"runs:/{run_id}/model"
    assert client.get_run(run_id).data.metrics == {"accuracy": 0.9}
    assert predictions(server, "uploaded") == ["low", "high"]


@pytest.mark.minio
def test_what_is_in_s3_stays_there(
    server: str, minio_url: str, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = register(server, open_store(minio_url), model_folder, "in-s3")
    assert source.startswith("s3://assay-tests/")
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", minio_url.partition("endpoint=")[2])
    assert predictions(server, "in-s3") == ["low", "high"]


def test_processes_that_race_settle_on_one_version(server: str, client: MlflowClient) -> None:
    script = (
        "import sys, time\n"
        "from assay.governance.registry import Registry\n"
        "registry = Registry(sys.argv[1])\n"
        "registry.ping()\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "version, new = registry.register('raced', sys.argv[2], 's3://bucket/a', {}, {})\n"
        "print(version.version)\n"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", script, server, MODEL],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(RACERS)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    won = {racer.communicate()[0].strip() for racer in racers}
    assert [racer.returncode for racer in racers] == [0] * RACERS
    (left,) = client.search_model_versions("name = 'raced'")
    assert won == {str(left.version)}
    assert client.get_model_version_by_alias("raced", "candidate").version == left.version


def test_resolve_production(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder_store: Store
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)

    def resolve(folder: str) -> dict[str, object]:
        (tmp_path / folder).mkdir()
        out = Out[Record](tmp_path / folder)
        services = Services(folder_store, None)
        found = resolve_production(
            services=services, model_name="resolved", record=out, attempts=None
        )
        return dict(found or {})

    nothing = {"production": "", "production_data": "", "production_rows": "", "version": ""}
    assert resolve("unknown") == nothing
    registry = Registry(server)
    registry.register("resolved", MODEL, "s3://bucket/a", {"assay.data": DATA}, {})
    assert resolve("registered") == nothing
    registry.set_alias("resolved", "production", "1")
    assert resolve("set") == {
        **nothing,
        "production": MODEL,
        "production_data": DATA,
        "version": "1",
    }


def test_an_alias_removed_by_hand_is_reported_by_a_real_server(
    server: str, client: MlflowClient
) -> None:
    registry = Registry(server)
    assert registry.production("removed") is None
    registry.register("removed", MODEL, "s3://bucket/a", {}, {})
    assert registry.production("removed") is None
    registry.set_alias("removed", "production", "1")
    found = registry.production("removed")
    assert found is not None
    assert found.model == MODEL
    client.delete_registered_model_alias("removed", "production")
    with pytest.raises(ServiceError, match="cannot determine what is in production"):
        registry.production("removed")


@pytest.mark.parametrize(("name", "version"), [("resolved-2", "1"), ("silent-2", "x")])
def test_an_alias_must_point_at_a_version(server: str, name: str, version: str) -> None:
    with pytest.raises(UsageError):
        Registry(server).set_alias(name, "production", version)


def test_a_long_schema_and_many_numbers_fit(server: str, client: MlflowClient) -> None:
    numbers = {f'recall{{zip="{n}"}}': n / 1000 for n in range(700)}
    digest = of_bytes(b"many")
    Registry(server).register("many", digest, "s3://bucket/a", {"long": "x" * 5000}, numbers)
    found = client.get_model_version("many", "1")
    assert found.tags["long"] == "x" * 5000
    assert len(client.get_run(found.run_id).data.metrics) == 700


def test_loading_a_registered_model_as_the_readme_says_does_not_break_the_store(
    tmp_path: Path, folder_store: Store, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = f"sqlite:///{tmp_path}/mlflow.db"
    source = register(registry, folder_store, model_folder, "income")
    assert source.startswith(folder_store.url), "MLflow loads it from the plain copy itself"
    mlflow.set_tracking_uri(registry)
    try:
        with quiet():
            model = mlflow.pyfunc.load_model("models:/income/1")
    finally:
        mlflow.set_tracking_uri(None)
    assert list(model.predict(pd.DataFrame({"x": [0.0, 19.0]}))) == ["low", "high"]
    copy = Path(source.removeprefix("file://"))
    assert (copy / "registered_model_meta").is_file(), "what MLflow writes beside what it loads"

    monkeypatch.setenv("ASSAY_STORE", folder_store.url)
    found = CliRunner().invoke(cli, ["store", "fsck"])
    assert found.exit_code == 0, found.output
    assert "registered_model_meta was added by another program" in found.output
    assert CliRunner().invoke(cli, ["store", "verify"]).exit_code == 0
    # What the model is made of is another matter, and is made again.
    (copy / "MLmodel").chmod(0o644)
    (copy / "MLmodel").write_text("another model")
    for command in ("fsck", "verify"):
        refused = CliRunner().invoke(cli, ["store", command]).exception
        assert isinstance(refused, IntegrityError)
        assert "MLmodel" in str(refused)
        assert "registered_model_meta" not in str(refused)
    assert CliRunner().invoke(cli, ["store", "fsck", "--repair"]).exit_code == 0
    assert CliRunner().invoke(cli, ["store", "fsck"]).exit_code == 0
