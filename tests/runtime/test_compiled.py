"""Images are bound when a pipeline is compiled, whenever its components were imported."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from kfp import compiler, dsl, local

from assay.cli import cli
from assay.cli.catalog import component, names, pipeline
from assay.errors import UsageError
from assay.runtime.compiled import compile_component, compile_pipeline, containers
from assay.runtime.images import ROLES, is_placeholder, placeholder, read_images

PINNED = {role: f"registry.test/{role}@sha256:{'a' * 64}" for role in ROLES}


@dsl.component(base_image="registry.test/mine@sha256:1", install_kfp_package=False)
def mine(rows: int) -> int:
    return rows + 1


@dsl.pipeline(name="a-users-own")
def own(data: str) -> None:
    table = component("snapshot_data")(data=data, target="y")
    parts = component("split_data")(data=table.outputs["dataset_digest"], target="y")
    component("train")(data=parts.outputs["train"], target="y")
    mine(rows=table.outputs["rows"])


def images_in(text: str) -> set[str]:
    spec = next(iter(yaml.safe_load_all(text)))
    return {container["image"] for container in containers(spec)}


def write(folder: Path, images: dict[str, Any]) -> str:
    path = folder / "images.json"
    path.write_text(json.dumps(images))
    return str(path)


def test_components_that_were_imported_before_get_the_images_that_are_given(
    tmp_path: Path,
) -> None:
    for name in names("assay.components"):
        assert component(name).component_spec.implementation.container.image in {
            placeholder(role) for role in ROLES
        }
    words = ["compile", "--images", write(tmp_path, PINNED), "-o", str(tmp_path)]
    done = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    written = [*tmp_path.glob("*/*/pipeline.yaml"), *tmp_path.glob("*/*/*/component.yaml")]
    assert len(written) == len(names("assay.pipelines")) + len(names("assay.components"))
    for path in written:
        assert images_in(path.read_text()) <= set(PINNED.values()), path
    # And the next compilation in this process others.
    words = ["compile", "--dev", "-o", str(tmp_path)]
    assert CliRunner().invoke(cli, words, catch_exceptions=False).exit_code == 0
    for path in written:
        assert not images_in(path.read_text()) & set(PINNED.values()), path


def test_a_pipeline_of_a_user_is_compiled_with_them_and_keeps_its_own() -> None:
    text = compile_pipeline(own, PINNED)
    assert images_in(text) == {PINNED["data"], PINNED["train"], "registry.test/mine@sha256:1"}
    for container in containers(next(iter(yaml.safe_load_all(text)))):
        output = {"name": "ASSAY_IMAGE", "value": container["image"]}
        words = ["--image", container["image"]]
        assert container["command"][3:5] == words or output in container["env"]


def test_what_kfp_compiles_by_itself_names_no_image_that_can_be_pulled(tmp_path: Path) -> None:
    compiler.Compiler().compile(own, str(tmp_path / "own.yaml"))
    unbound = images_in((tmp_path / "own.yaml").read_text())
    unbound.remove("registry.test/mine@sha256:1")
    assert unbound == {placeholder("data"), placeholder("train")}
    # A name that never resolves (RFC 2606), by the registry's part.
    assert {image.partition("/")[0].rpartition(".")[2] for image in unbound} == {"invalid"}


def test_kfp_local_needs_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data.csv").write_text("a,y\n" + "".join(f"{i},{i % 2}\n" for i in range(40)))
    monkeypatch.setenv("ASSAY_STORE", (tmp_path / "store").as_uri())
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(tmp_path / "outputs"),
        workspace_root=str(tmp_path / "workspace"),
    )
    with pytest.warns(RuntimeWarning, match="assay.invalid/role/data"):
        table = component("snapshot_data")(data=str(tmp_path / "data.csv"), target="y")
    assert table.outputs["rows"] == 40


@pytest.mark.parametrize("compiled", [compile_pipeline, compile_component])
def test_a_role_without_an_image_is_refused(compiled: Any) -> None:
    function = pipeline("doctor") if compiled is compile_pipeline else component("doctor")
    for images in ({}, {"release": ""}, {"release": placeholder("release")}):
        with pytest.raises(UsageError, match="no image for the role 'release'; give one for each"):
            compiled(function, images)
    assert images_in(compiled(function, {"release": "x"})) == {"x"}


class TestReadImages:
    def test_without_a_file_they_are_the_development_tags_for_whoever_asks(self) -> None:
        assert set(read_images(None, development=True)) == set(ROLES)
        with pytest.raises(UsageError, match="not pinned by digest: assay-python-data:"):
            read_images(None)

    def test_loose_references_are_named_and_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path, PINNED | {"train": "registry.test/train:1"})
        with pytest.raises(UsageError, match=r"not pinned by digest: registry\.test/train:1; give"):
            read_images(Path(path))
        assert read_images(Path(path), development=True)["train"] == "registry.test/train:1"

    @pytest.mark.parametrize("value", [None, 3, "", placeholder("train")])
    def test_every_role_needs_one(self, tmp_path: Path, value: object) -> None:
        path = write(tmp_path, PINNED | {"train": value})
        with pytest.raises(UsageError, match="no image for train; give a JSON object with a"):
            read_images(Path(path), development=True)

    def test_roles_that_are_not_known_stay_out(self, tmp_path: Path) -> None:
        path = write(tmp_path, PINNED | {"other": "x"})
        assert read_images(Path(path)) == PINNED


def test_loose_tags_are_refused_by_compile_and_submit(tmp_path: Path) -> None:
    path = write(tmp_path, dict.fromkeys(ROLES, "registry.test/image:1"))
    given = [word for name in ("data=d", "target=y", "model_name=m") for word in ("-p", name)]
    where = ["--endpoint", "http://127.0.0.1:9"]
    for words in (
        ["compile", "-o", str(tmp_path)],
        ["submit", "train-and-register", *given, *where],
    ):
        done = CliRunner().invoke(cli, [*words, "--images", path])
        assert isinstance(done.exception, UsageError), done.output
        assert "images not pinned by digest: registry.test/image:1" in str(done.exception)
    assert list(tmp_path.glob("pipelines")) == []
    assert not is_placeholder("registry.test/image:1")
