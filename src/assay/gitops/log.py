"""The release log: what was put where, when, by whom and why. Append-only, in the store.

One chain for each model. An entry is a blob; it names the entry before it, so nothing in the past
can be changed, left out or put in without changing every later name. `releases/<model>/<number>`
says which blob is which entry; it is created, never replaced, so that of two writers who race for
a number one goes on to the next and no entry is lost. When a key is configured, entries are signed.

What a chain cannot show by itself is that its newest entries were removed. The deployment
repository shows it: every release that was merged there must be in the log (`missing`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from assay.attestation import MAX_ATTESTATION_BYTES
from assay.digest import PREFIX, hex_of, is_digest, of_bytes
from assay.errors import IntegrityError, NotFoundError, ServiceError
from assay.gitops import statement
from assay.gitops.document import MAX_RELEASE_BYTES, MEDIA_TYPE, Release, parse
from assay.gitops.statement import Kind
from assay.signing import Signer, Verifier
from assay.store import Store

MAX_RACES: Final = 50
KEPT_RELEASES: Final = 3
"""The one in an environment, and the two before it, stay restorable."""


class Event(StrEnum):
    """What an entry records."""

    RELEASE = "release"
    ROLLBACK = "rollback"
    OVERRIDE = "override"
    RECONCILED = "reconciled"
    """The repository was brought to what the log already said."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry."""

    event: Event
    model: str
    environment: str
    """Empty for an override, which is about a model wherever it is."""
    digest: str
    """The model's digest."""
    release: str
    """Digest of the `release.yaml`; empty for an override."""
    at: str
    by: str
    why: str = ""
    commit: str = ""
    """The commit in the deployment repository; empty when Git could not be reached."""
    statement: str = ""
    """The approval or override behind it."""
    number: int = 0
    previous: str = ""
    """Digest of the entry before; empty for the first."""
    name: str = ""
    """The entry's own digest; empty until it is stored."""
    signed_by: str = ""

    def predicate(self) -> dict[str, Any]:
        """The entry as the predicate of its statement."""
        return {
            "event": self.event.value,
            "model": self.model,
            "environment": self.environment,
            "modelDigest": self.digest,
            "at": self.at,
            "by": self.by,
            "why": self.why,
            "commit": self.commit,
            "statement": self.statement,
            "number": self.number,
            "previous": self.previous,
            "release": self.release,
        }


def append(store: Store, entry: Entry, signer: Signer | None, verifier: Verifier | None) -> Entry:
    """Add an entry behind the last one; what it names must be in the store already.

    A commit is recorded once for each environment: who comes second gets the entry that is there.

    Raises:
        IntegrityError: The chain behind which it would stand is broken.
        ServiceError: Others were quicker every time.
    """
    for _ in range(MAX_RACES):
        entries = read(store, entry.model, verifier)
        for known in entries:
            if entry.commit and (known.commit, known.environment) == (
                entry.commit,
                entry.environment,
            ):
                return known
        number = len(entries) + 1
        complete = replace(
            entry,
            number=number,
            previous=entries[-1].name if entries else "",
            # Times never run backwards, whatever the clocks of those who write.
            at=max(entry.at, entries[-1].at) if entries else entry.at,
        )
        subject = complete.release or complete.digest
        data, media_type = statement.encode(Kind.LOG, subject, complete.predicate(), signer)
        name = store.put_bytes(data, media_type).digest
        if store.create_pointer(_pointer(entry.model, number), name.encode()):
            return replace(complete, name=name)
    raise ServiceError(
        f"the release log of {entry.model!r} was written by others {MAX_RACES} times; run again"
    )


def read(store: Store, model: str, verifier: Verifier | None) -> list[Entry]:
    """The whole log of a model, oldest first, checked link by link.

    Raises:
        IntegrityError: A number is missing, an entry is altered, unsigned though a key is asked
            for, or does not name the one before; says which.
    """
    entries: list[Entry] = []
    for number, pointer in enumerate(store.list_pointers(_prefix(model)), start=1):
        what = f"release log of {model!r}, entry {number}"
        if pointer != _pointer(model, number):
            raise IntegrityError(f"{what} is missing; the log was tampered with")
        name = (store.read_pointer(pointer) or b"").decode(errors="replace")
        if not is_digest(name):
            raise IntegrityError(f"{what}: names no digest; the log was tampered with")
        try:
            entry = _entry(store, name, verifier)
        except NotFoundError as error:
            raise IntegrityError(f"{what}: its content {name} is not in the store") from error
        expected = (model, number, entries[-1].name if entries else "")
        if (entry.model, entry.number, entry.previous) != expected:
            raise IntegrityError(
                f"{what}: does not follow the entry before it; the log was tampered with"
            )
        entries.append(entry)
    return entries


