"""A store of many artifacts: seconds and memory of what reads all of them: `make bench`.

`ASSAY_BENCH_ARTIFACTS` is the number of artifacts (10,000 by default), made by executions of a step
in chains, so that each has an attestation, a cache entry and an input. A tenth of them is measured
first: four times the cost of each artifact would not be linear.
"""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from assay.core.execution import Context, execute
from assay.core.step import Dataset, Out, step
from assay.core.store import open_store
from assay.runtime import runs

from measured import Row, keep
from processes import Cost, run

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

ARTIFACTS = int(os.environ.get("ASSAY_BENCH_ARTIFACTS", "10000"))
CHAIN = 20
MOST_GROWTH = 2.0
"""The cost of each artifact may grow by this factor when there are ten times as many."""
MOST_MB = 1000
WORK = {
    "gc, plan that keeps half": """
import time
from assay.core.maintenance import gc
roots = {digest: "kept" for digest in open("roots").read().split()}
planned = gc.plan(store, roots, providers=[], now=time.time() + 30 * 86400, grace=8 * 86400)
print(json.dumps({"kept": len(planned.kept), "removed": len(planned.blobs)}))
""",
    "fsck": """
from assay.core.maintenance.fsck import fsck
checked = fsck(store, None)
print(json.dumps({"blobs": checked.blobs, "findings": len(checked.findings)}))
""",
    "one run's tasks": """
from assay.runtime import runs
print(json.dumps({"tasks": len(runs.tasks(store, "run-0"))}))
""",
}
OPEN = """
import json, os, sys
from assay.core.store import open_store
os.chdir(sys.argv[1])
store = open_store(sys.argv[2])
"""


@step
def made(*, data: Dataset | None = None, number: int, dataset: Out[Dataset]) -> None:
    (dataset.path / "x.txt").write_text(f"{number}")


def chain(url: str, numbers: range) -> str:
    """Execute a step for each number, each with the output of the one before; the last digest."""
    context, data = Context(open_store(url)), ""
    for number in numbers:
        arguments = {"data": data, "number": number} if data else {"number": number}
        data = execute(made, arguments, context).outputs["dataset"]
    return data


def fill(folder: Path, count: int) -> str:
    """A store of executions in chains; its URL. The ends of half of them are in `roots`."""
    folder.mkdir()
    url = (folder / "store").as_uri()
    store = open_store(url)
    parts = [range(begin, min(begin + CHAIN, count)) for begin in range(0, count, CHAIN)]
    # Most of the time, each waits for the disk.
    with ProcessPoolExecutor(8, multiprocessing.get_context("fork")) as pool:
        ends = list(pool.map(chain, [url] * len(parts), parts))
    for part in parts:
        status = runs.TaskStatus("made", "made", f"p{part.start}", "done", float(part.start))
        runs.write_task(store, f"run-{part.start // 1000}", status)
    (folder / "roots").write_text("\n".join(ends[::2]))
    return url


def test_what_reads_a_whole_store_grows_with_it(tmp_path: Path) -> None:
    costs: dict[str, dict[int, Cost]] = {what: {} for what in WORK}
    for count in (ARTIFACTS // 10, ARTIFACTS):
        folder = tmp_path / str(count)
        url = fill(folder, count)
        for what, work in WORK.items():
            costs[what][count] = run(OPEN + work, str(folder), url)
    rows = []
    for what, (small, large) in {
        what: tuple(both.values()) for what, both in costs.items()
    }.items():
        growth = large.cpu / small.cpu / 10
        rows += [
            Row(f"{what}: growth of the cost of an artifact", large.cpu, "s", small.cpu, growth,
                f"at most {MOST_GROWTH:g}"),
            Row(f"{what}: elapsed", large.wall, "s", small.wall),
            Row(f"{what}: peak of memory", large.megabytes, "MB", small.megabytes),
        ]  # fmt: skip
    title = f"A store of {ARTIFACTS:,} artifacts, beside one of {ARTIFACTS // 10:,}"
    keep("large-store", title, rows)
    assert costs["fsck"][ARTIFACTS].said["findings"] == 0
    planned = costs["gc, plan that keeps half"][ARTIFACTS].said
    assert planned["kept"] > 0
    assert planned["removed"] > 0
    assert all(row.ratio is None or row.ratio <= MOST_GROWTH for row in rows)
    assert all(both[ARTIFACTS].megabytes <= MOST_MB for both in costs.values())
