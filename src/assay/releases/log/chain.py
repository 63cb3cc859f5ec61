"""The chain: entries are added after the last one, and verified when read."""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from assay.core.digest import PREFIX, canonical_json, is_digest, parse_canonical_json
from assay.core.signing import Key, Role, Signer, Verifier
from assay.core.step import Services
from assay.core.store import Store
from assay.errors import (
    AttestationError,
    IntegrityError,
    NotFoundError,
    ReleaseConflictError,
    ServiceError,
    UnknownKeyError,
    UsageError,
)
from assay.releases import statement
from assay.releases.log.entry import (
    ANYBODY,
    MOVES,
    REVOCATIONS,
    WRITERS,
    Entry,
    Event,
    NotAnEntryError,
    chain_id,
    is_ahead,
    malformed,
    places,
    pointer,
    read_entry,
    title,
)
from assay.releases.log.history import clock, current, was_released
from assay.releases.log.scope import refused_here, repository_of, witnessed
from assay.releases.statement import Kind, Statement

MAX_RACES: Final = 50
ACCORDING_TO: Final = "according to"
_APPROVED: Final = frozenset({Event.RELEASE, Event.PASSED, Event.OVERRIDE})
_GO_BACK: Final = frozenset({Event.ROLLBACK, Event.RECONCILED})
CLEAR: Final = "an approver removes it with: assay release clear"
_REMEDY: Final = f"restore the store's pointers from a copy; if it was only added, {CLEAR}"
LOG_TRAILER: Final = "Assay-Log"
REVOCATIONS_TRAILER: Final = "Assay-Revocations"
_HEAD: Final = re.compile(
    rf"(?m)^({LOG_TRAILER}|{REVOCATIONS_TRAILER}): ({PREFIX}[0-9a-f]{{64}})"
    r"(?: ([A-Za-z0-9_=-]{1,4000}))?\s*$"
)


def append(
    services: Services, entry: Entry, signer: Signer | None, *, after: str | None = None
) -> Entry:
    """Add an entry after the last one; the artifacts that it names must be in the store.

    A commit is recorded once for each environment: the second writer gets the existing entry.

    Args:
        services: The store that holds the log, and whose signatures count.
        entry: What to add.
        signer: Who signs it.
        after: Name of the entry that said what is in the environment when this one was made; ""
            for none. None: the entry is valid whatever was added since.

    Returns:
        The entry as it was stored, or the equal one that the log already has.

    Raises:
        UsageError: The signer may not write it, or keys are configured and no signer is given.
        IntegrityError: The chain is broken.
        ReleaseConflictError: Another entry than `after` sets what is in the environment.
        ServiceError: Other writers were first in every attempt.
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
            if _same(known, entry, repository_of(services)):
                return known
        last = current(entries, entry.environment)
        if after is not None and after != (last.name if last else ""):
            raise ReleaseConflictError(
                f"{entry.environment} of {entry.model!r} was changed by others meanwhile; run again"
            )
        # Read it, because a pointer to a missing blob may be removed again.
        revoked = [] if entry.model == REVOCATIONS else read(services, REVOCATIONS)
        # A runner's entry may be removed again by the one who added it.
        newest = next((revocation for revocation in reversed(revoked) if revocation.dated), None)
        number = len(entries) + 1
        # Times never decrease, whatever the clocks of the writers.
        at = max(entry.at, clock(entries))
        complete = replace(
            entry,
            number=number,
            repository="" if entry.model == REVOCATIONS else repository_of(services),
            previous=entries[-1].name if entries else "",
            at=at,
            written=max(statement.now(), at),
            revocations=newest.name if newest else "",
        )
        subject = complete.release or complete.digest
        data, media_type = statement.encode(Kind.LOG, subject, complete.predicate(), signer)
        name = store.put_bytes(data, media_type).digest
        if store.create_pointer(pointer(entry.model, number), name.encode()):
            return replace(complete, name=name)
    raise ServiceError(
        f"the release log of {entry.model!r} was written by others {MAX_RACES} times; run again"
    )


def _same(known: Entry, entry: Entry, repository: str) -> bool:
    if known.refused or known.event is Event.INTENT or entry.event is Event.INTENT:
        return False
    # A tip from an earlier version does not name its repository.
    if entry.event is Event.SEEN and known.repository != repository:
        return False
    if entry.event is Event.REVOCATION:
        # One by a key out of use may be set aside later.
        return not known.unproven and (known.event, known.digest) == (entry.event, entry.digest)
    # A commit may have several reconciliations, each with its own reason.
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
        IntegrityError: A number is missing, an entry is altered, unsigned although keys are
            configured, or does not name the one before, or a revocation was removed; says which.
    """
    store = services.store
    chained = _chained(store, model, services.verifier)
    entries: list[Entry] = []
    for (entry, key), known in zip(chained, _known(chained), strict=True):
        refused = (
            entry.refused
            or malformed(entry)
            or refused_here(services, entry)
            or _refusal(services, entry, key, entries, known)
        )
        unproven = not refused and _unproven(entry, key, known)
        dated = not refused and (key is None or key.may(WRITERS[Event.RELEASE]))
        if unproven and key is not None and key.stolen is not None:
            dated = False  # a thief can add it, and remove it again
        by = entry.by if refused else _author(services, entry, key)
        entries.append(replace(entry, refused=refused, unproven=unproven, dated=dated, by=by))
    aside = set_aside(entries)
    entries = [_without(entry, aside) for entry in entries]
    # A key that runs pipelines could name any.
    seen = next((e.revocations for e in reversed(entries) if e.dated and e.revocations), "")
    if seen and seen not in names(store, REVOCATIONS):
        raise IntegrityError(
            f"{title(model)} names the revocation {seen}, which {title(REVOCATIONS)} no longer "
            "has: revocations were removed; restore the store's pointers from a backup"
        )
    return entries


