"""The release log: what was approved, put where, rolled back, overridden, revoked. Append-only.

One chain for each model, one, `REVOCATIONS`, for the revocations of all models, and one for the
tips of each branch that were seen (`assay.releases.tips`). An entry is a blob; it names the entry
before it, so nothing in the past can be changed, left out or put in without changing every later
name. `releases/<chain>/<number>` says which blob is which entry; it is created, never replaced, so
that of two writers who race for a number one goes on to the next and no entry is lost. An entry
names the newest revocation too, so that a revocation cannot be taken away from below the releases
that came after it.

With keys configured every entry is signed, and it counts only when:

| event | written by | rests on |
|---|---|---|
| `release` | approver, recorder | an approval of exactly this release and commit |
| `passed` | approver, recorder | as `release`; merged, and replaced before it was recorded |
| `rollback`, `reconciled` | approver, recorder, runner | an earlier `release` entry that counts |
| `override` | approver | the override that it names |
| `revocation` | approver | nothing else: it cannot be taken back |
| `intent` | approver, recorder, runner | nothing; it proves nothing |
| `seen` | approver, recorder | nothing: what was the branch's tip, only who looked can say |

An entry by a key that may not write it stays in the chain and counts for nothing (`refused` says
why). An entry by a key that is not configured stops every reader: what it says could be a
revocation, and rotating a key must not take that back.

What a chain cannot show by itself is that its newest entries were removed. The deployment
repository shows it: its commits name the newest entries that their writer saw (`heads`), and every
release that was merged there must be in the log (`missing`).
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from assay.core.attestation import MAX_ATTESTATION_BYTES
from assay.core.digest import (
    PREFIX,
    canonical_json,
    hex_of,
    is_digest,
    of_bytes,
    parse_canonical_json,
)
from assay.core.signing import Key, Role, Signer, Verifier
from assay.core.step import Services
from assay.core.store import Store
from assay.errors import (
    AssayError,
    AttestationError,
    IntegrityError,
    NotFoundError,
    ReleaseConflictError,
    ServiceError,
    UnknownKeyError,
    UsageError,
)
from assay.releases import statement
from assay.releases.document import MAX_RELEASE_BYTES, MEDIA_TYPE, Release, parse
from assay.releases.statement import Kind, Statement

MAX_RACES: Final = 50
KEPT_RELEASES: Final = 3
"""The one in an environment, and the two before it, stay restorable."""
REVOCATIONS: Final = ""
"""The chain of revocations. No model has this name."""
_TIPS: Final = "/"
"""Begins the name of a chain of tips, and of no model."""
LOG_TRAILER: Final = "Assay-Log"
REVOCATIONS_TRAILER: Final = "Assay-Revocations"
_HEAD: Final = re.compile(
    rf"(?m)^({LOG_TRAILER}|{REVOCATIONS_TRAILER}): ({PREFIX}[0-9a-f]{{64}})"
    r"(?: ([A-Za-z0-9_=-]{1,4000}))?\s*$"
)


class Event(StrEnum):
    """What an entry records."""

    RELEASE = "release"
    PASSED = "passed"
    """A release that was merged and approved, and replaced before it was recorded."""
    ROLLBACK = "rollback"
    OVERRIDE = "override"
    RECONCILED = "reconciled"
    """The repository was brought to what the log already said, or the log to what it said of the
    branch's newest commit."""
    REVOCATION = "revocation"
    INTENT = "intent"
    """A commit is about to be pushed; once the branch has it, what `intends` says has happened."""
    SEEN = "seen"
    """A commit was the branch's tip."""


