"""One suite for every kind of store: a folder, MinIO, SeaweedFS."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from assay.core import plain_copies
from assay.core.digest import hex_of, of_bytes
from assay.core.maintenance.gc import MIN_GRACE_SECONDS, pin, pins
from assay.core.manifest import Descriptor, FileEntry, Manifest
from assay.core.store import Store, blob_key, open_store
from assay.core.store.folder import FolderStore
from assay.core.tree import get_manifest, get_tree, put_tree
from assay.errors import (
    IntegrityError,
    NotFoundError,
    StepError,
    StoreAccessError,
    StoreError,
    UsageError,
)
from assay.releases.upkeep import fsck, plan, remove

TYPE = "application/vnd.assay.dataset.v1"
ABSENT = "sha256:" + "0" * 64
HEX = "ab" * 32


def damage(store: Store, digest: str, data: bytes) -> None:
    """Put other bytes under a blob's name, past the store's own checks."""
    from assay.core.store.folder import FolderStore
    from assay.core.store.minio import MinioStore

    if isinstance(store, FolderStore):
        path = store._root / blob_key(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(data)
    else:
        assert isinstance(store, MinioStore)
        store._put(blob_key(digest), data, of_bytes(data)[7:], "text/plain", {})


def test_bytes_come_back_as_they_were(store: Store) -> None:
    blob = store.put_bytes(b"hello")
    assert blob.digest == of_bytes(b"hello")
    assert store.get_bytes(blob.digest, 5) == b"hello"
    assert store.has(blob.digest)
    assert not store.has(ABSENT)


def test_an_empty_blob_is_a_blob(store: Store, tmp_path: Path) -> None:
    blob = store.put_bytes(b"")
    store.get_file(blob, tmp_path / "empty")
    assert (tmp_path / "empty").read_bytes() == b""


@pytest.mark.parametrize("size", [1, 1 << 20, (1 << 20) + 1, 70 << 20])
def test_files_of_any_size_come_back(store: Store, tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(1024) * (size // 1024) + b"x" * (size % 1024))
    blob = store.put_file(path)
    store.get_file(blob, tmp_path / "back")
    assert of_bytes((tmp_path / "back").read_bytes()) == blob.digest == of_bytes(path.read_bytes())
    assert store.verify(blob) == size


def test_storing_twice_is_storing_once(store: Store) -> None:
    assert store.put_bytes(b"same") == store.put_bytes(b"same")
    assert [digest for digest, _ in store.iter_blobs()] == [of_bytes(b"same")]


def test_a_blob_that_was_not_asked_for_lately_is_made_young_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "large").write_bytes(os.urandom(20 << 20))
    blobs = [store.put_bytes(b"same"), store.put_file(tmp_path / "large")]
    before = [store.modified(blob.digest) for blob in blobs]
    monkeypatch.setattr("assay.core.store.base.REFRESH_SECONDS", -10)
    time.sleep(1.1)  # the resolution of HTTP's dates
    store.put_bytes(b"same")
    store.put_file(tmp_path / "large")
    after = [store.modified(blob.digest) for blob in blobs]
    assert all(new > old for new, old in zip(after, before, strict=True) if new and old)
    assert None not in after


def test_what_is_not_there_is_not_found(store: Store, tmp_path: Path) -> None:
    for ask in (
        lambda: store.get_bytes(ABSENT, 10),
        lambda: store.get_file(Descriptor(ABSENT, 1), tmp_path / "x"),
        lambda: store.verify(ABSENT),
    ):
        with pytest.raises(NotFoundError, match="ASSAY_STORE"):
            ask()
    assert not list(tmp_path.glob("x*"))


def test_altered_bytes_are_refused_and_leave_nothing(store: Store, tmp_path: Path) -> None:
    blob = store.put_bytes(b"right")
    damage(store, blob.digest, b"wrong")
    folder = tmp_path / "target"
    folder.mkdir()
    with pytest.raises(IntegrityError) as caught:
        store.get_file(blob, folder / "file")
    message = str(caught.value)
    assert blob.digest in message
    assert of_bytes(b"wrong") in message
    assert store.location(blob.digest) in message
    assert not list(folder.iterdir())
    with pytest.raises(IntegrityError):
        store.get_bytes(blob.digest, 10)
    with pytest.raises(IntegrityError):
        store.verify(blob)


@pytest.mark.parametrize("other", [b"shor", b"longer than it should be"])
def test_a_blob_of_wrong_size_is_mended_by_storing_it_again(store: Store, other: bytes) -> None:
    damage(store, of_bytes(b"right"), other)
    assert store.missing([Descriptor(of_bytes(b"right"), 5)]) == [of_bytes(b"right")]
    store.put_bytes(b"right")
    assert store.get_bytes(of_bytes(b"right"), 10) == b"right"


def test_a_size_that_lies_is_refused_before_a_byte_is_written(store: Store, tmp_path: Path) -> None:
    blob = store.put_bytes(b"12345")
    liar = Manifest(TYPE, (FileEntry("f", Descriptor(blob.digest, 4)),), {})
    with pytest.raises(IntegrityError, match="5 bytes, expected 4"):
        get_tree(store, liar, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".assay-*"))


def test_a_read_is_bounded(store: Store) -> None:
    blob = store.put_bytes(b"x" * 100)
    with pytest.raises(IntegrityError, match="limit here is 99"):
        store.get_bytes(blob.digest, 99)


def test_missing_and_cut_blobs_are_reported_apart_from_good_ones(store: Store) -> None:
    good = store.put_bytes(b"good")
    assert store.missing([good, Descriptor(ABSENT, 1), Descriptor(good.digest, 4)]) == [ABSENT]


def test_a_pointer_is_replaced_and_listed(store: Store) -> None:
    name = f"cache/{HEX}"
    assert store.read_pointer(name) is None
    store.write_pointer(name, b"one")
    store.write_pointer(name, b"two")
    assert store.read_pointer(name) == b"two"
    store.write_pointer(f"referrers/{HEX}/{'cd' * 32}", b"x")
    assert store.list_pointers("cache/") == [name]
    assert store.list_pointers(f"referrers/{HEX}/") == [f"referrers/{HEX}/{'cd' * 32}"]
    assert store.list_pointers(f"referrers/{'00' * 32}/") == []


@pytest.mark.parametrize("name", ["../x", "cache/../x", "other/" + HEX, "cache/short"])
def test_a_pointer_cannot_leave_its_place(store: Store, name: str) -> None:
    with pytest.raises(StoreError, match="not the name of a pointer"):
        store.write_pointer(name, b"x")


def make_tree(folder: Path, files: int = 30) -> Path:
    for number in range(files):
        path = folder / f"d{number % 3}" / f"f{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content {number}")
    return folder


def test_a_tree_comes_back_read_only(store: Store, tmp_path: Path) -> None:
    manifest = put_tree(store, make_tree(tmp_path / "in"), TYPE, {"note": "x"})
    again = get_manifest(store, manifest.digest)
    assert again == manifest
    get_tree(store, again, tmp_path / "out")
    found = sorted(
        p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.txt")
    )
    assert found == [entry.path for entry in manifest.files]
    assert all(p.stat().st_mode & 0o222 == 0 for p in (tmp_path / "out").rglob("*"))


def test_a_tree_with_a_damaged_file_is_not_laid_out(store: Store, tmp_path: Path) -> None:
    manifest = put_tree(store, make_tree(tmp_path / "in"), TYPE, {})
    damage(store, manifest.files[7].blob.digest, b"content X")
    with pytest.raises(IntegrityError):
        get_tree(store, manifest, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "store") == ["in"]


def test_a_view_is_plain_files_and_is_checked(store: Store, tmp_path: Path) -> None:
    manifest = put_tree(store, make_tree(tmp_path / "in", 5), TYPE, {})
    uri = plain_copies.make(store, manifest)
    assert uri.endswith(f"views/{manifest.digest[7:]}")
    assert plain_copies.make(store, manifest) == uri
    plain_copies.verify(store, manifest)
    other = put_tree(store, make_tree(tmp_path / "other", 2), TYPE, {})
    plain_copies.verify(store, other)  # has none


def test_a_tree_of_many_small_files_travels_in_packs(store: Store, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "in", 1200)
    manifest = put_tree(store, tree, TYPE, {})
    assert len(list(store.iter_blobs())) < 30
    again = get_manifest(store, manifest.digest)
    get_tree(store, again, tmp_path / "out")
    texts = {p.relative_to(tree): p.read_text() for p in tree.rglob("*.txt")}
    out = tmp_path / "out"
    assert {p.relative_to(out): p.read_text() for p in out.rglob("*.txt")} == texts
    assert all(p.stat().st_mode & 0o222 == 0 for p in out.rglob("*"))
    damage(store, again.blobs[0].digest, b"other bytes")
    with pytest.raises(IntegrityError):
        get_tree(store, again, tmp_path / "damaged")
    assert {p.name for p in tmp_path.iterdir()} - {"store"} == {"in", "out"}
    # Storing it again mends it, because the pack's size is wrong.
    assert put_tree(store, tree, TYPE, {}) == manifest
    get_tree(store, again, tmp_path / "mended")


def test_a_view_of_packed_files_is_plain_files(store: Store, tmp_path: Path) -> None:
    manifest = put_tree(store, make_tree(tmp_path / "in", 300), TYPE, {})
    plain_copies.make(store, manifest)
    plain_copies.verify(store, manifest)
    root = f"views/{manifest.digest[7:]}/"
    store._replace(root + manifest.files[7].path, b"altered")
    with pytest.raises(IntegrityError, match="differs from"):
        plain_copies.verify(store, manifest)
    plain_copies.make(store, manifest)
    plain_copies.verify(store, manifest)


def test_writers_may_race(store_url: str, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "in")
    found: list[str] = []

    def write() -> None:
        found.append(put_tree(open_store(store_url), tree, TYPE, {}).digest)

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1
    get_tree(open_store(store_url), get_manifest(open_store(store_url), found[0]), tmp_path / "out")


WRITER = """
import sys
from pathlib import Path
from assay.core.store import open_store
from assay.core.tree import put_tree
store = open_store(sys.argv[1])
print("ready", flush=True)
print(put_tree(store, Path(sys.argv[2]), "application/vnd.assay.dataset.v1", {}).digest, flush=True)
"""


@pytest.mark.parametrize("count", [200, 2000], ids=["alone", "packed"])
@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1])
def test_a_killed_writer_leaves_no_half_tree(
    store_url: str, tmp_path: Path, delay: float, count: int
) -> None:
    tree = make_tree(tmp_path / "in", count)
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, store_url, str(tree)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    store = open_store(store_url)
    # Whatever manifest is there names only what is there.
    for digest, size in store.iter_blobs():
        assert store.verify(digest) == size
        data = store.get_bytes(digest, 1 << 20)
        if data.startswith(b'{"annotations"'):
            get_tree(store, get_manifest(store, digest), tmp_path / f"out-{digest[7:15]}")
    # And the next writer finishes the work.
    manifest = put_tree(store, tree, TYPE, {})
    get_tree(store, manifest, tmp_path / "again")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "not the URL of a store"),
        ("/some/folder", "file:///folder"),
        ("https://host/bucket", "s3://bucket"),
        ("s3://", "no bucket"),
        ("s3://bucket", "no endpoint"),
        ("s3://user:secret@bucket/x?endpoint=http://h:1", "credentials come from"),
        ("s3://bucket/x?endpoint=http://h:1&secret_key=s", "credentials come from"),
    ],
)
def test_a_url_that_names_no_store_is_refused_with_the_remedy(url: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        open_store(url)
    assert "user:secret" not in str(caught.value)


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    store = open_store((tmp_path / "store").as_uri())

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="make room and run again"):
        store.put_bytes(b"x")
    assert not list((tmp_path / "store" / "tmp").iterdir())
    assert not list(store.iter_blobs())


def test_a_folder_that_cannot_be_read_is_an_error_and_not_an_empty_artifact(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = make_tree(tmp_path / "in")
    scandir = os.scandir

    def refusing(path: str) -> object:
        # Permissions do not stop root, as which tests may run.
        if str(path).endswith("d1"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(StepError, match=r"d1.*Permission denied"):
        put_tree(store, tree, TYPE, {})
    assert not list(store.iter_blobs())


def test_a_store_folder_that_cannot_be_read_is_no_empty_store(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_store.put_bytes(b"there")

    def refusing(path: object) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(StoreAccessError, match="cannot list blobs"):
        list(folder_store.iter_blobs())


@pytest.mark.parametrize("megabytes", [2, 40], ids=["one request", "parts"])
@pytest.mark.parametrize("how", ["other bytes", "other bytes, same time", "shorter"])
def test_a_file_that_changes_between_hashing_and_sending_is_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, megabytes: int, how: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(megabytes << 20))
    before = path.stat()
    stat = store._stat
    create = getattr(store, "_create", None)

    def change() -> None:
        with path.open("r+b") as stream:
            if how == "shorter":
                stream.truncate(1000)
                return
            stream.seek(-1, os.SEEK_END)
            last = stream.read(1)
            stream.seek(-1, os.SEEK_END)
            stream.write(bytes([last[0] ^ 1]))
        if how == "other bytes, same time":
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def changing_stat(key: str) -> object:
        change()
        monkeypatch.setattr(store, "_stat", stat)
        return stat(key)

    def changing_create(put: object) -> object:
        change()
        monkeypatch.setattr(store, "_create", create)
        return create(put)  # type: ignore[misc]

    monkeypatch.setattr(store, "_stat", changing_stat)
    if create is not None and megabytes == 2:
        monkeypatch.setattr(store, "_create", changing_create)
    with pytest.raises(IntegrityError, match="changed while it was stored"):
        store.put_file(path)
    assert not list(store.iter_blobs())


def test_a_file_that_is_not_there_is_one_line(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot read .*No such file"):
        store.put_file(tmp_path / "absent")


@pytest.mark.parametrize(
    "work",
    [
        lambda store, blob, _path: store.has(blob.digest),
        lambda store, blob, _path: store.missing([blob]),
        lambda store, _blob, _path: store.put_bytes(b"x"),
        lambda store, blob, _path: store.get_bytes(blob.digest, 9),
        lambda store, blob, path: store.get_file(blob, path),
        lambda store, blob, _path: store.verify(blob),
        lambda store, _blob, _path: list(store.iter_blobs()),
        lambda store, _blob, _path: store.list_pointers("cache/"),
        lambda store, _blob, _path: store.read_pointer(f"cache/{HEX}"),
        lambda store, _blob, _path: store.write_pointer(f"cache/{HEX}", b"x"),
        lambda store, blob, _path: plain_copies.make(
            store, Manifest(TYPE, (FileEntry("f", blob),), {})
        ),
        lambda store, blob, _path: plain_copies.verify(
            store, Manifest(TYPE, (FileEntry("f", blob),), {})
        ),
        lambda store, blob, _path: store.remove_blob(blob.digest),
    ],
)
@pytest.mark.parametrize("server", ["minio", "seaweedfs"])
def test_a_missing_bucket_is_reported_by_every_method(
    request: pytest.FixtureRequest,
    server: str,
    work: Callable[[Store, Descriptor, Path], object],
    tmp_path: Path,
) -> None:
    url = request.getfixturevalue(f"{server}_url")
    store = open_store(url.replace("s3://assay-tests/", "s3://no-such-bucket/"))
    with pytest.raises(StoreError, match=r"has no such bucket .*create it") as caught:
        work(store, Descriptor(ABSENT, 1), tmp_path / "file")
    assert not isinstance(caught.value, NotFoundError)


@pytest.mark.parametrize("where", ["url", "environment"])
def test_credentials_in_the_endpoint_are_refused_and_not_repeated(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = "http://user:hunter2@host:9000"
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    url = "s3://bucket/x" + (f"?endpoint={endpoint}" if where == "url" else "")
    with pytest.raises(UsageError, match="credentials") as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(UsageError) as caught:
        open_store("https://user:hunter2@host/bucket")
    assert "hunter2" not in str(caught.value)


def test_the_error_of_a_damaged_blob_names_a_command_that_mends_it(
    store: Store, tmp_path: Path
) -> None:
    blob = store.put_bytes(b"right")
    damage(store, blob.digest, b"wrong")
    store.put_bytes(b"right")  # the right size is believed: looking would cost a whole read
    with pytest.raises(IntegrityError, match="assay store fsck --from") as caught:
        store.get_bytes(blob.digest, 10)
    found = re.search(r"\((rm -f|mc rm) (\S+)\)", str(caught.value))
    assert found is not None
    if found[1] == "rm -f":
        subprocess.run([*found[1].split(), found[2]], check=True)
    else:
        assert found[2] == f"ALIAS/{store.location(blob.digest).removeprefix('s3://')}"
        store.remove_blob(blob.digest)
    store.put_bytes(b"right")
    assert store.get_bytes(blob.digest, 10) == b"right"


MEMORY = """
import resource, sys
from pathlib import Path
from assay.core.store import open_store
from assay.core.tree import get_manifest, get_tree, put_tree
store = open_store(sys.argv[1])
store.put_bytes(b"connected")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
manifest = put_tree(store, Path(sys.argv[2]), "application/vnd.assay.dataset.v1", {})
get_tree(store, get_manifest(store, manifest.digest), Path(sys.argv[3]))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


