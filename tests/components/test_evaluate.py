"""evaluate: what is measured, what is shown, and what cannot be judged."""

import json
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from assay import data as dataset
from assay import models as model
from assay.components.compare.step import compare
from assay.components.evaluate.step import evaluate
from assay.core.step import Checks, Dataset, Model, Out
from assay.errors import UsageError
from assay.evidence.format import EvidenceDocument
from assay.governance.policy import judge, parse_policy
from assay.models.statistics import predict as prediction
from assay.models.statistics.predict import MAX_AT_ONCE, predict

DIGEST = "sha256:" + "0" * 64
Make = Callable[[], "Out[Any]"]
Fit = Callable[..., Model]
Write = Callable[[pa.Table], Dataset]


def measure(
    subject: Model, data: Dataset, out: Make, **parameters: Any
) -> tuple[EvidenceDocument, EvidenceDocument, Path, Mapping[str, Any]]:
    """Evidence, measurements, the evaluation's folder and the values."""
    evaluation, measurements = out(), out()
    given = {"resamples": 200, "latency_rows": 20, **parameters}
    checks = given.pop("checks", None)
    values = evaluate(
        model=subject,
        test_data=data,
        checks=checks,
        evaluation=evaluation,
        measurements=measurements,
        **evaluate.bind_parameters(given),
    )
    return (
        EvidenceDocument.read(evaluation.path),
        EvidenceDocument.read(measurements.path),
        evaluation.path,
        values or {},
    )


def checks_of(text: str, folder: Path) -> Checks:
    folder.mkdir()
    (folder / "checks.yaml").write_text(text)
    return Checks(folder, DIGEST)


def test_the_numbers_are_scikit_learns_and_name_what_they_are_about(
    income: Model, few_rows: Dataset, out: Make
) -> None:
    found, _, folder, values = measure(income, few_rows, out)
    ours = model.load(income.path)
    frame = dataset.read(few_rows.path)
    truth = frame["income"]
    proba = ours.predict_proba(frame)
    assert proba is not None
    assert found.values["accuracy"] == pytest.approx(accuracy_score(truth, ours.predict(frame)))
    assert found.values["roc_auc"] == pytest.approx(
        roc_auc_score(truth == ours.positive, proba[:, 1])
    )
    low, high = found.intervals["accuracy"].low, found.intervals["accuracy"].high
    assert low < values["primary_value"] < high
    assert values["primary_metric"] == "accuracy"
    assert found.subjects == {"model": income.digest, "data": few_rows.digest}
    assert found.values["test_rows"] == len(frame)
    page = (folder / "report.html").read_text()
    assert page.count("<svg") >= 3  # ROC, calibration, slices or the like
    assert "http://" not in page.replace("http://www.w3.org", "")
    curves = json.loads((folder / "classification.json").read_text())
    assert {"confusionMatrix", "confidenceMetrics"} <= set(curves) or len(curves) > 0


def test_the_same_inputs_give_the_same_evaluation_and_other_measurements(
    income: Model, few_rows: Dataset, out: Make
) -> None:
    _, first, here, _ = measure(income, few_rows, out, slices=["sex"])
    _, second, there, _ = measure(income, few_rows, out, slices=["sex"])
    names = sorted(path.name for path in here.iterdir())
    assert names == sorted(path.name for path in there.iterdir())
    assert all((here / name).read_bytes() == (there / name).read_bytes() for name in names)
    assert first.values["latency_p50_ms"] != second.values["latency_p50_ms"]
    assert 0 < first.values["latency_p50_ms"] <= first.values["latency_p99_ms"]  # type: ignore[operator]
    assert first.values["throughput_rows_per_s"] > 0  # type: ignore[operator]
    size = (income.path / "model.skops").stat().st_size
    assert first.values["model_bytes"] == size


