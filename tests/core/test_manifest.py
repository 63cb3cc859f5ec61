"""The laws of names: digests, canonical JSON, manifests."""

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core.digest import canonical_json, of_bytes, parse_canonical_json
from assay.core.manifest import MANIFEST_MEDIA_TYPE, Descriptor, FileEntry, Manifest, check_paths
from assay.core.store import open_store
from assay.core.tree import get_manifest, get_tree, put_tree
from assay.errors import IntegrityError, ManifestError, StepError, UsageError

TYPE = "application/vnd.assay.dataset.v1"
segments = st.text("abcdefghij", min_size=1, max_size=6)
contents = st.dictionaries(
    st.lists(segments, min_size=1, max_size=3).map("/".join), st.binary(max_size=64), max_size=6
).filter(lambda files: not any(f"{a}/" in b for a in files for b in files))
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def manifest_of(files: dict[str, bytes], **annotations: str) -> Manifest:
    entries = [
        FileEntry(path, Descriptor(of_bytes(data), len(data))) for path, data in files.items()
    ]
    return Manifest(TYPE, tuple(entries), annotations)


def raw(**changes: object) -> bytes:
    entry = {"path": "a", "digest": of_bytes(b""), "size": 0, "mediaType": "text/plain"}
    files = changes.pop("files", [{**entry, **changes}])
    document = {
        "mediaType": MANIFEST_MEDIA_TYPE,
        "artifactType": TYPE,
        "annotations": {},
        "files": files,
    }
    return canonical_json(document)


@given(json_values)
def test_canonical_json_reads_back_as_what_it_was(value: object) -> None:
    assert parse_canonical_json(canonical_json(value), "value") == value


@given(json_values)
def test_any_other_spelling_of_a_value_is_refused(value: object) -> None:
    canonical = canonical_json(value)
    for other in (b" " + canonical, canonical + b"\n", json.dumps({"v": value}, indent=1).encode()):
        if other != canonical:
            with pytest.raises(IntegrityError):
                parse_canonical_json(other, "value")


@given(contents, st.dictionaries(segments, st.text(), max_size=3))
def test_a_manifest_reads_back_as_what_it_was(
    files: dict[str, bytes], notes: dict[str, str]
) -> None:
    manifest = manifest_of(files, **notes)
    assert Manifest.parse(manifest.to_bytes()) == manifest


@given(contents, st.randoms())
def test_the_order_of_files_does_not_matter(files: dict[str, bytes], random: object) -> None:
    names = list(files)
    random.shuffle(names)  # type: ignore[attr-defined]
    assert manifest_of({name: files[name] for name in names}).digest == manifest_of(files).digest


@given(contents, contents)
def test_different_content_has_a_different_digest(
    one: dict[str, bytes], two: dict[str, bytes]
) -> None:
    assert (manifest_of(one).digest == manifest_of(two).digest) == (one == two)


@settings(max_examples=25)
@given(files=contents)
def test_the_digest_of_a_tree_depends_on_neither_place_nor_time(
    files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    store = open_store((folder / "store").as_uri())
    digests = set()
    for number, names in enumerate((list(files), list(reversed(files)))):
        place = folder / f"place-{number}"
        place.mkdir()
        for name in names:
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[name])
            os.utime(path, (number * 1000, number * 1000))
        digests.add(put_tree(store, place, TYPE, {}).digest)
    assert len(digests) == 1
    back = folder / "back"
    get_tree(store, get_manifest(store, digests.pop()), back)
    assert {
        p.relative_to(back).as_posix(): p.read_bytes() for p in back.rglob("*") if p.is_file()
    } == files


