"""The rendered manifests, as kustomize hands them to a cluster."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import manifest_checks as checks
import pytest
import yaml

Object = Mapping[str, Any]
Build = Callable[[Path], list[Object]]
FOREIGN = frozenset({"kubeflow"})


@pytest.fixture
def objects(build: Build, manifests: Path, overlay: str) -> list[Object]:
    return build(manifests / "overlays" / overlay)


def test_an_overlay_keeps_every_rule(objects: list[Object], foreign: list[Object]) -> None:
    assert not checks.schema_faults(objects)
    assert not checks.image_faults(objects)
    assert not checks.resource_faults(objects)
    assert not checks.security_faults(objects)
    assert not checks.namespace_faults(objects, FOREIGN)
    assert not checks.service_faults(objects)
    assert not checks.rights_faults(objects)
    assert not checks.open_faults(objects)
    assert not checks.network_faults([*objects, *foreign])


def test_everything_that_is_asked_for_is_there(
    objects: list[Object], foreign: list[Object]
) -> None:
    task = [item for item in foreign if item["kind"] == "Pod"]
    assert list(checks.references(task))
    assert not checks.reference_faults([*objects, *task])


def test_the_base_lacks_nothing_but_the_documented_secrets(
    build: Build, manifests: Path, documented_secrets: frozenset[tuple[str, str]]
) -> None:
    objects = build(manifests / "base")
    assert not [item for item in objects if item["kind"] == "Secret"]
    assert checks.reference_faults(objects)
    assert not checks.reference_faults(objects, documented_secrets)


def test_secrets_are_the_documented_ones_and_only_those(
    build: Build, manifests: Path, documented_secrets: frozenset[tuple[str, str]]
) -> None:
    def pairs(overlay: str) -> set[tuple[str, str]]:
        provided = checks.provided(build(manifests / "overlays" / overlay))
        return {(name, key) for kind, _, name, key in provided if kind == "Secret" and key}

    assert pairs("production") | {("assay-kfp-store", "access-key")} <= documented_secrets
    assert pairs("kind") < documented_secrets
    optional = {("assay-kfp-store", key) for key in ("access-key", "secret-key")}
    assert pairs("production") == documented_secrets - optional


def test_production_holds_no_secret_and_no_password(build: Build, manifests: Path) -> None:
    objects = build(manifests / "overlays" / "production")
    assert not [item for item in objects if item["kind"] == "Secret"]
    assert "development" not in yaml.safe_dump_all(objects)


def test_development_passwords_say_what_they_are(build: Build, manifests: Path) -> None:
    objects = build(manifests / "overlays" / "kind")
    values = [
        value
        for item in objects
        if item["kind"] == "Secret"
        for key, value in item["stringData"].items()
        if key in {"password", "secret-key"}
    ]
    assert values
    assert all(value.startswith("development-only-") for value in values)


def test_serving_wins_over_training(build: Build, manifests: Path) -> None:
    classes = {
        item["metadata"]["name"]: item
        for item in build(manifests / "base")
        if item["kind"] == "PriorityClass"
    }
    serving, training = classes["assay-serving"], classes["assay-training"]
    assert serving["value"] > 0 > training["value"]
    assert training["preemptionPolicy"] == "Never"
    assert not any(item.get("globalDefault") for item in classes.values())


def test_runs_reach_the_store_that_their_configuration_names(
    objects: list[Object], overlay: str
) -> None:
    (config,) = (item for item in objects if item["metadata"]["name"] == "assay-config")
    host = "seaweedfs.kubeflow" if overlay == "seaweedfs" else "minio.assay"
    assert f"endpoint=http://{host}.svc:" in config["data"]["ASSAY_STORE"]
    assert config["data"]["MLFLOW_TRACKING_URI"] == "http://mlflow.assay.svc:5000"


def test_mlflow_is_called_only_by_names_it_answers_to(objects: list[Object]) -> None:
    (config,) = (item for item in objects if item["metadata"]["name"] == "assay-config")
    (mlflow,) = (
        item
        for item in objects
        if item["kind"] == "ConfigMap" and item["metadata"]["name"] == "mlflow"
    )
    called = config["data"]["MLFLOW_TRACKING_URI"].removeprefix("http://")
    assert called in mlflow["data"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")


def test_production_survives_the_loss_of_any_one_node(build: Build, manifests: Path) -> None:
    objects = build(manifests / "overlays" / "production")
    found = {(item["kind"], item["metadata"]["name"]): item for item in objects}
    minio = found["StatefulSet", "minio"]["spec"]
    spread = minio["template"]["spec"]["topologySpreadConstraints"][0]
    assert minio["replicas"] == 4
    assert "{0...3}" in minio["template"]["spec"]["containers"][0]["args"][-1]
    assert spread["whenUnsatisfiable"] == "DoNotSchedule"
    assert found["PodDisruptionBudget", "minio"]["spec"]["maxUnavailable"] == 1
    assert found["Deployment", "mlflow"]["spec"]["replicas"] > 1


def test_an_image_can_be_pinned_by_digest_without_a_patch(
    build: Build, manifests: Path, tmp_path: Path
) -> None:
    import os

    digest = "sha256:" + "0" * 64
    overlay = {
        "resources": [os.path.relpath(manifests / "overlays" / "kind", tmp_path.resolve())],
        "images": [{"name": "quay.io/minio/minio", "digest": digest}],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    objects = build(tmp_path)
    (minio,) = (
        item
        for item in objects
        if item["kind"] == "StatefulSet" and "minio" in str(item["metadata"])
    )
    assert minio["spec"]["template"]["spec"]["containers"][0]["image"].endswith(f"@{digest}")
    assert not checks.image_faults(objects)


def test_runs_of_another_namespace_need_one_line(
    build: Build, manifests: Path, tmp_path: Path
) -> None:
    import os

    overlay = {
        "namespace": "team-a",
        "resources": [os.path.relpath(manifests / "base" / "runs", tmp_path.resolve())],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    objects = build(tmp_path)
    assert {item["metadata"]["namespace"] for item in objects} == {"team-a"}
    assert not checks.reference_faults(objects)
