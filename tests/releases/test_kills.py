"""kill -9 at every point where a command writes to Git, the log, the registry or the store.

The command runs in a process of its own that kills itself before or after its n-th write, for every
n. Then the next command of a person puts things right, and what is released is one of the two: what
was there before, or what the command was to bring.
"""

import contextlib
import multiprocessing
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from assay.core.store.folder import FolderStore
from assay.governance.registry import Registry
from assay.releases import log
from assay.releases.repository import Repository

from simulators.forge import git

MODEL = "churn"
WRITES = (
    (Repository, "push"),
    (Repository, "delete"),
    (Registry, "tag"),
    (Registry, "set_alias"),
    (FolderStore, "put_bytes"),
    (FolderStore, "create_pointer"),
    (FolderStore, "write_pointer"),
)
"""What others see."""


def kill_at(work: Callable[[], object], point: int) -> bool:
    """Run `work` in another process, killed at a point; whether it came so far.

    Even points are before a write, odd ones behind it.
    """

    def run() -> None:
        count = iter(range(1_000_000))

        def wrap(owner: type, name: str) -> None:
            honest = getattr(owner, name)

            def write(*args: Any, **kwargs: Any) -> Any:
                if next(count) == point:
                    os.kill(os.getpid(), signal.SIGKILL)
                done = honest(*args, **kwargs)
                if next(count) == point:
                    os.kill(os.getpid(), signal.SIGKILL)
                return done

            setattr(owner, name, write)

        for owner, name in WRITES:
            wrap(owner, name)
        work()

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(120)
    assert process.exitcode in {0, -signal.SIGKILL}, f"point {point}: exit code {process.exitcode}"
    return process.exitcode != 0


def state(world: Any) -> tuple[str, str, str]:
    """The model in dev, by the branch, the log and the registry."""
    from assay.releases.eligibility import release_at

    with Repository.open(world.settings) as repository:
        released = release_at(repository, "models/churn/dev/release.yaml")
    entry = log.current(world.chain(), "dev")
    version = world.registry.at(MODEL, "dev")
    return (
        released.digest if released else "",
        entry.digest if entry else "",
        version.model if version else "",
    )


def restore(saved: Path, root: Path) -> None:
    """Everything as it was; the registry's file in place, because this process has it open."""
    for path in root.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    ignored = shutil.ignore_patterns("mlflow.db*")
    shutil.copytree(saved, root, symlinks=True, ignore=ignored, dirs_exist_ok=True)
    with (
        contextlib.closing(sqlite3.connect(saved / "mlflow.db")) as old,
        contextlib.closing(sqlite3.connect(root / "mlflow.db")) as new,
    ):
        old.backup(new)


def walk(world: Any, work: Callable[[], object], heal: Callable[[int], object]) -> list[Any]:
    """Kill `work` at each point, heal it, and look; the states, one for each point."""
    saved = world.root.parent / "saved"
    shutil.copytree(world.root, saved, symlinks=True)
    states = []
    for point in range(200):
        reached = kill_at(work, point)
        heal(point)
        assert world.sync().problems == []
        assert log.intents(world.chain()) == [] or state(world)[0] == state(world)[1]
        states.append(state(world))
        assert len(set(states[-1])) == 1, f"point {point}: branch, log, registry: {states[-1]}"
        restore(saved, world.root)
        if not reached:
            return states
    pytest.fail("it never came to an end")


@pytest.mark.slow
def test_a_rollback_that_is_killed_anywhere_is_finished_or_never_was(world: Any) -> None:
    for name in ("one", "two"):
        world.release(name, "dev")
    one, two = world.models["one"], world.models["two"]

    def heal(point: int) -> None:
        # Each of the commands that a person could run next.
        if point % 3 == 1:
            world.promote("three", "dev")
        elif point % 3 == 2:
            with suppress(Exception):
                world.roll_back("dev", to=one)

    states = walk(world, lambda: world.roll_back("dev"), heal)
    assert {found[0] for found in states} == {one, two}
    assert states[-1] == (one, one, one)
    assert len(states) > 8


@pytest.mark.slow
def test_a_rollback_of_what_is_not_recorded_yet_is_finished_or_never_was(world: Any) -> None:
    for name in ("one", "two"):
        world.release(name, "dev")
    world.promote("three", "dev")
    world.approve("dev")
    two, three = world.models["two"], world.models["three"]
    states = walk(world, lambda: world.roll_back("dev"), lambda _: None)
    assert {found[0] for found in states} == {two, three}
    assert states[-1] == (two, two, two)
    assert len(states) > 8


@pytest.mark.slow
def test_an_approval_that_is_killed_anywhere_is_recorded_or_can_be_given_again(world: Any) -> None:
    world.release("one", "dev")
    world.promote("two", "dev")
    one, two = world.models["one"], world.models["two"]

    def heal(point: int) -> None:
        if point % 2:
            return
        with suppress(Exception):
            world.approve("dev")

    states = walk(world, lambda: world.approve("dev"), heal)
    assert {found[0] for found in states} == {one, two}
    assert states[-1] == (two, two, two)
    assert len(states) > 8


@pytest.mark.slow
def test_a_sync_that_is_killed_anywhere_is_done_by_the_next(world: Any) -> None:
    world.release("one", "dev")
    world.promote("two", "dev")
    world.approve("dev")
    two = world.models["two"]
    states = walk(world, world.sync, lambda _: None)
    assert set(states) == {(two, two, two)}
    assert len(states) > 4


@pytest.mark.slow
def test_a_promotion_that_is_killed_anywhere_is_done_by_the_next(world: Any) -> None:
    world.release("one", "dev")
    one, two = world.models["one"], world.models["two"]
    branches = []

    def heal(_: int) -> None:
        world.promote("two", "dev")
        found = git(world.bare, "for-each-ref", "--format=%(refname:short)", "refs/heads/assay")
        branches.append(found.splitlines())

    states = walk(world, lambda: world.promote("two", "dev"), heal)
    assert set(states) == {(one, one, one)}
    assert {tuple(found) for found in branches} == {(f"assay/churn/dev/{two[7:19]}",)}


@pytest.mark.slow
def test_a_reconciliation_that_is_killed_anywhere_is_done_by_the_next(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.releases.rollback import reconcile

    for name in ("one", "two"):
        world.release(name, "dev")
    with monkeypatch.context() as patch:
        patch.setenv("ASSAY_DEPLOYMENTS", "http://127.0.0.1:1/team/deployments.git")
        world.roll_back("dev")
    one = world.models["one"]

    def again() -> None:
        reconcile(world.deployment, by="Ann <ann@example.org>")

    states = walk(world, again, lambda _: again())
    assert set(states) == {(one, one, one)}
    assert len(states) > 4


@pytest.mark.slow
def test_an_override_or_revocation_that_is_killed_anywhere_is_made_again(world: Any) -> None:
    from assay.releases import override

    def revoke() -> None:
        override.revoke(world.deployment, world.models["three"], by="", why="leaks names")

    for point in range(12):
        reached = kill_at(revoke, point)
        revoke()
        assert log.revocation(world.services, world.models["three"])
        assert [e.number for e in log.read(world.services, "")] == [1]
        for pointer in world.store.list_pointers("releases/"):
            (world.root / "store" / pointer).unlink()
        if not reached:
            return
    pytest.fail("it never came to an end")
