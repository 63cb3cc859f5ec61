"""fsck and gc on every kind of store: what is damaged is found and mended, what is wanted stays."""

import json
import os
import time
import uuid
from pathlib import Path

import pytest
from click.testing import CliRunner

from assay.cli import cli
from assay.core import plain_copies
from assay.core.attestation import about
from assay.core.digest import hex_of, of_bytes
from assay.core.execution import Context, execute
from assay.core.maintenance.fsck import require_whole
from assay.core.maintenance.gc import MIN_GRACE_SECONDS, pin, unpin
from assay.core.manifest import FileEntry, Manifest
from assay.core.provenance import verify
from assay.core.step import Dataset, Model, Out, step
from assay.core.store import Store, blob_key, open_store
from assay.core.tree import get_manifest, get_tree
from assay.errors import IntegrityError, NotFoundError, UsageError
from assay.governance.registry import Registry
from assay.releases.upkeep import fsck, plan, registry_roots, release_roots, remove

IMAGES = 300
"""More than are stored one by one."""
DAY = 24 * 3600.0
LATER = 30 * DAY
"""Seconds from now, when everything is older than any grace."""


@step
def collect(*, number: int, dataset: Out[Dataset]) -> None:
    (dataset.path / "rows.txt").write_text(f"rows {number}")


@step
def fit(*, data: Dataset, seed: int, model: Out[Model]) -> None:
    (model.path / "model.txt").write_text((data.path / "rows.txt").read_text() + f" seed {seed}")
    # A user's own file that begins as a record of ours does.
    (model.path / "statement.json").write_text('{"_type":"https://in-toto.io/Statement/v1"}')
    (model.path / "coco.json").write_text('{"annotations":[]}')


@step
def draw(*, number: int, dataset: Out[Dataset]) -> None:
    for image in range(IMAGES):
        (dataset.path / f"{image:03}.png").write_bytes(f"{number} {image}".encode())


def make(store: Store, number: int, seed: int = 0) -> tuple[str, str]:
    """A dataset and a model trained on it."""
    context = Context(store)
    data = execute(collect, {"number": number}, context).outputs["dataset"]
    return data, execute(fit, {"data": data, "seed": seed}, context).outputs["model"]


