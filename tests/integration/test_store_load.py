"""The store under load and faults: many writers, killed writers, a server that goes away.

`make reliability` runs this and writes the figures into docs/reliability.md.
"""

import datetime as dt
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.core.manifest import Descriptor
from assay.core.packing import SMALL_FILE_BYTES
from assay.core.retry import Policy
from assay.core.store import Store, open_store
from assay.core.store.client import Limits, client_for
from assay.core.store.minio import MinioStore
from assay.core.tree import get_manifest, get_tree, put_tree
from assay.errors import AssayError, StoreAccessError, StoreError, StoreUnavailableError, UsageError
from assay.releases.upkeep import fsck

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "reliability.md"
TYPE = "application/vnd.assay.dataset.v1"
PROCESSES, THREADS = 4, 16
TREE_FILES, CONTENTS = 40, 100
KILLS = 8
ABSENT = "sha256:" + "0" * 64


class Figures:
    """Rows for the document, by section."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[str, str, str]]] = {"load": [], "faults": [], "inputs": []}

    def add(self, section: str, *cells: str) -> None:
        first, second, third = cells
        self.rows[section].append((first, second, third))

    def write(self) -> None:
        text = DOCUMENT.read_text()
        for section, rows in self.rows.items():
            begin, end = f"<!-- measured:{section} -->", f"<!-- /measured:{section} -->"
            before, rest = text.split(begin)
            head, after = rest.split(end)
            # The table's head stays: the first two lines that have a bar.
            kept = [line for line in head.splitlines() if line.startswith("|")][:2]
            lines = [f"| {' | '.join(row)} |" for row in sorted(rows)]
            text = f"{before}{begin}\n" + "\n".join([*kept, *lines]) + f"\n{end}{after}"
        DOCUMENT.write_text(text)


@pytest.fixture(scope="module")
def figures(request: pytest.FixtureRequest, update_goldens: bool) -> Iterator[Figures]:
    found = Figures()
    failed = request.session.testsfailed
    yield found
    if update_goldens and request.session.testsfailed == failed and all(found.rows.values()):
        found.write()


@pytest.fixture
def kind_of_store(request: pytest.FixtureRequest) -> str:
    name = request.node.callspec.params["store_url"]
    return {"folder": "folder", "minio": "MinIO", "seaweedfs": "SeaweedFS"}[name]


WRITERS = """
import sys, threading
from pathlib import Path
from assay.core.store import open_store
from assay.core.tree import put_tree
url, folder, first, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
def write(number):
    tree = folder / str(number)
    digest = put_tree(open_store(url), tree, "application/vnd.assay.dataset.v1", {}).digest
    sys.stdout.write(f"{number} {digest}\\n")  # in one piece, as 16 threads write
threads = [threading.Thread(target=write, args=(n,)) for n in range(first, first + count)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_64_writers_of_overlapping_content_lose_nothing(
    store_url: str, kind_of_store: str, tmp_path: Path, figures: Figures
) -> None:
    chosen = random.Random(1)
    contents = [os.urandom(chosen.randint(1, 60_000)) for _ in range(CONTENTS)]
    for number in range(PROCESSES * THREADS):
        tree = tmp_path / "trees" / str(number)
        tree.mkdir(parents=True)
        for place, content in enumerate(chosen.sample(contents, TREE_FILES)):
            (tree / f"{place}.bin").write_bytes(content)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITERS, store_url, str(tmp_path / "trees"), str(n * THREADS),
             str(THREADS)],
            stdout=subprocess.PIPE, text=True,
        )
        for n in range(PROCESSES)
    ]  # fmt: skip
    digests: dict[str, str] = {}
    for process in processes:
        output, _ = process.communicate()
        assert process.returncode == 0
        digests.update(line.split() for line in output.splitlines())
    assert len(digests) == PROCESSES * THREADS
    store = open_store(store_url)
    for number, digest in digests.items():
        get_tree(store, get_manifest(store, digest), tmp_path / f"back-{number}")
        for path in (tmp_path / "trees" / number).iterdir():
            assert (tmp_path / f"back-{number}" / path.name).read_bytes() == path.read_bytes()
    checked = fsck(store, None)
    assert checked.findings == []
    assert checked.blobs == CONTENTS + PROCESSES * THREADS, "each content is stored once"
    files = PROCESSES * THREADS * TREE_FILES
    figures.add(
        "load",
        kind_of_store,
        f"{PROCESSES * THREADS} writers in {PROCESSES} processes, {files:,} files of "
        f"{CONTENTS} different contents",
        f"{checked.blobs} blobs, all trees read back byte by byte, 0 findings by fsck",
    )


