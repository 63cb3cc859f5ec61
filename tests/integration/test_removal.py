"""A garbage collection and the runs beside it: whatever the order, no run loses what it was given.

Both work on a folder store through objects of their own, whose every access waits for its turn. So
an order of turns, which Hypothesis draws, is an interleaving that can be repeated.
"""

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.cli import cli
from assay.core import plain_copies
from assay.core.digest import Readable, hex_of
from assay.core.execution import Context, Execution, execute
from assay.core.maintenance.gc import MIN_GRACE_SECONDS, pin
from assay.core.manifest import Descriptor
from assay.core.step import Dataset, Model, Out, step
from assay.core.store import Store, blob_key, open_store, removal
from assay.core.store.base import Entry
from assay.core.store.folder import FolderStore
from assay.core.tree import claim, get_manifest, get_tree, put_tree
from assay.errors import AssayError, NotFoundError, StoreError, UsageError
from assay.releases.upkeep import fsck, plan, remove

DAY = 24 * 3600.0
TYPE = "application/vnd.assay.dataset.v1"


@step
def gather(*, number: int, dataset: Out[Dataset]) -> None:
    (dataset.path / "rows.txt").write_text(f"rows {number}")


@step
def learn(*, data: Dataset, model: Out[Model]) -> None:
    (model.path / "MLmodel").write_text((data.path / "rows.txt").read_text())
    (model.path / "extra.txt").write_text("the same for all")


def age(root: Path, days: float) -> None:
    then = time.time() - days * DAY
    for path in root.rglob("*"):
        os.utime(path, (then, then))


class Turns:
    """Lets one actor at a time do one access to the store, in a given order."""

    def __init__(self, order: list[int], actors: int) -> None:
        self._order = itertools.chain(order, itertools.cycle(range(actors)))
        self._waiting: dict[int, threading.Event] = {}
        self._left = actors
        self._lock = threading.Lock()
        self.log: list[str] = []

    def wait(self, actor: int, what: str) -> None:
        event = threading.Event()
        with self._lock:
            self._waiting[actor] = event
            self._next()
        assert event.wait(60), "the order of turns stands still"
        self.log.append(f"{actor} {what}")

    def leave(self) -> None:
        with self._lock:
            self._left -= 1
            self._next()

    def _next(self) -> None:
        # Only when all wait, so that the order says all.
        if self._waiting and len(self._waiting) == self._left:
            actor = next(actor for actor in self._order if actor in self._waiting)
            self._waiting.pop(actor).set()


class InTurn(FolderStore):
    """A folder store each of whose accesses waits for its turn."""

    def __init__(self, root: Path, turns: Turns, actor: int) -> None:
        super().__init__(root)
        self._ahead = 0.0
        self._turns, self._actor = turns, actor

    def _wait(self, what: str) -> None:
        self._turns.wait(self._actor, what)

    def _open(self, key: str) -> AbstractContextManager[tuple[int, Readable]]:
        self._wait(f"open {key}")
        return super()._open(key)

    def _stat(self, key: str) -> Entry | None:
        self._wait(f"look at {key}")
        return super()._stat(key)

    def _put_bytes(self, blob: Descriptor, data: bytes) -> None:
        # Looking and writing are two accesses.
        if not self._is_current(blob):
            self._wait(f"write {blob_key(blob.digest)}")
            with self._writing(blob_key(blob.digest)) as out:
                out.write(data)

    def _replace(self, key: str, data: bytes, media_type: str = "") -> None:
        self._wait(f"replace {key}")
        super()._replace(key, data, media_type)

    def _list(self, prefix: str) -> Iterator[Entry]:
        self._wait(f"list {prefix}")
        return iter(list(super()._list(prefix)))

    def _remove(self, key: str) -> None:
        self._wait(f"remove {key}")
        super()._remove(key)


