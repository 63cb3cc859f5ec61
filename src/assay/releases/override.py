"""Signed statements by a person about a model: an override of its policy, or its revocation."""

from datetime import UTC, datetime, timedelta
from typing import Final

from assay.core.digest import require_digest
from assay.core.manifest import require_type
from assay.core.signing import Role, person_of
from assay.core.step import Model
from assay.core.tree import get_manifest
from assay.errors import UsageError
from assay.governance.admission import judged_files, judged_under
from assay.governance.policy import Decision as Judgement
from assay.governance.policy import Verdict
from assay.governance.registry import name_problems
from assay.releases import log, statement
from assay.releases.deployment import Deployment, OpenDeployment
from assay.releases.eligibility import decision_of, judgement_of
from assay.releases.governing import governing
from assay.releases.layout import ENVIRONMENTS
from assay.releases.log import Entry, Event
from assay.releases.statement import Kind, Statement

MAX_DAYS: Final = 366
"""Longest validity: an override without end would replace the policy without a review."""
MAX_WHY_CHARS: Final = 1000
MIN_WHY_CHARS: Final = 10


def override(
    deployment: Deployment, model: str, digest: str, *, by: str, why: str, until: str
) -> Statement:
    """Record a decision against the policy, about one model digest.

    Args:
        deployment: The store and the signer, whose key has the role `approver`. The governing
            policies of its repository may block what passed the model's own policy; without a
            repository only that one counts.
        model: Name of the model.
        digest: Digest of the model.
        by: `Name <mail>`; with keys configured the owner of the signer's key decides.
        why: At least a few words.
        until: A day or moment, at most a year ahead.

    Returns:
        The signed statement.

    Raises:
        UsageError: An argument is missing or wrong; the key may not override; the model passed
            its policy.
        NotFoundError: There is no decision about it to override.
    """
    signer, services = deployment.require_signer(), deployment.services
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
    if deployment.settings is not None:
        with deployment.open() as opened:
            deployment = opened  # it counts in this repository
            if judged.verdict is Verdict.PASS:
                judged = _governed(opened, model, judged)
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
    made = deployment.state(Kind.OVERRIDE, digest, predicate)
    _log_statement(deployment, Event.OVERRIDE, model, made, by=by)
    return made


def _governed(deployment: OpenDeployment, model: str, judged: Judgement) -> Judgement:
    """The first verdict of a governing policy that is not a pass, else the decision."""
    _, documents = judged_files(deployment.store, judged)
    for environment in ENVIRONMENTS:
        result = governing(deployment.repository, model, environment)
        if result is not None:
            under = judged_under(result.content, judged, documents, result.place)
            if under.verdict is not Verdict.PASS:
                return under
    return judged


def revoke(deployment: Deployment, digest: str, *, by: str, why: str) -> Statement:
    """State that a model must never be released again, nor rolled back to.

    With keys configured the owner of the signer's key revokes, whatever `by` says.

    Args:
        deployment: The store and the signer, whose key has the role `approver`.
        digest: Of the model.
        by: `Name <mail>`.
        why: At least a few words.

    Returns:
        The signed statement.

    Raises:
        UsageError: No reason is given, the key may not revoke, or the digest is not a model's.
    """
    signer, services = deployment.require_signer(), deployment.services
    by = person_of(services.verifier, signer, Role.APPROVER, by, "a revocation")
    if problems := _why_problems(why):
        raise UsageError.all_of(problems)
    require_type(get_manifest(services.store, require_digest(digest)), Model.type, "revoke")
    predicate = {"by": by, "why": " ".join(why.split()), "at": statement.now()}
    made = deployment.state(Kind.REVOCATION, digest, predicate)
    # The statement counts from here on; after an interruption the same command logs it.
    _log_statement(deployment, Event.REVOCATION, log.REVOCATIONS, made, by=by)
    return made


def _log_statement(
    deployment: Deployment, event: Event, chain: str, made: Statement, *, by: str
) -> None:
    """Add a statement about a model to a chain of the release log."""
    entry = Entry(
        event=event,
        model=chain,
        environment="",
        digest=made.subject,
        release="",
        at=made.text("at"),
        by=by,
        why=made.text("why"),
        statement=made.digest,
    )
    deployment.append(entry)


def _why_problems(why: str) -> list[str]:
    if not MIN_WHY_CHARS <= len(why.strip()) <= MAX_WHY_CHARS:
        return [f"--why: give a reason of {MIN_WHY_CHARS} to {MAX_WHY_CHARS} characters"]
    return []
