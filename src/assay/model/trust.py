"""Which types a model file may hold: the allow-list that stands between data and code.

skops constructs what a file names, so a name is held against this list before anything is
constructed or, outside of scikit-learn, NumPy and SciPy, even imported.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from assay.errors import IntegrityError

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
_PREFIXES: Final = ("sklearn.", "scipy.sparse.")
_CLOSED: Final = frozenset({"externals", "tests", "conftest", "datasets", "_testing", "_mocking"})
"""Parts of scikit-learn whose functions reach the file system or the network."""


def refused(names: Iterable[str], allowed_modules: Sequence[str] = ()) -> list[str]:
    """Those of the types named in a file that it must not hold, sorted."""
    return sorted(name for name in names if not _is_admitted(name, allowed_modules))


def require_admitted(names: Iterable[str], allowed_modules: Sequence[str], what: str) -> list[str]:
    """The names, sorted, if all of them are admitted.

    Raises:
        IntegrityError: Names all that are not.
    """
    found = sorted(names)
    if offenders := refused(found, allowed_modules):
        raise IntegrityError(
            f"{what} holds types that no allow-list holds: {', '.join(offenders)}; if they belong "
            "to an estimator that you trust, admit its module (allowed_modules)"
        )
    return found


def _is_admitted(name: str, allowed_modules: Sequence[str]) -> bool:
    if name in _NAMES:
        return True
    if name.startswith(_PREFIXES):
        return not _CLOSED.intersection(name.split("."))
    return any(module and name.startswith(f"{module}.") for module in allowed_modules)
