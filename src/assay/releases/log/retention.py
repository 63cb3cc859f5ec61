"""Copies of releases in the store, and the digests that the collector must keep."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from assay.core.digest import PREFIX
from assay.core.signing import Verifier
from assay.core.step import Services
from assay.core.store import Store
from assay.errors import AssayError, UnknownKeyError
from assay.releases.log.chain import read
from assay.releases.log.entry import Entry, NotAnEntryError, chain_id, logs, places, read_entry
from assay.releases.release import MAX_RELEASE_BYTES, MEDIA_TYPE, Release, parse_release

KEPT_RELEASES: Final = 3
"""The current release of an environment and the two before it can be restored."""


def put_release(store: Store, release: Release) -> str:
    """Keep a copy of a `release.yaml` in the store, for when Git cannot be reached."""
    return store.put_bytes(release.render(), MEDIA_TYPE).digest


def get_release(store: Store, name: str) -> Release:
    """The copy of a release by its digest; errors as `Store.get_bytes` and `parse_release`."""
    return parse_release(store.get_bytes(name, MAX_RELEASE_BYTES), f"release {name}")


def live(store: Store, verifier: Verifier | None) -> set[str]:
    """Digests that must be kept: releases, their models, and what they are based on.

    For every model, environment and deployment repository these are the newest `KEPT_RELEASES`
    different releases by each key, the current one and as many before it (after rollbacks they
    differ), and all entries and statements. Entries that do not count are kept by the
    same rule separately, so that added entries do not displace releases. The collector follows the
    artifacts from there.

    Args:
        store: The store with the release log.
        verifier: Whose signatures count; None if no keys are configured.

    Raises:
        IntegrityError: An entry or a release does not match its digest.
        NotFoundError: An entry, or a release of one that counts, is not in the store.
    """
    kept = {PREFIX + name.rpartition("/")[2] for name in store.list_pointers("statements/")}
    for hexed in logs(store):
        newest: dict[tuple[str, str, bool, str], list[str]] = {}
        for entry in _entries(Services(store, verifier), hexed):
            # What does not count may name anything.
            counts = entry.moves or entry.passed
            kept.add(entry.name)
            if entry.statement and (counts or store.has(entry.statement)):
                kept.add(entry.statement)
            if entry.passed:
                kept.add(entry.release)  # a rollback follows it to what it replaced
            elif entry.release and (counts or store.has(entry.release)):
                group = (entry.repository, entry.environment, entry.moves, entry.signed_by)
                order = newest.setdefault(group, [])
                if entry.release in order:
                    order.remove(entry.release)
                order.append(entry.release)
        for (_, _, moves, _), releases in newest.items():
            kept.update(releases[-KEPT_RELEASES:])
            try:
                kept |= _restorable(store, releases)
            except AssayError:
                if moves:
                    raise
    return kept


def _restorable(store: Store, releases: Sequence[str]) -> set[str]:
    """The newest releases, those before the last one, and what they name."""
    names = {*releases[-KEPT_RELEASES:], *_chain(store, releases[-1])}
    return names.union(*(_named(get_release(store, name)) for name in names))


def _entries(services: Services, hexed: str) -> list[Entry]:
    """The entries of a chain; none counts where one is signed by a key that is not configured."""
    store = services.store
    entries = []
    for pointer in places(store, hexed):
        name = (store.read_pointer(pointer) or b"").decode(errors="replace")
        with contextlib.suppress(NotAnEntryError):
            entry = read_entry(store, name, None)[0]
            if chain_id(entry.model) == hexed:
                with contextlib.suppress(UnknownKeyError):
                    return read(services, entry.model)
            entries.append(replace(entry, refused="of a log that cannot be read"))
    return entries


def _chain(store: Store, name: str) -> list[str]:
    """A release and those before it that the store still has, `KEPT_RELEASES` at most."""
    result: list[str] = []
    while name and name not in result and len(result) < KEPT_RELEASES and store.has(name):
        result.append(name)
        name = get_release(store, name).previous
    return result


def _named(release: Release) -> set[str]:
    parts = [release.digest, release.decision, release.policy, *release.reports.values()]
    return {*parts, *filter(None, [release.data, release.golden, release.monitoring])}
