"""Create scikit-learn estimators from an import path and JSON, using allowed classes only.

Hyperparameters are JSON. A number without a fraction is an integer, even if it was written as
`1.0`, because JSON, and with it the step key, does not distinguish them. If scikit-learn treats 1
as a count and 1.0 as a share, the type must be given: `{"$int": 1}` or `{"$float": 1}`. Objects (a
base estimator, a kernel, a splitter) are written as `{"$estimator": path, "hyperparameters":
{...}}`, at any depth. Keys of JSON are texts: `class_weight` refers to the labels with these texts.
Columns are named, as in `"monotonic_cst": {"age": 1}` and `"interaction_cst": [["age", "sex"]]`,
because preprocessing changes their positions.
"""

import functools
import importlib
import inspect
import re
import warnings
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, Final

from assay.documents import MAX_NAMED, closest, shown, some
from assay.errors import UsageError
from assay.models.allowed import (
    GRIDS,
    MODULES,
    REFUSED_ARGUMENTS,
    admitted_classes,
    argument_problem,
    module_problems,
    size_problems,
)
from assay.models.preprocess import COLUMN_ARGUMENTS, INTERACTION, MONOTONIC

LOADED_BY_NAME: Final = ("sklearn",)
"""For the code identity, which covers the classes of `ASSAY_ALLOWED_CLASSES` itself."""
AUTO: Final = "auto"
WEIGHTS: Final = "class_weight"
NESTED: Final = "$estimator"
"""Key that marks a JSON object as an estimator: its import path."""
ARGUMENTS: Final = "hyperparameters"
"""Key of the hyperparameters of a nested estimator; optional."""
NUMBERS: Final[Mapping[str, type]] = {"$float": float, "$int": int}
"""Keys that mark a JSON object as a number of that type."""
MAX_NUMBER: Final = 2**53
"""Maximum of a number with a type; larger integers are not exact as floats."""
MAX_SEED: Final = 2**32 - 1
"""Maximum of NumPy's legacy generator, which scikit-learn uses."""

MAX_PARTS: Final = 5
"""Maximum number of parts of an import path below `sklearn`."""
_PATH = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)*", re.ASCII)
DEFAULTS: Final = {
    "classification": "sklearn.ensemble.HistGradientBoostingClassifier",
    "regression": "sklearn.ensemble.HistGradientBoostingRegressor",
}
"""Estimators for "auto": robust defaults, fast on large tables, with support for missing values."""


def check_estimator(
    estimator: str, hyperparameters: Mapping[str, Any], allowed_modules: Sequence[str] = ()
) -> list[str]:
    """Check an estimator and its hyperparameters without fitting it.

    Values are checked if scikit-learn declares the valid ones.

    Args:
        estimator: Import path of a class with `fit` and `predict`, or "auto".
        hyperparameters: Its arguments, as JSON.
        allowed_modules: Import prefixes of additional classes, such as `lightgbm`, which the
            platform must allow too.

    Returns:
        All problems; empty if the estimator can be used.
    """
    if problems := module_problems(allowed_modules):
        return problems
    if problems := size_problems({"": estimator, ARGUMENTS: hyperparameters}):
        return [f"hyperparameters: {problem}" for problem in problems]
    if estimator == AUTO:
        # Without hyperparameters the slow import of scikit-learn is avoided. The task is not known
        # yet, so hyperparameters must be valid for one of the two estimators.
        results = [
            _check(path, hyperparameters, ()) for path in DEFAULTS.values() if hyperparameters
        ]
        return min(results, key=len, default=[])
    return _check(estimator, hyperparameters, allowed_modules)


def resolve(estimator: str, task: str) -> str:
    """The import path of an estimator; "auto" is resolved by the task."""
    if estimator == AUTO:
        return DEFAULTS["regression" if task == "regression" else "classification"]
    return estimator


