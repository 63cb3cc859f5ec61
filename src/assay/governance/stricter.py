"""Stricter policies: those under which models were blocked on the same test rows.

The user of a run chooses its policy. If a policy blocked a model, a less strict one must not admit
the next: a model must pass every policy that blocked on these rows, for the same
target, unless a governing policy decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from assay.core.attestation import using
from assay.core.step import Services
from assay.errors import PolicyError
from assay.evidence.format import EvidenceDocument
from assay.governance.admission import judged_policy, judged_under
from assay.governance.attempts import target_of
from assay.governance.makers import GATE
from assay.governance.policy import Decision as Judgement
from assay.governance.policy import Verdict


@dataclass(frozen=True, slots=True)
class StricterPolicy:
    """A policy that blocked a model, and blocks this one."""

    policy: str
    """Digest of its artifact."""
    decision: str
    """Digest of a decision under it that is not a pass."""
    model: str
    """Digest of the model that the decision is about."""
    reason: str
    """Why this model does not pass it, in one line."""


def stricter(
    services: Services, judgement: Judgement, documents: Mapping[str, EvidenceDocument]
) -> list[StricterPolicy]:
    """The policies that blocked a model on these test rows, and that this model does not pass.

    Args:
        services: The store, and whose signatures count.
        judgement: A decision that passed.
        documents: The evidence of the decision, by digest.

    Returns:
        One item for each policy; empty when the model passes all of them.

    Raises:
        IntegrityError: A blob does not match its digest.
    """
    target = target_of(services, judgement.model)
    result = []
    for policy, (decision, model) in _blocked(services, judgement).items():
        if policy == judgement.policy_artifact:
            continue
        if target and target_of(services, model) not in {"", target}:
            continue
        try:
            content = judged_policy(services.store, policy)
            again = judged_under(content, judgement, documents, f"policy {policy}")
        except PolicyError as error:
            result.append(StricterPolicy(policy, decision, model, str(error)))
            continue
        if again.verdict is not Verdict.PASS:
            result.append(StricterPolicy(policy, decision, model, again.reason))
    return result


def _blocked(services: Services, judgement: Judgement) -> dict[str, tuple[str, str]]:
    """By policy, a decision on the same test rows that is not a pass, and its model."""
    store, verifier = services.store, services.verifier
    seen: set[str] = set()
    result: dict[str, tuple[str, str]] = {}
    for measured in using(store, judgement.test_data, verifier):
        for output in measured.outputs.values():
            if output.digest in seen:
                continue
            seen.add(output.digest)
            for attestation in using(store, output.digest, verifier):
                if (
                    attestation.entry_point == GATE
                    # A gate without test_data judged evidence about the same rows.
                    and attestation.parameters.get("test_data") in {"", judgement.test_data}
                    and attestation.values.get("verdict") != Verdict.PASS.value
                    # A statement that was written manually may have neither.
                    and (decision := attestation.outputs.get("decision")) is not None
                    and (policy := attestation.inputs.get("policy")) is not None
                ):
                    model = str(attestation.parameters.get("model", ""))
                    result.setdefault(str(policy), (decision.digest, model))
    return result