ENDLESS = """
import os, sys
from pathlib import Path
from assay.core.store import open_store
from assay.core.tree import put_tree
store, folder, number = open_store(sys.argv[1]), Path(sys.argv[2]), 0
print("ready", flush=True)
while True:
    tree = folder / f"{os.getpid()}-{number}"
    tree.mkdir()
    for place in range(20):
        (tree / f"{place}.bin").write_bytes(os.urandom(2000))
    (tree / "large.bin").write_bytes(os.urandom(1 << 20) * 20)
    put_tree(store, tree, "application/vnd.assay.dataset.v1", {})
    number += 1
"""


def test_a_reader_never_sees_a_half_tree_while_writers_are_killed(
    store_url: str, kind_of_store: str, tmp_path: Path, figures: Figures
) -> None:
    chosen = random.Random(2)
    (tmp_path / "trees").mkdir()
    stopped = threading.Event()
    read: set[str] = set()
    wrong: list[str] = []

    def look(store: Store) -> None:
        for digest, size in list(store.iter_blobs()):
            if digest in read or size > 1 << 16:
                continue
            try:
                if not store.peek(digest, 15).startswith(b'{"annotations"'):
                    continue
                target = tmp_path / f"out-{digest[7:19]}"
                get_tree(store, get_manifest(store, digest), target)
                read.add(digest)
            except AssayError as error:
                wrong.append(str(error))

    def reader() -> None:
        store = open_store(store_url)
        while not stopped.is_set():
            look(store)

    thread = threading.Thread(target=reader)
    thread.start()
    try:
        for number in range(KILLS):
            process = subprocess.Popen(
                [sys.executable, "-c", ENDLESS, store_url, str(tmp_path / "trees")],
                stdout=subprocess.PIPE,
                text=True,
            )
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(chosen.uniform(0, 1.5))
            # The last one lives until a tree was seen, however slow the machine is.
            while number == KILLS - 1 and not (read or wrong):
                time.sleep(0.1)
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdout.close()
    finally:
        stopped.set()
        thread.join()
    store = open_store(store_url)
    look(store)
    assert wrong == []
    assert fsck(store, None).findings == []
    assert read, "a reader that saw nothing has shown nothing"
    figures.add(
        "faults",
        f"writer killed at a random point, {kind_of_store}",
        f"{KILLS} times",
        f"{len(read)} whole trees seen by a reader meanwhile, 0 half ones; 0 findings by fsck",
    )


