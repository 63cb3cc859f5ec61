"""Compile profiles: each option in the compiled YAML, and each mistake told with its place."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import dsl

from assay.cli import main
from assay.cli.catalog import pipeline
from assay.cli.compile import compile_one
from assay.cluster.profile import ProfileError, amount, default_profile, parse_profile, schema
from assay.cluster.stages import stages
from assay.errors import UsageError
from assay.runtime.images import read_images

IMAGES = read_images(None, development=True)
ROOT = Path(__file__).resolve().parents[2]
NEVER_RETRIED = {name for name, stage in stages().items() if stage.never_retried}
EVERY_STAGE = {"assay-runner"}


def compiled(text: str = "{}", name: str = "train-and-register") -> dict[str, dict[str, Any]]:
    """By component: its pod options, container and retry policy in the compiled YAML."""
    spec, platform = yaml.safe_load_all(
        compile_one(pipeline(name), IMAGES, parse_profile(text.encode()))
    )
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    found = {}
    for label, executor in spec["deploymentSpec"]["executors"].items():
        component = label.removeprefix("exec-").rstrip("-0123456789").replace("-", "_")
        found[component] = {**executor, "pod": pods[label], "retry": None}
    groups = [spec["root"], *(c for c in spec["components"].values() if "dag" in c)]
    for group in groups:
        for task in group["dag"]["tasks"].values():
            component = task["componentRef"]["name"].removeprefix("comp-").replace("-", "_")
            if component in found and "retryPolicy" in task:
                found[component]["retry"] = task["retryPolicy"]
    return found


def secrets(task: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {_name(item, "secret"): item for item in task["pod"].get("secretAsVolume", [])}


def _name(volume: dict[str, Any], kind: str) -> str:
    name: str = volume[f"{kind}NameParameter"]["runtimeValue"]["constant"]
    return name


def refused(text: str) -> list[str]:
    with pytest.raises(ProfileError) as error:
        parse_profile(text.encode(), "p.yaml")
    return str(error.value).split("; p.yaml ")


# Least privilege.


def test_only_who_needs_a_secret_gets_it() -> None:
    tasks = compiled()
    assert {name: set(secrets(task)) for name, task in tasks.items()} == {
        **dict.fromkeys(tasks, EVERY_STAGE),
        "prepare_data": EVERY_STAGE | {"assay-mlflow"},
        "register": EVERY_STAGE | {"assay-mlflow", "assay-git"},  # the governing policy lies in Git
        "resolve_production": EVERY_STAGE | {"assay-mlflow", "assay-git"},
        "run_report": EVERY_STAGE | {"assay-notify"},
    }
    for task in tasks.values():
        for name, item in secrets(task).items():
            # Where `runtime.mounted` looks for that kind; a pod without one starts, and says so.
            assert item["mountPath"] == f"/etc/assay/{name.removeprefix('assay-')}"
            assert item["optional"] is True


def test_a_candidate_of_a_sweep_gets_what_training_gets() -> None:
    tasks = compiled(name="sweep-and-register")
    assert set(secrets(tasks["try_candidate"])) == EVERY_STAGE
    assert tasks["try_candidate"]["container"]["resources"]["resourceMemoryLimit"] == "8Gi"
    assert tasks["try_candidate"]["pod"]["activeDeadlineSeconds"] == "14400"


def test_where_services_are_comes_from_the_config_map() -> None:
    for task in compiled().values():
        (item,) = task["pod"]["configMapAsVolume"]
        assert _name(item, "configMap") == "assay-config"
        assert item["mountPath"] == "/etc/assay/config"
        assert item["optional"] is True


def test_a_task_learns_its_run_for_its_record() -> None:
    fields = compiled()["train"]["pod"]["fieldPathAsEnv"]
    assert fields == [{"name": "ASSAY_RUN", "fieldPath": "metadata.labels['pipeline/runid']"}]


# What failures may be tried again.


def test_verdicts_and_users_errors_are_never_retried() -> None:
    tasks = compiled("defaults: {retry: {count: 5}}")
    assert {name for name, task in tasks.items() if task["retry"]} == set(tasks) - NEVER_RETRIED
    assert tasks["train"]["retry"] == {
        "maxRetryCount": 5,
        "backoffDuration": "30s",
        "backoffFactor": 2.0,
        "backoffMaxDuration": "300s",
    }


@pytest.mark.parametrize("component", sorted(NEVER_RETRIED))
def test_a_profile_cannot_ask_for_it(component: str) -> None:
    (problem,) = refused(f"components:\n  {component}: {{retry: {{count: 1}}}}\n")
    assert f"line 2, column {len(component) + 13}" in problem
    assert stages()[component].never_retried in problem


# Each option.


def test_names_of_secrets_and_config() -> None:
    tasks = compiled(
        """
