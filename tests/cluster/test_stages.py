"""The declaration of each stage: complete, correct, and read with line and column."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from assay.cli.catalog import component, names
from assay.cluster.profile import default_profile
from assay.cluster.stages import library_stages, read_stage, schema
from assay.core.step import Evidence
from assay.errors import UsageError
from assay.governance.makers import EVIDENCE
from assay.governance.policy import KNOWN_METRICS
from assay.runtime.images import ROLES
from assay.runtime.mounted import VARIABLES

ROOT = Path(__file__).resolve().parents[2]


def test_every_stage_has_a_declaration() -> None:
    assert list(library_stages()) == names("assay.components")


def test_the_schema_is_a_schema_and_names_what_there_is() -> None:
    Draft202012Validator.check_schema(schema())
    assert schema()["properties"]["image"]["enum"] == list(ROLES)
    assert set(schema()["properties"]["secrets"]["items"]["enum"]) <= set(VARIABLES)


def test_the_deciding_stages_are_never_retried_and_computing_ones_are() -> None:
    never = {name for name, stage in library_stages().items() if stage.never_retried}
    assert {"gate", "register", "validate_data", "rollback"} <= never
    assert not {"train", "evaluate", "compare", "promote"} & never


def test_a_declaration_reaches_the_pods() -> None:
    train = default_profile().task("train")
    assert (train.cpu_limit, train.memory_limit, train.timeout_seconds) == ("2", "8Gi", 14400)
    assert "git" in default_profile().task("register").needs
    assert "git" not in train.needs


def test_evidence_names_reach_the_policy() -> None:
    declared = {name: stage.evidence for name, stage in library_stages().items() if stage.evidence}
    assert {n: e.names for n, e in declared.items() if e.names} == KNOWN_METRICS
    assert {entry.rpartition(":")[2] for entry in EVIDENCE} == set(declared)


@pytest.mark.parametrize("name", names("assay.components"))
def test_a_component_runs_in_the_image_of_its_stage(name: str) -> None:
    image = component(name).component_spec.implementation.container.image
    assert image.rpartition("/")[2] == library_stages()[name].image


@pytest.mark.parametrize("name", names("assay.components"))
def test_a_stage_lies_in_the_folder_of_its_category(name: str) -> None:
    stage = library_stages()[name]
    assert stage.folder.parent.name == stage.category
    assert len(list(ROOT.glob(f"components/*/{name}/stage.yaml"))) == 1


@pytest.mark.parametrize("name", names("assay.components"))
def test_a_step_that_gives_evidence_declares_it(name: str) -> None:
    import importlib

    stage = library_stages()[name]
    if not (stage.folder / "step.py").exists():
        return
    step = getattr(importlib.import_module(f"assay.components.{name}.step"), name, None)
    kinds = [port.kind for port in getattr(step, "outputs", {}).values()]
    assert (stage.evidence is not None) == any(issubclass(kind, Evidence) for kind in kinds)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{}\n", "line 1, column 1: 'image' is missing"),
        ("image: trian\n", "line 1, column 8: image: 'trian' is not a choice; did you mean"),
        ("image: train\nsecret: [git]\n", "line 2, column 1: unknown key 'secret'; did you mean"),
        ("image: train\nsecrets: [runner]\n", "line 2, column 11: 'runner' is not a choice"),
        ("image: train\ntimeout_seconds: 0\n", "line 2, column 18: timeout_seconds: give a number"),
        ("image: train\nnever_retried: ''\n", "line 2, column 16: never_retried: '' is not"),
        ("image: train\nresources: {memory_limit: 1 GB}\n", "'1 GB' is not a quantity of bytes"),
        ("image: train\nevidence: {names: [A]}\n", "evidence: 'about' is missing"),
        ("- image\n", "line 1, column 1: expected an object"),
        ("image: train\nimage: data\n", "line 2, column 1"),
    ],
)
def test_what_is_wrong_is_named_with_its_position(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "stage.yaml").write_text(text)
    with pytest.raises(UsageError) as error:
        read_stage(tmp_path, "mine")
    assert problem in str(error.value)
    assert str(tmp_path / "stage.yaml") in str(error.value)


def test_a_folder_without_a_declaration_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"stage\.yaml"):
        read_stage(tmp_path, "mine")


def test_the_generated_list_is_the_one_that_the_policy_reads() -> None:
    from importlib import resources

    text = resources.files("assay.governance.policy").joinpath("stages.json").read_text()
    assert list(json.loads(text)) == [n for n, s in library_stages().items() if s.evidence]