@pytest.mark.minio
def test_a_writer_goes_on_after_the_server_was_killed_and_started_again(
    own_minio: Any, tmp_path: Path, figures: Figures
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(2000):
        # Too large for a pack, so that there are many requests to be cut off.
        (tree / f"{number}.bin").write_bytes(os.urandom(SMALL_FILE_BYTES + 1))
    (tree / "large.bin").write_bytes(os.urandom(1 << 20) * 100)
    patient = Limits(Policy(attempts=200, first_wait=0.1, longest_wait=1, seconds=120))
    store = MinioStore.from_url(f"s3://bucket/p?endpoint={own_minio.endpoint}", patient)
    client_for(f"s3://bucket?endpoint={own_minio.endpoint}").make_bucket("bucket")
    digests: list[str] = []
    thread = threading.Thread(target=lambda: digests.append(put_tree(store, tree, TYPE, {}).digest))
    thread.start()
    restarts = 0
    for _ in range(3):
        before = len(list(store.iter_blobs()))
        while thread.is_alive() and len(list(store.iter_blobs())) < before + 300:
            time.sleep(0.01)
        if not thread.is_alive():
            break
        own_minio.stop()
        time.sleep(0.5)
        own_minio.start()
        restarts += 1
    thread.join()
    assert restarts > 0
    (digest,) = digests
    get_tree(store, get_manifest(store, digest), tmp_path / "back")
    for path in tree.iterdir():
        assert (tmp_path / "back" / path.name).read_bytes() == path.read_bytes()
    assert fsck(store, None).findings == []
    figures.add(
        "faults",
        "MinIO killed and started again under a writer",
        f"{restarts} times",
        "the writer went on by itself; all 2,001 files read back byte by byte",
    )
    # And one that is gone for good is reported in one line.
    own_minio.stop()
    hasty = Limits(Policy(attempts=3, first_wait=0.01, longest_wait=1, seconds=5))
    missing = MinioStore.from_url(f"s3://bucket/p?endpoint={own_minio.endpoint}", hasty)
    with pytest.raises(StoreUnavailableError, match="check that it is up") as caught:
        missing.put_bytes(b"x")
    figures.add("inputs", "server gone", "StoreUnavailableError", one_line(caught.value))


FULL = """
import resource, sys
from pathlib import Path
from assay.errors import StoreError
from assay.core.manifest import Descriptor
from assay.core.store import open_store
store, folder = open_store(sys.argv[1]), Path(sys.argv[2])
there = store.put_bytes(b"before")
large = folder / "large"
large.write_bytes(b"x" * (3 << 20))
blob = store.put_file(large) if sys.argv[3] == "read" else None
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
try:
    if blob:
        store.get_file(blob, folder / "target")
    else:
        store.put_file(large)
except StoreError as error:
    print(error)
assert store.get_bytes(there.digest, 6) == b"before"
assert sorted(p.name for p in folder.iterdir() if p.name != "store") == ["large"]
assert not any((folder / "store" / "tmp").glob("*"))
"""


@pytest.mark.parametrize("direction", ["write", "read"])
def test_no_room_on_the_disk_is_one_line_and_leaves_nothing(
    folder_url: str, tmp_path: Path, figures: Figures, direction: str
) -> None:
    # A limit on the size of files: what a full disk does, without a disk to fill.
    done = subprocess.run(
        [sys.executable, "-c", FULL, folder_url, str(tmp_path), direction],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert "File too large" in line
    where = "store's folder" if direction == "write" else "work folder"
    assert ("make room" in line) or ("check the disk" in line)
    figures.add("inputs", f"no room in the {where}", "StoreError", shown(line, tmp_path))


def test_bad_ground_is_reported_in_one_line_with_the_remedy(
    minio_url: str, monkeypatch: pytest.MonkeyPatch, figures: Figures
) -> None:
    def refused(
        what: str, error: type[AssayError], remedy: str, work: Callable[[], object]
    ) -> None:
        with pytest.raises(error, match=remedy) as caught:
            work()
        figures.add("inputs", what, type(caught.value).__name__, one_line(caught.value))

    def put(url: str) -> Callable[[], object]:
        return lambda: open_store(url).put_bytes(b"x")

    missing = minio_url.replace("s3://assay-tests/", "s3://no-such-bucket/")
    refused("bucket missing, writing", StoreError, "create it", put(missing))
    for what, work in {
        "reading": lambda s: s.get_bytes(ABSENT, 1),
        "asking": lambda s: s.has(ABSENT),
        "listing": lambda s: list(s.iter_blobs()),
        "checking": lambda s: s.verify(Descriptor(ABSENT, 1)),
    }.items():
        refused(
            f"bucket missing, {what}",
            StoreError,
            "create it",
            lambda work=work: work(open_store(missing)),
        )
    with monkeypatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
        refused("wrong secret", StoreAccessError, "AWS_SECRET_ACCESS_KEY", put(minio_url))
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        refused("unknown user", StoreAccessError, "AWS_ACCESS_KEY_ID", put(minio_url))
    with monkeypatch.context() as patch:
        patch.delenv("AWS_ACCESS_KEY_ID")
        refused("no credentials", StoreAccessError, "AWS_ACCESS_KEY_ID", put(minio_url))
    with monkeypatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "two\nlines")
        refused("line break in the secret", UsageError, "line break", put(minio_url))
    for hours in (-2, 2):

        class Skewed(dt.datetime):
            shift = dt.timedelta(hours=hours)

            @classmethod
            def now(cls, tz: dt.tzinfo | None = None) -> "dt.datetime":  # type: ignore[override]
                return dt.datetime.now(tz) + cls.shift

        with monkeypatch.context() as patch:
            patch.setattr("assay.core.store.wire.datetime", Skewed)
            name = f"clock {abs(hours)} hours {'behind' if hours < 0 else 'ahead'}"
            refused(name, StoreError, "set the clock", put(minio_url))
            refused(
                f"{name}, asking",
                StoreError,
                "set the clock",
                lambda: open_store(minio_url).has(ABSENT),
            )
    for what, url, remedy in (
        ("credentials in the bucket's place", "s3://user:pw@bucket/p?endpoint=http://h", "come"),
        ("credentials in the endpoint", "s3://bucket/p?endpoint=http://user:pw@h", "remove them"),
        ("credentials as an option", "s3://bucket/p?endpoint=http://h&secret=pw", "come from"),
        ("no endpoint", "s3://bucket/p", "no endpoint"),
        ("no bucket", "s3://", "no bucket"),
        ("another scheme", "https://user:pw@host/bucket", "file:///folder"),
    ):
        refused(what, UsageError, remedy, put(url))


def one_line(error: AssayError) -> str:
    text = str(error)
    assert "\n" not in text
    assert "Traceback" not in text
    assert "pw@" not in text
    assert "Signature=" not in text
    return shown(text, Path("/nowhere"))


def shown(text: str, folder: Path) -> str:
    """Without what differs from run to run."""
    text = text.replace(str(folder), "/work").replace("|", "\\|")
    return re.sub(r"(assay-tests|no-such-bucket)/[0-9a-f]{32}", r"\1/prefix", text)