MOVES: Final = frozenset({Event.RELEASE, Event.ROLLBACK, Event.RECONCILED})
"""Events that say what is in an environment."""
ANYBODY: Final = frozenset({Role.APPROVER, Role.RECORDER, Role.RUNNER})
WRITERS: Final[Mapping[Event, frozenset[Role]]] = {
    Event.RELEASE: frozenset({Role.APPROVER, Role.RECORDER}),
    Event.PASSED: frozenset({Role.APPROVER, Role.RECORDER}),
    Event.ROLLBACK: ANYBODY,
    Event.RECONCILED: ANYBODY,
    Event.OVERRIDE: frozenset({Role.APPROVER}),
    Event.REVOCATION: frozenset({Role.APPROVER}),
    Event.INTENT: ANYBODY,
    Event.SEEN: frozenset({Role.APPROVER, Role.RECORDER}),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry."""

    event: Event
    model: str
    environment: str
    """Empty for an override and a revocation, which are about a model wherever it is."""
    digest: str
    """The model's digest."""
    release: str
    """Digest of the `release.yaml`; empty for an override and a revocation."""
    at: str
    by: str
    why: str = ""
    commit: str = ""
    """The commit in the deployment repository; empty when Git could not be reached."""
    statement: str = ""
    """The approval, override or revocation behind it."""
    intends: str = ""
    """Of an intent: the event that follows when the branch has the commit."""
    number: int = 0
    previous: str = ""
    """Digest of the entry before; empty for the first."""
    revocations: str = ""
    """The newest revocation's entry when this one was written; empty when there was none."""
    name: str = ""
    """The entry's own digest; empty until it is stored."""
    signed_by: str = ""
    refused: str = field(default="", compare=False)
    """Why it does not count; empty when it does."""
    dated: bool = field(default=False, compare=False)
    """Whether its time binds the entries after it: a key that runs pipelines could stop the clock
    by a time far ahead."""

    @property
    def moves(self) -> bool:
        """Whether it counts, and says what is in its environment."""
        return not self.refused and self.event in MOVES

    @property
    def passed(self) -> bool:
        """Whether it counts, and says what was merged and replaced unseen."""
        return not self.refused and self.event is Event.PASSED

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
            "intends": self.intends,
            "number": self.number,
            "previous": self.previous,
            "revocations": self.revocations,
            "release": self.release,
        }


def append(
    services: Services, entry: Entry, signer: Signer | None, *, after: str | None = None
) -> Entry:
    """Add an entry behind the last one; what it names must be in the store already.

    A commit is recorded once for each environment: who comes second gets the entry that is there.

    Args:
        services: The store that holds the log, and whose signatures count.
        entry: What to add.
        signer: Who signs it.
        after: Name of the entry that said what is in the environment when this one was made; ""
            for none. None: it holds whatever was added since.

    Returns:
        The entry as it was stored, or the equal one that the log already has.

    Raises:
        UsageError: The signer may not write it, or there is none though keys are configured.
        IntegrityError: The chain behind which it would stand is broken.
        ReleaseConflictError: Another entry says what is in the environment, not `after`.
        ServiceError: Others were quicker every time.
    """
    store, verifier = services.store, services.verifier
    if verifier is not None:
        if signer is None:
            raise UsageError(
                "ASSAY_SIGNING_KEY is not set, and an entry of the release log is signed; set it "
                f"to a key with the role {' or '.join(sorted(WRITERS[entry.event]))}"
            )
        verifier.require(signer, WRITERS[entry.event], f"a {entry.event} in the release log")
    for _ in range(MAX_RACES):
        entries = read(services, entry.model)
        for known in entries:
            if _same(known, entry):
                return known
        there = current(entries, entry.environment)
        if after is not None and after != (there.name if there else ""):
            raise ReleaseConflictError(
                f"what is in {entry.environment} of {entry.model!r} was changed by others "
                "meanwhile; run again"
            )
        number = len(entries) + 1
        complete = replace(
            entry,
            number=number,
            previous=entries[-1].name if entries else "",
            # Times never run backwards, whatever the clocks of those who write.
            at=max(entry.at, clock(entries)),
            revocations="" if entry.model == REVOCATIONS else head(store, REVOCATIONS),
        )
        subject = complete.release or complete.digest
        data, media_type = statement.encode(Kind.LOG, subject, complete.predicate(), signer)
        name = store.put_bytes(data, media_type).digest
        if store.create_pointer(_pointer(entry.model, number), name.encode()):
            return replace(complete, name=name)
    raise ServiceError(
        f"the release log of {entry.model!r} was written by others {MAX_RACES} times; run again"
    )


