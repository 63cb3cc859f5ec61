"""From an import path and a dict to a scikit-learn pipeline; runs nothing that is not admitted."""

import importlib
import inspect
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from assay.errors import UsageError

AUTO: Final = "auto"
NESTED: Final = "$estimator"
"""Key of a hyperparameter that is itself an estimator: `{"$estimator": path, ...arguments}`."""
MAX_CATEGORIES: Final = 100
"""Rarer values of a column with more are put together, so that one-hot stays bounded."""

_PATH = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)+", re.ASCII)
_DEFAULTS: Final = {
    "classification": "sklearn.ensemble.HistGradientBoostingClassifier",
    "regression": "sklearn.ensemble.HistGradientBoostingRegressor",
}


def check_estimator(
    estimator: str, hyperparameters: Mapping[str, Any], allowed_modules: Sequence[str] = ()
) -> list[str]:
    """Everything that is wrong with an estimator and its hyperparameters; empty when usable."""
    if estimator == AUTO:
        if not hyperparameters:
            # Nothing to look up, and scikit-learn takes seconds to import.
            return []
        estimator = _DEFAULTS["classification"]
    kind = _find(estimator, allowed_modules)
    if isinstance(kind, str):
        return [kind]
    problems = []
    known = [name for name in inspect.signature(kind).parameters if name != "self"]
    for name, value in hyperparameters.items():
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has: {', '.join(sorted(known))}"
            problems.append(f"{kind.__name__} has no hyperparameter {name!r}; {hint}")
        elif isinstance(value, dict) and NESTED in value:
            nested = {key: item for key, item in value.items() if key != NESTED}
            problems += check_estimator(str(value[NESTED]), nested, allowed_modules)
    return problems


def make_estimator(
    estimator: str,
    hyperparameters: Mapping[str, Any],
    *,
    task: str,
    seed: int,
    threads: int,
    allowed_modules: Sequence[str] = (),
) -> Any:
    """An unfitted estimator with its seed and thread count set wherever it, or one within, has any.

    Raises:
        UsageError: Not admitted, unknown, or unknown hyperparameters; all of them.
    """
    if estimator == AUTO:
        estimator = _DEFAULTS["regression" if task == "regression" else "classification"]
    if problems := check_estimator(estimator, hyperparameters, allowed_modules):
        raise UsageError.all_of(problems)
    made = _make(estimator, hyperparameters, allowed_modules)
    settings: dict[str, Any] = {}
    for name, value in made.get_params(deep=True).items():
        last = name.rpartition("__")[2]
        if last == "random_state" and value is None:
            settings[name] = seed
        elif last == "n_jobs" and value is None:
            settings[name] = threads
    return made.set_params(**settings)


def make_pipeline(estimator: Any, numeric: Sequence[str], categorical: Sequence[str]) -> Any:
    """Preprocessing and estimator in one pipeline, so that serving cannot skew.

    Numbers: the median for missing values, then mean 0 and variance 1. Categories (a missing value
    is one): one-hot; a value that training has not seen counts as a rare one.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = Pipeline(
        [
            ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
            ("scale", StandardScaler()),
        ]
    )
    categories = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=MAX_CATEGORIES, sparse_output=False
    )
    columns = [
        (name, transformer, list(wanted))
        for name, transformer, wanted in (
            ("numeric", numbers, numeric),
            ("categorical", categories, categorical),
        )
        if wanted
    ]
    prepare = ColumnTransformer(columns, remainder="drop", verbose_feature_names_out=False)
    return Pipeline([("prepare", prepare), ("estimator", estimator)])


def _make(path: str, hyperparameters: Mapping[str, Any], allowed: Sequence[str]) -> Any:
    kind = _find(path, allowed)
    if isinstance(kind, str):
        raise UsageError(kind)
    arguments = {}
    for name, value in hyperparameters.items():
        if isinstance(value, dict) and NESTED in value:
            nested = {key: item for key, item in value.items() if key != NESTED}
            arguments[name] = _make(str(value[NESTED]), nested, allowed)
        else:
            arguments[name] = value
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from error


def _find(path: str, allowed: Sequence[str]) -> Any:
    """The estimator class at `path`, or one line on why there is none."""
    if not _PATH.fullmatch(path):
        return f"estimator {path!r} is not an import path; write sklearn.module.Class"
    admitted = ["sklearn", *allowed]
    if not any(path.startswith(f"{prefix}.") for prefix in admitted):
        return (
            f"estimator {path!r} is outside of {', '.join(admitted)}; use one of scikit-learn's, "
            "or admit its module in the policy (allowed_modules)"
        )
    module_name, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), name, None)
    except ImportError:
        found = None
    if not (inspect.isclass(found) and hasattr(found, "fit") and hasattr(found, "predict")):
        return f"no estimator {path!r}; {_suggestion(name)}"
    return found


def _suggestion(name: str) -> str:
    from sklearn.utils import all_estimators

    known = {
        item: f"{'.'.join(p for p in kind.__module__.split('.') if not p.startswith('_'))}.{item}"
        for item, kind in all_estimators(type_filter=["classifier", "regressor"])
    }
    close = get_close_matches(name, known, n=1)
    return f"did you mean {known[close[0]]!r}?" if close else "see scikit-learn's estimators"
