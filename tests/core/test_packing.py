"""Small files in packs: what goes where, and that nobody can tell afterwards."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core import packing, plain_copies
from assay.core.digest import canonical_json, of_bytes
from assay.core.maintenance.names import Kind, kind_of
from assay.core.manifest import (
    MANIFEST_MEDIA_TYPE,
    MAX_PACK_BYTES,
    PACK_MEDIA_TYPE,
    PACKED_MEDIA_TYPE,
    Descriptor,
    FileEntry,
    Manifest,
)
from assay.core.packing import FEW_FILES, PACK_BYTES, SMALL_FILE_BYTES, packs
from assay.core.store import open_store
from assay.core.tree import get_manifest, get_tree, put_tree, read_file, verify_trees
from assay.errors import IntegrityError, ManifestError

TYPE = "application/vnd.assay.dataset.v1"
BODY = b"0123456789"
PACK = {"digest": of_bytes(BODY), "mediaType": PACK_MEDIA_TYPE, "size": len(BODY)}
sizes = st.dictionaries(
    st.text("abcdef/", min_size=1, max_size=8), st.integers(0, 2 * SMALL_FILE_BYTES), max_size=600
)


def many(count: int, size: int = 1000) -> dict[str, int]:
    return {f"images/{number:06d}.png": size for number in range(count)}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def read(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


@given(sizes)
def test_every_small_file_is_in_one_pack_and_no_pack_is_too_large(files: dict[str, int]) -> None:
    found = packs(files)
    small = sorted(path for path, size in files.items() if size <= SMALL_FILE_BYTES)
    assert [path for pack in found for path in pack] == (small if len(small) > FEW_FILES else [])
    assert all(pack and sum(files[path] for path in pack) <= PACK_BYTES for pack in found)


@settings(max_examples=20)
@given(st.integers(FEW_FILES + 2, 3000), st.integers(0, SMALL_FILE_BYTES), st.data())
def test_a_file_more_or_less_changes_the_packs_around_it_only(
    count: int, size: int, data: st.DataObject
) -> None:
    files = many(count, size)
    gone = data.draw(st.sampled_from(sorted(files)))
    before = packs(files)
    files.pop(gone)
    after = packs(files)
    # Those that ended before it are as they were, but for the one that it lay in or began.
    ahead = [pack for pack in after if pack[-1] < gone][:-1]
    assert ahead == before[: len(ahead)]
    # Behind it, at the latest where a path's hash ends a pack, all goes on as before.
    ends = [n for n, pack in enumerate(after) if pack[-1] > gone and packing._ends_pack(pack[-1])]
    behind = after[ends[0] + 1 :] if ends else []
    assert behind == before[len(before) - len(behind) :]


def test_thousands_of_small_files_are_stored_as_a_few_blobs(tmp_path: Path) -> None:
    files = {path: os.urandom(size) for path, size in many(2000).items()}
    files |= {"large.bin": os.urandom(SMALL_FILE_BYTES + 1), "empty": b"", "twice": b"x" * 9}
    files |= {"twice-2": b"x" * 9}
    store = open_store((tmp_path / "store").as_uri())
    manifest = put_tree(store, write(tmp_path / "tree", files), TYPE, {})
    assert manifest.media_type == PACKED_MEDIA_TYPE
    assert [entry.path for entry in manifest.alone] == ["large.bin"]
    assert len(list(store.iter_blobs())) == len(manifest.blobs) + 1 < 40
    assert Manifest.parse(manifest.to_bytes()) == manifest == get_manifest(store, manifest.digest)
    get_tree(store, manifest, tmp_path / "back")
    assert read(tmp_path / "back") == files
    assert all(path.stat().st_mode & 0o777 == 0o444 for path in (tmp_path / "back").rglob("*.png"))
    assert {e.path: e.blob.digest for e in manifest.files} == {
        path: of_bytes(data) for path, data in files.items()
    }
    assert read_file(store, manifest, "twice-2", 9) == b"x" * 9
    assert read_file(store, manifest, "nothing", 9) is None
    with pytest.raises(IntegrityError, match="twice-2 has 9 bytes, the limit here is 8"):
        read_file(store, manifest, "twice-2", 8)
    assert sum(blob.size for blob in verify_trees(store, [manifest])) < sum(
        map(len, files.values())
    )


def test_the_name_does_not_depend_on_who_stores_it_where(tmp_path: Path) -> None:
    files = {path: os.urandom(50) for path in many(600)}
    names = set()
    for number, order in enumerate((list(files), list(reversed(files)))):
        tree = write(tmp_path / f"tree-{number}", {path: files[path] for path in order})
        store = open_store((tmp_path / f"store-{number}").as_uri())
        names.add(put_tree(store, tree, TYPE, {}).digest)
    assert len(names) == 1


def test_a_tree_that_grows_stores_little_again(tmp_path: Path) -> None:
    files = {path: os.urandom(100) for path in many(5000)}
    store = open_store((tmp_path / "store").as_uri())
    tree = write(tmp_path / "tree", files)
    before = set(put_tree(store, tree, TYPE, {}).blobs)
    (tree / "images" / "002500x.png").write_bytes(b"one more")
    after = set(put_tree(store, tree, TYPE, {}).blobs)
    assert len(after) > 10
    assert len(after - before) == 1


def test_a_users_file_that_quotes_a_manifest_is_no_manifest(tmp_path: Path) -> None:
    store = open_store((tmp_path / "store").as_uri())
    tree = write(tmp_path / "tree", dict.fromkeys(many(300), b"x"))
    manifest = put_tree(store, tree, TYPE, {})
    data = manifest.to_bytes()
    assert kind_of(store, manifest.digest, len(data)) is Kind.MANIFEST
    for quoting in (b'{"annotations":[],"found":' + data + b"}", data + b"\n", data[:-1] + b",1}"):
        blob = store.put_bytes(quoting)
        assert kind_of(store, blob.digest, blob.size) is Kind.FILE


def test_every_flipped_byte_of_a_pack_is_found(tmp_path: Path) -> None:
    store = open_store((tmp_path / "store").as_uri())
    files = {path: os.urandom(3) for path in many(300)}
    manifest = put_tree(store, write(tmp_path / "tree", files), TYPE, {})
    pack = manifest.blobs[0]
    digits = pack.digest[7:]
    blob = tmp_path / "store" / "blobs" / "sha256" / digits[:2] / digits
    good = blob.read_bytes()
    blob.chmod(0o644)
    for at in range(0, len(good), 7):
        blob.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(IntegrityError, match="damaged"):
            verify_trees(store, [manifest])
        with pytest.raises(IntegrityError, match="damaged"):
            get_tree(store, manifest, tmp_path / "back")
        assert not (tmp_path / "back").exists()
    blob.write_bytes(good)
    get_tree(store, manifest, tmp_path / "back")


def test_a_manifest_with_a_wrong_packed_file_is_detected(tmp_path: Path) -> None:
    """Nobody can alter it unseen, but somebody could have written it so."""
    store = open_store((tmp_path / "store").as_uri())
    store.put_bytes(BODY, PACK_MEDIA_TYPE)
    pack = Descriptor(of_bytes(BODY), len(BODY), PACK_MEDIA_TYPE)
    entry = FileEntry("a", Descriptor(of_bytes(b"123"), 3), pack, 0)
    wrong = Manifest(TYPE, (entry,))
    for use in (
        lambda: get_tree(store, wrong, tmp_path / "back"),
        lambda: verify_trees(store, [wrong]),
        lambda: read_file(store, wrong, "a", 10),
        lambda: plain_copies.make(store, wrong),
    ):
        with pytest.raises(IntegrityError, match=r"a: expected sha256:.*from its pack"):
            use()
    assert list(tmp_path.iterdir()) == [tmp_path / "store"]


def test_a_file_that_changes_while_it_is_packed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store((tmp_path / "store").as_uri())
    tree = write(tmp_path / "tree", dict.fromkeys(many(300), b"12345"))

    def changed(sizes: dict[str, int]) -> list[list[str]]:
        (tree / "images" / "000007.png").write_bytes(b"123456")
        return packs(sizes)

    monkeypatch.setattr("assay.core.tree.packs", changed)
    with pytest.raises(IntegrityError, match=r"000007\.png changed while it was stored"):
        put_tree(store, tree, TYPE, {})
    assert not any(entry.startswith(b'{"annot') for entry in blobs(tmp_path / "store"))


def blobs(store: Path) -> list[bytes]:
    return [path.read_bytes() for path in (store / "blobs").rglob("*") if path.is_file()]


def packed(**changes: Any) -> bytes:
    entry = {
        "path": "a", "digest": of_bytes(b"012"), "size": 3, "mediaType": "text/plain",
        "pack": 0, "offset": 0,
    }  # fmt: skip
    top = {name: changes.pop(name) for name in ("packs", "mediaType") if name in changes}
    entry |= changes
    return canonical_json(
        {
            "mediaType": PACKED_MEDIA_TYPE,
            "artifactType": TYPE,
            "annotations": {},
            "files": [{name: value for name, value in entry.items() if value is not None}],
            "packs": [PACK],
            **top,
        }
    )


def test_the_hostile_ones_below_differ_from_a_good_one() -> None:
    assert Manifest.parse(packed()).files[0].pack == Descriptor(**_snake(PACK))


def _snake(pack: dict[str, Any]) -> dict[str, Any]:
    return {"digest": pack["digest"], "size": pack["size"], "media_type": pack["mediaType"]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (packed(offset=8), "ends beyond its pack"),
        (packed(offset=-1), "not an offset"),
        (packed(offset=True), "not an offset"),
        (packed(offset=0.5), "not an offset"),
        (packed(offset="0"), "not an offset"),
        (packed(offset=None), "unknown fields"),
        (packed(size=11), "ends beyond its pack"),
        (packed(pack=1), "malformed"),
        (packed(pack=-1), "unknown fields"),
        (packed(pack=False), "unknown fields"),
        (packed(pack="0"), "malformed"),
        (packed(pack=None, offset=4), "an offset without a pack"),
        (packed(pack=None, offset=None), "unknown fields"),
        (packed(packs=[]), "malformed"),
        (packed(packs=[PACK, PACK]), "unknown fields"),
        (packed(packs=[PACK, {**PACK, "digest": of_bytes(b"")}]), "unknown fields"),
        (packed(packs=[{**PACK, "more": 1}]), "unknown fields"),
        (packed(packs=[{**PACK, "digest": "sha256:0"}]), "not a digest"),
        (packed(packs=[{**PACK, "digest": []}]), "not a digest"),
        (packed(packs=[{**PACK, "size": MAX_PACK_BYTES + 1}]), "the limit is"),
        (packed(packs=[{**PACK, "size": -1}]), "not a size"),
        (packed(packs={"a": PACK}), "malformed"),
        (packed(packs=7), "malformed"),
        (packed(mediaType=MANIFEST_MEDIA_TYPE), "unknown fields"),
        (packed(path="../a"), "would leave its folder"),
    ],
)
def test_a_hostile_manifest_with_packs_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        Manifest.parse(data)
