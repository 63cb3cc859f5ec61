"""SeaweedFS as the overlay `seaweedfs` sets it up: its script against a real server."""

import io
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from minio import Minio
from minio.error import S3Error

from assay.core.digest import of_bytes
from assay.core.store import open_store

import servers

RUNS = ("runs-key", "runsSecret123")
MLFLOW = ("mlflow-key", "mlflowSecret123")


@dataclass(frozen=True)
class Ready:
    """A SeaweedFS server of our own, because rights hold for a whole server."""

    endpoint: str
    setup: Callable[..., "subprocess.CompletedProcess[str]"]

    def client(self, user: tuple[str, str]) -> Minio:
        host = self.endpoint.removeprefix("http://")
        return Minio(host, *user, secure=False, region="us-east-1")


@pytest.fixture(scope="module")
def ready(manifests: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ready]:
    weed = servers.require("weed", "it comes with the development requirements: make setup")
    folder = tmp_path_factory.mktemp("weed")
    names = ("s3", "master", "volume", "filer")
    free = servers.free_ports(2 * len(names))
    ports = dict(zip(names, free, strict=False))
    grpc = dict(zip(names, free[len(names) :], strict=True))
    command = [weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-s3", "-volume.max=50"]
    for name in names:
        command += [f"-{name}.port={ports[name]}", f"-{name}.port.grpc={grpc[name]}"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    script = manifests / "overlays" / "seaweedfs" / "setup" / "setup.sh"

    def setup(**changes: str) -> "subprocess.CompletedProcess[str]":
        environment = {
            "PATH": f"{Path(weed).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "MASTER": f"127.0.0.1:{ports['master']}.{grpc['master']}",
            "FILER": f"127.0.0.1:{ports['filer']}.{grpc['filer']}",
            "PIPELINES_USER": RUNS[0],
            "PIPELINES_PASSWORD": RUNS[1],
            "MLFLOW_USER": MLFLOW[0],
            "MLFLOW_PASSWORD": MLFLOW[1],
        }
        return subprocess.run(
            ["/bin/sh", str(script)], capture_output=True, text=True, env=environment | changes
        )

    endpoint = f"http://127.0.0.1:{ports['s3']}"
    with servers.serving(command, f"{endpoint}/status", folder / "log"):
        found = Ready(endpoint, setup)
        for _ in range(20):  # the master may still be choosing itself
            first = setup()
            if first.returncode == 0:
                break
        assert first.returncode == 0, first.stdout + first.stderr
        yield found


def test_the_store_works_with_the_rights_of_runs(
    ready: Ready, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", RUNS[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", RUNS[1])
    store = open_store(f"s3://assay/store?endpoint={ready.endpoint}")
    (tmp_path / "large").write_bytes(b"0123456789abcdef" * (40 << 16))
    for blob in (store.put_bytes(b"hello"), store.put_file(tmp_path / "large")):
        assert store.verify(blob) == blob.size
    assert {digest for digest, _ in store.iter_blobs()} >= {of_bytes(b"hello")}
    pointer = f"cache/{'ab' * 32}"
    store.write_pointer(pointer, b"{}")
    assert store.read_pointer(pointer) == b"{}"


def test_each_user_keeps_to_its_own_bucket(ready: Ready) -> None:
    for user, own, other in ((RUNS, "assay", "mlflow"), (MLFLOW, "mlflow", "assay")):
        client = ready.client(user)
        client.put_object(own, "a/file", io.BytesIO(b"x"), 1)
        assert client.get_object(own, "a/file").read() == b"x"
        with pytest.raises(S3Error, match="AccessDenied"):
            client.get_object(other, "a/file")
        with pytest.raises(S3Error, match="AccessDenied"):
            client.put_object(other, "x", io.BytesIO(b"x"), 1)
        with pytest.raises(S3Error, match="AccessDenied"):
            client.make_bucket("mine")


def test_a_stranger_is_refused(ready: Ready) -> None:
    with pytest.raises(S3Error, match="InvalidAccessKeyId"):
        list(ready.client(("nobody", "nothing")).list_objects("assay"))


def test_setting_up_again_changes_nothing_and_prints_no_secret(ready: Ready) -> None:
    client = ready.client(RUNS)
    client.put_object("assay", "kept", io.BytesIO(b"kept"), 4)
    done = ready.setup()
    assert done.returncode == 0, done.stderr
    assert RUNS[1] not in done.stdout + done.stderr
    assert client.get_object("assay", "kept").read() == b"kept"


def test_a_server_that_is_down_is_an_error(ready: Ready) -> None:
    (nobody,) = servers.free_ports(1)
    done = ready.setup(MASTER=f"127.0.0.1:{nobody}", SECONDS_EACH="2")
    assert done.returncode == 1
    assert done.stderr == f"error: weed shell failed; does 127.0.0.1:{nobody} answer?\n"
