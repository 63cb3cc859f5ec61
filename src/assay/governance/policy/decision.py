"""The format of decisions: an in-toto test result about the model's digest.

https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md

The predicate's published type has no room for values, so the values are in the annotations
of the subject. An inconclusive decision is `WARNED`, which is not a pass: read `PASSED`, or the
verdict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from assay.core.digest import (
    PREFIX,
    canonical_json,
    hex_of,
    of_bytes,
    parse_canonical_json,
    require_digest,
)
from assay.documents import Limits, read_json
from assay.errors import AssayError, IntegrityError, UsageError
from assay.evidence.format import MAX_EVIDENCE_BYTES, EvidenceDocument
from assay.governance.policy.judge import judge
from assay.governance.policy.language import parse_policy
from assay.governance.policy.verdict import (
    Decision,
    Kind,
    Outcome,
    Row,
    Verdict,
    earlier_reason_of,
    verdict_of,
)

FILE_NAME: Final = "decision.json"
POLICY_FILE_NAME: Final = "policy.yaml"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://in-toto.io/attestation/test-result/v0.1"
MAX_DECISION_BYTES: Final = 16 << 20
EVIDENCE_FORM: Final = (
    '{"subjects": {"model": "sha256:…"}, "evidence": {"accuracy": 0.95}, "intervals": {}, '
    '"notes": {}, "verdict": null, "reason": ""}'
)
_RESULTS: Final = {
    Verdict.PASS: "PASSED",
    Verdict.BLOCK: "FAILED",
    Verdict.INCONCLUSIVE: "WARNED",
}


def decide(
    policy: bytes,
    documents: Mapping[str, EvidenceDocument],
    model: str,
    *,
    policy_artifact: str = "",
    data: str = "",
    test_data: str = "",
    production: str | None = None,
) -> Decision:
    """Judge, and name the policy by digest. The same arguments always give an equal decision.

    Args:
        policy: The policy's YAML.
        documents: Evidence documents by digest.
        model: See `judge`.
        policy_artifact: Digest of the artifact with the policy.
        data: See `judge`.
        test_data: See `judge`.
        production: See `judge`.

    Returns:
        The decision.

    Raises:
        PolicyError: The policy does not parse.
        UsageError: An argument that should be a digest is not one.
    """
    decision = judge(
        parse_policy(policy, POLICY_FILE_NAME),
        documents,
        model,
        data=data,
        test_data=test_data,
        production=production,
    )
    return replace(decision, policy=of_bytes(policy), policy_artifact=policy_artifact)


def replay(
    policy: bytes, evidence: Sequence[bytes], model: str | None = None, data: str | None = None
) -> Decision:
    """Judge evidence from bytes, without a store.

    Args:
        policy: The policy's YAML.
        evidence: Documents in the format of `evidence.json`; the JSON need not be canonical.
        model: Digest; by default the one that the documents name.
        data: Digest of the dataset behind the model; by default the one that documents about data
            alone name, because nothing else identifies them here.

    Returns:
        The decision.

    Raises:
        UsageError: An argument is not a document (names all of them), or the documents name no
            model, or several, and none is given.
        PolicyError: The policy does not parse.
    """
    documents: dict[str, EvidenceDocument] = {}
    problems = []
    for number, content in enumerate(evidence, start=1):
        try:
            documents[of_bytes(content)] = _document(content)
        except AssayError as error:
            problems.append(f"evidence {number} is not an evidence document ({error})")
    if problems:
        raise UsageError.all_of([*problems, f"a document has the form {EVIDENCE_FORM}"])
    if model is None:
        models = {doc.subjects["model"] for doc in documents.values() if "model" in doc.subjects}
        if len(models) != 1:
            result = ", ".join(sorted(models)) or "none"
            raise UsageError(f"the evidence names these models: {result}; choose one with --model")
        (model,) = models
    if data is None:
        about = {
            document.subjects["data"]
            for document in documents.values()
            if "model" not in document.subjects and "data" in document.subjects
        }
        data = about.pop() if len(about) == 1 else ""
    return decide(policy, documents, model, data=data)


def _document(content: bytes) -> EvidenceDocument:
    return EvidenceDocument.from_dict(
        read_json(content, "evidence", Limits(MAX_EVIDENCE_BYTES, depth=16, values=2_000_000))
    )


def statement(decision: Decision) -> dict[str, Any]:
    """The decision as an in-toto Statement, checked against the published types.

    Raises:
        IntegrityError: It does not match them; a bug.
    """
    document = _statement(decision, decision.reason)
    _check_types(document)
    return document


def _statement(decision: Decision, reason: str) -> dict[str, Any]:
    tests: dict[Outcome, list[str]] = {outcome: [] for outcome in Outcome}
    for row in decision.rows:
        own = "" if row.kind is Kind.RULE else ": verdict and subjects"
        tests[row.outcome].append(f"{row.text}{own}")
    annotations = {
        "verdict": decision.verdict.value,
        "reason": reason,
        "onFail": decision.on_fail,
        "policy": decision.policy_artifact,
        "evidence": list(decision.evidence),
        "production": decision.production,
        "testData": decision.test_data,
        "data": decision.data,
        "rules": [row.to_dict() for row in decision.rows],
    }
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            {
                "name": "model",
                "digest": {"sha256": hex_of(decision.model)},
                "annotations": annotations,
            }
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "result": _RESULTS[decision.verdict],
            "configuration": [
                {
                    "name": POLICY_FILE_NAME,
                    "mediaType": "application/yaml",
                    "digest": {"sha256": hex_of(decision.policy)},
                }
            ],
            "passedTests": tests[Outcome.PASS],
            "failedTests": tests[Outcome.FAIL],
            "warnedTests": tests[Outcome.INCONCLUSIVE],
        },
    }


def _check_types(document: Mapping[str, Any]) -> None:
    from google.protobuf.json_format import ParseDict, ParseError
    from in_toto_attestation.predicates.test_result.v0.test_result_pb2 import TestResult
    from in_toto_attestation.v1.statement import Statement
    from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage

    try:
        ParseDict(document["predicate"], TestResult())
        Statement.copy_from_pb(ParseDict(document, StatementMessage())).validate()
    except (ParseError, ValueError) as error:
        raise IntegrityError(f"the decision is not a valid statement: {error}") from error


def read_decision(folder: Path) -> Decision:
    """Read `decision.json` of a decision's folder, and check that it is consistent.

    It does not compare the rows with the evidence; call `decide` with the evidence for that.

    Raises:
        IntegrityError: It is missing, malformed or inconsistent; above all, the verdict does not
            follow from its rows.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise IntegrityError(f"{FILE_NAME} is missing; give the digest of a gate's decision")
    if path.stat().st_size > MAX_DECISION_BYTES:
        raise IntegrityError(f"{FILE_NAME}: larger than {MAX_DECISION_BYTES} bytes")
    return parse_decision(path.read_bytes())


