"""Metrics against scikit-learn, tests against textbook values, slices."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from assay.models.statistics import uncertainty
from assay.models.statistics.estimates import estimate
from assay.models.statistics.metrics import Predictions, metrics
from assay.models.statistics.paired import holm, mcnemar
from assay.models.statistics.slices import MISSING, OTHER, check_slices, make_slices
from assay.models.statistics.uncertainty import interval, paired, single

CASES = Path(__file__).parents[1] / "cases"


def drawn(rows: int, labels: list[str], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities of each."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(labels, rows)
    probabilities = rng.dirichlet(np.ones(len(labels)), rows).round(2) + 0.001
    return truth, probabilities / probabilities.sum(axis=1, keepdims=True)


def classes(rows: int, labels: list[str], seed: int) -> Predictions:
    truth, probabilities = drawn(rows, labels, seed)
    predicted = np.asarray(labels)[probabilities.argmax(axis=1)]
    task = "binary" if len(labels) == 2 else "multiclass"
    return Predictions(
        task,
        truth,
        predicted,
        probabilities,
        tuple(labels),
        labels[-1] if task == "binary" else None,
    )


def numbers(rows: int, seed: int) -> Predictions:
    rng = np.random.default_rng(seed)
    truth = rng.normal(10, 3, rows)
    return Predictions("regression", truth, truth + rng.normal(0, 1, rows), None, (), None)


@pytest.mark.parametrize("seed", range(5))
def test_binary_metrics_are_those_of_scikit_learn(seed: int) -> None:
    data = classes(157, ["no", "yes"], seed)
    found = estimate(metrics(data), 157)
    y, p, score = data.truth, data.predicted, data.positive_score
    expected = {
        "accuracy": sk.accuracy_score(y, p),
        "balanced_accuracy": sk.balanced_accuracy_score(y, p),
        "matthews_corrcoef": sk.matthews_corrcoef(y, p),
        "precision": sk.precision_score(y, p, pos_label="yes"),
        "recall": sk.recall_score(y, p, pos_label="yes"),
        "f1": sk.f1_score(y, p, pos_label="yes"),
        "f1_macro": sk.f1_score(y, p, average="macro"),
        "f1_weighted": sk.f1_score(y, p, average="weighted"),
        "roc_auc": sk.roc_auc_score(y == "yes", score),
        "average_precision": sk.average_precision_score(y == "yes", score),
        "brier_score": sk.brier_score_loss(y == "yes", score),
        "log_loss": sk.log_loss(y, drawn(len(y), ["no", "yes"], seed)[1], labels=["no", "yes"]),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name


@pytest.mark.parametrize("seed", range(3))
def test_multiclass_metrics_are_those_of_scikit_learn(seed: int) -> None:
    data = classes(211, ["a", "b", "c", "d"], seed)
    found = estimate(metrics(data), 211)
    y, p = data.truth, data.predicted
    assert found["precision_macro"] == pytest.approx(sk.precision_score(y, p, average="macro"))
    assert found["recall_macro"] == pytest.approx(sk.recall_score(y, p, average="macro"))
    assert found["f1_macro"] == pytest.approx(sk.f1_score(y, p, average="macro"))
    assert found["matthews_corrcoef"] == pytest.approx(sk.matthews_corrcoef(y, p))
    assert found["log_loss"] == pytest.approx(
        sk.log_loss(y, drawn(211, list("abcd"), seed)[1], labels=list("abcd"))
    )


@pytest.mark.parametrize("rows", [50, 51])
def test_regression_metrics_are_those_of_scikit_learn(rows: int) -> None:
    data = numbers(rows, 3)
    found = estimate(metrics(data), rows)
    y, p = data.truth, data.predicted
    assert found["r2"] == pytest.approx(sk.r2_score(y, p))
    assert found["mean_absolute_error"] == pytest.approx(sk.mean_absolute_error(y, p))
    assert found["root_mean_squared_error"] == pytest.approx(sk.root_mean_squared_error(y, p))
    assert found["median_absolute_error"] == pytest.approx(sk.median_absolute_error(y, p))
    assert found["mean_absolute_percentage_error"] == pytest.approx(
        sk.mean_absolute_percentage_error(y, p)
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: classes(60, ["no", "yes"], 1),
        lambda: classes(60, list("abc"), 1),
        lambda: numbers(60, 1),
    ],
)
def test_weights_are_repetitions(make: object) -> None:
    """A weight of k is the row k times: what makes the weighted bootstrap the bootstrap."""
    data = make()  # type: ignore[operator]
    drawn = np.random.default_rng(7).integers(0, 60, 60)
    weights = np.bincount(drawn, minlength=60).astype(float)[None, :]
    repeated = data.take(np.repeat(np.arange(60), weights[0].astype(int)))
    expected = estimate(metrics(repeated), len(repeated.truth))
    for name, metric in metrics(data).items():
        assert float(metric(weights)[0]) == pytest.approx(expected[name], abs=1e-9), name


def test_mcnemar_agrees_with_the_binomial_and_the_chi_square() -> None:
    def pairs(b: int, c: int) -> tuple[np.ndarray, np.ndarray]:
        ours = np.r_[np.ones(b, bool), np.zeros(c, bool), np.ones(50, bool)]
        theirs = np.r_[np.zeros(b, bool), np.ones(c, bool), np.ones(50, bool)]
        return ours, theirs

    assert mcnemar(*pairs(5, 15)) == pytest.approx(2 * stats.binom.cdf(5, 20, 0.5))
    assert mcnemar(*pairs(0, 0)) == 1.0
    assert mcnemar(*pairs(800, 900)) == pytest.approx(stats.chi2.sf(99**2 / 1700, 1))


def test_holm_is_the_textbook_s() -> None:
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03})
    assert found == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({}) == {}


def test_slices() -> None:
    import pandas as pd

    frame = pd.DataFrame(
        {
            "sex": ["F", "M", None, "F"] * 10,
            "age": range(40),
            "id": [f"i{n}" for n in range(40)],
            "y": 1,
        }
    )
    by_sex = {s.labels["sex"]: len(s.rows) for s in make_slices(frame, ["sex"], "y")}
    assert by_sex == {"F": 20, "M": 10, MISSING: 10}
    assert len(make_slices(frame, ["age"], "y")) == 4
    assert OTHER in {s.labels["id"] for s in make_slices(frame, ["id"], "y")}
    crossed = make_slices(frame, ["sex&age"], "y")
    assert sum(len(s.rows) for s in crossed) == 40
    with pytest.raises(Exception, match=r"no column 'sx'.*'y' is the target"):
        make_slices(frame, ["sx", "y"], "y")


def test_values_that_look_alike_are_slices_of_their_own() -> None:
    import pandas as pd

    frame = pd.DataFrame(
        {
            "near": [0.1, 0.1 + 1e-12] * 20,
            "named": ["(missing)", None, "(other)", "x"] * 10,
            "big": pd.array([2**60, 2**60 + 1, None, 7] * 10, dtype="Int64"),
            "y": 1,
        }
    )
    parts = make_slices(frame, ["near", "named", "big"], "y")
    found = [(part.column, part.labels[part.column], len(part.rows)) for part in parts]
    assert len({(column, value) for column, value, _ in found}) == len(found)
    assert ("named", "(missing)", 10) in found  # the text
    assert ("named", "((missing))", 10) in found  # no value
    assert [value for column, value, _ in found if column == "big"] == [
        "7", str(2**60), str(2**60 + 1), MISSING,
    ]  # fmt: skip
    quarters = make_slices(pd.DataFrame({"t": 1e9 + np.arange(40.0) / 1e4, "y": 1}), ["t"], "y")
    assert [len(part.rows) for part in quarters] == [10, 10, 10, 10]


def test_a_number_with_infinities_and_a_column_with_an_ampersand_can_be_sliced_by() -> None:
    import pandas as pd

    frame = pd.read_csv(CASES / "v1_slices.csv", na_values=[""], keep_default_na=False)
    parts = make_slices(frame, ["z", "R&D", "flag&R&D"], "y")
    sizes = {tuple(part.labels.items()): len(part.rows) for part in parts}
    assert [part.labels["z"] for part in parts[:4]] == [
        "-2.995 to -0.609", "-0.609 to 0.154", "0.154 to 0.82", "0.82 to inf",
    ]  # fmt: skip
    assert sizes[("R&D", "a"),] == int((frame["R&D"] == "a").sum())
    both = (frame["flag"].astype(str) == "True") & (frame["R&D"] == "b")
    assert sizes[("flag", "True"), ("R&D", "b")] == int(both.sum())


def test_a_slice_that_can_be_read_in_two_ways_is_refused() -> None:
    assert check_slices(["R&D"], ["R", "D", "R&D"], "y") == [
        "slices: 'R&D' can mean 'R&D' or 'R' and 'D'; rename a column"
    ]
    assert check_slices(["R&D"], ["R", "D"], "y") == []
    assert check_slices(["a&a"], ["a"], "y") == ["slices: 'a&a' names a column twice"]


def test_numeric_slices_sort_as_numbers() -> None:
    import pandas as pd

    frame = pd.DataFrame({"n": [10, 9, 2, 100], "y": 1})
    assert [part.labels["n"] for part in make_slices(frame, ["n"], "y")] == ["2", "9", "10", "100"]


@pytest.mark.parametrize("size", [1e60, 1e80, 1e100, 1e150, 1e155, 1e200, 1e300])
@pytest.mark.parametrize("wrong", [0.0, 1.0])
def test_numbers_whose_squares_no_float_holds_have_no_interval(size: float, wrong: float) -> None:
    data = numbers(60, 0)
    truth = data.truth / 20 * size
    errors = wrong * (data.predicted - data.truth) / 20 * size
    ours = replace(data, probabilities=None, truth=truth, predicted=truth + errors)
    theirs = replace(data, probabilities=None, truth=truth, predicted=truth + 2 * errors)
    for name, value in estimate(metrics(ours), 60).items():
        for bounds in (single(name, ours, value, 200, 0), paired(name, ours, theirs, 200, 0)):
            own = interval(bounds, value, 0.95, (-math.inf, math.inf))
            assert own is None or math.isfinite(own.high - own.low)
            if size == 1e60:
                assert own is not None, name


@pytest.mark.parametrize("seed", range(5))
def test_areas_by_one_sort_have_the_parts_that_ranks_of_each_class_give(seed: int) -> None:
    # The definition (Sun & Xu): ranks among all rows, minus ranks among those of one class.
    data = classes(211, ["no", "yes"], seed)
    positive, score = data.actual_positive, data.score
    ranks, expected = stats.rankdata(score), np.empty(len(score))
    for chosen, others in ((positive, ~positive), (~positive, positive)):
        expected[chosen] = (ranks[chosen] - stats.rankdata(score[chosen])) / others.sum()
    expected[~positive] = 1 - expected[~positive]
    assert np.array_equal(uncertainty._area_parts(data), expected)


@pytest.mark.parametrize("labels", [["no", "yes"], ["a", "b", "c"]])
def test_a_slice_has_the_metrics_and_intervals_of_its_rows_alone(labels: list[str]) -> None:
    data = classes(300, labels, 1)
    rows = np.flatnonzero(np.random.default_rng(2).random(300) < 0.4)
    part = data.take(rows)
    alone = Predictions(
        data.task,
        data.truth[rows],
        data.predicted[rows],
        drawn(300, labels, 1)[1][rows],
        data.classes,
        data.positive,
    )
    found = estimate(metrics(part), len(rows))
    assert found == estimate(metrics(alone), len(rows))
    for name, value in found.items():
        ends = [single(name, one, value, 200, 0) for one in (part, alone)]
        assert None not in ends, name
        assert len({bounds(0.9) for bounds in ends if bounds is not None}) == 1, name


def test_scores_are_sorted_once_for_all_metrics_and_intervals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, sorts = classes(300, ["no", "yes"], 0), []
    argsort = np.argsort

    def counted(values: Any, *words: Any, **options: Any) -> Any:
        sorts.append(len(values))
        return argsort(values, *words, **options)

    monkeypatch.setattr(np, "argsort", counted)
    for name, value in estimate(metrics(data), 300).items():
        single(name, data, value, 200, 0)
    assert sorts == [300]


@pytest.mark.parametrize("name", ["f1_macro", "matthews_corrcoef", "precision_macro"])
def test_a_class_that_only_one_of_two_models_knows_does_not_shift_the_others(name: str) -> None:
    """A class is compared with itself, wherever each model lists it."""
    ours = classes(300, ["a", "b", "c", "d"], 1)
    known = [label in {"a", "c", "d"} for label in ours.truth]
    ours = ours.take(np.flatnonzero(known))
    theirs = replace(
        ours,
        probabilities=None,
        predicted=np.roll(np.where(ours.predicted == "b", "d", ours.predicted), 3),
    )
    fewer, other_order = (
        replace(theirs, probabilities=None, classes=("a", "c", "d")),
        replace(theirs, probabilities=None, classes=tuple("dcba")),
    )
    expected = paired(name, ours, theirs, 500, 0)
    assert expected is not None
    for production in (fewer, other_order):
        found = paired(name, ours, production, 500, 0)
        assert found is not None
        assert found(0.95) == expected(0.95)
    # The other way round the classes have another order, and so other draws.
    back = paired(name, fewer, ours, 5000, 0)
    assert back is not None
    assert back(0.95) == pytest.approx([-end for end in reversed(expected(0.95))], abs=0.02)


def test_one_set_of_draws_serves_all_metrics_of_a_confusion_matrix() -> None:
    data = classes(300, ["a", "b", "c"], 2)
    found = estimate(metrics(data), 300)
    for name in ("f1_macro", "f1_weighted", "matthews_corrcoef"):
        single(name, data, found[name], 500, 7)
    assert list(data.drawn_sums) == [(500, 7)]
