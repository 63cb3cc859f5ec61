"""Policies under which models were kept out on the same test rows.

A run's policy is a parameter of whoever starts it. Where a stricter one kept a model out, a laxer
one must not let the next in: every policy that blocked on these rows, for the same target, must be
passed too, unless the policy that governs the model says otherwise.
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
class Kept:
    """A policy that kept a model out, and would keep this one out."""

    policy: str
    """Digest of its artifact."""
    decision: str
    """Digest of a decision under it that was no pass."""
    model: str
    """Which that was about."""
    reason: str
    """Why this model does not pass it, in one line."""


def stricter(
    services: Services, judgement: Judgement, documents: Mapping[str, EvidenceDocument]
) -> list[Kept]:
    """The policies that kept a model out on these test rows, and that this one does not pass.

    Args:
        services: The store, and who may sign.
        judgement: A decision that passed.
        documents: What it was made from.
    """
    target = target_of(services, judgement.model)
    found = []
    for policy, (decision, model) in _blocked(services, judgement).items():
        if policy == judgement.policy_artifact:
            continue
        if target and target_of(services, model) not in {"", target}:
            continue
        try:
            content = judged_policy(services.store, policy)
            again = judged_under(content, judgement, documents, f"policy {policy}")
        except PolicyError as error:
            found.append(Kept(policy, decision, model, str(error)))
            continue
        if again.verdict is not Verdict.PASS:
            found.append(Kept(policy, decision, model, again.reason))
    return found


def _blocked(services: Services, judgement: Judgement) -> dict[str, tuple[str, str]]:
    """By policy, a decision on the same test rows that was no pass, and its model."""
    store, verifier = services.store, services.verifier
    seen: set[str] = set()
    found: dict[str, tuple[str, str]] = {}
    for measured in using(store, judgement.test_data, verifier):
        for output in measured.outputs.values():
            if output.digest in seen:
                continue
            seen.add(output.digest)
            for record in using(store, output.digest, verifier):
                if (
                    record.entry_point == GATE
                    # A gate that was not told the rows judged evidence about them all the same.
                    and record.parameters.get("test_data") in {"", judgement.test_data}
                    and record.values.get("verdict") != Verdict.PASS.value
                ):
                    decision = record.outputs["decision"].digest
                    model = str(record.parameters.get("model", ""))
                    found.setdefault(str(record.inputs["policy"]), (decision, model))
    return found
