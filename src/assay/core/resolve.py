"""What a user may write where a digest goes.

| written | names |
|---|---|
| `sha256:<64 hex digits>` | the artifact itself |
| `sha256:3f9a12…`, `3f9a12` | the one artifact or attestation whose digest begins so, as in Git |
| `income@candidate` | the version that the registry's alias names now |
| `income/3` | that version of the registered model |

A command line resolves before anything starts, and a step before it runs, so that step keys,
attestations and messages hold nothing but whole digests.
"""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from assay.core.digest import PREFIX, is_digest
from assay.core.store import Store
from assay.errors import AssayError, NotFoundError, UsageError

MIN_DIGITS: Final = 4
"""Fewest hex digits of a prefix, as in Git."""
MAX_CANDIDATES: Final = 32
"""Blobs under one prefix that are looked into before more digits are asked for."""
MAX_SHOWN: Final = 5

_PREFIX = re.compile(rf"(sha256:)?([0-9a-f]{{{MIN_DIGITS},64}})(…|\.\.\.)?", re.ASCII)
_VERSION = re.compile(r"(?:models:/)?(?P<name>[^/@:]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[0-9]+))")

Named = Callable[[re.Match[str], str], str]
"""Gives the digest of a registered model: what `_VERSION` matched, and the argument's name for
messages. The registry is above this room, so whoever knows it hands it down
(`assay.governance.model_names`)."""


def is_short(text: object) -> bool:
    """Whether `text` is `sha256:` and fewer than 64 hex digits; no path or document looks so."""
    return (
        isinstance(text, str)
        and text.startswith(PREFIX)
        and not is_digest(text)
        and _PREFIX.fullmatch(text) is not None
    )


def moves(text: object) -> bool:
    """Whether `text` names a model through an alias, which may name another one tomorrow."""
    match = _VERSION.fullmatch(text) if isinstance(text, str) else None
    return match is not None and match["alias"] is not None


def resolve(given: str, store: Store, what: str = "digest", named: Named | None = None) -> str:
    """The whole digest that `given` names; see the module's docstring for the forms.

    Args:
        given: As a user wrote it.
        store: Where a prefix is looked up.
        what: The argument or parameter, for messages.
        named: Knows registered models; without it, no model can be named by alias or version.

    Raises:
        UsageError: None of the forms, a prefix of several (lists them), or a model, alias or
            version that the registry does not have.
        NotFoundError: Nothing in the store begins so.
        ServiceError: The registry does not answer.
    """
    if is_digest(given):
        return given
    if match := _PREFIX.fullmatch(given):
        return _find(match[2], store, what)
    if match := _VERSION.fullmatch(given):
        if named is None:
            raise UsageError(f"{what}: {given[:200]!r}: there is no registry here; give a digest")
        return named(match, what)
    raise UsageError(
        f"{what}: {given[:200]!r} is not a digest ('sha256:' and 64 lower-case hex digits), nor "
        f"the beginning of one ({MIN_DIGITS} digits or more), nor MODEL@ALIAS or MODEL/VERSION"
    )


def resolve_arguments(
    arguments: Mapping[str, Any],
    store: Store,
    named: Named,
    models: frozenset[str] = frozenset({"model", "to"}),
) -> dict[str, Any]:
    """A pipeline's arguments with whole digests.

    Args:
        arguments: By name. Any text that `is_short` is a digest's beginning.
        store: Where prefixes are looked up.
        named: Knows registered models.
        models: Parameters that hold nothing but digests, so that a model's alias or version may
            stand there too.

    Raises:
        UsageError: Names every argument that names nothing, or several things.
        AssayError: As `resolve`, where one argument is at fault.
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
    found = [PREFIX + digits] if len(digits) == 64 else store.find_blobs(digits)  # noqa: PLR2004
    if not found:
        raise NotFoundError(
            f"{what}: nothing in {store.url.split('?', 1)[0]} begins with {PREFIX}{digits}; "
            "check the digits and ASSAY_STORE"
        )
    if len(found) == 1:
        return found[0]
    if len(found) > MAX_CANDIDATES:
        raise UsageError(f"{what}: {len(found)} digests begin with {digits}; give more digits")
    # Files of artifacts are blobs too; what users name is an artifact or an attestation.
    kinds = {digest: kind for digest in found if (kind := _kind(digest, store))}
    if len(kinds) == 1:
        return next(iter(kinds))
    listed = [f"{digest} ({kinds.get(digest, 'a file')})" for digest in (kinds or found)]
    more = f" and {len(listed) - MAX_SHOWN} more" if len(listed) > MAX_SHOWN else ""
    raise UsageError(
        f"{what}: {digits} is ambiguous; give more digits of one of: "
        f"{', '.join(listed[:MAX_SHOWN])}{more}"
    )


def _kind(digest: str, store: Store) -> str:
    """What a blob is, for a person; "" for a file of an artifact."""
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
    """A hint at what a name may have been meant for."""
    if close := get_close_matches(name, known, n=1):
        return f"did you mean {close[0]!r}?"
    more = ", …" if len(known) > MAX_SHOWN else ""
    return f"there are: {', '.join(known[:MAX_SHOWN])}{more}" if known else "there is none yet"