def _same(known: Entry, entry: Entry) -> bool:
    if known.refused or known.event is Event.INTENT or entry.event is Event.INTENT:
        return False
    if entry.event is Event.REVOCATION:
        return (known.event, known.digest) == (entry.event, entry.digest)
    # There may be several reconciliations of a commit: each says what it puts right.
    reconciles = Event.RECONCILED in {known.event, entry.event}
    if reconciles and (known.event, known.why) != (entry.event, entry.why):
        return False
    return bool(entry.commit) and (known.commit, known.environment, known.release) == (
        entry.commit,
        entry.environment,
        entry.release,
    )


def read(services: Services, model: str) -> list[Entry]:
    """The whole log of a model, oldest first, checked link by link.

    Entries that do not count are among them; `refused` says why.

    Raises:
        UnknownKeyError: An entry is signed by a key that is not configured.
        IntegrityError: A number is missing, an entry is altered, unsigned though a key is asked
            for, or does not name the one before, or a revocation was removed; says which.
    """
    store, verifier = services.store, services.verifier
    entries: list[Entry] = []
    for number, pointer in enumerate(store.list_pointers(_prefix(model)), start=1):
        what = f"{_called(model)}, entry {number}"
        if pointer != _pointer(model, number):
            raise IntegrityError(f"{what} is missing; the log was tampered with")
        name = (store.read_pointer(pointer) or b"").decode(errors="replace")
        if not is_digest(name):
            raise IntegrityError(f"{what}: names no digest; the log was tampered with")
        try:
            entry, key = _entry(store, name, verifier)
        except NotFoundError as error:
            raise IntegrityError(f"{what}: its content {name} is not in the store") from error
        except UnknownKeyError as error:
            raise UnknownKeyError(
                f"{what}: {error}; until then nothing is released, because what it says is unknown"
            ) from error
        expected = (model, number, entries[-1].name if entries else "")
        if (entry.model, entry.number, entry.previous) != expected:
            raise IntegrityError(
                f"{what}: does not follow the entry before it; the log was tampered with"
            )
        refused = _refusal(services, entry, key, entries)
        dated = not refused and (key is None or key.may(WRITERS[Event.RELEASE]))
        entries.append(replace(entry, refused=refused, dated=dated))
    seen = next((e.revocations for e in reversed(entries) if e.revocations), "")
    if seen and seen not in names(store, REVOCATIONS):
        raise IntegrityError(
            f"{_called(model)} names the revocation {seen}, which {_called(REVOCATIONS)} no longer "
            "has: revocations were removed; bring the store's pointers back from a copy"
        )
    return entries


def _refusal(services: Services, entry: Entry, key: Key | None, before: Sequence[Entry]) -> str:
    """Why an entry does not count; "" when it does."""
    goes_back = entry.event in {Event.ROLLBACK, Event.RECONCILED}
    if goes_back and not was_released(before, entry.release, entry.environment):
        return "goes back to what was never released there with an approval"
    if key is None or services.verifier is None:
        return ""
    if not key.may(WRITERS[entry.event]):
        allowed = " or ".join(sorted(WRITERS[entry.event]))
        return f"written by {key}, which takes a key with the role {allowed}"
    try:
        if entry.event is not Event.REVOCATION:  # no key's end takes one back
            key.require_in_use(entry.at, f"entry {entry.number}")
            _require_after(entry, clock(before))
        return _disproof(services, entry, key)
    except NotFoundError:
        return f"the statement {entry.statement} behind it is not in the store"
    except AttestationError as error:
        return str(error)


def _require_after(entry: Entry, clock: str) -> None:
    """Refuse an entry that is dated before those that were there when it was written."""
    if entry.at < clock:
        raise AttestationError(
            f"dated {entry.at}, and what was there before it is of {clock}: it was backdated"
        )


def _disproof(services: Services, entry: Entry, key: Key) -> str:
    """What the statement behind an entry says against it; "" when it agrees."""
    if entry.event is Event.REVOCATION:
        return "" if entry.by == key.owner else f"in the name of {entry.by!r}, written by {key}"
    # A rollback needs no approval of its own; one that it names is held against it all the same.
    named = bool(entry.statement) and entry.event in {Event.ROLLBACK, Event.RECONCILED}
    if not named and entry.event not in {Event.RELEASE, Event.PASSED, Event.OVERRIDE}:
        return ""
    if not is_digest(entry.statement):
        return "nothing that somebody signed stands behind it"
    given = statement.load(services, entry.statement)
    if given.key is not None:
        # The place in the chain says when it came; a time in the statement may be of any day.
        given.key.require_in_use(entry.at, f"{given.kind} {given.digest}")
    return (_not_stated if entry.event is Event.OVERRIDE else _not_backed)(entry, given)


