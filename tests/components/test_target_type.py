"""What a target is taken as: chosen, or guessed and said."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from assay import data as dataset
from assay import models as model
from assay.components.evaluate.step import evaluate
from assay.components.snapshot_data.step import snapshot_data
from assay.components.train.step import train
from assay.core.source import fetch
from assay.core.step import Dataset, Model, Out
from assay.errors import UsageError
from assay.evidence.format import EvidenceDocument

from stories import refused

ROWS = 300
Write = Callable[[pa.Table], Dataset]
QUICK = {"hyperparameters": {"max_iter": 5}}


def fit(data: Dataset, folder: Path, **parameters: Any) -> Mapping[str, Any]:
    folder.mkdir(exist_ok=True)
    bound = train.bind_parameters({"target": "y", **QUICK, **parameters})
    return train(data=data, model=Out(folder), **bound) or {}


def said(values: Mapping[str, Any]) -> str:
    return "\n".join(values.get("findings", []))


def table(y: Any, **more: Any) -> pa.Table:
    random = np.random.default_rng(0)
    return pa.table({"x": random.normal(size=ROWS), **more, "y": y})


@pytest.fixture
def float01(shared_data: Path, tmp_path: Path) -> Dataset:
    """A target written 0.0 and 1.0."""
    path = shared_data.parent / "cases" / "t_float01.csv"
    (tmp_path / "data").mkdir()
    bound = snapshot_data.bind_parameters({"target": "y"})
    snapshot_data(data=fetch(str(path), tmp_path), dataset=Out(tmp_path / "data"), **bound)
    return Dataset(tmp_path / "data", "sha256:" + "d" * 64)


def test_a_target_written_with_a_point_is_two_classes_and_says_so(
    float01: Dataset, tmp_path: Path
) -> None:
    values = fit(float01, tmp_path / "model")
    assert values["task"] == "binary"
    assert "taken as classes (binary), because its 2 values are whole numbers (0, 1)" in said(
        values
    )
    assert "the positive class is '1', the last in sort order" in said(values)
    report = (tmp_path / "model" / "report.html").read_text()
    assert "taken as classes (binary)" in report
    info = model.read_info(tmp_path / "model")
    assert (info.classes, info.positive) == ((0, 1), 1)
    out, speed = Out[Any](tmp_path / "evaluation"), Out[Any](tmp_path / "speed")
    out.path.mkdir()
    speed.path.mkdir()
    evaluate(
        model=Model(tmp_path / "model", "sha256:" + "a" * 64),
        test_data=float01,
        evaluation=out,
        measurements=speed,
        **evaluate.bind_parameters({"resamples": 100, "latency_rows": 5}),
    )
    assert (dict(EvidenceDocument.read(out.path).values)["roc_auc"] or 0) > 0.5


def test_the_other_class_can_be_the_positive_one(float01: Dataset, tmp_path: Path) -> None:
    values = fit(float01, tmp_path / "model", positive_label="0")
    assert model.read_info(tmp_path / "model").positive == 0
    assert "positive class" not in said(values)


def test_a_regressor_makes_numbers_of_the_same_target(float01: Dataset, tmp_path: Path) -> None:
    name = "sklearn.ensemble.HistGradientBoostingRegressor"
    values = fit(float01, tmp_path / "model", estimator=name)
    assert values["task"] == "regression"
    assert "taken as" not in said(values)


@pytest.mark.parametrize(
    ("y", "task", "reason"),
    [
        (np.arange(ROWS) % 5, "multiclass", "its 5 values are whole numbers (0, 1, 2, 3, 4)"),
        ((np.arange(ROWS) % 5).astype(float), "multiclass", "its 5 values are whole numbers"),
        ((np.arange(ROWS) % 3) / 2, "regression", "its 3 values have fractions"),
        (np.arange(ROWS), "regression", "its 300 values are more than 20"),
    ],
)
def test_what_numbers_were_taken_as_is_said_with_the_reason(
    written: Write, tmp_path: Path, y: Any, task: str, reason: str
) -> None:
    values = fit(written(table(y)), tmp_path / "model")
    assert values["task"] == task
    assert reason in said(values)


@pytest.mark.parametrize(
    "y",
    [
        [2**53 + row % 2 for row in range(ROWS)],
        [2**53 + row for row in range(ROWS)],
        [1e300 * (row % 2) for row in range(ROWS)],
    ],
)
def test_labels_that_would_be_rounded_are_refused(
    written: Write, tmp_path: Path, y: list[Any]
) -> None:
    refused(
        lambda: fit(written(table(pa.array(y))), tmp_path / "model"),
        UsageError,
        "target 'y' holds whole numbers beyond 2^53",
        "write labels as text",
    )


def test_what_was_done_with_odd_columns_is_said(written: Write, tmp_path: Path) -> None:
    big = 2**60
    data = written(
        table(
            np.arange(ROWS) % 2,
            nothing=pa.nulls(ROWS, pa.string()),
            name=[f"n{row}" for row in range(ROWS)],
            shop=[f"s{row % 150}" for row in range(ROWS)],
            key=[big + row for row in range(ROWS)],
        )
    )
    told = said(fit(data, tmp_path / "model"))
    assert "column 'nothing': no value at all; left out of the features [left-out]" in told
    assert "column 'name': another value in every row" in told
    assert "column 'shop': taken as categories, with up to 150 different values; all but" in told
    assert "column 'key': whole numbers beyond 2^53, which a model rounds" in told
    assert dataset.info(data.path).rows == ROWS


def test_categories_that_floats_would_merge_are_refused(written: Write, tmp_path: Path) -> None:
    codes = [None if row % 10 == 0 else 2**60 + row % 7 for row in range(ROWS)]
    data = written(table(np.arange(ROWS) % 2, code=pa.array(codes)))
    refused(
        lambda: fit(data, tmp_path / "model", categorical_columns=["code"]),
        UsageError,
        "column 'code': whole numbers beyond 2^53 with missing values",
    )
