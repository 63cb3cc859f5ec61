"""A laxer policy does not let in what a stricter one kept out."""

import os

from assay.admission import Facts, judged_under
from assay.errors import RunBlocked
from assay.gitops import log
from assay.gitops.document import ENVIRONMENTS
from assay.gitops.governing import governing
from assay.gitops.repository import Repository
from assay.gitops.settings import settings_from_env
from assay.governance.pinned import Kept, stricter
from assay.policy import Verdict
from assay.step import Services


def require_not_laxer(services: Services, facts: Facts, model_name: str) -> None:
    """Refuse a model that a policy would keep out which kept one out on the same test rows.

    What the governing policy passes is admitted whatever other policies said, and so is a model
    for which a person has overridden that decision.

    Raises:
        RunBlocked: Names the policy, the decision and the reason.
        ServiceError: The deployment repository cannot be reached.
    """
    found = [
        kept
        for kept in stricter(services, facts.judgement, facts.documents)
        if not _overridden(services, facts, kept, model_name)
    ]
    if found and not _governed(facts, model_name):
        kept = found[0]
        raise RunBlocked(
            f"not admitted: the policy {kept.policy} kept {kept.model} out on the same test data "
            f"(decision {kept.decision}), and this model does not pass it either: {kept.reason}; "
            "pass it, test on new data, or put the policy that is to count into the deployment "
            f"repository as models/{model_name}/policy.yaml and set ASSAY_DEPLOYMENTS"
        )


def _overridden(services: Services, facts: Facts, kept: Kept, model_name: str) -> bool:
    model = facts.judgement.model
    if kept.model != model:
        return False
    given = log.overrides(
        services.store, model, services.verifier, model=model_name, decision=kept.decision
    )
    return bool(given)


def _governed(facts: Facts, model_name: str) -> bool:
    """Whether a governing policy passes the model."""
    if not os.environ.get("ASSAY_DEPLOYMENTS"):
        return False
    with Repository.open(settings_from_env()) as repository:
        found = governing(repository, model_name, ENVIRONMENTS[0])
    if found is None:
        return False
    under = judged_under(found.content, facts.judgement, facts.documents, found.place)
    return under.verdict is Verdict.PASS