def _not_backed(entry: Entry, approval: Statement) -> str:
    expected = {
        "kind": Kind.APPROVAL,
        "subject": entry.digest,
        "model": entry.model,
        "environment": entry.environment,
        "release": entry.release,
        "commit": entry.commit,
        "by": entry.by,
    }
    given = {name: approval.text(name) for name in expected}
    given |= {"kind": approval.kind, "subject": approval.subject, "by": approval.by}
    wrong = [name for name in expected if given[name] != expected[name]]
    return f"{approval.digest} does not approve it: {', '.join(wrong)} differ" if wrong else ""


def _not_stated(entry: Entry, given: Statement) -> str:
    if (given.kind, given.subject, given.text("model"), given.by) != (
        Kind.OVERRIDE,
        entry.digest,
        entry.model,
        entry.by,
    ):
        return f"{given.digest} is not the override that it claims"
    return ""


def current(entries: Sequence[Entry], environment: str, at: str = "") -> Entry | None:
    """What was in an environment at a time (RFC 3339, UTC), or is now."""
    found = None
    for entry in entries:
        if entry.moves and entry.environment == environment and (not at or entry.at <= at):
            found = entry
    return found


def clock(entries: Sequence[Entry]) -> str:
    """The latest time that a person or a recorder wrote; "" when there is none."""
    return max((entry.at for entry in entries if entry.dated), default="")


def was_released(entries: Sequence[Entry], release: str, environment: str) -> bool:
    """Whether exactly this release was approved for an environment before."""
    return any(
        entry.event is Event.RELEASE
        and not entry.refused
        and (entry.release, entry.environment) == (release, environment)
        for entry in entries
    )


def intents(entries: Sequence[Entry]) -> list[Entry]:
    """Intents that nothing in the log has completed."""
    done = {(e.commit, e.environment, e.release) for e in entries if e.moves or e.passed}
    return [
        entry
        for entry in entries
        if entry.event is Event.INTENT
        and not entry.refused
        and (entry.commit, entry.environment, entry.release) not in done
    ]


# Revocations and overrides.


@dataclass(frozen=True, slots=True)
class Revocation:
    """That a model must never be released again."""

    digest: str
    """Of the model."""
    by: str
    at: str
    why: str
    name: str
    """Of the log's entry, or of the statement where the log has none yet."""


def revocations(services: Services) -> dict[str, Revocation]:
    """Every revocation in the log, by the model's digest; errors as `read`."""
    return {
        entry.digest: Revocation(entry.digest, entry.by, entry.at, entry.why, entry.name)
        for entry in read(services, REVOCATIONS)
        if entry.event is Event.REVOCATION and not entry.refused
    }


def revocation(services: Services, model: str) -> Revocation | None:
    """The revocation of a model, if there is one.

    The log counts. A signed statement that it does not have, because it is older or its writer was
    stopped, counts as well: nothing here can take a revocation back.

    Raises:
        UnknownKeyError: A revocation is signed by a key that is not configured.
        IntegrityError: The log of revocations is broken.
    """
    if found := revocations(services).get(model):
        return found
    given = next(iter(statement.about(services, model, Kind.REVOCATION)), None)
    if given is not None:
        return Revocation(model, given.by, given.text("at"), given.text("why"), given.digest)
    if unknown := statement.unknown(services, model, Kind.REVOCATION):
        raise UnknownKeyError(
            f"{model} may be revoked: {unknown[0]}; until then it is not released"
        )
    return None


