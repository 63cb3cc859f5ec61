"""A rollback of a large model, phase by phase, beside a bare copy of the same bytes: `make bench`.

`ASSAY_BENCH_MODEL_GB` is the model's size (5 by default); twice as much again has to be free on the
disk. What is asserted is a ratio; docs/release.md has the promise in minutes.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from minio import Minio
from minio.commonconfig import CopySource

from assay.core.parallel import WORKERS
from assay.core.step import Services
from assay.core.store import Store, open_store
from assay.core.store.base import blob_key
from assay.core.store.client import client_for
from assay.core.tree import get_manifest, put_tree
from assay.releases import layout, log, rollback
from assay.releases.deployment import Deployment
from assay.releases.layout import FILE_NAME
from assay.releases.log import Entry, Event
from assay.releases.release import Release
from assay.releases.repository import Repository
from assay.releases.settings import Settings
from assay.releases.statement import now

pytestmark = [pytest.mark.bench, pytest.mark.minio, pytest.mark.timeout(3600)]

GIGABYTES = float(os.environ.get("ASSAY_BENCH_MODEL_GB", "5"))
SHARD_BYTES = 256 << 20
MOST_OF_BARE = 2.0
"""A rollback may take so many times as long as reading and copying the same bytes."""
MODEL, ENVIRONMENT, BY = "large", "production", "Ann Approver <ann@example.org>"
BUCKET = "rollback-bench"


@pytest.fixture
def client(minio_endpoint: str, credentials: None) -> Iterator[Minio]:
    made = client_for(f"s3://x?endpoint={minio_endpoint}")
    made.make_bucket(BUCKET)
    yield made
    for item in made.list_objects(BUCKET, recursive=True):
        made.remove_object(BUCKET, str(item.object_name))
    made.remove_bucket(BUCKET)


def artifact(store: Store, folder: Path, kind: str, size: int) -> str:
    """An artifact of random files, which are gone afterwards; its digest."""
    folder.mkdir()
    left, number = size, 0
    while left:
        part = min(left, SHARD_BYTES)
        with (folder / f"shard-{number:03d}.bin").open("wb") as stream:
            for begin in range(0, part, 1 << 20):
                stream.write(os.urandom(min(1 << 20, part - begin)))
        left, number = left - part, number + 1
    digest = put_tree(store, folder, f"application/vnd.assay.{kind}.v1", {}).digest
    shutil.rmtree(folder)
    return digest


def released(services: Services, settings: Settings, folder: Path, sizes: list[int]) -> list[str]:
    """Releases in that order, of models of so many bytes; the models' digests."""
    store, models, previous = services.store, [], ""
    rest = artifact(store, folder / "rest", "decision", 10_000)
    with Repository.open(settings) as repository:
        repository.begin()
        for size in sizes:
            model = artifact(store, folder / "model", "model", size)
            release = Release(
                MODEL, ENVIRONMENT, model, f"s3://{BUCKET}/views/{model[7:]}", "1", "", rest,
                {"evaluation": rest}, rest, previous=previous,
            )  # fmt: skip
            path = layout.folder(MODEL, ENVIRONMENT)
            repository.fetch()
            head = repository.head
            commit = repository.commit(path, {FILE_NAME: release.render()}, "release", parent=head)
            repository.push(commit, settings.branch, expected=head)
            log.put_release(store, release)
            entry = Entry(
                Event.RELEASE, MODEL, ENVIRONMENT, model, release.name, now(), BY, commit=commit
            )
            log.append(services, entry, None)
            models.append(model)
            previous = release.name
    return models


def bare(client: Minio, store: Store, model: str) -> float:
    """Seconds to read the same objects and to copy them within the server, by the client alone."""
    keys = [f"p/{blob_key(entry.blob.digest)}" for entry in get_manifest(store, model).files]

    def read(key: str) -> None:
        answer = client.get_object(BUCKET, key)
        try:
            for _ in answer.stream(1 << 20):
                pass
        finally:
            answer.close()
            answer.release_conn()

    def copy(key: str) -> None:
        client.copy_object(BUCKET, f"bare/{key}", CopySource(BUCKET, key))

    begun = time.perf_counter()
    for work in (read, copy):
        each(work, keys)
    taken = time.perf_counter() - begun
    each(lambda key: client.remove_object(BUCKET, f"bare/{key}"), keys)
    return taken


def each(work: Callable[[str], None], keys: list[str]) -> None:
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(work, keys))


def test_a_rollback_beside_a_bare_copy(
    client: Minio, minio_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "deployments.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(repository)], check=True)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Ann Approver")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "ann@example.org")
    services = Services(open_store(f"s3://{BUCKET}/p?endpoint={minio_endpoint}"), None)
    settings = Settings(repository.as_uri())
    size = int(GIGABYTES * 10**9)
    large, small = released(services, settings, tmp_path, [size, 1 << 20])

    def roll_back(to: str) -> rollback.RolledBack:
        return rollback.rollback(
            Deployment(services, settings), MODEL, ENVIRONMENT,
            by=BY, why="a benchmark", to=to, now=True,
        )  # fmt: skip

    # Once with the plain files gone, which have to be made anew; once with them there.
    took = {}
    for what in ("plain files gone", "plain files there"):
        done = roll_back(large)
        assert done.release.digest == large
        assert done.size >= size
        took[what] = sum(done.seconds.values())
        phases = "  ".join(f"{name}={seconds:.2f}" for name, seconds in done.seconds.items())
        sys.stdout.write(f"\nrollback of {GIGABYTES} GB, {what}: {took[what]:.1f} s  {phases}")
        roll_back(small)
    plain = bare(client, services.store, large)
    ratio = max(took.values()) / plain
    sys.stdout.write(f"\nbare read and copy: {plain:.1f} s  ratio={ratio:.2f}\n")
    assert ratio <= MOST_OF_BARE
