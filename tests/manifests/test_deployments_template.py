"""The template of a deployment repository, and its rendering by Argo CD's means."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import manifest_checks as checks
import pytest
import yaml

import servers

Object = Mapping[str, Any]
Build = Callable[[Path], list[Object]]
ENVIRONMENTS = ("dev", "staging", "production")


@pytest.fixture
def template(manifests: Path, tmp_path: Path) -> Path:
    """A repository made from the template, as a user makes one."""
    return shutil.copytree(manifests / "deployments-template", tmp_path / "deployments")


@pytest.fixture
def with_a_model(template: Path) -> Path:
    """The same with a model in production, by the README's own words."""
    texts = re.findall(r"```yaml\n(.*?)```", (template / "README.md").read_text(), re.DOTALL)
    of_model, of_environment = (yaml.safe_load(text) for text in texts)
    folder = template / "models" / "fraud" / "production"
    folder.mkdir(parents=True)
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(of_model))
    (folder / "release.yaml").write_text("model: sha256:" + "1" * 64 + "\n")
    target = template / "environments" / "production" / "kustomization.yaml"
    target.write_text(yaml.safe_dump(yaml.safe_load(target.read_text()) | of_environment))
    return template


def test_every_environment_has_its_application(build: Build, template: Path) -> None:
    objects = build(template / "argocd")
    assert not checks.schema_faults(objects)
    assert not checks.namespace_faults(objects, frozenset({"argocd"}))
    (project,) = (item for item in objects if item["kind"] == "AppProject")
    applications = [item for item in objects if item["kind"] == "Application"]
    assert len(applications) == len(ENVIRONMENTS)
    for item, environment in zip(
        sorted(applications, key=lambda item: ENVIRONMENTS.index(item["metadata"]["name"][7:])),
        ENVIRONMENTS,
        strict=True,
    ):
        spec = item["spec"]
        assert item["metadata"]["name"] == f"models-{environment}"
        assert (template / spec["source"]["path"] / "kustomization.yaml").is_file()
        assert spec["source"]["repoURL"] in project["spec"]["sourceRepos"]
        assert spec["destination"] in project["spec"]["destinations"]
        assert spec["project"] == project["metadata"]["name"]


def test_a_project_gives_no_rights(build: Build, template: Path) -> None:
    (project,) = (o for o in build(template / "argocd") if o["kind"] == "AppProject")
    spec = project["spec"]
    kinds = {
        entry["kind"]
        for entry in [*spec["clusterResourceWhitelist"], *spec["namespaceResourceWhitelist"]]
    }
    assert not kinds & {"*", "Secret", "Role", "RoleBinding", "ClusterRoleBinding"}
    assert "*" not in str(spec)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_without_models_is_a_restricted_namespace(
    build: Build, template: Path, environment: str
) -> None:
    objects = build(template / "environments" / environment)
    assert [item["kind"] for item in objects] == ["Namespace"]
    assert not checks.schema_faults(objects)
    assert not checks.namespace_faults(objects, frozenset())


def test_a_new_release_has_a_new_name_so_that_servers_roll(
    build: Build, with_a_model: Path, tmp_path: Path
) -> None:
    later = shutil.copytree(with_a_model, tmp_path / "later")
    release = later / "models" / "fraud" / "production" / "release.yaml"
    release.write_text("model: sha256:" + "2" * 64 + "\n")
    names = []
    for repository in (with_a_model, later):
        objects = build(repository / "environments" / "production")
        assert not checks.schema_faults(objects)
        (config,) = (item for item in objects if item["kind"] == "ConfigMap")
        assert config["metadata"]["namespace"] == "models-production"
        names.append(config["metadata"]["name"])
    assert names[0] != names[1]


def test_an_application_with_a_field_that_argo_lacks_is_found(build: Build, template: Path) -> None:
    path = template / "argocd" / "production.yaml"
    path.write_text(path.read_text().replace("selfHeal", "selfHeel"))
    assert "selfHeel" in checks.schema_faults(build(template / "argocd"))[0]


def test_the_workflows_are_sound(template: Path, manifests: Path) -> None:
    actionlint = servers.require("actionlint", "run: make cluster-tools")
    shellcheck = servers.require("shellcheck", "it comes with the development requirements")
    workflows = [template / ".github" / "workflows" / "release-lint.yaml"]
    ours = sorted((manifests.parent / ".github" / "workflows").glob("*.yaml"))
    assert {path.stem for path in ours} >= {"ci", "images", "kind-smoke"}
    workflows += ours
    command = [actionlint, "-shellcheck", shellcheck, *map(str, workflows)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    for path in workflows:
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {}
        for job in workflow["jobs"].values():
            assert job["permissions"]["contents"] == "read"
            assert len(job["permissions"]) == 1 or path.stem == "images"
            assert job["timeout-minutes"] <= 90


def test_a_workflow_with_a_fault_is_found(template: Path) -> None:
    actionlint = servers.require("actionlint", "run: make cluster-tools")
    path = template / ".github" / "workflows" / "release-lint.yaml"
    path.write_text(path.read_text().replace("github.event.before", "github.evnt.before"))
    assert subprocess.run([actionlint, str(path)], capture_output=True).returncode == 1


def test_gitlabs_pipelines_are_sound(template: Path, manifests: Path) -> None:
    check = Path(sys.executable).parent / "check-jsonschema"
    path = template / ".gitlab-ci.yml"
    command = [str(check), "--builtin-schema", "vendor.gitlab-ci", str(path)]
    command += ["--data-transform", "gitlab-ci"]
    ours = manifests.parent / ".gitlab-ci.yml"
    assert subprocess.run([*command, str(ours)]).returncode == 0
    assert {"test", "images", "smoke"} <= set(yaml.safe_load(ours.read_text()))
    path.write_text(path.read_text().replace("timeout: 20m", "timeout: [20m]"))
    assert subprocess.run(command, capture_output=True).returncode == 1


def test_both_forges_ask_the_same_of_a_release(template: Path) -> None:
    gitlab = yaml.safe_load((template / ".gitlab-ci.yml").read_text())["release-lint"]["script"]
    github = yaml.safe_load((template / ".github/workflows/release-lint.yaml").read_text())
    (lint,) = (
        step["run"]
        for step in github["jobs"]["release-lint"]["steps"]
        if "release lint" in step.get("run", "")
    )
    assert gitlab == [lint]


def test_production_needs_the_approvers(template: Path) -> None:
    lines = [line.split() for line in (template / "CODEOWNERS").read_text().splitlines()]
    owners = {line[0]: line[1:] for line in lines if line and line[0] != "#"}
    assert owners["/models/*/production/"] == ["@ORGANISATION/model-approvers"]
    assert list(owners)[-1] == "/models/*/production/"


@pytest.mark.parametrize(
    "script", ["kind/kind.sh", "base/minio/setup.sh", "overlays/seaweedfs/setup/setup.sh"]
)
def test_shell_scripts_are_sound(manifests: Path, script: str) -> None:
    shellcheck = servers.require("shellcheck", "it comes with the development requirements")
    done = subprocess.run([shellcheck, str(manifests / script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_shell_script_with_a_fault_is_found(tmp_path: Path) -> None:
    shellcheck = servers.require("shellcheck", "it comes with the development requirements")
    path = tmp_path / "fault.sh"
    path.write_text("#!/bin/sh\nrm -r $1/*\n")
    assert subprocess.run([shellcheck, str(path)], capture_output=True).returncode == 1
