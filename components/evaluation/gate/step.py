"""gate: the work."""

from typing import TYPE_CHECKING

from assay.core.step import Decision, Digest, Evidence, Out, Policy, Values, step
from assay.errors import IntegrityError, UsageError

if TYPE_CHECKING:
    from assay.evidence.format import EvidenceDocument


@step
def gate(
    *,
    model: Digest,
    policy: Policy,
    evidence: list[Evidence],
    production: Digest = "",
    test_data: Digest = "",
    data: Digest = "",
    decision: Out[Decision],
) -> Values:
    """Judge evidence about a model by a policy. Missing evidence fails its rule.

    Args:
        model: Digest of the model.
        policy: The policy.
        evidence: Evidence, such as validations, evaluations and comparisons; at least one document.
        production: Digest of the production model it was compared with. Empty: none.
        test_data: Digest of the rows it was tested on. Empty: register refuses the decision.
        data: Digest of the dataset its rows were taken from; a validation must be about it.
        decision: The decision, an in-toto test result about the model.

    Returns:
        verdict (str): pass, block or inconclusive.
        reason (str): One line; empty on a pass.
        reasons (list): One sentence for each.
        on_fail (str): What the policy says to do.

    Raises:
        UsageError: An invalid digest, or an artifact without evidence or policy.
        PolicyError: The policy does not parse.
        IntegrityError: An evidence document is malformed.
    """
    from assay.components.gate.views import report, summary
    from assay.core.digest import canonical_json
    from assay.governance.policy import decide, statement

    judged = decide(
        _policy(policy),
        _documents(evidence),
        model,
        policy_artifact=policy.digest,
        data=data,
        test_data=test_data,
        production=production,
    )
    (decision.path / "decision.json").write_bytes(canonical_json(statement(judged)))
    (decision.path / "summary.md").write_text(summary(judged), encoding="utf-8")
    (decision.path / "report.html").write_text(report(judged), encoding="utf-8")
    decision.annotations["verdict"] = judged.verdict.value
    return {
        "verdict": judged.verdict.value,
        "reason": judged.reason,
        "reasons": judged.reasons,
        "on_fail": judged.on_fail,
    }


def _policy(policy: Policy) -> bytes:
    from assay.governance.policy import MAX_POLICY_BYTES

    path = policy.path / "policy.yaml"
    if not path.is_file():
        raise UsageError(f"policy: {policy.digest} holds no policy.yaml; give a policy's digest")
    with path.open("rb") as stream:
        return stream.read(MAX_POLICY_BYTES + 1)  # one more shows that it is too large


def _documents(evidence: list[Evidence]) -> "dict[str, EvidenceDocument]":
    """The documents by their artifact's digest; all that cannot be read are named at once."""
    from assay.evidence.format import FILE_NAME, EvidenceDocument

    missing = [one.digest for one in evidence if not (one.path / FILE_NAME).is_file()]
    if missing:
        raise UsageError.all_of(
            f"evidence: {digest} holds no {FILE_NAME}; give the digest of a validation, "
            "evaluation, measurements or comparison"
            for digest in missing
        )
    documents = {}
    for one in evidence:
        try:
            documents[one.digest] = EvidenceDocument.read(one.path)
        except IntegrityError as error:
            raise IntegrityError(f"evidence {one.digest}: {error}") from error
    return documents
