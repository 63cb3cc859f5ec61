"""The commands of the runbooks, as they stand there: on a store that was broken first."""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from assay.cli import cli
from assay.core import plain_copies
from assay.core.digest import hex_of
from assay.core.execution import Context, execute
from assay.core.step import Dataset, Model, Out, step
from assay.core.store import blob_key, open_store
from assay.core.store.folder import FolderStore
from assay.core.tree import get_manifest
from assay.errors import IntegrityError
from assay.releases.upkeep import fsck

ROOT = Path(__file__).resolve().parents[2]
RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
CORRUPT = (ROOT / "docs" / "runbooks" / "store-corrupt.md").read_text()


def fenced(text: str) -> list[str]:
    """The commands in code blocks."""
    blocks = re.findall(r"^ *```\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("assay ")]


def commands() -> Iterator[tuple[str, str]]:
    for path in RUNBOOKS:
        text = path.read_text()
        for command in sorted({*fenced(text), *re.findall(r"`(assay [a-z][^`]*)`", text)}):
            yield path.name, command


@step
def rows(*, number: int, dataset: Out[Dataset]) -> None:
    (dataset.path / "rows.txt").write_text(f"rows {number}")


@step
def fit(*, data: Dataset, model: Out[Model]) -> None:
    (model.path / "MLmodel").write_text((data.path / "rows.txt").read_text())
    (model.path / "weights.txt").write_text("0.5")


class Broken:
    """A store with a damaged blob, a missing one and an altered plain copy; and its replica."""

    def __init__(self, folder: Path) -> None:
        self.root, self.replica = folder / "store", folder / "replica"
        store = FolderStore(self.root)
        data = execute(rows, {"number": 1}, Context(store)).outputs["dataset"]
        self.model = execute(fit, {"data": data}, Context(store)).outputs["model"]
        plain_copies.make(store, get_manifest(store, self.model))
        subprocess.run(["cp", "-a", str(self.root), str(self.replica)], check=True)
        self.damaged = self.root / blob_key(get_manifest(store, data).files[0].blob.digest)
        missing = self.root / blob_key(get_manifest(store, self.model).files[1].blob.digest)
        self.copy = self.root / "views" / hex_of(self.model) / "weights.txt"
        for path in (self.damaged, self.copy):
            path.chmod(0o644)
            path.write_text("altered by nobody knows whom")
        missing.unlink()


def call(command: str, **changes: str) -> Result:
    words = [changes.get(word, word) for word in shlex.split(command)[1:]]
    return CliRunner().invoke(cli, words)


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Broken:
    found = Broken(tmp_path)
    monkeypatch.setenv("ASSAY_STORE", found.root.as_uri())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return found


def test_the_runbook_of_a_corrupt_store_heals_one_that_has_a_replica(broken: Broken) -> None:
    steps = fenced(CORRUPT)
    assert steps == [
        "assay store verify",
        "assay store fsck --json",
        "assay store fsck --repair",
        "assay store fsck --from URL",
        "assay run PIPELINE",
        "assay submit PIPELINE --no-cache",
        "assay store fsck",
        "assay store verify",
    ]
    verify, look, repair, restore, _, _, *checks = steps
    for command in (verify, look):
        result = call(command)
        assert isinstance(result.exception, IntegrityError), result.output
        assert broken.damaged.name in str(result.exception)
    # The blobs of the plain copy are damaged too, so it waits for them.
    assert isinstance(call(repair).exception, IntegrityError)
    assert call(restore, URL=broken.replica.as_uri()).exit_code == 0
    for command in checks:
        assert call(command).exit_code == 0, command
    assert broken.copy.read_text() == "0.5"


def test_the_runbook_heals_plain_copies_from_the_store_itself(broken: Broken) -> None:
    fsck(FolderStore(broken.root), None, FolderStore(broken.replica))
    broken.copy.chmod(0o644)
    broken.copy.write_text("altered again")
    _, _, repair, *_, check, verify = fenced(CORRUPT)
    assert isinstance(call(check).exception, IntegrityError)
    assert "fsck --repair" in str(call(verify).exception)
    assert call(repair).exit_code == 0
    assert call(check).exit_code == 0
    assert call(verify).exit_code == 0
    assert broken.copy.read_text() == "0.5"


def test_the_runbook_heals_a_store_without_a_replica_by_running_again(broken: Broken) -> None:
    found = call("assay store verify")
    removals = re.findall(r"\((rm -f [^)]*)\)", str(found.exception))
    assert removals
    for command in removals:  # as the error names them
        subprocess.run(shlex.split(command), check=True)
    # What `assay run PIPELINE` does with a pipeline's steps.
    store = open_store(os.environ["ASSAY_STORE"])
    data = execute(rows, {"number": 1}, Context(store))
    assert not data.cached
    again = execute(fit, {"data": data.outputs["dataset"]}, Context(store))
    assert again.outputs["model"] == broken.model
    assert call("assay store fsck --repair").exit_code == 0
    assert call("assay store fsck").exit_code == 0
    assert call("assay store verify").exit_code == 0


@pytest.mark.parametrize(("runbook", "text"), list(commands()))
def test_every_command_in_the_runbooks_exists_with_its_options(runbook: str, text: str) -> None:
    words = shlex.split(text.replace("…", "X"))[1:]
    command: click.Command = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"{runbook}: {text}"
        command, words = found, words[1:]
    known = {option for item in command.params for option in (*item.opts, *item.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known, f"{runbook}: {text}"


WRITING_SECONDS = 6.0
WRITER = """
import sys, itertools, time
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from test_runbooks import rows, fit
from assay.core import plain_copies
from assay.core.execution import Context, execute
from assay.core.store import open_store
from assay.core.tree import get_manifest
store = open_store(sys.argv[1])
for number in itertools.count():
    data = execute(rows, {"number": number}, Context(store)).outputs["dataset"]
    model = execute(fit, {"data": data}, Context(store)).outputs["model"]
    plain_copies.make(store, get_manifest(store, model))
    if number == 0:
        print("ready", flush=True)
    time.sleep(0.1)  # a store that grows faster takes fsck minutes
"""


@pytest.mark.parametrize("kind", ["folder", pytest.param("minio", marks=pytest.mark.minio)])
def test_fsck_beside_writers_tells_of_no_damage(kind: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(f"{kind}_url")
    paths = [str(Path(__file__).parent), str(ROOT / "tests")]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, url, *paths], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        store = open_store(url)
        blobs = []
        end = time.monotonic() + WRITING_SECONDS
        while len(blobs) < 2 or blobs[-1] == blobs[0] or time.monotonic() < end:
            checked = fsck(store, None)
            assert checked.broken == []
            blobs.append(checked.blobs)
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
