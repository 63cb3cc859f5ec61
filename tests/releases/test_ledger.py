"""The release log is the proof: what history, pointers, trailers and keys cannot undo or fake."""

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from assay.cli import cli
from assay.errors import IntegrityError, RunBlocked, UnknownKeyError, UsageError
from assay.releases import approval, consistency, eligibility, log, override, statement, sync
from assay.releases.lint import lint
from assay.releases.log import Entry, Event
from assay.releases.log import entry as log_entry
from assay.releases.release import parse_release
from assay.releases.repository import Repository
from assay.releases.statement import Kind

from simulators.forge import git
from stories import refused

pytestmark = pytest.mark.slow

MODEL = "churn"
ANN = "Ann Approver <ann@example.org>"
WHY = "leaks personal data"


def release_of(world: Any, model: str, environment: str, like: str) -> bytes:
    """`release.yaml` for a model that no promotion would propose."""
    content = git(world.bare, "show", f"{like}:models/churn/dev/release.yaml") + "\n"
    digest = world.models[model]
    given = parse_release(content.encode())
    decision = eligibility.decision_of(world.services, digest, None)
    judged = eligibility.judgement_of(world.store, decision)
    return replace(
        given,
        decision=decision,
        policy=judged.policy_artifact,
        reports=eligibility.reports_of(world.store, judged),
        monitoring="",
        golden="",
        digest=digest,
        environment=environment,
        uri=given.uri.replace(given.digest[7:], digest[7:]),
        previous="",
    ).render()


def write(clone: Path, environment: str, content: bytes | None, message: str) -> None:
    path = clone / f"models/churn/{environment}/release.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", message)


def revoke(world: Any, model: str) -> None:
    override.revoke(world.deployment, world.models[model], by=ANN, why=WHY)


# History is no proof.


def test_a_blocked_release_added_and_removed_in_history_is_no_rollback(world: Any) -> None:
    world.release("one", "dev")
    blocked = release_of(world, "bad", "dev", "main")
    good = git(world.bare, "show", "main:models/churn/dev/release.yaml").encode() + b"\n"
    clone = world.checkout()
    write(clone, "dev", blocked, "try")
    write(clone, "dev", good, "and take it out again")
    git(clone, "push", "-q", "origin", "main")
    assert len(world.sync().problems) == 2
    # The second pull request, with the same bytes, is judged as what it is.
    branch = f"assay/churn/dev/{world.models['bad'][7:19]}"
    git(clone, "checkout", "-qb", branch)
    write(clone, "dev", blocked, "roll back")
    git(clone, "push", "-q", "origin", branch)
    refused(lambda: world.approve("dev"), IntegrityError, "verdict is block")
    _, problems = lint(world.deployment, clone, "origin/main")
    assert any("verdict is block" in problem.text for problem in problems)
    git(clone, "push", "-q", "origin", "HEAD:main")
    assert any("verdict is block" in problem for problem in world.sync().problems)
    assert world.registry.at(MODEL, "dev").model == world.models["one"]
    # And it is nothing that a rollback would go to.
    refused(
        lambda: world.roll_back("dev", to=world.models["bad"]), UsageError, "was never released"
    )
    assert world.roll_back("dev").release.digest == world.models["one"]


def test_staging_added_and_removed_in_history_does_not_open_production(world: Any) -> None:
    world.release("one", "dev")
    clone = world.checkout()
    write(clone, "staging", release_of(world, "one", "staging", "main"), "staging")
    write(clone, "staging", None, "no staging")
    git(clone, "push", "-q", "origin", "main")
    refused(lambda: world.promote("one", "production"), RunBlocked, "never in staging")


def test_a_log_entry_that_no_approval_backs_is_no_release(world: Any, keys: Any) -> None:
    """The holder of the pipeline's key can write the store, and nothing that counts."""
    world.release("one", "dev")
    (first,) = world.entries()
    forged = replace(
        first, environment="staging", number=3, previous=world.chain()[-1].name, commit="0" * 40
    )
    for signer, why in (
        ("runs", "requires a key with the role approver or recorder"),
        ("recorder", f"{first.statement} does not approve it: environment, commit differ"),
    ):
        data, media = statement.encode(
            Kind.LOG, forged.release, forged.predicate(), keys.signer(signer)
        )
        name = world.store.put_bytes(data, media).digest
        pointer = log_entry.pointer(MODEL, 3)
        world.store.write_pointer(pointer, name.encode())
        assert why in world.chain()[-1].refused
        assert log.current(world.entries(), "staging") is None
        refused(lambda: world.promote("one", "production"), RunBlocked, "never in staging")
        refused(lambda: world.roll_back("staging"), UsageError, "never released to staging")
        done = CliRunner().invoke(cli, ["release", "list", MODEL])
        assert "entry 3 does not count" in done.stderr


