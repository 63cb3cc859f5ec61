"""Pipelines of one task: flat, named in words, and choices offered where there are some."""

from typing import Any

import pytest
import yaml

from assay.cli.catalog import pipeline
from assay.cli.compile import compile_one
from assay.releases.layout import ENVIRONMENTS
from assay.runtime.images import read_images

IMAGES = read_images(None, development=True)
SHOWN = {
    "doctor": "Check the cluster",
    "promote": "Propose the release",
    "rollback": "Roll back",
    "rollback_drill": "Roll back and forth",
}


@pytest.fixture(params=sorted(SHOWN))
def compiled(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    name = str(request.param)
    return name, yaml.safe_load(compile_one(pipeline(name), IMAGES))


def test_one_task_that_says_what_it_does_and_runs_each_time(
    compiled: tuple[str, dict[str, Any]],
) -> None:
    name, spec = compiled
    (task,) = spec["root"]["dag"]["tasks"].values()
    assert task["taskInfo"]["name"] == SHOWN[name]
    # It asks or changes the outside world.
    assert task["cachingOptions"] == {}
    assert "triggerPolicy" not in task, "no branch"
    (component,) = spec["components"].values()
    # One thing to look at, and no verdict to branch on: a task fails by itself.
    outputs = component["outputDefinitions"]
    assert len(outputs["artifacts"]) == 1
    assert not {"verdict", "reason"} & set(outputs.get("parameters", {}))


def test_the_run_form_offers_the_environments(compiled: tuple[str, dict[str, Any]]) -> None:
    name, spec = compiled
    offered = spec["root"]["inputDefinitions"]["parameters"].get("environment", {}).get("literals")
    wanted = {
        "doctor": None,
        "promote": list(ENVIRONMENTS),
        "rollback": list(ENVIRONMENTS),
        "rollback_drill": ["dev", "staging"],  # in production it would be an outage
    }
    assert offered == wanted[name]