def test_nesting_is_part_of_the_name() -> None:
    assert manifest_of({"a/b": b"1"}).digest != manifest_of({"a-b": b"1"}).digest


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (raw(path="../x"), "would leave its folder"),
        (raw(path="a/../../x"), "would leave its folder"),
        (raw(path="/etc/passwd"), "not a relative path"),
        (raw(path="a//b"), "not a relative path"),
        (raw(path="."), "would leave its folder"),
        (raw(path="a\\b"), "backslash"),
        (raw(path="a\x00b"), "control character"),
        (raw(path=""), "not a path"),
        (raw(path=7), "not a path"),
        (raw(path="x" * 300), "too long"),
        (raw(digest="sha256:abc"), "not a digest"),
        (raw(digest="md5:" + "0" * 64), "not a digest"),
        (raw(size=-1), "not a size"),
        (raw(size=1.5), "not a size"),
        (raw(size=True), "not a size"),
        (raw(mediaType="no type"), "not a media type"),
        (raw(extra="field"), "unknown fields"),
        (raw(files="many"), "no files"),
        (raw(files=[7]), "malformed"),
        (canonical_json({"mediaType": "other"}), "not an artifact manifest"),
        (canonical_json([1]), "not an artifact manifest"),
    ],
)
def test_a_hostile_manifest_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        Manifest.parse(data)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["a", "a"], "listed twice"),
        (["A", "a"], "collides"),
        (["caf\u00e9", "cafe\u0301"], "collides"),
        (["a", "a/b"], "both a file and the folder"),
    ],
)
def test_names_that_collide_are_refused(paths: list[str], message: str) -> None:
    entry = {"digest": of_bytes(b""), "size": 0, "mediaType": "text/plain"}
    with pytest.raises(ManifestError, match=message):
        Manifest.parse(raw(files=[{"path": path, **entry} for path in paths]))


def test_a_million_entries_are_refused_before_anything_is_made() -> None:
    entry = {"digest": of_bytes(b""), "size": 0, "mediaType": "text/plain"}
    files = [{"path": f"f{number}", **entry} for number in range(1_000_000)]
    document = {
        "mediaType": MANIFEST_MEDIA_TYPE,
        "artifactType": TYPE,
        "annotations": {},
        "files": files,
    }
    with pytest.raises(ManifestError, match="limit"):
        Manifest.parse(json.dumps(document, separators=(",", ":"), sort_keys=True).encode())


def test_all_problems_are_listed_together() -> None:
    entry = {"digest": of_bytes(b""), "size": 0, "mediaType": "text/plain"}
    with pytest.raises(ManifestError, match=r"'\.\./a'.*'/b'"):
        Manifest.parse(raw(files=[{"path": path, **entry} for path in ("../a", "/b")]))


def test_links_and_special_files_are_no_part_of_an_artifact(tmp_path: Path) -> None:
    store = open_store((tmp_path / "store").as_uri())
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "link").symlink_to("/etc/passwd")
    with pytest.raises(StepError, match="symbolic link"):
        put_tree(store, tree, TYPE, {})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, "\ud800"])
def test_values_that_json_cannot_represent_are_refused(value: object) -> None:
    with pytest.raises(UsageError, match="RFC 8785"):
        canonical_json(value)


def test_the_folders_of_deep_paths_are_looked_through_once() -> None:
    """A manifest of 43 MB with 512 folders above each file took 109 s to be refused or read."""

    def seconds(depth: int) -> float:
        paths = ["d/" * depth + f"file{number}" for number in range(4_000)]
        began = time.process_time()
        assert check_paths(paths) == []
        return time.process_time() - began

    shallow, deep = seconds(60), seconds(480)
    assert deep < 24 * max(shallow, 0.02)  # eight times the bytes; squared, it is 64 times


def test_a_file_that_is_a_folder_is_found_between_names_that_sort_around_it() -> None:
    paths = ["a", "a-b", "a.c/d", "a/b", "a0", "A/c/d", "b/c", "b/c/d/e", "b/c!"]
    problems = check_paths(paths)
    assert sorted(problems) == [
        "'a' is both a file and the folder of 'A/c/d'",
        "'a' is both a file and the folder of 'a/b'",
        "'b/c' is both a file and the folder of 'b/c/d/e'",
    ]
