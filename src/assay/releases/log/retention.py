"""Copies of releases in the store, and the digests that the collector must keep."""

from typing import Final

from assay.core.digest import PREFIX
from assay.core.store import Store
from assay.releases.log.entry import Event, NotAnEntryError, read_entry
from assay.releases.release import MAX_RELEASE_BYTES, MEDIA_TYPE, Release, parse_release

KEPT_RELEASES: Final = 3
"""The current release of an environment and the two before it can be restored."""


def put_release(store: Store, release: Release) -> str:
    """Keep a copy of a `release.yaml` in the store, for when Git cannot be reached."""
    return store.put_bytes(release.render(), MEDIA_TYPE).digest


def get_release(store: Store, name: str) -> Release:
    """The copy of a release by its digest; errors as `Store.get_bytes` and `parse_release`."""
    return parse_release(store.get_bytes(name, MAX_RELEASE_BYTES), f"release {name}")


def live(store: Store) -> set[str]:
    """Digests that must be kept: releases, their models, and what they are based on.

    For every model, environment and deployment repository these are the newest `KEPT_RELEASES`
    different releases, the current one and as many before it (after rollbacks they differ), and all
    entries and statements. The collector follows the artifacts from there.

    Raises:
        IntegrityError: An entry or a release does not match its digest.
        NotFoundError: An entry or a release is not in the store.
    """
    kept = {PREFIX + name.rpartition("/")[2] for name in store.list_pointers("statements/")}
    for hexed in logs(store):
        newest: dict[tuple[str, str], list[str]] = {}
        for pointer in store.list_pointers(f"releases/{hexed}/"):
            name = (store.read_pointer(pointer) or b"").decode()
            try:
                entry, _ = read_entry(store, name, None)
            except NotAnEntryError:
                kept.add(name)  # it does not count, and later entries follow it
                continue
            kept |= {name, *filter(None, [entry.statement])}
            if entry.event is Event.PASSED:
                kept.add(entry.release)  # a rollback follows it to what it replaced
            elif entry.release:
                order = newest.setdefault((entry.repository, entry.environment), [])
                if entry.release in order:
                    order.remove(entry.release)
                order.append(entry.release)
        for releases in newest.values():
            for name in {*releases[-KEPT_RELEASES:], *_chain(store, releases[-1])}:
                kept |= {name, *_named(get_release(store, name))}
    return kept


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


def logs(store: Store) -> set[str]:
    """The digests of the names of all chains, as pointers hold them."""
    return {pointer.split("/")[1] for pointer in store.list_pointers("releases/")}
