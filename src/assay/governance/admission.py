"""Admission: the conditions before a model is registered or released.

1. The decision is about exactly this model, and names the rows that it was tested on. So evidence
   about the model that was measured on other rows is refused by check 3, and so is a count of
   attempts on others.
2. Its verdict is a pass; or a person's override of it was checked by the caller.
3. The policy it names, judged again over the evidence it names, gives the same rows. The policy
   that governs the model, where there is one, gives a pass over the same evidence.
4. Evaluation, measurements and data, which the registry will show, are those of this decision, and
   the model was made from the data.
5. The decision, the evidence and the model have attestations that count (signed ones, where a key
   is configured), which connect: the decision was made by the gate from that policy and evidence,
   and the evidence about the model was made from that model. Each was made by a step that counts:
   one of the library's, with the code of this installation, or one that the policy names.
6. The rows that the model was evaluated on are shown to be new to it, and those that a comparison
   left out to be those that the models were trained on. Attempts were counted after the evaluation.
   If the rows are not proved to be the whole test part of the split of the training rows, the
   assessment notes it. The policy admits the modules of the model.
7. Every byte of these artifacts, back to the source, matches its digest.

Not checked are whether the code behind the attestations is correct (`assay reproduce` helps), and
whether the policy is strict enough (people review it).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from assay.core.attestation import Attestation, about
from assay.core.manifest import Manifest
from assay.core.provenance import nodes, passport, verify
from assay.core.step import Decision, Services
from assay.core.store import Store
from assay.core.tree import get_manifest, read_file
from assay.documents import shown, some
from assay.errors import RUN_AGAIN, AttestationError, IntegrityError, RunBlocked, RunInconclusive
from assay.evidence.format import FILE_NAME, MAX_EVIDENCE_BYTES, EvidenceDocument
from assay.governance.described import info_of
from assay.governance.disjoint import require_disjoint, require_rows
from assay.governance.makers import (
    EVIDENCE,
    RELEASE_EVIDENCE,
    SPLIT,
    TRAINING,
    Admitted,
    Maker,
    maker,
)
from assay.governance.makers import GATE as GATE_STEP
from assay.governance.policy import (
    ATTEMPTS,
    MAX_POLICY_BYTES,
    Verdict,
    decide,
    parse_policy,
    read_decision,
)
from assay.governance.policy import Decision as Judgement
from assay.governance.registry import ModelVersion

EVALUATION: Final = "evaluation"


@dataclass(frozen=True, slots=True)
class Governing:
    """The policy that governs a model, from the protected branch of the deployment repository."""

    place: str
    """Its path in the repository."""
    content: bytes
    """YAML."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """The result of the checks, for the version's tags and the pull request."""

    decision: str
    """Digest of the decision."""
    judgement: Judgement
    training: Attestation
    """The attestation of the model."""
    data: str
    """Digest of the dataset behind the model; "" when it was not given."""
    documents: Mapping[str, EvidenceDocument]
    """The judged evidence, by digest."""
    makers: tuple[Maker, ...]
    """Who made the model, the decision and each piece of evidence."""
    notes: tuple[str, ...]
    """Notes for approvers on what could not be proved."""
    admitted: Admitted
    """The steps that count."""
    governing: Governing | None = None
    governed: Judgement | None = None
    """The decision under the governing policy."""


