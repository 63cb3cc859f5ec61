"""The forms in which users may write a digest.

| form | meaning |
|---|---|
| `sha256:<64 hex digits>` | the digest itself |
| `sha256:3f9a12…`, `3f9a12` | the unique artifact or attestation with that prefix, as in Git |
| `income@candidate` | the current version of an alias in the registry |
| `income/3` | a version of a registered model |

Commands resolve them before anything starts, and executions before the step runs, so that step
keys, attestations and messages contain full digests only.
"""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from assay.core.digest import PREFIX, is_digest
from assay.core.store import Store
from assay.errors import AssayError, NotFoundError, UsageError

MIN_DIGITS: Final = 4
"""Minimum number of hex digits of a prefix, as in Git."""
MAX_CANDIDATES: Final = 32
"""Maximum number of blobs with a prefix whose types are determined."""
MAX_SHOWN: Final = 5

_PREFIX = re.compile(rf"(sha256:)?([0-9a-f]{{{MIN_DIGITS},64}})(…|\.\.\.)?", re.ASCII)
_VERSION = re.compile(r"(?:models:/)?(?P<name>[^/@:]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[0-9]+))")

Named = Callable[[re.Match[str], str], str]
"""Returns the digest of a registered model for a match of `_VERSION` and the name of the argument,
for messages. The registry is in a higher package, so the caller passes this function
(`assay.governance.model_names`)."""


def is_short(text: object) -> bool:
    """Whether `text` is `sha256:` and fewer than 64 hex digits, which cannot be a path."""
    return (
        isinstance(text, str)
        and text.startswith(PREFIX)
        and not is_digest(text)
        and _PREFIX.fullmatch(text) is not None
    )


def moves(text: object) -> bool:
    """Whether `text` refers to a model by an alias, which may move to another version."""
    match = _VERSION.fullmatch(text) if isinstance(text, str) else None
    return match is not None and match["alias"] is not None


def resolve(text: str, store: Store, what: str = "digest", named: Named | None = None) -> str:
    """Resolve one of the forms in the module docstring.

    Args:
        text: What the user wrote.
        store: The store in which prefixes are looked up.
        what: Name of the argument or parameter, for messages.
        named: Resolves registered models; None if models are not allowed.

    Returns:
        The full digest.

    Raises:
        UsageError: The text has none of the forms, the prefix is ambiguous, or the registry does
            not have the model, alias or version.
        NotFoundError: The store has no blob with the prefix.
        ServiceError: The registry does not respond.
    """
    if is_digest(text):
        return text
    if match := _PREFIX.fullmatch(text):
        return _find(match[2], store, what)
    if match := _VERSION.fullmatch(text):
        if named is None:
            raise UsageError(f"{what}: {text[:200]!r}: no registry is available; give a digest")
        return named(match, what)
    raise UsageError(
        f"{what}: {text[:200]!r} is not a digest ('sha256:' and 64 lower-case hex digits), nor "
        f"the beginning of one ({MIN_DIGITS} digits or more), nor MODEL@ALIAS or MODEL/VERSION"
    )


def resolve_arguments(
    arguments: Mapping[str, Any],
    store: Store,
    named: Named,
    models: frozenset[str] = frozenset({"model", "to"}),
) -> dict[str, Any]:
    """Resolve the digests among the arguments of a pipeline.

    Args:
        arguments: By name. Every text for which `is_short` holds is a prefix of a digest.
        store: The store in which prefixes are looked up.
        named: Resolves registered models.
        models: Parameters that are always digests, and may therefore be an alias or a version of a
            model.

    Returns:
        The arguments with full digests.

    Raises:
        UsageError: Several arguments cannot be resolved; the message lists all of them.
        AssayError: One argument cannot be resolved; as for `resolve`.
    """
    resolved = dict(arguments)
    errors: list[AssayError] = []
    for name, value in arguments.items():
        if not (is_short(value) or (name in models and isinstance(value, str) and value)):
            continue
        try:
            resolved[name] = resolve(value, store, f"parameter {name!r}", named)
        except AssayError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise UsageError.all_of(str(error) for error in errors)
    return resolved


def _find(digits: str, store: Store, what: str) -> str:
    digests = [PREFIX + digits] if len(digits) == 64 else store.find_blobs(digits)  # noqa: PLR2004
    if not digests:
        raise NotFoundError(
            f"{what}: no blob in {store.url.split('?', 1)[0]} begins with {PREFIX}{digits}; "
            "check the digits and ASSAY_STORE"
        )
    if len(digests) == 1:
        return digests[0]
    if len(digests) > MAX_CANDIDATES:
        raise UsageError(f"{what}: {len(digests)} digests begin with {digits}; give more digits")
    # Users refer to artifacts and attestations, but files of artifacts are blobs too.
    kinds = {digest: kind for digest in digests if (kind := _kind(digest, store))}
    if len(kinds) == 1:
        return next(iter(kinds))
    listed = [f"{digest} ({kinds.get(digest, 'a file')})" for digest in (kinds or digests)]
    more = f" and {len(listed) - MAX_SHOWN} more" if len(listed) > MAX_SHOWN else ""
    raise UsageError(
        f"{what}: {digits} is ambiguous; give more digits of one of: "
        f"{', '.join(listed[:MAX_SHOWN])}{more}"
    )


def _kind(digest: str, store: Store) -> str:
    """Description of the type of a blob, for messages; "" for a file of an artifact."""
    from assay.core.attestation import load
    from assay.core.tree import get_manifest

    try:
        kind = get_manifest(store, digest).artifact_type
    except AssayError:
        try:
            return f"attestation of {load(store, digest, None).step}"
        except AssayError:
            return ""
    return kind.removeprefix("application/vnd.assay.")


def like(name: str, known: list[str]) -> str:
    """A suggestion for an unknown name."""
    if close := get_close_matches(name, known, n=1):
        return f"did you mean {close[0]!r}?"
    more = ", …" if len(known) > MAX_SHOWN else ""
    return f"there are: {', '.join(known[:MAX_SHOWN])}{more}" if known else "none exists yet"
