"""What must hold before a model is registered.

1. The decision is about exactly this model.
2. Its verdict is a pass.
3. The policy it names, judged again over the evidence it names, gives the same rows.
4. The decision, the evidence and the model have believable records, which connect: the decision
   was made by the gate from that policy and evidence, and the evidence about the model was made
   from that model.
5. Every byte of all of it, back to the source, is what its name says.
"""

from dataclasses import dataclass
from typing import Final

from assay.attestation import Attestation, about
from assay.errors import AttestationError, IntegrityError, RunBlocked
from assay.evidence import FILE_NAME, MAX_EVIDENCE_BYTES, EvidenceDocument
from assay.policy import MAX_POLICY_BYTES, decide, read_decision
from assay.policy import Decision as Judgement
from assay.provenance import verify
from assay.step import Decision, Services
from assay.store import Store
from assay.tree import get_manifest

GATE: Final = "gate"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the checks found, for the version's tags."""

    decision: str
    """Digest of the decision."""
    judgement: Judgement
    training: Attestation
    """The record of the model's training."""


def check(services: Services, model: str, decision: Decision) -> Facts:
    """Check all five, in order; each fails with its own message."""
    judgement = read_decision(decision.path)
    # Check 1.
    if judgement.model != model:
        raise IntegrityError(
            f"the decision {decision.digest} is about {judgement.model}, not about {model}; "
            "run the gate for this model"
        )
    # Check 2.
    if judgement.verdict != "pass":
        raise RunBlocked(f"the decision's verdict is {judgement.verdict}: {judgement.reason}")
    # Check 3.
    _judge_again(services.store, judgement)
    # Check 4.
    training = _connected(services, decision.digest, judgement)
    # Check 5.
    verify(services.store, decision.digest, services.verifier)
    verify(services.store, model, services.verifier)
    return Facts(decision.digest, judgement, training)


def _judge_again(store: Store, judgement: Judgement) -> None:
    policy = _file(store, judgement.policy_artifact, "policy.yaml", MAX_POLICY_BYTES)
    documents = {
        digest: EvidenceDocument.parse(_file(store, digest, FILE_NAME, MAX_EVIDENCE_BYTES))
        for digest in judgement.evidence
    }
    again = decide(
        policy,
        documents,
        judgement.model,
        policy_artifact=judgement.policy_artifact,
        data=judgement.data,
        test_data=judgement.test_data,
        production=judgement.production,
    )
    if again != judgement:
        raise IntegrityError(
            "the decision does not follow from the policy and evidence that it names "
            f"(judged again: {again.verdict}); it was altered, or judged by another version"
        )


def _connected(services: Services, decision: str, judgement: Judgement) -> Attestation:
    store, verifier = services.store, services.verifier
    named = {judgement.policy_artifact, *judgement.evidence}
    made = [r for r in about(store, decision, verifier) if r.step == GATE]
    if not any(
        named <= set(record.input_digests()) and record.parameters.get("model") == judgement.model
        for record in made
    ):
        raise AttestationError(
            f"no record shows that the gate made the decision {decision} from what it names"
        )
    for digest in judgement.evidence:
        document = EvidenceDocument.parse(_file(store, digest, FILE_NAME, MAX_EVIDENCE_BYTES))
        records = about(store, digest, verifier)
        subjects = set(document.subjects.values())
        if not any(subjects <= set(record.input_digests()) for record in records):
            raise AttestationError(
                f"no record shows that the evidence {digest} was made from what it is about"
            )
    training = about(store, judgement.model, verifier)
    if not training:
        raise AttestationError(f"no record of how the model {judgement.model} was made")
    return training[0]


def _file(store: Store, artifact: str, name: str, limit: int) -> bytes:
    for entry in get_manifest(store, artifact).files:
        if entry.path == name:
            return store.get_bytes(entry.blob.digest, limit)
    raise IntegrityError(f"{artifact} holds no {name}")
