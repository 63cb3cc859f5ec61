"""Hyperparameters and model files as attacks: running code, reaching files, taking for ever."""

import io
import json
import sys
import time
import zipfile
from functools import partial, reduce
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import sklearn.metrics
import sklearn.tree
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, _transform_one, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import _check_response_method

from assay.core.digest import canonical_json
from assay.errors import IntegrityError, UsageError
from assay.models import audit, check_estimator
from assay.models.build import make_estimator

LOGISTIC = {"$estimator": "sklearn.linear_model.LogisticRegression"}
SEARCH = "sklearn.model_selection.GridSearchCV"
PIPELINE = {
    "$estimator": "sklearn.pipeline.Pipeline",
    "hyperparameters": {"steps": [["scale", {"$estimator": "sklearn.preprocessing.StandardScaler"}],
                                  ["last", LOGISTIC]]},
}  # fmt: skip


def problems(estimator: str, /, **hyperparameters: Any) -> str:
    return "; ".join(check_estimator(estimator, hyperparameters))


def test_a_search_over_memory_cannot_unpickle_files_of_a_folder(tmp_path: Path) -> None:
    """joblib reads its cache with pickle: who can write the folder, runs code in training."""
    folder = str(tmp_path / "cache")
    for grid in (
        {"memory": [folder]},
        [{"last__C": [1]}, {"memory": [None, folder]}],
        {"memory": folder},
    ):
        for name, search in (("param_grid", SEARCH), ("param_distributions", SEARCH[:-12])):
            path = search if name == "param_grid" else f"{search}RandomizedSearchCV"
            message = problems(path, estimator=PIPELINE, **{name: grid})
            assert "its cache is pickled" in message, (path, grid)
    assert not problems(SEARCH, estimator=PIPELINE, param_grid={"last__C": [0.1, 1]})
    assert not problems(SEARCH, estimator=PIPELINE, param_grid={"memory": [None]})


@pytest.mark.parametrize(
    ("estimator", "hyperparameters", "message"),
    [
        ("sklearn.pipeline.Pipeline",
         {**PIPELINE["hyperparameters"], "memory": "/x"}, "memory: its cache is pickled"),
        ("sklearn.ensemble.BaggingClassifier",
         {"estimator": {**PIPELINE, "hyperparameters": {**PIPELINE["hyperparameters"],
                                                        "memory": "/x"}}}, "estimator: memory: "),
        (SEARCH, {"estimator": {"$estimator": "sklearn.ensemble.BaggingClassifier",
                                "hyperparameters": {"estimator": PIPELINE}},
                  "param_grid": {"estimator__memory": ["/x"]}}, "'estimator__memory': its cache"),
        (SEARCH, {"estimator": PIPELINE,
                  "param_grid": {"last": [{"$estimator": "sklearn.pipeline.Pipeline",
                                           "hyperparameters": {"steps": [["a", LOGISTIC]],
                                                               "memory": "/x"}}]}}, "memory: its"),
        (SEARCH, {"estimator": LOGISTIC, "param_grid": {"C": [1]},
                  "pre_dispatch": "__import__('os')"}, "pre_dispatch: it is evaluated"),
        (SEARCH, {"estimator": LOGISTIC, "param_grid": {"nothing": [1]}}, "no hyperparameter"),
        (SEARCH, {"estimator": LOGISTIC, "param_grid": {"solver": ["/etc/x"]}}, "'/etc/x'"),
        ("sklearn.neighbors.KNeighborsClassifier", {"metric": "os.system"}, "'os.system'"),
        ("sklearn.neighbors.KNeighborsClassifier", {"metric_params": {"func": "os.system"}},
         "metric_params: 'os.system'"),
        ("sklearn.svm.SVC", {"kernel": "subprocess"}, "kernel: 'subprocess'"),
        ("sklearn.linear_model.LogisticRegression", {"penalty": "../x"}, "penalty: '../x'"),
        ("sklearn.pipeline.Pipeline",
         {"steps": [["words", {"$estimator": "sklearn.feature_extraction.text.CountVectorizer",
                               "hyperparameters": {"input": "filename"}}], ["last", LOGISTIC]]},
         "input: it reads files"),
        ("sklearn.feature_selection.RFE", {"estimator": LOGISTIC, "importance_getter": "__class__"},
         "importance_getter"),
        ("sklearn.pipeline.Pipeline",
         {"steps": [["f", {"$estimator": "sklearn.preprocessing.FunctionTransformer",
                           "hyperparameters": {"func": "os.system"}}], ["last", LOGISTIC]]},
         "func: it would be a function"),
    ],
)  # fmt: skip
def test_an_argument_that_reaches_beyond_the_estimator_is_refused(
    estimator: str, hyperparameters: dict[str, Any], message: str
) -> None:
    found = problems(estimator, **hyperparameters)
    assert message in found
    with pytest.raises(UsageError):
        make_estimator(estimator, hyperparameters, task="binary", seed=0, threads=1)


