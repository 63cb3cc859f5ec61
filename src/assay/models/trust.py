"""Which types a model file may hold: the allow-list that stands between data and code.

skops constructs what a file names, so a name is held against this list before anything is
constructed or, outside of scikit-learn, NumPy and SciPy, even imported.
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
        "numpy.mean",  # what FeatureAgglomeration pools with
        "scipy._lib.array_api_compat.numpy._aliases.asarray",  # held by splines
        "scipy.interpolate._bsplines.BSpline",
    }
)
"""Beyond skops' own list. Each runs nothing by being constructed; a partial's function is held
against this list as well."""
_TOPS: Final = frozenset({"builtins", "collections", "functools", "numpy", "scipy", "sklearn"})
"""What may be imported at all for a model's sake, besides the platform's classes."""
MAX_NAME_CHARS: Final = 200
_REMEDY: Final = (
    "if they belong to an estimator that you trust, admit them in the policy (allowed_modules) and "
    "on the platform (ASSAY_ALLOWED_CLASSES)"
)
_PREFIXES: Final = ("sklearn.", "scipy.sparse.")
_CLOSED: Final = frozenset(
    {"externals", "tests", "conftest", "datasets", "_testing", "_mocking", "callback"}
)
"""Parts of scikit-learn that reach the file system, the network or other processes."""
_FUNCTIONS: Final = ("sklearn.feature_selection.", "sklearn.metrics.")
"""Where the functions are that estimators hold: scores and distances, which only compute."""
_CALLERS: Final = "sklearn.metrics._scorer."
"""Its functions call methods by name."""
_OWN_FUNCTIONS: Final = frozenset(
    {
        "sklearn.cluster._kmeans._kmeans_single_elkan",
        "sklearn.cluster._kmeans._kmeans_single_lloyd",
        "sklearn.preprocessing._function_transformer._identity",
        "sklearn.utils.validation.check_array",  # histogram gradient boosting with categories
    }
)
_CALLED: Final = frozenset({"FunctionNode", "TypeNode", "MethodNode"})
"""What skops calls a node that stands for something to be called, not for an object."""
_REACHING: Final = ("memory", "input")
"""Attributes that make an estimator read files: a cache of pickles, names of files."""
_REACHES: Final = frozenset({"file", "filename"})


def refused(names: Iterable[str], allowed_modules: Sequence[str] = ()) -> list[str]:
    """Those of the types named in a file that it must not hold, sorted."""
    classes = admitted_classes(allowed_modules)
    return sorted(name for name in names if not _is_admitted(name, classes))


def require_admitted(names: Iterable[str], allowed_modules: Sequence[str], what: str) -> list[str]:
    """The names, sorted, if all of them are admitted.

    Raises:
        IntegrityError: Names all that are not.
    """
    found = sorted(names)
    if offenders := refused(found, allowed_modules):
        raise IntegrityError(
            f"{what} holds types that no allow-list holds: {', '.join(some(offenders, str))}; "
            f"{_REMEDY}"
        )
    return found


def require_importable(schema: Any, allowed_modules: Sequence[str], what: str) -> None:
    """Refuse a file that names a module which must not be imported; imports nothing itself.

    Args:
        schema: skops' own: nested objects, each of which may name a class or a function.
        allowed_modules: As for `require_admitted`.
        what: What to call the file in errors.

    Raises:
        IntegrityError: Names up to 20 that are outside.
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
            f"{what} holds types that no allow-list holds: {', '.join(some(sorted(outside), str))}"
            f"; {_REMEDY}"
        )


def _require_quiet(schema: Any, what: str) -> None:
    """Refuse estimators that read files, and classes where a function belongs.

    A pipeline could call such a class with values of its own, beyond what is checked here.
    """
    for node in _nodes(schema):
        name = f"{node.get('__module__')}.{node.get('__class__')}"[:MAX_NAME_CHARS]
        called = node.get("__loader__") in _CALLED and name.startswith(_PREFIXES)
        if called and not _CLOSED.intersection(name.split(".")) and inspect.isclass(_found(name)):
            raise IntegrityError(f"{what}: would call the class {name}; the file is forged")
        for key in _REACHING:
            if (value := _text_of(node.get(key))) and (key == "memory" or value in _REACHES):
                raise IntegrityError(
                    f"{what}: an estimator has {key}={value[:80]!r}, which reads files; train it "
                    "without"
                )


def _text_of(node: Any) -> str:
    """The text that a node of skops stands for; empty where it is none."""
    content = node.get("content") if isinstance(node, dict) else None
    if not isinstance(content, str) or node.get("__loader__") != "JsonNode":
        return ""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    return value if isinstance(value, str) else ""


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    waiting = [schema]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            yield item
            waiting += item.values()


def _named(schema: Any) -> Iterator[str]:
    """The full name of everything that a schema would have imported."""
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
    """Whether a name leads to a class of the library, or to one of its functions that only compute.

    The modules of a library also hold what they import, such as `importlib.import_module`; called
    one after the other by a pipeline, such functions run any command. Methods have no module, so
    that none is admitted.
    """
    found = _found(name)
    if name in _OWN_FUNCTIONS:
        return True
    made_in = f"{getattr(found, '__module__', '')}."
    if inspect.isclass(found):
        return made_in.startswith(_PREFIXES)
    return (
        made_in.startswith(_FUNCTIONS)
        and not made_in.startswith(_CALLERS)
        and not name.rpartition(".")[2].startswith("_")
    )


def _found(name: str) -> Any:
    path, _, last = name.rpartition(".")
    try:
        return getattr(importlib.import_module(path), last, None)
    except (ImportError, ValueError):
        return None
