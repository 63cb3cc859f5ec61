"""The store beside the bare client, on one MinIO server: `make bench`.

`ASSAY_BENCH_FILES` is the number of small files (100,000 by default), `ASSAY_BENCH_RUNS` the number
of measurements of which the median counts (3). The bare client hashes nothing and checks nothing.
"""

import os
import shutil
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from assay.core.parallel import WORKERS
from assay.core.store import open_store
from assay.core.store.client import client_for
from assay.core.tree import get_manifest, get_tree, put_tree, remove_tree

from measured import Row, keep

pytestmark = [pytest.mark.bench, pytest.mark.minio, pytest.mark.timeout(3600)]

RUNS = int(os.environ.get("ASSAY_BENCH_RUNS", "3"))
FILES = int(os.environ.get("ASSAY_BENCH_FILES", "100000"))
LARGE_BYTES, SMALL_BYTES = 512 << 20, 1000
LEAST_OF_BARE = 0.95
TYPE = "application/vnd.assay.dataset.v1"


def seconds(work: Callable[[], object]) -> float:
    """How long it takes, begun with the disk at rest."""
    os.sync()
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def each(work: Callable[[str], object], names: list[str]) -> None:
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(work, names))


def lap(endpoint: str, tree: Path, folder: Path) -> dict[tuple[str, str], float]:
    """Seconds of each way by the bare client, and by the store."""
    client: Any = client_for(f"s3://x?endpoint={endpoint}")
    bare, ours = (f"bench-{uuid.uuid4().hex[:12]}" for _ in range(2))
    client.make_bucket(bare)
    client.make_bucket(ours)
    store = open_store(f"s3://{ours}/p?endpoint={endpoint}")
    names = [path.name for path in sorted(tree.iterdir())]
    plain, back, digests = folder / "plain", folder / "back", []
    plain.mkdir()
    put = lambda name: client.fput_object(bare, name, str(tree / name))  # noqa: E731
    get = lambda name: client.fget_object(bare, name, str(plain / name))  # noqa: E731
    taken = {
        ("put", "bare"): seconds(lambda: each(put, names)),
        ("put", "ours"): seconds(lambda: digests.append(put_tree(store, tree, TYPE, {}).digest)),
        ("get", "bare"): seconds(lambda: each(get, names)),
        ("get", "ours"): seconds(lambda: get_tree(store, get_manifest(store, digests[0]), back)),
    }
    shutil.rmtree(plain)
    remove_tree(back)
    return taken


@pytest.mark.parametrize("kind", ["large", "small"])
def test_the_store_beside_the_bare_client(
    kind: str, minio_endpoint: str, credentials: None, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    if kind == "large":
        what = "one file of 512 MB"
        with (tree / "file.bin").open("wb") as stream:
            for _ in range(LARGE_BYTES >> 20):
                stream.write(os.urandom(1 << 20))
    else:
        what = f"{FILES:,} files of {SMALL_BYTES:,} bytes"
        for number in range(FILES):
            (tree / f"f{number:06d}.bin").write_bytes(os.urandom(SMALL_BYTES))
    laps = [lap(minio_endpoint, tree, tmp_path) for _ in range(RUNS)]
    rows = []
    for way in ("put", "get"):
        ours, bare = (median(one[way, whose] for one in laps) for whose in ("ours", "bare"))
        asked = f"at least {LEAST_OF_BARE}"
        rows.append(
            Row(f"{way}, share of the bare client's speed", ours, "s", bare, bare / ours, asked)
        )
    keep(f"store-{kind}", f"The store beside the bare client, MinIO: {what}", rows)
    assert all(row.ratio is not None and row.ratio >= 0.9 for row in rows), rows