def _chained(store: Store, model: str, verifier: Verifier | None) -> list[tuple[Entry, Key | None]]:
    """The entries of a log and the keys that signed them, in one chain; errors as `read`."""
    chained: list[tuple[Entry, Key | None]] = []
    for number, name_of_pointer in enumerate(places(store, chain_id(model)), start=1):
        what = f"{title(model)}, entry {number}"
        if name_of_pointer != pointer(model, number):
            raise IntegrityError(f"{what} is missing; the log was tampered with; {_REMEDY}")
        name = (store.read_pointer(name_of_pointer) or b"").decode(errors="replace")
        try:
            entry, key = _linked(store, name, what, verifier)
        except NotAnEntryError as error:
            # Anyone who can write to the store can add it; later entries follow it nevertheless.
            chained.append((_nothing(model, number, name, str(error)), None))
            continue
        expected = (model, number, chained[-1][0].name if chained else "")
        if (entry.model, entry.number, entry.previous) != expected:
            fault = "does not follow the entry before it"
            if key is None or not (key.stolen or not key.may(WRITERS[Event.RELEASE])):
                raise IntegrityError(f"{what}: {fault}; the log was tampered with; {_REMEDY}")
            entry, key = _nothing(model, number, name, f"{fault}, and {key} signed it"), None
        elif is_ahead(entry, key):
            raise IntegrityError(
                f"{what}: dated {entry.at}, which is ahead of this machine's clock; when the clock "
                f"is right, {CLEAR}"
            )
        chained.append((entry, key))
    return chained


