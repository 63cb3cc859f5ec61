"""Predict a dataset in parallel: select parts, predict them, gather the predictions."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from assay import data as dataset
from assay.cli import cli
from assay.components.gather_parts.step import gather_parts
from assay.components.plan_parts.step import plan_parts
from assay.components.predict_data.prediction import predict
from assay.components.predict_data.step import predict_data
from assay.components.select_parts.step import select_parts
from assay.components.train.step import train
from assay.core.execution import Context, execute
from assay.core.step import Dataset, Model, Out
from assay.core.store import Store, open_store
from assay.core.tree import get_manifest, get_tree, put_tree
from assay.data.parts import numbers
from assay.errors import IntegrityError, UsageError
from assay.models import load

from stories import refused

ROWS = 950
PER_PART = 100


def write(folder: Path, table: pa.Table) -> Path:
    folder.mkdir(parents=True)
    dataset.write(table.to_batches(), table.schema, folder, rows_per_part=PER_PART)
    return folder


@pytest.fixture(scope="module")
def people(adult: Dataset) -> pa.Table:
    """Rows of Adult with a key, and a gap in the numbers of one part only."""
    batch = next(dataset.iter_batches(adult.path)).slice(0, ROWS)
    table = pa.Table.from_batches([batch])
    ages = table.column("age").to_pylist()
    ages[5] = None
    place = table.column_names.index("age")
    table = table.set_column(place, "age", pa.array(ages, pa.int64()))
    return table.append_column("id", pa.array([f"p{row}" for row in range(ROWS)]))


@pytest.fixture(scope="module")
def model(people: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("batch")
    out = Out[Model](root / "model")
    out.path.mkdir()
    given = {"target": "income", "hyperparameters": {"max_iter": 10}, "drop_columns": ["id"]}
    rows = Dataset(write(root / "data", people), "sha256:" + "0" * 64)
    train(data=rows, model=out, **train.bind_parameters(given))
    return out.path


class Scene:
    """A store with the people and the model, and steps run on it."""

    def __init__(self, root: Path, people: pa.Table, model: Path) -> None:
        self.root = root
        self.store: Store = open_store((root / "store").as_uri())
        self.context = Context(self.store)
        self.model = put_tree(self.store, model, Model.type, {}).digest
        self.data = self.put("data", people)

    def put(self, name: str, table: pa.Table) -> str:
        return put_tree(self.store, write(self.root / name, table), Dataset.type, {}).digest

    def run(self, step: Any, **arguments: Any) -> dict[str, Any]:
        done = execute(step, arguments, self.context)
        return {**done.outputs, "cached": done.cached, **done.values}  # noqa: PD011 - no array

    def read(self, digest: str) -> pd.DataFrame:
        folder = self.root / digest[7:]
        if not folder.exists():
            get_tree(self.store, get_manifest(self.store, digest), folder)
        return dataset.read(folder)


@pytest.fixture
def scene(tmp_path: Path, people: pa.Table, model: Path) -> Scene:
    return Scene(tmp_path, people, model)


def test_a_dataset_that_is_selected_in_parts_and_gathered_is_the_same(scene: Scene) -> None:
    ranges = scene.run(plan_parts, data=scene.data, rows_per_task=300)["parts"]
    assert ranges == ["0-3", "4-6", "7-9"]
    some = [scene.run(select_parts, data=scene.data, parts=text)["selected"] for text in ranges]
    assert scene.run(gather_parts, parts=some)["gathered"] == scene.data


def test_a_selected_part_is_the_same_blob_of_the_store(scene: Scene) -> None:
    part = scene.run(select_parts, data=scene.data, parts="3-3")["selected"]
    (taken,) = [f for f in get_manifest(scene.store, part).files if f.path.endswith(".parquet")]
    whole = get_manifest(scene.store, scene.data).find("part-00003.parquet")
    assert whole is not None
    assert taken.blob == whole.blob


def test_selecting_a_part_fetches_no_other_part(scene: Scene) -> None:
    for entry in get_manifest(scene.store, scene.data).files:
        if entry.path.endswith(".parquet") and entry.path != "part-00003.parquet":
            scene.store.remove_blob(entry.blob.digest)
    part = scene.run(select_parts, data=scene.data, parts="3-3")["selected"]
    assert len(scene.read(part)) == PER_PART


def test_after_rows_were_appended_the_earlier_parts_are_the_same(
    scene: Scene, people: pa.Table
) -> None:
    more = scene.put("more", pa.concat_tables([people, people.slice(0, 120)]))

    def selected(data: str, count: int) -> list[str]:
        texts = [f"{number}-{number}" for number in range(count)]
        return [scene.run(select_parts, data=data, parts=text)["selected"] for text in texts]

    parts, earlier = selected(more, 11), selected(scene.data, 10)
    assert parts[:9] == earlier[:9]
    assert not set(parts[9:]) & set(earlier)


def test_predictions_by_parts_are_those_of_the_whole(scene: Scene, people: pa.Table) -> None:
    given = {"model": scene.model, "keep_columns": ["id"]}
    whole = scene.run(predict_data, data=scene.data, **given)["predictions"]
    parts = [
        scene.run(select_parts, data=scene.data, parts=f"{number}-{number}")["selected"]
        for number in range(10)
    ]
    single = [scene.run(predict_data, data=part, **given)["predictions"] for part in parts]
    gathered = scene.run(gather_parts, parts=single)["gathered"]
    frame = scene.read(gathered)
    assert frame.equals(scene.read(whole))
    assert frame["id"].tolist() == people.column("id").to_pylist()
    assert list(frame) == ["id", "prediction", "probability of <=50K", "probability of >50K"]


def test_predictions_are_those_of_the_model(scene: Scene, model: Path) -> None:
    digest = scene.run(predict_data, model=scene.model, data=scene.data)["predictions"]
    labels, chances = load(model).predict_both(dataset.read(scene.root / "data"))
    frame = scene.read(digest)
    assert frame["prediction"].tolist() == labels.tolist()
    assert chances is not None
    assert np.array_equal(frame.iloc[:, 1:].to_numpy(), chances)


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (["Id"], "keep_columns: no column 'Id'; did you mean 'id'?"),
        (["prediction"], "keep_columns: the result has a column 'prediction' of its own"),
    ],
)
def test_columns_that_cannot_be_kept_are_refused(
    scene: Scene, people: pa.Table, kept: list[str], said: str
) -> None:
    table = people.append_column("prediction", people.column("id"))
    data = scene.put("with", table) if kept == ["prediction"] else scene.data
    arguments = {"model": scene.model, "data": data, "keep_columns": kept}
    refused(lambda: scene.run(predict_data, **arguments), UsageError, said)


def test_nan_as_a_prediction_is_not_stored_as_a_missing_value(tmp_path: Path) -> None:
    class Gives:
        task = "regression"

        def check_table(self, frame: pd.DataFrame) -> list[Any]:
            return []

        def predict_both(self, frame: pd.DataFrame) -> tuple[Any, None]:
            return np.where(frame["x"] > 1, np.nan, 0.5), None

    source = write(tmp_path / "rows", pa.table({"x": [0.0, 1.0, 2.0]}))
    (tmp_path / "out").mkdir()
    subject: Any = Gives()
    refused(lambda: predict(subject, source, [], tmp_path / "out"), UsageError, "NaN for 1 of 3")


@pytest.mark.parametrize("text", ["", "1", "3-2", "-1-2", "0-99999999999", "a-b", "0-10", "1-2-3"])
def test_parts_that_do_not_exist_are_refused(scene: Scene, text: str) -> None:
    refused(lambda: scene.run(select_parts, data=scene.data, parts=text), UsageError, "parts")


def test_datasets_in_another_order_are_not_gathered(scene: Scene) -> None:
    last, first = (
        scene.run(select_parts, data=scene.data, parts=text)["selected"] for text in ("9-9", "0-0")
    )
    refused(
        lambda: scene.run(gather_parts, parts=[last, first]),
        UsageError,
        "give the datasets in the order of their rows",
    )


def test_datasets_with_other_columns_are_not_gathered(scene: Scene, people: pa.Table) -> None:
    other = scene.put("other", people.slice(0, 10).drop_columns(["age"]))
    refused(
        lambda: scene.run(gather_parts, parts=[scene.data, other]),
        UsageError,
        "dataset 2 has other columns or types than the first one",
    )


@pytest.mark.parametrize("statistics", [b"{}", b"[" * 10_000, b'{"parts": [{"columns": 1}]}'])
def test_malformed_statistics_are_refused(scene: Scene, statistics: bytes) -> None:
    folder = scene.root / "data"
    (folder / "statistics.json").write_bytes(statistics)
    digest = put_tree(scene.store, folder, Dataset.type, {}).digest
    refused(
        lambda: scene.run(select_parts, data=digest, parts="0-0"),
        IntegrityError,
        "statistics.json: malformed",
    )


@pytest.mark.parametrize(("rows", "tasks"), [(1, 16), (1, 3), (250, 16), (10_000, 16), (1, 1)])
def test_a_plan_has_each_part_once_and_in_order(scene: Scene, rows: int, tasks: int) -> None:
    given = {"data": scene.data, "rows_per_task": rows, "max_tasks": tasks}
    ranges = [numbers(text) for text in scene.run(plan_parts, **given)["parts"]]
    assert [number for chosen in ranges for number in chosen] == list(range(10))
    assert len(ranges) <= tasks
    assert len(ranges) == 1 or all(len(chosen) * PER_PART >= rows for chosen in ranges[:-1])


def test_numbers_of_a_plan_out_of_range_are_all_named(scene: Scene) -> None:
    given = {"data": scene.data, "rows_per_task": 0, "max_tasks": 17}
    refused(lambda: scene.run(plan_parts, **given), UsageError, "rows_per_task is 0", "1 to 16")


@pytest.mark.slow
def test_the_pipeline_predicts_new_parts_only(
    scene: Scene, people: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_STORE", (scene.root / "store").as_uri())
    monkeypatch.chdir(scene.root)

    def run(data: str) -> list[dict[str, Any]]:
        words = [
            "run",
            "batch-predict",
            "--json",
            "-p",
            f"data={data}",
            "-p",
            'keep_columns=["id"]',
        ]
        words += ["-p", f"model={scene.model}", "-p", "rows_per_task=100000"]
        done = CliRunner().invoke(cli, words)
        assert done.exit_code == 0, done.output
        outcome = json.loads(done.stdout)
        tasks: list[dict[str, Any]] = outcome["tasks"]
        (gathered,) = {task["outputs"]["gathered"] for task in tasks[-2:-1]}
        (table,) = outcome["tables"]
        result = pd.read_parquet(table)
        assert result.equals(scene.read(gathered))
        assert result["id"].tolist() == pq.read_table(data).column("id").to_pylist()
        return [task for task in tasks if task["name"] == "predict_data"]

    many = pa.concat_tables([people] * 220)  # 209,000 rows: three parts
    place = many.column_names.index("id")
    keys = pa.array([f"p{row}" for row in range(len(many))])
    many = many.set_column(place, "id", keys)
    pq.write_table(many, scene.root / "table.parquet")
    assert [task["state"] for task in run("table.parquet")] == ["done"] * 3
    pq.write_table(pa.concat_tables([many, people]), scene.root / "table.parquet")
    assert sorted(task["state"] for task in run("table.parquet")) == ["cached", "cached", "done"]
