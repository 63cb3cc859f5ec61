"""Stores of each version of the format, written once: they stay readable for ever."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay.core.attestation import about, parse
from assay.core.code_identity import Scope
from assay.core.provenance import nodes, passport, verify, verify_store
from assay.core.signing import Verifier
from assay.core.step import Services
from assay.core.store import open_store
from assay.core.tree import get_manifest, get_tree, put_tree
from assay.errors import AttestationError
from assay.releases import log

MODEL_V1 = "sha256:0293ec58db7eaf23d626fbdd8fc5dac099de123573fdb1a2811d6bfd89d42c7d"

EVALUATION_V3 = "sha256:4c8e812d1694893b17654ec4fc675f119bc75819e654363715ed060c0cd93a79"

DATASET_V2 = "sha256:ee04f404dc7d95a9b7216ff10549b8ceb4f944be5102162e6a1225241d6effc7"


def test_a_store_of_version_1_is_read_and_verified(tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parent / "store-v1", tmp_path / "store")
    store = open_store((tmp_path / "store").as_uri())
    verify_store(store, None)
    verify(store, MODEL_V1, None)
    made = [node.attestation for node in nodes(passport(store, MODEL_V1, None)) if node.attestation]
    assert [record.step for record in made] == ["make", "fit"]
    # What it says of its code is the whole library; its step keys follow from that.
    assert {(record.code.version, record.code.scope) for record in made} == {(1, Scope.LIBRARY)}
    assert set(made[0].code.parts) == {"step", "library", "requirements"}
    get_tree(store, get_manifest(store, MODEL_V1), tmp_path / "model")
    assert (tmp_path / "model" / "model.txt").read_text() == "fitted"


def test_a_store_of_version_2_is_read_and_verified(tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parent / "store-v2", tmp_path / "store")
    store = open_store((tmp_path / "store").as_uri())
    verify_store(store, None)
    verify(store, DATASET_V2, None)
    manifest = get_manifest(store, DATASET_V2)
    assert [entry.path for entry in manifest.alone] == ["large.bin"]
    get_tree(store, manifest, tmp_path / "drawings")
    texts = [path.read_text() for path in sorted((tmp_path / "drawings").glob("*.txt"))]
    assert texts == [f"drawing {number}" for number in range(260)]
    # Written again it has the same name: what goes into which pack is part of the format.
    assert put_tree(store, tmp_path / "drawings", manifest.artifact_type, {}) == manifest


def test_a_store_of_version_3_says_how_much_of_the_library_counts(tmp_path: Path) -> None:
    """Written by two steps of a package, and by one that imports something by a computed name."""
    shutil.copytree(Path(__file__).parent / "store-v3", tmp_path / "store")
    store = open_store((tmp_path / "store").as_uri())
    verify_store(store, None)
    verify(store, EVALUATION_V3, None)
    made = [
        node.attestation for node in nodes(passport(store, EVALUATION_V3, None)) if node.attestation
    ]
    assert [(record.step, record.code.scope) for record in made] == [
        ("make", Scope.CLOSURE),
        ("fit", Scope.CLOSURE),
        ("judge", Scope.LIBRARY),
    ]
    assert {record.code.version for record in made} == {2}
    assert made[1].step_key == (
        "sha256:9ced184647eedfe955e74c2ac5bda340e3b0be11ce07d796a08c5790dde628c2"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"buildType": "urn:assay:step:v1"},
        {"buildType": "urn:assay:step:v3"},
        {"scope": "everything"},
        {"scope": None},
    ],
)
def test_an_attestation_that_mixes_versions_is_refused(change: dict[str, Any]) -> None:
    store = open_store((Path(__file__).parent / "store-v3").as_uri())
    (record,) = about(store, EVALUATION_V3, None)
    statement = record.statement()
    definition = statement["predicate"]["buildDefinition"]
    assert parse(statement, record.digest) == record
    for name, value in change.items():
        if name == "scope":
            (code,) = (
                entry
                for entry in definition["resolvedDependencies"]
                if entry["name"] == "code/modules"
            )
            code["annotations"] = {"scope": value} if value else {}
        else:
            definition[name] = value
    with pytest.raises(AttestationError):
        parse(statement, record.digest)


def test_a_release_log_of_version_1_is_read_and_continued(tmp_path: Path) -> None:
    """Written before entries named revocations; its key signed everything, as one key did then."""
    folder = Path(__file__).parent / "log-v1"
    shutil.copytree(folder / "store", tmp_path / "store")
    store = open_store((tmp_path / "store").as_uri())
    public = (folder / "verify.pem").read_text()
    ann = {"owner": "Ann Approver <ann@example.org>", "roles": ["approver", "recorder"]}
    verifier = Verifier.from_yaml(yaml.safe_dump([{**ann, "key": public}]).encode())
    entries = log.read(Services(store, verifier), "churn")
    assert [(e.event, e.refused) for e in entries] == [
        ("release", ""),
        ("release", ""),
        ("rollback", ""),
    ]
    current = log.current(entries, "dev")
    assert current is not None
    assert current.digest == entries[0].digest
    # A revocation was a pointer and no entry; it is in force.
    revoked = log.revocation(Services(store, verifier), entries[1].digest)
    assert revoked is not None
    assert revoked.why == "leaks personal data"
    # Listed as what it was used for besides, it approves nothing.
    runner = log.read(Services(store, Verifier.from_pem(public.encode())), "churn")
    assert log.current(runner, "dev") is None
    # New entries stand behind the old ones.
    anybody = Services(store, None)
    log.append(anybody, replace(entries[2], commit="4" * 40), None)
    assert [e.number for e in log.read(anybody, "churn")] == [1, 2, 3, 4]
