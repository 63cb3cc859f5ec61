"""Removing what nothing refers to: plan from roots, announce, plan again, remove parents first.

Roots are what providers name, pins, and everything written within the grace period: a running
pipeline's work. Providers come from the caller: what they know is no concern of this module. An
artifact that is kept keeps its files, the attestations of how it was made, and all that those name,
the inputs above all. What cannot be followed to its end is a reason to remove nothing.

Others work while it does. So what is to be removed is announced first (`assay.core.store.removal`),
then a second plan is made, and only what both plans would remove is removed: what somebody began to
use between the first plan and the announcement stays, and who comes later sees the announcement.
Times are those of the store's clock.

The order of the removal keeps the store consistent wherever it is interrupted: a new epoch
(`assay.core.epoch`), cache pointers, the other pointers, plain copies, attestations, manifests,
files.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
"""What a run relies on may be `REFRESH_SECONDS` old when it begins, and a run takes its time."""
PLANS: Final = 3
"""So often what cannot be followed is looked for: others write and collect while the store is
listed, so one plan may miss what was written after its listing."""

Provider = Callable[[Store], Mapping[str, str]]
"""Gives digests that must stay, each with the reason; asked anew for every plan."""


@dataclass(slots=True)
class Plan:
    """What a sweep would remove, in its order, and what it keeps."""

    cache: list[str] = field(default_factory=list)
    pointers: list[str] = field(default_factory=list)
    plain_copies: list[str] = field(default_factory=list)
    attestations: list[str] = field(default_factory=list)
    manifests: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)
    """Digests of blobs."""
    roots: dict[str, str] = field(default_factory=dict)
    """Digest to the reason why it is kept."""
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
        """Bytes that removal sets free."""
        return sum(self.listed[digest][0] for digest in self.blobs)

    @property
    def ends_answers(self) -> bool:
        """Whether it removes what a cached answer may name.

        A file alone is not: its manifest is gone already, or it is the list of an earlier
        removal.
        """
        return bool(self.cache or self.pointers or self.attestations or self.manifests)

    def narrow(self, other: "Plan") -> None:
        """Leave only what `other` would remove too."""
        self.kept, self.roots, self.listed = other.kept, other.roots, other.listed
        for name in ("cache", "pointers", "plain_copies", "attestations", "manifests", "files"):
            both = set(getattr(other, name))
            setattr(self, name, [item for item in getattr(self, name) if item in both])

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
    """Find what nothing rests on.

    Args:
        store: Which store.
        roots: Digest to the reason why it must stay; one that is not in this store is passed over.
        providers: Of more roots that this store holds itself.
        now: Seconds since the epoch, by the store's clock.
        grace: What was written within so many seconds before `now` stays.

    Raises:
        UsageError: A grace period that runs do not bear; or something that must stay cannot be
            followed to its end, so that nothing may be removed: names all offenders.
    """
    if not grace >= MIN_GRACE_SECONDS:  # neither is one that is not a number
        raise UsageError(
            f"a grace period of {grace / 86400:g} days is too short: give at least "
            f"{MIN_GRACE_SECONDS / 86400:g} days, because what runs rely on is written again only "
            f"once in {REFRESH_SECONDS / 86400:g} day"
        )
    for _ in range(PLANS):
        found, problems = _plan(store, roots, providers, now, grace)
        if not problems:
            return found
    raise UsageError(
        "nothing was removed, because what has to stay cannot be followed: "
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
    """A plan, and what cannot be followed to its end."""
    found = Plan(listed={d: (size, at) for d, size, at in store.iter_aged_blobs()})
    found.now, found.grace = now, grace
    since = now - grace
    pointers = {
        kind: store.list_aged_pointers(f"{kind}/")
        for kind in ("cache", "referrers", "dependents", "pins")
    }
    problems: list[str] = []
    provided = _ask(store, providers, problems)
    found.roots = {
        digest: why for digest, why in {**provided, **roots}.items() if digest in found.listed
    }
    for entry in (entry for entries in pointers.values() for entry in entries):
        if entry.modified >= since or entry.key.startswith("pins/"):
            why = "pinned" if entry.key.startswith("pins/") else f"{entry.key} is young"
            _add_target(store, entry, why, found, problems)
    for digest, (_, modified) in found.listed.items():
        if modified >= since:
            found.roots.setdefault(digest, "younger than the grace period")
    _mark(store, found, [entry.key for entry in pointers["referrers"]], problems)
    if not problems:
        _sweep(store, found, pointers, since)
    return found, problems


def _ask(store: Store, providers: Sequence[Provider], problems: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for provider in providers:
        try:
            found |= provider(store)
        except AssayError as error:
            problems.append(str(error))
    return found


def _add_target(store: Store, entry: Entry, why: str, found: Plan, problems: list[str]) -> None:
    try:
        target = target_of(store, entry.key)
    except IntegrityError as error:
        # A cache entry is a hint: one that cannot be read keeps nothing. Others may have been
        # removed since they were listed.
        if not entry.key.startswith("cache/") and store.read_pointer(entry.key) is not None:
            problems.append(str(error))
        return
    if target in found.listed:
        found.roots.setdefault(target, why)
    elif why == "pinned":
        problems.append(f"{entry.key}: what it pins is missing")


def _mark(store: Store, found: Plan, referrers: list[str], problems: list[str]) -> None:
    """Keep the roots and all they rest on."""
    made = attestations_about(referrers)
    to_do = list(found.roots)
    while to_do:
        digest = to_do.pop()
        if digest in found.kept:
            continue
        if digest not in found.listed:
            problems.append(f"{digest} is missing")
            continue
        found.kept.add(digest)
        try:
            kind = kind_of(store, digest, found.listed[digest][0])
            # Whether an attestation is believed is another question: what it names stays.
            names = names_of(store, digest, kind, None)
        except AssayError as error:
            problems.append(str(error))
            continue
        for blob in names.files:
            if found.listed.get(blob.digest, (-1, 0.0))[0] != blob.size:
                problems.append(f"{blob.digest} is missing or damaged, a file of {digest}")
            found.kept.add(blob.digest)
        to_do += names.artifacts
        if kind is Kind.MANIFEST:
            to_do += made.get(digest, [])


def _sweep(store: Store, found: Plan, pointers: Mapping[str, list[Entry]], since: float) -> None:
    """Fill in what may go."""

    def leads_to_waste(entry: Entry) -> bool:
        try:
            return target_of(store, entry.key) not in found.kept
        except IntegrityError:
            return True  # a hint that leads nowhere

    def old_waste(kind: str) -> list[str]:
        old = [entry for entry in pointers[kind] if entry.modified < since]
        waste = parallel(leads_to_waste, old)
        return [entry.key for entry, goes in zip(old, waste, strict=True) if goes]

    found.cache = old_waste("cache")
    found.pointers = [*old_waste("referrers"), *old_waste("dependents")]
    found.plain_copies = sorted(plain_copies.listed(store) - found.kept)

    def kind_of_waste(digest: str) -> Kind:
        try:
            return kind_of(store, digest, found.listed[digest][0])
        except AssayError:
            return Kind.FILE  # damaged: nobody can follow it

    waste = sorted(set(found.listed) - found.kept)
    groups = {
        Kind.ATTESTATION: found.attestations,
        Kind.MANIFEST: found.manifests,
        Kind.FILE: found.files,
    }
    for digest, kind in zip(waste, parallel(kind_of_waste, waste), strict=True):
        groups[kind].append(digest)


def remove(
    store: Store,
    found: Plan,
    roots: Callable[[], Mapping[str, str]],
    *,
    providers: Sequence[Provider],
) -> int:
    """Carry out a plan, parents before children; the number of blobs removed.

    Args:
        store: Which store.
        found: The plan; narrowed to what is still waste when the removal begins.
        roots: Asked again, because something may have been released or registered since.
        providers: As for `plan`.

    Raises:
        UsageError: As `plan`; nothing was removed.
        StoreError: The store failed, or this machine was stopped for long; run again to go on.
    """
    clear_dead(store)
    if not (found.blobs or found.cache or found.pointers or found.plain_copies):
        return 0
    with Removal(store, found.blobs[:MAX_BLOBS]) as removal:
        allowed = set(found.blobs[:MAX_BLOBS])
        found.narrow(plan(store, roots(), providers=providers, now=found.now, grace=found.grace))
        for name in ("attestations", "manifests", "files"):
            setattr(found, name, [item for item in getattr(found, name) if item in allowed])
        removal.narrow(found.blobs)
        if found.ends_answers:
            epoch.renew(store)
        return _remove(store, found, removal)


def _remove(store: Store, found: Plan, removal: Removal) -> int:
    def remove_pointer(name: str) -> None:
        removal.require_lease()
        store.remove_pointer(name)

    def sweep(digest: str) -> bool:
        now = store.modified(digest)
        # Written again all the same, by a program that looks for no announcement: it stays. Whole
        # seconds, as HTTP tells them.
        if now is None or int(now) > int(found.listed[digest][1]):
            return False
        removal.require_lease()
        store.remove_blob(digest)
        return True

    parallel(remove_pointer, found.cache)
    parallel(remove_pointer, found.pointers)
    for digest in found.plain_copies:
        removal.require_lease()
        plain_copies.remove(store, digest)
    groups = (found.attestations, found.manifests, found.files)
    return sum(sum(parallel(sweep, group)) for group in groups)


def pin(store: Store, digest: str, reason: str) -> None:
    """Keep an artifact until it is unpinned.

    Raises:
        NotFoundError: Nothing under that digest.
        ManifestError: Not an artifact.
    """
    name = f"pins/{hex_of(digest)}"
    watch = Watch(store)
    while True:
        blobs = get_manifest(store, digest).blobs
        store.write_pointer(name, reason.encode())
        if not watch.touched([digest, *(blob.digest for blob in blobs)]):
            return
        # Taken back, because a pin on something that is gone would stop every later collection.
        store.remove_pointer(name)


def unpin(store: Store, digest: str) -> None:
    """Keep an artifact no longer for its own sake."""
    store.remove_pointer(f"pins/{hex_of(digest)}")


def pins(store: Store) -> dict[str, str]:
    """Pinned artifacts and the reasons given."""
    return {
        PREFIX + name.removeprefix("pins/"): (store.read_pointer(name) or b"").decode(
            errors="replace"
        )
        for name in store.list_pointers("pins/")
    }