@pytest.mark.parametrize(
    ("estimator", "hyperparameters"),
    [
        ("sklearn.ensemble.HistGradientBoostingClassifier",
         {"scoring": "roc_auc", "interaction_cst": [["a b", "/c"]], "max_iter": 20}),
        ("sklearn.linear_model.LogisticRegression", {"solver": "saga", "class_weight": "balanced"}),
        ("sklearn.linear_model.LogisticRegression", {"class_weight": {"<=50K": 1, ">50K": 3}}),
        ("sklearn.svm.SVC", {"kernel": "rbf", "gamma": "scale"}),
        ("sklearn.neighbors.KNeighborsClassifier", {"metric": "manhattan", "weights": "distance"}),
        ("sklearn.ensemble.VotingClassifier", {"estimators": [["a", LOGISTIC]], "voting": "soft"}),
        (SEARCH, {"estimator": PIPELINE, "scoring": "f1", "cv": 3,
                  "param_grid": [{"last__solver": ["lbfgs", "saga"], "scale__with_mean": [True]}]}),
        ("sklearn.gaussian_process.GaussianProcessClassifier",
         {"kernel": {"$estimator": "sklearn.gaussian_process.kernels.RBF",
                     "hyperparameters": {"length_scale_bounds": "fixed"}}}),
    ],
)  # fmt: skip
def test_common_hyperparameters_are_accepted(
    estimator: str, hyperparameters: dict[str, Any]
) -> None:
    assert problems(estimator, **hyperparameters) == ""


BAGGING = {"$estimator": "sklearn.ensemble.BaggingClassifier"}


@pytest.mark.parametrize("one", [1, 1.0])
@pytest.mark.parametrize(
    ("estimator", "hyperparameters", "message"),
    [
        (BAGGING["$estimator"], {"max_samples": ...}, "max_samples: "),
        (BAGGING["$estimator"], {"max_features": ...}, "max_features: "),
        ("sklearn.ensemble.RandomForestClassifier", {"max_features": ...}, "max_features: "),
        ("sklearn.linear_model.RANSACRegressor", {"min_samples": ...}, "min_samples: "),
        ("sklearn.feature_selection.RFE",
         {"estimator": LOGISTIC, "n_features_to_select": ...}, "n_features_to_select: "),
        ("sklearn.ensemble.VotingClassifier",
         {"estimators": [["a", {**BAGGING, "hyperparameters": {"max_samples": ...}}]]},
         "estimators: max_samples: "),
        (SEARCH, {"estimator": BAGGING, "param_grid": {"max_samples": [0.5, ...]}},
         "param_grid: 'max_samples': "),
        (SEARCH, {"estimator": {"$estimator": "sklearn.pipeline.Pipeline",
                                "hyperparameters": {"steps": [["last", BAGGING]]}},
                  "param_grid": [{"last__max_features": [...]}]},
         "param_grid: 'last__max_features': "),
    ],
)  # fmt: skip
def test_all_rows_do_not_silently_become_one_row(
    estimator: str, hyperparameters: dict[str, Any], message: str, one: float
) -> None:
    """JSON writes 1.0 as 1, which is a count of one to scikit-learn."""

    def filled(value: Any, number: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(item, number) for key, item in value.items()}
        if isinstance(value, list):
            return [filled(item, number) for item in value]
        return number if value is ... else value

    given = filled(hyperparameters, one)
    found = problems(estimator, **given)
    assert message in found
    assert '{"$float": 1}' in found
    assert '{"$int": 1}' in found
    with pytest.raises(UsageError):
        make_estimator(estimator, given, task="binary", seed=0, threads=1)
    for key in ("$float", "$int"):
        assert not problems(estimator, **filled(hyperparameters, {key: one}))


