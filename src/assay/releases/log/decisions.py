"""Decisions of people in the release log: revocations and overrides."""

from dataclasses import dataclass

from assay.core.step import Services
from assay.errors import UnknownKeyError
from assay.releases import statement
from assay.releases.log.chain import CLEAR, read
from assay.releases.log.entry import REVOCATIONS, Event
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


def revocations(services: Services) -> dict[str, Revocation]:
    """Every revocation in the log, by the model's digest; errors as `read`."""
    return {
        entry.digest: Revocation(entry.digest, entry.by, entry.at, entry.why, entry.name)
        for entry in read(services, REVOCATIONS)
        if entry.event is Event.REVOCATION and not entry.refused
    }


def revocation(services: Services, model: str) -> Revocation | None:
    """The revocation of a model, or None.

    A signed statement that the log does not have, because it is older or its writer was stopped,
    counts as well: no reader can undo a revocation.

    Raises:
        UnknownKeyError: A revocation is signed by a key that is not configured.
        IntegrityError: The log of revocations is broken.
    """
    if result := revocations(services).get(model):
        return result
    given = next(iter(statement.about(services, model, Kind.REVOCATION)), None)
    if given is not None:
        return Revocation(model, given.by, given.text("at"), given.text("why"), given.digest)
    if unknown := statement.unknown(services, model, Kind.REVOCATION):
        raise UnknownKeyError(
            f"{model} may be revoked: {unknown[0]}; until then it is not released; if it is "
            f"nobody's key: {CLEAR}"
        )
    return None


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