def check(
    services: Services,
    model: str,
    decision: Decision,
    shown: Sequence[str],
    data: str,
    *,
    overridden: bool = False,
    governing: Governing | None = None,
) -> Assessment:
    """Run all checks in order; each failure has its own message.

    Args:
        services: The store, and whose signatures count.
        model: Digest.
        decision: The gate's.
        shown: Digests of the evidence that the registry will show.
        data: Digest of the dataset that the registry will name, or "".
        overridden: Leave out the verdicts, because a person has decided against the policy.
        governing: The policy that governs the model; None where no deployment repository has one.
            Then the decision's own policy says which steps count.

    Returns:
        The assessment of a model that passed.

    Raises:
        RunBlocked: Check 2, or the governing policy blocks.
        RunInconclusive: As `RunBlocked`, for a verdict that is inconclusive.
        PolicyError: The governing policy does not parse.
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
    if not judgement.test_data:
        raise IntegrityError(
            f"the decision {decision.digest} names no test data, so it could be about any rows; "
            "run the gate with test_data, the rows that the model was evaluated on"
        )
    # Check 2.
    if not overridden:
        _require_pass(judgement, "the decision's verdict")
    # Check 3.
    policy, documents = _judge_again(services.store, judgement)
    governed = None
    if governing is not None:
        governed = judged_under(governing.content, judgement, documents, governing.place)
        if not overridden:
            _require_pass(governed, f"under the governing policy {governing.place} the verdict")
        policy = governing.content
    # Check 4.
    data = _require_same(judgement, shown, data)
    # Check 5.
    parsed = parse_policy(policy)
    admitted = Admitted(parsed.steps)
    trained, makers = _connected(services, admitted, decision.digest, judgement, documents)
    # Check 6.
    tested = {
        document.subjects.get("data", "")
        for document in documents.values()
        if "model" in document.subjects
    }
    trained = require_rows(services, admitted, model, trained, documents, parsed.seen_rows_share)
    training, notes = require_disjoint(
        services,
        admitted,
        model,
        trained,
        {*tested, judgement.test_data} - {""},
        parsed.seen_rows_share,
    )
    behind = _behind(services, admitted, training.input_digests())
    if data and data not in behind:
        raise IntegrityError(
            f"the model {model} was not made from the data {data}; give the dataset that "
            f"`assay passport {model}` shows"
        )
    notes += _chosen_rows(services, admitted, judgement.test_data, behind, data)
    _require_modules(services, model, parsed.allowed_modules)
    _require_counted(services, admitted, documents)
    # Check 7. The model is already behind the decision, unless no evidence is about it.
    for digest in (decision.digest, model):
        if digest == model and model in _behind(services, admitted, [decision.digest]):
            continue
        verify(services.store, digest, services.verifier, trusted=admitted.counts)
    return Assessment(
        decision.digest,
        judgement,
        training,
        data,
        documents,
        makers,
        notes,
        admitted,
        governing,
        governed,
    )


def _require_pass(judgement: Judgement, what: str) -> None:
    if judgement.verdict is not Verdict.PASS:
        unclear = judgement.verdict is Verdict.INCONCLUSIVE
        raise (RunInconclusive if unclear else RunBlocked)(
            f"not admitted: {what} is {judgement.verdict}: {judgement.reason}"
        )


def judged_under(
    policy: bytes,
    judgement: Judgement,
    documents: Mapping[str, EvidenceDocument],
    place: str = "policy.yaml",
) -> Judgement:
    """The evidence of a decision, judged under another policy.

    Args:
        policy: YAML.
        judgement: The decision.
        documents: The evidence, by digest.
        place: Name of the policy for messages.

    Returns:
        The decision under that policy.

    Raises:
        PolicyError: The policy does not parse.
    """
    parse_policy(policy, place)
    return decide(
        policy,
        documents,
        judgement.model,
        policy_artifact=judgement.policy_artifact,
        data=judgement.data,
        test_data=judgement.test_data,
        production=judgement.production,
    )


def require_own_drill(services: Services, judgement: Judgement, name: str) -> None:
    """Refuse a decision that rests on the rollback drills of another registered model.

    The user of a run gives the name for which release_evidence looks up drills.

    Args:
        services: The store, and whose signatures count.
        judgement: The decision.
        name: Name of the registered model.

    Raises:
        RunBlocked: Evidence about drills was made for other names only.
    """
    for digest in judgement.evidence:
        names = {
            str(attestation.parameters.get("model_name", ""))
            for attestation in about(services.store, digest, services.verifier)
            if attestation.entry_point == RELEASE_EVIDENCE
        }
        if names and name not in names:
            raise RunBlocked(
                f"not admitted: the evidence {digest} is about drills of "
                f"{', '.join(map(repr, sorted(names)))}, and the model is registered as {name!r}; "
                "run the pipeline again with this model_name"
            )


def require_same_production(judgement: Judgement, current: ModelVersion | None, name: str) -> None:
    """Refuse a decision that compares with another model than the one in production.

    Args:
        judgement: The decision.
        current: The version in production, as the registry just reported; None without one.
        name: Name of the registered model.

    Raises:
        RunBlocked: Production changed since the decision, or the decision did not compare with it.
        UsageError: The version in production was not registered by Assay.
    """
    registered = current.model if current is not None else ""
    if judgement.production != registered:
        compared = judgement.production or "none"
        raise RunBlocked(
            f"not admitted: the decision says that {compared} is in production as {name!r}, the "
            f"registry says {registered or 'none'}; run the pipeline again, which compares with "
            "the "
            "current model"
        )


def _judge_again(store: Store, judgement: Judgement) -> tuple[bytes, dict[str, EvidenceDocument]]:
    """The policy and the documents of a decision, when it follows from them."""
    policy, documents = judged_files(store, judgement)
    again = judged_under(policy, judgement, documents)
    if again != judgement:
        raise IntegrityError(
            "the decision does not follow from the policy and evidence that it names "
            f"(judged again: {again.verdict}); it was altered, or judged by another version: run "
            "the gate again"
        )
    return policy, documents


def judged_files(store: Store, judgement: Judgement) -> tuple[bytes, dict[str, EvidenceDocument]]:
    """The inputs of a decision: the policy's YAML, and the evidence documents by digest.

    Raises:
        IntegrityError: A blob does not match its digest, or is malformed.
        NotFoundError: A blob is not in the store.
    """
    return judged_policy(store, judgement.policy_artifact), {
        digest: EvidenceDocument.parse(_file(store, digest, FILE_NAME, MAX_EVIDENCE_BYTES))
        for digest in judgement.evidence
    }


def judged_policy(store: Store, artifact: str) -> bytes:
    """The YAML of a policy artifact; errors as `judged_files`."""
    return _file(store, artifact, "policy.yaml", MAX_POLICY_BYTES)


def _require_same(judgement: Judgement, shown: Sequence[str], data: str) -> str:
    """The dataset to name, after checking that all evidence to show belongs to the decision."""
    for digest in shown:
        if digest not in judgement.evidence:
            raise IntegrityError(
                f"{digest} is not among the evidence that was judged "
                f"({', '.join(judgement.evidence)}); give the same evidence as to the gate"
            )
    if data and judgement.data and data != judgement.data:
        raise IntegrityError(
            f"the decision names {judgement.data} as the data, not {data}; give the same to both"
        )
    return data or judgement.data


def _behind(services: Services, admitted: Admitted, digests: Iterable[str]) -> set[str]:
    """Artifacts, and all that they were made from."""
    return {
        node.digest
        for digest in digests
        for node in nodes(passport(services.store, digest, services.verifier, admitted.counts))
    }


def _connected(
    services: Services,
    admitted: Admitted,
    decision: str,
    judgement: Judgement,
    documents: Mapping[str, EvidenceDocument],
) -> tuple[list[Attestation], tuple[Maker, ...]]:
    """The model's attestations that count, and the makers, after checking that all connect."""
    store, verifier = services.store, services.verifier
    named = {judgement.policy_artifact, *judgement.evidence}
    judged = [
        attestation
        for attestation in about(store, decision, verifier)
        if named <= set(attestation.input_digests())
        and attestation.parameters.get("model") == judgement.model
    ]
    if not judged:
        raise AttestationError(
            f"no attestation shows that the gate made the decision {decision} from what it names; "
            f"{RUN_AGAIN} in this store"
        )
    result = [_admit(admitted, judged, {GATE_STEP}, "decision", decision)]
    for digest, document in documents.items():
        subjects = set(document.subjects.values())
        made = [r for r in about(store, digest, verifier) if subjects <= _named(r)]
        if not made:
            raise AttestationError(
                f"no attestation shows that the evidence {digest} was made from what it is about; "
                f"{RUN_AGAIN} in this store"
            )
        kind = _kind(get_manifest(store, digest))
        result.append(_admit(admitted, made, EVIDENCE, kind, digest))
    trained = about(store, judgement.model, verifier)
    if not trained:
        raise AttestationError(
            f"no attestation of how the model {judgement.model} was made; {RUN_AGAIN} in this store"
        )
    result.append(_admit(admitted, trained, TRAINING, "model", judgement.model))
    if objections := [item for item in result if isinstance(item, str)]:
        raise AttestationError.all_of(objections)
    makers = tuple(item for item in result if isinstance(item, Maker))
    return [r for r in trained if not admitted.objection(r, TRAINING)], makers


