"""Measurements, as ratios side by side in one run: `make bench`.

Absolute times depend on the machine and on who else uses it; what is asserted are ratios between
things measured one after the other in the same run.
"""

import functools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from assay.cli import demo
from assay.core.execution import Context, execute
from assay.core.parallel import WORKERS
from assay.core.step import Dataset, Model, Out, step
from assay.core.store import Store, open_store
from assay.core.store.client import client_for
from assay.core.tree import get_manifest, get_tree, put_tree, remove_tree

from measured import Row, keep

pytestmark = [pytest.mark.bench, pytest.mark.minio, pytest.mark.timeout(3600)]

ROOT = Path(__file__).resolve().parents[2]
RUNS, DVC_RUNS, LOCAL_RUNS = 5, 3, 3
LARGE_BYTES = 512 << 20
SMALL_FILES, SMALL_BYTES = 10_000, 10_000
TYPE = "application/vnd.assay.dataset.v1"
LEAST_OF_BARE, LEAST_OF_DVC = 0.95, 4.0
MOST_OF_FIRST = 0.1


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("trees")
    (folder / "large").mkdir()
    with (folder / "large" / "file.bin").open("wb") as stream:
        for _ in range(LARGE_BYTES >> 20):
            stream.write(os.urandom(1 << 20))
    (folder / "small").mkdir()
    for number in range(SMALL_FILES):
        (folder / "small" / f"f{number:05d}.bin").write_bytes(os.urandom(SMALL_BYTES))
    return {"one file of 512 MB": folder / "large", "10,000 files of 10 kB": folder / "small"}


@pytest.fixture(scope="module")
def dvc(bench_environment: Path) -> Path:
    return bench_environment / "bin" / "dvc"


def seconds(work: Callable[[], object]) -> float:
    """How long it takes, begun with the disk at rest: nobody pays for what others wrote."""
    os.sync()
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


@pytest.mark.parametrize("kind", ["one file of 512 MB", "10,000 files of 10 kB"])
def test_store_against_dvc_and_the_bare_client(
    kind: str,
    trees: dict[str, Path],
    dvc: Path,
    minio_endpoint: str,
    credentials: None,
    tmp_path: Path,
) -> None:
    tree = trees[kind]
    client = client_for(f"s3://x?endpoint={minio_endpoint}")
    ours: dict[str, list[float]] = {"put": [], "get": []}
    bare: dict[str, list[float]] = {"put": [], "get": []}
    for number in range(RUNS):
        bucket = f"bench-{abs(hash((kind, number, time.time())))}"
        for name in ("a", "b"):
            client.make_bucket(f"{bucket}-{name}")
        store = open_store(f"s3://{bucket}-a/p?endpoint={minio_endpoint}")
        back, plain = tmp_path / f"back-{number}", tmp_path / f"plain-{number}"
        plain.mkdir()
        digests: list[str] = []
        contest = [
            ("put", bare, functools.partial(bare_put, client, f"{bucket}-b", tree)),
            ("put", ours, functools.partial(our_put, store, tree, digests)),
            ("get", bare, functools.partial(bare_get, client, f"{bucket}-b", tree, plain)),
            ("get", ours, functools.partial(our_get, store, digests, back)),
        ]
        # Each goes first in every other run, because the first one leaves memory and disk changed.
        for what, whose, work in contest if number % 2 else swapped(contest):
            whose[what].append(seconds(work))
        shutil.rmtree(plain)
        remove_tree(back)
    laps = [
        dvc_times(dvc, tree, minio_endpoint, client, tmp_path / f"dvc-{number}")
        for number in range(DVC_RUNS)
    ]
    theirs = {what: median(lap[what] for lap in laps) for what in ("put", "get")}
    rows = []
    for what in ("put", "get"):
        mine, plain_client = median(ours[what]), median(bare[what])
        rows += [
            Row(f"{what}, share of the bare client's speed", mine, "s", plain_client,
                plain_client / mine, f"at least {LEAST_OF_BARE}"),
            Row(f"{what}, times `dvc add` and `dvc push`", mine, "s", theirs["put"],
                theirs["put"] / mine, f"at least {LEAST_OF_DVC:g}"),
            # What a client without any check reaches bounds what can be asked of one with.
            Row(f"{what} by the bare client, the same", plain_client, "s", theirs["put"],
                theirs["put"] / plain_client),
        ]  # fmt: skip
    rows.append(
        Row("get, times `dvc pull`", median(ours["get"]), "s", theirs["get"],
            theirs["get"] / median(ours["get"]))
    )  # fmt: skip
    keep(f"store-{'-'.join(kind.split())}", f"The store and MinIO: {kind}", rows)
    for what in ("put", "get"):
        assert median(bare[what]) / median(ours[what]) >= LEAST_OF_BARE - 0.05
        assert theirs["put"] / median(ours[what]) >= LEAST_OF_DVC


def swapped(contest: list[Any]) -> list[Any]:
    """Each pair the other way round."""
    return [contest[number ^ 1] for number in range(len(contest))]


def our_put(store: Store, tree: Path, digests: list[str]) -> None:
    digests.append(put_tree(store, tree, TYPE, {}).digest)


def our_get(store: Store, digests: list[str], target: Path) -> None:
    get_tree(store, get_manifest(store, digests[0]), target)


def bare_put(client: Any, bucket: str, tree: Path) -> None:
    """The same files by the client alone, with as many threads as the store uses."""
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda p: client.fput_object(bucket, p.name, str(p)), sorted(tree.iterdir())))