def _linked(
    store: Store, name: str, what: str, verifier: Verifier | None
) -> tuple[Entry, Key | None]:
    """The entry that a pointer names.

    Args:
        store: That holds it.
        name: Its digest.
        what: The entry, for errors.
        verifier: Whose signatures count; None: any.

    Raises:
        NotAnEntryError: It does not count, and does not block readers.
        UnknownKeyError: It is signed by a key that is not configured.
        IntegrityError: It is not whole, or not in the store.
    """
    if not is_digest(name):
        raise IntegrityError(f"{what}: names no digest; the log was tampered with; {_REMEDY}")
    try:
        return read_entry(store, name, verifier)
    except NotFoundError as error:
        raise IntegrityError(
            f"{what}: its content {name} is not in the store; {_REMEDY}"
        ) from error
    except UnknownKeyError as error:
        raise UnknownKeyError(
            f"{what}: {error}; until then nothing is released, because the entry could be "
            f"a revocation; if it is nobody's key: {CLEAR}"
        ) from error
    except NotAnEntryError:
        raise
    except IntegrityError as error:
        raise IntegrityError(f"{what}: its content is no entry: {error}; {_REMEDY}") from error


def _nothing(model: str, number: int, name: str, refused: str) -> Entry:
    """A placeholder for a blob at the position of an entry that does not count."""
    return Entry(Event.INTENT, model, "", "", "", "", "", number=number, name=name, refused=refused)