def _chosen_rows(
    services: Services, admitted: Admitted, rows: str, behind: Collection[str], data: str
) -> tuple[str, ...]:
    """A note about test rows that may have been selected; empty for a whole test part.

    Test rows of one's own are valid, but they can be selected in favour of a model.

    Args:
        services: The store, and whose signatures count.
        admitted: The steps that count.
        rows: Digest of the test rows.
        behind: What the training read, and what that was made from.
        data: The dataset that the registry will name, or "".

    Returns:
        The note, or nothing.
    """
    for attestation in about(services.store, rows, services.verifier):
        parts = {name: output.digest for name, output in attestation.outputs.items()}
        if (
            attestation.entry_point == SPLIT
            and not admitted.objection(attestation, {SPLIT})
            and parts.get("test") == rows
            and parts.get("train") in behind
        ):
            whole = str(attestation.inputs.get("data"))
            if not data or data in _behind(services, admitted, [whole]):
                return ()
    note = (
        f"the test rows {rows} are not the test part of the split_data that the "
        "model's training rows come from, so the user of the run may have selected them"
    )
    return (note,)


def _require_modules(services: Services, model: str, allowed: Sequence[str]) -> None:
    """Refuse a model that was made with modules that the policy does not admit.

    The platform limits what may be loaded; the policy selects from that.
    """
    used = info_of(services.store, model).allowed_modules
    outside = [
        name
        for name in used
        if not any(name == prefix or name.startswith(f"{prefix}.") for prefix in allowed)
    ]
    if outside:
        raise IntegrityError(
            f"the model {model} was made with {', '.join(some(outside, shown))} admitted, which "
            "the policy does not admit; train a model without them, or name them in the policy "
            "under "
            "allowed_modules"
        )


