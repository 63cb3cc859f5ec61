"""How old the last rollback drill is, as evidence for a gate, and what the next one lacks.

Apart from the drill itself: the images of gate and doctor can neither roll back nor predict.
"""

from datetime import UTC, datetime
from typing import Final

from assay.core.step import Services
from assay.evidence.format import EvidenceDocument
from assay.releases import log, statement
from assay.releases.document import Release
from assay.releases.statement import Kind

EVIDENCE: Final = "rollback_drill_age_days"
MAKE_KEY: Final = "openssl genpkey -algorithm ed25519 -out signing.pem"


def evidence(services: Services, model: str, digest: str) -> EvidenceDocument:
    """How old the last drill of a model's name is, as evidence about one of its digests.

    Args:
        services: The store, and who may sign.
        model: Name of the model.
        digest: The candidate that a gate judges.
    """
    digests = {e.digest for e in log.read(services.store, model, services.verifier)}
    drills = [
        given
        for one in sorted(digests)
        for given in statement.about(services.store, one, services.verifier, Kind.DRILL)
        if given.text("model") == model and given.predicate.get("passed") is True
    ]
    if not drills:
        note = f"no drill of {model!r} has passed; run the pipeline rollback_drill on staging"
        return EvidenceDocument({"model": digest}, {EVIDENCE: None}, notes={EVIDENCE: note})
    last = max(statement.moment(given.text("at"), "at") for given in drills)
    days = (datetime.now(UTC) - last).total_seconds() / 86400
    return EvidenceDocument({"model": digest}, {EVIDENCE: max(days, 0.0)})


def lacking(services: Services, model: str, environment: str) -> list[str]:
    """What a drill of a model lacks in an environment, by its release log; each with its remedy.

    Whether what there is can be restored, byte for byte, is the drill's own to find out.
    """
    entries = log.read(services.store, model, services.verifier)
    there = log.current(entries, environment)
    promote = f"assay release promote '{model}' {environment}"
    if there is None:
        return [f"{model!r} was never released to {environment}; release two models: {promote}"]
    left = log.get_release(services.store, there.release)
    known = {e.release for e in entries if e.moves and e.environment == environment}
    before = _before(services, left, known)
    if before is None:
        alone = f"no release of {model!r} came before the one in {environment}"
        return [f"{alone}, so a drill cannot go back; release another model: {promote}"]
    return [no_golden(each.digest) for each in (left, before) if not each.golden]


def _before(services: Services, left: Release, known: set[str]) -> Release | None:
    """The last release of another model that `left` came after, of those that were there."""
    seen = {left.name}
    previous = left.previous
    while previous in known - seen and services.store.has(previous):
        seen.add(previous)
        release = log.get_release(services.store, previous)
        if release.digest != left.digest:
            return release
        previous = release.previous
    return None


def no_golden(digest: str) -> str:
    """What a drill says of a release that it cannot compare with anything."""
    return (
        f"the release of {digest} holds no golden predictions to compare with; promote it again, "
        "with the test data in the store"
    )