def set_aside(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """The decisions of approvers to set a revocation aside, by the name of its entry or statement.

    Args:
        entries: The chain of revocations.
    """
    result: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.event is Event.CLEARED and entry.statement and not entry.refused:
            result.setdefault(entry.statement, []).append(entry)
    return result


def _without(entry: Entry, aside: Mapping[str, Sequence[Entry]]) -> Entry:
    """An entry, which does not count if it is a revocation that another approver set aside."""
    others = [e for e in aside.get(entry.name, ()) if e.signed_by != entry.signed_by]
    if not (entry.unproven and others):
        return entry
    refused = f"set aside by {others[0].by} (entry {others[0].number}): {others[0].why}"
    return replace(entry, refused=refused, unproven=False, dated=False)


class _Known(NamedTuple):
    """The earliest times at which entries by keys of approvers and recorders prove an entry.

    Each entry names the one before it, so its signature covers all earlier ones.
    """

    by_others: str
    """Of later entries by other keys than that of the entry; "" without one."""
    at_all: str
    """Of the entry itself and all later ones; "" without one."""


def _known(chained: Sequence[tuple[Entry, Key | None]]) -> list[_Known]:
    """When each entry was first proved; entries by stolen keys prove nothing.

    An entry that does not count proves it as well: only the time of its writing matters, which its
    key has signed. `at` does not: it may be the time of a merge, long before it was recorded.
    """
    times: dict[str, str] = {}
    result = []
    for entry, key in reversed(chained):
        others = min((at for by, at in times.items() if by != entry.signed_by), default="")
        proves = key is not None and key.stolen is None and key.may(WRITERS[Event.RELEASE])
        if key is not None and proves and not malformed(entry) and key.was_in_use(entry.existed):
            times[key.key_id] = min(entry.existed, times.get(key.key_id, entry.existed))
        result.append(_Known(others, min(times.values(), default="")))
    return result[::-1]


def _unproven(entry: Entry, key: Key | None, known: _Known) -> bool:
    return (
        entry.event is Event.REVOCATION
        and key is not None
        and key.out_of_use
        and not key.was_in_use(known.by_others)
    )


def _refusal(
    services: Services, entry: Entry, key: Key | None, before: Sequence[Entry], known: _Known
) -> str:
    """Why an entry does not count; "" when it does."""
    goes_back = (entry.intends or entry.event) in _GO_BACK
    if goes_back and not was_released(before, entry.release, entry.environment, entry.digest):
        return "restores a release that was never in this environment with an approval"
    if key is None or services.verifier is None:
        return ""
    if not key.may(WRITERS[entry.event]):
        allowed = " or ".join(sorted(WRITERS[entry.event]))
        return f"written by {key}, but it requires a key with the role {allowed}"
    try:
        if entry.event is not Event.REVOCATION:  # retiring a key does not undo it
            _require_in_use(entry, key, known)
            _require_after(entry, clock(before))
        return _disproof(services, entry, known.at_all)
    except NotFoundError:
        return f"the statement {entry.statement} behind it is not in the store"
    except AttestationError as error:
        return str(error)


def _require_in_use(entry: Entry, key: Key, known: _Known) -> None:
    """Refuse an entry by a key that was out of use, or may have been."""
    proven = key.was_in_use(known.by_others)
    lifts = entry.event is Event.CLEARED and bool(entry.statement)
    if lifts and key.out_of_use and not proven:
        # Any time can be stated, and a revocation must not end because keys were retired.
        raise AttestationError(f"{key} is out of use, and no other key proves that it was in use")
    key.require_in_use(entry.at, f"entry {entry.number}", proven=proven)


def _author(services: Services, entry: Entry, key: Key | None) -> str:
    """The author of an entry: the owner of the key, whatever name the entry has.

    What a person states is by the owner of that statement's key, under today's name. What a
    runner's key did is by that key; a name in it is a claim.
    """
    if key is None or services.verifier is None or not key.owner:
        return entry.by
    if entry.event is Event.REVOCATION:
        return key.owner
    # `_disproof` has checked the statements of these, and of no others.
    if entry.statement and entry.event in {*_APPROVED, *_GO_BACK}:
        return statement.load(services, entry.statement, proven=True).by
    claim = entry.by.endswith(f"({ACCORDING_TO} {key.owner})") or entry.by == key.owner
    if claim or key.may(WRITERS[Event.RELEASE]):
        return entry.by
    return f"{entry.by} ({ACCORDING_TO} {key.owner})"


def _require_after(entry: Entry, clock: str) -> None:
    """Refuse an entry that is dated before an earlier entry."""
    if entry.at < clock:
        raise AttestationError(
            f"dated {entry.at}, but an entry before it is of {clock}: it was backdated"
        )


def _disproof(services: Services, entry: Entry, known: str) -> str:
    """Why the statement behind an entry does not support it; "" when it does.

    Args:
        services: The store, and whose signatures count.
        entry: The entry.
        known: The earliest time at which a key that was not stolen proves the entry.
    """
    # A rollback needs no approval of its own, but one that it names must match; an intent becomes
    # the entry that it announces.
    named = bool(entry.statement) and (entry.intends or entry.event) in _GO_BACK
    if not named and entry.event not in _APPROVED:
        return ""
    if not is_digest(entry.statement):
        return "it names no signed statement"
    given = statement.load(services, entry.statement, proven=True)
    if given.key is not None:
        # The position in the chain bounds the entry's time; the statement may carry any time.
        proven = given.key.was_in_use(known)
        given.key.require_in_use(entry.at, f"{given.kind} {given.digest}", proven=proven)
    if entry.event is Event.OVERRIDE:
        return _not_stated(entry, given)
    if given.key is not None and Role.APPROVER not in given.key.roles and not witnessed(services):
        return (
            f"{given.digest} is signed by {given.key}, which writes down what a forge says, and "
            "no forge is configured (ASSAY_FORGE); without one an approver signs"
        )
    return _not_backed(entry, given)


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
    given |= {"kind": approval.kind, "subject": approval.subject}
    wrong = [name for name in expected if given[name] != expected[name]]
    # Earlier approvals name no repository; their commit is that of the entry.
    if approval.text("repository") not in {"", entry.repository}:
        wrong.append("repository")
    return f"{approval.digest} does not approve it: {', '.join(wrong)} differ" if wrong else ""


def _not_stated(entry: Entry, given: Statement) -> str:
    if (given.kind, given.subject, given.text("model"), given.text("by")) != (
        Kind.OVERRIDE,
        entry.digest,
        entry.model,
        entry.by,
    ):
        return f"{given.digest} is not the override that it claims"
    return ""


def doubtful(services: Services, entries: Sequence[Entry], environment: str) -> Entry | None:
    """The newest entry of an environment, by an approver or recorder, if it does not count.

    It may have counted until keys.yaml was changed, such as the name or the roles of its key's
    owner. Without it the log gives an earlier state, on which no one decided.

    Args:
        services: The store, and whose signatures count.
        entries: The log.
        environment: Where.

    Returns:
        The entry; None if the newest one counts, or there is none.
    """
    verifier = services.verifier
    keys = {} if verifier is None else {key.key_id: key for key in verifier.keys}
    result = None
    for entry in entries:
        if entry.environment != environment or entry.event not in MOVES:
            continue
        key = keys.get(entry.signed_by)
        if not entry.refused:
            result = None
        elif key is None or key.stolen or not key.may(WRITERS[Event.RELEASE]):
            continue
        elif not malformed(entry) and not refused_here(services, entry):
            result = entry
    return result


def names(store: Store, model: str) -> list[str]:
    """The names of a chain's entries, oldest first, unchecked."""
    return [
        (store.read_pointer(result) or b"").decode(errors="replace")
        for result in places(store, chain_id(model))
    ]


def head(services: Services, model: str) -> str:
    """The name of a chain's newest entry by an approver or recorder; "" without one.

    Anyone who can write to the store can add other entries, and remove them again; then what names
    them would look as if entries were lost. Errors as `read`.
    """
    return next((e.name for e in reversed(read(services, model)) if e.dated), "")


def heads(services: Services, model: str, signer: Signer | None) -> list[str]:
    """Trailers for a commit of the deployment repository that name the newest entries.

    Signed if there is a key, because anyone can write a line into a message.

    Args:
        services: The store that holds the log, for one deployment repository.
        model: Name of the model.
        signer: Who signs the trailers.

    Returns:
        A line for each chain that has entries.
    """
    result = []
    for trailer, chain in {LOG_TRAILER: model, REVOCATIONS_TRAILER: REVOCATIONS}.items():
        if name := head(services, chain):
            words = [f"{trailer}:", name]
            if signer is not None:
                envelope = signer.sign(_head_payload(chain, name, repository_of(services)))
                words.append(base64.urlsafe_b64encode(envelope).decode())
            result.append(" ".join(words))
    return result


def _head_payload(chain: str, name: str, repository: str) -> bytes:
    return canonical_json({"chain": chain, "head": name, "repository": repository})


def _is_head(
    services: Services, chain: str, name: str, envelope: str, roles: frozenset[Role]
) -> bool:
    """Whether a trailer that names an entry counts.

    With keys configured: if a key with a role signed it, for this repository. Anyone can copy a
    commit message from another repository, whose store has other logs.
    """
    verifier = services.verifier
    if verifier is None:
        return True
    what = f"trailer {name}"
    try:
        raw = parse_canonical_json(base64.urlsafe_b64decode(envelope), what)
        payload, key = verifier.open(raw, what, roles)
    except (IntegrityError, binascii.Error, TypeError, AttributeError):
        return False
    return key.stolen is None and payload == _head_payload(chain, name, repository_of(services))


def cut_off(
    services: Services, model: str, messages: Iterable[str], roles: frozenset[Role] = ANYBODY
) -> list[str]:
    """Entries that were removed from the log of a model, as trailers of commits show.

    With keys configured, a trailer is valid only if a key with one of the roles signed it.
    Otherwise anyone who can write a commit could block every release and rollback of the model.

    Args:
        services: The store, and whose signatures count.
        model: Name of the model.
        messages: Of the commits.
        roles: Whose trailers count.

    Returns:
        A problem for each missing entry.
    """
    chains = {LOG_TRAILER: model, REVOCATIONS_TRAILER: REVOCATIONS}
    held = {trailer: set(names(services.store, chain)) for trailer, chain in chains.items()}
    named = {
        (result[1], result[2]): None
        for message in messages
        for result in _HEAD.finditer(message)
        if result[2] not in held[result[1]]
        and _is_head(services, chains[result[1]], result[2], result[3] or "", roles)
    }
    return [
        f"{title(chains[trailer])} no longer has the entry {name}, which a commit of the "
        "deployment repository names: the newest entries were removed; restore the store's "
        "pointers from a backup"
        for trailer, name in named
    ]
