"""Stores of each version of the format, written once: they stay readable for ever."""

import shutil
from dataclasses import replace
from pathlib import Path

import yaml

from assay.core.provenance import nodes, passport, verify, verify_store
from assay.core.signing import Verifier
from assay.core.step import Services
from assay.core.store import open_store
from assay.core.tree import get_manifest, get_tree, put_tree
from assay.releases import log

MODEL_V1 = "sha256:0293ec58db7eaf23d626fbdd8fc5dac099de123573fdb1a2811d6bfd89d42c7d"

DATASET_V2 = "sha256:ee04f404dc7d95a9b7216ff10549b8ceb4f944be5102162e6a1225241d6effc7"


def test_a_store_of_version_1_is_read_and_verified(tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parent / "store-v1", tmp_path / "store")
    store = open_store((tmp_path / "store").as_uri())
    verify_store(store, None)
    verify(store, MODEL_V1, None)
    made = [node.record.step for node in nodes(passport(store, MODEL_V1, None)) if node.record]
    assert made == ["make", "fit"]
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