def damage(store: Store, digest: str, data: bytes) -> None:
    from assay.core.store.folder import FolderStore

    store.remove_blob(digest)
    if isinstance(store, FolderStore):
        path = store._root / blob_key(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    else:
        store._put(blob_key(digest), data, of_bytes(data)[7:], "text/plain", {})  # type: ignore[attr-defined]


def collected(store: Store, roots: dict[str, str]) -> int:
    found = plan(store, roots, now=time.time() + LATER, grace=MIN_GRACE_SECONDS)
    return remove(store, found, lambda: roots)


def blobs_of(store: Store) -> list[str]:
    """All but the lists that removals announce."""
    lists = {name.rsplit("/", 1)[-1] for name in store.list_pointers("removals/")}
    return [digest for digest, _ in store.iter_blobs() if hex_of(digest) not in lists]


def first_file(store: Store, artifact: str) -> str:
    return get_manifest(store, artifact).files[0].blob.digest


def test_a_whole_store_is_found_whole(store: Store) -> None:
    _, model = make(store, 1)
    plain_copies.make(store, get_manifest(store, model))
    checked = fsck(store, None)
    assert checked.findings == []
    # 2 manifests of 1 and 3 files; records: 1 output, 1 input and 1 output; 2 cache entries, 2
    # referrers, 1 dependent, 1 view.
    assert checked.references == 4 + 3 + 5 + 1
    assert checked.blobs == len(list(store.iter_blobs())) == 8


def test_damage_of_every_kind_is_found_and_mended_from_a_copy(store: Store, tmp_path: Path) -> None:
    copy = open_store((tmp_path / "copy").as_uri())
    for target in (store, copy):
        data, model = make(target, 1)
    # The two stores hold records of their own; this store's must be in the copy to be mended.
    (attestation,) = about(store, model, None)
    copy.put_bytes(store.get_bytes(attestation.digest, 1 << 20))
    plain_copies.make(store, get_manifest(store, model))

    altered, missing = first_file(store, model), first_file(store, data)
    damage(store, altered, b"altered, and longer than it was")
    store.remove_blob(missing)
    store.remove_blob(data)  # a manifest: its file is found missing once it is back
    damage(store, attestation.digest, b"{}")
    cache = f"cache/{hex_of(attestation.step_key)}"
    store.write_pointer(cache, b"not a pointer")

    found = fsck(store, None)
    output = {finding.what for finding in found.broken}
    assert {altered, data, attestation.digest, cache} <= output
    with pytest.raises(IntegrityError, match="--from URL") as caught:
        require_whole(found)
    assert altered in str(caught.value)

    mended = fsck(store, None, copy)
    assert {altered, missing, data, attestation.digest} <= {
        f.what for f in mended.findings if f.mended
    }
    # The copy's cache entry leads to the copy's own record, of the same step key.
    assert [f.what for f in mended.broken] in ([], [cache])
    store.write_pointer(
        cache, json.dumps({"attestation": attestation.digest}, separators=(",", ":")).encode()
    )
    assert fsck(store, None).findings == []
    get_tree(store, get_manifest(store, model), tmp_path / "out")


def test_damaged_pointers_are_repaired_without_a_copy(store: Store) -> None:
    data, model = make(store, 1)
    (attestation,) = about(store, model, None)
    name = hex_of(attestation.digest)
    cache = f"cache/{hex_of(attestation.step_key)}"
    pointers = [f"referrers/{hex_of(model)}/{name}", f"dependents/{hex_of(data)}/{name}"]
    for pointer in (cache, *pointers):
        store.write_pointer(pointer, b"damaged")
    invented = f"referrers/{hex_of(data)}/{name}"
    store.write_pointer(invented, attestation.digest.encode())
    assert {f.what for f in fsck(store, None).broken} == {cache, *pointers, invented}
    # A name that the attestation does not prove is no pointer to write.
    assert [f.what for f in fsck(store, None, repair=True).broken] == [invented]
    assert store.read_pointer(cache) is None
    assert all(store.read_pointer(pointer) == attestation.digest.encode() for pointer in pointers)
    store.remove_pointer(invented)
    assert fsck(store, None).findings == []


def test_a_young_cache_entry_that_cannot_be_read_does_not_stop_gc(folder_store: Store) -> None:
    data, model = make(folder_store, 1)
    (attestation,) = about(folder_store, model, None)
    folder_store.write_pointer(f"cache/{hex_of(attestation.step_key)}", b"damaged")
    found = plan(folder_store, {}, now=time.time(), grace=MIN_GRACE_SECONDS)
    assert {data, model, attestation.digest} <= found.kept


def test_a_copy_that_is_damaged_too_mends_nothing(store: Store, tmp_path: Path) -> None:
    copy = open_store((tmp_path / "copy").as_uri())
    blob = store.put_bytes(b"right")
    damage(store, blob.digest, b"wrong")
    damage(copy, blob.digest, b"wrung")
    checked = fsck(store, None, copy)
    assert [finding.what for finding in checked.broken] == [blob.digest]
    assert store.peek(blob.digest, 5) == b"wrong"


def test_an_altered_view_is_found_and_mended(folder_store: Store, tmp_path: Path) -> None:
    _, model = make(folder_store, 1)
    uri = plain_copies.make(folder_store, get_manifest(folder_store, model))
    file = Path(uri.removeprefix("file://")) / "model.txt"
    file.chmod(0o644)
    file.write_text("altered")
    (finding,) = fsck(folder_store, None).broken
    assert finding.what == f"plain copy {model}"
    assert not fsck(folder_store, None, folder_store).broken
    plain_copies.verify(folder_store, get_manifest(folder_store, model))


def test_gc_keeps_a_root_and_all_it_rests_on(store: Store) -> None:
    data, kept = make(store, 1)
    other_data, other = make(store, 2)
    for model in (kept, other):
        plain_copies.make(store, get_manifest(store, model))
    # 2 manifests, 2 records, rows.txt and model.txt; both models have the other two files.
    assert collected(store, {kept: "wanted"}) == 6
    assert verify(store, kept, None).artifacts == 2
    assert plain_copies.listed(store) == {kept}
    assert not store.has(other)
    assert not store.has(other_data)
    assert fsck(store, None).findings == []
    # The list that the removal before announced, and nothing more.
    assert collected(store, {kept: "wanted"}) == 1
    # What was removed is computed anew, not half answered from the cache.
    assert make(store, 2) == (other_data, other)
    assert store.has(data)


def test_packs_are_kept_mended_and_removed_as_files_are(store: Store, tmp_path: Path) -> None:
    copy = open_store((tmp_path / "copy").as_uri())
    kept, other = (execute(draw, {"number": n}, Context(store)).outputs["dataset"] for n in (1, 2))
    execute(draw, {"number": 1}, Context(copy))
    packs = get_manifest(store, kept).blobs
    waste = get_manifest(store, other).blobs
    assert 1 <= len(packs) < 10
    assert fsck(store, None).findings == []

    damage(store, packs[0].digest, b"altered")
    with pytest.raises(IntegrityError, match=hex_of(packs[0].digest)):
        verify(store, kept, None)
    assert [f.what for f in fsck(store, None).broken] == [packs[0].digest]
    assert fsck(store, None, copy).broken == []

    # The manifest, the record and the packs of the other.
    assert collected(store, {kept: "wanted"}) == 2 + len(waste)
    assert verify(store, kept, None).blobs == len(packs)
    assert not any(store.has(blob.digest) for blob in waste)
    get_tree(store, get_manifest(store, kept), tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == IMAGES


def test_gc_keeps_what_is_young(store: Store) -> None:
    make(store, 1)
    store.put_bytes(b"a file of a tree whose manifest comes next")
    found = plan(store, {}, now=time.time(), grace=MIN_GRACE_SECONDS)
    assert found.blobs == found.cache == found.pointers == []
    assert set(found.roots.values()) >= {"younger than the grace period"}


def test_gc_keeps_old_files_that_a_young_manifest_names(folder_store: Store) -> None:
    data, model = make(folder_store, 1)
    old = time.time() - 30 * 24 * 3600
    root = Path(folder_store.url.removeprefix("file://"))
    for path in root.rglob("*"):
        os.utime(path, (old, old))
    # A run goes on from a cached dataset: nothing of it is written again but the cache's entry.
    assert execute(collect, {"number": 1}, Context(folder_store)).cached
    remove(folder_store, plan(folder_store, {}, now=time.time(), grace=7 * DAY), dict)
    assert folder_store.has(first_file(folder_store, data))
    assert not folder_store.has(model)
    assert fsck(folder_store, None).findings == []


def test_a_pin_keeps_an_artifact_until_it_is_unpinned(store: Store) -> None:
    data, model = make(store, 1)
    pin(store, data, "the audit of May")
    collected(store, {})
    assert verify(store, data, None).artifacts == 1
    assert not store.has(model)
    unpin(store, data)
    collected(store, {})
    assert blobs_of(store) == []
    with pytest.raises(NotFoundError):
        pin(store, data, "gone")


def test_gc_removes_nothing_while_a_root_cannot_be_followed(store: Store) -> None:
    data, model = make(store, 1)
    make(store, 2)
    store.remove_blob(first_file(store, data))
    before = sorted(store.iter_blobs())
    with pytest.raises(UsageError, match=r"nothing was removed.*assay store fsck") as caught:
        collected(store, {model: "wanted"})
    assert data in str(caught.value)
    assert sorted(store.iter_blobs()) == before


def test_a_sweep_cut_short_leaves_a_store_without_loose_ends(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, kept = make(store, 1)
    for number in range(2, 6):
        make(store, number)
    removed = 0
    taken = store._remove

    def stopping(key: str) -> None:
        nonlocal removed
        removed += 1
        if removed > stop:
            raise KeyboardInterrupt
        taken(key)

    monkeypatch.setattr("assay.core.parallel.WORKERS", 1)
    monkeypatch.setattr(store, "_remove", stopping)
    for stop in (3, 8, 13):
        removed = 0
        with pytest.raises(KeyboardInterrupt):
            collected(store, {kept: "wanted"})
        assert fsck(store, None).findings == [], stop
    stop = 1000
    collected(store, {kept: "wanted"})
    assert len(blobs_of(store)) == 8


def test_what_is_stored_again_while_gc_runs_stays(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = folder_store.put_bytes(b"wanted again")
    root = Path(folder_store.url.removeprefix("file://"))
    old = time.time() - 30 * 24 * 3600
    os.utime(root / blob_key(blob.digest), (old, old))
    found = plan(folder_store, {}, now=time.time(), grace=MIN_GRACE_SECONDS)
    assert found.files == [blob.digest]
    folder_store.put_bytes(b"wanted again")
    assert remove(folder_store, found, dict) == 0
    assert folder_store.has(blob.digest)


def test_versions_with_an_alias_and_the_last_three_in_production_always_stay(
    folder_store: Store, tmp_path: Path
) -> None:
    registry = Registry(f"sqlite:///{tmp_path}/mlflow.db")
    models = []
    for number in range(7):
        _, model = make(folder_store, 1, seed=number)
        models.append(model)
        uri = plain_copies.make(folder_store, get_manifest(folder_store, model))
        registry.register("income", model, uri, {}, {})
    for version in ("1", "2", "3", "4"):
        registry.set_alias("income", "production", version)
    registry.set_alias("income", "production", "2")  # a rollback
    assert registry.production_history("income") == ["1", "3", "4", "2"]
    assert set(registry_roots(registry, None)) == set(models)
    # The newest, by its alias `candidate` too; and versions 3, 4 and 2.
    assert set(registry_roots(registry, 0)) == {models[i] for i in (1, 2, 3, 6)}
    collected(folder_store, registry_roots(registry, 1))
    assert [folder_store.has(model) for model in models] == [
        False,
        True,
        True,
        True,
        False,
        False,
        True,
    ]
    assert fsck(folder_store, None).findings == []


def test_releases_are_read_from_files_and_checkouts(folder_store: Store, tmp_path: Path) -> None:
    _, model = make(folder_store, 1)
    (tmp_path / "deploy" / "prod").mkdir(parents=True)
    image = "sha256:" + "12" * 32
    (tmp_path / "deploy" / "prod" / "kustomization.yaml").write_text(
        f"model: {model}\nimage: registry/serve@{image}\n"
    )
    roots = release_roots([tmp_path / "deploy"], folder_store)
    assert set(roots) == {model}
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no digest of anything"):
        release_roots([tmp_path / "empty"], folder_store)
    with pytest.raises(UsageError, match="cannot read"):
        release_roots([tmp_path / "absent"], folder_store)


@pytest.fixture
def home(folder_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_STORE", folder_url)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return tmp_path


def test_the_command_says_what_would_go_and_removes_it_on_request(home: Path) -> None:
    store = open_store(os.environ["ASSAY_STORE"])
    _, model = make(store, 1)
    (home / "release.txt").write_text(model)
    waste = store.put_bytes(uuid.uuid4().bytes)
    old = time.time() - 30 * 24 * 3600
    for path in (home / "store").rglob("*"):
        os.utime(path, (old, old))
    runner = CliRunner()
    words = ["store", "gc", "--no-registry", "--release", str(home / "release.txt")]
    dry = runner.invoke(cli, words)
    assert dry.exit_code == 0, dry.output
    assert "files\t1" in dry.output
    assert "16 B would be freed" in dry.output
    assert store.has(waste.digest)
    done = runner.invoke(cli, [*words, "--delete", "--json"])
    assert json.loads(done.output)["removed"] == 1
    assert not store.has(waste.digest)
    assert store.has(model)
    assert runner.invoke(cli, ["store", "pin", model, "--reason", "audit"]).exit_code == 0
    assert store.list_pointers("pins/") == [f"pins/{hex_of(model)}"]
    # An empty registry must not make everything removable.
    empty = runner.invoke(cli, ["store", "gc"])
    assert isinstance(empty.exception, UsageError)
    assert "--no-registry" in str(empty.exception)


@pytest.mark.parametrize("command", ["verify", "fsck"])
def test_a_store_that_is_not_there_has_not_been_checked(home: Path, command: str) -> None:
    found = CliRunner().invoke(cli, ["store", command])
    assert isinstance(found.exception, NotFoundError)
    assert "is empty; give the address" in str(found.exception)


def test_an_empty_digest_does_not_mean_the_whole_store(home: Path) -> None:
    make(open_store(os.environ["ASSAY_STORE"]), 1)
    found = CliRunner().invoke(cli, ["store", "verify", ""])
    assert isinstance(found.exception, UsageError)


def test_the_command_fsck_prints_findings_and_fails_while_something_is_broken(home: Path) -> None:
    store = open_store(os.environ["ASSAY_STORE"])
    copy = open_store((home / "copy").as_uri())
    lost = copy.put_bytes(b"lost")
    manifest = Manifest("application/vnd.assay.dataset.v1", (FileEntry("f", lost),), {})
    store.put_bytes(manifest.to_bytes())
    runner = CliRunner()
    bad = runner.invoke(cli, ["store", "fsck", "--json"])
    assert isinstance(bad.exception, IntegrityError)
    report = json.JSONDecoder().raw_decode(bad.output)[0]
    assert report["broken"] == 1
    assert report["findings"][0]["what"] == lost.digest
    good = runner.invoke(cli, ["store", "fsck", "--from", copy.url])
    assert good.exit_code == 0, good.output
    assert "1 findings, 1 repaired" in good.output
    assert store.get_bytes(lost.digest, 9) == b"lost"
