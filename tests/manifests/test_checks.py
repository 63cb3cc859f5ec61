"""The checks themselves: each finds the fault that it is there for, in otherwise good manifests."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import manifest_checks as checks
import pytest

Object = Mapping[str, Any]
Faults = Callable[[list[Object]], list[str]]


@pytest.fixture
def objects(
    build: Callable[[Path], list[Object]], manifests: Path, foreign: list[Object]
) -> list[Any]:
    return copy.deepcopy([*build(manifests / "overlays" / "production"), *foreign[-1:]])


def find(objects: list[Any], kind: str, name: str) -> Any:
    return next(o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name)


def container(objects: list[Any], kind: str = "Deployment", name: str = "mlflow") -> Any:
    return find(objects, kind, name)["spec"]["template"]["spec"]["containers"][0]


def pod(objects: list[Any]) -> Any:
    return find(objects, "Deployment", "mlflow")["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    "image",
    [
        "ghcr.io/mlflow/mlflow",
        "ghcr.io/mlflow/mlflow:latest",
        "ghcr.io/mlflow/mlflow:latest-full",
        "ghcr.io/mlflow/mlflow:main",
        "localhost:5000/mlflow",
        "mlflow:v3.17.2",
    ],
)
def test_an_image_that_can_move_is_found(objects: list[Any], image: str) -> None:
    assert not checks.image_faults(objects)
    container(objects)["image"] = image
    assert image in checks.image_faults(objects)[0]


@pytest.mark.parametrize("kind", ["requests", "limits"])
@pytest.mark.parametrize("resource", ["cpu", "memory"])
def test_a_missing_limit_is_found(objects: list[Any], kind: str, resource: str) -> None:
    # Of the task's pod, Argo's helpers are not ours to limit.
    objects = [one for one in objects if one["metadata"]["name"] != "a-task"]
    assert not checks.resource_faults(objects)
    del container(objects)["resources"][kind][resource]
    assert checks.resource_faults(objects) == [
        f"Deployment assay/mlflow: mlflow: no {kind}.{resource}"
    ]


def test_an_init_container_is_looked_at_too(objects: list[Any]) -> None:
    bare = {"name": "init", "image": "ghcr.io/mlflow/mlflow:latest"}
    pod(objects)["initContainers"] = [bare]
    assert checks.image_faults(objects)
    assert checks.resource_faults(objects)
    assert checks.security_faults(objects)


def test_an_unbounded_folder_on_the_node_is_found(objects: list[Any]) -> None:
    pod(objects)["volumes"][0]["emptyDir"] = {}
    assert "no sizeLimit" in checks.resource_faults(objects)[0]


@pytest.mark.parametrize(
    ("where", "field", "value", "text"),
    [
        ("pod", "hostNetwork", True, "hostNetwork"),
        ("pod", "automountServiceAccountToken", True, "automount"),
        ("pod", "volumes", [{"name": "h", "hostPath": {"path": "/"}}], "not allowed"),
        ("pod context", "runAsNonRoot", False, "runAsNonRoot"),
        ("pod context", "runAsUser", 0, "root"),
        ("pod context", "runAsUser", None, "no runAsUser"),
        ("pod context", "seccompProfile", {"type": "Unconfined"}, "seccomp"),
        ("pod context", "sysctls", [{"name": "a", "value": "b"}], "sysctls"),
        ("context", "runAsUser", 0, "root"),
        ("context", "privileged", True, "privileged"),
        ("context", "allowPrivilegeEscalation", None, "allowPrivilegeEscalation"),
        ("context", "capabilities", {}, "dropped"),
        ("context", "capabilities", {"drop": ["ALL"], "add": ["NET_ADMIN"]}, "added"),
        ("context", "readOnlyRootFilesystem", False, "file system"),
        ("context", "procMount", "Unmasked", "/proc"),
    ],
)
def test_what_the_restricted_standard_forbids_is_found(
    objects: list[Any], where: str, field: str, value: object, text: str
) -> None:
    assert not checks.security_faults([o for o in objects if o["kind"] != "Pod"])
    place = {
        "pod": pod(objects),
        "pod context": pod(objects)["securityContext"],
        "context": container(objects)["securityContext"],
    }[where]
    place[field] = value
    if value is None:
        del place[field]
    assert any(text in fault for fault in checks.security_faults(objects) if "mlflow" in fault)


@pytest.mark.parametrize(
    "change",
    [
        lambda o: find(o, "Deployment", "mlflow")["spec"].update(replica=2),
        lambda o: container(o).update(imagePullPolcy="Always"),
        lambda o: container(o).update(ports=[{"containerPort": "5000"}]),
        lambda o: find(o, "NetworkPolicy", "mlflow")["spec"].pop("podSelector"),
        lambda o: find(o, "Deployment", "mlflow").update(apiVersion="apps/v1beta1"),
        lambda o: find(o, "ExternalSecret", "assay-runner")["spec"].update(refreshIntervall="1h"),
        lambda o: find(o, "ExternalSecret", "assay-runner")["spec"].update(data="all"),
        lambda o: (
            find(o, "SecretStore", "vault")["spec"]["provider"]["vault"].pop("auth")
            and find(o, "SecretStore", "vault")["spec"]["provider"].update(valut={})
        ),
    ],
)
def test_what_no_schema_knows_is_found(
    objects: list[Any], change: Callable[[list[Any]], object]
) -> None:
    assert not checks.schema_faults(objects)
    change(objects)
    assert checks.schema_faults(objects)


def test_a_namespace_that_is_not_restricted_or_not_made_is_found(objects: list[Any]) -> None:
    labels = find(objects, "Namespace", "assay")["metadata"]["labels"]
    labels["pod-security.kubernetes.io/enforce"] = "baseline"
    del find(objects, "Service", "mlflow")["metadata"]["namespace"]
    faults = checks.namespace_faults(objects, frozenset({"kubeflow"}))
    assert len(faults) == 2
    assert checks.namespace_faults(objects, frozenset())


def test_a_service_that_selects_nothing_is_found(objects: list[Any]) -> None:
    assert not checks.service_faults(objects)
    find(objects, "Service", "mlflow")["spec"]["selector"] = {"app": "mlflow"}
    find(objects, "Service", "minio")["spec"]["ports"][0]["targetPort"] = 9001
    find(objects, "PodDisruptionBudget", "postgres")["spec"]["selector"]["matchLabels"] = {"a": "b"}
    assert sorted(checks.service_faults(objects)) == [
        "PodDisruptionBudget assay/postgres: selects nothing",
        "Service assay/minio: no container opens port 9001",
        "Service assay/mlflow: selects nothing",
    ]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("ServiceAccount", "minio"),
        ("ServiceAccount", "assay-vault"),
        ("ServiceAccount", "assay-runner"),
        ("PriorityClass", "assay-platform"),
        ("ConfigMap", "minio-setup"),
        ("ConfigMap", "assay-config"),
        ("ExternalSecret", "assay-minio-root"),
        ("SecretStore", "vault"),
        ("Role", "assay-runner"),
    ],
)
def test_what_is_asked_for_and_not_there_is_found(objects: list[Any], kind: str, name: str) -> None:
    assert not checks.reference_faults(objects)
    objects.remove(find(objects, kind, name))
    assert checks.reference_faults(objects)


def test_a_key_that_a_secret_lacks_is_found(objects: list[Any]) -> None:
    find(objects, "ExternalSecret", "assay-minio-root")["spec"]["data"].pop()
    assert "key password is not there" in checks.reference_faults(objects)[0]


def test_rights_without_bounds_are_found(objects: list[Any]) -> None:
    assert not checks.rights_faults(objects)
    rules = find(objects, "Role", "assay-runner")["rules"]
    rules.append({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]})
    rules.append({"apiGroups": ["*"], "resources": ["pods/exec"], "verbs": ["*"]})
    assert len(checks.rights_faults(objects)) == 4


@pytest.mark.parametrize(
    ("policy", "change", "text"),
    [
        ("mlflow", lambda s: s["egress"].pop(0), "may not call StatefulSet assay/postgres"),
        ("mlflow", lambda s: s["egress"].pop(1), "may not call StatefulSet assay/minio"),
        ("mlflow", lambda s: s["ingress"].pop(), "does not let in Pod kubeflow/a-task"),
        ("mlflow", lambda s: s["ingress"][0]["from"].pop(0), "does not let in Pod kubeflow"),
        ("postgres", lambda s: s["ingress"][0].update(ports=[{"port": 5433}]), "does not let in"),
        ("minio", lambda s: s["egress"].pop(), "may not call StatefulSet assay/minio"),
        ("minio-setup", lambda s: s.pop("egress"), "Job assay/minio-setup: may not call"),
        ("allow-dns", lambda s: s["egress"][0]["ports"].pop(), "DNS"),
        (
            "assay-runs",
            lambda s: s["egress"].pop(1),
            "a-task: may not call StatefulSet assay/minio",
        ),
        ("assay-runs", lambda s: s["egress"].pop(0), "a-task: may not ask for names"),
    ],
)
def test_a_way_that_is_needed_and_closed_is_found(
    objects: list[Any], policy: str, change: Callable[[Any], object], text: str
) -> None:
    assert not checks.network_faults(objects)
    change(find(objects, "NetworkPolicy", policy)["spec"])
    assert any(text in fault for fault in checks.network_faults(objects))


def test_a_server_that_is_not_there_is_found(objects: list[Any]) -> None:
    config = find(objects, "ConfigMap", "assay-config")["data"]
    config["MLFLOW_TRACKING_URI"] = "http://mlflow.elsewhere.svc:5000"
    assert "there is no such Service" in checks.network_faults(objects)[0]
    config["MLFLOW_TRACKING_URI"] = "http://mlflow.assay.svc:80"
    assert "no such port" in checks.network_faults(objects)[0]


def test_a_namespace_without_default_deny_is_found(objects: list[Any]) -> None:
    assert not checks.open_faults(objects)
    objects.remove(find(objects, "NetworkPolicy", "default-deny"))
    assert "StatefulSet assay/postgres: Egress is open" in [
        *checks.open_faults([o for o in objects if o["metadata"]["name"] != "allow-dns"])
    ]
