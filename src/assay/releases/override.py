"""What a person states about a model: an override of its policy, or its revocation. Signed."""

from datetime import UTC, datetime, timedelta
from typing import Final

from assay.core.digest import require_digest
from assay.core.manifest import require_type
from assay.core.signing import Role, Signer, person_of
from assay.core.step import Model, Services
from assay.core.tree import get_manifest
from assay.errors import UsageError
from assay.governance.admission import judged_files, judged_under
from assay.governance.policy import Decision as Judgement
from assay.governance.policy import Verdict
from assay.governance.registry import name_problems
from assay.releases import log, statement
from assay.releases.candidate import decision_of, judgement_of
from assay.releases.document import ENVIRONMENTS
from assay.releases.governing import governing
from assay.releases.log import Entry, Event
from assay.releases.repository import Repository
from assay.releases.settings import Settings
from assay.releases.statement import Kind, Statement

MAX_DAYS: Final = 366
"""An override that never ends would be a policy that nobody wrote."""
MAX_WHY_CHARS: Final = 1000
MIN_WHY_CHARS: Final = 10


def override(
    services: Services,
    signer: Signer,
    model: str,
    digest: str,
    *,
    by: str,
    why: str,
    until: str,
    settings: Settings | None = None,
) -> Statement:
    """Record a decision against the policy, about one model digest.

    Args:
        services: The store, and who may sign.
        signer: Who signs; takes the role `approver`.
        model: Name of the model.
        digest: Which one.
        by: `Name <mail>`; with keys configured it is the owner of the signer's key that decides.
        why: At least a few words.
        until: A day or moment, at most a year ahead.
        settings: The deployment repository, whose governing policies may block what passed its
            own; None looks at its own only.

    Raises:
        UsageError: Something of it is missing or wrong; the key may not override; the model
            passed, and needs none.
        NotFoundError: No decision about it, so there is nothing to override.
    """
    by = person_of(services.verifier, signer, Role.APPROVER, by, "an override")
    problems = [*name_problems(model), *_why_problems(why)]
    end = statement.moment(until, "--until")
    now = datetime.now(UTC)
    if not now < end <= now + timedelta(days=MAX_DAYS):
        problems.append(f"--until {until}: give a day within the next {MAX_DAYS} days")
    if problems:
        raise UsageError.all_of(problems)
    require_type(get_manifest(services.store, require_digest(digest)), Model.type, "override")
    decision = decision_of(services, digest, None)
    judged = judgement_of(services.store, decision)
    if judged.verdict is Verdict.PASS and settings is not None:
        judged = _governed(services, settings, model, judged)
    if judged.verdict is Verdict.PASS:
        raise UsageError(f"{digest} passed its policy ({decision}); it needs no override")
    predicate = {
        "model": model,
        "decision": decision,
        "verdict": judged.verdict.value,
        "reason": judged.reason,
        "by": by,
        "why": " ".join(why.split()),
        "at": statement.now(),
        "until": statement.stamp(end),
    }
    made = statement.save(
        services.store, signer, Kind.OVERRIDE, digest, predicate, services.verifier
    )
    entry = Entry(
        event=Event.OVERRIDE,
        model=model,
        environment="",
        digest=digest,
        release="",
        at=made.text("at"),
        by=by,
        why=made.text("why"),
        statement=made.digest,
    )
    log.append(services.store, entry, signer, services.verifier)
    return made


def _governed(services: Services, settings: Settings, model: str, judged: Judgement) -> Judgement:
    """The first verdict of a governing policy that is no pass, else the decision."""
    _, documents = judged_files(services.store, judged)
    with Repository.open(settings) as repository:
        for environment in ENVIRONMENTS:
            found = governing(repository, model, environment)
            if found is not None:
                under = judged_under(found.content, judged, documents, found.place)
                if under.verdict is not Verdict.PASS:
                    return under
    return judged


def revoke(services: Services, signer: Signer, digest: str, *, by: str, why: str) -> Statement:
    """State that a model must never be released again, nor rolled back to.

    With keys configured it is the owner of the signer's key that revokes, whatever `by` says.

    Raises:
        UsageError: No reason is given, the key may not revoke, or the digest is no model's.
    """
    by = person_of(services.verifier, signer, Role.APPROVER, by, "a revocation")
    if problems := _why_problems(why):
        raise UsageError.all_of(problems)
    require_type(get_manifest(services.store, require_digest(digest)), Model.type, "revoke")
    predicate = {"by": by, "why": " ".join(why.split()), "at": statement.now()}
    made = statement.save(
        services.store, signer, Kind.REVOCATION, digest, predicate, services.verifier
    )
    # The statement counts from here on; if this is stopped now, the same command again logs it.
    entry = Entry(
        event=Event.REVOCATION,
        model=log.REVOCATIONS,
        environment="",
        digest=digest,
        release="",
        at=made.text("at"),
        by=by,
        why=made.text("why"),
        statement=made.digest,
    )
    log.append(services.store, entry, signer, services.verifier)
    return made


def _why_problems(why: str) -> list[str]:
    if not MIN_WHY_CHARS <= len(why.strip()) <= MAX_WHY_CHARS:
        return [f"--why: say in {MIN_WHY_CHARS} to {MAX_WHY_CHARS} characters why"]
    return []