@pytest.mark.slow
def test_many_large_files_at_a_time_stay_in_bounded_memory(store_url: str, tmp_path: Path) -> None:
    tree = tmp_path / "in"
    tree.mkdir()
    block = os.urandom(1 << 20)
    for number in range(16):
        with (tree / f"{number}").open("wb") as stream:
            stream.write(bytes([number]))
            for _ in range(48):
                stream.write(block)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, store_url, str(tree), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 150, "MB more than before the first file"


def in_place_of(store: FolderStore, digest: str) -> Path:
    path = store._root / blob_key(digest)
    path.unlink()
    return path


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        # A socket's name has 107 bytes, so it is bound where its name is short.
        before = Path.cwd()
        os.chdir(path.parent)
        try:
            server.bind(path.name)
        finally:
            os.chdir(before)


def make_link(path: Path) -> None:
    secret = path.parents[3] / "outside"
    secret.write_bytes(b"rows")
    path.symlink_to(secret)


SPECIAL = {
    "named pipe": os.mkfifo,
    "socket": make_socket,
    "symbolic link": make_link,
    "device": lambda path: os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5)),  # /dev/zero
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_no_file_is_refused_without_waiting_and_healed_by_storing_again(
    folder_store: FolderStore, tmp_path: Path, kind: str
) -> None:
    blob = folder_store.put_bytes(b"rows")
    try:
        SPECIAL[kind](in_place_of(folder_store, blob.digest))
    except PermissionError:
        pytest.skip("this user may not make devices")
    for work in (
        lambda: folder_store.get_bytes(blob.digest, 10),
        lambda: folder_store.get_blob(blob),
        lambda: folder_store.get_file(blob, tmp_path / "target"),
        lambda: folder_store.verify(blob),
        lambda: folder_store.peek(blob.digest, 1),
    ):
        with pytest.raises(IntegrityError, match=f"it is a {kind} and not a file.*rm -f"):
            work()
    assert not folder_store.has(blob.digest)
    found = fsck(folder_store, None)
    assert [kind in finding.problem for finding in found.broken] == [True]
    assert folder_store.put_bytes(b"rows") == blob
    assert folder_store.get_bytes(blob.digest, 10) == b"rows"
    assert fsck(folder_store, None).findings == []


