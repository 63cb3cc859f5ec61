"""The allow-list of types in model files, which prevents data from running code.

skops constructs the types in a file, so their names are checked before anything is constructed or,
outside of scikit-learn, NumPy and SciPy, even imported.
"""

import importlib
import inspect
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from assay.documents import some
from assay.errors import IntegrityError
from assay.models.allowed import admitted_classes

LOADED_BY_NAME: Final = ("numpy", "scipy", "sklearn")
"""For the code identity."""
_NAMES: Final = frozenset(
    {
        "builtins.frozenset",
        "collections.OrderedDict",
        "collections.defaultdict",
        "functools.partial",
        "numpy.dtype",
        "numpy.mean",  # the default pooling function of FeatureAgglomeration
        "scipy._lib.array_api_compat.numpy._aliases.asarray",  # an attribute of splines
        "scipy.interpolate._bsplines.BSpline",
    }
)
"""Allowed in addition to the list of skops. Their construction runs no code; the function of a
partial is checked too."""
_TOPS: Final = frozenset({"builtins", "collections", "functools", "numpy", "scipy", "sklearn"})
"""Top-level modules that may be imported to load a model, besides those of the platform's
classes."""
MAX_NAME_CHARS: Final = 200
_REMEDY: Final = (
    "if they belong to an estimator that you trust, admit them in the policy (allowed_modules) and "
    "on the platform (ASSAY_ALLOWED_CLASSES)"
)
_PREFIXES: Final = ("sklearn.", "scipy.sparse.")
_CLOSED: Final = frozenset(
    {"externals", "tests", "conftest", "datasets", "_testing", "_mocking", "callback"}
)
"""Parts of scikit-learn that access the file system, the network or other processes."""
_FUNCTIONS: Final = ("sklearn.feature_selection.", "sklearn.metrics.")
"""Modules of functions that estimators refer to: scores and distances, without side effects."""
_CALLERS: Final = "sklearn.metrics._scorer."
"""Module whose functions call methods by name."""
_OWN_FUNCTIONS: Final = frozenset(
    {
        "sklearn.cluster._kmeans._kmeans_single_elkan",
        "sklearn.cluster._kmeans._kmeans_single_lloyd",
        "sklearn.preprocessing._function_transformer._identity",
        "sklearn.utils.validation.check_array",  # histogram gradient boosting with categories
    }
)
_CALLED: Final = frozenset({"FunctionNode", "TypeNode", "MethodNode"})
"""Node types of skops for callables."""
_REACHING: Final = ("memory", "input")
"""Attributes that make an estimator read files: a cache of pickles, file names."""
_REACHES: Final = frozenset({"file", "filename"})


def refused(names: Iterable[str], allowed_modules: Sequence[str] = ()) -> list[str]:
    """The types that are not allowed in a model file, sorted."""
    classes = admitted_classes(allowed_modules)
    return sorted(name for name in names if not _is_admitted(name, classes))


def require_admitted(names: Iterable[str], allowed_modules: Sequence[str], what: str) -> list[str]:
    """Check that all types are allowed.

    Args:
        names: Full names of types.
        allowed_modules: Import prefixes of additional types, which the platform must allow too.
        what: Name of the file, for errors.

    Returns:
        The names, sorted.

    Raises:
        IntegrityError: Types are not allowed; the message lists up to 20.
    """
    types = sorted(names)
    if offenders := refused(types, allowed_modules):
        raise IntegrityError(
            f"{what} contains types that are not on an allow-list: "
            f"{', '.join(some(offenders, str))}; {_REMEDY}"
        )
    return types


def require_importable(schema: Any, allowed_modules: Sequence[str], what: str) -> None:
    """Check that all modules of a file may be imported, without importing them.

    Args:
        schema: The schema of skops: nested objects with names of classes and functions.
        allowed_modules: As for `require_admitted`.
        what: Name of the file, for errors.

    Raises:
        IntegrityError: Modules are not allowed; the message lists up to 20 names.
    """
    classes = admitted_classes(allowed_modules)
    _require_quiet(schema, what)
    outside = {
        name
        for name in _named(schema)
        if name not in classes
        and (
            name.partition(".")[0] not in _TOPS
            or (name.startswith("sklearn.") and _CLOSED.intersection(name.split(".")))
        )
    }
    if outside:
        raise IntegrityError(
            f"{what} contains types that are not on an allow-list: "
            f"{', '.join(some(sorted(outside), str))}; {_REMEDY}"
        )


def _require_quiet(schema: Any, what: str) -> None:
    """Refuse estimators that read files, and classes in place of functions.

    A pipeline could call such a class with arguments that are not checked here.
    """
    for node in _nodes(schema):
        name = f"{node.get('__module__')}.{node.get('__class__')}"[:MAX_NAME_CHARS]
        called = node.get("__loader__") in _CALLED and name.startswith(_PREFIXES)
        if called and not _CLOSED.intersection(name.split(".")) and inspect.isclass(_object(name)):
            raise IntegrityError(f"{what}: would call the class {name}; the file is forged")
        for key in _REACHING:
            if (value := _text_of(node.get(key))) and (key == "memory" or value in _REACHES):
                raise IntegrityError(
                    f"{what}: an estimator has {key}={value[:80]!r}, which reads files; train it "
                    "without"
                )


def _text_of(node: Any) -> str:
    """The text of a skops node; empty if it is not text."""
    content = node.get("content") if isinstance(node, dict) else None
    if not isinstance(content, str) or node.get("__loader__") != "JsonNode":
        return ""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    return value if isinstance(value, str) else ""


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    pending = [schema]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending += item
        elif isinstance(item, dict):
            yield item
            pending += item.values()


def _named(schema: Any) -> Iterator[str]:
    """The full names of all types and functions in a schema."""
    for item in _nodes(schema):
        for module, name in (("__module__", "__class__"), ("module_path", "function")):
            if module in item:
                yield f"{item[module]}.{item.get(name, '')}"[:MAX_NAME_CHARS]


def _is_admitted(name: str, classes: frozenset[str]) -> bool:
    if name in _NAMES or name in classes:
        return True
    if not name.startswith(_PREFIXES) or _CLOSED.intersection(name.split(".")):
        return False
    return _is_own(name)


def _is_own(name: str) -> bool:
    """Whether a name refers to a class of the library, or to a function without side effects.

    The namespaces of modules also contain their imports, such as `importlib.import_module`, with
    which a pipeline could run any command. Methods have no module, so they are not allowed.
    """
    target = _object(name)
    if name in _OWN_FUNCTIONS:
        return True
    made_in = f"{getattr(target, '__module__', '')}."
    if inspect.isclass(target):
        return made_in.startswith(_PREFIXES)
    return (
        made_in.startswith(_FUNCTIONS)
        and not made_in.startswith(_CALLERS)
        and not name.rpartition(".")[2].startswith("_")
    )


def _object(name: str) -> Any:
    path, _, last = name.rpartition(".")
    try:
        return getattr(importlib.import_module(path), last, None)
    except (ImportError, ValueError):
        return None
