"""MLflow's server with the arguments and variables of the manifests, a file for its database."""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import urllib3

import servers

pytestmark = pytest.mark.slow

Object = Mapping[str, Any]


@pytest.fixture(scope="module")
def port(
    build: Callable[[Path], list[Object]],
    manifests: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[int]:
    found = {(o["kind"], o["metadata"]["name"]): o for o in build(manifests / "base")}
    container = found["Deployment", "mlflow"]["spec"]["template"]["spec"]["containers"][0]
    folder = tmp_path_factory.mktemp("mlflow")
    (free,) = servers.free_ports(1)
    # All as in the pod but the port, the database and the artifacts' place.
    arguments = [word for word in container["args"][1:] if not word.startswith("--port=")]
    variables = dict(found["ConfigMap", "mlflow"]["data"])
    variables["MLFLOW_BACKEND_STORE_URI"] = f"sqlite:///{folder}/mlflow.db"
    variables["MLFLOW_ARTIFACTS_DESTINATION"] = str(folder / "artifacts")
    command = [str(Path(sys.executable).parent / "mlflow"), *arguments, f"--port={free}"]
    with servers.serving(command, f"http://127.0.0.1:{free}/health", folder / "log", **variables):
        yield free


def ask(port: int, path: str, host: str) -> int:
    answer = urllib3.request("GET", f"http://127.0.0.1:{port}{path}", headers={"Host": host})
    return int(answer.status)


@pytest.mark.parametrize(
    "host",
    [
        "mlflow.assay.svc:5000",
        "mlflow.assay.svc.cluster.local:5000",
        "mlflow:5000",
        "localhost:5000",
    ],
)
def test_runs_and_people_are_answered(port: int, host: str) -> None:
    assert ask(port, "/api/2.0/mlflow/experiments/search?max_results=1", host) == 200


def test_probes_are_answered_by_the_pods_address(port: int) -> None:
    assert ask(port, "/health", "10.244.0.7:5000") == 200


def test_a_name_that_nobody_gave_it_is_refused(port: int) -> None:
    assert ask(port, "/api/2.0/mlflow/experiments/search?max_results=1", "elsewhere:5000") == 403
