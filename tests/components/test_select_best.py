"""select_best: which candidate, why, and what is no choice at all."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import data as dataset
from assay.components.preflight.candidates import read_candidates
from assay.components.select_best.choice import choose
from assay.components.select_best.step import select_best
from assay.components.split_data.step import split_data
from assay.core.execution import Context, execute
from assay.core.step import Dataset, Evaluation, Out
from assay.core.tree import get_manifest, get_tree, put_tree
from assay.errors import UsageError
from assay.evidence.format import EvidenceDocument, Interval
from assay.text import short

ROWS = "sha256:" + "d" * 64


def name(number: int) -> str:
    return f"sha256:{number:064x}"


class Bench:
    """Stores evaluations and chooses among them."""

    def __init__(self, context: Context, folder: Path) -> None:
        self.context, self.folder = context, folder
        self._numbers = itertools.count()

    def evaluation(
        self, model: str, value: float | None, *, metric: str = "accuracy", data: str = ROWS
    ) -> str:
        folder = self.folder / f"evaluation-{next(self._numbers)}"
        folder.mkdir()
        bounds = {metric: Interval(value - 0.02, value + 0.02, 0.95)} if value is not None else {}
        EvidenceDocument({"model": model, "data": data}, {metric: value}, bounds).write(folder)
        return put_tree(self.context.store, folder, Evaluation.type, {}).digest

    def choose(self, values: list[float | None], **parameters: Any) -> Any:
        metric = parameters.pop("metric", "accuracy")
        models = [name(number) for number in range(1, len(values) + 1)]
        found = [
            self.evaluation(model, value, metric=metric)
            for model, value in zip(models, values, strict=True)
        ]
        arguments = {"models": models, "evaluations": found, **parameters}
        return execute(select_best, arguments, self.context)

    def read(self, done: Any, file: str) -> str:
        target = self.folder / f"selection-{next(self._numbers)}"
        get_tree(
            self.context.store, get_manifest(self.context.store, done.outputs["selection"]), target
        )
        return (target / file).read_text()


@pytest.fixture
def bench(context: Context, tmp_path: Path) -> Bench:
    return Bench(context, tmp_path)


def test_the_highest_accuracy_wins_and_the_reason_says_by_how_much(bench: Bench) -> None:
    done = bench.choose([0.80, 0.95, 0.90])
    assert done.values["model"] == name(2)
    assert done.values["place"] == 2
    told = "candidate 2 of 3: accuracy 0.95; next is candidate 3 with 0.9"
    assert done.values["reason"] == told


def test_of_an_error_the_lowest_wins(bench: Bench) -> None:
    done = bench.choose([3.0, 1.0, 2.0], metric="root_mean_squared_error")
    assert done.values["model"] == name(2)


def test_a_difference_within_the_intervals_is_called_chance(bench: Bench) -> None:
    assert "may be chance" in bench.choose([0.90, 0.91]).values["reason"]


def test_of_equal_ones_the_first_in_the_list_is_taken(bench: Bench) -> None:
    done = bench.choose([0.8, 0.9, 0.9])
    assert done.values["place"] == 2
    assert "candidate 3 has the same, and the one listed first is taken" in done.values["reason"]


def test_one_without_a_value_never_wins(bench: Bench) -> None:
    assert bench.choose([None, 0.5, None]).values["place"] == 2
    with pytest.raises(UsageError, match="no candidate has a value of 'accuracy'"):
        bench.choose([None, None])
    with pytest.raises(UsageError, match="no candidate has a value of 'roc_auc'; there are: acc"):
        bench.choose([0.9], primary_metric="roc_auc")


def test_the_order_of_evaluations_does_not_matter(bench: Bench) -> None:
    models = [name(1), name(2), name(3)]
    found = [bench.evaluation(m, v) for m, v in zip(models, (0.7, 0.9, 0.9), strict=True)]
    chosen = {
        execute(select_best, {"models": models, "evaluations": list(order)}, bench.context).outputs[
            "selection"
        ]
        for order in itertools.permutations(found)
    }
    assert len(chosen) == 1


def test_the_second_time_the_cache_answers(bench: Bench) -> None:
    first, second = bench.choose([0.8, 0.9]), bench.choose([0.8, 0.9])
    assert (first.cached, second.cached) == (False, True)


def test_what_does_not_belong_together_is_no_choice(bench: Bench) -> None:
    one = bench.evaluation(name(1), 0.9)
    stranger = bench.evaluation(name(7), 0.9)
    elsewhere = bench.evaluation(name(2), 0.9, data="sha256:" + "e" * 64)
    with pytest.raises(UsageError) as told:
        execute(
            select_best,
            {
                "models": [name(1), name(2), name(3)],
                "evaluations": [one, stranger, elsewhere],
                "candidates": [{}],
            },
            bench.context,
        )
    text = str(told.value)
    assert f"none is about {name(3)}" in text
    assert f"{name(7)} is not one of the models" in text
    assert "made on different rows" in text
    assert "1 for 3 models" in text
    with pytest.raises(UsageError):
        execute(select_best, {"models": [], "evaluations": []}, bench.context)


def test_the_report_shows_every_candidate_and_what_it_was_trained_with(bench: Bench) -> None:
    trained = [
        {"estimator": "sklearn.linear_model.LogisticRegression", "hyperparameters": {"C": 0.5}},
        {"estimator": "auto", "hyperparameters": {}},
    ]
    done = bench.choose([0.8, 0.9], candidates=trained)
    summary, page = bench.read(done, "summary.md"), bench.read(done, "report.html")
    for text in (summary, page):
        assert "LogisticRegression" in text
        assert "looks better here than it is" in text
        assert short(name(2)) in text
    assert "<svg" in page
    assert "accuracy with its interval" in page
    evidence = EvidenceDocument.parse(bench.read(done, "evidence.json").encode())
    assert evidence.subjects == {"model": name(2), "data": ROWS}
    assert evidence.values['accuracy{candidate="1"}'] == 0.8
    assert evidence.verdict == "pass"


@given(values=st.lists(st.floats(0, 1, width=16), min_size=1, max_size=6))
def test_no_candidate_is_better_than_the_chosen(values: list[float]) -> None:
    models = [name(number) for number in range(1, len(values) + 1)]
    documents = [
        EvidenceDocument({"model": model, "data": ROWS}, {"accuracy": value})
        for model, value in zip(models, values, strict=True)
    ]
    assert choose(models, documents, [], "").best.place == values.index(max(values)) + 1


class TestTheSecondSplit:
    """Validation rows are taken from training rows; the hash must not know of the first cut."""

    def split(self, data: Dataset, folder: Path, **parameters: Any) -> tuple[Path, Path]:
        parts = []
        for side in ("train", "test"):
            (folder / side).mkdir(parents=True)
            parts.append(Out[Dataset](folder / side))
        bound = split_data.bind_parameters(parameters)
        split_data(data=data, train=parts[0], test=parts[1], **bound)
        return parts[0].path, parts[1].path

    def test_by_the_salt_of_the_first_there_is_no_second(
        self, adult: Dataset, tmp_path: Path
    ) -> None:
        train, _ = self.split(adult, tmp_path / "outer")
        with pytest.raises(UsageError, match="the test set has none"):
            self.split(Dataset(train, ""), tmp_path / "inner")

    @pytest.mark.parametrize("stratify", [False, True])
    def test_by_a_salt_of_its_own_it_is_a_fair_share(
        self, adult: Dataset, tmp_path: Path, stratify: bool
    ) -> None:
        from assay.components.split_data.task import VALIDATION_SALT

        options = {"target": "income", "stratify": stratify}
        train, test = self.split(adult, tmp_path / "outer", **options)
        fitted, chosen = self.split(
            Dataset(train, ""), tmp_path / "inner", salt=VALIDATION_SALT, **options
        )
        rows = [dataset.info(path).rows for path in (fitted, chosen, test)]
        assert sum(rows) == 32_561
        # Five standard deviations of a fair share.
        assert abs(rows[1] / (rows[0] + rows[1]) - 0.25) < 0.014
        frames = [dataset.read(path) for path in (fitted, chosen, test)]
        keys = [set(frame.astype(str).agg("|".join, axis=1)) for frame in frames]
        assert not keys[0] & keys[1]
        assert not (keys[0] | keys[1]) & keys[2] or stratify


class TestCandidates:
    def test_defaults_are_filled_in(self) -> None:
        given = [{}, {"estimator": "sklearn.linear_model.Ridge", "hyperparameters": {"alpha": 2}}]
        assert read_candidates(given, ()) == [
            {"estimator": "auto", "hyperparameters": {}},
            given[1],
        ]

    def test_all_that_is_wrong_with_any_is_told_at_once(self) -> None:
        ridge = {"estimator": "sklearn.linear_model.Ridge"}
        with pytest.raises(UsageError) as told:
            read_candidates(
                [
                    ridge,
                    "Ridge",
                    {"estimator": "sklearn.linear_model.Rigde"},
                    {"estimator": "sklearn.linear_model.Ridge", "hyperparameters": {"alfa": 1}},
                    {"model": "x"},
                    ridge,
                    {"estimator": "os.system"},
                ],
                (),
            )
        text = str(told.value)
        for part in (
            "candidate 2 is 'Ridge'",
            "candidate 3: ",
            "did you mean 'alpha'",
            "candidate 5 has model",
            "candidate 6 is the same as candidate 1",
            "candidate 7: ",
        ):
            assert part in text
        assert "\n" not in text

    @pytest.mark.parametrize("count", [0, 101])
    def test_none_and_too_many(self, count: int) -> None:
        with pytest.raises(UsageError, match=f"{count} are given; give 1 to 100"):
            read_candidates([{}] * count, ())