def kind_of(estimator: str, allowed_modules: Sequence[str] = ()) -> str:
    """`classifier` or `regressor`; empty for "auto" and for classes that do not declare it.

    Raises:
        UsageError: The class is not allowed or unknown.
    """
    if estimator == AUTO:
        return ""
    from sklearn.base import ClassifierMixin, RegressorMixin

    kind = _require(estimator, allowed_modules)
    # By class, because the tags of a meta-estimator depend on an inner estimator.
    is_classifier, is_regressor = (
        issubclass(kind, mixin) for mixin in (ClassifierMixin, RegressorMixin)
    )
    if is_classifier == is_regressor:
        return ""
    return "classifier" if is_classifier else "regressor"


def make_estimator(
    estimator: str,
    hyperparameters: Mapping[str, Any],
    *,
    task: str,
    seed: int,
    threads: int,
    allowed_modules: Sequence[str] = (),
    classes: Sequence[Any] = (),
) -> Any:
    """Create an unfitted estimator.

    The seed is set for this and all nested estimators with `random_state`, the number of threads
    for the outermost estimator with `n_jobs`, unless the user has set them.

    Args:
        estimator: Import path of the class, or "auto".
        hyperparameters: Its arguments, as JSON.
        task: `binary`, `multiclass` or `regression`.
        seed: Seed of random generators, from 0 to `MAX_SEED`.
        threads: Number of threads, at least 1.
        allowed_modules: As for `check_estimator`.
        classes: The labels of a classification. The keys of `class_weight` are texts in JSON, and
            refer to the labels with these texts.

    Returns:
        The estimator.

    Raises:
        UsageError: The class is not allowed or unknown, or hyperparameters are not valid; the
            message lists all problems.
    """
    estimator = resolve(estimator, task)
    if problems := check_estimator(estimator, hyperparameters, allowed_modules):
        raise UsageError.all_of(problems)
    labels = {str(label): label for label in classes}
    return _Maker(tuple(allowed_modules), seed, labels).make(estimator, hyperparameters, threads)


class _Maker:
    """Creates an estimator and its nested estimators."""

    def __init__(
        self, allowed: Sequence[str], seed: int | None, labels: Mapping[str, Any] | None = None
    ) -> None:
        self._allowed = allowed
        self._seed = seed
        self._labels = labels or {}

    def make(self, path: str, hyperparameters: Mapping[str, Any], threads: int | None) -> Any:
        kind = _require(path, self._allowed, nested=True)
        known = _arguments(kind)
        takes_jobs = threads is not None and "n_jobs" in known
        inner = None if takes_jobs else threads
        arguments = {
            name: self._weights(kind, value)
            if name == WEIGHTS and isinstance(value, Mapping)
            else self.value(value, inner, known[name])
            for name, value in hyperparameters.items()
        }
        if "random_state" in known and self._seed is not None:
            arguments.setdefault("random_state", self._seed)
        if takes_jobs:
            arguments.setdefault("n_jobs", threads)
        try:
            return kind(**arguments)
        except (TypeError, ValueError) as error:
            raise UsageError(f"{path}: {error}") from error

    def _weights(self, kind: type, weights: Mapping[str, Any]) -> dict[Any, Any]:
        """Weights by label; by text if the labels are not known yet.

        Histogram gradient boosting numbers the sorted labels before it looks weights up, so its
        weights are by number.

        Raises:
            UsageError: Keys that are not labels.
        """
        unknown = [key for key in weights if key not in self._labels] if self._labels else []
        if unknown:
            known = ", ".join(some(list(self._labels), shown))
            raise UsageError(
                f"{WEIGHTS}: {', '.join(some(unknown, shown))}: the target has no such label; it "
                f"has {known}"
            )
        keys = self._labels
        if keys and kind.__name__ == "HistGradientBoostingClassifier":
            keys = {str(label): number for number, label in enumerate(sorted(keys.values()))}
        return {keys.get(key, key): self.value(item, None) for key, item in weights.items()}

    def value(self, value: Any, threads: int | None, tuples: bool = False) -> Any:
        """Convert the value of a hyperparameter from JSON."""
        if _is_nested(value):
            return self.make(value[NESTED], value.get(ARGUMENTS, {}), threads)
        if (typed := _number_type(value)) is not None:
            return NUMBERS[typed](value[typed])
        if isinstance(value, Mapping):
            return {key: self.value(item, threads) for key, item in value.items()}
        if isinstance(value, list | tuple):
            items = [self.value(item, threads) for item in value]
            if _are_named(value):
                return [tuple(item) for item in items]
            return tuple(items) if tuples else items
        return int(value) if isinstance(value, float) and value.is_integer() else value


