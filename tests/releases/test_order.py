"""Two commands at once, or one that comes late: log, branch and alias end with the same model."""

import contextlib
import multiprocessing
import os
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from assay.cli import cli
from assay.errors import IntegrityError, ReleaseConflictError, UsageError
from assay.governance.registry import Registry
from assay.releases import layout, log, statement
from assay.releases.log import Event
from assay.releases.log import entry as log_entry
from assay.releases.release import parse_release
from assay.releases.repository import Repository
from assay.releases.statement import Kind

import servers
from simulators.forge import git
from stories import refused

pytestmark = pytest.mark.slow

MODEL = "churn"


def states(world: Any, environment: str = "dev") -> tuple[str, ...]:
    """The model by the branch, the log and the registry: by the names that this test uses."""
    path = layout.path(MODEL, environment)
    result = parse_release(git(world.bare, "show", f"main:{path}").encode() + b"\n", path)
    entry = log.current(world.chain(), environment)
    digests = result.digest, entry.digest, world.registry.at(MODEL, environment).model
    return tuple(next(n for n, d in world.models.items() if d == digest) for digest in digests)


def before_first(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, work: Callable[[], object]
) -> list[str]:
    """Let others do `work` when something is about to call `owner.name` for the first time."""
    honest, calls = getattr(owner, name), []

    def slow(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        if len(calls) == 1:
            work()
        return honest(*args, **kwargs)

    monkeypatch.setattr(owner, name, slow)
    return calls


def pending(world: Any) -> None:
    """`one` and `two` were in dev; `three` is merged, and no sync has run since."""
    world.release("one", "dev")
    world.release("two", "dev")
    world.promote("three", "dev")
    world.approve("dev")


def recorded_late(world: Any) -> None:
    """As an earlier version left the log: the release behind the rollback that left it."""
    pending(world)
    world.roll_back("dev")
    intent = next(
        e for e in world.chain() if e.intends == "release" and e.digest == world.models["three"]
    )
    late = replace(intent, event=Event.RELEASE, intends="", name="", number=0)
    with world.deployment.open() as opened:
        opened.append(late)
    assert log.current(world.chain(), "dev").digest == world.models["three"]


def test_a_merge_that_is_recorded_late_does_not_undo_a_rollback(world: Any) -> None:
    pending(world)
    assert world.roll_back("dev").release.digest == world.models["two"]
    synced = world.sync()
    assert (synced.problems, [e.event for e in synced.approved]) == ([], ["passed"])
    assert states(world) == ("two", "two", "two")
    again = world.sync()
    assert (again.problems, again.approved, again.aliases) == ([], [], [])
    listed = CliRunner().invoke(cli, ["release", "list", MODEL, "--verify"])
    assert (listed.exit_code, "note:" in listed.output) == (0, False), listed.output
    refused(
        lambda: world.roll_back("dev", to=world.models["three"]),
        UsageError,
        "was never released there",
    )
    assert world.roll_back("dev").release.digest == world.models["one"]
    assert world.sync().problems == []
    assert states(world) == ("one", "one", "one")
    # And what was rolled back may come again, as a release of its own.
    world.release("three", "dev")
    assert states(world) == ("three", "three", "three")
    assert world.roll_back("dev").release.digest == world.models["one"]


def test_a_rollback_while_a_sync_records_what_it_leaves(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sync has looked at the branch and is about to write what was merged."""
    pending(world)
    before_first(monkeypatch, log, "put_release", lambda: world.roll_back("dev"))
    synced = world.sync()
    assert (synced.problems, [e.event for e in synced.approved]) == ([], ["passed"])
    assert states(world) == ("two", "two", "two")
    assert [e.event for e in world.entries()][-2:] == ["rollback", "passed"]


def test_an_entry_that_rests_on_what_is_no_longer_so_is_not_written(world: Any) -> None:
    world.release("one", "dev")
    (entry,) = world.entries()
    other = replace(entry, commit="0" * 40, name="", number=0)
    refused(
        lambda: log.append(world.services, other, world.signer, after=""),
        ReleaseConflictError,
        "was changed by others meanwhile; run again",
    )


@pytest.mark.parametrize("who", ["sync", "rollback", "runner's rollback", "promote"])
def test_a_log_in_the_wrong_order_is_put_right(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    recorded_late(world)
    listed = CliRunner().invoke(cli, ["release", "list", MODEL, "--verify"])
    assert isinstance(listed.exception, IntegrityError)
    assert "dev: entry 8 was recorded late" in str(listed.exception)
    assert "repair it with: assay release sync" in str(listed.exception)
    if who == "runner's rollback":
        monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["runs"])
    back = "two"
    if who == "sync":
        synced = world.sync()
        assert (synced.problems, [e.event for e in synced.approved]) == ([], ["reconciled"])
        assert world.sync().approved == []
    elif who == "promote":
        world.promote("one", "dev")
    else:
        assert world.roll_back("dev").release.digest == world.models["one"]
        back = "one"
    assert states(world) == (back, back, back)
    right = world.entries()[-1 if back == "two" else -2]
    assert (right.event, right.refused, right.digest) == ("reconciled", "", world.models["two"])
    assert right.why == "entry 8 was recorded late: its commit is older"
    assert CliRunner().invoke(cli, ["release", "list", MODEL, "--verify"]).exit_code == 0


def test_a_log_in_the_wrong_order_is_put_right_each_time(world: Any) -> None:
    """Another machine may still run a version that does not look."""
    recorded_late(world)
    world.sync()
    late, last = world.entries()[-2:]
    late = replace(late, number=last.number + 1, previous=last.name, at=last.at)
    data, media = statement.encode(Kind.LOG, late.release, late.predicate(), world.signer)
    name = world.store.put_bytes(data, media).digest
    assert world.store.create_pointer(log_entry.pointer(MODEL, late.number), name.encode())
    assert log.current(world.chain(), "dev").digest == world.models["three"]
    assert [e.event for e in world.sync().approved] == ["reconciled"]
    assert states(world) == ("two", "two", "two")


# The alias.


def test_a_rollback_of_a_runner_to_a_commit_that_is_nowhere_moves_no_alias(
    world: Any, keys: Any
) -> None:
    for name in ("one", "two"):
        world.release(name, "dev")
    first = world.entries()[0]
    entry = replace(first, event=Event.ROLLBACK, commit="1" * 40, statement="", why="because")
    log.append(log.configured(world.services), entry, keys.signer("runs"))
    for _ in range(2):
        synced = world.sync()
        (problem,) = synced.problems
        assert "a runner's key, which alone signed it, named any commit" in problem
        assert synced.aliases == []
        assert world.registry.at(MODEL, "dev").model == world.models["two"]
    assert CliRunner().invoke(cli, ["release", "sync"]).exit_code != 0
    # The way out that it names.
    world.roll_back("dev", to=world.models["two"])
    assert world.sync().problems == []
    assert states(world) == ("two", "two", "two")


def test_a_rollback_of_a_runner_while_a_sync_has_an_older_clone_is_followed(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending(world)
    runner = world.signed_by(keys.signer("runs"))
    before_first(monkeypatch, Repository, "odd", lambda: world.roll_back("dev", deployment=runner))
    assert world.sync().problems == []
    assert len(set(states(world))) == 1
    assert world.registry.at(MODEL, "dev").model == world.models["two"]


def test_a_slow_sync_does_not_move_the_alias_back_behind_a_rollback(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rollback is done and said so, when the sync's request reaches the registry."""
    pending(world)
    calls = before_first(monkeypatch, Registry, "set_alias", lambda: world.roll_back("dev"))
    synced = world.sync()
    assert synced.problems == []
    assert states(world) == ("two", "two", "two")
    # The sync's, which came late, and its second; the rollback found the alias where it was.
    assert len(calls) == 2


@pytest.mark.slow
def test_a_sync_whose_request_waits_in_another_process(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above, with a real server between two processes."""
    pending(world)
    (port,) = servers.free_ports(1)
    url = f"http://127.0.0.1:{port}"
    store = os.environ["MLFLOW_TRACKING_URI"]
    with contextlib.closing(sqlite3.connect(world.root / "mlflow.db")) as database, database:
        # A server does not load from this disk: there a version was uploaded into its run.
        database.execute("UPDATE model_versions SET source = 'runs:/' || run_id || '/model'")
    words = ["server", "--port", str(port), "--workers", "1", "--backend-store-uri", store]
    command = [sys.executable, "-m", "mlflow", *words]
    log_file, quiet = world.root / "mlflow.log", {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with servers.serving(command, f"{url}/health", log_file, **quiet):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        fork = multiprocessing.get_context("fork")
        started_at, rolled_back = fork.Event(), fork.Event()

        def wait() -> None:
            started_at.set()
            assert rolled_back.wait(60)

        def sync() -> None:
            before_first(monkeypatch, Registry, "set_alias", wait)
            assert world.sync().problems == []

        process = fork.Process(target=sync)
        process.start()
        assert started_at.wait(60)
        assert world.roll_back("dev").notes == []
        assert states(world) == ("two", "two", "two")
        rolled_back.set()
        process.join(60)
        assert process.exitcode == 0
        assert states(world) == ("two", "two", "two")


def test_a_slow_rollback_does_not_move_the_alias_back_behind_a_release(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.release("one", "dev")
    world.release("two", "dev")
    before_first(monkeypatch, Registry, "set_alias", lambda: world.release("three", "dev"))
    assert world.roll_back("dev").release.digest == world.models["one"]
    assert states(world) == ("three", "three", "three")


def test_an_alias_follows_the_log_where_the_branch_says_otherwise(world: Any) -> None:
    """Somebody pushed what nobody approved, and moved the alias to it by hand."""
    world.release("one", "dev")
    world.release("two", "dev")
    clone = world.checkout()
    git(clone, "revert", "-m", "1", "--no-edit", "HEAD")
    git(clone, "push", "-q", "origin", "main")
    world.registry.set_alias(MODEL, "dev", "1")
    synced = world.sync()
    assert (len(synced.problems), synced.aliases) == (1, ["churn@dev -> 2"])
    assert states(world) == ("one", "two", "two")


class TestARollbackWhileGitIsDown:
    """`three` is merged, and no sync has run; Git goes down, and dev goes back to `one`."""

    @pytest.fixture
    def rolled_back(self, world: Any) -> Any:
        pending(world)
        nowhere = replace(world.settings, url="http://127.0.0.1:9/deployments.git")
        done = world.roll_back("dev", deployment=replace(world.deployment, settings=nowhere))
        assert done.release.digest == world.models["one"]
        return world

    def test_a_sync_does_not_bring_the_merge_back_behind_it(self, rolled_back: Any) -> None:
        for _ in range(2):
            synced = rolled_back.sync()
            assert synced.approved == []
            (problem,) = synced.problems
            assert "was rolled back at" in problem
            assert "assay release sync --accept-merges" in problem
        assert log.current(rolled_back.chain(), "dev").digest == rolled_back.models["one"]
        assert rolled_back.registry.at(MODEL, "dev").model == rolled_back.models["one"]

    def test_rolling_back_again_keeps_it(self, rolled_back: Any) -> None:
        rolled_back.sync()
        assert rolled_back.roll_back("dev").release.digest == rolled_back.models["one"]
        assert rolled_back.sync().problems == []
        assert states(rolled_back) == ("one", "one", "one")

    def test_a_person_may_accept_the_merge(self, rolled_back: Any) -> None:
        rolled_back.sync()
        assert rolled_back.sync(accept_merges=True).problems == []
        assert states(rolled_back) == ("three", "three", "three")
