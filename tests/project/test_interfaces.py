"""What a user meets in several places has one name in all of them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).parents[2]
PIPELINES: Final = sorted((ROOT / "pipelines").glob("*/pipeline.yaml"))

OTHER_NAMES: Final = {
    # A regression of a whole pipeline is a margin between two models.
    ("max_regression", "margin"),
    # The sweep splits twice.
    ("validation_fraction", "test_fraction"),
}


def handed_on(compiled: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Task, name of a pipeline's parameter, name of the input that receives it."""
    parameters = compiled["root"]["inputDefinitions"]["parameters"]
    groups = [compiled["root"], *compiled["components"].values()]
    for group in groups:
        for task, body in group.get("dag", {}).get("tasks", {}).items():
            for name, given in body.get("inputs", {}).get("parameters", {}).items():
                own = given.get("componentInputParameter", "").removeprefix("pipelinechannel--")
                if own in parameters and not name.startswith("pipelinechannel--"):
                    yield task, own, name


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.parent.name)
def test_a_parameter_keeps_its_name_from_the_run_form_to_the_stage(path: Path) -> None:
    compiled = next(iter(yaml.safe_load_all(path.read_text())))
    found = list(handed_on(compiled))
    assert found
    renamed = {(own, name) for _, own, name in found if own != name} - OTHER_NAMES
    assert renamed == set()


def test_a_table_that_goes_in_is_called_data_by_every_stage() -> None:
    words = {"dataset", "source", "table", "digest"}
    named = {
        f"{path.parent.name}.{name}"
        for path in sorted((ROOT / "components").glob("*/*/component.yaml"))
        for name in next(iter(yaml.safe_load_all(path.read_text())))["root"]
        .get("inputDefinitions", {})
        .get("parameters", {})
    }
    assert {name for name in named if name.split(".")[1] in words} == set()
