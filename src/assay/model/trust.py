"""Which types a model file may hold: the allow-list that stands between data and code.

skops constructs what a file names, so a name is held against this list before anything is
constructed or, outside of scikit-learn, NumPy and SciPy, even imported.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from assay.documents import some
from assay.errors import IntegrityError
from assay.model.allowed import admitted_classes

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
_CLOSED: Final = frozenset({"externals", "tests", "conftest", "datasets", "_testing", "_mocking"})
"""Parts of scikit-learn whose functions reach the file system or the network."""


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


def _named(schema: Any) -> Iterator[str]:
    """The full name of everything that a schema would have imported."""
    waiting = [schema]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            waiting += item.values()
            for module, name in (("__module__", "__class__"), ("module_path", "function")):
                if module in item:
                    yield f"{item[module]}.{item.get(name, '')}"[:MAX_NAME_CHARS]


def _is_admitted(name: str, classes: frozenset[str]) -> bool:
    if name in _NAMES or name in classes:
        return True
    return name.startswith(_PREFIXES) and not _CLOSED.intersection(name.split("."))