def _require_counted(
    services: Services, admitted: Admitted, documents: Mapping[str, EvidenceDocument]
) -> None:
    """Refuse a count of attempts that was not made after the model was evaluated on these rows.

    It would not include models that were tried in between.
    """
    for digest, document in documents.items():
        if ATTEMPTS not in document.values:
            continue
        model, rows = (document.subjects.get(name) for name in ("model", "data"))
        counted = _attestations(services, admitted, digest)
        measured = [
            min(attestation.details.finished for attestation in attestations)
            for other, evaluation in documents.items()
            if (evaluation.subjects.get("model"), evaluation.subjects.get("data")) == (model, rows)
            and _kind(get_manifest(services.store, other)) == EVALUATION
            and (attestations := _attestations(services, admitted, other))
        ]
        if not measured or not any(r.details.started >= max(measured) for r in counted):
            when = "before the model was evaluated" if measured else "and the model not evaluated"
            raise IntegrityError(
                f"the attempts {digest} were counted {when} on these rows, "
                "so that models that were tried in between are not among them; run "
                "resolve_production after evaluate, and the gate again"
            )


def _attestations(services: Services, admitted: Admitted, digest: str) -> list[Attestation]:
    """The attestations of a piece of evidence that count."""
    result = about(services.store, digest, services.verifier)
    return [attestation for attestation in result if not admitted.objection(attestation, EVIDENCE)]


def _named(attestation: Attestation) -> set[str]:
    """Every artifact that an execution was about: its inputs, and digests among its parameters.

    Steps that only name an artifact take its digest as a parameter. Which step may write about it
    is decided by `makers`.
    """
    parameters = {value for value in attestation.parameters.values() if isinstance(value, str)}
    return {*attestation.input_digests(), *parameters}


def _admit(
    admitted: Admitted,
    attestations: Sequence[Attestation],
    library: frozenset[str] | set[str],
    what: str,
    digest: str,
) -> Maker | str:
    """Who made an artifact; an error if no step that counts did."""
    attestation, objection = admitted.first(attestations, library)
    return (
        maker(what, digest, attestation)
        if attestation is not None
        else f"the {what} {digest} {objection}"
    )


def _kind(manifest: Manifest) -> str:
    """The kind of an evidence artifact, such as `evaluation`."""
    return manifest.artifact_type.removeprefix("application/vnd.assay.").partition(".")[0]


def _file(store: Store, artifact: str, name: str, limit: int) -> bytes:
    data = read_file(store, get_manifest(store, artifact), name, limit)
    if data is None:
        raise IntegrityError(f"{artifact} has no {name}")
    return data
