"""The candidates of a sweep: every problem of each, before any is trained."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from assay.core.digest import canonical_json
from assay.errors import UsageError

MAX_CANDIDATES: Final = 100
_KEYS: Final = ("estimator", "hyperparameters")
_FORM: Final = '{"estimator": "sklearn.…", "hyperparameters": {…}}'


def read_candidates(given: Sequence[Any], allowed_modules: Sequence[str]) -> list[dict[str, Any]]:
    """The candidates, each with both keys: "auto" and no hyperparameters are the defaults.

    Raises:
        UsageError: None or too many, two that are the same, or some that cannot be trained; names
            every problem of each, by its position from 1.
    """
    from assay.models import check_estimator

    if not 1 <= len(given) <= MAX_CANDIDATES:
        raise UsageError(f"candidates: {len(given)} are given; give 1 to {MAX_CANDIDATES}")
    problems: list[str] = []
    candidates: list[dict[str, Any]] = []
    places: dict[bytes, int] = {}
    for place, item in enumerate(given, 1):
        what = f"candidate {place}"
        if not isinstance(item, Mapping) or not isinstance(item.get("estimator", ""), str):
            problems.append(f"{what} is {item!r}; give {_FORM}")
            continue
        if unknown := sorted(str(key) for key in item if key not in _KEYS):
            problems.append(f"{what} has {', '.join(unknown)}; give {_FORM}")
            continue
        estimator, arguments = item.get("estimator") or "auto", item.get("hyperparameters") or {}
        wrong = check_estimator(estimator, arguments, allowed_modules)
        problems += [f"{what}: {problem}" for problem in wrong]
        candidate = {"estimator": estimator, "hyperparameters": arguments}
        before = places.setdefault(canonical_json(candidate), place)
        if before != place:
            problems.append(f"{what} is the same as candidate {before}; leave one out")
        candidates.append(candidate)
    problems = problems or _mixed(candidates, allowed_modules)
    if problems:
        raise UsageError.all_of(problems)
    return candidates


def _mixed(candidates: Sequence[Mapping[str, Any]], allowed_modules: Sequence[str]) -> list[str]:
    """Classifiers together with regressors, which have no common metric."""
    from assay.models.build import AUTO, kind_of

    places: dict[str, list[str]] = {"classifier": [], "regressor": []}
    for place, item in enumerate(candidates, 1):
        if item["estimator"] != AUTO:
            places.get(kind_of(item["estimator"], allowed_modules), []).append(str(place))
    if not all(places.values()):
        return []
    named = " and ".join(f"{kind}s ({', '.join(at)})" for kind, at in places.items())
    return [f"candidates: {named} cannot be compared; give estimators of one kind"]