config: {name: team-config, optional: false}
secrets:
  runner: {name: team-runner}
  mlflow: {name: team-mlflow, optional: false}
  notify: {name: team-notify}
  git: {name: team-git}
components:
  register: {needs: [runner, git]}
"""
    )
    register = secrets(tasks["register"])
    assert {name: item["optional"] for name, item in register.items()} == {
        "team-runner": True,
        "team-git": True,
    }
    (config,) = tasks["register"]["pod"]["configMapAsVolume"]
    assert (_name(config, "configMap"), config["optional"]) == ("team-config", False)
    assert set(secrets(tasks["run_report"])) == {"team-runner", "team-notify"}
    assert set(secrets(tasks["gate"])) == {"team-runner"}
    assert secrets(tasks["prepare_data"])["team-mlflow"]["optional"] is False


def test_images_identity_and_labels() -> None:
    tasks = compiled(
        """
image_pull_policy: Always
image_pull_secrets: [registry, mirror]
security: {run_as_user: 10001, run_as_group: 0, run_as_non_root: true}
model: churn
labels: {team: risk, example.com/cost-centre: "42"}
"""
    )
    for name, task in tasks.items():
        pod = task["pod"]
        assert pod["imagePullPolicy"] == "Always"
        assert [item["secretName"] for item in pod["imagePullSecret"]] == ["registry", "mirror"]
        assert pod["securityContext"] == {
            "runAsUser": "10001",
            "runAsGroup": "0",
            "runAsNonRoot": True,
        }
        assert pod["podMetadata"]["labels"] == {
            "assay-component": name,
            "assay-pipeline": "train-and-register",
            "assay-model": "churn",
            "team": "risk",
            "example.com/cost-centre": "42",
        }


def test_figures_of_one_component_and_of_all() -> None:
    tasks = compiled(
        """
defaults:
  cpu_request: 0.5
  cpu_limit: 1500m
  memory_request: 64Mi
  memory_limit: 3Gi
  timeout_seconds: 900
  scratch: 5Gi
components:
  gate:
    cpu_request: 2
    cpu_limit: "4"
    memory_request: 8Gi
    memory_limit: 16Gi
    timeout_seconds: 60
    scratch: 1Gi
  train:
    retry: {count: 1, backoff_seconds: 5, factor: 1.5, max_seconds: 7}
"""
    )
    resources = {name: task["container"]["resources"] for name, task in tasks.items()}
    assert resources["gate"] == {
        "resourceCpuLimit": "4",
        "resourceCpuRequest": "2",
        "resourceMemoryLimit": "16Gi",
        "resourceMemoryRequest": "8Gi",
    }
    assert resources["register"]["resourceCpuLimit"] == "1500m"
    assert resources["register"]["resourceCpuRequest"] == "0.5"
    assert tasks["gate"]["pod"]["activeDeadlineSeconds"] == "60"
    assert tasks["register"]["pod"]["activeDeadlineSeconds"] == "1800", (
        "more specific than defaults"
    )
    assert tasks["gate"]["pod"]["emptyDirMounts"] == [
        {"mountPath": "/tmp", "volumeName": "scratch", "sizeLimit": "1Gi"}  # noqa: S108
    ]
    assert tasks["train"]["pod"]["emptyDirMounts"][0]["sizeLimit"] == "5Gi"
    assert tasks["train"]["retry"] == {
        "maxRetryCount": 1,
        "backoffDuration": "5s",
        "backoffFactor": 1.5,
        "backoffMaxDuration": "7s",
    }


def test_spot_nodes() -> None:
    tasks = compiled(
        """
components:
  train:
    node_selector: {pool: spot, disk: fast}
    tolerations:
      - {key: spot, operator: Equal, value: "yes", effect: NoExecute, seconds: 30}
      - {key: gpu, operator: Exists}