def _are_named(value: Sequence[Any]) -> bool:
    """Whether a list consists of ("name", estimator) tuples, as in pipelines and ensembles."""
    named = [isinstance(item, list) and len(item) in {2, 3} for item in value]
    return bool(value) and all(named) and any(_is_nested(pair[1]) for pair in value)


def _check(path: str, hyperparameters: Any, allowed: Sequence[str], where: str = "") -> list[str]:
    """Like `check_estimator`; `where` is the hyperparameter of a nested estimator."""
    kind = _find(path, allowed, nested=bool(where))
    if isinstance(kind, str):
        return [f"{where}{kind}"]
    if not isinstance(hyperparameters, Mapping):
        return [f"{where}hyperparameters of {kind.__name__} must be a JSON object"]
    known = _arguments(kind)

    def unknown(name: str) -> str:
        close = closest(name, known)
        hint = f"did you mean {close!r}?" if close else f"it has: {', '.join(sorted(known))}"
        return f"{where}{kind.__name__} has no hyperparameter {shown(name)}; {hint}"

    problems = some([name for name in hyperparameters if name not in known], unknown)
    for name, value in hyperparameters.items():
        if name not in known:
            continue
        if name not in GRIDS and (
            problem := _positions(name, value, nested=bool(where))
            or (_labelled(name, value) if where else "")
            or argument_problem(kind, name, value)
            or _untyped(kind, name, value)
        ):
            problems.append(f"{where}{name}: {problem}")
        problems += _check_nested(value, allowed, f"{where}{name}: ")
    if not problems:
        problems = _grid_problems(kind, hyperparameters, allowed, where)
    return problems or _check_values(path, kind, hyperparameters, allowed, where)


def _positions(name: str, value: Any, *, nested: bool) -> str:
    """Why an argument that refers to columns is refused; empty if it is not.

    An estimator gets the prepared columns, numeric ones first, so positions in the data would be
    applied to other columns. `make_pipeline` converts names, of the outermost estimator.
    """
    if name not in COLUMN_ARGUMENTS or not isinstance(value, list | tuple | Mapping):
        return ""
    if name == MONOTONIC:
        named = isinstance(value, Mapping)
        remedy = 'name the columns: {"x": 1, "z": -1}'
    else:
        groups = [group for group in value if isinstance(group, list | tuple)]
        named = name == INTERACTION and len(groups) == len(value)
        named = named and all(isinstance(item, str) for group in groups for item in group)
        remedy = 'name the columns: [["x", "z"], ["w"]]'
        if name != INTERACTION:
            remedy = "leave it out, and name the columns in categorical_columns"
    if named and not nested:
        return ""
    if named:
        return "columns can only be named for the outermost estimator"
    return (
        "refers to columns by position, and preprocessing changes positions (numeric columns come "
        f"first); {remedy}"
    )


def _labelled(name: str, value: Any) -> str:
    """Why weights by label are refused for a nested estimator or in a search; "" for others.

    An estimator around it may number the labels first, and JSON has texts as keys.
    """
    if name != WEIGHTS or not isinstance(value, Mapping):
        return ""
    return "weights of single labels are for the outermost estimator only; give 'balanced'"


def _grid_problems(
    kind: Any, given: Mapping[str, Any], allowed: Sequence[str], where: str
) -> list[str]:
    """Check the hyperparameters that a search sets on its estimator, in the same way."""
    grids = [
        (name, grid)
        for name in GRIDS.intersection(given)
        for grid in (given[name] if isinstance(given[name], list) else [given[name]])
    ]
    if not grids:
        return []
    if not _is_nested(given.get("estimator")):
        return [f"{where}{kind.__name__} needs an estimator, {{{NESTED!r}: path}}"]
    inner = _Maker(allowed, None).value(given["estimator"], None)
    problems = []
    for name, grid in grids:
        if not isinstance(grid, Mapping):
            return [f"{where}{name}: give an object of hyperparameters, each with a list of values"]
        parameters = inner.get_params(deep=True)
        for key, values in grid.items():
            if key not in parameters:
                problems.append(f"{where}{name}: no hyperparameter {shown(key)} to search")
                continue
            owner, _, last = str(key).rpartition("__")
            kind = type(parameters.get(owner) if owner else inner)
            if problem := _searched_problem(kind, last, values):
                problems.append(f"{where}{name}: {shown(key)}: {problem}")
    return problems


