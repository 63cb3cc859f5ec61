"""The age of the last rollback drill as evidence for a gate, and the requirements of a drill.

Separate from the drill, because the images of gate and doctor can neither roll back nor predict.
"""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from assay.core.step import Services
from assay.errors import UsageError
from assay.evidence.format import EvidenceDocument
from assay.releases import log, statement
from assay.releases.log import Entry, Event
from assay.releases.release import Release
from assay.releases.statement import Kind, Statement

EVIDENCE: Final = "rollback_drill_age_days"
DRILL_BACK: Final = "rollback drill: back"
DRILL_FORTH: Final = "rollback drill: forth again"
"""The reasons of a drill's two rollbacks in the release log."""
MAKE_KEY: Final = "openssl genpkey -algorithm ed25519 -out signing.pem"


def evidence(services: Services, model: str, digest: str) -> EvidenceDocument:
    """The age of the last drill of a model, as evidence about one of its digests.

    Args:
        services: The store, and whose signatures count.
        model: Name of the model.
        digest: The candidate that a gate judges.

    Returns:
        The evidence; its value is None when no drill has passed.

    Raises:
        IntegrityError: The release log is broken.
        UsageError: As `log.configured`.
    """
    services = log.configured(services)
    entries = log.read(services, model)
    digests = {e.digest for e in entries if e.moves}
    # A drill of an earlier version does not say in which repository it was.
    here = {"", log.repository_of(services)}
    drills = [
        given
        for released in sorted(digests)
        for given in statement.about(services, released, Kind.DRILL)
        if given.text("model") == model
        and given.predicate.get("passed") is True
        and given.text("repository") in here
    ]
    past = list(filter(None, (_time(given, entries) for given in drills)))
    if not past:
        note = f"no drill of {model!r} has passed; run the pipeline rollback_drill on staging"
        return EvidenceDocument({"model": digest}, {EVIDENCE: None}, notes={EVIDENCE: note})
    days = (datetime.now(UTC) - max(past)).total_seconds() / 86400
    return EvidenceDocument({"model": digest}, {EVIDENCE: days})


def _time(drill: Statement, entries: Sequence[Entry]) -> datetime | None:
    """The time of a drill; None if it does not count, or the log does not have its rollbacks."""
    rollbacks = [
        entry
        for entry in entries
        if entry.moves
        and entry.event is Event.ROLLBACK
        and entry.environment == drill.text("environment")
    ]
    ended = [
        statement.moment(forth.at, "at")
        for back, forth in itertools.pairwise(rollbacks)
        if (back.why, back.digest) == (DRILL_BACK, drill.text("to"))
        and (forth.why, forth.digest) == (DRILL_FORTH, drill.subject)
    ]
    try:
        stated = statement.moment(drill.text("at"), "at")
    except UsageError:
        return None
    # A drill that is dated ahead would count as recent for any length of time.
    if not ended or stated > datetime.now(UTC):
        return None
    return min(stated, max(ended))


def missing_for_drill(services: Services, model: str, environment: str) -> list[UsageError]:
    """What is missing for a drill, according to the release log.

    Only the drill itself checks whether the releases can be restored byte for byte.

    Args:
        services: The store, and whose signatures count.
        model: Name of the model.
        environment: Where.

    Returns:
        A problem and its remedy for each; empty when a drill can run.

    Raises:
        IntegrityError: The release log is broken.
        UsageError: As `log.configured`.
    """
    entries = log.read(log.configured(services), model)
    current = log.current(entries, environment)
    promote = f"assay release promote '{model}' {environment}"
    if current is None:
        return [
            UsageError(
                f"{model!r} was never released to {environment}",
                remedy=f"release two models: {promote}",
            )
        ]
    left = log.get_release(services.store, current.release)
    known = {e.release for e in entries if e.moves and e.environment == environment}
    before = _before(services, left, known)
    if before is None:
        alone = f"no release of {model!r} came before the one in {environment}"
        return [
            UsageError(
                f"{alone}, so a drill cannot go back", remedy=f"release another model: {promote}"
            )
        ]
    return [no_golden(each.digest) for each in (left, before) if not each.golden]


def _before(services: Services, left: Release, known: set[str]) -> Release | None:
    """The last release of another model before `left` that was in the environment."""
    seen = {left.name}
    previous = left.previous
    while previous in known - seen and services.store.has(previous):
        seen.add(previous)
        release = log.get_release(services.store, previous)
        if release.digest != left.digest:
            return release
        previous = release.previous
    return None


def no_golden(digest: str) -> UsageError:
    """The problem of a release without golden predictions."""
    return UsageError(
        f"the release of {digest} has no golden predictions to compare with",
        remedy="promote it again, with the test data in the store",
    )
