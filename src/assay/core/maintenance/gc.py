"""Garbage collection: plan from roots, announce, plan again, remove parents first.

Roots are the digests of the providers, pins, and everything written within the grace period, which
may belong to a running pipeline. The caller supplies the providers. A kept artifact also keeps its
files, its attestations, and everything that these refer to, in particular the inputs. If a
reference cannot be followed, nothing is removed.

The store may be in use. Removals are therefore announced first (`assay.core.store.removal`), then a
second plan is made, and only blobs in both plans are removed: blobs that came into use between the
first plan and the announcement are kept, and later users see the announcement. All times are by the
clock of the store.

The order of the removal keeps the store consistent if it is interrupted: a new epoch
(`assay.core.epoch`), cache entries, other pointers, plain copies, attestations, manifests, files.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from assay.core import epoch, plain_copies
from assay.core.digest import PREFIX, hex_of
from assay.core.maintenance.names import Kind, attestations_about, kind_of, names_of, target_of
from assay.core.parallel import parallel
from assay.core.store import Store
from assay.core.store.base import REFRESH_SECONDS, Entry
from assay.core.store.removal import MAX_BLOBS, Removal, Watch, clear_dead
from assay.core.tree import get_manifest
from assay.errors import AssayError, IntegrityError, UsageError

GRACE_SECONDS: Final = 7 * 24 * 3600
MIN_GRACE_SECONDS: Final = 2 * REFRESH_SECONDS
"""Entries that a run uses may be `REFRESH_SECONDS` old when it starts, and a run may take long."""
PLANS: Final = 3
"""Maximum number of attempts to make a plan. The store may change while it is listed, so a plan may
miss blobs that were written after the listing."""

Provider = Callable[[Store], Mapping[str, str]]
"""Returns the digests to keep, each with the reason; called for every plan."""


@dataclass(slots=True)
class Plan:
    """What a collection removes, in this order, and what it keeps."""

    cache: list[str] = field(default_factory=list)
    pointers: list[str] = field(default_factory=list)
    plain_copies: list[str] = field(default_factory=list)
    attestations: list[str] = field(default_factory=list)
    manifests: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)
    """Digests of blobs."""
    roots: dict[str, str] = field(default_factory=dict)
    """By digest: the reason why it is kept."""
    listed: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Size and time of writing of every blob."""
    now: float = 0.0
    grace: float = 0.0

    @property
    def blobs(self) -> list[str]:
        """Blobs to remove, parents first."""
        return [*self.attestations, *self.manifests, *self.files]

    @property
    def size(self) -> int:
        """Bytes freed by the removal."""
        return sum(self.listed[digest][0] for digest in self.blobs)

    @property
    def ends_answers(self) -> bool:
        """Whether it removes anything that a cached result may refer to.

        Files are not considered: their manifests are removed already, or they are lists of earlier
        removals.
        """
        return bool(self.cache or self.pointers or self.attestations or self.manifests)

    def narrow(self, other: "Plan") -> None:
        """Remove everything from this plan that `other` does not remove."""
        self.kept, self.roots, self.listed = other.kept, other.roots, other.listed
        for name in ("cache", "pointers", "plain_copies", "attestations", "manifests", "files"):
            common = set(getattr(other, name))
            setattr(self, name, [item for item in getattr(self, name) if item in common])

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "remove": {
                "cache": self.cache,
                "pointers": self.pointers,
                "plain_copies": self.plain_copies,
                "attestations": self.attestations,
                "manifests": self.manifests,
                "files": self.files,
                "bytes": self.size,
            },
            "kept": {"blobs": len(self.kept), "roots": self.roots},
        }