def _searched_problem(kind: type, name: str, values: Any) -> str:
    for value in values if isinstance(values, list | tuple) else ():
        if problem := _positions(name, value, nested=True) or _labelled(name, value):
            return problem
    return argument_problem(kind, name, _searched(name, values)) or _untyped(kind, name, values)


def _untyped(kind: Any, name: str, value: Any) -> str:
    """Why the number 1, alone or in a list, needs a type; empty if it does not.

    scikit-learn may treat 1 as one row or column, and 1.0 as all of them.
    """
    from sklearn.utils._param_validation import RealNotInt

    values = value if isinstance(value, list | tuple) else [value]
    if not any(_is_number(item) and item == 1 for item in values):
        return ""
    constraints = getattr(kind, "_parameter_constraints", {}).get(name)
    if not isinstance(constraints, list):
        return ""
    ranges = [item for item in constraints if isinstance(getattr(item, "type", None), type)]
    if not any(item.type is RealNotInt and 1.0 in item for item in ranges):
        return ""
    count = any(item.type is Integral and 1 in item for item in ranges)
    return (
        "1 and 1.0 have different meanings in scikit-learn, but are equal in JSON; write "
        '{"$float": 1} for 1.0, which is all' + ', or {"$int": 1} for a count of 1' * count
    )


def _searched(argument: str, values: Any) -> Any:
    """The values of an entry of a grid; for an argument that must be null, only other values."""
    if argument in REFUSED_ARGUMENTS and isinstance(values, list | tuple):
        return [value for value in values if value is not None] or None
    return values


def _check_nested(value: Any, allowed: Sequence[str], where: str) -> list[str]:
    if _is_nested(value):
        if extra := sorted(set(value) - {NESTED, ARGUMENTS}):
            return [f"{where}put {', '.join(extra)} into {ARGUMENTS!r}, next to {NESTED!r}"]
        return _check(value[NESTED], value.get(ARGUMENTS, {}), allowed, where)
    if (typed := _number_type(value)) is not None:
        wrong = f"{where}{shown(value)} is not a number of that type; write {{{typed!r}: 1}}"
        return [] if _is_typed_number(value, typed) else [wrong]
    items = value.values() if isinstance(value, Mapping) else value
    if not isinstance(value, Mapping | list | tuple):
        return []
    problems: list[str] = []
    for item in items:
        problems += _check_nested(item, allowed, where)
        if len(problems) > MAX_NAMED:
            # Stops here, because the search for similar names is slow.
            return [*problems[:MAX_NAMED], f"{where}and more after these"]
    return problems


def _is_typed_number(value: Mapping[str, Any], typed: str) -> bool:
    number = value[typed]
    if len(value) != 1 or not _is_number(number) or abs(number) > MAX_NUMBER:
        return False
    return typed == "$float" or number % 1 == 0


def _check_values(
    path: str, kind: Any, given: Mapping[str, Any], allowed: Sequence[str], where: str
) -> list[str]:
    """Check values against the types and ranges that scikit-learn declares."""
    maker, known = _Maker(allowed, None), _arguments(kind)
    required = _required(kind)
    if missing := sorted(required - set(given)):
        return [f"{where}{kind.__name__} needs {', '.join(missing)}; give it as a hyperparameter"]
    problems = []
    # scikit-learn declares no names for it.
    given = {key: value for key, value in given.items() if key != MONOTONIC}
    for name in given or ("",):
        # One at a time with the required ones, because scikit-learn reports the first error only.
        picked = {key: value for key, value in given.items() if key in required or key == name}
        try:
            instance = maker.make(path, picked, None)
            check = getattr(instance, "_validate_params", None)
            if check is not None and name in known:
                check()
        except (UsageError, ValueError, TypeError, AttributeError) as error:
            problems.append(f"{where}{name}: {' '.join(str(error).split())}")
    return sorted(set(problems))