def parse_decision(content: bytes) -> Decision:
    """As `read_decision`, from the bytes of the file.

    Raises:
        IntegrityError: It is malformed or inconsistent.
    """
    raw = parse_canonical_json(content, FILE_NAME)
    try:
        decision = _parse(raw)
        written = raw["subject"][0]["annotations"]["reason"]
        earlier = written == earlier_reason_of(decision.rows)
        again = canonical_json(_statement(decision, written if earlier else decision.reason))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, UsageError) as error:
        raise IntegrityError(f"{FILE_NAME}: not a decision ({error!r})") from error
    if again != content or verdict_of(decision.rows) is not decision.verdict:
        raise IntegrityError(f"{FILE_NAME}: contradicts itself; it was altered")
    return decision


def _parse(raw: Any) -> Decision:
    (subject,) = raw["subject"]
    (configuration,) = raw["predicate"]["configuration"]
    own = subject["annotations"]
    decision = Decision(
        model=PREFIX + subject["digest"]["sha256"],
        verdict=Verdict(own["verdict"]),
        rows=tuple(Row.from_dict(row) for row in own["rules"]),
        on_fail=own["onFail"],
        policy=PREFIX + configuration["digest"]["sha256"],
        policy_artifact=own["policy"],
        evidence=tuple(own["evidence"]),
        production=own["production"],
        test_data=own["testData"],
        data=own["data"],
    )
    optional = (
        decision.policy_artifact,
        decision.production,
        decision.test_data,
        decision.data,
    )
    for digest in (*decision.evidence, *(digest for digest in optional if digest)):
        require_digest(digest)
    return decision
