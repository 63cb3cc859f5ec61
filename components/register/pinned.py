"""A laxer policy does not let in what a stricter one kept out."""

from assay.core.step import Services
from assay.errors import RunBlocked
from assay.governance.admission import Facts
from assay.governance.pinned import Kept, stricter
from assay.releases import log


def require_not_laxer(services: Services, facts: Facts, model_name: str) -> None:
    """Refuse a model that a policy would keep out which kept one out on the same test rows.

    What a governing policy has passed is admitted whatever other policies said, and so is a model
    for which a person has overridden that decision.

    Raises:
        RunBlocked: Names the policy, the decision and the reason.
    """
    if facts.governing is not None:
        return
    found = [
        kept
        for kept in stricter(services, facts.judgement, facts.documents)
        if not _overridden(services, facts, kept, model_name)
    ]
    if found:
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
    given = log.overrides(services, model, model=model_name, decision=kept.decision)
    return bool(given)
