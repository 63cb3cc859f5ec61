"""Several deployment repositories: what is approved in one of them counts in no other."""

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from assay.cli import cli
from assay.core.execution import Context, execute
from assay.core.step import Out, Policy, step
from assay.core.store import open_store
from assay.errors import RunBlocked, UsageError
from assay.releases import drill, drill_age, eligibility, log
from assay.releases.lint import lint
from assay.releases.log import entry as log_entry
from assay.releases.override import override
from assay.releases.production import in_production
from assay.releases.runner import UnreachableError
from assay.releases.sync import sync

from simulators.forge import git
from stories import refused

pytestmark = pytest.mark.slow

MODEL = "churn"
STRICT = "gates: [{metric: accuracy > 0.999}]\n"


def put(world: Any, path: str, text: str, message: str = "Change") -> None:
    """Commit a file to the branch."""
    folder = world.checkout()
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text, encoding="utf-8")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)
    git(folder, "push", "-q", "origin", "HEAD:main")


@contextlib.contextmanager
def sandbox(world: Any, folder: Path, *, store: bool = False) -> Iterator[Any]:
    """Another repository, without a policy, and the same keys; with its own store or the same."""
    bare = folder / "sandbox.git"
    git(folder, "init", "-q", "--bare", "-b", "main", str(bare))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_DEPLOYMENTS", str(bare))
        other = replace(world, bare=bare)
        if store:
            shutil.copytree(world.root / "store", folder / "store", symlinks=True)
            shutil.copy(world.root / "mlflow.db", folder / "mlflow.db")
            places = [(path / "store").as_uri() for path in (world.root, folder)]
            with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
                command = "UPDATE model_versions SET source = replace(source, ?, ?)"
                database.execute(command, places)
            patch.setenv("ASSAY_STORE", places[1])
            patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
            other = replace(other, store=open_store(places[1]))
        yield other


def propose(world: Any, environment: str, release: str) -> Path:
    """A checkout whose newest commit brings a release of the log as it is."""
    folder = world.checkout()
    path = folder / f"models/{MODEL}/{environment}/release.yaml"
    path.parent.mkdir(parents=True)
    path.write_bytes(log.get_release(world.store, release).render())
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Release")
    return folder


