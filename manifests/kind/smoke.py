"""Run the demo's pipeline on the kind cluster and check it against the demo's run on this machine.

A good model must end registered, under the digest that the local run gave it; a bad one must end
red. Expects the services at localhost: kind.sh forwards their ports.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import yaml

ASSAY: Final = str(Path(sys.executable).parent / "assay")
PROFILE: Final = "manifests/profiles/kind.yaml"
SECRETS: Final = "manifests/components/secrets-development/secrets.yaml"
BAD: Final = 'hyperparameters={"max_depth": 1, "max_features": 1}'


def main() -> None:
    """Raises `SystemExit` with a line that says what differs from what must be."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "demo"
        subprocess.run([ASSAY, "demo", "--folder", str(folder)], check=True)  # noqa: S603
        parameters = yaml.safe_load((folder / "run.yaml").read_text())
        local = _registered(f"sqlite:///{folder / '.assay' / 'mlflow.db'}", parameters)
        parameters["data"] = _upload(folder / parameters["data"])
        for key in ("policy", "suite", "checks"):
            parameters[key] = (folder / parameters[key]).read_text()
        run = folder / "cluster.yaml"
        run.write_text(yaml.safe_dump(parameters))
        if _submit(run) != 0:
            raise SystemExit("smoke: the good run is red; its reason stands above")
        if _submit(run, "-p", BAD) == 0:
            raise SystemExit("smoke: the bad run is green; a gate let a bad model through")
    cluster = _registered("http://localhost:5000", parameters)
    if not cluster:
        raise SystemExit("smoke: the good run has registered no version")
    if not cluster & local:
        raise SystemExit(f"smoke: other digests than on this machine: {cluster}, {local}")
    sys.stdout.write(f"smoke: one model registered, {cluster}, as here; the bad one refused\n")


def _upload(path: Path) -> str:
    from minio import Minio

    documents = yaml.safe_load_all(Path(SECRETS).read_text())
    secret = next(item for item in documents if item["metadata"]["name"] == "assay-runner")
    login = secret["stringData"]
    client = Minio("localhost:9000", login["access-key"], login["secret-key"], secure=False)
    client.fput_object("assay", "store/smoke/data.csv", str(path))
    return "s3://assay/store/smoke/data.csv?endpoint=http://minio.assay.svc:9000"


def _submit(parameters: Path, *more: str) -> int:
    words = ["submit", "train-and-register", "--params", str(parameters), "--dev"]
    words += ["--profile", PROFILE, "--endpoint", "http://localhost:8888", *more]
    return subprocess.run([ASSAY, *words], check=False).returncode  # noqa: S603


def _registered(uri: str, parameters: dict[str, str]) -> set[str]:
    """The digests of the model's registered versions."""
    from mlflow import MlflowClient

    os.environ["MLFLOW_TRACKING_URI"] = uri
    found = MlflowClient(uri).search_model_versions(f"name='{parameters['model_name']}'")
    return {version.tags["assay.model"] for version in found}


if __name__ == "__main__":
    main()
