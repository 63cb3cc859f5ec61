"""Releases in the maintenance of a store: roots to keep, and faults of the logs."""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from assay.core.maintenance import fsck as checking
from assay.core.maintenance import gc
from assay.core.maintenance.fsck import Checked, Finding
from assay.core.maintenance.gc import Plan
from assay.core.signing import Verifier
from assay.core.store import Store
from assay.errors import AssayError, IntegrityError, UsageError
from assay.governance.registry import Registry
from assay.releases import log

PROTECTED_VERSIONS: Final = 3
"""Number of last production versions that are always kept."""
MAX_RELEASE_BYTES: Final = 4 << 20
_DIGEST_IN_TEXT: Final = re.compile(r"sha256:[0-9a-f]{64}(?![0-9a-f])", re.ASCII)


def plan(
    store: Store,
    roots: Mapping[str, str],
    *,
    now: float,
    grace: float,
    verifier: Verifier | None = None,
) -> Plan:
    """Plan a collection that keeps the roots of the release log; see `gc.plan`.

    Args:
        store: The store.
        roots: Further digests to keep, each with the reason.
        now: The time of the store, in seconds since the epoch.
        grace: Seconds for which everything written or used is kept.
        verifier: Whose signatures count; None if no keys are configured.

    Returns:
        What can be removed.
    """
    return gc.plan(store, roots, providers=[_provider(verifier)], now=now, grace=grace)


def remove(
    store: Store,
    removable: Plan,
    roots: Callable[[], Mapping[str, str]],
    *,
    verifier: Verifier | None = None,
) -> int:
    """Remove what a plan lists, except what the release log needs by now; see `gc.remove`.

    Args:
        store: The store.
        removable: The plan.
        roots: Returns further digests to keep, each with the reason.
        verifier: Whose signatures count; None if no keys are configured.

    Returns:
        The number of removed blobs.
    """
    return gc.remove(store, removable, roots, providers=[_provider(verifier)])


def _provider(verifier: Verifier | None) -> gc.Provider:
    return functools.partial(released, verifier=verifier)


def fsck(
    store: Store,
    verifier: Verifier | None,
    source: Store | None = None,
    progress: Callable[[str], None] = lambda _: None,
    *,
    repair: bool = False,
) -> Checked:
    """Check a store including its release logs; see `assay.core.maintenance.fsck`.

    Args:
        store: The store.
        verifier: Whose signatures count; None if no keys are configured.
        source: A copy of the store to repair from.
        progress: Called with the digest of each blob.
        repair: Whether to write damaged plain copies and pointers again.

    Returns:
        The findings.
    """
    return checking.fsck(store, verifier, source, progress, repair=repair, checks=[broken])


def released(store: Store, verifier: Verifier | None) -> dict[str, str]:
    """The roots of the release log; `verifier` as for `log.live`.

    Raises:
        IntegrityError: It cannot be followed to its end.
    """
    try:
        return dict.fromkeys(log.live(store, verifier), "in the release log")
    except AssayError as error:
        raise IntegrityError(f"release log: {error}") from error


def broken(store: Store, verifier: Verifier | None) -> list[Finding]:
    """The faults of the release logs of a store."""
    return [
        Finding(fault.what, fault.text, mended=False)
        for fault in log.check(store, verifier)
        if fault.broken
    ]


def registry_roots(registry: Registry, keep_versions: int | None) -> dict[str, str]:
    """The digests that registered versions name: models, data and decisions.

    Args:
        registry: The registry.
        keep_versions: Number of newest versions of each model to keep; None keeps all. Versions
            with an alias and the last `PROTECTED_VERSIONS` in production are always kept.

    Raises:
        ServiceError: The registry failed.
        UsageError: A version that must be kept does not name its model.
    """
    roots: dict[str, str] = {}
    for name, versions in registry.versions().items():
        protected = set(registry.production_history(name)[-PROTECTED_VERSIONS:])
        protected |= registry.aliased(name)
        newest_first = sorted(versions, key=lambda item: -int(item.version))
        for place, version in enumerate(newest_first):
            must = version.version in protected
            if must:
                version.model  # noqa: B018 - refuses a version that does not say which model it is
            if must or keep_versions is None or place < keep_versions:
                named = digests_in(" ".join(version.tags.values()))
                roots.update(dict.fromkeys(named, f"version {version.version} of {name!r}"))
    return roots


def release_roots(paths: Iterable[Path], store: Store) -> dict[str, str]:
    """Digests in release files, or in all files of a deployment repository's checkout.

    Raises:
        UsageError: A path cannot be read, or names nothing in this store, because a wrong path must
            not make everything removable.
    """
    roots: dict[str, str] = {}
    for path in paths:
        digests: dict[str, str] = {}
        for file in _files_of(path):
            digests.update(dict.fromkeys(digests_in(_text(file)), f"release {file}"))
        stored = {digest: why for digest, why in digests.items() if store.has(digest)}
        if not stored:
            raise UsageError(
                f"--release {path}: no digest of anything in {store.url}; give the release's file, "
                "or the folder of the deployment repository"
            )
        roots.update(stored)
    return roots


def digests_in(text: str) -> list[str]:
    """Every digest in a text."""
    return _DIGEST_IN_TEXT.findall(text)


def _files_of(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(
            file
            for file in path.rglob("*")
            if file.is_file() and ".git" not in file.relative_to(path).parts
        )
    return [path]


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_RELEASE_BYTES:
            return ""
        return path.read_text(errors="replace", encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"--release: cannot read {path} ({error.strerror}); give an existing file or folder"
        ) from error