def side_by_side(
    root: Path, order: list[int], *works: Callable[[Store], object]
) -> tuple[list[object], Turns]:
    """Do each work on a store object of its own, their accesses in the given order."""
    turns = Turns(order, len(works))
    results: list[object] = [None] * len(works)

    def act(actor: int, work: Callable[[Store], object]) -> None:
        try:
            results[actor] = work(InTurn(root, turns, actor))
        except AssayError as error:
            results[actor] = error
        finally:
            turns.leave()

    threads = [threading.Thread(target=act, args=(actor, work)) for actor, work in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
        assert not thread.is_alive(), turns.log[-20:]
    return results, turns


def old_store(folder: Path) -> tuple[Path, str, str]:
    """A store in which nothing was used for a month: its root, a dataset and its model."""
    root = folder / "store"
    context = Context(FolderStore(root))
    data = execute(gather, {"number": 1}, context).outputs["dataset"]
    model = execute(learn, {"data": data}, context).outputs["model"]
    age(root, 30)
    return root, data, model


def collect(store: Store) -> int:
    found = plan(store, {}, now=time.time(), grace=MIN_GRACE_SECONDS)
    return remove(store, found, dict)


def run(store: Store) -> tuple[Execution, Execution]:
    """Both steps, as a pipeline does them: the second is given what the first answered."""
    context = Context(store)
    first = execute(gather, {"number": 1}, context)
    return first, execute(learn, {"data": first.outputs["dataset"]}, context)


BURSTS = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 30)), min_size=2, max_size=12)
ORDERS = BURSTS.map(lambda bursts: [actor for actor, count in bursts for _ in range(count)])
"""Actors by turn. In bursts: an actor is overtaken in the middle of what it does, by all of what
another does."""


@settings(max_examples=60, deadline=None)
@given(order=ORDERS)
def test_a_run_never_loses_what_the_cache_answered_while_gc_removes(order: list[int]) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("assay.core.parallel.WORKERS", 1)
        patch.setattr(removal, "POLL_SECONDS", 0.0)
        root, data, model = old_store(Path(folder))
        (removed, done), turns = side_by_side(root, order, collect, run)
        assert isinstance(removed, int), removed
        assert isinstance(done, tuple), done
        store = FolderStore(root)
        assert [one.outputs for one in done] == [{"dataset": data}, {"model": model}]
        for digest in (data, model):
            out = Path(folder) / hex_of(digest)
            get_tree(store, get_manifest(store, digest), out)
        assert fsck(store, None).findings == [], turns.log
        # And the next collection keeps it all.
        before = sorted(store.iter_blobs())
        collect(store)
        assert {digest for digest, _ in before if digest in {data, model}} == {data, model}
        assert store.has(data)
        assert store.has(model)
        assert store.list_pointers(removal.ANNOUNCED) == []


@settings(max_examples=30, deadline=None)
@given(order=ORDERS)
def test_a_writer_of_the_same_bytes_loses_nothing_to_gc(order: list[int]) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("assay.core.parallel.WORKERS", 1)
        patch.setattr(removal, "POLL_SECONDS", 0.0)
        root, tree = Path(folder) / "store", Path(folder) / "tree"
        tree.mkdir()
        for name in ("a", "b"):
            (tree / name).write_text(f"bytes of {name}")
        put_tree(FolderStore(root), tree, TYPE, {})
        age(root, 30)
        (_, manifest), turns = side_by_side(
            root, order, collect, lambda store: put_tree(store, tree, TYPE, {})
        )
        store = FolderStore(root)
        assert store.has(manifest.digest), turns.log  # type: ignore[attr-defined]
        assert store.missing(manifest.blobs) == [], turns.log  # type: ignore[attr-defined]


@settings(max_examples=30, deadline=None)
@given(order=ORDERS)
def test_two_collections_and_a_run_at_a_time_lose_nothing(order: list[int]) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("assay.core.parallel.WORKERS", 1)
        patch.setattr(removal, "POLL_SECONDS", 0.0)
        root, data, model = old_store(Path(folder))
        thirds = [number if place % 3 else 2 for place, number in enumerate(order)]
        results, turns = side_by_side(root, thirds, collect, collect, run)
        # Either collection may give up, because the other has removed what it was to follow.
        assert isinstance(results[2], tuple), results
        store = FolderStore(root)
        assert store.has(data)
        assert store.has(model)
        assert fsck(store, None).findings == [], turns.log


@settings(max_examples=30, deadline=None)
@given(order=ORDERS)
def test_a_pin_is_kept_or_refused_and_never_left_on_what_is_gone(order: list[int]) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("assay.core.parallel.WORKERS", 1)
        patch.setattr(removal, "POLL_SECONDS", 0.0)
        root, data, _ = old_store(Path(folder))
        (_, pinned), turns = side_by_side(
            root, order, collect, lambda store: pin(store, data, "audit")
        )
        store = FolderStore(root)
        if pinned is None:
            assert store.missing(get_manifest(store, data).blobs) == [], turns.log
        else:
            assert isinstance(pinned, NotFoundError)
            assert store.list_pointers("pins/") == []
        collect(store)


