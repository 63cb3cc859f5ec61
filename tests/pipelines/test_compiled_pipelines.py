"""The compiled pipelines as the run form, the graph and Argo see them."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import pytest
import yaml

from assay.cli.catalog import names, pipeline
from assay.cli.compile import compile_one
from assay.cluster.profile import default_profile
from assay.cluster.size import Size, size
from assay.runtime.compiled import dags
from assay.runtime.images import read_images

IMAGES = read_images(None, development=True)
TRAIN, SWEEP = "train_and_register", "sweep_and_register"
CANDIDATES: Final = [
    {"estimator": "sklearn.ensemble.RandomForestClassifier", "hyperparameters": {"n_estimators": n}}
    for n in range(100, 900, 100)
]
GIVEN: Final = {
    "data": "s3://assay/incoming/adult-train.csv?endpoint=http://minio.assay.svc:9000",
    "target": "income",
    "model_name": "income",
    # As `assay submit` sends texts of whatever length.
    "policy": "sha256:" + "0" * 64,
    "suite": "sha256:" + "1" * 64,
}
VERDICTS: Final = {"run_report", "verdict", "quality"}
"""What the exit task shows."""


@cache
def compiled(name: str) -> str:
    return compile_one(pipeline(name), IMAGES, default_profile())


def spec(name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(iter(yaml.safe_load_all(compiled(name))))
    return found


def size_of(name: str) -> Size:
    given = GIVEN | ({"candidates": CANDIDATES} if name == SWEEP else {})
    return size(compiled(name), given, iterations=len(CANDIDATES))


def leaves(name: str) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """The tasks that do work: name, entry in the graph, component."""
    whole = spec(name)
    for dag in dags(whole):
        for key, entry in dag["tasks"].items():
            component = whole["components"][entry["componentRef"]["name"]]
            if "executorLabel" in component:
                yield key, entry, component


class TestAWorkflowStaysWithinWhatArgoKeeps:
    @pytest.mark.parametrize(("name", "share"), [(TRAIN, 0.6), (SWEEP, 0.8)])
    def test_with_room_to_spare(self, name: str, share: float) -> None:
        found = size_of(name)
        assert found.share <= share

    @pytest.mark.parametrize("name", [TRAIN, SWEEP])
    def test_a_task_costs_little(self, name: str) -> None:
        tasks = size_of(name).tasks
        assert sum(tasks.values()) / len(tasks) <= (30 << 10 if name == TRAIN else 32 << 10)
        assert max(tasks.values()) <= 48 << 10

    @pytest.mark.parametrize("name", [TRAIN, SWEEP])
    def test_every_task_still_waits_for_what_it_reads(self, name: str) -> None:
        for dag in dags(spec(name)):
            tasks = dag["tasks"]

            def before(task: str, tasks: dict[str, Any] = tasks) -> set[str]:
                direct = set(tasks[task].get("dependentTasks", ()))
                return direct.union(*(before(other) for other in direct))

            for key, task in tasks.items():
                sources = ((task.get("inputs") or {}).get("parameters") or {}).values()
                read = {
                    source["taskOutputParameter"]["producerTask"]
                    for source in sources
                    if "taskOutputParameter" in source
                }
                assert read <= before(key), key
                direct = set(task.get("dependentTasks", ()))
                assert not direct & set().union(*map(before, direct)), "named although it follows"

    def test_a_long_text_would_not_fit_and_its_digest_does(self) -> None:
        text = {"suite": json.dumps({"expectations": "x" * (64 << 10)})}
        assert size(compiled(TRAIN), GIVEN | text).share > 1
        assert size(compiled(TRAIN), GIVEN).share < 0.5

    def test_pods_are_few(self) -> None:
        found = size_of(TRAIN)
        assert found.pods <= 26
        assert found.cached_pods <= 16

    @pytest.mark.parametrize("name", names("assay.pipelines"))
    def test_executors_hold_no_source_and_no_descriptions(self, name: str) -> None:
        whole = spec(name)
        for executor in whole["deploymentSpec"]["executors"].values():
            assert len(json.dumps(executor["container"]["command"])) < 150
        assert "description" not in json.dumps(whole["components"])

    def test_no_input_is_left_that_nobody_gives(self) -> None:
        for _, entry, component in leaves(TRAIN):
            declared = component.get("inputDefinitions", {}).get("parameters", {})
            given = (entry.get("inputs") or {}).get("parameters") or {}
            assert set(declared) == set(given)


class TestTheGraphIsReadable:
    @pytest.mark.parametrize(("name", "layers"), [(TRAIN, 2), (SWEEP, 4)])
    def test_one_layer_within_a_named_exit_handler(self, name: str, layers: int) -> None:
        whole = spec(name)
        assert len(list(dags(whole))) == layers
        names = {task["taskInfo"]["name"] for task in whole["root"]["dag"]["tasks"].values()}
        assert names == {name.replace("_", " ").capitalize(), "Run report"}

    def test_few_nodes_with_names_in_words(self) -> None:
        tasks = {key: entry["taskInfo"]["name"] for key, entry, _ in leaves(TRAIN)}
        artifacts = [
            artifact
            for *_, component in leaves(TRAIN)
            for artifact in component.get("outputDefinitions", {}).get("artifacts", {})
        ]
        assert len(tasks) <= 12
        assert not [name for key, name in tasks.items() if name == key]
        assert len(artifacts) == len(set(artifacts))
        assert len(set(artifacts) - VERDICTS) <= 8
        assert not {"summary", "report", "metrics"} & set(artifacts)
        assert {"data_report", "evaluation", "comparison", "decision"} <= set(artifacts)

    def test_a_task_has_one_artifact_and_the_run_report_three(self) -> None:
        for name in (TRAIN, SWEEP):
            for key, _, component in leaves(name):
                shown = set(component.get("outputDefinitions", {}).get("artifacts", {}))
                assert shown == VERDICTS if key == "run-report" else len(shown) <= 1

    def test_lineage_knows_the_data_and_the_model(self) -> None:
        kinds = {
            artifact["artifactType"]["schemaTitle"]
            for *_, component in leaves(TRAIN)
            for artifact in component.get("outputDefinitions", {}).get("artifacts", {}).values()
        }
        assert {"system.Dataset", "system.Model", "system.HTML", "system.Metrics"} <= kinds


class TestTheRunForm:
    @pytest.mark.parametrize("name", [TRAIN, SWEEP])
    def test_has_few_fields(self, name: str) -> None:
        assert len(spec(name)["root"]["inputDefinitions"]["parameters"]) <= 10

    def test_shows_every_option_with_its_default(self) -> None:
        options = spec(TRAIN)["root"]["inputDefinitions"]["parameters"]["options"]
        assert options["defaultValue"]["test_fraction"] == 0.25
        assert options["defaultValue"]["missing_values"][:2] == ["", "NA"]
        assert len(options["defaultValue"]) > 20

    def test_offers_choices_and_the_default_is_one(self) -> None:
        for name in (TRAIN, SWEEP):
            parameters = spec(name)["root"]["inputDefinitions"]["parameters"]
            for key in ("primary_metric", "split_by"):
                assert parameters[key]["defaultValue"] == parameters[key]["literals"][0]

    @pytest.mark.parametrize("name", names("assay.pipelines"))
    def test_two_compilations_give_the_same_bytes(self, name: str) -> None:
        assert compile_one(pipeline(name), IMAGES) == compile_one(pipeline(name), IMAGES)


class TestTheCache:
    def test_what_asks_the_outside_world_is_never_answered_by_it(self) -> None:
        uncached = {
            key
            for key, entry, _ in leaves(TRAIN)
            if not (entry.get("cachingOptions") or {}).get("enableCache")
        }
        assert uncached == {"prepare-data", "resolve-production", "register", "run-report"}

    def test_every_other_stage_has_the_epoch_among_its_settings(self) -> None:
        for name in (TRAIN, SWEEP):
            for key, entry, _ in leaves(name):
                cached = (entry.get("cachingOptions") or {}).get("enableCache")
                assert not cached or "settings" in entry["inputs"]["parameters"], key
