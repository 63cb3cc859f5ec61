"""Whoever reads a table can say how it is written: no remedy names a parameter that is missing."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from assay.cli import cli
from assay.components.preflight import header
from assay.components.prepare_data.options import DEFAULTS, SWEEP_DEFAULTS
from assay.core.store import open_store
from assay.data.csv_source import Options
from assay.errors import DataError

from stories import refused

ROOT = Path(__file__).resolve().parent.parent.parent
READER = {"delimiter", "missing_values", "encoding", "decimal"}
PIPELINES = sorted(ROOT.glob("pipelines/*/pipeline.yaml"))
COMPONENTS = sorted(ROOT.glob("components/*/*/component.yaml"))


def specification(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = next(iter(yaml.safe_load_all(path.read_text())))
    return found


def inputs(part: Mapping[str, Any]) -> Mapping[str, Any]:
    return part.get("inputDefinitions", {}).get("parameters", {})  # type: ignore[no-any-return]


def test_the_reader_has_no_other_parameters() -> None:
    """A parameter that is added to the reader is added everywhere, or this test is."""
    path = ROOT / "components/data_processing/snapshot_data/component.yaml"
    assert set(inputs(specification(path)["root"])) - {"data", "target", "rows_per_part"} == READER


@pytest.mark.parametrize("path", COMPONENTS, ids=lambda path: path.parent.name)
def test_a_component_with_one_of_the_parameters_has_all(path: Path) -> None:
    taken = READER & set(inputs(specification(path)["root"]))
    assert taken in (set(), READER)


@pytest.mark.parametrize("options", [DEFAULTS, SWEEP_DEFAULTS], ids=["train", "sweep"])
def test_a_run_has_all_of_them_as_options(options: Mapping[str, Any]) -> None:
    assert options.keys() >= READER


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.parent.name)
def test_a_pipeline_with_one_of_the_parameters_passes_all_to_the_snapshot(path: Path) -> None:
    whole = specification(path)
    taken = READER & set(inputs(whole["root"]))
    assert taken in (set(), READER)
    if taken:
        given = whole["root"]["dag"]["tasks"]["snapshot-data"]["inputs"]["parameters"]
        assert {given[name].get("componentInputParameter") for name in READER} == READER


@pytest.mark.parametrize(
    "path",
    [path for path in PIPELINES if not READER & set(inputs(specification(path)["root"]))],
    ids=lambda path: path.parent.name,
)
def test_one_task_reads_a_table_and_gets_the_options(path: Path) -> None:
    whole = specification(path)
    reading = []
    for name, task in _all_tasks(whole, whole["root"]["dag"]["tasks"]):
        wanted = inputs(whole["components"][task["componentRef"]["name"]])
        assert not READER & wanted.keys(), name
        reading += [task["inputs"]["parameters"]["options"]] if "options" in wanted else []
    assert len(reading) == (1 if "data" in inputs(whole["root"]) else 0)
    assert all("componentInputParameter" in one for one in reading)


def _all_tasks(
    whole: Mapping[str, Any], tasks: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, task in tasks.items():
        yield name, task
        within = whole["components"][task["componentRef"]["name"]].get("dag", {}).get("tasks", {})
        yield from _all_tasks(whole, within)


def commands(group: click.Command, name: str = "assay") -> Iterator[tuple[str, click.Command]]:
    if isinstance(group, click.Group):
        context = click.Context(group)
        for one in group.list_commands(context):
            if (found := group.get_command(context, one)) is not None:
                yield from commands(found, f"{name} {one}")
    else:
        yield name, group


def test_a_command_that_reads_a_table_takes_all_of_them() -> None:
    reading = {
        name: {parameter.name for parameter in command.params}
        for name, command in commands(cli)
        if any(p.name == "data" and isinstance(p.type, click.Path) for p in command.params)
    }
    assert "assay suite draft" in reading
    for name, taken in reading.items():
        assert taken >= READER, name


def test_a_latin_1_table_is_looked_at_and_drafted_from(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data.parent / "cases" / "c10_latin1.csv"
    store = open_store((tmp_path / "store").as_uri())
    names = header.column_names(str(path), Options(encoding="latin-1"), store)
    assert all("\ufffd" not in name for name in names)
    runner = CliRunner()
    message = runner.invoke(cli, ["suite", "draft", str(path)])
    assert isinstance(message.exception, DataError)
    assert "set encoding to" in str(message.exception)
    message = runner.invoke(cli, ["suite", "draft", str(path), "--encoding", "latin-1"])
    assert message.exit_code == 0, message.output
    assert names[0] in message.output


def test_an_unknown_encoding_is_reported_before_the_run(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data.parent / "cases" / "c10_latin1.csv"
    store = open_store((tmp_path / "store").as_uri())
    refused(
        lambda: header.column_names(str(path), Options(encoding="latin-11"), store),
        DataError,
        "'latin-11'",
    )
