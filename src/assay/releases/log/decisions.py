"""Decisions of people in the release log: revocations and overrides."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from assay.core.digest import PREFIX
from assay.core.signing import Role, Signer, person_of
from assay.core.step import Services
from assay.errors import IntegrityError, NotFoundError, UnknownKeyError
from assay.releases import statement
from assay.releases.log.chain import CLEAR, append, read, set_aside
from assay.releases.log.entry import REVOCATIONS, Entry, Event
from assay.releases.statement import Kind, Statement


@dataclass(frozen=True, slots=True)
class Revocation:
    """A revocation: the model must never be released again."""

    digest: str
    """Of the model."""
    by: str
    at: str
    why: str
    name: str
    """Of the log's entry, or of the statement where the log has none yet."""
    unproven: bool = False
    """Whether it counts by a key that is out of use, and no other key proves that it was in use
    when it signed. Another approver may set it aside."""


def revocations(services: Services) -> dict[str, Revocation]:
    """Every revocation in the log, by the model's digest; errors as `read`."""
    return _logged(read(services, REVOCATIONS))


def _logged(entries: Sequence[Entry]) -> dict[str, Revocation]:
    counting = [e for e in entries if e.event is Event.REVOCATION and not e.refused]
    # A model may have several; a proved one is permanent.
    counting.sort(key=lambda entry: not entry.unproven)
    return {e.digest: _of_entry(e) for e in counting}


def _of_entry(entry: Entry) -> Revocation:
    return Revocation(
        entry.digest, entry.by, entry.at, entry.why, entry.name, unproven=entry.unproven
    )


def _of_statement(given: Statement) -> Revocation:
    unproven = given.key is not None and given.key.out_of_use
    return Revocation(
        given.subject,
        given.by,
        given.text("at"),
        given.text("why"),
        given.digest,
        unproven=unproven,
    )


def _stands(given: Statement, entries: Sequence[Entry]) -> bool:
    """Whether no other approver set aside a revocation that only its statement shows."""
    others = [e for e in set_aside(entries).get(given.digest, ()) if e.signed_by != given.signed_by]
    return given.key is None or not given.key.out_of_use or not others


def revocation(services: Services, model: str) -> Revocation | None:
    """The revocation of a model, or None.

    A signed statement that the log does not have, because it is older or its writer was stopped,
    counts as well: no reader can undo a revocation.

    Raises:
        UnknownKeyError: A revocation is signed by a key that is not configured.
        IntegrityError: The log of revocations is broken.
    """
    entries = read(services, REVOCATIONS)
    if result := _logged(entries).get(model):
        return result
    for given in statement.about(services, model, Kind.REVOCATION):
        if _stands(given, entries):
            return _of_statement(given)
    if unknown := statement.unknown(services, model, Kind.REVOCATION):
        raise UnknownKeyError(
            f"{model} may be revoked: {unknown[0]}; until then it is not released; if it is "
            f"nobody's key: {CLEAR}"
        )
    return None


def unproven(services: Services) -> list[Revocation]:
    """The revocations by keys out of use that count and that another approver may set aside.

    Raises:
        IntegrityError: The log of revocations is broken.
    """
    entries = read(services, REVOCATIONS)
    counting = [e for e in entries if e.event is Event.REVOCATION and not e.refused]
    proved = {e.statement for e in counting if not e.unproven}
    result = [_of_entry(e) for e in counting if e.unproven]
    for pointer in services.store.list_pointers("statements/"):
        digest = PREFIX + pointer.rpartition("/")[2]
        if digest in proved:
            continue
        with contextlib.suppress(IntegrityError, NotFoundError):
            given = statement.load(services, digest)
            if given.kind is Kind.REVOCATION and _stands(given, entries):
                result += [made for made in [_of_statement(given)] if made.unproven]
    return result


def lift(
    services: Services, signer: Signer, given: Sequence[Revocation], *, by: str, why: str
) -> None:
    """Set revocations aside, by one entry of the log for each; a later revocation counts again.

    Args:
        services: The store, and whose signatures count.
        signer: The key of an approver.
        given: Which, of `unproven`.
        by: `Name <mail>`; with keys configured the owner of the signer's key.
        why: The reason.

    Raises:
        UsageError: The key is not an approver's.
        IntegrityError: One of them is not by a key out of use, or another key proves it.
    """
    by = person_of(services.verifier, signer, Role.APPROVER, by, "setting a revocation aside")
    if set(given) - set(unproven(services)):
        raise IntegrityError("the revocations have changed since they were read; run again")
    for item in given:
        entry = Entry(
            event=Event.CLEARED,
            model=REVOCATIONS,
            environment="",
            digest=item.digest,
            release="",
            at=statement.now(),
            by=by,
            why=why,
            statement=item.name,
        )
        append(services, entry, signer)


def overrides(services: Services, digest: str, *, model: str, decision: str) -> list[Statement]:
    """The overrides of one decision that are in the log and have not expired, the longest first.

    Args:
        services: The store, and whose signatures count.
        digest: Of the model.
        model: Name of the model; an override is valid only for its name.
        decision: Digest of the decision.

    Returns:
        The overrides, the one that expires last first.

    Raises:
        IntegrityError: The release log is broken.
    """
    given = [
        statement.load(services, entry.statement, proven=True)
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
