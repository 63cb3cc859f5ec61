"""What must hold before a model is registered or released.

1. The decision is about exactly this model.
2. Its verdict is a pass; or a person's override of it was checked by the caller.
3. The policy it names, judged again over the evidence it names, gives the same rows.
4. Evaluation, measurements and data, which the registry will show, are those of this decision.
5. The decision, the evidence and the model have believable records (signed ones, where a key is
   configured), which connect: the decision was made by the gate from that policy and evidence, and
   the evidence about the model was made from that model.
6. Every byte of all of it, back to the source, is what its name says.

What is not checked: whether the code behind the records did what it should (`assay reproduce`
shows that), and whether the policy asks for enough (people review that).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from assay.attestation import Attestation, about
from assay.errors import AttestationError, IntegrityError, RunBlocked, RunInconclusive
from assay.evidence import FILE_NAME, MAX_EVIDENCE_BYTES, EvidenceDocument
from assay.policy import MAX_POLICY_BYTES, Verdict, decide, read_decision
from assay.policy import Decision as Judgement
from assay.provenance import nodes, passport, verify
from assay.registry import ModelVersion
from assay.step import Decision, Services
from assay.store import Store
from assay.tree import get_manifest, read_file

GATE: Final = "gate"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the checks found, for the version's tags."""

    decision: str
    """Digest of the decision."""
    judgement: Judgement
    training: Attestation
    """The record of how the model was made."""
    data: str
    """Digest of the dataset behind the model; "" when nobody named it."""


def check(
    services: Services,
    model: str,
    decision: Decision,
    shown: Sequence[str],
    data: str,
    *,
    overridden: bool = False,
) -> Facts:
    """Check all of it, in order; each failure has its own message.

    Args:
        services: The store, and who may sign.
        model: Digest.
        decision: The gate's.
        shown: Digests of the evidence that the registry will show.
        data: Digest of the dataset that the registry will name, or "".
        overridden: Leave out check 2, because a person has decided against the policy.

    Raises:
        RunBlocked: Check 2.
        RunInconclusive: Check 2.
        IntegrityError: Any other.
        NotFoundError: Something is not in the store.
    """
    judgement = read_decision(decision.path)
    # Check 1.
    if judgement.model != model:
        raise IntegrityError(
            f"the decision {decision.digest} is about {judgement.model}, not about {model}; "
            "run the gate for this model"
        )
    # Check 2.
    if judgement.verdict is not Verdict.PASS and not overridden:
        unclear = judgement.verdict is Verdict.INCONCLUSIVE
        raise (RunInconclusive if unclear else RunBlocked)(
            f"not admitted: the decision's verdict is {judgement.verdict}: {judgement.reason}"
        )
    # Check 3.
    documents = _judge_again(services.store, judgement)
    # Check 4.
    data = _require_same(services, judgement, shown, data)
    # Check 5.
    training = _connected(services, decision.digest, judgement, documents)
    # Check 6. The model stands behind the decision already, unless no evidence is about it.
    verify(services.store, decision.digest, services.verifier)
    behind = nodes(passport(services.store, decision.digest, services.verifier))
    if model not in {node.digest for node in behind}:
        verify(services.store, model, services.verifier)
    return Facts(decision.digest, judgement, training, data)


def require_same_production(judgement: Judgement, current: ModelVersion | None, name: str) -> None:
    """Refuse a decision that compares with another model than the one in production.

    Args:
        judgement: The decision.
        current: The version in production, asked for just now; None when there is none.
        name: Name of the registered model.

    Raises:
        RunBlocked: Production moved since the decision, or the decision never looked at it.
        UsageError: The version in production was not registered by Assay.
    """
    there = current.model if current is not None else ""
    if judgement.production != there:
        compared = judgement.production or "none"
        raise RunBlocked(
            f"not admitted: the decision says that {compared} is in production as {name!r}, the "
            f"registry says {there or 'none'}; run the pipeline again, which compares with the "
            "model that is there now"
        )


def _judge_again(store: Store, judgement: Judgement) -> dict[str, EvidenceDocument]:
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
            f"(judged again: {again.verdict}); it was altered, or judged by another version: run "
            "the gate again"
        )
    return documents


def _require_same(services: Services, judgement: Judgement, shown: Sequence[str], data: str) -> str:
    """The dataset to name, when everything to be shown belongs to the decision."""
    for digest in shown:
        if digest not in judgement.evidence:
            raise IntegrityError(
                f"{digest} is not among the evidence that was judged "
                f"({', '.join(judgement.evidence)}); give the documents that the gate was given"
            )
    if data and judgement.data and data != judgement.data:
        raise IntegrityError(
            f"the decision names {judgement.data} as the data, not {data}; give the same to both"
        )
    data = data or judgement.data
    if data:
        behind = nodes(passport(services.store, judgement.model, services.verifier))
        if data not in {node.digest for node in behind}:
            raise IntegrityError(
                f"the model {judgement.model} was not made from the data {data}; give the dataset "
                f"that `assay passport {judgement.model}` shows"
            )
    return data


def _connected(
    services: Services,
    decision: str,
    judgement: Judgement,
    documents: dict[str, EvidenceDocument],
) -> Attestation:
    """The record of the model, when the records of all others lead to it."""
    store, verifier = services.store, services.verifier
    named = {judgement.policy_artifact, *judgement.evidence}
    if not any(
        record.step == GATE
        and named <= set(record.input_digests())
        and record.parameters.get("model") == judgement.model
        for record in about(store, decision, verifier)
    ):
        raise AttestationError(
            f"no record shows that the gate made the decision {decision} from what it names; "
            "run the gate in this store"
        )
    for digest, document in documents.items():
        subjects = set(document.subjects.values())
        if not any(
            subjects <= set(record.input_digests()) for record in about(store, digest, verifier)
        ):
            raise AttestationError(
                f"no record shows that the evidence {digest} was made from what it is about; "
                "run the step that makes it in this store"
            )
    training = about(store, judgement.model, verifier)
    if not training:
        raise AttestationError(
            f"no record of how the model {judgement.model} was made; train it in this store"
        )
    return training[0]


def _file(store: Store, artifact: str, name: str, limit: int) -> bytes:
    data = read_file(store, get_manifest(store, artifact), name, limit)
    if data is None:
        raise IntegrityError(f"{artifact} holds no {name}")
    return data
