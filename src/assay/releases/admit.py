"""Admit attestations that were made before keys were configured.

Once keys are configured, unsigned attestations do not count, including all earlier ones. An
approver can review the attestations that an artifact is based on and admit exactly these: a signed
statement lists their digests, and `attestation.load` accepts them because of it. That is weaker
than a signature by the run that made them, which cannot be given afterwards: a person declares them
genuine. So it is shown as "admitted by", and never as "signed".
"""

from collections.abc import Callable
from dataclasses import dataclass

from assay.core.attestation import Attestation, load
from assay.core.digest import require_digest
from assay.core.provenance import nodes, passport, verify
from assay.core.signing import Role, person_of
from assay.core.step import Services
from assay.errors import AttestationError, UsageError
from assay.releases import statement
from assay.releases.deployment import Deployment
from assay.releases.statement import Kind, Statement

MIN_WHY_CHARS, MAX_WHY_CHARS = 10, 1000


@dataclass(frozen=True, slots=True)
class Proposal:
    """The attestations for a person to admit."""

    artifact: str
    attestations: tuple[Attestation, ...]
    """The unsigned attestations behind the artifact, in the order in which they were made."""
    size: int
    """Number of verified bytes."""


def propose(
    services: Services, artifact: str, progress: Callable[[str], None] | None = None
) -> Proposal:
    """Find the unsigned attestations behind an artifact, and verify every byte it is based on.

    Args:
        services: The store, and whose signatures count.
        artifact: Its digest; of a decision or a registration, for everything behind a release.
        progress: Called with each artifact that was verified.

    Returns:
        The attestations for a person to admit.

    Raises:
        UsageError: No keys are configured.
        AttestationError: An attestation is missing, or signed by a key that does not count.
        IntegrityError: Bytes do not match their digest; names all of them.
    """
    store = services.store
    if services.verifier is None:
        raise UsageError(
            "ASSAY_VERIFY_KEYS is not set, so signatures are not checked; set it to a keys.yaml"
        )
    require_digest(artifact)
    stolen = {key.key_id for key in services.verifier.keys if key.stolen}
    result = verify(store, artifact, None, progress)
    unsigned, refused = [], []
    for node in nodes(passport(store, artifact, None)):
        if node.attestation is None:
            continue
        try:
            load(store, node.attestation.digest, services.verifier)
        except AttestationError as error:
            if node.attestation.signed_by and node.attestation.signed_by not in stolen:
                refused.append(error)  # Signed by an unknown key, so it cannot be admitted.
            else:
                unsigned.append(node.attestation)
    if refused:
        raise AttestationError.all_of(refused)
    once = {attestation.digest: attestation for attestation in unsigned}
    return Proposal(artifact, tuple(once.values()), result.size)


def admit(deployment: Deployment, proposal: Proposal, *, by: str, why: str) -> Statement:
    """Sign that exactly the attestations of a proposal count.

    Args:
        deployment: The store and the approver's key; the key's owner admits, whatever `by` says.
        proposal: What `propose` found.
        by: `Name <mail>`.
        why: At least a few words.

    Returns:
        The signed statement.

    Raises:
        UsageError: There is nothing to admit, no reason is given, or the key may not admit.
    """
    signer = deployment.require_signer()
    by = person_of(deployment.verifier, signer, Role.APPROVER, by, "an admission")
    if not proposal.attestations:
        raise UsageError(f"{proposal.artifact}: every attestation behind it already counts")
    why = " ".join(why.split())
    if not MIN_WHY_CHARS <= len(why) <= MAX_WHY_CHARS:
        raise UsageError(f"--why: give a reason of {MIN_WHY_CHARS} to {MAX_WHY_CHARS} characters")
    listed = [attestation.digest for attestation in proposal.attestations]
    predicate = {"attestations": listed, "by": by, "why": why, "at": statement.now()}
    made = deployment.state(Kind.ADMISSION, proposal.artifact, predicate)
    for digest in listed:
        statement.point(deployment.store, digest, made.digest)
    return made
