"""compare: two models on the same rows, and when that is enough to tell."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import accuracy_score

from assay import dataset, model
from assay.components.compare.step import compare
from assay.errors import UsageError
from assay.evidence import EvidenceDocument
from assay.step import Dataset, Model, Out

Make = Callable[[], "Out[Any]"]
Fit = Callable[..., Model]
Write = Callable[[pa.Table], Dataset]


@pytest.fixture(scope="module")
def worse(few_rows: Dataset, fitted: Fit) -> Model:
    """A stump that sees almost nothing."""
    return fitted(
        few_rows,
        target="income",
        estimator="sklearn.tree.DecisionTreeClassifier",
        hyperparameters={"max_depth": 1, "max_features": 1},
        numeric_columns=["fnlwgt"],
        drop_columns=["age", "capital_gain", "education_num", "relationship", "marital_status"],
    )


@pytest.fixture(scope="module")
def held_out(adult: Dataset, written: Write) -> Dataset:
    """Rows of Adult that no model here was fitted on."""
    batch = next(dataset.iter_batches(adult.path)).slice(10_000, 4000)
    return written(pa.Table.from_batches([batch]))


def judge(
    candidate: Model, production: Model | None, data: Dataset, out: Make, **parameters: Any
) -> tuple[str, EvidenceDocument, Path]:
    made = out()
    bound = compare.bind_parameters({"resamples": 400, **parameters})
    values = compare(
        candidate=candidate, production=production, test_data=data, comparison=made, **bound
    )
    evidence = EvidenceDocument.read(made.path)
    assert values is not None
    assert values["verdict"] == evidence.verdict == made.annotations["verdict"]
    assert values["reason"] == evidence.reason
    return str(values["verdict"]), evidence, made.path


def test_a_much_worse_candidate_is_blocked_with_the_difference_as_scikit_learn_has_it(
    income: Model, worse: Model, held_out: Dataset, out: Make
) -> None:
    verdict, found, folder = judge(worse, income, held_out, out)
    frame = dataset.read(held_out.path)
    truth = frame["income"]
    accuracies = [accuracy_score(truth, model.load(m.path).predict(frame)) for m in (income, worse)]
    assert found.values["regression_delta"] == pytest.approx(accuracies[0] - accuracies[1])
    assert verdict == "block"
    assert "accuracy of the candidate is worse by" in found.reason
    assert found.values["mcnemar_p_value"] < 0.001  # type: ignore[operator]
    assert found.subjects == {
        "model": worse.digest,
        "production": income.digest,
        "data": held_out.digest,
    }
    assert "<svg" in (folder / "report.html").read_text()
    assert found.reason in (folder / "summary.md").read_text()


def test_a_much_better_candidate_passes(
    income: Model, worse: Model, held_out: Dataset, out: Make
) -> None:
    verdict, found, _ = judge(income, worse, held_out, out)
    assert verdict == "pass"
    assert found.values["regression_delta_upper"] < 0  # type: ignore[operator]
    assert found.reason == ""


def test_the_same_model_twice_differs_by_nothing_even_with_no_margin(
    income: Model, held_out: Dataset, out: Make
) -> None:
    verdict, found, _ = judge(income, income, held_out, out, margin=0.0)
    assert verdict == "pass"
    assert found.values["regression_delta"] == 0
    assert found.values["mcnemar_p_value"] == 1


def test_an_interval_that_straddles_the_margin_is_inconclusive(
    income: Model, worse: Model, held_out: Dataset, out: Make
) -> None:
    _, found, _ = judge(worse, income, held_out, out)
    inside = found.values["regression_delta"]
    verdict, again, _ = judge(worse, income, held_out, out, margin=inside)
    assert verdict == "inconclusive"
    assert "too little test data to tell" in again.reason


def test_fewer_rows_can_only_show_larger_differences(
    income: Model, worse: Model, held_out: Dataset, written: Write, out: Make
) -> None:
    frame = dataset.read(held_out.path)
    few = written(pa.Table.from_pandas(frame.head(400), preserve_index=False))
    shown = [
        judge(income, worse, data, out)[1].values["minimum_detectable_difference"]
        for data in (held_out, few)
    ]
    # The smallest difference falls with the root of the rows: 10 times the rows, about 3.2 times.
    assert 2 < shown[1] / shown[0] < 5  # type: ignore[operator]


def test_slices_too_small_to_judge_are_inconclusive_and_say_so(
    income: Model, worse: Model, held_out: Dataset, out: Make
) -> None:
    _, found, folder = judge(worse, income, held_out, out, slices=["race", "sex"])
    assert found.values['regression_delta{sex="Male"}'] > 0.01  # type: ignore[operator]
    low, high = (
        getattr(found.intervals['regression_delta{sex="Male"}'], n) for n in ("low", "high")
    )
    assert low < found.values['regression_delta{sex="Male"}'] < high  # type: ignore[operator]
    _, small, _ = judge(worse, income, held_out, out, slices=["race"], min_slice_rows=1000)
    name = 'regression_delta{race="Black"}'
    assert small.values[name] is None
    assert "rows are too few to judge" in small.notes[name]
    assert "Female" in (folder / "summary.md").read_text()


def test_a_candidate_that_fails_one_group_is_blocked_though_the_whole_looks_fine(
    written: Write, fitted: Fit, out: Make
) -> None:
    generator = np.random.default_rng(1)
    rows = 3000
    group = np.where(np.arange(rows) % 12 == 0, "few", "many")
    x = generator.normal(size=rows)
    truth = np.where((x > 0) ^ (group == "few"), "yes", "no")
    data = written(pa.table({"x": x, "g": group, "y": truth}))
    tree = {"estimator": "sklearn.tree.DecisionTreeClassifier", "target": "y"}
    fair = fitted(data, **tree, hyperparameters={"max_depth": 4})
    blind = fitted(data, **tree, hyperparameters={"max_depth": 1}, drop_columns=["g"])
    verdict, found, _ = judge(blind, fair, data, out, slices=["g"], margin=0.15)
    assert found.values["regression_delta_upper"] < 0.15  # type: ignore[operator]
    assert verdict == "block"
    assert 'worse beyond the margin of 0.15 for {g="few"} by 0.99' in found.reason


def test_slices_by_columns_that_differ_in_a_sign_keep_their_own_difference(
    written: Write, fitted: Fit, out: Make
) -> None:
    generator = np.random.default_rng(0)
    x, dash, line = generator.normal(size=400), np.arange(400) % 2, np.arange(400) // 200
    names = {"g-1": np.where(dash, "y", "x"), "g_1": np.where(line, "y", "x")}
    truth = np.where((x > 0) ^ (dash == 1), "yes", "no")
    data = written(pa.table({"x": x, **names, "y": truth}))
    tree = {"estimator": "sklearn.tree.DecisionTreeClassifier", "target": "y"}
    fair = fitted(data, **tree, hyperparameters={"max_depth": 4}, drop_columns=["g_1"])
    blind = fitted(data, **tree, hyperparameters={"max_depth": 1}, drop_columns=["g-1", "g_1"])
    _, found, _ = judge(blind, fair, data, out, slices=["g-1", "g_1"])
    names_found = [name for name in found.values if name.startswith("regression_delta{")]
    assert len(names_found) == 4
    assert 'regression_delta{"g-1"="x"}' in names_found


def test_no_production_model_is_evidence_and_no_verdict_of_its_own(
    income: Model, held_out: Dataset, out: Make
) -> None:
    verdict, found, folder = judge(income, None, held_out, out)
    assert verdict == "pass"
    assert found.values == {"production_exists": 0.0}
    assert found.notes["regression_delta"] == "no model is in production"
    assert "production" not in found.subjects
    assert "nothing to compare with" in (folder / "report.html").read_text()


def test_numbers_are_compared_by_their_error_and_a_larger_one_is_worse(
    written: Write, fitted: Fit, out: Make
) -> None:
    x = np.random.default_rng(0).normal(size=600)
    data = written(pa.table({"x": x, "z": np.arange(600.0), "y": 3 * x}))
    good = fitted(data, target="y", estimator="sklearn.linear_model.LinearRegression")
    bad = fitted(
        data,
        target="y",
        estimator="sklearn.linear_model.LinearRegression",
        drop_columns=["x"],
    )
    verdict, found, _ = judge(bad, good, data, out, margin=0.1)
    assert verdict == "block"
    assert found.values["regression_delta"] == pytest.approx(
        found.values["candidate_root_mean_squared_error"], abs=1e-6
    )
    assert "mcnemar_p_value" not in found.values


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (
            {"margin": -1.0, "confidence": 0.0, "resamples": 1},
            "confidence is 0.0.*resamples is 1.*margin is -1.0",
        ),
        ({"margin": float("nan")}, "margin is nan"),
        ({"threads": 0}, "threads is 0"),
        ({"primary_metric": "r2"}, "no metric 'r2' for a binary model"),
        ({"slices": ["sexx"]}, "did you mean 'sex'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    income: Model,
    worse: Model,
    held_out: Dataset,
    out: Make,
    parameters: dict[str, Any],
    words: str,
) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        judge(income, worse, held_out, out, **parameters)
    assert "\n" not in str(refused.value)


def test_models_of_different_tasks_or_tables_cannot_be_compared(
    income: Model, few_rows: Dataset, held_out: Dataset, fitted: Fit, written: Write, out: Make
) -> None:
    other = fitted(few_rows, target="hours_per_week", hyperparameters={"max_iter": 2})
    with pytest.raises(UsageError, match=r"regression for 'hours_per_week'.*cannot be compared"):
        judge(income, other, held_out, out)
    frame = dataset.read(held_out.path).drop(columns=["age"])
    narrow = written(pa.Table.from_pandas(frame, preserve_index=False))
    with pytest.raises(UsageError, match=r"production: .*needs are missing: 'age'"):
        judge(income, income, narrow, out)
