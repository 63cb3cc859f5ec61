"""`MODEL@ALIAS` and `MODEL/VERSION` in place of a digest; `assay.core.resolve` has the forms."""

import re
from collections.abc import Mapping
from typing import Any

from assay.core import resolve as forms
from assay.core.resolve import like
from assay.core.store import Store
from assay.errors import UsageError
from assay.governance.registry import Registry


def resolve(given: str, store: Store, what: str = "digest") -> str:
    """The full digest that `given` names; models are looked up in MLFLOW_TRACKING_URI.

    Args:
        given: Text of the user.
        store: The store for prefixes of digests.
        what: Name of the argument, for errors.

    Returns:
        The digest.

    Raises:
        UsageError: As `assay.core.resolve.resolve`.
        NotFoundError: No digest in the store has this prefix.
        ServiceError: The registry does not answer.
    """
    return forms.resolve(given, store, what, registered)


def resolve_arguments(arguments: Mapping[str, Any], store: Store) -> dict[str, Any]:
    """The arguments of a pipeline with full digests; errors as `resolve`, together."""
    return forms.resolve_arguments(arguments, store, registered)


def registered(match: re.Match[str], what: str) -> str:
    """The digest of a registered model.

    Args:
        match: Has the groups `name`, and `alias` or `version`.
        what: The argument or parameter, for messages.

    Raises:
        UsageError: The registry has no such model, alias or version.
        ServiceError: The registry does not answer.
    """
    registry, name = Registry(), match["name"]
    if match["alias"] is not None:
        result, wanted = registry.at(name, match["alias"]), f"alias {match['alias']!r}"
    else:
        result, wanted = registry.version(name, match["version"]), f"version {match['version']}"
    if result is None:
        require_model(registry, name, what)
        raise UsageError(f"{what}: model {name!r} has no {wanted} in the registry")
    return result.model


def require_model(registry: Registry, name: str, what: str = "model") -> None:
    """Refuse the name of a model that the registry does not have, and suggest a similar one.

    Args:
        registry: The registry.
        name: Of the model.
        what: Name of the argument, for errors.

    Raises:
        UsageError: There is no such model.
        ServiceError: The registry does not answer.
    """
    known = registry.names()
    if name not in known:
        raise UsageError(f"{what}: no registered model {name!r}; {like(name, known)}")