def _required(kind: Any) -> set[str]:
    """The hyperparameters of a class without default."""
    return {
        name
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number_type(value: Any) -> str | None:
    """The key that marks an object as a number; None if there is none."""
    return next((key for key in NUMBERS if isinstance(value, Mapping) and key in value), None)


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping) and NESTED in value


def _arguments(kind: Any) -> dict[str, bool]:
    """The hyperparameters of a class, and whether lists must be converted to tuples."""
    constraints = getattr(kind, "_parameter_constraints", {})
    names = [
        name
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.kind in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}
    ]
    if hasattr(kind, "get_params") and len(names) < len(inspect.signature(kind).parameters):
        # With **kwargs (for example xgboost), the names are available from an instance only.
        names = [*names, *(name for name in kind().get_params(deep=False) if name not in names)]
    return {name: _tuples_only(constraints.get(name)) for name in names}


def _tuples_only(constraint: Any) -> bool:
    return isinstance(constraint, list) and tuple in constraint and list not in constraint


def _require(path: str, allowed: Sequence[str], *, nested: bool = False) -> Any:
    kind = _find(path, allowed, nested=nested)
    if isinstance(kind, str):
        raise UsageError(kind)
    return kind


def _is_path(text: object) -> bool:
    return isinstance(text, str) and _PATH.fullmatch(text) is not None


def _find(path: Any, allowed: Sequence[str], *, nested: bool = False) -> Any:
    """The class at `path`, or an error message. Imports allowed classes only."""
    if not _is_path(path) or "." not in path:
        hint = _suggestion(path) if _is_path(path) else "write sklearn.module.Class"
        return f"estimator {shown(path)} is not an import path; {hint}"
    is_sklearn = path.startswith("sklearn.")
    if not is_sklearn and path not in admitted_classes(allowed):
        return (
            f"estimator {shown(path)} is not admitted; use one of scikit-learn's, or admit it in "
            "the policy (allowed_modules) and on the platform (ASSAY_ALLOWED_CLASSES)"
        )
    try:
        kind = _import(path) if not is_sklearn or _is_open(path) else None
    except ImportError as error:
        return f"estimator {shown(path)}: {error}; install it into the image of train"
    return _class_problem(path, kind, nested=nested) or kind


def _class_problem(path: str, kind: Any, *, nested: bool) -> str:
    top = path.partition(".")[0]
    if not inspect.isclass(kind) or kind.__module__.partition(".")[0] != top:
        return f"no estimator {shown(path)}; {_suggestion(path.rpartition('.')[2])}"
    if not (_can_be_nested(kind) if nested else _is_estimator(kind)):
        expected = "estimator, kernel or splitter" if nested else "estimator with fit and predict"
        return f"{shown(path)} is not an {expected}"
    return ""


def _is_open(path: str) -> bool:
    """Whether a path below `sklearn` refers to an allowed module."""
    parts = path.split(".")
    return parts[1] in MODULES and len(parts) <= MAX_PARTS and "tests" not in parts


def _import(path: str) -> Any:
    """The object at an allowed import path; None if it does not exist."""
    module_name, _, name = path.rpartition(".")
    try:
        with warnings.catch_warnings():
            # Warnings during the import do not concern this estimator.
            warnings.simplefilter("ignore")
            return getattr(importlib.import_module(module_name), name, None)
    except ImportError:
        if path.startswith("sklearn."):
            return None
        raise


def _is_estimator(kind: type) -> bool:
    return hasattr(kind, "fit") and hasattr(kind, "predict")


def _can_be_nested(kind: type) -> bool:
    return hasattr(kind, "get_params") or hasattr(kind, "split")


@functools.cache
def _estimators() -> Mapping[str, Any]:
    """The estimators of scikit-learn by name; cached, because it imports all modules."""
    from sklearn.utils import all_estimators

    return dict(all_estimators())


def _suggestion(name: str) -> str:
    known = _estimators()
    close = closest(name, known)
    if not close:
        return "see scikit-learn's estimators"
    public = [part for part in known[close].__module__.split(".") if not part.startswith("_")]
    return f"did you mean {'.'.join([*public[:2], close])!r}?"
