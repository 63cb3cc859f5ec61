"""train: bit-identical, loadable without pickle, refusing what it should."""

import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import snapshot

from assay import data as dataset
from assay import models as model
from assay.components.train.step import train
from assay.core.step import Dataset, Out
from assay.core.store import open_store
from assay.core.tree import put_tree
from assay.errors import IntegrityError, UsageError
from assay.models.canonical import canonical

from stories import refused

FEW_ROWS = 3000


@pytest.fixture(scope="module")
def small(adult: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The first rows of Adult, so that fits are quick."""
    folder = tmp_path_factory.mktemp("small")
    batches = [next(dataset.iter_batches(adult.path)).slice(0, FEW_ROWS)]
    dataset.write(batches, dataset.arrow_schema(adult.path), folder)
    return Dataset(folder, "sha256:" + "0" * 64)


def fit(data: Dataset, out: "Out[object]", **parameters: object) -> Path:
    bound = train.bind_parameters({"target": "income", **parameters})
    train(data=data, model=out, **bound)
    return out.path


SCRIPT = """
import sys
from pathlib import Path
from assay.components.train.step import train
from assay.core.step import Dataset, Out
from assay.core.store import open_store
from assay.core.tree import put_tree
out = Path(sys.argv[2]); out.mkdir(parents=True)
parameters = train.bind_parameters({"target": "income", "estimator": sys.argv[3], **eval_json})
train(data=Dataset(Path(sys.argv[1]), "x"), model=Out(out), **parameters)
print(put_tree(open_store((out.parent / "s").as_uri()), out, "application/x", {}).digest)
"""


@pytest.mark.parametrize(
    ("estimator", "hyperparameters"),
    [
        ("auto", {"max_iter": 10}),
        ("sklearn.linear_model.LogisticRegression", {}),
        ("sklearn.ensemble.RandomForestClassifier", {"n_estimators": 5}),
        ("sklearn.neural_network.MLPClassifier", {"max_iter": 3, "hidden_layer_sizes": [4]}),
        (
            "sklearn.ensemble.BaggingClassifier",
            {
                "n_estimators": 2,
                "estimator": {
                    "$estimator": "sklearn.tree.DecisionTreeClassifier",
                    "hyperparameters": {"max_depth": 2},
                },
            },
        ),
    ],
)
@pytest.mark.slow
def test_the_same_inputs_give_the_same_bytes_in_another_process_and_folder(
    small: Dataset, tmp_path: Path, estimator: str, hyperparameters: dict[str, object]
) -> None:
    script = SCRIPT.replace("**eval_json", f"'hyperparameters': {hyperparameters!r}")
    found = set()
    for seed, folder in (("1", "here"), ("2", "far/away/from/here")):
        words = [str(small.path), str(tmp_path / folder / "m"), estimator]
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script, *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        assert done.returncode == 0, done.stderr
        found.add(done.stdout.strip())
    assert len(found) == 1


def test_the_model_is_what_mlflow_and_we_load(
    small: Dataset, out: Callable[[], "Out[object]"]
) -> None:
    folder = fit(small, out(), hyperparameters={"max_iter": 20})
    # MLflow warns about its own type hints when it is imported; train has done that by now.
    import mlflow.pyfunc

    ours = model.load(folder)
    rows = dataset.read(small.path).head(200)
    assert ours.classes == ("<=50K", ">50K")
    assert ours.positive == ">50K"
    assert "income" not in ours.features
    theirs = mlflow.pyfunc.load_model(str(folder))
    assert (theirs.predict(rows[list(ours.features)]) == ours.predict(rows)).all()
    assert (ours.predict(rows) == rows["income"]).mean() > 0.8
    names = {path.name for path in folder.iterdir()}
    assert {"MLmodel", "model.skops", "assay-model.json", "report.html", "summary.md"} <= names
    assert not any(name.endswith((".pkl", ".pickle", ".joblib")) for name in names)


def nested(path: str, **hyperparameters: object) -> dict[str, object]:
    return {"$estimator": f"sklearn.{path}", "hyperparameters": hyperparameters}


FOREST = nested("ensemble.RandomForestClassifier", n_estimators=3)
TREE = nested("tree.DecisionTreeClassifier", max_depth=3)
LINEAR = nested("linear_model.LogisticRegression", max_iter=500)


@pytest.mark.parametrize(
    ("estimator", "hyperparameters"),
    [
        ("ensemble.AdaBoostClassifier", {"n_estimators": 3, "estimator": TREE}),
        ("ensemble.ExtraTreesClassifier", {"n_estimators": 3}),
        ("ensemble.GradientBoostingClassifier", {"n_estimators": 3}),
        ("ensemble.BaggingClassifier", {"n_estimators": 2, "estimator": FOREST}),
        ("ensemble.VotingClassifier", {"estimators": [["a", FOREST], ["b", LINEAR]]}),
        ("ensemble.StackingClassifier", {"estimators": [["a", FOREST], ["b", TREE]], "cv": 2}),
        ("calibration.CalibratedClassifierCV", {"estimator": FOREST, "cv": 2}),
        (
            "model_selection.GridSearchCV",
            {"estimator": FOREST, "param_grid": {"max_depth": [2, 4]}, "cv": 2},
        ),
        (
            "model_selection.RandomizedSearchCV",
            {
                "estimator": nested("ensemble.HistGradientBoostingClassifier", max_iter=3),
                "param_distributions": {"max_depth": [2, 4]},
                "n_iter": 2,
                "cv": 2,
            },
        ),
        ("svm.SVC", {}),
        ("neighbors.KNeighborsClassifier", {}),
        ("naive_bayes.BernoulliNB", {}),
    ],
)
def test_estimators_of_every_make_come_back(
    small: Dataset, out: Callable[[], "Out[object]"], estimator: str, hyperparameters: object
) -> None:
    folder = fit(small, out(), estimator=f"sklearn.{estimator}", hyperparameters=hyperparameters)
    rows = dataset.read(small.path)
    assert (model.load(folder).predict(rows) == rows["income"]).mean() > 0.7


def test_a_model_is_written_in_its_work_folder_and_no_other(
    small: Dataset,
    out: Callable[[], "Out[object]"],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    given = out()
    before = set(given.path.parent.iterdir())
    fit(small, given, hyperparameters={"max_iter": 3})
    assert set(given.path.parent.iterdir()) == before


def test_the_seed_and_the_threads_are_inputs(
    small: Dataset, out: Callable[[], "Out[object]"], tmp_path: Path
) -> None:
    store = open_store((tmp_path / "s").as_uri())
    forest = {
        "estimator": "sklearn.ensemble.RandomForestClassifier",
        "hyperparameters": {"n_estimators": 3},
    }
    digests = {
        put_tree(store, fit(small, out(), seed=seed, **forest), "application/x", {}).digest
        for seed in (0, 1)
    }
    assert len(digests) == 2


def test_a_text_that_is_missing_is_one_category_however_it_is_written(
    tmp_path: Path, out: Callable[[], "Out[object]"]
) -> None:
    """A CSV that is sent to the served model holds NaN where JSON holds null."""
    import mlflow.pyfunc
    import pandas as pd
    import pyarrow as pa

    words = ["u", "v", None] * 40
    table = pa.table({"word": words, "income": [str(word) for word in words]})
    dataset.write(table.to_batches(), table.schema, tmp_path)
    data = Dataset(tmp_path, "sha256:" + "0" * 64)
    for estimator in ("auto", "sklearn.linear_model.LogisticRegression"):
        served = mlflow.pyfunc.load_model(str(fit(data, out(), estimator=estimator)))
        for gap in (None, float("nan")):
            asked = pd.DataFrame({"word": pd.Series(["u", gap, "v"], dtype=object)})
            assert list(served.predict(asked)) == ["u", "None", "v"]


def test_what_an_estimator_refuses_after_its_fit_is_one_line_and_ends_no_sweep(
    small: Dataset, out: Callable[[], "Out[object]"]
) -> None:
    given = {
        "estimator": "sklearn.neighbors.KNeighborsClassifier",
        "hyperparameters": {"n_neighbors": FEW_ROWS + 1},
    }
    with pytest.raises(UsageError, match="KNeighborsClassifier cannot be fitted: Expected n_neigh"):
        fit(small, out(), **given)
    bound = train.bind_parameters({"target": "income", "keep_going": True, **given})
    failure = out()
    values = train(data=small, model=out(), failure=failure, **bound)
    assert "Expected n_neighbors" in str(values["reason"])
    assert "Expected n_neighbors" in (failure.path / "summary.md").read_text()


@pytest.mark.parametrize("estimator", ["auto", "sklearn.linear_model.LogisticRegression"])
@pytest.mark.parametrize("scale", [1e155, 1e300, 1e-200])
def test_a_feature_that_cannot_be_scaled_is_named(
    written: Callable[..., Dataset], fitted: Callable[..., object], scale: float, estimator: str
) -> None:
    """Scaled it was 0 in all rows, and the model was no better than chance, without a word."""
    values = np.linspace(-1, 1, 200)
    table = {"x": values * scale, "z": values, "y": np.where(values > 0, "a", "b")}
    refused(
        lambda: fitted(written(pa.table(table)), target="y", estimator=estimator),
        UsageError,
        "column 'x' has values from -1e",
        "give it in another unit",
    )
    table["x"] = values * 1e150
    fitted(written(pa.table(table)), target="y", estimator=estimator)


def test_all_wrong_names_are_told_at_once(small: Dataset, out: Callable[[], "Out[object]"]) -> None:
    with pytest.raises(UsageError) as caught:
        fit(small, out(), drop_columns=["agee"], categorical_columns=["sexx"])
    assert "did you mean 'age'" in str(caught.value)
    assert "did you mean 'sex'" in str(caught.value)
    with pytest.raises(UsageError, match="did you mean 'max_iter'"):
        fit(
            small,
            out(),
            estimator="sklearn.linear_model.LogisticRegression",
            hyperparameters={"max_itr": 1},
        )


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        ("os.system", "is not admitted"),
        ("sklearn.externals._packaging", "no estimator|not an import path"),
        ("sklearn.utils.resample", "no estimator"),
        ("builtins.eval", "is not admitted"),
        ("sklearnx.evil.Model", "is not admitted"),
        ("sklearn.linear_model.LogisticRegresion", "did you mean"),
        ("sklearn.linear_model.LinearRegression", "needs a classifier"),
        ("__import__('os')", "not an import path"),
    ],
)
def test_what_is_no_admitted_estimator_is_refused(
    small: Dataset, out: Callable[[], "Out[object]"], estimator: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        fit(small, out(), estimator=estimator)


def test_a_model_that_holds_other_types_is_not_loaded(
    small: Dataset, out: Callable[[], "Out[object]"]
) -> None:
    folder = fit(small, out(), estimator="sklearn.linear_model.LogisticRegression")
    path = folder / "model.skops"
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(buffer, "w") as forged:
        for name in archive.namelist():
            data = archive.read(name)
            if name == "schema.json":
                schema = json.loads(data)
                schema["__class__"], schema["__module__"] = "Popen", "subprocess"
                data = json.dumps(schema).encode()
            forged.writestr(name, data)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(IntegrityError, match=r"subprocess\.Popen"):
        model.load(folder)
    path.write_bytes(b"no archive")
    with pytest.raises(IntegrityError, match="not a skops file"):
        model.load(folder)


def test_a_canonical_file_is_its_own_canonical_form(
    small: Dataset, out: Callable[[], "Out[object]"]
) -> None:
    data = (fit(small, out(), hyperparameters={"max_iter": 3}) / "model.skops").read_bytes()
    assert canonical(data) == data


class TestTheColumnThatRowsWereSplitByInTime:
    @pytest.fixture
    def dated(self, tmp_path: Path) -> Dataset:
        path = tmp_path / "dated.csv"
        rows = [f"{i % 7},2024-01-{1 + i % 28:02d},{'ab'[i % 2]}\n" for i in range(80)]
        path.write_text("x,day,y\n" + "".join(rows))
        return snapshot(path, tmp_path)

    def test_is_not_a_feature_and_the_card_says_so(self, dated: Dataset, tmp_path: Path) -> None:
        folder = tmp_path / "model"
        folder.mkdir()
        bound = train.bind_parameters({"target": "y", "time_column": "day"})
        train(data=dated, model=Out(folder), **bound)
        assert model.read_info(folder).features == ("x",)
        assert (
            "by which the rows were split in time, is not a feature"
            in (folder / "summary.md").read_text()
        )

    def test_is_one_when_it_is_named(self, dated: Dataset, tmp_path: Path) -> None:
        folder = tmp_path / "model"
        folder.mkdir()
        bound = train.bind_parameters(
            {"target": "y", "time_column": "x", "numeric_columns": ["x"], "drop_columns": ["day"]}
        )
        train(data=dated, model=Out(folder), **bound)
        assert model.read_info(folder).features == ("x",)

    def test_that_is_not_there_is_told(self, dated: Dataset, tmp_path: Path) -> None:
        bound = train.bind_parameters({"target": "y", "time_column": "dya"})
        with pytest.raises(UsageError, match=r"time_column.*did you mean 'day'"):
            train(data=dated, model=Out(tmp_path), **bound)


class TestHyperparametersThatNameColumnsOrLabels:
    """What is written about a column or a label applies to it, wherever preprocessing puts it."""

    @pytest.fixture
    def sorted_by_text(self, tmp_path: Path) -> Dataset:
        rng = np.random.default_rng(0)
        x, z = rng.normal(size=300), rng.normal(size=300)
        table = pa.table(
            {"c": ["u", "v", "w"] * 100, "x": x, "z": z, "y": x - z, "whole": (x > 0).astype(int)}
        )
        dataset.write(table.to_batches(), table.schema, tmp_path)
        return Dataset(tmp_path, "sha256:" + "0" * 64)

    @pytest.mark.parametrize(
        "estimator",
        [
            "sklearn.ensemble.RandomForestRegressor",
            "sklearn.ensemble.HistGradientBoostingRegressor",
        ],
    )
    def test_a_constraint_applies_to_the_column_that_it_names(
        self, sorted_by_text: Dataset, out: Callable[[], "Out[object]"], estimator: str
    ) -> None:
        given = {"target": "y", "estimator": estimator, "drop_columns": ["whole"]}
        # The opposite of what the data say, so that it shows.
        signs = {"monotonic_cst": {"x": -1}}
        fitted = model.load(fit(sorted_by_text, out(), hyperparameters=signs, **given))
        rows = dataset.read(sorted_by_text.path).head(20)
        lowest, highest = (fitted.predict(rows.assign(x=value)) for value in (-2.0, 2.0))
        assert (lowest >= highest).all()
        lowest, highest = (fitted.predict(rows.assign(z=value)) for value in (-2.0, 2.0))
        assert (lowest > highest).all()
        for wrong, words in (
            ([0, 1, -1], r"by position.*name the columns: .\"x\": 1"),
            ({"d": 1}, "'d': not a feature of the model; it has 'x', 'z', 'c'"),
        ):
            with pytest.raises(UsageError, match=words):
                fit(sorted_by_text, out(), hyperparameters={"monotonic_cst": wrong}, **given)

    def test_a_weight_belongs_to_the_label_with_its_text(
        self, sorted_by_text: Dataset, out: Callable[[], "Out[object]"]
    ) -> None:
        given = {"target": "whole", "estimator": "sklearn.linear_model.LogisticRegression"}
        given |= {"drop_columns": ["x", "y"]}
        rows = dataset.read(sorted_by_text.path)
        for label in (0, 1):
            weights = {"class_weight": {str(label): 100, str(1 - label): 1}}
            fitted = model.load(fit(sorted_by_text, out(), hyperparameters=weights, **given))
            assert set(fitted.predict(rows)) == {label}
        weights = {"class_weight": {"2": 1}}
        with pytest.raises(UsageError, match=r"class_weight: '2': .*such label; it has '0', '1'"):
            fit(sorted_by_text, out(), hyperparameters=weights, **given)


@pytest.mark.parametrize("estimator", ["auto", "sklearn.linear_model.LogisticRegression"])
@pytest.mark.parametrize("labels", [(1, 2), (1, 2, 3), ("no", "yes"), (False, True)])
def test_a_weight_belongs_to_its_label_whatever_numbers_an_estimator_gives_them(
    tmp_path: Path, out: Callable[[], "Out[object]"], estimator: str, labels: tuple[object, ...]
) -> None:
    rows = 60 * len(labels)
    table = pa.table(
        {"x": [(row * 7) % 11 for row in range(rows)], "y": [*labels] * (rows // len(labels))}
    )
    dataset.write(table.to_batches(), table.schema, tmp_path)
    data = Dataset(tmp_path, "sha256:" + "0" * 64)
    for label in labels:
        weights = {str(other): 50 if other == label else 1 for other in labels}
        given = {
            "target": "y",
            "estimator": estimator,
            "hyperparameters": {"class_weight": weights},
        }
        fitted = model.load(fit(data, out(), **given))
        assert set(fitted.predict(dataset.read(tmp_path)).tolist()) == {label}


@pytest.mark.parametrize(
    ("estimator", "hyperparameters"),
    [
        (
            "sklearn.ensemble.BaggingClassifier",
            {
                "estimator": {
                    "$estimator": "sklearn.linear_model.LogisticRegression",
                    "hyperparameters": {"class_weight": {"1": 2}},
                }
            },
        ),
        (
            "sklearn.model_selection.GridSearchCV",
            {
                "estimator": {"$estimator": "sklearn.linear_model.LogisticRegression"},
                "param_grid": {"class_weight": [{"1": 2}, None]},
            },
        ),
    ],
)
def test_weights_of_labels_that_an_outer_estimator_may_number_are_refused(
    estimator: str, hyperparameters: dict[str, object]
) -> None:
    (problem,) = model.check_estimator(estimator, hyperparameters)
    assert "weights of single labels are for the outermost estimator only" in problem


def test_a_category_that_looks_like_a_missing_value_is_not_one(
    tmp_path: Path, out: Callable[[], "Out[object]"]
) -> None:
    words = ["(missing)", "u", None] * 40
    table = pa.table({"word": words, "income": ["real", "u", "gap"] * 40})
    dataset.write(table.to_batches(), table.schema, tmp_path)
    data = Dataset(tmp_path, "sha256:" + "0" * 64)
    for estimator in ("auto", "sklearn.linear_model.LogisticRegression"):
        fitted = model.load(fit(data, out(), estimator=estimator))
        rows = dataset.read(tmp_path)
        assert list(fitted.predict(rows)) == list(rows["income"])
        assert fitted.unseen_shares(rows) == {"word": 0.0}
        assert not fitted.check_table(rows)