# Approvals.


def test_a_trailer_is_no_approval_on_a_plain_remote(world: Any, keys: Any) -> None:
    """The author of a proposal merges it himself and writes that Ann approved."""
    done = world.promote("one", "dev")
    clone = world.checkout()
    message = f"Release\n\nAssay-Branch: {done.branch}\nApproved-by: {ANN}\nSigned-off-by: {ANN}\n"
    git(clone, "merge", "-q", "--no-ff", "-m", message, f"origin/{done.branch}")
    git(clone, "push", "-q", "origin", "main")
    for name in ("ann", "recorder"):
        synced = sync.sync(world.signed_by(keys.signer(name)))
        (problem,) = synced.problems
        assert "without an approval that an approver's key signed" in problem
    assert world.entries() == []
    assert world.registry.at(MODEL, "dev") is None


@pytest.mark.parametrize("name", ["runs", "recorder", "stranger"])
def test_only_an_approvers_key_approves(world: Any, keys: Any, name: str) -> None:
    world.promote("one", "dev")
    head = world.head()
    refused(
        lambda: approval.approve(world.signed_by(keys.signer(name)), MODEL, "dev", by=ANN),
        UsageError,
        "an approval takes a key with the role approver",
        "keys.yaml",
    )
    assert (world.head(), world.chain()) == (head, [])


def test_an_approval_of_another_commit_does_not_count(world: Any) -> None:
    """Old bytes, approved once, come back by a push: that is nobody's decision."""
    world.release("one", "dev")
    old = git(world.bare, "show", "main:models/churn/dev/release.yaml").encode() + b"\n"
    world.release("two", "dev")
    clone = world.checkout()
    write(clone, "dev", old, "back to one")
    git(clone, "push", "-q", "origin", "main")
    (problem,) = world.sync().problems
    assert "without an approval" in problem
    assert world.registry.at(MODEL, "dev").model == world.models["two"]


def test_the_approver_is_the_keys_owner_not_who_git_says(world: Any, keys: Any) -> None:
    world.promote("one", "dev")
    approval.approve(world.signed_by(keys.signer("bob")), MODEL, "dev", by="Mallory <m@x.org>")
    assert world.sync().problems == []
    assert [entry.by for entry in world.entries()] == ["Bob Boss <bob@example.org>"]


def test_a_registry_version_that_there_is_not_is_refused(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = world.promote("one", "dev")
    clone = world.checkout()
    git(clone, "checkout", "-q", done.branch)
    path = clone / "models/churn/dev/release.yaml"
    path.write_bytes(replace(done.release, registry_version="99").render())
    git(clone, "commit", "-qam", "99")
    git(clone, "push", "-q", "origin", done.branch)
    output = "registryVersion is 99, but the registry has version 1 of this model"
    refused(lambda: world.approve("dev"), IntegrityError, output)
    _, problems = lint(world.deployment, clone)
    assert [problem.text for problem in problems] == [output]
    done = CliRunner().invoke(cli, ["release", "lint", str(clone)])
    assert (done.exit_code, output in done.output) == (1, True)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    done = CliRunner().invoke(cli, ["release", "lint", str(clone)])
    assert (done.exit_code, "registryVersion was not checked" in done.stderr) == (0, True)


# Revocations stay.


def test_a_revocation_outlives_its_pointers(world: Any) -> None:
    world.release("one", "dev")
    revoke(world, "two")
    for pointer in world.store.list_pointers("statements/"):
        (world.root / "store" / pointer).unlink()
    refused(lambda: world.promote("two", "dev"), RunBlocked, "revoked", WHY)
    done = CliRunner().invoke(cli, ["store", "verify"])
    assert isinstance(done.exception, IntegrityError)
    assert "log of revocations, entry 1" in str(done.exception)
    assert "to its statement was removed" in str(done.exception)
    done = CliRunner().invoke(cli, ["store", "fsck"])
    assert "to its statement was removed" in done.output
    done = CliRunner().invoke(cli, ["release", "list", MODEL, "--verify"])
    assert "to its statement was removed" in str(done.exception)


def test_rotating_the_key_does_not_take_a_revocation_back(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    revoke(world, "one")
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys.listing(ann=None))
    key = keys.signer("ann").key_id[:12]
    refused(lambda: world.promote("one", "dev"), UnknownKeyError, f"signed by {key}", "`retired:")
    # What was stated before the log held revocations, too.
    for pointer in world.store.list_pointers("releases/"):
        (world.root / "store" / pointer).unlink()
    refused(lambda: world.promote("one", "dev"), UnknownKeyError, "may be revoked", key)
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys.listing(ann={"retired": yesterday}))
    refused(lambda: world.promote("one", "dev"), RunBlocked, "revoked", WHY)