@pytest.mark.timeout(60)
def test_pipes_in_the_place_of_pointers_and_folders_stop_nothing_for_ever(
    folder_store: FolderStore, tmp_path: Path
) -> None:
    root = folder_store._root
    key = "ab" * 32
    (root / "cache").mkdir(parents=True)
    os.mkfifo(root / "cache" / key)
    with pytest.raises(IntegrityError, match="named pipe"):
        folder_store.read_pointer(f"cache/{key}")
    assert folder_store.list_pointers("cache/") == []
    folder_store.write_pointer(f"cache/{key}", b"{}")
    assert folder_store.read_pointer(f"cache/{key}") == b"{}"
    os.mkfifo(tmp_path / "source")
    with pytest.raises(StoreError, match="named pipe"):
        folder_store.put_file(tmp_path / "source")
    os.mkfifo(root / "pins")
    with pytest.raises(StoreError):
        folder_store.write_pointer(f"pins/{key}", b"why")
    with pytest.raises(StoreError, match="pins"):
        fsck(folder_store, None)


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/p?endpoint=https://[::1",
        "s3://[::1/p?endpoint=http://host",
        "s3://bucket/p?endpoint=http://host:port",
        "s3://bucket/p?endpoint=http://host:99999",
        "s3://bucket/p?endpoint=http://-host-_:1",
        "s3://bucket/p?endpoint=http://a b",
        "s3://bucket/p?endpoint=http://%zz",
        "s3://B_/p?endpoint=http://host:1",
        "file://[::1",
        "http://[",
    ],
)
def test_an_odd_url_is_one_line(url: str) -> None:
    from assay.core.retry import STORE
    from assay.core.store.client import Limits
    from assay.core.store.minio import MinioStore

    def use() -> None:
        hasty = Limits(replace(STORE, attempts=1, seconds=1), connect_timeout=1)
        store = MinioStore.from_url(url, hasty) if url.startswith("s3:") else open_store(url)
        store.has(ABSENT)

    with pytest.raises((UsageError, StoreError)) as caught:
        use()
    assert "\n" not in str(caught.value)