def plan(
    store: Store,
    roots: Mapping[str, str],
    *,
    providers: Sequence[Provider],
    now: float,
    grace: float,
) -> Plan:
    """Determine what can be removed.

    Args:
        store: The store.
        roots: By digest, the reason to keep it; digests that are not in this store are ignored.
        providers: Return further roots, from the store itself.
        now: Seconds since the epoch, by the clock of the store.
        grace: Everything written within this many seconds before `now` is kept.

    Returns:
        The plan.

    Raises:
        UsageError: The grace period is too short for runs, or a reference of a kept blob cannot be
            followed; the message lists all of these.
    """
    if not grace >= MIN_GRACE_SECONDS:  # also refuses NaN
        raise UsageError(
            f"a grace period of {grace / 86400:g} days is too short: give at least "
            f"{MIN_GRACE_SECONDS / 86400:g} days, because entries in use are written again only "
            f"once in {REFRESH_SECONDS / 86400:g} day"
        )
    for _ in range(PLANS):
        planned, problems = _plan(store, roots, providers, now, grace)
        if not problems:
            return planned
    raise UsageError(
        "nothing was removed, because references of kept blobs cannot be followed: "
        + "; ".join(dict.fromkeys(problems))
        + "; repair it first: assay store fsck --from URL"
    )


def _plan(
    store: Store,
    roots: Mapping[str, str],
    providers: Sequence[Provider],
    now: float,
    grace: float,
) -> tuple[Plan, list[str]]:
    """A plan, and the problems with references of kept blobs."""
    planned = Plan(listed={d: (size, at) for d, size, at in store.iter_aged_blobs()})
    planned.now, planned.grace = now, grace
    since = now - grace
    pointers = {
        kind: store.list_aged_pointers(f"{kind}/")
        for kind in ("cache", "referrers", "dependents", "pins")
    }
    problems: list[str] = []
    provided = _ask(store, providers, problems)
    planned.roots = {
        digest: why for digest, why in {**provided, **roots}.items() if digest in planned.listed
    }
    for entry in chain.from_iterable(pointers.values()):
        if entry.key.startswith("pins/"):
            _add_target(store, entry, "pinned", planned, problems)
        elif entry.modified >= since:
            _add_target(store, entry, f"{entry.key} is recent", planned, problems)
    for digest, (_, modified) in planned.listed.items():
        if modified >= since:
            planned.roots.setdefault(digest, "younger than the grace period")
    _mark(store, planned, [entry.key for entry in pointers["referrers"]], problems)
    if not problems:
        _sweep(store, planned, pointers, since)
    return planned, problems


def _ask(store: Store, providers: Sequence[Provider], problems: list[str]) -> dict[str, str]:
    roots: dict[str, str] = {}
    for provider in providers:
        try:
            roots |= provider(store)
        except AssayError as error:
            problems.append(str(error))
    return roots


def _add_target(store: Store, entry: Entry, why: str, planned: Plan, problems: list[str]) -> None:
    try:
        target = target_of(store, entry.key)
    except IntegrityError as error:
        # A cache entry that cannot be read keeps nothing, because it is only a hint. Other pointers
        # may have been removed since they were listed.
        if not entry.key.startswith("cache/") and store.read_pointer(entry.key) is not None:
            problems.append(str(error))
        return
    if target in planned.listed:
        planned.roots.setdefault(target, why)
    elif why == "pinned":
        problems.append(f"{entry.key}: the pinned artifact is missing")


def _mark(store: Store, planned: Plan, referrers: list[str], problems: list[str]) -> None:
    """Mark the roots and everything that they refer to as kept."""
    made = attestations_about(referrers)
    to_do = list(planned.roots)
    while to_do:
        digest = to_do.pop()
        if digest in planned.kept:
            continue
        if digest not in planned.listed:
            problems.append(f"{digest} is missing")
            continue
        planned.kept.add(digest)
        try:
            kind = kind_of(store, digest, planned.listed[digest][0])
            # Without verification: references of an attestation that is not valid are kept too.
            names = names_of(store, digest, kind, None)
        except AssayError as error:
            problems.append(str(error))
            continue
        for blob in names.files:
            if planned.listed.get(blob.digest, (-1, 0.0))[0] != blob.size:
                problems.append(f"{blob.digest} is missing or damaged, a file of {digest}")
            planned.kept.add(blob.digest)
        to_do += names.artifacts
        if kind is Kind.MANIFEST:
            to_do += made.get(digest, [])


