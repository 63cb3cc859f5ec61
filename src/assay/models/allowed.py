"""Allow-lists for names in hyperparameters and model files.

Foreign classes can run code when they are imported or constructed, so names are checked before
anything is imported. Users who start runs cannot change the lists: the `allowed_modules` of a
policy select among the classes that the platform allows with `ASSAY_ALLOWED_CLASSES`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from assay.core.settings import ALLOWED_CLASSES
from assay.documents import shown, some
from assay.errors import UsageError

MODULES: Final = frozenset(
    {
        "calibration", "cluster", "compose", "covariance", "cross_decomposition", "decomposition",
        "discriminant_analysis", "dummy", "ensemble", "feature_extraction", "feature_selection",
        "frozen", "gaussian_process", "impute", "isotonic", "kernel_approximation", "kernel_ridge",
        "linear_model", "manifold", "mixture", "model_selection", "multiclass", "multioutput",
        "naive_bayes", "neighbors", "neural_network", "pipeline", "preprocessing",
        "random_projection", "semi_supervised", "svm", "tree",
    }
)  # fmt: skip
"""Modules of scikit-learn with estimators, kernels and splitters, whose import has no side
effects."""
REFUSED_ARGUMENTS: Final = {
    "memory": "its cache is pickled, which is code",
    "pre_dispatch": "it is evaluated as an expression",
    "func": "it would be a function",
    "inverse_func": "it would be a function",
    "input": "it reads files whose names are in the data",
    "tokenizer": "it would be a function",
    "preprocessor": "it would be a function",
    "token_pattern": "a pattern can take forever",
}
"""Refused arguments, and the reasons."""
TEXTS: Final = frozenset(
    {
        "steps", "estimators", "transformers", "transformer_list", "transformer_weights",
        "categories", "categorical_features", "class_weight", "classes", "constant", "fill_value",
        "interaction_cst", "missing_values", "monotonic_cst", "vocabulary",
    }
)  # fmt: skip
"""Arguments whose texts are names of columns, steps or labels, so that any text is allowed."""
WORDS: Final = frozenset({"encoding", "refit", "resource", "scoring", "threshold"})
"""Arguments that scikit-learn declares as strings: a word is allowed, which scikit-learn looks up
in a list."""
GRIDS: Final = frozenset({"param_grid", "param_distributions"})
MAX_DEPTH: Final = 8
"""Maximum nesting depth of estimators."""
MAX_VALUES: Final = 10_000
"""Maximum number of values in all hyperparameters."""
MAX_TEXT_CHARS: Final = 1_000

_PATH: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_:-]{0,40}", re.ASCII)
_FILES: Final = re.compile(r"(file|path|dir|url|callback|model|fobj|feval)", re.IGNORECASE)


def platform_classes() -> frozenset[str]:
    """The classes of `ASSAY_ALLOWED_CLASSES`, which are allowed in addition to scikit-learn's.

    Raises:
        UsageError: The variable is not a list of full class names.
    """
    names = ALLOWED_CLASSES.get()
    if wrong := [name for name in names if not _PATH.fullmatch(name)]:
        raise UsageError(
            f"{ALLOWED_CLASSES.name}: {'; '.join(some(wrong, shown))}: give full names of classes, "
            "separated by commas, such as lightgbm.sklearn.LGBMClassifier"
        )
    return frozenset(names)


def module_problems(allowed_modules: Sequence[Any]) -> list[str]:
    """Why the import prefixes of a policy are not allowed; empty if they are."""
    classes = platform_classes()

    def describe(name: Any) -> str:
        admitted = ", ".join(sorted(classes)) or "none but scikit-learn's"
        return (
            f"allowed_modules: {shown(name)} is not admitted on this platform, which admits "
            f"{admitted}; an administrator can add classes to {ALLOWED_CLASSES.name}"
        )

    return some(
        [
            name
            for name in allowed_modules
            if not isinstance(name, str)
            or not any(path == name or path.startswith(f"{name}.") for path in classes)
        ],
        describe,
    )


def admitted_classes(allowed_modules: Sequence[str]) -> frozenset[str]:
    """The allowed classes of the platform below one of the import prefixes."""
    return frozenset(
        path
        for path in platform_classes()
        if any(path == name or path.startswith(f"{name}.") for name in allowed_modules)
    )


def size_problems(value: Any) -> list[str]:
    """Why hyperparameters exceed the limits; empty if they do not."""
    values = 0
    level: list[Any] = [value]
    # A nested estimator adds three levels: its object, its arguments, a list.
    for _ in range(3 * MAX_DEPTH):
        values += len(level)
        if values > MAX_VALUES:
            return [f"more than {MAX_VALUES:,} values; give fewer hyperparameters"]
        texts = [item for item in level if isinstance(item, str)]
        if any(len(text) > MAX_TEXT_CHARS for text in texts):
            return [f"a text of more than {MAX_TEXT_CHARS:,} characters"]
        level = [inner for item in level for inner in _inner(item)]
        if not level:
            return []
    return [f"nested too deep; the limit is {MAX_DEPTH} nested estimators"]


def argument_problem(kind: Any, name: str, value: Any) -> str:
    """Check the value of an argument.

    Numbers, booleans and null are harmless. A text may refer to a function, a file or an
    expression, so it must be a value that scikit-learn declares for the argument, or the argument
    must be one for names (`TEXTS`).

    Args:
        kind: The class of the estimator.
        name: Name of the argument.
        value: Its value from JSON.

    Returns:
        Why the value is refused; empty if it is allowed.
    """
    if name in REFUSED_ARGUMENTS:
        return "" if value is None else f"{REFUSED_ARGUMENTS[name]}; leave it out"
    if name in TEXTS:
        return ""
    texts = [text for text in _texts(value) if not _is_declared(kind, name, text)]
    if not texts:
        return ""
    return f"{'; '.join(some(texts, shown, 3))} is not one of its allowed values"


def _is_declared(kind: Any, name: str, text: str) -> bool:
    constraints = getattr(kind, "_parameter_constraints", None)
    if not isinstance(constraints, dict):
        # The platform's classes declare nothing; words are allowed, paths are not.
        return _FILES.search(name) is None and _WORD.fullmatch(text) is not None
    if name in WORDS:
        return _WORD.fullmatch(text) is not None
    declared = [getattr(item, "constraint", item) for item in constraints.get(name, ())]
    options = [getattr(item, "options", ()) for item in declared if not isinstance(item, str)]
    return any(text in item for item in options)


def _inner(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list | tuple) else ()


def _texts(value: Any) -> list[str]:
    """All texts in a value, except those of nested estimators."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        # The arguments of a nested estimator are checked separately.
        items: list[Any] = [] if "$estimator" in value else list(value.values())
    else:
        items = list(value) if isinstance(value, list | tuple) else []
    return [text for item in items for text in _texts(item)]