def test_links_in_the_place_of_plain_copies_lead_nobody_out_of_the_store(
    folder_store: FolderStore, tmp_path: Path
) -> None:
    """Whoever can write in the store must not choose which files gc removes and a run writes."""
    outside = tmp_path / "home"
    (outside / "inner").mkdir(parents=True)
    (outside / "inner" / "key").write_text("private")
    (outside / "MLmodel").write_text("mine")
    source = tmp_path / "source"
    (source / "data").mkdir(parents=True)
    (source / "MLmodel").write_text("theirs")
    (source / "data" / "authorized_keys").write_text("theirs")
    manifest = put_tree(folder_store, source, "application/vnd.assay.model.v1", {})
    views = folder_store._root / "views"
    copy = views / hex_of(manifest.digest)
    views.mkdir()
    for link in (copy, views / ("ab" * 32)):
        link.symlink_to(outside)
    for work in (plain_copies.make, plain_copies.verify):
        with pytest.raises(IntegrityError, match=r"it is a symbolic link and not a folder.*rm -f"):
            work(folder_store, manifest)
    found = plan(folder_store, {}, now=time.time(), grace=MIN_GRACE_SECONDS)
    assert found.plain_copies == [f"sha256:{'ab' * 32}"]
    remove(folder_store, found, dict)
    plain_copies.remove(folder_store, manifest.digest)
    assert list(views.iterdir()) == []
    copy.mkdir()
    (copy / "data").symlink_to(outside / "inner")
    with pytest.raises(IntegrityError, match="symbolic link and not a folder"):
        plain_copies.make(folder_store, manifest)
    plain_copies.remove(folder_store, manifest.digest)
    assert not (copy / "data").is_symlink()
    plain_copies.make(folder_store, manifest)
    assert plain_copies.verify(folder_store, manifest) == []
    files = {
        str(path.relative_to(outside)): path.read_text()
        for path in outside.rglob("*")
        if path.is_file()
    }
    assert files == {"inner/key": "private", "MLmodel": "mine"}


