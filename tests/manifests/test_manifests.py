"""The rendered manifests, as kustomize hands them to a cluster."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import manifest_checks as checks
import pytest
import yaml

from assay.cluster.profile import amount, parse_profile

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


def _stand_in(name: str, container: str, image: str, **environment: str) -> Object:
    """A Deployment of KFP's, as far as it is patched."""
    env = [{"name": key, "value": value} for key, value in environment.items()]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "kubeflow"},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": container, "image": image, "env": env}]},
            },
        },
    }


def test_kfp_looks_again_every_second_and_gives_runs_their_priority(
    build: Build, manifests: Path, tmp_path: Path
) -> None:
    import os

    folder = tmp_path.resolve()
    # Names of containers as in KFP 2.17's manifests; what they set already stays or is replaced.
    kfp = [
        _stand_in(
            "workflow-controller",
            "workflow-controller",
            "quay.io/argoproj/workflow-controller:v3.7.14",
            DEFAULT_REQUEUE_TIME="6s",
            ARGO_EXECUTOR_PLUGINS="true",
        ),
        _stand_in(
            "ml-pipeline",
            "ml-pipeline-api-server",
            "ghcr.io/kubeflow/kfp-api-server:2.17.0",
            COMPILED_PIPELINE_SPEC_PATCH="{}",
            LOG_LEVEL="info",
        ),
    ]
    (folder / "kfp.yaml").write_text(yaml.safe_dump_all(kfp))
    overlay = yaml.safe_load((manifests / "kind" / "kfp" / "kustomization.yaml").read_text())
    (remote,) = overlay["resources"]
    assert remote.startswith("github.com/kubeflow/pipelines/manifests/kustomize/env/")
    overlay["resources"] = ["kfp.yaml"]
    overlay["components"] = [
        os.path.relpath(manifests / "kind" / "kfp" / name, folder) for name in overlay["components"]
    ]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    found = {
        item["metadata"]["name"]: {
            variable["name"]: variable["value"]
            for variable in item["spec"]["template"]["spec"]["containers"][0]["env"]
        }
        for item in build(folder)
    }
    assert found == {
        "workflow-controller": {"DEFAULT_REQUEUE_TIME": "1s", "ARGO_EXECUTOR_PLUGINS": "true"},
        "ml-pipeline": {
            "COMPILED_PIPELINE_SPEC_PATCH": '{"podPriorityClassName":"assay-training"}',
            "LOG_LEVEL": "info",
        },
    }


# What fits into the quota.


def _counted(pod: Object, limits: Object, resource: str, kind: str = "requests") -> float:
    """What a quota counts of a pod, once the defaults of a LimitRange are laid under it.

    The containers run side by side; those that initialise run before them, one after the other.
    """
    default = limits["spec"]["limits"][0].get({"requests": "defaultRequest"}.get(kind, "default"))

    def of(container: Object) -> float:
        own = container.get("resources", {}).get(kind, {})
        return amount(str(own.get(resource, (default or {}).get(resource, "0"))))

    initial = [of(container) for container in pod["spec"].get("initContainers", ())]
    return max([sum(of(container) for container in pod["spec"]["containers"]), *initial])


def _training_pod(foreign: list[Object], profile: bytes) -> Object:
    """A task's pod as KFP and Argo make it, with what the profile gives to `train`."""
    options = parse_profile(profile).task("train")
    (pod,) = (item for item in foreign if item["kind"] == "Pod")
    pod = copy.deepcopy(dict(pod))
    (main,) = (item for item in pod["spec"]["containers"] if item["name"] == "main")
    main["resources"] = {
        "requests": {"cpu": options.cpu_request, "memory": options.memory_request},
        "limits": {"cpu": options.cpu_limit, "memory": options.memory_limit},
    }
    return pod


@pytest.mark.parametrize(("profile", "fit"), [("", 60), ("production", 31)])
def test_as_many_trainings_fit_as_the_manifest_says(
    build: Build, manifests: Path, foreign: list[Object], profile: str, fit: int
) -> None:
    objects = build(manifests / "base" / "runs")
    (quota,) = (item for item in objects if item["kind"] == "ResourceQuota")
    (limits,) = (item for item in objects if item["kind"] == "LimitRange")
    text = (manifests / "profiles" / f"{profile}.yaml").read_bytes() if profile else b"{}"
    pod = _training_pod(foreign, text)
    cpu, memory = (_counted(pod, limits, name) for name in ("cpu", "memory"))
    # Argo's helpers add little to what the task itself asks for.
    asked = parse_profile(text).task("train")
    assert cpu - amount(asked.cpu_request) == pytest.approx(0.05)
    assert memory - amount(asked.memory_request) == 64 * 2**20
    hard = quota["spec"]["hard"]
    rooms = {
        "cpu": amount(hard["requests.cpu"]) / cpu,
        "memory": amount(hard["requests.memory"]) / memory,
        "pods": amount(hard["pods"]),
    }
    assert int(min(rooms.values())) == fit
    # A candidate of a sweep is trained and measured in one pod, which asks for as much.
    candidate = parse_profile(text).task("try_candidate")
    assert (candidate.cpu_request, candidate.memory_request) == (
        asked.cpu_request,
        asked.memory_request,
    )
    output = (manifests / "base" / "runs" / "limits.yaml").read_text()
    assert f"{fit} of th" in output
    # A quota on limits would refuse every pod in which a helper says none.
    assert not [name for name in hard if name.startswith("limits")]
    assert "default" not in limits["spec"]["limits"][0]
