"""How old the last rollback drill is, as evidence for a gate.

Apart from the drill itself, because the gate's image can neither roll back nor predict.
"""

from datetime import UTC, datetime
from typing import Final

from assay.evidence import EvidenceDocument
from assay.gitops import log, statement
from assay.gitops.statement import Kind
from assay.step import Services

EVIDENCE: Final = "rollback_drill_age_days"


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
