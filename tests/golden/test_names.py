"""Names that must not change: if one of these differs, every store out there has another past.

`pytest tests/golden --update-goldens` rewrites them; docs/format.md has the procedure that must go
with it.
"""

from pathlib import Path

import pytest

from assay.core.attestation import step_key
from assay.core.digest import canonical_json, of_bytes
from assay.core.manifest import Descriptor, FileEntry, Manifest
from assay.evidence.format import EvidenceDocument, Interval
from assay.governance.policy import replay, statement

HERE = Path(__file__).parent
MODEL = "sha256:" + "a" * 64
DATA = "sha256:" + "b" * 64


def manifest() -> bytes:
    files = {"part-00000.parquet": b"rows", "nested/é.json": b"{}", "empty": b""}
    entries = [
        FileEntry(name, Descriptor(of_bytes(data), len(data))) for name, data in files.items()
    ]
    return Manifest("application/vnd.assay.dataset.v1", tuple(entries), {"note": "text"}).to_bytes()


def evidence() -> bytes:
    return EvidenceDocument(
        {"model": MODEL, "data": DATA},
        {"accuracy": 0.95, 'accuracy{sex="Female"}': 1 / 3, "roc_auc": float("nan")},
        {"accuracy": Interval(0.9, 0.99, 0.95)},
        {"roc_auc": "one class only"},
    ).to_bytes()


def key() -> bytes:
    parameters = {"seed": 0, "rate": 0.1, "columns": ["a"], "options": {"b": None}}
    return step_key(
        "train", MODEL, parameters, {"data": DATA, "more": [DATA]}, {"s": DATA}
    ).encode()


def decision() -> bytes:
    policy = b"gates:\n  - metric: accuracy > 0.9\n    confidence: 0.95\n  - metric: f1 > 0.5\n"
    return canonical_json(statement(replay(policy, [evidence()])))


@pytest.mark.parametrize(
    "make", [manifest, evidence, key, decision], ids=lambda make: make.__name__
)
def test_a_name_is_what_it_always_was(make: object, update_goldens: bool) -> None:
    path = HERE / f"{make.__name__}.golden"  # type: ignore[attr-defined]
    made = make()  # type: ignore[operator]
    if update_goldens:
        path.write_bytes(made)
    assert path.read_bytes() == made, "run: pytest tests/golden --update-goldens, if it is meant"
