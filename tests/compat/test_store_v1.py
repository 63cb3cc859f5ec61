"""A store of format version 1, written once and never again: it must stay readable for ever."""

import shutil
from pathlib import Path

from assay.provenance import nodes, passport, verify, verify_store
from assay.store import open_store
from assay.tree import get_manifest, get_tree

MODEL = "sha256:0293ec58db7eaf23d626fbdd8fc5dac099de123573fdb1a2811d6bfd89d42c7d"


def test_a_store_of_version_1_is_read_and_verified(tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parent / "store-v1", tmp_path / "store")
    store = open_store((tmp_path / "store").as_uri())
    verify_store(store, None)
    verify(store, MODEL, None)
    made = [node.record.step for node in nodes(passport(store, MODEL, None)) if node.record]
    assert made == ["make", "fit"]
    get_tree(store, get_manifest(store, MODEL), tmp_path / "model")
    assert (tmp_path / "model" / "model.txt").read_text() == "fitted"
