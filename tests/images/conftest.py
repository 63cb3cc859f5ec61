"""The main pipeline on real servers, in whatever its tasks run in."""

import csv
import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from assay.cli.catalog import pipeline
from assay.core.attestation import Attestation, load
from assay.core.store import open_store
from assay.runtime import events, local
from assay.runtime.images import ROLES, placeholder, read_images

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sys.executable
SECRETS = {"AWS_ACCESS_KEY_ID": "assay-test", "AWS_SECRET_ACCESS_KEY": "assay-test-secret"}
POLICY = "gates:\n  - metric: accuracy > 0.85\n  - metric: safety_violations == 0\n"
CHECKS = """
checks:
  - name: fractal_dimension_is_no_reason
    kind: invariance
    column: mean_fractal_dimension
    values: [0.055, 0.065]
    allowed_fraction: 0.2
"""


@dataclass(frozen=True)
class Ran:
    """What came of a run, task by task."""

    tasks: Mapping[str, Mapping[str, Any]]
    records: Mapping[str, Attestation] = field(default_factory=dict)

    def output(self, task: str, name: str) -> str:
        return str(self.tasks[task]["outputs"][name])


@dataclass(frozen=True)
class Ground:
    """The servers, and a table in the store's bucket that nothing on this machine's disk holds."""

    minio: str
    mlflow: str
    data: str
    older_data: str
    """All but the last rows."""
    suite: str
    new_store: Callable[[], str]

    def arguments(self, store: str, model: str) -> dict[str, Any]:
        return {
            "data": self.data,
            "target": "diagnosis",
            "model_name": model,
            "policy": POLICY,
            "suite": self.suite,
            "options": {
                "checks": CHECKS,
                # So that drift is measured; there is none.
                "reference": self.reference(store),
                "max_regression": 0.05,
            },
        }

    def reference(self, store: str) -> str:
        from assay.components.snapshot_data.step import snapshot_data
        from assay.core.execution import Context, execute

        with pytest.MonkeyPatch.context() as patch:
            self.set_environment(patch, store)
            execution = execute(
                snapshot_data,
                {"data": self.older_data, "target": "diagnosis"},
                Context(open_store(store)),
            )
        return execution.outputs["dataset"]

    def variables(self, store: str) -> dict[str, str]:
        return {**SECRETS, "ASSAY_STORE": store, "MLFLOW_TRACKING_URI": self.mlflow}

    def set_environment(self, patch: pytest.MonkeyPatch, store: str) -> None:
        for name, value in self.variables(store).items():
            patch.setenv(name, value)

    def run_as_processes(self, folder: Path, model: str) -> Ran:
        """Through `assay.runtime.local`, each task a process of this one, unless patched."""
        store = self.new_store()
        with pytest.MonkeyPatch.context() as patch:
            arguments = self.arguments(store, model)
            self.set_environment(patch, store)
            outcome = local.run(pipeline("train-and-register"), arguments, folder)
            assert outcome.exit_code == 0, outcome.error + outcome.log.read_text()[-4000:]
            return self.ran(folder / "events.jsonl", store)

    def run_in_containers(self, folder: Path, model: str, compiled: Path, user: str) -> Ran:
        """What `assay compile` wrote, each task a container: read-only, without any right."""
        from kfp import components
        from kfp import local as kfp_local

        store = self.new_store()
        followed = folder / "outputs" / "events.jsonl"
        for path in (folder / "outputs", folder / "workspace"):
            path.mkdir(parents=True)
            path.chmod(0o777)
        runner = kfp_local.DockerRunner(
            network_mode="host",
            user=user,
            read_only=True,
            tmpfs={"/tmp": "rw,noexec,mode=1777"},  # noqa: S108 - the container's
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            environment={**self.variables(store), "ASSAY_EVENTS": str(followed)},
        )
        kfp_local.init(
            runner=runner,
            pipeline_root=str(folder / "outputs"),
            workspace_root=str(folder / "workspace"),
        )
        function = components.load_component_from_file(str(compiled))
        arguments = self.arguments(store, model)
        before = os.umask(0)  # folders that KFP makes here are written to by another user
        try:
            with warnings.catch_warnings():
                # KFP's own, when an optional argument is not given to a loaded pipeline.
                warnings.simplefilter("ignore")
                function(**arguments)
        finally:
            os.umask(before)
        with pytest.MonkeyPatch.context() as patch:
            self.set_environment(patch, store)
            return self.ran(followed, store)

    def ran(self, followed: Path, store_url: str) -> Ran:
        found = [event for event, _ in events.read(followed)]
        assert not [event for event in found if event["state"] == events.FAILED]
        tasks = {event["task"]: event for event in found if event["state"] == events.DONE}
        store = open_store(store_url)
        records = {
            name: load(store, event["attestation"], None)
            for name, event in tasks.items()
            if event.get("attestation")
        }
        return Ran(tasks, records)


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """A real MLflow server on SQLite."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(PYTHON, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"),
        *("--artifacts-destination", str(folder / "artifacts")),
    ]
    url = f"http://127.0.0.1:{port}"
    with (folder / "mlflow.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            cwd=folder,
            # Nothing here needs its eight processes for background jobs.
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )
        try:
            for _ in range(1800):  # minutes, on a machine that has much else to do
                if process.poll() is not None:
                    pytest.fail(f"MLflow ended:\n{(folder / 'mlflow.log').read_text()[-2000:]}")
                with suppress(OSError):
                    urllib.request.urlopen(f"{url}/health", timeout=2).close()  # noqa: S310 - our own
                    break
                time.sleep(0.1)
            else:
                pytest.fail(f"MLflow did not start:\n{(folder / 'mlflow.log').read_text()[-2000:]}")
            yield url
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="session")
def _server_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def ground(
    minio_endpoint: str, _server_environment: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    from sklearn.datasets import load_breast_cancer

    from assay.cli.suite import draft_suite
    from assay.core.store.client import client_for

    folder = tmp_path_factory.mktemp("ground")
    bunch = load_breast_cancer()
    with (folder / "data.csv").open("w", newline="") as stream:
        out = csv.writer(stream)
        out.writerow([*(name.replace(" ", "_") for name in bunch.feature_names), "diagnosis"])
        for row, label in zip(bunch.data, bunch.target, strict=True):
            out.writerow([*(repr(float(value)) for value in row), bunch.target_names[label]])
    query = f"?endpoint={minio_endpoint}"
    client = client_for(f"s3://assay-images/{query}")
    client.make_bucket("assay-images")
    client.fput_object("assay-images", "source/data.csv", str(folder / "data.csv"))
    lines = (folder / "data.csv").read_text().splitlines(keepends=True)
    (folder / "older.csv").write_text("".join(lines[:-20]))
    client.fput_object("assay-images", "source/older.csv", str(folder / "older.csv"))
    numbers = iter(range(1000))
    with mlflow_server(folder) as mlflow:
        yield Ground(
            minio_endpoint,
            mlflow,
            f"s3://assay-images/source/data.csv{query}",
            f"s3://assay-images/source/older.csv{query}",
            json.dumps(draft_suite(folder / "data.csv", "diagnosis")),
            lambda: f"s3://assay-images/store-{next(numbers)}{query}",
        )


@pytest.fixture(scope="session")
def as_processes(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The run that all others are compared with: in the full, locked environment."""
    return ground.run_as_processes(tmp_path_factory.mktemp("processes"), "processes")