def overrides(services: Services, digest: str, *, model: str, decision: str) -> list[Statement]:
    """The overrides of one decision that are in the log and have not expired, the longest first.

    Args:
        services: The store, and whose signatures count.
        digest: Of the model.
        model: Its name; an override counts for the name that it was given for.
        decision: Digest of the decision.

    Returns:
        The overrides, the one that expires last first.

    Raises:
        IntegrityError: The release log is broken.
    """
    given = [
        statement.load(services, entry.statement)
        for entry in read(services, model)
        if entry.event is Event.OVERRIDE and not entry.refused and entry.digest == digest
    ]
    valid = [
        item
        for item in given
        if (item.subject, item.text("model"), item.text("decision")) == (digest, model, decision)
        and item.kind is Kind.OVERRIDE
        and not statement.expired(item.text("until"))
    ]
    return sorted(valid, key=lambda item: (item.text("until"), item.digest), reverse=True)


# What stands outside of the store.


def names(store: Store, model: str) -> list[str]:
    """The names of a chain's entries, oldest first, unchecked."""
    return [
        (store.read_pointer(pointer) or b"").decode(errors="replace")
        for pointer in store.list_pointers(_prefix(model))
    ]


def head(store: Store, model: str) -> str:
    """The name of a chain's newest entry; "" when it has none."""
    pointers = store.list_pointers(_prefix(model))
    return (store.read_pointer(pointers[-1]) or b"").decode(errors="replace") if pointers else ""


def heads(store: Store, model: str, signer: Signer | None) -> list[str]:
    """Trailers that say, in a commit of the deployment repository, how long the chains were.

    Signed, where there is a key: a line in a message is anybody's.
    """
    found = []
    for trailer, chain in {LOG_TRAILER: model, REVOCATIONS_TRAILER: REVOCATIONS}.items():
        if name := head(store, chain):
            words = [f"{trailer}:", name]
            if signer is not None:
                envelope = signer.sign(_head_payload(chain, name))
                words.append(base64.urlsafe_b64encode(envelope).decode())
            found.append(" ".join(words))
    return found


def _head_payload(chain: str, name: str) -> bytes:
    return canonical_json({"chain": chain, "head": name})


def _is_head(
    chain: str, name: str, envelope: str, verifier: Verifier | None, roles: frozenset[Role]
) -> bool:
    """Whether a trailer that names an entry counts: with keys, when one with a role signed it."""
    if verifier is None:
        return True
    what = f"trailer {name}"
    try:
        raw = parse_canonical_json(base64.urlsafe_b64decode(envelope), what)
        payload, _ = verifier.open(raw, what, roles)
    except (IntegrityError, binascii.Error, TypeError, AttributeError):
        return False
    return payload == _head_payload(chain, name)


def cut_off(
    services: Services, model: str, messages: Iterable[str], roles: frozenset[Role] = ANYBODY
) -> list[str]:
    """What commits' messages show to have been removed from the log of a model, as problems.

    With keys configured, a trailer counts that a key with one of the roles signed. Whoever may
    write a commit could otherwise stop every release and rollback of the model for good.
    """
    chains = {LOG_TRAILER: model, REVOCATIONS_TRAILER: REVOCATIONS}
    held = {trailer: set(names(services.store, chain)) for trailer, chain in chains.items()}
    named = {
        (found[1], found[2]): None
        for message in messages
        for found in _HEAD.finditer(message)
        if found[2] not in held[found[1]]
        and _is_head(chains[found[1]], found[2], found[3] or "", services.verifier, roles)
    }
    return [
        f"{_called(chains[trailer])} no longer has the entry {name}, which a commit of the "
        "deployment repository names: the newest entries were removed; bring the store's pointers "
        "back from a copy"
        for trailer, name in named
    ]


def tips_chain(url: str, branch: str) -> str:
    """The name of the chain of the tips of a repository's branch."""
    return f"{_TIPS}{url} {branch}"


def _called(model: str) -> str:
    if model.startswith(_TIPS):
        return f"log of the tips of {model.removeprefix(_TIPS)}"
    return f"release log of {model!r}" if model else "log of revocations"


def put_release(store: Store, release: Release) -> str:
    """Keep a copy of a `release.yaml` in the store, for when Git cannot be reached."""
    return store.put_bytes(release.render(), MEDIA_TYPE).digest


def get_release(store: Store, name: str) -> Release:
    """The copy of a `release.yaml` by its digest; errors as `Store.get_bytes` and `parse`."""
    return parse(store.get_bytes(name, MAX_RELEASE_BYTES), f"release {name}")