def test_a_slice_too_small_has_an_interval_and_no_value_and_says_how_small_it_is(
    income: Model, few_rows: Dataset, out: Make
) -> None:
    found, _, folder, _ = measure(
        income, few_rows, out, slices=["native_country"], min_slice_rows=100
    )
    small = [n for n, v in found.values.items() if n.startswith("accuracy{") and v is None]
    assert small
    assert "rows are too few to judge; the least is 100" in found.notes[small[0]]
    assert all(found.intervals[name].high > found.intervals[name].low for name in small)
    assert found.notes[small[0]] in (folder / "report.html").read_text()
    assert found.values['accuracy{native_country="United-States"}'] is not None


def test_a_small_group_with_accuracy_0_does_not_hide_in_the_gap(
    written: Write, fitted: Fit, out: Make
) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=600)
    group = np.where(np.arange(600) % 100 == 0, "few", "many")
    truth = np.where((x > 0) ^ (group == "few"), "yes", "no")
    data = written(pa.table({"x": x, "g": group, "y": truth}))
    stump = {
        "estimator": "sklearn.tree.DecisionTreeClassifier",
        "hyperparameters": {"max_depth": 1},
    }
    subject = fitted(data, target="y", drop_columns=["g"], **stump)
    found, _, _, _ = measure(subject, data, out, slices=["g"])
    name = 'accuracy_gap{column="g"}'
    assert found.values[name] is None
    assert found.notes[name] == '1 of 2 slices are too small to judge: {g="few"} (6 rows)'
    assert found.intervals[name].high > 0.9
    rules = parse_policy(f"gates: [{{metric: '{name} < 0.1'}}]".encode())
    decision = judge(rules, {"evaluation": found}, subject.digest)
    assert decision.verdict != "pass"
    lenient = parse_policy(f"gates: [{{metric: '{name} < 0.9'}}]".encode())
    assert judge(lenient, {"evaluation": found}, subject.digest).verdict == "inconclusive"
    # With enough rows of the group it is a value again.
    again, _, _, _ = measure(subject, data, out, slices=["g"], min_slice_rows=5)
    assert again.values[name] > 0.9  # type: ignore[operator]


def test_the_gap_is_between_the_best_and_the_worst_slice(
    income: Model, few_rows: Dataset, out: Make
) -> None:
    found, _, _, _ = measure(income, few_rows, out, slices=["sex"])
    parts = [found.values[f'accuracy{{sex="{value}"}}'] for value in ("Female", "Male")]
    gap = found.values['accuracy_gap{column="sex"}']
    assert gap == pytest.approx(max(parts) - min(parts))  # type: ignore[type-var, operator]


@pytest.fixture(scope="module")
def alike(written: Write) -> Dataset:
    """Columns whose names differ in one sign only; a model is right where `g-1` is x."""
    generator = np.random.default_rng(0)
    x, dash, line = generator.normal(size=400), np.arange(400) % 2, np.arange(400) // 200
    truth = np.where((x > 0) ^ (dash == 1), "yes", "no")
    names = {"g-1": np.where(dash, "y", "x"), "g_1": np.where(line, "y", "x")}
    return written(pa.table({"x": x, **names, "y": truth}))


def test_columns_that_differ_in_a_sign_keep_their_own_evidence_and_rules_find_it(
    alike: Dataset, fitted: Fit, out: Make
) -> None:
    subject = fitted(
        alike,
        target="y",
        estimator="sklearn.tree.DecisionTreeClassifier",
        hyperparameters={"max_depth": 1},
        drop_columns=["g-1", "g_1"],
    )
    found, _, _, _ = measure(subject, alike, out, slices=["g-1", "g_1"])
    ours = model.load(subject.path)
    frame = dataset.read(alike.path)
    right = ours.predict(frame) == frame["y"]
    for column, name in (("g-1", '"g-1"'), ("g_1", "g_1")):
        expected = right[frame[column] == "x"].mean()
        assert found.values[f'accuracy{{{name}="x"}}'] == pytest.approx(expected)
    dash = found.values['accuracy{"g-1"="x"}']
    assert dash != found.values['accuracy{g_1="x"}']
    rules = parse_policy(f"""gates: [{{metric: 'accuracy{{"g-1"="x"}} == {dash!r}'}}]""".encode())
    assert judge(rules, {"evaluation": found}, subject.digest).verdict == "pass"


