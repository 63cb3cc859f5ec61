"""Servers, stores and data for the tests."""

import os
import signal
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from assay.core.execution import Context
from assay.core.source import fetch
from assay.core.step import Dataset, Out
from assay.core.store import Store, open_store

from servers import BUCKET, PASSWORD, USER, free_ports, make_test_bucket, require, serving, wait_for

# No test compares with the clock; a busy machine is no failure.
hypothesis.settings.register_profile("assay", deadline=None)
hypothesis.settings.load_profile("assay")

# What is started in the background ignores Ctrl-C, and by nohup a terminal's end; so would all that
# the tests start.
if threading.current_thread() is threading.main_thread():
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="rewrite golden files")


@pytest.fixture(scope="session")
def update_goldens(request: pytest.FixtureRequest) -> bool:
    update = bool(request.config.getoption("--update-goldens"))
    if update and os.environ.get("CI"):
        pytest.fail("goldens are made by people, not in CI")
    return update


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a developer has set must not decide a test."""
    for name in list(os.environ):
        if name.startswith(("ASSAY_", "MLFLOW_", "MINIO_", "AWS_")) and not name.startswith(
            ("ASSAY_REQUIRE", "ASSAY_MINIO")
        ):
            monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data: UCI Adult and NSW electricity prices."""
    folder = ROOT.parent / "shared" / "data"
    if not (folder / "adult-train.csv").is_file():
        pytest.fail(f"test data is missing: expected adult-train.csv and others in {folder}")
    return folder


@pytest.fixture(scope="session")
def minio_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MinIO server."""
    program = require("minio", "run: make minio")
    folder = tmp_path_factory.mktemp("minio")
    (port,) = free_ports(1)
    with serving(
        [program, "server", "--quiet", "--address", f"127.0.0.1:{port}", str(folder / "data")],
        f"http://127.0.0.1:{port}/minio/health/ready",
        folder / "log",
        MINIO_ROOT_USER=USER,
        MINIO_ROOT_PASSWORD=PASSWORD,
    ):
        make_test_bucket(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"


class OwnMinio:
    """A MinIO server of one test's own, which it may kill and start again on its data."""

    def __init__(self, program: str, folder: Path) -> None:
        (port,) = free_ports(1)
        self.endpoint = f"http://127.0.0.1:{port}"
        self._command = [
            program, "server", "--quiet", "--address", f"127.0.0.1:{port}", str(folder / "data")
        ]  # fmt: skip
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log,
                env={**os.environ, "MINIO_ROOT_USER": USER, "MINIO_ROOT_PASSWORD": PASSWORD},
            )  # fmt: skip
        wait_for(f"{self.endpoint}/minio/health/ready", self._process, self._log)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def own_minio(tmp_path_factory: pytest.TempPathFactory, credentials: None) -> Iterator[OwnMinio]:
    """A real MinIO server that the test may stop and start."""
    server = OwnMinio(require("minio", "run: make minio"), tmp_path_factory.mktemp("own-minio"))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def seaweedfs_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real SeaweedFS server with its S3 gateway."""
    program = require("weed", "it comes with the development requirements: make setup")
    folder = tmp_path_factory.mktemp("weed")
    names = ("s3", "master", "volume", "filer")
    free = free_ports(2 * len(names))
    ports = dict(zip(names, free, strict=False))
    command = [program, "server", f"-dir={folder}", "-ip=127.0.0.1", "-s3", "-volume.max=500"]
    for name, grpc in zip(names, free[len(names) :], strict=True):
        command += [f"-{name}.port={ports[name]}", f"-{name}.port.grpc={grpc}"]
    # A second server on the machine would find these taken.
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    with serving(command, f"http://127.0.0.1:{ports['s3']}/status", folder / "log"):
        make_test_bucket(f"http://127.0.0.1:{ports['s3']}")
        yield f"http://127.0.0.1:{ports['s3']}"


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", USER)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PASSWORD)


def new_prefix(endpoint: str) -> str:
    """URL of a store under a new prefix of the test bucket."""
    return f"s3://{BUCKET}/{uuid.uuid4().hex}?endpoint={endpoint}"


@pytest.fixture
def folder_url(tmp_path: Path) -> str:
    return (tmp_path / "store").as_uri()


@pytest.fixture
def minio_url(minio_endpoint: str, credentials: None) -> str:
    return new_prefix(minio_endpoint)


@pytest.fixture
def seaweedfs_url(seaweedfs_endpoint: str) -> str:
    return new_prefix(seaweedfs_endpoint)


@pytest.fixture(params=["folder", pytest.param("minio", marks=pytest.mark.minio), "seaweedfs"])
def store_url(request: pytest.FixtureRequest) -> str:
    """URL of an empty store of each kind."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def store(store_url: str) -> Store:
    """An empty store of each kind."""
    return open_store(store_url)


@pytest.fixture
def folder_store(folder_url: str) -> Store:
    return open_store(folder_url)


@pytest.fixture
def context(folder_store: Store) -> Context:
    return Context(folder_store)


def snapshot(path: Path, folder: Path, **parameters: object) -> Dataset:
    """A dataset's folder from a file, as the step makes it."""
    from assay.components.snapshot_data.step import snapshot_data

    out = folder / f"dataset-{uuid.uuid4().hex[:8]}"
    out.mkdir(parents=True)
    bound = snapshot_data.bind_parameters(parameters)
    snapshot_data(data=fetch(str(path), folder), dataset=Out(out), **bound)
    return Dataset(out, f"sha256:{uuid.uuid4().hex * 2}")


@pytest.fixture(scope="session")
def adult(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """UCI Adult as a dataset: 32,561 rows."""
    return snapshot(
        shared_data / "adult-train.csv", tmp_path_factory.mktemp("adult"), target="income"
    )


@pytest.fixture
def out(tmp_path: Path) -> Callable[[], "Out[Dataset]"]:
    """Makes a new empty output."""

    def make() -> "Out[Dataset]":
        path = tmp_path / f"out-{uuid.uuid4().hex[:8]}"
        path.mkdir()
        return Out(path)

    return make