def test_a_revocation_cannot_be_cut_off_below_a_later_release(world: Any) -> None:
    revoke(world, "two")
    world.release("one", "dev")
    for pointer in world.store.list_pointers(log_entry.prefix(log.REVOCATIONS)):
        (world.root / "store" / pointer).unlink()
    refused(world.entries, IntegrityError, "revocations were removed")
    refused(lambda: world.promote("two", "dev"), IntegrityError, "entries were removed")


def test_newest_entries_that_were_cut_off_are_missed_by_what_git_knows(world: Any) -> None:
    world.release("one", "dev")
    world.release("two", "dev")
    world.promote("three", "dev")
    world.approve("dev")
    for pointer in world.store.list_pointers(log_entry.prefix(MODEL))[3:]:
        (world.root / "store" / pointer).unlink()
    output = "the newest entries were removed"
    refused(lambda: world.promote("one", "dev"), IntegrityError, output)
    refused(lambda: world.roll_back("dev"), IntegrityError, output)
    assert any(output in problem for problem in world.sync().problems)
    _, problems = lint(world.without_registry, world.checkout())
    assert any(output in problem.text for problem in problems)
    done = CliRunner().invoke(cli, ["release", "list", MODEL, "--verify"])
    assert output in str(done.exception)


def test_a_revocation_that_was_stopped_before_the_log_counts_and_can_be_made_again(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(log, "append", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            revoke(world, "one")
    refused(lambda: world.promote("one", "dev"), RunBlocked, "revoked", WHY)
    assert [fault.broken for fault in log.check(world.store, world.services.verifier)] == [False]
    revoke(world, "one")
    revoke(world, "one")
    assert len(log.revocations(world.services)) == 1


# What Git prints and is given.


def test_commit_messages_with_any_byte_are_read(world: Any) -> None:
    """A record separator in a message ended every later command in a traceback."""
    world.release("one", "dev")
    clone = world.checkout()
    (clone / "models/churn/dev/kustomization.yaml").write_text("resources: []\n")
    git(clone, "add", "-A")
    message = b"odd \x1e\x1f\x1d \x01 \x1b[31m\nAssay-Why: \xff\xfe\x1e\n\n" + bytes(range(1, 256))
    subprocess.run(
        ["git", "-C", str(clone), "commit", "-q", "-F", "-", "--cleanup=verbatim"],
        input=message,
        check=True,
    )
    (clone / "models/churn/dev/release.yaml").touch()
    content = git(clone, "show", "HEAD:models/churn/dev/release.yaml") + "\n"
    write(
        clone, "dev", content.replace("registryVersion: '1'", "registryVersion: '9'").encode(), "x"
    )
    write(clone, "dev", content.encode(), "and back \x1e\x1f")
    git(clone, "push", "-q", "origin", "main")
    before = world.sync().problems
    assert len(before) == 2
    with Repository.open(world.settings) as repository:
        assert len(repository.history("models/churn/dev")) == 4
        assert "odd \x1e\x1f" in repository.history("models/churn/dev")[2].message
    world.promote("two", "dev")
    world.approve("dev")
    assert world.sync().problems == before
    assert world.roll_back("dev").release.digest == world.models["one"]


def test_a_time_that_no_calendar_has_is_read(world: Any) -> None:
    world.release("one", "dev")
    clone = world.checkout()
    (clone / "models/churn/dev/kustomization.yaml").write_text("resources: []\n")
    git(clone, "add", "-A")
    raw = git(clone, "write-tree")
    parent = git(clone, "rev-parse", "HEAD")
    text = (
        f"tree {raw}\nparent {parent}\nauthor A <a@b> 99999999999999 +0000\n"
        "committer A <a@b> 99999999999999 +0000\n\nlate\n"
    )
    commit = (
        subprocess.run(
            [
                "git",
                "-C",
                str(clone),
                "hash-object",
                "-t",
                "commit",
                "-w",
                "--stdin",
                "--literally",
            ],
            input=text.encode(),
            capture_output=True,
            check=True,
        )
        .stdout.decode()
        .strip()
    )
    git(clone, "push", "-q", "origin", f"{commit}:refs/heads/main")
    world.release("two", "dev")


@pytest.mark.parametrize("text", ["--output=/tmp/x", "-p", "HEAD", "a" * 39, "A" * 40, ""])
def test_what_is_no_commit_never_reaches_git(world: Any, text: str) -> None:
    world.release("one", "dev")
    with Repository.open(world.settings) as repository:
        for work in (
            lambda: repository.revision(text),
            lambda: repository.changed(repository.head, text),
            lambda: repository.merge(text, "m", ANN),
            lambda: repository.push(text, "main", expected=repository.head),
            lambda: repository.same_tree(repository.head, text),
        ):
            refused(work, IntegrityError, "is not the id of a commit")


def test_a_ref_that_is_an_option_is_no_ref(world: Any) -> None:
    world.release("one", "dev")
    clone = world.checkout()
    refused(
        lambda: lint(world.without_registry, clone, "--output=/tmp/x"),
        UsageError,
        "no commit '--output",
    )


# Stopped in between.


def test_a_rollback_that_was_pushed_and_not_recorded_is_reported_and_finished(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.release("one", "dev")
    world.release("two", "dev")
    honest = Repository.push

    def die(self: Repository, commit: str, branch: str, *, expected: str) -> None:
        honest(self, commit, branch, expected=expected)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Repository, "push", die)
        with pytest.raises(KeyboardInterrupt):
            world.roll_back("dev")
    done = CliRunner().invoke(cli, ["release", "list", MODEL])
    assert "a rollback to commit" in done.stderr
    done = CliRunner().invoke(cli, ["release", "list", MODEL, "--verify"])
    assert "was pushed and not recorded" in str(done.exception)
    assert len(world.entries()) == 2, "a report changes nothing"
    synced = world.sync()
    assert (synced.problems, [e.event for e in synced.approved]) == ([], ["rollback"])
    assert world.registry.at(MODEL, "dev").model == world.models["one"]
    assert log.intents(world.chain()) == []
    assert world.entries()[-1].why == "wrong predictions"


def test_an_intent_proves_nothing(world: Any, keys: Any) -> None:
    """A pipeline's key may write one about whatever it likes."""
    world.release("one", "dev")
    good = world.entries()[0]
    blocked = release_of(world, "bad", "dev", "main")
    clone = world.checkout()
    write(clone, "dev", blocked, "blocked")
    git(clone, "push", "-q", "origin", "main")
    name = world.store.put_bytes(blocked, "application/yaml").digest
    for intends in ("rollback", "release", "reconciled"):
        log.append(
            world.services,
            replace(
                good,
                event=Event.INTENT,
                intends=intends,
                digest=world.models["bad"],
                release=name,
                commit=world.head(),
                statement="",
            ),
            keys.signer("runs"),
        )
    synced = world.sync()
    assert any("verdict is block" in problem for problem in synced.problems)
    assert log.current(world.chain(), "dev").digest == world.models["one"]
    assert not log.was_released(world.chain(), name, "dev", world.models["bad"])


def test_the_log_says_in_json_what_does_not_count(world: Any) -> None:
    world.release("one", "dev")
    done = CliRunner().invoke(cli, ["release", "list", MODEL, "--json"])
    output = json.loads(done.stdout)
    assert [item["event"] for item in output] == ["intent", "release"]
    assert {item["refused"] for item in output} == {""}
    assert output[1]["previous"] == output[0]["entry"]


def test_without_a_key_that_may_write_the_log_nothing_is_pushed(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.release("one", "dev")
    world.release("two", "dev")
    head = world.head()
    with replace(world.deployment, signer=None).open() as opened:
        entry = Entry(Event.ROLLBACK, MODEL, "dev", world.models["one"], "", statement.now(), ANN)
        refused(
            lambda: consistency.push(opened, entry, base=opened.repository.head),
            UsageError,
            "ASSAY_SIGNING_KEY is not set",
            "role approver or recorder or runner",
        )
    assert world.head() == head