"""
    )
    assert tasks["train"]["pod"]["nodeSelector"]["labels"] == {"pool": "spot", "disk": "fast"}
    assert tasks["train"]["pod"]["tolerations"] == [
        {
            "key": "spot",
            "operator": "Equal",
            "value": "yes",
            "effect": "NoExecute",
            "tolerationSeconds": "30",
        },
        {"key": "gpu", "operator": "Exists"},
    ]
    assert "tolerations" not in tasks["gate"]["pod"]


def test_every_component_has_requests_below_limits_and_a_time_out() -> None:
    for name, task in compiled().items():
        resources = task["container"]["resources"]
        for kind in ("Cpu", "Memory"):
            request, limit = (resources[f"resource{kind}{end}"] for end in ("Request", "Limit"))
            assert 0 < amount(request) <= amount(limit), name
        assert 0 < int(task["pod"]["activeDeadlineSeconds"]) <= 24 * 3600
        assert task["pod"]["securityContext"]["runAsNonRoot"] is True


def test_every_option_of_the_schema_is_in_some_test_and_described() -> None:
    source = Path(__file__).read_text()
    for name, shape in options(schema()):
        assert name in source, f"no test sets {name}"
        assert shape.get("description") or "$ref" in shape, name


def options(shape: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    found = list(shape.get("properties", {}).items())
    for part in [*shape.get("properties", {}).values(), *shape.get("$defs", {}).values()]:
        found += options(part)
    return found


# Compiling.


def test_compiling_twice_gives_the_same_bytes() -> None:
    profile = parse_profile((ROOT / "manifests/profiles/production.yaml").read_bytes())
    function = pipeline("train-and-register")
    assert compile_one(function, IMAGES, profile) == compile_one(function, IMAGES, profile)


@pytest.mark.parametrize("name", ["train-and-register", "sweep-and-register"])
def test_a_profile_reaches_every_task_and_changes_no_parameter_and_no_work(name: str) -> None:
    function = pipeline(name)
    plain = yaml.safe_load(compile_one(function, IMAGES))
    profiled, platform = yaml.safe_load_all(compile_one(function, IMAGES, default_profile()))
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(pods) == set(plain["deploymentSpec"]["executors"])
    assert {pod["podMetadata"]["labels"]["assay-pipeline"] for pod in pods.values()} == {name}
    for spec in (plain, profiled):
        for executor in spec["deploymentSpec"]["executors"].values():
            executor["container"].pop("resources", None)
        for group in [spec["root"], *spec["components"].values()]:
            for task in group.get("dag", {}).get("tasks", {}).values():
                task.pop("retryPolicy", None)
    assert profiled == plain


@pytest.mark.parametrize("name", ["production", "kind"])
def test_the_examples_compile(tmp_path: Path, name: str) -> None:
    path = ROOT / f"manifests/profiles/{name}.yaml"
    main_ok("compile", "--dev", "--profile", str(path), "-o", str(tmp_path))
    _, platform = yaml.safe_load_all(
        (tmp_path / "pipelines/train_and_register/pipeline.yaml").read_text()
    )
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert {pod["podMetadata"]["labels"]["environment"] for pod in pods.values()} == {name}


def main_ok(*words: str) -> None:
    main(list(words))


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main_ok("compile", "--print-profile-schema")
    assert json.loads(capsys.readouterr().out) == schema()


def test_a_nested_pipeline_out_of_reach_is_refused() -> None:
    from assay.cluster.apply import with_profile

    inner = pipeline("train-and-register")

    @dsl.pipeline(name="outer")
    def outer() -> None:
        inner(data="a", target="b", model_name="c")

    with pytest.raises(UsageError, match="nested pipeline 'train-and-register'"):
        with_profile(outer, default_profile())


# Mistakes.


def test_all_mistakes_at_once_each_with_its_place() -> None:
    text = """\
imge_pull_policy: Always
secrets:
  runer: {name: x}
security:
  run_as_user: 0
  run_as_non_root: "yes"
components:
  trian: {cpu_limit: "2"}
  train:
    memory_limit: 4 GB
    tolerations: [{operator: Exits}]
