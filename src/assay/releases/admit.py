"""Admit attestations that were made before keys were adopted.

Once keys are configured nothing unsigned counts, and so nothing that was made before. An approver
can look at what an artifact rests on and admit exactly these attestations: a signed statement lists
their digests, and `attestation.load` accepts them because of it. That is weaker than a signature by
the run that made them, which nobody can give afterwards: it says that a person takes them for
genuine. So it is shown as "admitted by", and never as "signed".
"""

from collections.abc import Callable
from dataclasses import dataclass

from assay.core.attestation import Attestation, load
from assay.core.digest import require_digest
from assay.core.provenance import nodes, passport, verify
from assay.core.signing import Role, Signer, Verifier, person_of
from assay.core.store import Store
from assay.errors import AttestationError, UsageError
from assay.releases import statement
from assay.releases.statement import Kind, Statement

MIN_WHY_CHARS, MAX_WHY_CHARS = 10, 1000


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a person is asked to admit."""

    artifact: str
    attestations: tuple[Attestation, ...]
    """The unsigned ones behind the artifact, what was made first first."""
    size: int
    """Bytes that were read and verified."""


def propose(
    store: Store,
    artifact: str,
    verifier: Verifier | None,
    progress: Callable[[str], None] | None = None,
) -> Proposal:
    """Find the unsigned attestations behind an artifact, and verify every byte of all it rests on.

    Args:
        store: Where they lie.
        artifact: Its digest. Of a decision or a registration, for all that a release rests on.
        verifier: The configured keys.
        progress: Told of each artifact that was looked at.

    Raises:
        UsageError: No keys are configured.
        AttestationError: An attestation is missing, or signed by a key that is not believed.
        IntegrityError: Bytes that are not what their name says; names every offender.
    """
    if verifier is None:
        raise UsageError(
            "ASSAY_VERIFY_KEYS is not set, so nothing asks for signatures; set it to a keys.yaml"
        )
    require_digest(artifact)
    found = verify(store, artifact, None, progress)
    unsigned, refused = [], []
    for node in nodes(passport(store, artifact, None)):
        if node.record is None:
            continue
        try:
            load(store, node.record.digest, verifier)
        except AttestationError as error:
            if node.record.signed_by:
                refused.append(error)  # what somebody signed is not ours to sign again
            else:
                unsigned.append(node.record)
    if refused:
        raise AttestationError.all_of(refused)
    once = {record.digest: record for record in unsigned}
    return Proposal(artifact, tuple(once.values()), found.size)


def admit(
    store: Store, verifier: Verifier, signer: Signer, proposal: Proposal, *, by: str, why: str
) -> Statement:
    """Sign that exactly the attestations of a proposal count.

    Args:
        store: Where they lie.
        verifier: The configured keys.
        signer: The approver's key; its owner admits, whatever `by` says.
        proposal: What `propose` found.
        by: `Name <mail>`.
        why: At least a few words.

    Raises:
        UsageError: There is nothing to admit, no reason is given, or the key may not admit.
    """
    by = person_of(verifier, signer, Role.APPROVER, by, "an admission")
    if not proposal.attestations:
        raise UsageError(f"{proposal.artifact}: every attestation behind it is believed already")
    why = " ".join(why.split())
    if not MIN_WHY_CHARS <= len(why) <= MAX_WHY_CHARS:
        raise UsageError(f"--why: say in {MIN_WHY_CHARS} to {MAX_WHY_CHARS} characters why")
    listed = [record.digest for record in proposal.attestations]
    predicate = {"attestations": listed, "by": by, "why": why, "at": statement.now()}
    made = statement.save(store, signer, Kind.ADMISSION, proposal.artifact, predicate, verifier)
    for digest in listed:
        statement.point(store, digest, made.digest)
    return made
