"""compare: two models on the same rows, and when that is enough to tell."""

import html
import math
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import accuracy_score

from assay import data as dataset
from assay import models as model
from assay.components.compare.other_metrics import OTHERS
from assay.components.compare.step import compare
from assay.core.step import Dataset, Model, Out
from assay.data.overlap import contained_in
from assay.errors import UsageError
from assay.evidence.format import EvidenceDocument
from assay.governance.policy import judge as gate
from assay.governance.policy import parse_policy
from tests.components.conftest import TRAINED_ON

DEFAULT = "default_policy.yaml"
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
        hyperparameters={"max_depth": 1, "max_features": {"$int": 1}},
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
    rows = {
        f"{role}_rows": parameters.pop(f"{role}_rows", subject and TRAINED_ON[subject.path])
        for role, subject in (("candidate", candidate), ("production", production))
    }
    bound = compare.bind_parameters({"resamples": 400, **parameters})
    values = compare(
        candidate=candidate, production=production, test_data=data, comparison=made, **rows, **bound
    )
    evidence = EvidenceDocument.read(made.path)
    assert values is not None
    assert values["verdict"] == evidence.verdict == made.annotations["verdict"]
    assert values["reason"] == evidence.reason
    return str(values["verdict"]), evidence, made.path


def halves(written: Write, table: pa.Table) -> tuple[Dataset, Dataset]:
    """A table as two datasets of half the rows, to train on and to judge on."""
    frame = table.to_pandas().sample(frac=1.0, random_state=0)
    parts = [frame.iloc[begin::2] for begin in (0, 1)]
    train, test = (written(pa.Table.from_pandas(part, preserve_index=False)) for part in parts)
    return train, test


def seen_before(frame: Any, trained_on: Any, *models: Model) -> Any:
    """Rows that are equal, in the features and the target of a model, to a training row."""
    found = np.zeros(len(frame), dtype=bool)
    for subject in models:
        loaded = model.load(subject.path)
        columns = [*loaded.features, loaded.target]
        known = set(trained_on[columns].itertuples(index=False, name=None))
        rows = frame[columns].itertuples(index=False, name=None)
        found |= np.array([row in known for row in rows])
    return found