"""
    found = refused(text)
    expected = [
        ("line 1, column 1", "unknown key 'imge_pull_policy'; did you mean 'image_pull_policy'?"),
        ("line 3, column 3", "unknown key 'runer'; did you mean 'runner'?"),
        ("line 5, column 16", "run_as_user: give a number at least 1, not 0"),
        ("line 6, column 20", "run_as_non_root: expected true or false, got 'yes'"),
        ("line 8, column 3", "unknown component 'trian'; did you mean 'train'?"),
        ("line 10, column 19", "memory_limit: '4 GB' is not a quantity of bytes, such as 512Mi"),
        ("line 11, column 19", "'key' is missing"),
        ("line 11, column 30", "operator: 'Exits' is not a choice; did you mean 'Exists'?"),
    ]
    assert len(found) == len(expected), found
    for problem, (where, what) in zip(found, expected, strict=True):
        assert where in problem
        assert what in problem


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("", "", "has no options"),
        ("- a\n", "", "has no options"),
        ("model: [\n", "line 2, column 1", "not YAML"),
        ("model: a\nmodel: b\n", "line 2, column 1", "'model' is given twice"),
        ("defaults: &a {scratch: 1Gi}\n", "line 1, column 11", "anchors"),
        ("model: !!python/name:os.system x\n", "line 1, column 8", "tags"),
        ("model: ~\n", "line 1, column 8", "expected a label's value"),
        ("model: 2026-02-31\nlabels: 3\n", "line 2, column 9", "expected an object"),
        ("labels: {team: true}\n", "line 1, column 16", "quote it if it is text"),
        ("labels: {-x: a}\n", "line 1, column 10", "'-x' is not a label's key"),
        ("model: 'a b'\n", "line 1, column 8", "'a b' is not a label's value"),
        (f"model: {'x' * 64}\n", "line 1, column 8", "up to 63"),
        ("image_pull_policy: always\n", "line 1, column 20", "did you mean 'Always'?"),
        ("image_pull_secrets: registry\n", "line 1, column 21", "expected a list"),
        ("image_pull_secrets: [Registry]\n", "line 1, column 22", "not a Kubernetes name"),
        ("defaults: {cpu_limit: true}\n", "line 1, column 23", "expected a CPU quantity"),
        ("defaults: {cpu_limit: 0}\n", "line 1, column 23", "a number above 0"),
        ("defaults: {cpu_limit: 1.5m}\n", "line 1, column 23", "not a CPU quantity"),
        ("defaults: {needs: [git]}\n", "line 1, column 12", "unknown key 'needs'"),
        ("defaults: {retry: {count: 11}}\n", "line 1, column 27", "at most 10"),
        ("components: {gate: {needs: [git]}}\n", "line 1, column 28", "does not use git"),
        ("components: {gate: {needs: [runner, runner]}}\n", "line 1, column 28", "duplicates"),
        (
            "components: {train: {memory_limit: 1Gi}}\n",
            "line 1, column 36",
            "memory_request 2Gi is above memory_limit 1Gi for train; give both",
        ),
        (
            "defaults: {cpu_request: '2'}\n",
            "line 1, column 25",
            "cpu_request 2 is above cpu_limit 1 for check_monitoring, doctor, ",
        ),
        (
            "defaults: {tolerations: [{key: a, operator: Exists, value: b}]}\n",
            "line 1, column 26",
            "must not have a value",
        ),
        (
            "defaults: {tolerations: [{key: a, effect: NoSchedule, seconds: 3}]}\n",
            "line 1, column 26",
            "the effect NoExecute",
        ),
        ("a: {" * 20 + "\n", "line 1", "nested too deep"),
    ],
)
def test_a_mistake_is_reported_with_its_place(text: str, where: str, what: str) -> None:
    assert any(where in problem and what in problem for problem in refused(text)), refused(text)


def test_bytes_that_are_no_profile() -> None:
    with pytest.raises(ProfileError, match="line 2, column 1: not UTF-8"):
        parse_profile(b"model: a\n\xff")
    with pytest.raises(ProfileError, match="the limit is 1,048,576"):
        parse_profile(b"#" * ((1 << 20) + 1))


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["compile", "--dev", "--profile", str(tmp_path / "none.yaml")])
    assert stop.value.code == 2
    assert "--profile: cannot read" in capsys.readouterr().err


def test_a_profile_is_read_only() -> None:
    before = copy.deepcopy(schema())
    parse_profile(b"components: {train: {retry: {count: 0}}}")
    assert default_profile().task("train").retry is not None
    assert schema() == before
