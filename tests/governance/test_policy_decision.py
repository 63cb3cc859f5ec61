"""Decisions: the record, reading it back, and replaying it from bytes alone."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from assay.core.digest import canonical_json, of_bytes
from assay.errors import IntegrityError, PolicyError, UsageError
from assay.evidence.format import EvidenceDocument, Interval
from assay.governance.policy import (
    Decision,
    Outcome,
    Row,
    Verdict,
    decide,
    read_decision,
    replay,
    statement,
)

MODEL, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
DATA, TEST = "sha256:" + "d" * 64, "sha256:" + "e" * 64
NAMES = ["sha256:" + digit * 64 for digit in "123"]
POLICY = b"""\
confidence: 0.95
gates:
  - metric: accuracy > 0.9
    reason: Below that nobody would use it.
  - metric: regression_delta < 0.01
    when: production_exists == 1
  - metric: failed_expectations == 0
on_fail: block_and_notify
"""
EVALUATION = EvidenceDocument({"model": MODEL, "data": TEST}, {"accuracy": 0.95})
COMPARISON = EvidenceDocument(
    {"model": MODEL, "data": TEST, "production": OTHER},
    {"production_exists": 1.0, "regression_delta": -0.02, "regression_margin": 0.01},
    {"regression_delta": Interval(-0.03, -0.01, 0.95)},
    verdict="pass",
)
VALIDATION = EvidenceDocument({"data": DATA}, {"failed_expectations": 0.0}, verdict="pass")
DOCUMENTS = [EVALUATION, COMPARISON, VALIDATION]


def decision(documents: Any = DOCUMENTS, **changes: Any) -> Any:
    named = dict(zip(NAMES, documents, strict=False))
    scope = {
        "policy_artifact": "sha256:" + "c" * 64,
        "data": DATA,
        "test_data": TEST,
        "production": OTHER,
    }
    return decide(POLICY, named, MODEL, **{**scope, **changes})


def write(folder: Any, document: Any) -> Any:
    (folder / "decision.json").write_bytes(
        document if isinstance(document, bytes) else canonical_json(document)
    )
    return folder


def test_a_decision_survives_its_file(tmp_path: Path) -> None:
    for documents in (DOCUMENTS, DOCUMENTS[:2], DOCUMENTS[2:], []):
        judged = decision(documents)
        assert read_decision(write(tmp_path, statement(judged))) == judged


def test_the_statement_is_a_test_result_about_the_model() -> None:
    document = statement(decision())
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    (subject,) = document["subject"]
    assert subject["digest"] == {"sha256": "a" * 64}
    assert subject["annotations"] == {
        "verdict": "pass",
        "reason": "",
        "onFail": "block_and_notify",
        "policy": "sha256:" + "c" * 64,
        "evidence": NAMES,
        "production": OTHER,
        "testData": TEST,
        "data": DATA,
        "rules": [row.to_dict() for row in decision().rows],
    }
    predicate = document["predicate"]
    assert predicate["result"] == "PASSED"
    assert predicate["configuration"] == [
        {
            "name": "policy.yaml",
            "mediaType": "application/yaml",
            "digest": {"sha256": of_bytes(POLICY).removeprefix("sha256:")},
        }
    ]
    assert predicate["passedTests"][2:] == [
        "accuracy > 0.9",
        "regression_delta < 0.01 at confidence 0.95 when production_exists == 1",
        "failed_expectations == 0",
    ]
    assert predicate["failedTests"] == predicate["warnedTests"] == []


def test_results_of_other_verdicts() -> None:
    assert statement(decision(DOCUMENTS[:1]))["predicate"]["result"] == "FAILED"
    wide = EvidenceDocument(
        COMPARISON.subjects,
        COMPARISON.values,
        {"regression_delta": Interval(-0.1, 0.1, 0.95)},
    )
    predicate = statement(decision([EVALUATION, wide, VALIDATION]))["predicate"]
    assert predicate["result"] == "WARNED"
    assert predicate["warnedTests"][0].startswith("regression_delta < 0.01")


def test_a_huge_number_survives_the_file(tmp_path: Path) -> None:
    document = EvidenceDocument({"model": MODEL}, {"own": 2.0**60})
    judged = decide(b"gates:\n  - metric: own > 1e20", {NAMES[0]: document}, MODEL)
    assert read_decision(write(tmp_path, statement(judged))) == judged


def _altered(change: Any) -> Any:
    document = json.loads(canonical_json(statement(decision(DOCUMENTS[:1]))))
    change(document["subject"][0]["annotations"], document["predicate"], document)
    return document


@pytest.mark.parametrize(
    "change",
    [
        lambda own, _, __: own.update(verdict="pass"),
        lambda own, _, __: own.update(verdict="pass", reason=""),
        lambda own, _, __: own["rules"][-1].update(outcome="pass"),
        lambda own, _, __: own["rules"][-1].update(outcome="passed"),
        lambda own, _, __: own["rules"].pop(),
        lambda own, _, __: own["rules"][0].update(extra=1),
        lambda own, _, __: own.update(evidence=["x"]),
        lambda own, _, __: own.update(evidence=None),
        lambda own, _, __: own.update(more=1),
        lambda own, _, __: own.update(rules=5),
        lambda _, predicate, __: predicate.update(result="PASSED"),
        lambda _, predicate, __: predicate.update(failedTests=[]),
        lambda _, predicate, __: predicate.update(configuration=[]),
        lambda _, predicate, __: predicate["configuration"][0].update(digest={"sha256": "x"}),
        lambda _, __, document: document.update(predicateType="https://slsa.dev/provenance/v1"),
        lambda _, __, document: document.update(subject=[]),
        lambda _, __, document: document["subject"][0].update(digest={"sha256": "A" * 64}),
        lambda _, __, document: document["subject"].append(document["subject"][0]),
    ],
)
def test_an_altered_decision_is_refused(tmp_path: Path, change: Any) -> None:
    with pytest.raises(IntegrityError, match=r"^decision\.json: "):
        read_decision(write(tmp_path, _altered(change)))


def test_a_verdict_that_does_not_follow_from_its_rows_is_refused(tmp_path: Path) -> None:
    rows = (Row("accuracy > 0.9", Outcome.FAIL, "observed 0.1"),)
    forged = Decision(MODEL, Verdict.PASS, rows, policy=of_bytes(POLICY))
    with pytest.raises(IntegrityError):
        read_decision(write(tmp_path, statement(forged)))


def test_a_decision_with_the_words_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """Its reason names the rule first; stores hold such decisions."""
    kept = Path(__file__).parents[1] / "compat" / "decision-v1.json"
    read = read_decision(write(tmp_path, kept.read_bytes()))
    assert read.verdict == "block"
    assert read.reason == "f1 is missing; no evidence of a similar name was given"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"null", b"5", b'{"subject":[5]}'])
def test_what_is_no_decision_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(IntegrityError, match=r"^decision\.json"):
        read_decision(write(tmp_path, content))


def test_a_missing_or_large_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(IntegrityError, match="is missing"):
        read_decision(tmp_path)
    write(tmp_path, statement(decision()))
    monkeypatch.setattr("assay.governance.policy.decision.MAX_DECISION_BYTES", 10)
    with pytest.raises(IntegrityError, match="larger than 10 bytes"):
        read_decision(tmp_path)


# --- replay ----------------------------------------------------------------------------------


def test_a_replay_gives_the_same_rows() -> None:
    contents = [document.to_bytes() for document in DOCUMENTS]
    replayed = replay(POLICY, contents)
    original = decision()
    assert (replayed.verdict, replayed.model, replayed.data) == ("pass", MODEL, DATA)
    assert replayed.policy == original.policy
    assert [r.to_dict() for r in replayed.rows if r.kind == "rule"] == [
        r.to_dict() for r in original.rows if r.kind == "rule"
    ]
    assert set(replayed.evidence) == {of_bytes(content) for content in contents}


def test_a_replay_takes_json_in_any_spelling() -> None:
    content = json.dumps(json.loads(EVALUATION.to_bytes()), indent=2).encode()
    assert replay(b"gates: [{metric: accuracy > 0.9}]", [content]).verdict == "pass"


def test_a_replay_needs_one_model() -> None:
    rules = b"gates: [{metric: failed_expectations == 0}]"
    with pytest.raises(UsageError, match="names these models: none; choose one with --model"):
        replay(rules, [VALIDATION.to_bytes()])
    assert replay(rules, [VALIDATION.to_bytes()], MODEL).verdict == "pass"
    foreign = EvidenceDocument({"model": OTHER}, {})
    with pytest.raises(UsageError, match=r"names these models: sha256:a.*, sha256:b"):
        replay(rules, [EVALUATION.to_bytes(), foreign.to_bytes()])


def test_a_replay_does_not_choose_between_two_datasets() -> None:
    other = EvidenceDocument({"data": OTHER}, {"rows": 1.0})
    contents = [d.to_bytes() for d in (EVALUATION, VALIDATION, other)]
    judged = replay(b"gates: [{metric: accuracy > 0.9}]", contents)
    assert judged.verdict == "block"
    assert "nothing ties to the model" in judged.reason


@pytest.mark.parametrize(
    "content",
    [
        b'{"accuracy": 0.95}',
        b"accuracy: 0.95",
        b"",
        b"\xff",
        b"[" * 100_000,
        b'{"a": 1, "a": 2}',
        EVALUATION.to_bytes().replace(b"0.95", b"1" + b"0" * 400),
    ],
)
def test_a_replay_says_what_a_document_looks_like(content: Any) -> None:
    with pytest.raises(UsageError) as caught:
        replay(POLICY, [EVALUATION.to_bytes(), content])
    assert "evidence 2 is not an evidence document" in str(caught.value)
    assert '{"subjects": {"model": "sha256:' in str(caught.value)


def test_a_replay_refuses_a_value_that_is_no_number() -> None:
    content = EVALUATION.to_bytes().replace(b"0.95", b"NaN")
    with pytest.raises(UsageError, match="NaN is not a number in JSON"):
        replay(b"gates: [{metric: accuracy > 0.9}]", [content])


def test_a_replay_tells_what_is_wrong_with_the_policy() -> None:
    with pytest.raises(PolicyError, match=r"^policy\.yaml line 1, column 1: "):
        replay(b"", [EVALUATION.to_bytes()])


def test_judging_loads_nothing_heavy() -> None:
    program = (
        "import sys; from assay.governance.policy import replay; import assay.components.gate.step;"
        "heavy = {'in_toto_attestation', 'google.protobuf', 'numpy', 'pandas', 'sklearn', 'kfp'};"
        "sys.exit(sorted(heavy & set(sys.modules)).__repr__() if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