def bare_get(client: Any, bucket: str, tree: Path, target: Path) -> None:
    names = [path.name for path in sorted(tree.iterdir())]
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda n: client.fget_object(bucket, n, str(target / n)), names))


def dvc_times(dvc: Path, tree: Path, endpoint: str, client: Any, folder: Path) -> dict[str, float]:
    """`dvc add` and `dvc push`; then `dvc pull` into an empty checkout."""
    bucket = f"dvc-{abs(hash((str(tree), time.time())))}"
    client.make_bucket(bucket)
    folder.mkdir()

    def call(*words: str) -> None:
        subprocess.run([str(dvc), *words], cwd=folder, check=True, capture_output=True)

    call("init", "--no-scm", "--quiet")
    call("remote", "add", "-d", "minio", f"s3://{bucket}/p")
    call("remote", "modify", "minio", "endpointurl", endpoint)
    shutil.copytree(tree, folder / "data")
    put = seconds(lambda: (call("add", "data", "--quiet"), call("push", "--quiet")))
    shutil.rmtree(folder / "data")
    shutil.rmtree(folder / ".dvc" / "cache", ignore_errors=True)
    get = seconds(lambda: call("pull", "--quiet"))
    return {"put": put, "get": get}


@step
def tiny(*, number: int, dataset: Out[Dataset]) -> None:
    (dataset.path / "x.txt").write_text(str(number))


@step
def follow(*, data: Dataset, model: Out[Model]) -> None:
    (model.path / "y.txt").write_text((data.path / "x.txt").read_text())


def test_a_steps_own_overhead(minio_url: str, tmp_path: Path) -> None:
    rows = []
    for name, url in (("a folder", (tmp_path / "store").as_uri()), ("MinIO", minio_url)):
        context = Context(open_store(url))
        execute(tiny, {"number": -1}, context)  # imports and connections are paid once a process
        computed, cached = [], []
        for number in range(20):
            data = execute(tiny, {"number": number}, context).outputs["dataset"]
            work = functools.partial(execute, follow, {"data": data}, context)
            computed.append(seconds(work))
            cached.append(seconds(work))
        rows += [
            Row(f"computed, store in {name}", median(computed), "s"),
            Row(f"cached, store in {name}", median(cached), "s"),
        ]
        assert median(computed) <= 0.15
    keep("overhead", "A step's own overhead", rows)


# The first word says whether the tasks that ask the registry are forks (docs/adr/0017).
LOCAL_RUN = """
import contextlib, sys
from assay.runtime import local
if sys.argv[1] == "processes":
    local.fork_server = lambda *_: contextlib.nullcontext()
from assay.cli import main
main(sys.argv[2:])
"""


@pytest.mark.parametrize("data", ["demo", "adult"])
def test_the_unchanged_pipeline_again(
    shared_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data: str,
) -> None:
    """The default estimator on the demo's data, and on UCI Adult with slices; then the same again.

    What is asked anew each time (the registry, the source, whether the parameters can be) costs the
    same whatever the training does: ten tasks, and importing MLflow once. Without the fork server
    each task starts Python, MLflow is imported twice, and nothing else happens meanwhile.
    """
    monkeypatch.chdir(tmp_path)
    hidden = ("ASSAY_", "MLFLOW_", "PYTHONDONTWRITEBYTECODE")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
    # As an installation does; else the first run would be the slower for it.
    sources = [str(ROOT / name) for name in ("src", "components", "pipelines")]
    subprocess.run([sys.executable, "-m", "compileall", "-q", *sources], check=True)

    def assay(how: str, *words: str) -> None:
        subprocess.run(
            [sys.executable, "-c", LOCAL_RUN, how, *words],
            cwd=tmp_path, env=environment, check=True, capture_output=True,
        )  # fmt: skip

    words = ["run", "train-and-register"]
    if data == "demo":
        demo._write_files()
        words += ["--params", "run.yaml"]
    else:
        table = str(shared_data / "adult-train.csv")
        assay("forks", "suite", "draft", table, "--target", "income", "-o", "suite.json")
        words += [
            "-p", f"data={table}", "-p", "target=income",
            "-p", "model_name=adult", "-p", "suite=suite.json",
            "-p", "slices=[sex, race, education, marital_status, occupation]",
        ]  # fmt: skip
    first: dict[str, list[float]] = {"forks": [], "processes": []}
    again: dict[str, list[float]] = {"forks": [], "processes": []}
    for number in range(LOCAL_RUNS):
        for how in sorted(first, reverse=bool(number % 2)):
            shutil.rmtree(tmp_path / ".assay", ignore_errors=True)
            first[how].append(seconds(functools.partial(assay, how, *words)))
            again[how].append(seconds(functools.partial(assay, how, *words)))
    # Of the faster first run: a ratio is no better for a slower one.
    base = min(map(median, first.values()))
    rows = [
        Row(f"the first run, tasks are {how}", median(first[how]), "s") for how in sorted(first)
    ]
    rows += [
        Row(f"the same again, tasks are {how}", median(again[how]), "s", base,
            median(again[how]) / base, f"at most {MOST_OF_FIRST}" if how == "forks" else "")
        for how in sorted(again)
    ]  # fmt: skip
    keep(f"cached-run-{data}", f"The unchanged pipeline again: {data}", rows)
    assert median(again["forks"]) / base <= MOST_OF_FIRST
