"""One default for each option, wherever a run, a step or a component states it."""

import importlib
import inspect
from typing import Any

import pytest

from assay.cli.catalog import component, names
from assay.components.prepare_data.options import OPTIONS, SWEEP_OPTIONS
from assay.core.step import Step
from assay.data.text_types import MISSING_VALUES

DEFAULTS = {name: one.default for name, one in {**OPTIONS, **SWEEP_OPTIONS}.items()}


def steps() -> list[Step]:
    found = []
    for name in names("assay.components"):
        if importlib.util.find_spec(f"assay.components.{name}.step"):
            module = importlib.import_module(f"assay.components.{name}.step")
            found += [one for one in vars(module).values() if isinstance(one, Step)]
    return found


def test_a_run_reads_as_missing_what_the_library_does() -> None:
    assert DEFAULTS["missing_values"] == list(MISSING_VALUES)


@pytest.mark.parametrize("option", sorted(DEFAULTS))
def test_steps_and_components_have_the_default_of_the_option(option: str) -> None:
    stated: dict[str, Any] = {}
    for step in steps():
        parameter = step.parameters.get(option)
        if parameter is not None and parameter.default is not inspect.Parameter.empty:
            stated[f"step {step.name}"] = parameter.default
    for name in names("assay.components"):
        given = (component(name).component_spec.inputs or {}).get(option)
        if given is not None and given.default is not None:
            stated[f"component {name}"] = given.default
    assert {where: value for where, value in stated.items() if value != DEFAULTS[option]} == {}
    assert stated or option in {"checks", "monitoring", "reference"}, "a default nobody has"
