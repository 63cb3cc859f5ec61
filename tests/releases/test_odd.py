"""Odd names, files, times and branches in the repository or store, and a drill that was killed."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from assay.cli import cli
from assay.core.signing import Role
from assay.errors import IntegrityError, ReleaseConflictError, ServiceError, UsageError
from assay.releases import drill, drill_age, log, override, statement
from assay.releases.lint import lint
from assay.releases.log import Event
from assay.releases.statement import Kind

from simulators.forge import git
from stories import refused

pytestmark = pytest.mark.slow

MODEL = "churn"
ANN = "Ann Approver <ann@example.org>"
STRICT = "gates: [{metric: accuracy > 0.999}]\n"


@pytest.mark.parametrize(
    "name",
    [
        b"models/\xff\xfe/dev/release.yaml",
        b"models/churn/\xff/release.yaml",
        b"models/churn\n/dev/release.yaml",
        b"models/:(top)/dev/release.yaml",
        b"models/*/dev/release.yaml",
    ],
)
def test_a_folder_with_an_odd_name_stops_nothing(world: Any, name: bytes) -> None:
    world.release("one", "dev")
    clone = world.checkout()
    path = os.path.join(os.fsencode(str(clone)), name)  # noqa: PTH118 - bytes
    os.makedirs(os.path.dirname(path))  # noqa: PTH103, PTH120
    release = (clone / f"models/{MODEL}/dev/release.yaml").read_bytes()
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(release)
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", "Add")
    _, problems = lint(world.deployment, clone, "origin/main")
    assert problems
    git(clone, "push", "-q", "origin", "HEAD:main")
    done = CliRunner().invoke(cli, ["release", "sync"])
    assert done.exit_code == 6
    assert isinstance(done.exception, SystemExit)
    world.promote("two", "dev")
    world.approve("dev")
    assert world.sync().problems
    assert world.registry.at(MODEL, "dev").model == world.models["two"]
    assert world.roll_back("dev").release.digest == world.models["one"]


@pytest.mark.parametrize("what", ["a folder", "a submodule"])
def test_a_policy_that_is_no_file_does_not_count_as_absent(world: Any, what: str) -> None:
    folder = world.checkout()
    (folder / "policy.yaml").write_text("gates: [{metric: accuracy > 0.1}]\n")
    place = f"models/{MODEL}/dev/policy.yaml"
    if what == "a folder":
        (folder / place).mkdir(parents=True)
        (folder / place / "policy.yaml").write_text(STRICT)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "Govern")
    if what == "a submodule":
        head = git(folder, "rev-parse", "HEAD")
        git(folder, "update-index", "--add", "--cacheinfo", f"160000,{head},{place}")
        git(folder, "commit", "-qm", "Govern")
    git(folder, "push", "-q", "origin", "HEAD:main")
    refused(lambda: world.promote("one", "dev"), IntegrityError, f"{place} in the", what)


def test_a_drill_that_is_killed_goes_forth_again(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        world.release(name, "dev", "staging")
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["runs"])
    child = os.fork()
    if child == 0:
        drill._golden = lambda *_: os._exit(1)  # type: ignore[assignment]
        drill.drill(world.without_registry, MODEL, "staging", by=ANN)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert log.current(world.entries(), "staging").digest == world.models["one"]
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["ann"])
    # It may still be at it.
    assert world.sync().problems == []
    assert log.current(world.entries(), "staging").digest == world.models["one"]
    monkeypatch.setattr("assay.releases.rollback.DRILL_TIME", timedelta())
    assert world.sync().problems == []
    last = log.current(world.entries(), "staging")
    assert last.digest == world.models["two"]
    assert last.by == "Runs <runs@example.org>"
    shown = git(world.bare, "show", f"main:models/{MODEL}/staging/release.yaml")
    assert world.models["two"] in shown
    assert len(world.entries()) == len(world.sync() and world.entries())
    assert drill.drill(world.without_registry, MODEL, "staging", by=ANN).passed


@pytest.mark.parametrize("what", ["revoked", "damaged"])
def test_a_drill_that_is_killed_does_not_put_back_what_cannot_be_released(
    world: Any, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    for name in ("one", "two"):
        world.release(name, "dev", "staging")
    child = os.fork()
    if child == 0:
        drill._golden = lambda *_: os._exit(1)  # type: ignore[assignment]
        drill.drill(world.without_registry, MODEL, "staging", by=ANN)
        os._exit(0)
    os.waitpid(child, 0)
    if what == "revoked":
        override.revoke(world.deployment, world.models["two"], by="", why="leaks names")
    else:
        world.model_file("two").chmod(0o644)
        world.model_file("two").write_bytes(b"x")
    monkeypatch.setattr("assay.releases.rollback.DRILL_TIME", timedelta())
    (problem,) = world.sync().problems
    assert "cannot be restored" in problem
    assert log.current(world.entries(), "staging").digest == world.models["one"]
    shown = git(world.bare, "show", f"main:models/{MODEL}/staging/release.yaml")
    assert world.models["one"] in shown


def test_what_people_did_after_a_drill_that_was_killed_stays(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        world.release(name, "dev", "staging")
    child = os.fork()
    if child == 0:
        drill._golden = lambda *_: os._exit(1)  # type: ignore[assignment]
        drill.drill(world.without_registry, MODEL, "staging", by=ANN)
        os._exit(0)
    os.waitpid(child, 0)
    world.release("three", "dev", "staging")
    monkeypatch.setattr("assay.releases.rollback.DRILL_TIME", timedelta())
    assert world.sync().problems == []
    assert log.current(world.entries(), "staging").digest == world.models["three"]


@pytest.mark.parametrize("at", ["9998-01-01T00:00:00Z", "soon"])
def test_a_drill_dated_ahead_is_no_evidence(world: Any, keys: Any, at: str) -> None:
    rehearsed(world)
    state_drill(world, keys.signer("runs"), at)
    assert drill_age_of(world) is None
    state_drill(world, keys.signer("runs"), statement.stamp(datetime.now(UTC) - timedelta(days=3)))
    assert 2.9 < drill_age_of(world) < 3.1


def rehearsed(world: Any) -> None:
    """The two rollbacks of a drill, as the release log has them."""
    for model in ("one", "two"):
        world.release(model, "dev")
    world.roll_back("dev", why=drill_age.DRILL_BACK)
    world.roll_back("dev", to=world.models["two"], why=drill_age.DRILL_FORTH)


def state_drill(world: Any, signer: Any, at: str) -> None:
    """A statement, by any key, that dev went back to `one` and forth to `two`."""
    one, two = (world.models[name] for name in ("one", "two"))
    stated = {"model": MODEL, "environment": "dev", "passed": True, "by": "x", "to": one, "at": at}
    data, media_type = statement.encode(Kind.DRILL, two, stated, signer)
    statement.point(world.store, two, world.store.put_bytes(data, media_type).digest)


def drill_age_of(world: Any) -> Any:
    evidence = drill_age.evidence(world.services, MODEL, world.models["two"])
    return evidence.values[drill_age.EVIDENCE]


def test_a_drill_that_the_log_does_not_have_is_no_evidence(world: Any, keys: Any) -> None:
    for model in ("one", "two"):
        world.release(model, "dev")
    state_drill(world, keys.signer("runs"), statement.now())
    assert drill_age_of(world) is None
    # A rollback of people is none either, and no half of a drill.
    world.roll_back("dev")
    world.roll_back("dev", to=world.models["two"], why=drill_age.DRILL_FORTH)
    assert drill_age_of(world) is None


def test_a_key_that_starts_pipelines_states_no_drill(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    trigger = {"owner": "Trigger <t@example.org>", "roles": ["trigger"]}
    listed = [*yaml.safe_load(keys.listing()), {**trigger, "key": keys.public["stranger"]}]
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", yaml.safe_dump(listed))
    rehearsed(world)
    state_drill(world, keys.signer("stranger"), statement.now())
    assert drill_age_of(world) is None
    (why,) = statement.refused(world.services, world.models["two"])
    assert "requires a key with the role approver or recorder or runner" in str(why)


def test_an_intent_is_completed_in_the_name_of_the_key_that_signed_it(
    world: Any, keys: Any
) -> None:
    from dataclasses import replace

    world.release("one", "dev")
    world.release("two", "dev")
    good = world.entries()[0]
    folder = world.checkout()
    path = folder / f"models/{MODEL}/dev/release.yaml"
    path.write_bytes(log.get_release(world.store, good.release).render())
    git(folder, "commit", "-qam", "Back")
    git(folder, "push", "-q", "origin", "HEAD:main")
    claim = replace(
        good,
        event=Event.INTENT,
        intends="rollback",
        commit=world.head(),
        statement="",
        by="Bob Boss <bob@example.org>",
        at=statement.now(),
    )
    log.append(world.services, claim, keys.signer("runs"))
    world.sync()
    (owner,) = [key.owner for key in world.services.verifier.keys if key.roles == {Role.RUNNER}]
    assert world.entries()[-1].by == owner


def test_a_branch_that_begins_as_a_proposal_does_is_none(world: Any) -> None:
    world.release("one", "dev")
    done = world.promote("two", "dev")
    git(world.bare, "branch", f"{done.branch}-x", done.branch)
    git(world.bare, "branch", f"{done.branch[:-12]}notes", done.branch)
    world.approve("dev")


def test_a_branch_in_the_place_of_a_folder_is_named(world: Any) -> None:
    world.release("one", "dev")
    git(world.bare, "branch", f"assay/{MODEL}/dev", "main")
    refused(
        lambda: world.promote("two", "dev"), ServiceError, f"the branch assay/{MODEL}/dev prevents"
    )


def test_a_branch_with_the_name_of_one_model_does_not_release_another(world: Any) -> None:
    """Push another proposal under the name that the approver has reviewed."""
    world.release("one", "dev")
    reviewed = world.promote("two", "dev")
    other = world.promote("three", "dev")
    git(world.bare, "update-ref", f"refs/heads/{reviewed.branch}", other.commit)
    git(world.bare, "update-ref", "-d", f"refs/heads/{other.branch}")
    refused(
        lambda: world.approve("dev"),
        IntegrityError,
        f"release.yaml is about {world.models['three']}, and the branch {reviewed.branch} has the",
    )
    world.promote("two", "dev")
    done = CliRunner().invoke(cli, ["release", "approve", MODEL, "dev"])
    assert f"approving: {world.models['two']} in dev\n" in done.output
    assert world.registry.at(MODEL, "dev").model == world.models["two"]


def test_a_release_that_does_not_parse_is_replaced_by_the_next(world: Any) -> None:
    world.release("one", "dev")
    clone = world.checkout()
    path = f"models/{MODEL}/dev/release.yaml"
    (clone / path).write_text("edited: by hand\n")
    git(clone, "commit", "-qam", "Edit")
    git(clone, "push", "-q", "origin", "HEAD:main")
    assert world.sync().problems
    done = world.promote("two", "dev")
    assert f"The current {path} is no valid release, and is replaced." in done.changelog
    world.approve("dev")
    world.sync()
    assert world.registry.at(MODEL, "dev").model == world.models["two"]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_a_line_separator_in_the_name_of_a_branch_forges_no_other(
    world: Any, separator: str
) -> None:
    world.release("one", "dev")
    world.promote("two", "dev")
    for name in (
        f"main{separator}refs/remotes/origin/main/x",
        f"assay/x{separator}y",
        f"assay/x{separator}refs/remotes/origin/assay/{MODEL}/dev/{'0' * 12}",
    ):
        git(world.bare, "branch", name, "main")
    world.approve("dev")
    assert world.sync().problems == []
    assert world.roll_back("dev").release.digest == world.models["one"]
    # `sync` asks which branches were merged; one that was removed since is none of them.
    with world.deployment.open() as opened:
        assert not opened.repository.contains("")


def test_too_many_days_for_an_approval_are_refused(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.promote("one", "dev")
    monkeypatch.setenv("ASSAY_APPROVAL_DAYS", "99999999")
    refused(lambda: world.approve("dev"), UsageError, "ASSAY_APPROVAL_DAYS", "1 to 99999")


@pytest.mark.parametrize("branch", ["main", "release"])
def test_lint_takes_the_branch_from_the_settings(
    world: Any, monkeypatch: pytest.MonkeyPatch, branch: str
) -> None:
    monkeypatch.setenv("ASSAY_DEPLOYMENTS_BRANCH", branch)
    world.release("one", "dev", "staging")
    world.release("two", "dev")
    proposed = world.promote("two", "staging")
    folder = world.root / "checkout"
    git(world.root, "clone", "-q", "-b", branch, str(world.bare), str(folder))
    git(folder, "checkout", "-q", proposed.branch)
    command = ["release", "lint", str(folder), "--changed-since", f"origin/{branch}"]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, done.output
    assert "1 releases, no problems" in done.output


def test_an_approval_of_another_branch_is_named(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.release("one", "dev")
    git(world.bare, "branch", "-m", "main", "trunk")
    monkeypatch.setenv("ASSAY_DEPLOYMENTS_BRANCH", "trunk")
    (problem,) = world.sync().problems
    assert " main'" in problem
    assert "ASSAY_DEPLOYMENTS_BRANCH leads to" in problem
    assert " trunk'" in problem


def test_a_drill_leaves_what_was_released_during_it(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        world.release(name, "dev", "staging")
    world.release("three", "dev")

    def meanwhile(*_: Any) -> int:
        world.release("three", "staging")
        return 0

    with monkeypatch.context() as patch:
        patch.setattr(drill, "_golden", meanwhile)
        refused(
            lambda: drill.drill(world.without_registry, MODEL, "staging", by=ANN),
            ReleaseConflictError,
            "stays there",
        )
    assert log.current(world.entries(), "staging").digest == world.models["three"]


def test_an_intent_about_a_commit_where_the_release_was_a_link_stops_nothing(
    world: Any, keys: Any
) -> None:
    world.release("one", "dev")
    folder = world.checkout()
    path = folder / f"models/{MODEL}/dev/release.yaml"
    content = path.read_bytes()
    path.unlink()
    path.symlink_to("x")
    git(folder, "commit", "-qam", "Link")
    commit = git(folder, "rev-parse", "HEAD")
    path.unlink()
    path.write_bytes(content)
    git(folder, "commit", "-qam", "File")
    git(folder, "push", "-q", "origin", "HEAD:main")
    last = world.chain()[-1]
    intent = replace(last, event=log.Event.INTENT, intends="rollback", commit=commit, statement="")
    log.append(world.services, intent, keys.signer("runs"))
    assert "is a link, not a file" in " ".join(world.sync().problems)
    assert world.promote("two", "dev").outcome == "opened"


def test_a_folder_in_the_place_of_a_release_is_one_line_of_lint(world: Any) -> None:
    world.release("one", "dev")
    folder = world.checkout()
    (folder / "models/x/dev/release.yaml").mkdir(parents=True)
    (folder / "models/x/dev/release.yaml/y").write_text("x")
    _, problems = lint(world.deployment, folder, "")
    assert any("a folder" in problem.text for problem in problems)