def test_a_much_worse_candidate_is_blocked_with_the_difference_as_scikit_learn_has_it(
    income: Model, worse: Model, few_rows: Dataset, held_out: Dataset, out: Make
) -> None:
    verdict, found, folder = judge(worse, income, held_out, out)
    frame = dataset.read(held_out.path)
    frame = frame[~seen_before(frame, dataset.read(few_rows.path), income, worse)]
    assert found.values["compared_rows"] == len(frame)
    truth = frame["income"]
    accuracies = [accuracy_score(truth, model.load(m.path).predict(frame)) for m in (income, worse)]
    assert found.values["regression_delta"] == pytest.approx(accuracies[0] - accuracies[1])
    assert verdict == "block"
    assert "accuracy is worse by" in found.reason
    assert found.values["mcnemar_p_value"] < 0.001  # type: ignore[operator]
    assert found.subjects == {
        "model": worse.digest,
        "production": income.digest,
        "data": held_out.digest,
        "candidate_rows": few_rows.digest,
        "production_rows": few_rows.digest,
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
    assert "too little test data to decide" in again.reason


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
    data, new = halves(written, pa.table({"x": x, "g": group, "y": truth}))
    tree = {"estimator": "sklearn.tree.DecisionTreeClassifier", "target": "y"}
    fair = fitted(data, **tree, hyperparameters={"max_depth": 4})
    blind = fitted(data, **tree, hyperparameters={"max_depth": 1}, drop_columns=["g"])
    verdict, found, _ = judge(blind, fair, new, out, slices=["g"], margin=0.2)
    assert found.values["regression_delta_upper"] < 0.2  # type: ignore[operator]
    assert verdict == "block"
    assert '{g="few"} is worse by 0.9' in found.reason
    assert found.reason.endswith("; allowed less than 0.2")


def test_slices_by_columns_that_differ_in_a_sign_keep_their_own_difference(
    written: Write, fitted: Fit, out: Make
) -> None:
    generator = np.random.default_rng(0)
    x, dash, line = generator.normal(size=800), np.arange(800) // 2 % 2, np.arange(800) // 400
    names = {"g-1": np.where(dash, "y", "x"), "g_1": np.where(line, "y", "x")}
    truth = np.where((x > 0) ^ (dash == 1), "yes", "no")
    data, new = halves(written, pa.table({"x": x, **names, "y": truth}))
    tree = {"estimator": "sklearn.tree.DecisionTreeClassifier", "target": "y"}
    fair = fitted(data, **tree, hyperparameters={"max_depth": 4}, drop_columns=["g_1"])
    blind = fitted(data, **tree, hyperparameters={"max_depth": 1}, drop_columns=["g-1", "g_1"])
    _, found, _ = judge(blind, fair, new, out, slices=["g-1", "g_1"])
    names_found = [name for name in found.values if name.startswith("regression_delta{")]
    assert len(names_found) == 4
    assert 'regression_delta{"g-1"="x"}' in names_found


def test_rows_that_production_was_trained_on_do_not_count(
    income: Model, worse: Model, few_rows: Dataset, held_out: Dataset, written: Write, out: Make
) -> None:
    """408 test rows, 218 of which production has learnt by heart, as it was seen in a release."""
    old, new = (
        pa.Table.from_pandas(dataset.read(data.path).head(count), preserve_index=False)
        for data, count in ((few_rows, 218), (held_out, 190))
    )
    mixed = written(pa.concat_tables([old, new]))
    _, found, folder = judge(worse, income, mixed, out)
    _, clean, _ = judge(worse, income, written(new), out)
    assert found.values["left_out_rows"] == 218
    assert found.values["compared_rows"] == 190
    assert found.values["regression_delta"] == clean.values["regression_delta"]
    assert found.intervals == clean.intervals
    assert "218" in (folder / "summary.md").read_text()


def test_adult_holds_few_rows_that_are_equal_by_chance_and_more_with_few_columns(
    income: Model, adult: Dataset, few_rows: Dataset
) -> None:
    rest = next(dataset.iter_batches(adult.path)).slice(2000)
    frame, trained_on = rest.to_pandas(), dataset.read(few_rows.path)
    columns = [*model.load(income.path).features, "income"]
    for chosen, low, high in ((columns, 0, 0.001), (["age", "sex", "income"], 0.9, 1)):
        same = contained_in([rest], dataset.iter_batches(few_rows.path), chosen)
        known = set(trained_on[chosen].itertuples(index=False, name=None))
        assert same.tolist() == [
            row in known for row in frame[chosen].itertuples(index=False, name=None)
        ]
        assert low <= same.mean() <= high


@pytest.mark.parametrize(
    "values",
    [
        pa.array([True, False, None]),
        pa.array([0, 1, None]),
        pa.array([0.0, 1.5, None]),
        pa.array([2**53, 2**53 + 1, -(2**53) - 1]),
        pa.array([2**63 - 1, 2**63 - 2, -(2**63)]),
        pa.array(["", "0", None]),
        pa.array([0, 1, None], pa.date32()),
        pa.array([0, 1, None], pa.timestamp("us")),
    ],
    ids=lambda values: str(values.type),
)
def test_different_values_of_each_type_are_different_rows(values: pa.Array) -> None:
    """A missing value is no 0, and the neighbours of 2^53 are two numbers."""
    batches = [pa.record_batch({"x": values.slice(place, 1)}) for place in range(3)]
    for place, batch in enumerate(batches):
        assert contained_in([batch], [batch], ["x"]).tolist() == [True]
        others = [other for number, other in enumerate(batches) if number != place]
        assert contained_in([batch], others, ["x"]).tolist() == [False]


def test_a_crafted_row_is_not_taken_for_another() -> None:
    """An earlier hash was linear: for any test row, a training row with its hash was computed."""
    asked = pa.record_batch({"b": [0.25], "c": [0.5], "label": ["yes"]})
    crafted = pa.record_batch({"b": [0.134364], "c": [-9.949432507587951e-60], "label": ["no"]})
    columns = ["b", "c", "label"]
    assert contained_in([asked], [crafted], columns).tolist() == [False]
    assert contained_in([asked], [crafted, asked], columns).tolist() == [True]


def test_a_value_in_the_next_column_is_another_row() -> None:
    one = pa.record_batch({"a": ["x", "", "1"], "b": ["", "x", "1"]})
    other = pa.record_batch({"a": ["", "x1"], "b": ["x", ""]})
    assert contained_in([one], [other], ["a", "b"]).tolist() == [False, True, False]


def test_models_of_true_and_false_can_be_compared(written: Write, fitted: Fit, out: Make) -> None:
    def rows(first: int) -> Dataset:
        numbers = range(first, first + 200)
        even = [n % 2 == 0 for n in numbers]
        gaps = [None if n % 7 == 0 else n % 2 == 0 for n in numbers]
        return written(
            pa.table({"n": [float(n) for n in numbers], "member": even, "gap": gaps, "y": even})
        )

    old = rows(0)
    one, other = (
        fitted(old, target="y", estimator=name)
        for name in ("sklearn.linear_model.LogisticRegression", "sklearn.dummy.DummyClassifier")
    )
    verdict, found, _ = judge(other, one, rows(100), out)
    assert (found.values["compared_rows"], found.values["left_out_rows"]) == (100, 100)
    assert verdict == "block"


def test_slices_by_whole_numbers_beyond_53_bits_with_gaps_stay_apart(
    written: Write, fitted: Fit, out: Make
) -> None:
    numbers = range(300)
    group = [None if n < 40 else 2**53 + n % 2 for n in numbers]
    table = {"x": [float(n) for n in numbers], "g": pa.array(group), "y": [n % 3 for n in numbers]}
    data = written(pa.table(table))
    one = fitted(data, target="y", estimator="sklearn.dummy.DummyClassifier", drop_columns=["g"])
    other = fitted(
        data, target="y", estimator="sklearn.tree.DecisionTreeClassifier", drop_columns=["g"]
    )
    far = {**table, "x": [n + 1000.0 for n in numbers]}
    _, found, _ = judge(one, other, written(pa.table(far)), out, slices=["g"])
    assert {name for name in found.intervals if name.startswith("regression_delta{")} == {
        f'regression_delta{{g="{text}"}}' for text in (2**53, 2**53 + 1, "(missing)")
    }


def test_when_too_few_new_rows_remain_nothing_can_be_told(
    income: Model, worse: Model, few_rows: Dataset, written: Write, out: Make
) -> None:
    verdict, found, folder = judge(income, worse, few_rows, out)
    assert verdict == "inconclusive"
    assert "2000 of 2000 test rows are rows that a model was trained on" in found.reason
    assert found.values["regression_delta"] is None
    assert found.reason in (folder / "report.html").read_text()


@pytest.mark.parametrize("role", ["candidate", "production"])
def test_a_model_whose_training_rows_are_not_known_is_not_compared(
    income: Model, worse: Model, held_out: Dataset, out: Make, role: str
) -> None:
    verdict, found, _ = judge(income, worse, held_out, out, **{f"{role}_rows": None})
    assert verdict == "inconclusive"
    assert found.reason == (
        f"the training rows of the {role} model are not known; give {role}_rows"
    )
    assert found.values["regression_delta_upper"] is None


def test_one_test_row_with_accuracy_0_does_not_pass(
    income: Model, worse: Model, held_out: Dataset, written: Write, out: Make
) -> None:
    frame = dataset.read(held_out.path)
    wrong = frame[model.load(income.path).predict(frame) != frame["income"]].head(1)
    data = written(pa.Table.from_pandas(wrong, preserve_index=False))
    for production in (worse, income):
        verdict, found, _ = judge(income, production, data, out)
        assert verdict == "inconclusive"
        assert found.reason == "1 test rows are too few to tell; the least is 30"
        policy = parse_policy(
            (resources.files("assay.components.preflight") / DEFAULT).read_bytes()
        )
        decision = gate(policy, {"comparison": found}, income.digest)
        rows = [row for row in decision.rows if row.text.startswith(("regression", "evidence"))]
        assert len(rows) > 1
        assert {row.outcome for row in rows} == {"inconclusive"}


def test_two_models_that_agree_on_few_rows_are_not_known_to_be_equal(
    income: Model, fitted: Fit, few_rows: Dataset, held_out: Dataset, written: Write, out: Make
) -> None:
    again = fitted(few_rows, target="income", hyperparameters={"max_iter": 15}, seed=1)
    frame = dataset.read(held_out.path)
    agreed = model.load(again.path).predict(frame) == model.load(income.path).predict(frame)
    few = written(pa.Table.from_pandas(frame[agreed].head(60), preserve_index=False))
    verdict, found, _ = judge(again, income, few, out)
    assert found.values["regression_delta"] == 0
    assert verdict == "inconclusive"
    assert found.intervals["regression_delta"].high > 0.03
    # What 60 rows could have shown is told too.
    assert found.values["minimum_detectable_difference"] > 0.03  # type: ignore[operator]


def test_no_production_model_is_evidence_and_no_verdict_of_its_own(
    income: Model, held_out: Dataset, out: Make
) -> None:
    verdict, found, folder = judge(income, None, held_out, out)
    assert verdict == "pass"
    assert found.values["production_exists"] == 0.0
    assert set(found.values) == {"production_exists", *(f"compared_{m}" for m in OTHERS)}
    assert not any(found.values.values())
    assert "regression_delta" not in found.values
    assert found.notes["regression_delta"] == "no model is in production"
    assert "production" not in found.subjects
    assert "nothing to compare with" in (folder / "report.html").read_text()


def test_numbers_are_compared_by_their_error_and_a_larger_one_is_worse(
    written: Write, fitted: Fit, out: Make
) -> None:
    x = np.random.default_rng(0).normal(size=600)
    data, new = halves(written, pa.table({"x": x, "z": np.arange(600.0), "y": 3 * x}))
    good = fitted(data, target="y", estimator="sklearn.linear_model.LinearRegression")
    bad = fitted(
        data,
        target="y",
        estimator="sklearn.linear_model.LinearRegression",
        drop_columns=["x"],
    )
    verdict, found, _ = judge(bad, good, new, out, margin=0.1)
    assert verdict == "block"
    assert found.values["regression_delta"] == pytest.approx(
        found.values["candidate_root_mean_squared_error"], abs=1e-6
    )
    assert "mcnemar_p_value" not in found.values


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (
            {"margin": -1.0, "confidence": 0.0, "resamples": 1, "seed": -1},
            "confidence is 0.0.*resamples is 1.*seed is -1.*margin is -1.0",
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


def test_models_of_unlike_positive_classes_cannot_be_compared(
    income: Model, few_rows: Dataset, held_out: Dataset, fitted: Fit, out: Make
) -> None:
    """The recall of a constant model for the frequent class is 1."""
    constant = fitted(
        few_rows,
        target="income",
        estimator="sklearn.dummy.DummyClassifier",
        positive_label="<=50K",
    )
    with pytest.raises(UsageError, match=r"production model is '>50K', .* candidate '<=50K'"):
        judge(constant, income, held_out, out, primary_metric="recall")


def test_a_model_of_another_task_or_a_table_without_a_column_is_not_compared(
    income: Model, few_rows: Dataset, held_out: Dataset, fitted: Fit, written: Write, out: Make
) -> None:
    other = fitted(few_rows, target="hours_per_week", hyperparameters={"max_iter": 2})
    verdict, found, _ = judge(income, other, held_out, out)
    assert verdict == "inconclusive"
    assert "production model predicts 'hours_per_week', and the candidate 'income'" in found.reason
    frame = dataset.read(held_out.path).drop(columns=["age"])
    narrow = written(pa.Table.from_pandas(frame, preserve_index=False))
    with pytest.raises(UsageError, match=r"candidate: .*needs are missing: 'age'"):
        judge(income, income, narrow, out)


def grown(rows: int, labels: list[str], *, seed: int = 0) -> pa.Table:
    """Rows whose class is the interval of x, with some noise."""
    random = np.random.default_rng(seed)
    x = random.random(rows)
    place = np.clip((x + random.normal(0, 0.02, rows)) * len(labels), 0, len(labels) - 1)
    return pa.table({"x": x, "z": random.random(rows), "y": np.array(labels)[place.astype(int)]})


@pytest.mark.parametrize("before", [["a", "b"], ["a", "b", "c"]], ids=["from two", "from three"])
def test_a_class_that_production_does_not_know_counts_as_its_error(
    written: Write, fitted: Fit, out: Make, before: list[str]
) -> None:
    now = [*before, "new"]
    production = fitted(written(grown(900, before)), target="y", hyperparameters={"max_iter": 20})
    data, new = halves(written, grown(1800, now, seed=1))
    candidate = fitted(data, target="y", hyperparameters={"max_iter": 20})
    verdict, found, _ = judge(candidate, production, new, out)
    assert verdict == "pass", found.reason
    frame = dataset.read(new.path)
    ours, theirs = (model.load(each.path).predict(frame) for each in (candidate, production))
    assert "new" in set(ours) - set(theirs)
    expected = accuracy_score(frame["y"], theirs) - accuracy_score(frame["y"], ours)
    assert found.values["regression_delta"] == pytest.approx(expected)
    # Metrics of probabilities are defined too.
    assert found.values["regression_delta_balanced_accuracy"] < 0  # type: ignore[operator]
    assert math.isfinite(found.values["production_log_loss"] or math.inf)


def test_a_new_class_is_reported(written: Write, fitted: Fit, out: Make) -> None:
    production = fitted(
        written(grown(300, ["a", "b"])), target="y", hyperparameters={"max_iter": 2}
    )
    data, new = halves(written, grown(600, ["a", "b", "new"], seed=1))
    candidate = fitted(data, target="y", hyperparameters={"max_iter": 2})
    values = compare(
        candidate=candidate,
        production=production,
        test_data=new,
        comparison=out(),
        **compare.bind_parameters({}),
    )
    assert values is not None
    text = "production does not know the classes 'new'; their rows count as its errors"
    assert text in str(values)
    _, found, folder = judge(candidate, production, new, out)
    assert text in found.reason, "the pull request shows it"
    assert text in html.unescape((folder / "report.html").read_text())


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ({"target": "z"}, "predicts 'z', and the candidate 'y'; give another model_name"),
        ({"labels": ["c", "d"]}, "knows none of the candidate's classes, 'a', 'b'"),
        ({"labels": ["a", "c"]}, "does not know 'c', production's positive class"),
        ({"labels": ["a", "b", "c"]}, "production model is multiclass, and the candidate binary"),
        ({"column": "w"}, "production: .*columns that the model needs are missing: 'w'"),
    ],
)
def test_a_production_model_that_cannot_be_compared_is_for_an_approver_to_decide(
    written: Write, fitted: Fit, out: Make, before: dict[str, Any], reason: str
) -> None:
    """Otherwise no run could ever replace it."""
    earlier = grown(600, before.get("labels", ["a", "b"]))
    earlier = earlier.rename_columns(["x", before.get("column", "z"), "y"])
    production = fitted(
        written(earlier), target=before.get("target", "y"), hyperparameters={"max_iter": 5}
    )
    data, new = halves(written, grown(600, ["a", "b"], seed=1))
    candidate = fitted(data, target="y", hyperparameters={"max_iter": 5})
    verdict, found, folder = judge(candidate, production, new, out)
    assert verdict == "inconclusive"
    assert re.search(reason, found.reason)
    assert found.reason.endswith("an approver may override the gate's decision")
    assert found.values["regression_delta"] is None
    assert html.escape(found.reason) in (folder / "report.html").read_text()
    policy = parse_policy((resources.files("assay.components.preflight") / DEFAULT).read_bytes())
    decision = gate(policy, {"comparison": found}, candidate.digest)
    rows = [row for row in decision.rows if row.text.startswith(("regression", "evidence"))]
    assert {row.outcome for row in rows} == {"inconclusive"}
