"""A less strict policy does not admit what a stricter one blocked."""

from assay.core.step import Services
from assay.errors import RunBlocked
from assay.governance.admission import Assessment
from assay.governance.stricter import StricterPolicy, stricter
from assay.releases import log


def require_stricter_passed(services: Services, assessment: Assessment, model_name: str) -> None:
    """Refuse a model that a stricter policy blocks: one that blocked on the same test rows.

    A model that passes its governing policy is admitted whatever other policies say, and so is a
    model for which a person has overridden that decision.

    Args:
        services: The store, and whose signatures count.
        assessment: Of the model.
        model_name: Its name.

    Raises:
        RunBlocked: Names the policy, the decision and the reason.
    """
    if assessment.governing is not None:
        return
    found = [
        policy
        for policy in stricter(services, assessment.judgement, assessment.documents)
        if not _overridden(services, assessment, policy, model_name)
    ]
    if found:
        policy = found[0]
        raise RunBlocked(
            f"not admitted: the policy {policy.policy} blocked {policy.model} on the same test "
            "data "
            f"(decision {policy.decision}), and this model does not pass it either: "
            f"{policy.reason}; "
            "pass it, test on new data, or put the policy that decides into the deployment "
            f"repository as models/{model_name}/policy.yaml and set ASSAY_DEPLOYMENTS"
        )


def _overridden(
    services: Services, assessment: Assessment, policy: StricterPolicy, model_name: str
) -> bool:
    model = assessment.judgement.model
    if policy.model != model:
        return False
    given = log.overrides(services, model, model=model_name, decision=policy.decision)
    return bool(given)