def test_an_answer_given_between_plan_and_removal_stays(tmp_path: Path) -> None:
    root, data, model = old_store(tmp_path)
    store = FolderStore(root)
    found = plan(store, {}, now=store.now(), grace=MIN_GRACE_SECONDS)
    assert found.manifests
    assert run(FolderStore(root))[1].cached
    remove(store, found, dict)
    assert store.missing(get_manifest(store, model).blobs) == []
    assert store.has(data)
    assert fsck(store, None).findings == []


def test_what_is_released_between_plan_and_removal_stays(tmp_path: Path) -> None:
    root, _, model = old_store(tmp_path)
    store = FolderStore(root)
    found = plan(store, {}, now=store.now(), grace=MIN_GRACE_SECONDS)
    remove(store, found, lambda: {model: "registered meanwhile"})
    assert store.missing(get_manifest(store, model).blobs) == []
    assert fsck(store, None).findings == []


def test_an_old_digest_given_to_a_run_is_claimed_before_it_is_read(tmp_path: Path) -> None:
    root, data, _ = old_store(tmp_path)
    store = FolderStore(root)
    found = plan(store, {}, now=store.now(), grace=MIN_GRACE_SECONDS)
    claim(store, [get_manifest(store, data)])
    remove(store, found, dict)
    assert store.missing(get_manifest(store, data).blobs) == []


def test_a_digest_that_gc_removes_right_now_is_refused_with_the_remedy(tmp_path: Path) -> None:
    root, data, _ = old_store(tmp_path)
    store = FolderStore(root)
    manifest = get_manifest(store, data)
    collect(store)
    with pytest.raises(NotFoundError, match=r"garbage collection.*assay store pin"):
        claim(store, [manifest])
    assert not store.has(data), "a claim must not bring back half of an artifact"


COLLECT = """
import sys, time
import assay.core.parallel
assay.core.parallel.WORKERS = 1
from assay.core.maintenance import gc
from assay.releases import upkeep
from assay.core.store import open_store
store = open_store(sys.argv[1])
kind = type(store)
taken, left = kind._remove, [int(sys.argv[2])]
def slowly(self, key):
    if not left[0]:
        print("here", flush=True)
        time.sleep(600)
    left[0] -= 1
    taken(self, key)
kind._remove = slowly
found = upkeep.plan(store, {}, now=store.now(), grace=gc.MIN_GRACE_SECONDS)
upkeep.remove(store, found, dict)
"""