def models(store: Store) -> list[str]:
    """The models that have a log."""
    return [c for c in _chains(store) if c != REVOCATIONS and not c.startswith(_TIPS)]


def _chains(store: Store) -> list[str]:
    found = set()
    for hexed in _logs(store):
        first = store.read_pointer(f"releases/{hexed}/000001") or b""
        name = first.decode(errors="replace")
        if is_digest(name):
            found.add(_entry(store, name, None)[0].model)
    return sorted(found)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it should be in the logs or beside them."""

    what: str
    """A chain, an entry or a statement."""
    text: str
    broken: bool
    """Something was removed or altered; else it is only to be known."""


def check(store: Store, verifier: Verifier | None) -> list[Fault]:
    """Everything that is wrong with the release logs of a store and the statements behind them."""
    found: list[Fault] = []
    logged: set[str] = set()
    services = Services(store, verifier)
    for model in _chains(store):
        try:
            entries = read(services, model)
        except AssayError as error:
            found.append(Fault(_called(model), str(error), broken=True))
            continue
        for entry in entries:
            what = f"{_called(model)}, entry {entry.number}"
            logged.add(entry.statement)
            if entry.refused:
                found.append(Fault(what, f"does not count: {entry.refused}", broken=False))
            elif entry.statement:
                found += _faults_of_statement(store, entry, what)
    for pointer in store.list_pointers("statements/"):
        digest = PREFIX + pointer.rpartition("/")[2]
        try:
            given = statement.load(services, digest)
        except AssayError as error:
            broken = isinstance(error, UnknownKeyError | NotFoundError)
            found.append(Fault(f"statement {digest}", str(error), broken=broken))
            continue
        if given.kind in {Kind.REVOCATION, Kind.OVERRIDE} and digest not in logged:
            text = f"this {given.kind} of {given.subject} is not in the log; state it again"
            found.append(Fault(f"statement {digest}", text, broken=False))
    return found


def _faults_of_statement(store: Store, entry: Entry, what: str) -> list[Fault]:
    name = entry.statement
    if not store.has(name):
        text = f"the statement {name} behind it is not in the store"
        return [Fault(what, text, broken=True)]
    pointer = f"statements/{hex_of(entry.digest)}/{hex_of(name)}"
    if store.read_pointer(pointer) is None:
        return [Fault(what, f"the pointer {pointer} to its statement was removed", broken=True)]
    return []


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
            entry, _ = _entry(store, name, None)
            kept |= {name, *filter(None, [entry.statement])}
            if entry.event is Event.PASSED:
                kept.add(entry.release)  # it says what it replaced, and a rollback goes on to that
            elif entry.release:
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


def missing(entries: Iterable[Entry], environment: str, held: Mapping[str, str]) -> list[str]:
    """Commits of the deployment repository that no entry that counts names with what they hold.

    Args:
        entries: Of the model's log.
        environment: Whose release the commits changed.
        held: By commit, the release's name there; "" where there is none that can be read.
    """
    known = {
        (e.commit, e.release)
        for e in entries
        if (e.moves or e.passed) and e.environment == environment
    }
    return [commit for commit, release in held.items() if (commit, release) not in known]


def _entry(store: Store, name: str, verifier: Verifier | None) -> tuple[Entry, Key | None]:
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
            # Version 1 had neither.
            intends=str(raw["intends"]) if read_back.version > 1 else "",
            revocations=str(raw["revocations"]) if read_back.version > 1 else "",
            number=int(raw["number"]),
            previous=str(raw["previous"]),
            name=name,
            signed_by=read_back.signed_by,
        )
    except (KeyError, ValueError, TypeError) as error:
        raise IntegrityError(f"{name}: not an entry of the release log ({error!r})") from error
    if read_back.kind is not Kind.LOG or read_back.subject != (entry.release or entry.digest):
        raise IntegrityError(f"{name}: not an entry of the release log; it was altered")
    return entry, read_back.key


def _prefix(model: str) -> str:
    return f"releases/{hex_of(of_bytes(model.encode()))}/"


def _pointer(model: str, number: int) -> str:
    return f"{_prefix(model)}{number:06d}"