def current(entries: Sequence[Entry], environment: str, at: str = "") -> Entry | None:
    """What was in an environment at a time (RFC 3339, UTC), or is now."""
    found = None
    for entry in entries:
        if entry.environment == environment and (not at or entry.at <= at):
            found = entry
    return found


def put_release(store: Store, release: Release) -> str:
    """Keep a copy of a `release.yaml` in the store, for when Git cannot be reached."""
    return store.put_bytes(release.render(), MEDIA_TYPE).digest


def get_release(store: Store, name: str) -> Release:
    """The copy of a `release.yaml` by its digest; errors as `Store.get_bytes` and `parse`."""
    return parse(store.get_bytes(name, MAX_RELEASE_BYTES), f"release {name}")


def models(store: Store, verifier: Verifier | None) -> list[str]:
    """The models that have a log."""
    found = set()
    for hexed in _logs(store):
        first = store.read_pointer(f"releases/{hexed}/000001") or b""
        name = first.decode(errors="replace")
        if is_digest(name):
            found.add(_entry(store, name, verifier).model)
    return sorted(found)


def live(store: Store) -> set[str]:
    """Digests that must stay: releases, their models, and what they rest on.

    For every model and environment these are the newest `KEPT_RELEASES` different releases, the one
    that is there and as many before it, which after rollbacks are others, and all entries and
    statements: a revocation that was collected would be none. What artifacts rest on in turn is the
    collector's to follow.

    Raises:
        IntegrityError: An entry or a release is not what its name says.
        NotFoundError: An entry or a release is not in the store.
    """
    kept = {PREFIX + name.rpartition("/")[2] for name in store.list_pointers("statements/")}
    for hexed in _logs(store):
        newest: dict[str, list[str]] = {}
        for pointer in store.list_pointers(f"releases/{hexed}/"):
            name = (store.read_pointer(pointer) or b"").decode()
            entry = _entry(store, name, None)
            kept |= {name, *filter(None, [entry.statement])}
            if entry.release:
                order = newest.setdefault(entry.environment, [])
                if entry.release in order:
                    order.remove(entry.release)
                order.append(entry.release)
        for releases in newest.values():
            for name in {*releases[-KEPT_RELEASES:], *_chain(store, releases[-1])}:
                kept |= {name, *_named(get_release(store, name))}
    return kept


def _chain(store: Store, name: str) -> list[str]:
    """A release and those before it that are left, `KEPT_RELEASES` at most."""
    found: list[str] = []
    while name and name not in found and len(found) < KEPT_RELEASES and store.has(name):
        found.append(name)
        name = get_release(store, name).previous
    return found


def _named(release: Release) -> set[str]:
    parts = [release.digest, release.decision, release.policy, *release.reports.values()]
    return {*parts, *filter(None, [release.data, release.golden, release.monitoring])}


def _logs(store: Store) -> set[str]:
    return {pointer.split("/")[1] for pointer in store.list_pointers("releases/")}


def missing(entries: Iterable[Entry], commits: Iterable[str]) -> list[str]:
    """Commits of the deployment repository that the log does not know."""
    known = {entry.commit for entry in entries}
    return [commit for commit in commits if commit not in known]


def _entry(store: Store, name: str, verifier: Verifier | None) -> Entry:
    data = store.get_bytes(name, MAX_ATTESTATION_BYTES)
    read_back = statement.decode(data, name, verifier, signed=False)
    raw = read_back.predicate
    try:
        entry = Entry(
            event=Event(raw["event"]),
            model=str(raw["model"]),
            environment=str(raw["environment"]),
            digest=str(raw["modelDigest"]),
            release=str(raw["release"]),
            at=str(raw["at"]),
            by=str(raw["by"]),
            why=str(raw["why"]),
            commit=str(raw["commit"]),
            statement=str(raw["statement"]),
            number=int(raw["number"]),
            previous=str(raw["previous"]),
            name=name,
            signed_by=read_back.signed_by,
        )
    except (KeyError, ValueError, TypeError) as error:
        raise IntegrityError(f"{name}: not an entry of the release log ({error!r})") from error
    if read_back.kind is not Kind.LOG or read_back.subject != (entry.release or entry.digest):
        raise IntegrityError(f"{name}: not an entry of the release log; it was altered")
    return entry


def _prefix(model: str) -> str:
    return f"releases/{hex_of(of_bytes(model.encode()))}/"


def _pointer(model: str, number: int) -> str:
    return f"{_prefix(model)}{number:06d}"