@pytest.mark.parametrize("point", [0, 1, 4, 7, 10])
def test_a_killed_collection_leaves_nothing_half_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: int
) -> None:
    root, data, model = old_store(tmp_path)
    store = FolderStore(root)
    plain_copies.make(store, get_manifest(store, model))
    age(root, 30)
    process = subprocess.Popen(
        [sys.executable, "-c", COLLECT, store.url, str(point)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert fsck(store, None).broken == []
    # Nobody loads half of a plain copy: what it is loaded by is the first to go.
    copy = root / "views" / hex_of(model)
    left = sorted(path.name for path in copy.iterdir()) if copy.exists() else []
    assert left in (["MLmodel", "extra.txt"], ["extra.txt"], [])
    # A run does not wait for the dead for ever.
    (mark,) = store.list_pointers(removal.ANNOUNCED)
    monkeypatch.setattr(removal, "POLL_SECONDS", 0.05)
    waited = threading.Thread(target=lambda: run(FolderStore(root)))
    waited.start()
    waited.join(1.0)
    then = time.time() - removal.DEAD_SECONDS - 1
    os.utime(root / mark, (then, then))
    waited.join(60)
    assert not waited.is_alive()
    assert fsck(store, None).broken == []
    age(root, 30)
    collect(store)
    age(root, 30)
    collect(store)
    # What is left is the list of the last removal.
    assert len(list(store.iter_blobs())) == 1
    assert plain_copies.listed(store) == set()
    assert store.list_pointers(removal.ANNOUNCED) == []
    assert not store.has(data)


def test_a_collector_that_stood_still_removes_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, *_ = old_store(tmp_path)
    store = FolderStore(root)
    found = plan(store, {}, now=store.now(), grace=MIN_GRACE_SECONDS)
    before = sorted(store.iter_blobs())
    monkeypatch.setattr(removal, "LEASE_SECONDS", 0.0)
    with pytest.raises(StoreError, match="was suspended"):
        remove(store, found, dict)
    assert set(before) <= set(store.iter_blobs())


def test_a_grace_period_that_runs_do_not_bear_is_refused_with_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_store(tmp_path)
    monkeypatch.setenv("ASSAY_STORE", (tmp_path / "store").as_uri())
    for days in ("0", "1.5", "-3", "nan"):
        result = CliRunner().invoke(
            cli, ["store", "gc", "--no-registry", "--delete", "--grace", days]
        )
        assert isinstance(result.exception, UsageError), result.output
        assert "at least 2 days" in str(result.exception)
    assert list(FolderStore(tmp_path / "store").iter_blobs())


def test_a_collector_whose_clock_is_ten_days_ahead_removes_nothing_young(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(store)
    before = sorted(store.iter_blobs())
    monkeypatch.setenv("ASSAY_STORE", _url(store))
    right = time.time

    class Wrong:
        @staticmethod
        def time() -> float:
            return right() + 10 * DAY

    for module in ("assay.core.store.folder", "assay.core.maintenance.gc", "assay.cli.store.gc"):
        monkeypatch.setattr(f"{module}.time", Wrong, raising=False)
    result = CliRunner().invoke(cli, ["store", "gc", "--no-registry", "--delete", "--grace", "2"])
    assert result.exit_code == 0, result.output
    assert sorted(store.iter_blobs()) == before


def test_the_store_tells_its_own_time(store: Store) -> None:
    assert abs(store.now() - time.time()) < 5
    blob = store.put_bytes(random.Random(1).randbytes(20))
    assert abs((store.modified(blob.digest) or 0) - store.now()) < 5


def _url(store: Store) -> str:
    if isinstance(store, FolderStore):
        return store.url
    endpoint = store._endpoint.netloc  # type: ignore[attr-defined]
    return f"{store.url}?endpoint=http://{endpoint}"


def test_an_announcement_that_cannot_be_read_is_waited_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever may write in the store can make runs wait, for a bounded time, and no more.
    root, data, _ = old_store(tmp_path)
    store = open_store(root.as_uri())
    store.write_pointer(f"{removal.ANNOUNCED}{'ab' * 32}/{'cd' * 32}", b"\xff nonsense")
    monkeypatch.setattr(removal, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(removal, "WAIT_SECONDS", 0.05)
    with pytest.raises(StoreError, match="garbage collection"):
        claim(store, [get_manifest(store, data)])
    monkeypatch.setattr(removal, "DEAD_SECONDS", 0.0)
    claim(store, [get_manifest(store, data)])


def test_bytes_written_between_the_collectors_last_look_and_its_removal_are_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "POLL_SECONDS", 0.01)
    root, tree = tmp_path / "store", tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("bytes")
    manifest = put_tree(FolderStore(root), tree, TYPE, {})
    age(root, 30)
    blob = root / blob_key(manifest.files[0].blob.digest)
    writer = threading.Thread(target=lambda: put_tree(FolderStore(root), tree, TYPE, {}))

    class Overtaken(FolderStore):
        def _remove(self, key: str) -> None:
            if root / key == blob and not writer.ident:
                before = blob.stat().st_mtime
                writer.start()
                while blob.stat().st_mtime == before:
                    time.sleep(0.005)
            super()._remove(key)

    collect(Overtaken(root))
    writer.join(60)
    assert blob.read_text() == "bytes"
    assert fsck(FolderStore(root), None).findings == []


def test_what_is_written_while_the_store_is_listed_is_not_called_missing(tmp_path: Path) -> None:
    """A run that stored between the listing of blobs and of pointers stopped the collection."""
    root, data, model = old_store(tmp_path)
    store = FolderStore(root)
    listings = 0

    class Busy(FolderStore):
        def _list(self, prefix: str) -> Iterator[Entry]:
            nonlocal listings
            entries = list(super()._list(prefix))
            if prefix == "blobs/sha256/":
                listings += 1
                if listings == 1:
                    hidden = blob_key(get_manifest(store, model).files[0].blob.digest)
                    entries = [entry for entry in entries if entry.key != hidden]
            return iter(entries)

    found = plan(Busy(root), {model: "released"}, now=time.time(), grace=MIN_GRACE_SECONDS)
    assert listings == 2
    assert {data, model} <= found.kept
    store.remove_blob(get_manifest(store, model).files[0].blob.digest)
    with pytest.raises(UsageError, match="cannot be followed"):
        plan(store, {model: "released"}, now=time.time(), grace=MIN_GRACE_SECONDS)