def test_a_link_in_the_place_of_the_pins_is_not_a_store_without_pins(
    folder_store: FolderStore, tmp_path: Path
) -> None:
    folder_store._root.mkdir()
    (folder_store._root / "pins").symlink_to(tmp_path)
    with pytest.raises(IntegrityError, match="pins: it is a symbolic link"):
        folder_store.list_pointers("pins/")


ODD_NAMES = ["MLmodel", "a b", "a+b", "a%20b", "a%2Bb", "ä€", "a&b<c>", "?x#y", "in here/x y", "%"]


@pytest.mark.parametrize("place", ["", "of me+you/50% "])
def test_names_with_odd_characters_are_listed_as_they_are(
    store_url: str, tmp_path: Path, place: str
) -> None:
    """A pin under a prefix with a space was not seen, so what it pins would have been removed."""
    base, query, endpoint = store_url.partition("?")
    store = open_store(f"{base}/{place}{query}{endpoint}" if query else store_url)
    for name in ODD_NAMES:
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    manifest = put_tree(store, tmp_path / "source", "application/vnd.assay.model.v1", {})
    pin(store, manifest.digest, "why")
    assert list(pins(store)) == [manifest.digest]
    plain_copies.make(store, manifest)
    assert plain_copies.verify(store, manifest) == []
    assert plain_copies.listed(store) == {manifest.digest}
    plain_copies.remove(store, manifest.digest)
    assert plain_copies.listed(store) == set()


