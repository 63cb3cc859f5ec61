"""The steps that made evidence, and whether their results count.

An attestation names the step that ran, its entry point and the digests of its code. Evidence counts
when the step is one of the library's, run by the code of this installation, or one that the policy
names under `steps`. A user's own step may write any number, so people must decide to trust it.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from assay.core.attestation import Attestation
from assay.core.provenance import best, from_library
from assay.errors import RUN_AGAIN
from assay.governance.policy import StepRule
from assay.governance.policy.names import STAGES

_LIBRARY: Final = "assay.components.{0}.step:{0}"
GATE: Final = _LIBRARY.format("gate")
SPLIT: Final = _LIBRARY.format("split_data")
VALIDATE: Final = _LIBRARY.format("validate_data")
EVALUATE: Final = _LIBRARY.format("evaluate")
CHECK_MONITORING: Final = _LIBRARY.format("check_monitoring")
SELECT: Final = _LIBRARY.format("select_best")
RELEASE_EVIDENCE: Final = _LIBRARY.format("release_evidence")
IMPORT: Final = _LIBRARY.format("import_artifact")
TRAINING: Final = frozenset({_LIBRARY.format("train"), IMPORT})
EVIDENCE: Final = frozenset(map(_LIBRARY.format, STAGES))
SHORT: Final = len("sha256:") + 12


@dataclass(frozen=True, slots=True)
class Maker:
    """Who made an artifact, as a pull request shows it."""

    what: str
    """`model`, `decision`, or the kind of evidence."""
    digest: str
    """Of the artifact."""
    entry_point: str
    code: str
    """Digest of all its code."""
    signed_by: str
    """Key id; empty when unsigned."""
    own: bool
    """Whether it is a user's own step, which the policy names."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The steps that count: the library's, and those that a policy names."""

    named: Sequence[StepRule] = ()

    def objection(self, attestation: Attestation, library: Collection[str]) -> str:
        """Why an attestation's step does not count; "" when it does.

        Args:
            attestation: An attestation that counts.
            library: Entry points of the library's steps that may do this work.
        """
        entry = attestation.entry_point
        named = [rule for rule in self.named if rule.entry_point == entry]
        if any(not rule.code or rule.code == attestation.code_digest for rule in named):
            return ""
        if entry in library:
            if from_library(attestation):
                return ""
            return (
                f"was made by {entry} with other code ({attestation.code_digest}) than that of "
                "this "
                f"installation; {RUN_AGAIN} in this version, let the governing policy name it "
                "under 'steps' with this code, or use the version that made it"
            )
        if named:
            codes = ", ".join(rule.code for rule in named)
            return (
                f"was made by {entry} with the code {attestation.code_digest}, and the policy "
                "names "
                f"the step with {codes}"
            )
        return (
            f"was made by the step {entry}, which is not one of the library's for this; let the "
            "policy name it under 'steps' if you trust it"
        )

    def counts(self, attestation: Attestation) -> bool:
        """Whether the step is one of the library's, for any work, or one that the policy names."""
        return from_library(attestation) or not self.objection(attestation, ())

    def best(self, attestations: Sequence[Attestation]) -> Attestation | None:
        """The attestation to follow; see `assay.core.provenance.best`."""
        return best(attestations, self.counts)

    def first(
        self, attestations: Iterable[Attestation], library: Collection[str]
    ) -> tuple[Attestation | None, str]:
        """The first attestation whose step counts; without one, the first objection."""
        objections = []
        for attestation in attestations:
            objection = self.objection(attestation, library)
            if not objection:
                return attestation, ""
            objections.append(objection)
        return None, next(iter(objections), "")


def maker(what: str, digest: str, attestation: Attestation) -> Maker:
    """The maker of an artifact, for the pull request.

    Args:
        what: `model`, `decision`, or the kind of evidence.
        digest: Of the artifact.
        attestation: Its attestation.

    Returns:
        Step, code and key.
    """
    return Maker(
        what=what,
        digest=digest,
        entry_point=attestation.entry_point,
        code=attestation.code_digest,
        signed_by=attestation.signed_by,
        own=attestation.entry_point not in {GATE, *TRAINING, *EVIDENCE},
    )