def test_what_was_approved_in_another_repository_is_not_released_in_this_one(
    world: Any, tmp_path: Path, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one store: neither by a rollback, nor as a release that was approved before."""
    with sandbox(world, tmp_path) as other:
        other.release("one", "dev", "staging")
        other.release("two", "dev", "staging")
    put(world, "policy.yaml", STRICT)
    assert world.sync().problems == []
    entries = world.entries()
    release = next(e.release for e in entries if e.environment == "staging")
    folder = propose(world, "staging", release)
    _, problems = lint(world.deployment, folder, "origin/main")
    assert "under the governing policy" in " ".join(problem.text for problem in problems)
    # Neither does the environment below count.
    put(world, "policy.yaml", "gates: [{metric: accuracy > 0.1}]\n")
    refused(lambda: world.promote("one", "staging"), RunBlocked, "was never in dev")
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["runs"])
    refused(lambda: world.roll_back("staging"), UsageError, "was never released to staging")


def test_the_log_of_another_store_does_not_count_when_it_is_copied(
    world: Any, tmp_path: Path, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sandbox(world, tmp_path, store=True) as other:
        other.release("one", "dev")
        other.release("two", "dev")
    shutil.copytree(tmp_path / "store", world.root / "store", dirs_exist_ok=True)
    put(world, "policy.yaml", STRICT)
    assert world.sync().problems == []
    assert len(world.entries()) == 2
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["runs"])
    refused(lambda: world.roll_back("dev"), UsageError, "was never released to dev")
    monkeypatch.setenv("ASSAY_DEPLOYMENTS", "http://127.0.0.1:9/deployments.git")
    # Without Git it is not even known which repository that would be.
    refused(lambda: world.roll_back("dev"), UsageError, "ASSAY_DEPLOYMENTS")


def test_the_trailer_of_another_repository_stops_nothing(world: Any, tmp_path: Path) -> None:
    """Somebody copies it into the message of a commit that is merged here."""
    with sandbox(world, tmp_path, store=True) as other:
        other.release("one", "dev")
        other.release("two", "dev")
        message = git(other.bare, "log", "-1", "--format=%B", "main")
    trailer = next(line for line in message.splitlines() if line.startswith("Assay-Log:"))
    world.release("one", "dev")
    world.release("two", "dev")
    put(world, f"models/{MODEL}/NOTES.md", "Notes.\n", f"Notes\n\n{trailer}")
    assert world.sync().problems == []
    assert world.roll_back("dev").release.digest == world.models["one"]


def test_an_override_of_another_repository_does_not_count(world: Any, tmp_path: Path) -> None:
    model = world.models["bad"]
    with sandbox(world, tmp_path) as other:
        put(other, "README.md", "Sandbox.\n")
        until = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
        override(other.deployment, MODEL, model, by="", why="to look at it there", until=until)
        assert other.promote("bad", "dev").release.override is not None
    put(world, "README.md", "Deployments.\n")
    refused(lambda: world.promote("bad", "dev"), RunBlocked, "block")


def test_a_branch_on_a_line_of_another_repository_does_not_take_over_its_approvals(
    world: Any, tmp_path: Path
) -> None:
    """A merge whose first parent is of another history changes the first commit of the branch."""
    with sandbox(world, tmp_path) as other:
        other.release("one", "dev")
        other.release("two", "dev")
    put(world, "policy.yaml", STRICT)
    assert world.sync().problems == []
    folder = world.checkout()
    git(folder, "fetch", "-q", str(tmp_path / "sandbox.git"), "main")
    tree = git(folder, "rev-parse", "HEAD^{tree}")
    merge = git(folder, "commit-tree", tree, "-p", "FETCH_HEAD", "-p", "HEAD", "-m", "Merge")
    git(folder, "push", "-q", "origin", f"{merge}:main")
    refused(lambda: world.roll_back("dev"), UsageError, "was never released to dev")


def test_entries_of_earlier_versions_count_on_the_branch_that_has_their_commits(
    world: Any, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # Entries and approvals named no repository.
        for place in ("log.chain", "log"):
            patch.setattr(f"assay.releases.{place}.repository_of", lambda _: "")
        world.release("one", "dev")
        world.release("two", "dev")
    with sandbox(world, tmp_path) as other:
        put(other, "README.md", "Sandbox.\n")
        refused(lambda: other.roll_back("dev"), UsageError, "was never released to dev")
    here = f"{git(world.bare, 'rev-list', '--max-parents=0', 'main')} main"

    def seen() -> str:
        return log.seen_repository(world.store, world.services.verifier, world.settings.url, "main")

    assert seen() == ""
    assert world.sync().problems == []
    assert seen() == here
    pointers = world.store.list_pointers("releases/")
    assert world.sync().problems == []
    assert world.store.list_pointers("releases/") == pointers
    assert world.roll_back("dev").release.digest == world.models["one"]
    last = world.entries()[-1]
    assert last.repository == here


def test_what_another_repository_of_the_store_released_is_not_in_production_here(
    world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.release("one", "dev", "staging", "production")
    with sandbox(world, tmp_path) as other:
        # In the sandbox's own history; the registry's alias is that of the real deployment.
        put(other, "README.md", "Sandbox.\n")
        for environment in ("dev", "staging", "production"):
            other.promote("two", environment)
            other.approve(environment)
            assert sync(other.without_registry).problems == []
        done = CliRunner().invoke(cli, ["release", "list", "--json"], catch_exceptions=False)
        assert {entry["model"] for entry in json.loads(done.output)} == {MODEL}
        assert {entry["modelDigest"] for entry in json.loads(done.output)} == {world.models["two"]}
    current = in_production(world.services, world.registry, MODEL)
    assert current is not None
    assert current.model == world.models["one"]
    monkeypatch.delenv("ASSAY_DEPLOYMENTS")
    refused(
        lambda: in_production(world.services, world.registry, MODEL),
        UsageError,
        "2 deployment repositories",
        "set ASSAY_DEPLOYMENTS",
    )


def test_a_drill_in_a_sandbox_is_no_drill_of_production(world: Any, tmp_path: Path) -> None:
    for name in ("one", "two"):
        world.release(name, "dev", "staging")
    with sandbox(world, tmp_path) as other:
        put(other, "README.md", "Sandbox.\n")
        for name in ("one", "two"):
            other.release(name, "dev", "staging")
        assert drill.drill(other.without_registry, MODEL, "staging", by="").passed
        assert drill_age.evidence(world.services, MODEL, "").values[drill_age.EVIDENCE] is not None
    assert drill_age.evidence(world.services, MODEL, "").values[drill_age.EVIDENCE] is None
    assert drill.drill(world.without_registry, MODEL, "staging", by="").passed
    assert drill_age.evidence(world.services, MODEL, "").values[drill_age.EVIDENCE] is not None


def test_a_release_of_a_fork_moves_no_alias_of_the_original(world: Any, tmp_path: Path) -> None:
    """A fork has the same first commit, so that its entries count; its commits tell it apart."""
    world.release("one", "dev")
    fork = tmp_path / "fork.git"
    shutil.copytree(world.bare, fork)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_DEPLOYMENTS", str(fork))
        other = replace(world, bare=fork)
        other.promote("two", "dev")
        other.approve("dev")
        assert sync(other.without_registry).problems == []
    assert "a fork of it uses the same store" in " ".join(world.sync().problems)
    assert world.registry.at(MODEL, "dev").model == world.models["one"]


def test_two_repositories_begun_in_the_same_second_are_not_one(
    world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_DATE", "2026-01-31T12:00:00Z")
    world.promote("one", "dev")
    first = git(world.bare, "rev-list", "--max-parents=0", "main")
    with sandbox(world, tmp_path) as other:
        other.promote("two", "dev")
        assert git(other.bare, "rev-list", "--max-parents=0", "main") != first


@pytest.mark.parametrize("how", ["flooded", "removed"])
def test_tips_that_are_hidden_give_no_repository_the_log_of_another(
    world: Any, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rollback while Git is down must not go to what only the sandbox approved."""
    for name in ("one", "two"):
        world.release(name, "dev")
    with sandbox(world, tmp_path) as other:
        put(other, "README.md", "Sandbox.\n")
        for name in ("two", "three"):
            other.release(name, "dev")
    assert world.sync().problems == []
    chain = log.tips_chain(world.settings.url, world.settings.branch)
    for name in world.store.list_pointers(log_entry.prefix(chain)):
        if how == "removed":
            world.store.remove_pointer(name)
    for number in range(120 if how == "flooded" else 0):
        held = len(world.store.list_pointers(log_entry.prefix(chain)))
        junk = world.store.put_bytes(b"%d" % number, "text/plain").digest
        world.store.write_pointer(log_entry.pointer(chain, held + 1), junk.encode())
    monkeypatch.setattr(
        "assay.releases.repository.Repository.open", lambda *_: raising(UnreachableError("down"))
    )
    if how == "removed":
        refused(lambda: world.roll_back("dev"), UsageError, "set ASSAY_DEPLOYMENTS")
    else:
        assert world.roll_back("dev").release.digest == world.models["one"]


def raising(error: Exception) -> Any:
    raise error


@step
def write_policy(*, text: str, policy: Out[Policy]) -> None:
    (policy.path / "policy.yaml").write_text(text, encoding="utf-8")


def test_drills_of_another_model_admit_nothing(world: Any, keys: Any) -> None:
    """The user of a run names the model whose drills are looked up."""
    from assay.components.gate.step import gate
    from assay.components.register.step import register
    from assay.components.release_evidence.step import release_evidence

    for name in ("one", "two"):
        world.release(name, "dev", "staging")
    assert drill.drill(world.without_registry, MODEL, "staging", by="").passed
    context = Context(
        world.store, signer=keys.signer("runs"), verifier=world.services.verifier, invocation="r"
    )

    def run(what: Any, **arguments: Any) -> Any:
        return execute(what, arguments, context).outputs

    model = world.models["three"]
    version = world.registry.find(MODEL, model)
    judged = eligibility.judgement_of(world.store, version.tags["assay.decision"])
    reports = eligibility.reports_of(world.store, judged)
    rules = "gates: [{metric: accuracy > 0.6}, {metric: rollback_drill_age_days < 90}]\n"
    rehearsal = run(release_evidence, model=model, model_name=MODEL)["rehearsal"]
    decision = run(
        gate,
        model=model,
        policy=run(write_policy, text=rules)["policy"],
        evidence=[*judged.evidence, rehearsal],
        test_data=judged.test_data,
        data=judged.data,
    )["decision"]
    shown = {"model": model, "decision": decision, "evaluation": reports["evaluation"]}
    refused(
        lambda: run(register, **shown, data=judged.data, model_name="payments"),
        RunBlocked,
        f"is about drills of '{MODEL}'",
        "registered as 'payments'",
    )
    run(register, **shown, data=judged.data, model_name=MODEL)
