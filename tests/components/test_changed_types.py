"""Data whose columns are not what the model was trained on: no stage measures a model on it."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from assay import data as dataset
from assay import models as model
from assay.components.check_monitoring.step import check_monitoring
from assay.components.compare.step import compare
from assay.components.evaluate.step import evaluate
from assay.components.snapshot_data.step import snapshot_data
from assay.core.source import fetch
from assay.core.step import Checks, Dataset, Model, MonitoringPlan, Out
from assay.errors import UsageError
from assay.evidence.format import EvidenceDocument

from stories import refused

LOGISTIC = "sklearn.linear_model.LogisticRegression"
CONSTANT = "sklearn.dummy.DummyClassifier"
BOTH = "column 'zip' is int64, and string in the model's training data"
PLAN = """\
format: assay-monitoring/1
detectors:
  - {name: features, metric: psi, columns: all, threshold: 0.1, window: 50, receiver: me@here}
"""

Fit = Callable[..., Model]
Write = Callable[[pa.Table], Dataset]


def snapshot(path: Path, folder: Path, target: str = "y") -> Dataset:
    """A dataset of a file, as the step makes it."""
    out = folder / f"{path.stem}-dataset"
    out.mkdir()
    bound = snapshot_data.bind_parameters({"target": target})
    snapshot_data(data=fetch(str(path), folder), dataset=Out(out), **bound)
    return Dataset(out, "sha256:" + "d" * 64)


@pytest.fixture(scope="module")
def months(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Dataset]:
    """The first month, in which postal codes are text, and the second: whole numbers."""
    folder = tmp_path_factory.mktemp("months")
    cases = shared_data.parent / "cases"
    return snapshot(cases / "s1_old.csv", folder), snapshot(cases / "s1_new.csv", folder)


@pytest.fixture(scope="module")
def production(months: tuple[Dataset, Dataset], fitted: Fit) -> Model:
    return fitted(months[0], target="y", estimator=LOGISTIC)


def measured(subject: Model, data: Dataset, folder: Path, **more: Any) -> EvidenceDocument:
    out, speed = Out[Any](folder / "evaluation"), Out[Any](folder / "speed")
    out.path.mkdir()
    speed.path.mkdir()
    checks = more.pop("checks", None)
    evaluate(
        model=subject,
        test_data=data,
        checks=checks,
        evaluation=out,
        measurements=speed,
        **evaluate.bind_parameters({"resamples": 100, "latency_rows": 5, **more}),
    )
    return EvidenceDocument.read(out.path)


def compared(candidate: Model, production: Model, data: Dataset, folder: Path) -> Mapping[str, Any]:
    out = Out[Any](folder / "comparison")
    out.path.mkdir()
    values = compare(
        candidate=candidate,
        production=production,
        test_data=data,
        comparison=out,
        **compare.bind_parameters({"resamples": 100}),
    )
    return values or {}


def checks(folder: Path, text: str) -> Checks:
    (folder / "checks").mkdir()
    (folder / "checks" / "checks.yaml").write_text(text)
    return Checks(folder / "checks", "sha256:" + "c" * 64)


def test_a_constant_classifier_cannot_win_on_data_that_production_cannot_read(
    months: tuple[Dataset, Dataset], production: Model, fitted: Fit, tmp_path: Path
) -> None:
    constant = fitted(months[1], target="y", estimator=CONSTANT)
    found = compared(constant, production, months[1], tmp_path)
    assert found["verdict"] == "inconclusive"
    assert "the model cannot take this data" in str(found["reason"])


def test_an_evaluation_on_another_type_is_refused_and_names_both(
    months: tuple[Dataset, Dataset], production: Model, tmp_path: Path
) -> None:
    refused(lambda: measured(production, months[1], tmp_path), UsageError, BOTH)


def test_the_same_type_is_measured_as_before(
    months: tuple[Dataset, Dataset], production: Model, tmp_path: Path
) -> None:
    found = measured(production, months[0], tmp_path)
    assert (dict(found.values)["accuracy"] or 0.0) > 0.9
    assert "test_rows" not in found.notes


def test_a_monitoring_plan_is_not_measured_on_another_type(
    months: tuple[Dataset, Dataset], production: Model, tmp_path: Path
) -> None:
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "monitoring.yaml").write_text(PLAN)
    plan = MonitoringPlan(tmp_path / "plan", "sha256:" + "e" * 64)
    out = Out[Any](tmp_path / "out")
    out.path.mkdir()
    refused(
        lambda: check_monitoring(
            model=production,
            test_data=months[1],
            plan=plan,
            monitoring=out,
            **check_monitoring.bind_parameters({"starts": 1}),
        ),
        UsageError,
        BOTH,
    )


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (
            "{name: c, kind: golden, cases: [{row: {zip: 60601, age: 30}, expect: 1}]}",
            "column 'zip' is int64, and string",
        ),
        ("{name: c, kind: invariance, column: zip, values: [60601]}", "zip' is int64, and string"),
        ("{name: c, kind: invariance, column: member, values: ['yes']}", "is string, and bool"),
        ("{name: c, kind: golden, cases: [{row: {age: old}, expect: 1}]}", "is string, and int64"),
        # Values that the model takes for any unknown one: spelt otherwise, nothing is checked.
        (
            "{name: c, kind: invariance, column: zip, values: ['01234', O2345]}",
            "not trained on 'O2345' in column 'zip'",
        ),
        (
            "{name: c, kind: golden, cases: [{row: {zip: O1234, age: 30}, expect: 1}]}",
            "not trained on 'O1234' in column 'zip'",
        ),
    ],
)
def test_a_behavioural_check_with_a_value_of_another_type_has_not_passed(
    months: tuple[Dataset, Dataset], production: Model, tmp_path: Path, check: str, said: str
) -> None:
    text = f"checks:\n  - {check}\n"
    refused(
        lambda: measured(production, months[0], tmp_path, checks=checks(tmp_path, text)),
        UsageError,
        "checks: c: ",
        said,
    )


def test_a_golden_case_with_the_right_types_is_tried(
    months: tuple[Dataset, Dataset], production: Model, tmp_path: Path
) -> None:
    loaded = model.load(production.path)
    first = dataset.read(months[0].path).iloc[[0]]
    row = json.loads(first[list(loaded.features)].to_json(orient="records"))[0]
    case = json.dumps({"row": row, "expect": int(loaded.predict(first)[0])})
    text = f"checks:\n  - {{name: c, kind: golden, cases: [{case}]}}\n"
    found = measured(production, months[0], tmp_path, checks=checks(tmp_path, text))
    assert dict(found.values)["safety_violations"] == 0


ROWS = 400


def columns(seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    whole = random.integers(0, 50, ROWS)
    return {
        "whole": whole,
        "number": random.normal(size=ROWS),
        "flag": random.random(ROWS) < 0.5,
        "word": np.array(["a", "b", "c"])[random.integers(0, 3, ROWS)],
        "code": random.integers(1, 4, ROWS),
        "y": np.where(whole > 25, "yes", "no"),
    }


@pytest.fixture(scope="module")
def usual(fitted: Fit, written: Write) -> Model:
    return fitted(
        written(pa.table(columns())), target="y", estimator=LOGISTIC, categorical_columns=["code"]
    )


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("word", [1, 2] * 200, "'word' is int64, and string"),
        ("word", [True, False] * 200, "'word' is bool, and string"),
        ("whole", ["1", "2"] * 200, "'whole' is string, and int64"),
        ("number", [True, False] * 200, "'number' is bool, and float64"),
        ("flag", [0, 1] * 200, "'flag' is int64, and bool"),
        ("flag", ["true", "false"] * 200, "'flag' is string, and bool"),
        ("code", [1.5, 2.0] * 200, "'code' is float64 with fractions, and int64"),
        ("code", ["1", "2"] * 200, "'code' is string, and int64"),
        ("number", pd.date_range("2024", periods=ROWS), "'number' is timestamp, and float64"),
    ],
)
def test_a_column_of_another_type_is_refused_everywhere(
    usual: Model, name: str, values: Any, said: str
) -> None:
    loaded = model.load(usual.path)
    frame = pd.DataFrame(columns()).assign(**{name: values})
    for call in (loaded.predict, loaded.predict_proba, loaded.check_table):
        refused(lambda call=call: call(frame), UsageError, said, "in the model's training data")


def test_all_offending_columns_are_named_at_once(usual: Model) -> None:
    loaded = model.load(usual.path)
    frame = pd.DataFrame(columns()).drop(columns=["number", "code"]).assign(word=1, flag=2.5)
    refused(
        lambda: loaded.predict(frame),
        UsageError,
        "needed: 'number', 'code'".replace("needed", "the model needs are missing"),
        "column 'word' is int64, and string",
        "column 'flag' is float64, and bool",
    )


@pytest.mark.parametrize("name", ["whole", "number", "flag", "word"])
def test_gaps_and_empty_columns_are_no_other_type(usual: Model, name: str) -> None:
    loaded = model.load(usual.path)
    whole = pa.table(columns())
    place = whole.column_names.index(name)
    holes = pa.chunked_array([[None, *whole[name].to_pylist()[1:]]], whole[name].type)
    nothing = pa.chunked_array([pa.nulls(ROWS, pa.string())])
    for column in (holes, nothing):
        frame = whole.set_column(place, name, column).to_pandas()
        assert len(loaded.predict(frame)) == ROWS


def test_numbers_are_numbers_and_the_difference_is_said(
    usual: Model, written: Write, tmp_path: Path
) -> None:
    changed = {**columns(), "whole": columns()["whole"] + 0.5, "number": np.arange(ROWS)}
    note = measured(usual, written(pa.table(changed)), tmp_path).notes["test_rows"]
    assert "column 'whole' holds fractions, and whole numbers in training" in note
    assert "column 'number' is int64, and float64 in training: read as float64" in note


def test_columns_that_the_model_does_not_read_are_named(
    usual: Model, written: Write, tmp_path: Path
) -> None:
    wider = {**columns(), "more": np.arange(ROWS)}
    note = measured(usual, written(pa.table(wider)), tmp_path).notes["test_rows"]
    assert note == "the model does not read column 'more'"


def test_a_closed_set_of_which_every_value_is_unseen_is_refused(
    usual: Model, written: Write, tmp_path: Path
) -> None:
    upper = {**columns(), "word": np.char.upper(columns()["word"])}
    refused(
        lambda: measured(usual, written(pa.table(upper)), tmp_path),
        UsageError,
        "trained on none of the values of column 'word' (it knows 'a', 'b', 'c')",
    )


def test_identifiers_that_are_all_new_do_not_stop_an_evaluation_but_are_said(
    fitted: Fit, written: Write, tmp_path: Path
) -> None:
    names = [f"n{number}" for number in range(ROWS)]
    subject = fitted(
        written(pa.table({**columns(), "name": names})), target="y", estimator=LOGISTIC
    )
    others = {**columns(1), "name": [f"m{number}" for number in range(ROWS)]}
    note = measured(subject, written(pa.table(others)), tmp_path).notes["test_rows"]
    assert note == "column 'name': 100.0% of the values are unseen in training"


def test_production_that_knows_no_value_of_many_is_not_measured_against_one_that_does(
    fitted: Fit, written: Write, tmp_path: Path
) -> None:
    def shops(prefix: str, seed: int) -> Dataset:
        random = np.random.default_rng(seed)
        shop = [f"{prefix}{number}" for number in random.integers(0, 200, ROWS)]
        return written(pa.table({**columns(seed), "shop": shop}))

    old = fitted(shops("A-", 1), target="y", estimator=LOGISTIC)
    new = fitted(shops("A", 2), target="y", estimator=LOGISTIC)
    found = compared(new, old, shops("A", 3), tmp_path)
    assert found["verdict"] == "inconclusive"
    assert "none of the values of column 'shop' were in its training data" in str(found["reason"])


def test_a_gap_that_rounds_identifiers_beyond_53_bits_is_refused(
    fitted: Fit, written: Write, tmp_path: Path
) -> None:
    """Without a gap the categories are exact; with one, neighbours would fall together."""
    codes: list[int | None] = [2**53 + number % 2 for number in range(ROWS)]
    y = [number % 2 for number in range(ROWS)]
    complete = written(pa.table({"code": pa.array(codes), "y": y}))
    subject = fitted(complete, target="y", estimator=LOGISTIC, categorical_columns=["code"])
    assert measured(subject, complete, tmp_path).intervals["accuracy"].low > 0.9
    gap = written(pa.table({"code": pa.array([None, *codes[1:]]), "y": y}))
    (tmp_path / "gap").mkdir()
    refused(
        lambda: measured(subject, gap, tmp_path / "gap"),
        UsageError,
        "column 'code' is of integers beyond 2^53 with missing values, which are rounded",
    )


def test_labels_of_another_type_are_named_as_such(
    fitted: Fit, written: Write, tmp_path: Path
) -> None:
    """Without that, the message would be: never seen '0', '1'; it knows '0', '1'."""
    numbers = np.arange(ROWS) % 2
    subject = fitted(written(pa.table({**columns(), "y": numbers})), target="y", estimator=LOGISTIC)
    texts = written(pa.table({**columns(), "y": numbers.astype(str)}))
    refused(
        lambda: measured(subject, texts, tmp_path),
        UsageError,
        "'0', '1'; it knows '0', '1', of another type",
    )


def test_the_step_of_training_records_the_types(usual: Model) -> None:
    types = model.read_info(usual.path).types
    assert types == {
        "whole": "int64",
        "number": "float64",
        "flag": "bool",
        "code": "int64",
        "word": "string",
    }
