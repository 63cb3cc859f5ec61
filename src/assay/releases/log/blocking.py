"""Pointers that block the logs without naming a valid entry, and their removal.

Anyone who can write to the store can add a pointer after the newest entry of a log, to a missing
blob, to a blob that an unknown key signed, or to an entry of another log. Readers refuse such a
log, because the entry could be lost, or by a key that was removed from keys.yaml. A person must
decide.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from assay.core.digest import PREFIX, is_digest, of_bytes
from assay.core.signing import Key, Role, Signer, person_of
from assay.core.step import Services
from assay.core.store import Store
from assay.errors import (
    AttestationError,
    IntegrityError,
    NotFoundError,
    UnknownKeyError,
)
from assay.releases import statement
from assay.releases.log.chain import append
from assay.releases.log.entry import (
    REVOCATIONS,
    WRITERS,
    Entry,
    Event,
    NotAnEntryError,
    chain_id,
    is_ahead,
    logs,
    places,
    pointer,
    prefix,
    read_entry,
    zero,
)
from assay.releases.log.scope import refused_here
from assay.releases.statement import Kind

MAX_LISTED: Final = 20
"""Number of pointers that the entry of a removal lists; its digest covers all."""


UNKNOWN_KEY: Final = "signed by no configured key"


@dataclass(frozen=True, slots=True)
class Blocking:
    """A pointer that blocks a log."""

    pointer: str
    target: str
    """What it names."""
    why: str
    foreign: str = ""
    """The model whose log it is of, where no configured key signed any entry of that log: it may
    be the log of others, who use the store with keys of their own."""


def blocking(services: Services) -> list[Blocking]:
    """The pointers that block readers of the logs, and that can be removed without loss.

    They do not include entries at their position that a configured key signed, nor pointers before
    such an entry: if one of those is damaged, pointers were replaced and not only added.
    """
    pointers = []
    for hexed in sorted(logs(services.store)):
        if services.store.read_pointer(first := zero(hexed)) is not None:
            why = "not the number of an entry"
            pointers.append(Blocking(first, _target(services.store, first), why))
        pointers += _of_chain(services, hexed)
    for name in services.store.list_pointers("statements/"):
        if why := _statement(services, name):
            pointers.append(Blocking(name, PREFIX + name.rpartition("/")[2], why))
    return pointers


def clear(
    services: Services, signer: Signer, pointers: Sequence[Blocking], *, by: str, why: str
) -> Entry | None:
    """Log the removal of pointers and remove them; after an interruption, run it again.

    Args:
        services: The store, and whose signatures count.
        signer: The approver's key.
        pointers: The pointers to remove.
        by: `Name <mail>`; with keys configured the owner of the signer's key.
        why: The reason.

    Returns:
        The entry that lists the removed pointers; None without any.

    Raises:
        UsageError: The key is not an approver's.
        IntegrityError: One of them no longer blocks a log; nothing was removed.
    """
    by = person_of(
        services.verifier, signer, Role.APPROVER, by, "removing pointers that block a log"
    )
    if not pointers:
        return None
    if set(pointers) - set(blocking(services)):
        raise IntegrityError("the logs have changed since they were read; run again")
    # Pointers that block the chain of this entry must be removed first; others are logged before.
    begin = prefix(REVOCATIONS)
    _remove(services.store, [item for item in pointers if item.pointer.startswith(begin)])
    lines = [f"{item.pointer} -> {item.target}: {item.why}" for item in pointers]
    more = f"; and {len(lines) - MAX_LISTED} more" if len(lines) > MAX_LISTED else ""
    entry = Entry(
        event=Event.CLEARED,
        model=REVOCATIONS,
        environment="",
        digest=of_bytes("\n".join(lines).encode()),
        release="",
        at=statement.now(),
        by=by,
        why=f"{why}: {'; '.join(lines[:MAX_LISTED])}{more}",
    )
    made = append(services, entry, signer)
    _remove(services.store, [item for item in pointers if not item.pointer.startswith(begin)])
    return made


def _remove(store: Store, pointers: Sequence[Blocking]) -> None:
    for item in pointers:
        store.remove_pointer(item.pointer)


def _of_chain(services: Services, hexed: str) -> list[Blocking]:
    names = places(services.store, hexed)
    targets = [_target(services.store, name) for name in names]
    pointers: list[Blocking] = []
    first = len(names) + 1
    claimed = 0
    place = len(names)
    for place in range(len(names), 0, -1):
        before = targets[place - 2] if place > 1 else ""
        looked = _worthless(services, names[place - 1], targets[place - 1], before)
        if not looked.why:
            break
        if looked.stops or names[place - 1] != f"releases/{hexed}/{place:06d}":
            first = place
        claimed = max(claimed, looked.claimed)
        pointers.append(Blocking(names[place - 1], targets[place - 1], looked.why))
    else:
        place = 0
    if not place and any(item.why == UNKNOWN_KEY for item in pointers):
        model = _model_of(services.store, targets, hexed)
        pointers = [replace(item, foreign=model) for item in pointers]
    # An entry out of its place is proved worthless by one in its place that has a later number:
    # its chain of names holds another entry there. Otherwise pointers may have been replaced.
    # What is before the first one that stops readers is read, and stays.
    return pointers[len(names) - first :: -1] if claimed <= place and first <= len(names) else []


def _model_of(store: Store, targets: Sequence[str], hexed: str) -> str:
    """The model whose log a chain is, as its entries say; "" for the revocations."""
    for target in targets:
        with contextlib.suppress(IntegrityError, NotFoundError):
            entry, _ = read_entry(store, target, None)
            if chain_id(entry.model) == hexed:
                return entry.model
    return ""


class _Looked(NamedTuple):
    """What a pointer of a log leads to."""

    why: str
    """Why it is no entry that counts; "" where it may be one."""
    stops: bool = False
    """Whether readers stop at it."""
    claimed: int = 0
    """The number of an entry that is out of its place, by a key whose entries count."""


def _worthless(  # noqa: PLR0911 - one for each reason
    services: Services, name: str, target: str, before: str
) -> _Looked:
    """Why a pointer of a log names no valid entry, and whether it blocks readers.

    Args:
        services: The store, and whose signatures count.
        name: The pointer.
        target: What it names.
        before: What the pointer before it names.

    Returns:
        The reason, and whether readers refuse the log because of it.
    """
    if not is_digest(target):
        return _Looked("names no digest", stops=True)
    try:
        entry, key = read_entry(services.store, target, services.verifier)
    except NotFoundError:
        return _Looked("names a blob that is not in the store", stops=True)
    except UnknownKeyError:
        return _Looked(UNKNOWN_KEY, stops=True)
    except NotAnEntryError as error:
        return _Looked(f"no entry: {error}"[:200])
    except IntegrityError as error:
        return _Looked(f"no entry, or damaged: {error}"[:200], stops=True)
    if services.verifier is not None and key is None:
        return _Looked("unsigned")
    if (pointer(entry.model, entry.number), entry.previous) == (name, before):
        if is_ahead(entry, key):
            return _Looked(f"dated {entry.at}, ahead of the clock", stops=True)
        if key is not None and not key.may(WRITERS[Event.RELEASE]):
            # Writers read the log first, so no writer put it behind what stops readers.
            return _Looked(f"by {key}, behind what stops the log")
        return _Looked("")
    return _misplaced(services, name, entry, key)


def _misplaced(services: Services, name: str, entry: Entry, key: Key | None) -> _Looked:
    """Why an entry is not valid at the position of a pointer.

    Args:
        services: The store, and whose signatures count.
        name: The pointer.
        entry: What it names.
        key: The configured key that signed it; None if none is configured.

    Returns:
        The reason, and whether readers refuse the log because of it.
    """
    own = pointer(entry.model, entry.number)
    stops = key is None or key.may(WRITERS[Event.RELEASE])
    if own != name and _target(services.store, own) == entry.name:
        return _Looked("a copy of an entry from another position", stops)
    if not name.startswith(prefix(entry.model)):
        return _Looked("an entry of another log", stops)
    if not stops or refused_here(services, entry):
        return _Looked("an entry that does not follow, or of another repository", stops)
    return _Looked("an entry that lost its place to another", stops, entry.number)


def _statement(services: Services, name: str) -> str:
    """Why a pointer to a statement blocks readers, or ""."""
    subject, _, given = name.removeprefix("statements/").partition("/")
    target = PREFIX + given
    if not is_digest(target) or not services.store.has(target):
        return "names a blob that is not in the store"
    try:
        statement.load(services, target)
    except UnknownKeyError:
        with contextlib.suppress(IntegrityError):
            claimed = statement.load(Services(services.store, None), target)
            about = f"{PREFIX}{subject}" == claimed.subject
            if claimed.kind is Kind.REVOCATION and about:
                return "a revocation that no configured key signed"
    except AttestationError:
        return ""  # a statement that does not count
    except IntegrityError as error:
        return f"no statement: {error}"[:200]
    return ""


def _target(store: Store, name: str) -> str:
    return (store.read_pointer(name) or b"").decode(errors="replace")
