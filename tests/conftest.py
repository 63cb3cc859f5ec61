"""Servers, stores and data for the tests."""

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assay.execution import Context
from assay.source import fetch
from assay.step import Dataset, Out
from assay.store import Store, open_store

ROOT = Path(__file__).resolve().parent.parent
USER, PASSWORD = "assay-test", "assay-test-secret"
START_SECONDS = 60


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


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data: UCI Adult and NSW electricity prices."""
    folder = ROOT.parent / "shared" / "data"
    if not (folder / "adult-train.csv").is_file():
        pytest.fail(f"test data is missing: expected adult-train.csv and others in {folder}")
    return folder


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below the range from which the system takes its own.

    From that range another process could be given a port before the server that it is meant for
    has bound it.
    """
    found: list[int] = []
    for port in random.SystemRandom().sample(range(12_000, 32_000), 500):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    pytest.fail("no free ports on 127.0.0.1")


def require(program: str, remedy: str) -> str:
    """The path of a server's program; missing, it fails where CI says it must run, else skips."""
    found = shutil.which(program) or shutil.which(program, path=str(Path(sys.executable).parent))
    gopath = Path.home() / "go" / "bin" / program
    if found is None and gopath.exists():
        found = str(gopath)
    if found is None:
        message = f"{program} is not installed; {remedy}"
        if os.environ.get("ASSAY_REQUIRE_SERVERS"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@contextlib.contextmanager
def serving(command: list[str], url: str, log: Path, **environment: str) -> Iterator[None]:
    """Run a server until the block ends."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=stream, env={**os.environ, **environment}
        )
    try:
        wait_for(url, process, log)
        yield
    finally:
        process.kill()
        process.wait()


def wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(url, timeout=1).close()  # noqa: S310 - our own server
        except urllib.error.HTTPError:
            return  # it answers, and that is all that is asked
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"{process.args} did not start:\n{log.read_text()[-2000:]}")


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
        yield f"http://127.0.0.1:{ports['s3']}"


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", USER)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PASSWORD)


def new_prefix(endpoint: str) -> str:
    """URL of a store under a new prefix of the test bucket."""
    from assay.store.minio import client_for

    url = f"s3://assay-tests/{uuid.uuid4().hex}?endpoint={endpoint}"
    client = client_for(url)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if not client.bucket_exists("assay-tests"):
                client.make_bucket("assay-tests")
            return url
        except Exception:
            # A server that answers may still be waiting for its own volumes.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


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
    snapshot_data(source=fetch(str(path), folder), dataset=Out(out), **bound)
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
