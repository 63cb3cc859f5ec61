"""The gate as a step: what it writes, and that it writes the same every time."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from assay.components.gate.step import gate
from assay.core.step import Comparison, Decision, Evaluation, Out, Policy, Validation
from assay.errors import IntegrityError, PolicyError, UsageError
from assay.evidence.format import EvidenceDocument, Interval
from assay.governance.policy import read_decision

MODEL, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
DATA, TEST = "sha256:" + "d" * 64, "sha256:" + "e" * 64
POLICY = """\
confidence: 0.95
gates:
  - metric: accuracy > 0.9
    reason: <b>Nobody</b> would use it.
  - metric: accuracy{sex="Female"} >= 0.80
  - metric: regression_delta < 0.01
    when: production_exists == 1
  - metric: failed_expectations == 0
on_fail: block_and_notify
"""


def artifact(kind: Any, folder: Any, digit: Any, document: Any) -> Any:
    folder.mkdir(parents=True)
    document.write(folder)
    return kind(folder, "sha256:" + digit * 64)


def arguments(
    root: Any,
    accuracy: Any = 0.95,
    *,
    text: Any = POLICY,
    delta: Any = (-0.03, -0.01),
    **changes: Any,
) -> Any:
    (root / "policy").mkdir(parents=True)
    (root / "policy" / "policy.yaml").write_text(text)
    (root / "out").mkdir()
    about = {"model": MODEL, "data": TEST}
    evaluation = EvidenceDocument(about, {"accuracy": accuracy, 'accuracy{sex="Female"}': 0.9})
    comparison = EvidenceDocument(
        {**about, "production": OTHER},
        {"production_exists": 1.0, "regression_delta": -0.02},
        {"regression_delta": Interval(*delta, 0.95)},
    )
    validation = EvidenceDocument({"data": DATA}, {"failed_expectations": 0.0}, verdict="pass")
    return {
        "model": MODEL,
        "policy": Policy(root / "policy", "sha256:" + "c" * 64),
        "evidence": [
            artifact(Validation, root / "v", "1", validation),
            artifact(Evaluation, root / "e", "2", evaluation),
            artifact(Comparison, root / "c", "3", comparison),
        ],
        "production": OTHER,
        "test_data": TEST,
        "data": DATA,
        "decision": Out(root / "out"),
        **changes,
    }


def test_a_pass(tmp_path: Path) -> None:
    given = arguments(tmp_path)
    values = gate(**given)
    assert values == {
        "verdict": "pass",
        "reason": "",
        "reasons": [],
        "on_fail": "block_and_notify",
    }
    assert given["decision"].annotations == {"verdict": "pass"}
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == ["decision.json", "report.html", "summary.md"]
    judged = read_decision(tmp_path / "out")
    assert judged.model == MODEL
    assert judged.policy_artifact == given["policy"].digest
    assert judged.evidence == tuple(one.digest for one in given["evidence"])
    assert (judged.production, judged.test_data, judged.data) == (OTHER, TEST, DATA)


def test_a_block_names_the_rule_and_the_value(tmp_path: Path) -> None:
    values = gate(**arguments(tmp_path, accuracy=0.85))
    assert values["verdict"] == "block"
    assert values["reason"] == "accuracy is 0.85; allowed above 0.9"
    summary = (tmp_path / "out" / "summary.md").read_text()
    assert summary.startswith("# Decision: block\n")
    assert "accuracy is 0.85" in summary
    report = (tmp_path / "out" / "report.html").read_text()
    assert "accuracy is 0.85" in report
    assert "&lt;b&gt;Nobody&lt;/b&gt; would use it." in report


def test_an_interval_that_straddles_is_inconclusive(tmp_path: Path) -> None:
    values = gate(**arguments(tmp_path, delta=(-0.05, 0.05)))
    assert values["verdict"] == "inconclusive"
    assert "(-0.05 to 0.05); allowed" in values["reason"]


@pytest.mark.parametrize(
    "changes",
    [{"model": OTHER}, {"data": ""}, {"test_data": OTHER}, {"production": ""}, {"evidence": []}],
)
def test_what_is_wired_wrongly_blocks(tmp_path: Path, changes: Any) -> None:
    assert gate(**arguments(tmp_path, **changes))["verdict"] == "block"


@pytest.mark.parametrize("name", ["model", "production", "test_data", "data"])
def test_names_must_be_digests(tmp_path: Path, name: Any) -> None:
    with pytest.raises(UsageError, match=f"{name}: 'latest' is not a digest"):
        gate(**arguments(tmp_path, **{name: "latest"}))


def test_an_artifact_without_evidence_is_named(tmp_path: Path) -> None:
    given = arguments(tmp_path)
    for one in given["evidence"][:2]:
        (one.path / "evidence.json").unlink()
    with pytest.raises(UsageError, match=r"sha256:1111.*no evidence\.json.*sha256:2222"):
        gate(**given)


def test_damaged_evidence_is_named(tmp_path: Path) -> None:
    given = arguments(tmp_path)
    (given["evidence"][2].path / "evidence.json").write_text("{}")
    with pytest.raises(IntegrityError, match="evidence sha256:3333"):
        gate(**given)


def test_a_policy_that_does_not_parse_has_its_place(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"policy\.yaml line 2, column 13: unknown metric"):
        gate(**arguments(tmp_path, text="gates:\n  - metric: acuracy > 1"))


def test_a_policy_is_read_in_bounds(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="the limit is"):
        gate(**arguments(tmp_path, text=POLICY + "#" * (2 << 20)))
    given = arguments(tmp_path / "more")
    (given["policy"].path / "policy.yaml").unlink()
    with pytest.raises(UsageError, match=r"holds no policy\.yaml"):
        gate(**given)


def test_the_page_needs_nothing_from_outside(tmp_path: Path) -> None:
    gate(**arguments(tmp_path))
    page = (tmp_path / "out" / "report.html").read_text()
    for word in ("<script", "http://", "https://", "src=", "@import"):
        assert word not in page


def test_the_page_of_rules_without_reasons_has_no_empty_column(tmp_path: Path) -> None:
    for place, text in (("one", POLICY), ("two", POLICY.replace("reason:", "# reason:"))):
        gate(**arguments(tmp_path / place, text=text))
        page = (tmp_path / place / "out" / "report.html").read_text()
        assert (">reason<" in page) == ("\n    reason:" in text)


PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import test_gate
test_gate.gate(**test_gate.arguments(Path(sys.argv[1]), accuracy=0.85))
"""


def test_the_bytes_are_the_same_in_another_process_and_folder(tmp_path: Path) -> None:
    given = arguments(tmp_path / "one", accuracy=0.85)
    gate(**{**given, "evidence": given["evidence"][::-1]})
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "two", here], check=True, env=environment
    )
    for path in (tmp_path / "one" / "out").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / "out" / path.name).read_bytes()


def test_the_record_is_plain_json(tmp_path: Path) -> None:
    gate(**arguments(tmp_path))
    document = json.loads((tmp_path / "out" / "decision.json").read_bytes())
    assert document["predicate"]["result"] == "PASSED"


def test_what_the_step_declares() -> None:
    assert set(gate.list_inputs) == {"evidence"}
    assert set(gate.inputs) == {"policy"}
    assert set(gate.parameters) == {"model", "production", "test_data", "data"}
    assert gate.outputs["decision"].kind is Decision
    assert not gate.side_effects