@pytest.mark.parametrize("server", [pytest.param("minio", marks=pytest.mark.minio), "seaweedfs"])
def test_what_is_too_large_for_one_copy_is_copied_in_parts(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    from assay.core.store.minio import MinioStore

    # S3 takes parts of 5 MiB and more, but for the last one.
    monkeypatch.setattr(MinioStore, "max_copy_bytes", 5 << 20)
    store = open_store(request.getfixturevalue(f"{server}_url"))
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "large.bin").write_bytes(os.urandom((12 << 20) + 1))
    manifest = put_tree(store, tmp_path / "tree", TYPE, {})
    plain_copies.make(store, manifest)
    assert plain_copies.verify(store, manifest) == []
    assert [entry.size for entry in store.list_files("views/")] == [(12 << 20) + 1]


@pytest.mark.parametrize("name", ["blobs/sha256/ab", "cache/x", "../x", "/etc/passwd", ""])
def test_files_lie_in_their_own_folders_only(store: Store, name: str) -> None:
    for work in (store.remove_file, store.uri, store.list_files):
        with pytest.raises(StoreError, match="is not the name of a file"):
            work(name)


@pytest.mark.parametrize(
    ("host", "region", "bucket", "expected"),
    [
        ("127.0.0.1:9000", "us-east-1", "b", ("127.0.0.1:9000", "/b/")),
        ("minio.example.org", "us-east-1", "b.c", ("minio.example.org", "/b.c/")),
        ("s3.amazonaws.com", "eu-west-1", "b", ("b.s3.eu-west-1.amazonaws.com", "/")),
        ("s3.eu-west-1.amazonaws.com", "eu-west-1", "b.c", ("s3.eu-west-1.amazonaws.com", "/b.c/")),
        ("s3.cn-north-1.amazonaws.com.cn", "cn-north-1", "b",
         ("b.s3.cn-north-1.amazonaws.com.cn", "/")),
        ("amazonaws.com.example.org", "x", "b", ("amazonaws.com.example.org", "/b/")),
    ],
)  # fmt: skip
def test_where_a_bucket_lies(
    host: str, region: str, bucket: str, expected: tuple[str, str]
) -> None:
    from assay.core.store.wire import Endpoint

    assert Endpoint("https", host, region, None).of_bucket(bucket) == expected