def _sweep(store: Store, planned: Plan, pointers: Mapping[str, list[Entry]], since: float) -> None:
    """Add everything that is not kept to the plan."""

    def is_garbage(entry: Entry) -> bool:
        try:
            return target_of(store, entry.key) not in planned.kept
        except IntegrityError:
            return True  # a hint without a target

    def old_garbage(kind: str) -> list[str]:
        old = [entry for entry in pointers[kind] if entry.modified < since]
        results = parallel(is_garbage, old)
        return [entry.key for entry, garbage in zip(old, results, strict=True) if garbage]

    planned.cache = old_garbage("cache")
    planned.pointers = [*old_garbage("referrers"), *old_garbage("dependents")]
    planned.plain_copies = sorted(plain_copies.listed(store) - planned.kept)

    def kind_of_garbage(digest: str) -> Kind:
        try:
            return kind_of(store, digest, planned.listed[digest][0])
        except AssayError:
            return Kind.FILE  # damaged, so it has no references

    garbage = sorted(set(planned.listed) - planned.kept)
    groups = {
        Kind.ATTESTATION: planned.attestations,
        Kind.MANIFEST: planned.manifests,
        Kind.FILE: planned.files,
    }
    for digest, kind in zip(garbage, parallel(kind_of_garbage, garbage), strict=True):
        groups[kind].append(digest)


def remove(
    store: Store,
    planned: Plan,
    roots: Callable[[], Mapping[str, str]],
    *,
    providers: Sequence[Provider],
) -> int:
    """Carry out a plan, parents before children.

    Args:
        store: The store.
        planned: The plan; reduced to blobs that are still unused when the removal begins.
        roots: Called again, because artifacts may have been released or registered since.
        providers: As for `plan`.

    Returns:
        The number of removed blobs.

    Raises:
        UsageError: As for `plan`; nothing was removed.
        StoreError: The store failed, or this process was suspended too long; run again to
            continue.
    """
    clear_dead(store)
    if not (planned.blobs or planned.cache or planned.pointers or planned.plain_copies):
        return 0
    with Removal(store, planned.blobs[:MAX_BLOBS]) as removal:
        allowed = set(planned.blobs[:MAX_BLOBS])
        planned.narrow(
            plan(store, roots(), providers=providers, now=planned.now, grace=planned.grace)
        )
        for name in ("attestations", "manifests", "files"):
            setattr(planned, name, [item for item in getattr(planned, name) if item in allowed])
        removal.narrow(planned.blobs)
        if planned.ends_answers:
            epoch.renew(store)
        return _remove(store, planned, removal)


def _remove(store: Store, planned: Plan, removal: Removal) -> int:
    def remove_pointer(name: str) -> None:
        removal.require_lease()
        store.remove_pointer(name)

    def sweep(digest: str) -> bool:
        now = store.modified(digest)
        # A blob that was written again, by a program that does not check announcements, is kept.
        # Times over HTTP have a resolution of one second.
        if now is None or int(now) > int(planned.listed[digest][1]):
            return False
        removal.require_lease()
        store.remove_blob(digest)
        return True

    parallel(remove_pointer, planned.cache)
    parallel(remove_pointer, planned.pointers)
    for digest in planned.plain_copies:
        removal.require_lease()
        plain_copies.remove(store, digest)
    groups = (planned.attestations, planned.manifests, planned.files)
    return sum(sum(parallel(sweep, group)) for group in groups)


def pin(store: Store, digest: str, reason: str) -> None:
    """Keep an artifact until it is unpinned.

    Args:
        store: The store of the artifact.
        digest: Its digest.
        reason: Why it is kept, for people.

    Raises:
        NotFoundError: The blob does not exist.
        ManifestError: The blob is not an artifact.
    """
    name = f"pins/{hex_of(digest)}"
    watch = Watch(store)
    while True:
        blobs = get_manifest(store, digest).blobs
        store.write_pointer(name, reason.encode())
        if not watch.touched([digest, *(blob.digest for blob in blobs)]):
            return
        # Removed again, because a pin on a missing artifact would block every later collection.
        store.remove_pointer(name)


def unpin(store: Store, digest: str) -> None:
    """Remove the pin of an artifact."""
    store.remove_pointer(f"pins/{hex_of(digest)}")


def pins(store: Store) -> dict[str, str]:
    """Pinned artifacts and the reasons given."""
    return {
        PREFIX + name.removeprefix("pins/"): (store.read_pointer(name) or b"").decode(
            errors="replace"
        )
        for name in store.list_pointers("pins/")
    }