def test_a_number_written_with_its_type_reaches_the_estimator_as_that() -> None:
    for key, kind in (("$float", float), ("$int", int)):
        given = json.loads(canonical_json({"max_samples": {key: 1.0}, "max_features": 0.5}))
        made = make_estimator(
            "sklearn.ensemble.BaggingClassifier", given, task="binary", seed=0, threads=1
        )
        assert type(made.max_samples) is kind
    tree = "sklearn.tree.DecisionTreeClassifier"
    assert not problems(tree, min_samples_split={"$float": 1})
    assert '"$int"' not in problems(tree, min_samples_split=1)
    assert not problems(tree, max_depth=1, min_samples_leaf=1, ccp_alpha=1)
    for wrong in (
        {"$float": "1"},
        {"$float": 1, "x": 1},
        {"$int": 1.5},
        {"$int": True},
        {"$int": float("inf")},
        {"$float": 10**400},
    ):
        assert "max_features: " in problems(tree, max_features=wrong)


def test_nothing_is_imported_before_it_is_admitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An inline policy named a module of its own, which ran when it was looked at."""
    (tmp_path / "acts.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    (message,) = check_estimator("acts.Estimator", {}, ["acts"])
    assert "allowed_modules: 'acts' is not admitted on this platform" in message
    with pytest.raises(UsageError):
        make_estimator(
            "acts.Estimator", {}, task="binary", seed=0, threads=1, allowed_modules=["acts"]
        )
    assert "acts" not in sys.modules
    # Another class of an admitted module is not admitted with it.
    monkeypatch.setenv("ASSAY_ALLOWED_CLASSES", "acts.Other")
    (message,) = check_estimator("acts.Estimator", {}, ["acts"])
    assert "'acts.Estimator' is not admitted" in message
    assert "acts" not in sys.modules
    monkeypatch.setenv("ASSAY_ALLOWED_CLASSES", "acts")
    with pytest.raises(UsageError, match="give full names of classes"):
        check_estimator("acts.Estimator", {}, ["acts"])


@pytest.mark.parametrize(
    "path",
    ["sklearn.datasets.fetch_openml", "sklearn.experimental.enable_halving_search_cv",
     "sklearn.utils._testing.ignore_warnings", "sklearn.conftest.pyplot", "sklearn.os",
     "sklearn.externals._arff.ArffDecoder", "sklearn.linear_model.tests.test_base.X",
     "sklearn." + "a." * 5000 + "B"],
)  # fmt: skip
def test_parts_of_scikit_learn_that_act_are_not_imported(path: str) -> None:
    check_estimator("sklearn.linear_model.LogisticRegression", {"C": 1})
    before = set(sys.modules)
    (message,) = check_estimator(path, {})
    assert "estimator" in message or "a text of more than" in message
    assert not {name for name in set(sys.modules) - before if name.startswith("sklearn.")}


def _nested(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = LOGISTIC
    for _ in range(depth):
        found = {
            "$estimator": "sklearn.ensemble.BaggingClassifier",
            "hyperparameters": {"estimator": found, "n_estimators": 0},
        }
    return found


MANY = {str(number): 1 for number in range(20_000)}


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"estimator": _nested(300)}, "nested too deep"),
        ({"estimator": {**LOGISTIC, "hyperparameters": {"class_weight": MANY}}},
         "more than 10,000 values"),
        ({f"typo{n}": 1 for n in range(4_000)}, "and 3980 more"),
        ({"estimator": "a" * 100_000}, "a text of more than 1,000 characters"),
        ({"n_estimators" + "s" * 100_000: 1}, "a text of more than"),
        ({"estimator": [{"$estimator": f"Bagging{n}"} for n in range(3_000)]}, "and more after"),
        ({"estimator": {"$estimator": "sklearn.ensemble.VotingClassifier", "hyperparameters": {
            "estimators": [["a", {"$estimator": f"sklearn.svm.SVC{n}"}] for n in range(1_500)]}}},
         "did you mean"),
    ],
)  # fmt: skip
def test_a_parameter_of_any_size_is_answered_at_once(
    hyperparameters: dict[str, Any], message: str
) -> None:
    """100 kB of misspelled estimators took 122 s: for each, all of scikit-learn was searched."""
    check_estimator("sklearn.ensemble.BaggingClassifier", {})
    began = time.process_time()
    found = problems("sklearn.ensemble.BaggingClassifier", **hyperparameters)
    assert time.process_time() - began < 5
    assert message in found
    assert len(found) < 20_000


# Model files.


def _forged(change: Any) -> bytes:
    """A fitted model as skops writes it, with another schema."""
    model = LogisticRegression().fit(np.array([[0.0], [1.0]]), [0, 1])
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(model))) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(entries["schema.json"])
    change(schema)
    entries["schema.json"] = json.dumps(schema).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return out.getvalue()


def test_a_model_file_imports_nothing_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """allowed_modules=["timeit"] let a file call timeit.Timer with a statement of its own."""
    (tmp_path / "acts.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)

    def as_class(schema: dict[str, Any]) -> None:
        schema |= {"__class__": "Timer", "__module__": "acts"}

    def as_attribute(schema: dict[str, Any]) -> None:
        schema["content"]["content"]["extra"] = {
            "__class__": "function", "__module__": "builtins", "__loader__": "FunctionNode",
            "content": {"module_path": "acts", "function": "run"},
        }  # fmt: skip

    for change in (as_class, as_attribute):
        for allowed in ((), ("acts",), ("timeit",)):
            with pytest.raises(IntegrityError, match="not on an allow-list: acts"):
                audit(_forged(change), allowed)
            assert "acts" not in sys.modules
    audit(_forged(lambda _: None))


def _as_if_from_sklearn(model: Any) -> bytes:
    """A model as skops writes it, whose functions are named as a module of scikit-learn's holds
    them: what a module imports can be found in it as well."""
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(model))) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    schema = entries["schema.json"].decode()
    for module, holder in (
        ("importlib", "sklearn.utils.discovery"),
        ("_functools", "sklearn.model_selection._search"),
    ):
        schema = schema.replace(f'"{module}"', f'"{holder}"')
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in (entries | {"schema.json": schema.encode()}).items():
            archive.writestr(name, content)
    return out.getvalue()


def test_functions_that_a_library_holds_do_not_run_a_command(tmp_path: Path) -> None:
    """Each name began with `sklearn.`, and a pipeline of them called `os.system`."""
    mark = tmp_path / "ran"
    command = partial(
        reduce, partial(_transform_one, y=None, weight=None, params=None), [f"touch {mark}"]
    )
    model = Pipeline(
        [
            ("os", FunctionTransformer(partial(import_module, "os"))),
            ("system", FunctionTransformer(partial(reduce, _check_response_method, ["system"]))),
            ("call", FunctionTransformer(command)),
            ("last", LogisticRegression().fit(np.array([[0.0], [1.0]]), [0, 1])),
        ]
    )
    with pytest.raises(IntegrityError, match=r"not on an allow-list: sklearn\.model_selection"):
        audit(_as_if_from_sklearn(model)).predict(np.array([[0.0]]))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (partial(FunctionTransformer, kw_args={}), "would call the class"),
        (Pipeline, "would call the class"),
        (LogisticRegression().fit, "would call the class"),
        (scipy.sparse.save_npz, "not on an allow-list: scipy.sparse._matrix_io.save_npz"),
        (sklearn.tree.export_graphviz, "not on an allow-list: sklearn.tree._export"),
        (sklearn.metrics.get_scorer, "not on an allow-list: sklearn.metrics._scorer"),
    ],
)
def test_a_model_file_calls_only_functions_that_compute(function: Any, message: str) -> None:
    model = make_pipeline(FunctionTransformer(function), LogisticRegression())
    with pytest.raises(IntegrityError, match=message):
        audit(skops.io.dumps(model))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Pipeline([("last", LogisticRegression())], memory="/cache"), "memory='/cache'"),
        (make_pipeline(CountVectorizer(input="filename"), LogisticRegression()), "'filename'"),
    ],
)
def test_a_model_file_holds_no_estimator_that_reads_files(model: Any, message: str) -> None:
    with pytest.raises(IntegrityError, match=message):
        audit(skops.io.dumps(model))


def test_common_model_files_are_accepted() -> None:
    table, labels = np.arange(12.0).reshape(6, 2), [0, 1] * 3
    search = GridSearchCV(
        make_pipeline(FunctionTransformer(np.log1p), SelectKBest(k=1), LogisticRegression()),
        {"logisticregression__C": [1, 2]},
        scoring="f1",
        cv=2,
    )
    nearest = KNeighborsClassifier(2, metric=sklearn.metrics.pairwise.haversine_distances)
    for model in (search.fit(table, labels), nearest):
        audit(skops.io.dumps(model))


def test_the_default_estimator_with_categories_is_no_forged_file() -> None:
    """It holds `check_array`; while the list lacked it, nothing with categories was trained."""
    rows = np.array([[0, 0], [1, 1], [0, 2], [1, 3]] * 25)
    fitted = HistGradientBoostingClassifier(categorical_features=[1]).fit(rows, rows[:, 0])
    again = audit(skops.io.dumps(fitted))
    assert again.predict(rows).tolist() == fitted.predict(rows).tolist()