@pytest.fixture(scope="session")
def wheel(testrun_uid: str) -> None:
    """The wheel of the tree as it is now, where builds take it from.

    Made once for all of pytest's processes, because making it removes the one before.
    """
    made = ROOT / "dist" / f".{testrun_uid}"
    with (ROOT / "setup.py").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            subprocess.run(["make", "wheel"], cwd=ROOT, check=True, capture_output=True)
            made.touch()


def build_images(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PYTHON, "images/build.py", *words], cwd=ROOT, capture_output=True, text=True
    )


@pytest.fixture(scope="session", name="build_images")
def _build_images() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Calls images/build.py."""
    return build_images


@pytest.fixture(scope="session")
def environments(wheel: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A virtual environment per image: its lock and the wheel, and nothing else."""
    root = tmp_path_factory.mktemp("environments")
    for role in ROLES:
        done = build_images("environment", role, str(root / role))
        assert done.returncode == 0, done.stderr
    return {role: root / role for role in ROLES}


@pytest.fixture
def tasks_in_their_environment(
    environments: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Let kfp.local run each task with the Python of its image's environment."""
    from kfp.local import status, subprocess_task_handler

    used: list[str] = []

    class Handler(subprocess_task_handler.SubprocessTaskHandler):  # type: ignore[misc]
        def run(self) -> Any:
            (role,) = (role for role in ROLES if placeholder(role) == self.image)
            used.append(role)
            python = str(environments[role] / "bin" / "python")
            command = subprocess_task_handler.replace_python_executable(self.full_command, python)
            code = subprocess_task_handler.run_local_subprocess(command, self.env_vars)
            return status.Status.SUCCESS if code == 0 else status.Status.FAILURE

    monkeypatch.setattr(subprocess_task_handler, "SubprocessTaskHandler", Handler)
    return used


@pytest.fixture(scope="session")
def docker_engine() -> None:
    """A Docker engine that answers; without one the test fails where CI says there is one."""
    why = "no docker client is installed"
    if shutil.which("docker"):
        done = subprocess.run(["docker", "version"], capture_output=True, text=True)
        if done.returncode == 0:
            return
        why = done.stderr.strip()
    if os.environ.get("ASSAY_REQUIRE_DOCKER"):
        pytest.fail(f"no Docker engine: {why}")
    pytest.skip(f"no Docker engine: {why}")


@pytest.fixture(scope="session")
def built(docker_engine: None, wheel: None) -> dict[str, str]:
    """Every image, built by what `make images` calls; its reference by role."""
    base = os.environ.get("ASSAY_TEST_BASE_IMAGE", "")
    done = build_images("build", *(("--base", base) if base else ()))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return read_images(None, development=True)


@pytest.fixture(scope="session")
def image_registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A real registry; host and port, which an engine takes without TLS because it is this one."""
    servers = request.config.pluginmanager.get_plugin(str(ROOT / "tests" / "conftest.py"))
    assert servers is not None
    program = servers.require("docker-registry", "install Debian's package docker-registry")
    (port,) = servers.free_ports(1)
    folder = tmp_path_factory.mktemp("registry")
    settings = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    (folder / "config.yml").write_text(json.dumps(settings))
    log = folder / "registry.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [program, "serve", str(folder / "config.yml")], stdout=stream, stderr=stream
        )
        try:
            servers.wait_for(f"http://127.0.0.1:{port}/v2/", process, log)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)
            shutil.rmtree(folder)