def test_categories_that_look_like_formulas_are_drawn(
    written: Write, fitted: Fit, out: Make
) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=300)
    group = np.array(["$x_$y", "$", "x\x1by"])[np.arange(300) % 3]
    data = written(pa.table({"x": x, "$g_$h": group, "y": np.where(x > 0, "$x_$y", "a$b_$")}))
    subject = fitted(
        data,
        target="y",
        estimator="sklearn.tree.DecisionTreeClassifier",
        hyperparameters={"max_depth": 2},
    )
    _, _, folder, _ = measure(subject, data, out, slices=["$g_$h"])
    page = (folder / "report.html").read_text()
    assert page.count("a$b_$</text>") == 2
    assert "\x1b" not in page
    compared = out()
    compare(
        candidate=subject,
        production=Model(subject.path, DIGEST),
        candidate_rows=few(data, written),
        production_rows=few(data, written),
        test_data=data,
        comparison=compared,
        **compare.bind_parameters({"slices": ["$g_$h"]}),
    )
    assert "$x_$y" in (compared.path / "report.html").read_text()


def few(data: Dataset, written: Write) -> Dataset:
    """The first rows of a table."""
    return written(pa.Table.from_batches([next(dataset.iter_batches(data.path)).slice(0, 5)]))


CHECKS = """
checks:
  - name: sex_is_no_reason
    kind: invariance
    column: sex
    values: [Female, Male]
    rows: 300
  - name: education_helps
    kind: direction
    column: education_num
    delta: 2
    expect: not_decrease
    rows: 300
  - name: known_cases
    kind: golden
    cases:
      - row: {age: 20, education_num: 5, sex: Female, marital_status: Never-married}
        expect: "<=50K"
      - row: {age: 20, education_num: 5, sex: Female, marital_status: Never-married}
        expect: ">50K"
"""


def test_behaviour_is_counted_per_check_and_in_all(
    income: Model, few_rows: Dataset, out: Make, tmp_path: Path
) -> None:
    checks = checks_of(CHECKS, tmp_path / "checks")
    found, _, folder, values = measure(income, few_rows, out, checks=checks)
    each = {n: v for n, v in found.values.items() if n.startswith("safety_violations{")}
    assert each['safety_violations{check="known_cases"}'] == 1  # the second cannot hold too
    assert values["safety_violations"] == found.values["safety_violations"] == sum(each.values())  # type: ignore[arg-type]
    assert "expected &#x27;&gt;50K&#x27;" in (folder / "report.html").read_text()
    # So that a policy can ask for these checks and no others.
    assert found.subjects["checks"] == checks.digest


def test_a_model_blind_to_a_column_violates_nothing_there(
    few_rows: Dataset, fitted: Fit, out: Make, tmp_path: Path
) -> None:
    blind = fitted(
        few_rows,
        target="income",
        numeric_columns=["age", "education_num"],
        drop_columns=["race"],
        hyperparameters={"max_depth": 1, "max_features": {"$int": 1}},
        estimator="sklearn.tree.DecisionTreeClassifier",
    )
    text = "checks:\n  - {name: n, kind: invariance, column: sex, values: [Female, Male]}\n"
    found, _, _, _ = measure(blind, few_rows, out, checks=checks_of(text, tmp_path / "c"))
    used = json.loads((blind.path / "assay-model.json").read_text())["features"]
    assert "race" not in {feature["name"] for feature in used}
    assert found.values["safety_violations"] == 0


