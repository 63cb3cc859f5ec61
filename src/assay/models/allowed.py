"""What hyperparameters and model files may name, and what the platform adds to it.

A class of somebody else's can do anything when it is imported or made, so the names are held
against lists before anything is imported. Who starts runs cannot change them: a policy's
`allowed_modules` only chooses among what the platform admits with `ASSAY_ALLOWED_CLASSES`.
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
"""Of scikit-learn: the modules that hold estimators, kernels and splitters, and import nothing
that acts."""
REFUSED_ARGUMENTS: Final = {
    "memory": "its cache is pickled, which is code",
    "pre_dispatch": "it is evaluated as an expression",
    "func": "it would be a function",
    "inverse_func": "it would be a function",
    "input": "it reads files that the data names",
    "tokenizer": "it would be a function",
    "preprocessor": "it would be a function",
    "token_pattern": "a pattern can take forever",
}
"""Arguments that reach beyond the estimator, and why."""
TEXTS: Final = frozenset(
    {
        "steps", "estimators", "transformers", "transformer_list", "transformer_weights",
        "categories", "categorical_features", "class_weight", "classes", "constant", "fill_value",
        "interaction_cst", "missing_values", "monotonic_cst", "vocabulary",
    }
)  # fmt: skip
"""Arguments whose texts are names of columns, steps or labels, and so any text."""
WORDS: Final = frozenset({"encoding", "refit", "resource", "scoring", "threshold"})
"""Arguments of which scikit-learn declares no more than that they are texts: a word is taken, which
it looks up in a list of its own."""
GRIDS: Final = frozenset({"param_grid", "param_distributions"})
MAX_DEPTH: Final = 8
"""Estimators within each other."""
MAX_VALUES: Final = 10_000
"""Of all hyperparameters together."""
MAX_TEXT_CHARS: Final = 1_000

_PATH: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_:-]{0,40}", re.ASCII)
_FILES: Final = re.compile(r"(file|path|dir|url|callback|model|fobj|feval)", re.IGNORECASE)


def platform_classes() -> frozenset[str]:
    """The classes that `ASSAY_ALLOWED_CLASSES` admits besides scikit-learn's.

    Raises:
        UsageError: The variable holds something else than full names of classes.
    """
    given = ALLOWED_CLASSES.get()
    if wrong := [name for name in given if not _PATH.fullmatch(name)]:
        raise UsageError(
            f"{ALLOWED_CLASSES.name}: {'; '.join(some(wrong, shown))}: give full names of classes, "
            "separated by commas, such as lightgbm.sklearn.LGBMClassifier"
        )
    return frozenset(given)


def module_problems(allowed_modules: Sequence[Any]) -> list[str]:
    """Why import prefixes that a policy names cannot be admitted; empty where they can."""
    classes = platform_classes()

    def tell(name: Any) -> str:
        admitted = ", ".join(sorted(classes)) or "none but scikit-learn's"
        return (
            f"allowed_modules: {shown(name)} is not admitted on this platform, which admits "
            f"{admitted}; who runs it can add classes to {ALLOWED_CLASSES.name}"
        )

    return some(
        [
            name
            for name in allowed_modules
            if not isinstance(name, str)
            or not any(path == name or path.startswith(f"{name}.") for path in classes)
        ],
        tell,
    )


def admitted_classes(allowed_modules: Sequence[str]) -> frozenset[str]:
    """The platform's classes below one of the import prefixes."""
    return frozenset(
        path
        for path in platform_classes()
        if any(path == name or path.startswith(f"{name}.") for name in allowed_modules)
    )


def size_problems(value: Any) -> list[str]:
    """Why hyperparameters are too many or too deep; looks at no more than the limits admit."""
    values = 0
    level: list[Any] = [value]
    # An estimator within another is three levels down: its object, its arguments, a list.
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
    return [f"nested too deep; the limit is {MAX_DEPTH} estimators within each other"]


def argument_problem(kind: Any, name: str, value: Any) -> str:
    """Why a value must not be given for an argument; empty where it may.

    Numbers, truth values and null reach nothing. A text may name a function, a file or an
    expression, so it must be one of those that scikit-learn declares for the argument, or the
    argument must be one that takes names (`TEXTS`).
    """
    if name in REFUSED_ARGUMENTS:
        return "" if value is None else f"{REFUSED_ARGUMENTS[name]}; leave it out"
    if name in TEXTS:
        return ""
    texts = [text for text in _texts(value) if not _is_declared(kind, name, text)]
    if not texts:
        return ""
    return f"{'; '.join(some(texts, shown, 3))} is not among the texts that it takes"


def _is_declared(kind: Any, name: str, text: str) -> bool:
    constraints = getattr(kind, "_parameter_constraints", None)
    if not isinstance(constraints, dict):
        # Of the platform's own classes nothing is declared; words are taken, paths are not.
        return _FILES.search(name) is None and _WORD.fullmatch(text) is not None
    if name in WORDS:
        return _WORD.fullmatch(text) is not None
    declared = [getattr(each, "constraint", each) for each in constraints.get(name, ())]
    options = [getattr(each, "options", ()) for each in declared if not isinstance(each, str)]
    return any(text in each for each in options)


def _inner(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list | tuple) else ()


def _texts(value: Any) -> list[str]:
    """The texts in a value that is not an estimator, at any depth."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        # An estimator's arguments are checked as its own.
        items: list[Any] = [] if "$estimator" in value else list(value.values())
    else:
        items = list(value) if isinstance(value, list | tuple) else []
    return [text for item in items for text in _texts(item)]
