"""A decision as a record: an in-toto test result about the model's digest.

https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from assay.digest import PREFIX, hex_of, of_bytes, parse_canonical_json, require_digest
from assay.errors import IntegrityError, UsageError
from assay.evidence import EvidenceDocument
from assay.policy.judge import Row, Verdict, judge
from assay.policy.language import parse_policy

FILE_NAME: Final = "decision.json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://in-toto.io/attestation/test-result/v0.1"
MAX_DECISION_BYTES: Final = 4 << 20
_RESULTS: Final = {
    Verdict.PASS: "PASSED",
    Verdict.BLOCK: "FAILED",
    Verdict.INCONCLUSIVE: "WARNED",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """A judgement about one model."""

    model: str
    """Digest."""
    verdict: Verdict
    rows: tuple[Row, ...]
    policy: str
    """Digest of the policy's bytes."""
    policy_artifact: str = ""
    evidence: tuple[str, ...] = ()
    """Digests of the artifacts whose evidence was judged."""
    production: str = ""
    test_data: str = ""
    on_fail: str = "block"

    @property
    def reason(self) -> str:
        """One line that names what kept it from passing; empty when it passed."""
        bad = [row for row in self.rows if row.outcome in {"fail", "inconclusive"}]
        return "; ".join(f"{row.text}: {row.explanation}" for row in bad)

    def to_dict(self) -> dict[str, Any]:
        """As JSON, for programs that follow a gate."""
        return {
            "model": self.model,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "policy": self.policy,
            "rules": [row.to_dict() for row in self.rows],
        }


def replay(policy: bytes, evidence: Sequence[bytes], model: str | None = None) -> Decision:
    """Judge again from bytes alone; needs no store.

    Args:
        policy: The policy's YAML.
        evidence: Documents as `evidence.json` holds them; JSON in any spelling.
        model: Digest; default: the one that the documents name.

    Raises:
        UsageError: The documents name no model, or several, and none is given.
        PolicyError: The policy does not parse.
    """
    documents = [_document(data) for data in evidence]
    named = {doc.subjects["model"] for doc in documents if "model" in doc.subjects}
    if model is None:
        if len(named) != 1:
            found = ", ".join(sorted(named)) or "none"
            raise UsageError(f"the evidence names these models: {found}; say which with --model")
        (model,) = named
    require_digest(model, "model")
    parsed = parse_policy(policy)
    verdict, rows = judge(parsed, documents, model)
    return Decision(model, verdict, tuple(rows), of_bytes(policy), on_fail=parsed.on_fail)


def _document(data: bytes) -> EvidenceDocument:
    try:
        raw = json.loads(data)
        return EvidenceDocument.from_dict(raw)
    except (ValueError, IntegrityError) as error:
        raise UsageError(
            f"not an evidence document ({error}); give the evidence.json of an artifact: an object "
            "with subjects, evidence, intervals, notes, verdict and reason"
        ) from error


def statement(decision: Decision) -> dict[str, Any]:
    """The decision as an in-toto Statement.

    Raises:
        IntegrityError: It does not fit the published types; a bug.
    """
    tests: dict[str, list[str]] = {"pass": [], "fail": [], "inconclusive": []}
    for row in decision.rows:
        tests.setdefault(row.outcome, []).append(row.text)
    document = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "model", "digest": {"sha256": hex_of(decision.model)}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "result": _RESULTS[decision.verdict],
            "configuration": [
                _resource("policy", decision.policy),
                *(_resource("policy-artifact", d) for d in [decision.policy_artifact] if d),
                *(_resource("evidence", digest) for digest in decision.evidence),
                *(_resource("production", d) for d in [decision.production] if d),
                *(_resource("test-data", d) for d in [decision.test_data] if d),
            ],
            "passedTests": tests["pass"],
            "failedTests": tests["fail"],
            "warnedTests": tests["inconclusive"],
        },
    }
    _check_types(document)
    # The predicate's type has no room for values and reasons; unknown fields are admitted by the
    # attestation framework's parsing rules.
    document["predicate"]["assay"] = {  # type: ignore[index]
        "verdict": decision.verdict.value,
        "onFail": decision.on_fail,
        "rules": [row.to_dict() for row in decision.rows],
    }
    return document


def _resource(name: str, digest: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": hex_of(digest)}}


def _check_types(document: Mapping[str, Any]) -> None:
    from google.protobuf.json_format import ParseDict, ParseError
    from in_toto_attestation.predicates.test_result.v0.test_result_pb2 import TestResult
    from in_toto_attestation.v1.statement import Statement
    from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage

    predicate = document["predicate"]
    # The published type is of v0.1 and calls the result's enumeration by the same words.
    try:
        ParseDict({k: v for k, v in predicate.items() if k != "result"}, TestResult())
        Statement.copy_from_pb(ParseDict(document, StatementMessage())).validate()
    except (ParseError, ValueError) as error:
        raise IntegrityError(f"the decision is no valid statement: {error}") from error


def read_decision(folder: Path) -> Decision:
    """Read `decision.json` of a decision's folder.

    Raises:
        IntegrityError: Malformed, or it contradicts itself.
    """
    path = folder / FILE_NAME
    if path.stat().st_size > MAX_DECISION_BYTES:
        raise IntegrityError(f"{FILE_NAME}: larger than {MAX_DECISION_BYTES} bytes")
    raw = parse_canonical_json(path.read_bytes(), FILE_NAME)
    try:
        decision = _parse(raw)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise IntegrityError(f"{FILE_NAME}: not a decision ({error!r})") from error
    if statement(decision) != raw:
        raise IntegrityError(f"{FILE_NAME}: contradicts itself; it was altered")
    return decision


def _parse(raw: Any) -> Decision:
    named: dict[str, list[str]] = {}
    for entry in raw["predicate"]["configuration"]:
        named.setdefault(entry["name"], []).append(PREFIX + entry["digest"]["sha256"])
    own = raw["predicate"]["assay"]
    return Decision(
        model=PREFIX + raw["subject"][0]["digest"]["sha256"],
        verdict=Verdict(own["verdict"]),
        rows=tuple(
            Row(r["rule"], r["outcome"], r["explanation"], r["line"], r["value"])
            for r in own["rules"]
        ),
        policy=named["policy"][0],
        policy_artifact=named.get("policy-artifact", [""])[0],
        evidence=tuple(named.get("evidence", [])),
        production=named.get("production", [""])[0],
        test_data=named.get("test-data", [""])[0],
        on_fail=own["onFail"],
    )