def test_without_checks_nothing_is_said_to_be_safe(
    income: Model, few_rows: Dataset, out: Make
) -> None:
    found, _, _, values = measure(income, few_rows, out)
    assert found.values.get("safety_violations") is None
    assert found.notes["safety_violations"] == "no behavioural checks were given"
    assert values["safety_violations"] == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "checks:\n  - {name: n, kind: direction, column: ages, delta: 1, expect: not_decrease}",
            "ages",
        ),
        (
            "checks:\n  - {name: n, kind: direction, column: sex, delta: 1, expect: not_decrease}",
            "checks: n: column 'sex' is not a number",
        ),
        ("checks:\n  - {name: n, kind: golden, cases: [{row: {agee: 1}, expect: x}]}", "agee"),
    ],
)
def test_a_check_that_cannot_run_has_not_passed(
    income: Model, few_rows: Dataset, out: Make, tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        measure(income, few_rows, out, checks=checks_of(text, tmp_path / "c"))


def test_a_direction_is_tried_on_the_rows_that_have_a_value(
    fitted: Fit, written: Write, out: Make, tmp_path: Path
) -> None:
    x = np.random.default_rng(0).uniform(size=60)
    data = written(pa.table({"x": x, "z": 2 * x, "y": -3 * x}))
    subject = fitted(data, target="y", estimator="sklearn.linear_model.LinearRegression")
    text = "checks:\n  - {name: n, kind: direction, column: x, delta: 1, expect: not_decrease}"
    checks = checks_of(text, tmp_path / "c")
    one = pa.array([None] * 500 + [1.5])
    found, _, _, _ = measure(
        subject,
        written(pa.table({"x": one, "z": [1.0] * 501, "y": [1.0] * 501})),
        out,
        checks=checks,
    )
    assert found.values["safety_violations"] == 1  # y falls with x, in the only row that tells
    none = written(pa.table({"x": pa.array([None] * 9, pa.float64()), "z": x[:9], "y": x[:9]}))
    with pytest.raises(UsageError, match="'x' has no value in the test data"):
        measure(subject, none, out, checks=checks)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (
            {"confidence": 1.0, "resamples": 5, "min_slice_rows": 0, "seed": -1},
            "confidence is 1.0.*resamples is 5.*min_slice_rows is 0.*seed is -1.* to 4294967295",
        ),
        ({"threads": 0}, "threads is 0; give at least 1"),
        ({"primary_metric": "acuracy"}, "did you mean 'accuracy'"),
        ({"slices": ["sexx", "income"]}, "sexx.*'income' is the target"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    income: Model, few_rows: Dataset, out: Make, parameters: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        measure(income, few_rows, out, **parameters)
    assert "\n" not in str(refused.value)


def test_labels_that_the_model_never_saw_are_named(
    income: Model, few_rows: Dataset, written: Write, out: Make
) -> None:
    frame = dataset.read(few_rows.path).head(50)
    frame["income"] += "."
    with pytest.raises(UsageError, match=r"never seen: '<=50K\.'"):
        measure(income, written(pa.Table.from_pandas(frame, preserve_index=False)), out)


def test_probabilities_that_are_no_numbers_name_the_estimator_and_the_class(
    written: Write, fitted: Fit, out: Make
) -> None:
    same = written(pa.table({"x": [1.0] * 20 + [2.0] * 20, "y": ["no"] * 20 + ["yes"] * 20}))
    estimator = "sklearn.naive_bayes.GaussianNB"
    with np.errstate(all="ignore"):
        bayes = fitted(
            same, target="y", estimator=estimator, hyperparameters={"var_smoothing": 0.0}
        )
        words = r"GaussianNB gives NaN or infinity as the probability of 'no' \(column 0 of predict"
        with pytest.raises(UsageError, match=words) as refused:
            measure(bayes, same, out)
    assert "\n" not in str(refused.value)


def test_a_target_whose_squares_no_float_holds_is_measured_without_intervals(
    written: Write, fitted: Fit, out: Make
) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=200)
    rows = written(pa.table({"x": x, "y": (x + random.normal(size=200)) * 1e100}))
    tree = fitted(
        rows,
        target="y",
        estimator="sklearn.tree.DecisionTreeRegressor",
        hyperparameters={"max_depth": 2},
    )
    found, _, _, _ = measure(tree, rows, out)
    assert found.values["root_mean_squared_error"]
    assert "root_mean_squared_error" not in found.intervals
    assert "r2" in found.intervals


@pytest.mark.slow
def test_a_thousand_classes_are_measured_in_bounded_memory_and_reports_stay_short(
    written: Write, fitted: Fit, out: Make
) -> None:
    """18,000 rows have 18 million probabilities, which is more than are computed at once."""
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(1000), 18)
    centres = rng.normal(size=(1000, 4)) * 3
    table = {f"x{place}": column for place, column in enumerate(centres[truth].T)}
    noisy = {name: column + rng.normal(size=len(truth)) for name, column in table.items()}
    labels = np.array([f"class {number:03d}" for number in range(1000)])[truth]
    data = written(pa.table({**noisy, "site": rng.choice(["a", "b"], len(truth)), "y": labels}))
    subject = fitted(
        data, target="y", estimator="sklearn.naive_bayes.GaussianNB", drop_columns=["site"]
    )
    tracemalloc.start()
    found, _, folder, _ = measure(subject, data, out, slices=["site"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    ours, frame = model.load(subject.path), dataset.read(data.path)
    assert len(frame) * 1000 > MAX_AT_ONCE
    # All probabilities are 144 MB, and the estimator computes them from arrays of the same size.
    assert peak < 250e6
    chances = np.concatenate([ours.predict_proba(frame[:9000]), ours.predict_proba(frame[9000:])])
    assert found.values["accuracy"] == pytest.approx(accuracy_score(labels, ours.predict(frame)))
    assert found.values["log_loss"] == pytest.approx(
        log_loss(labels, chances, labels=list(ours.classes))
    )
    assert found.values["classes"] == 1000
    assert found.intervals["f1_macro"].low < found.intervals["f1_macro"].high
    assert json.loads((folder / "classification.json").read_text()) == {}
    for path in (*folder.iterdir(), subject.path / "report.html", subject.path / "summary.md"):
        assert path.stat().st_size < 200_000, path.name
    assert "and 900 more, in assay-model.json" in (subject.path / "summary.md").read_text()
    other = written(pa.table({**{name: [0.0] for name in noisy}, "site": ["a"], "y": ["new"]}))
    with pytest.raises(UsageError, match=r"'class 019' and 980 more") as refused:
        measure(subject, other, out)
    assert len(str(refused.value)) < 1000


def test_five_hundred_slices_are_measured_and_the_report_shows_the_worst(
    written: Write, fitted: Fit, out: Make
) -> None:
    rng = np.random.default_rng(1)
    rows = 20_000
    x = rng.normal(size=rows)
    sites, weeks = rng.integers(0, 20, rows).astype(str), rng.integers(0, 25, rows)
    data = written(
        pa.table(
            {
                "x": x,
                "site": [f"site {number}" for number in sites],
                "week": [f"week {number:02d}" for number in weeks],
                "y": np.where(x + rng.normal(size=rows) > 0, "yes", "no"),
            }
        )
    )
    subject = fitted(
        data,
        target="y",
        estimator="sklearn.linear_model.LogisticRegression",
        drop_columns=["site", "week"],
    )
    found, _, folder, _ = measure(subject, data, out, slices=["site&week"], min_slice_rows=5)
    slices = [name for name in found.values if name.startswith("accuracy{")]
    # The 20 most frequent weeks, and the others together.
    assert len(slices) == 20 * 21
    assert all(found.intervals[name].low < found.intervals[name].high for name in slices)
    assert sum(found.values[f"test_rows{name[8:]}"] or 0 for name in slices) == rows
    page = (folder / "report.html").read_text()
    assert len(page) < 900_000
    values = sum("{" in name for name in found.values)
    assert "All 5,000 values of slices" in page
    assert f"and {values - 5000:,} more, in evidence.json" in page
    shown = json.loads((folder / "classification.json").read_text())
    assert shown["confusion_matrix"]["labels"] == ["no", "yes"]


def test_rows_that_are_predicted_in_blocks_have_the_same_predictions(
    income: Model, few_rows: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, frame = model.load(income.path), dataset.read(few_rows.path)
    whole = predict(ours, frame)
    monkeypatch.setattr(prediction, "MAX_AT_ONCE", 1000)
    monkeypatch.setattr(prediction, "BLOCK", 600)
    blocks = predict(ours, frame)
    assert whole.chances is not None
    assert blocks.chances is not None
    for name in ("truth", "predicted"):
        assert np.array_equal(getattr(blocks, name), getattr(whole, name))
    for name in ("actual", "highest", "positive"):
        assert np.array_equal(getattr(blocks.chances, name), getattr(whole.chances, name))
