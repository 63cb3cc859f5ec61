"""Releases on real Git repositories without a forge: promote, approve, sync, lint."""

import shlex
import shutil
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from assay.cli import cli
from assay.core.digest import of_bytes
from assay.core.step import Services
from assay.errors import (
    AssayError,
    IntegrityError,
    ReleaseConflictError,
    RunBlocked,
    UsageError,
)
from assay.releases import lint, log, override, statement
from assay.releases.release import Release
from assay.releases.statement import Kind

from simulators.forge import git
from stories import flip, refused

MODEL = "churn"
ROOT = Path(__file__).resolve().parents[2]
ANN = "Ann Approver <ann@example.org>"


def test_a_first_release_is_proposed_merged_and_recorded(world: Any) -> None:
    done = world.promote("one", "dev")
    assert done.outcome == "opened"
    assert done.branch == f"assay/churn/dev/{world.models['one'][7:19]}"
    folder = "models/churn/dev"
    listed = git(world.bare, "ls-tree", "-r", "--name-only", done.branch).splitlines()
    assert {f"{folder}/release.yaml", f"{folder}/evaluation.md", f"{folder}/changelog.md"} <= set(
        listed
    )
    assert f"{folder}/confusion.svg" in listed
    page = git(world.bare, "show", f"{done.branch}:{folder}/evaluation.md")
    for name in listed:
        if name.endswith(".svg"):
            assert f"]({Path(name).name})" in page
    assert world.registry.at(MODEL, "dev") is None, "nothing moves before a merge"
    commit = world.approve("dev")
    synced = world.sync()
    assert (synced.problems, len(synced.approved)) == ([], 1)
    version = world.registry.at(MODEL, "dev")
    assert version is not None
    assert version.model == world.models["one"]
    assert version.tags["assay.approved_by.dev"] == ANN
    (given,) = statement.about(world.services, world.models["one"], Kind.APPROVAL)
    assert given.signed_by
    assert given.text("by") == ANN
    assert given.text("commit") == commit == world.head()
    assert given.text("evaluationRun") == "run-42"
    assert given.text("evaluation") == done.release.reports["evaluation"]
    (entry,) = world.entries()
    assert (entry.event, entry.commit, entry.statement) == ("release", commit, given.digest)
    again = world.sync()
    assert (again.approved, again.aliases, again.problems) == ([], [], [])


def test_the_same_promotion_again_changes_nothing(world: Any) -> None:
    first = world.promote("one", "dev")
    again = world.promote("one", "dev")
    assert (again.outcome, again.commit) == ("unchanged", first.commit)
    world.approve("dev")
    world.sync()
    assert world.promote("one", "dev").outcome == "released"


def test_an_update_says_what_changed(world: Any) -> None:
    world.release("one", "dev")
    output = world.promote("three", "dev").changelog
    assert "| hyperparameters | {'max_depth': 2} | {'max_depth': 4} |" in output
    assert "+# reviewed" in output
    assert "Equal: data, code, dependencies" in output
    assert "| accuracy |" in output


def test_the_plan_that_was_judged_goes_with_the_release(world: Any) -> None:
    done = world.promote("three", "dev")
    folder = f"{done.branch}:models/churn/dev"
    content = git(world.bare, "show", f"{folder}/monitoring.yaml").encode() + b"\n"
    assert done.release.monitoring == of_bytes(content)
    assert done.release.reports["monitoring"]
    assert "time_to_detect_rows_p95" in done.evaluation
    refused(
        lambda: world.promote("three", "dev", plan=content + b"# mine\n"),
        UsageError,
        "not the plan that the gate judged",
        done.release.monitoring,
    )
    assert world.promote("three", "dev", plan=content).outcome == "unchanged"
    # Whoever takes it out of the branch does not get it merged.
    clone = world.checkout()
    git(clone, "checkout", "-q", done.branch)
    git(clone, "rm", "-q", "models/churn/dev/monitoring.yaml")
    release = clone / "models/churn/dev/release.yaml"
    release.write_bytes(replace(done.release, monitoring="").render())
    git(clone, "commit", "-qam", "no plan, no noise")
    git(clone, "push", "-q", "origin", done.branch)
    refused(lambda: world.approve("dev"), AssayError, "the plan that the gate judged is")


def test_a_model_that_was_judged_without_a_plan_may_be_given_one(world: Any) -> None:
    refused(lambda: world.promote("one", "dev", plan=b"detectors: no"), UsageError, "monitoring")
    plan = world.promote("three", "dev")
    content = git(world.bare, "show", f"{plan.branch}:models/churn/dev/monitoring.yaml") + "\n"
    done = world.promote("one", "dev", plan=content.encode())
    assert done.release.monitoring == of_bytes(content.encode())
    assert "No monitoring plan was judged" in done.evaluation
    world.approve("dev", digest=done.release.digest)
    # The environment keeps it.
    assert world.promote("two", "dev").release.monitoring == done.release.monitoring


@pytest.mark.slow
def test_no_environment_is_skipped(world: Any) -> None:
    refused(lambda: world.promote("one", "production"), RunBlocked, "never in staging")
    world.release("one", "dev")
    refused(lambda: world.promote("one", "production"), RunBlocked, "never in staging")
    world.release("one", "staging")
    world.release("two", "dev", "staging")
    # An earlier release in staging counts as well as the one that is there.
    world.release("one", "production")


def test_a_blocked_model_needs_an_override_that_holds(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(lambda: world.promote("bad", "dev"), RunBlocked, "verdict is block")
    why = "the rule is about last year's data, ticket 42"

    def decide(until: str = "2999-01-01", **changes: Any) -> statement.Statement:
        arguments = {"model": MODEL, "by": ANN, "why": why, "until": until, **changes}
        return override.override(world.deployment, digest=world.models["bad"], **arguments)

    refused(decide, UsageError, "within the next 366 days")
    refused(lambda: decide("2020-01-01", why="no"), UsageError, "--until", "--why")
    today = datetime.now(UTC)
    soon, later, latest = ((today + timedelta(days=n)).date().isoformat() for n in (30, 31, 60))
    decide(latest, model="chrun")
    refused(lambda: world.promote("bad", "dev"), RunBlocked, "verdict is block")
    made = decide(soon)
    done = world.promote("bad", "dev")
    assert done.release.override is not None
    assert done.release.override.statement == made.digest
    assert "**Override.**" in done.evaluation
    assert "**Override.**" in done.changelog
    # Another one, for longer, does not take the first away from what was proposed with it.
    decide(later)
    assert [e.event for e in world.entries()] == ["override"] * 2
    world.approve("dev")
    assert world.sync().problems == []
    version = world.registry.at(MODEL, "dev")
    assert version is not None
    assert version.tags["assay.override"] == made.digest
    monkeypatch.setattr(statement, "expired", lambda _: True)
    refused(lambda: world.promote("bad", "staging"), RunBlocked, "the approval", "expired")
    world.release("one", "dev")
    refused(lambda: world.promote("bad", "dev"), RunBlocked, "verdict is block")


def test_an_override_is_signed_or_it_is_none(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_SIGNING_KEY")
    refused(world.deployment.require_signer, UsageError, "ASSAY_SIGNING_KEY")
    payload, media = statement.encode(
        Kind.OVERRIDE, world.models["bad"], {"until": "2999-01-01T00:00:00Z"}, None
    )
    digest = world.store.put_bytes(payload, media).digest
    world.store.write_pointer(f"statements/{world.models['bad'][7:]}/{digest[7:]}", digest.encode())
    assert statement.about(Services(world.store, None), world.models["bad"]) == []
    refused(lambda: world.promote("bad", "dev"), RunBlocked, "verdict is block")


def test_a_revoked_model_is_neither_promoted_nor_rolled_back_to(world: Any) -> None:
    world.release("one", "dev")
    world.release("two", "dev")
    world.release("three", "dev")
    override.revoke(world.deployment, world.models["two"], by=ANN, why="leaks personal data")
    refused(lambda: world.promote("two", "staging"), RunBlocked, "revoked", "leaks personal data")
    head = world.head()
    refused(
        lambda: world.roll_back("dev"),
        RunBlocked,
        "nothing was changed",
        "revoked",
        f"--to {world.models['one']}",
    )
    assert world.head() == head


@pytest.mark.slow
def test_promotions_that_race_are_all_there(world: Any) -> None:
    world.release("one", "dev")
    outcomes: dict[str, Any] = {}

    def promote(name: str) -> None:
        try:
            outcomes[name] = world.promote(name, "dev").outcome
        except AssayError as error:
            outcomes[name] = error

    # Two of different models, and one of them twice.
    threads = [threading.Thread(target=promote, args=(name,)) for name in ("two", "three", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(outcomes.values()) <= {"opened", "unchanged", "updated"}, outcomes
    branches = git(world.bare, "for-each-ref", "--format=%(refname:short)", "refs/heads/assay")
    assert branches.splitlines() == sorted(
        f"assay/churn/dev/{world.models[name][7:19]}" for name in ("two", "three")
    )
    refused(lambda: world.approve("dev"), UsageError, "more than one model is proposed", "--digest")
    world.approve("dev", digest=world.models["two"])
    # The other was proposed on what is no longer there, and says so instead of winning.
    head = world.head()
    refused(lambda: world.approve("dev"), ReleaseConflictError, "promote the model again")
    assert world.head() == head
    assert world.promote("three", "dev").outcome == "updated"
    world.approve("dev")
    assert world.sync().problems == []
    assert [e.digest for e in world.entries()] == [world.models[n] for n in ("one", "two", "three")]


def test_writers_of_the_log_who_race_lose_no_entry(world: Any) -> None:
    def entry(number: int) -> log.Entry:
        digest = of_bytes(str(number).encode())
        return log.Entry(
            log.Event.OVERRIDE, MODEL, "", digest, "", statement.now(), ANN, why=str(number)
        )

    def write(number: int) -> None:
        log.append(Services(world.store, None), entry(number), None)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read = log.read(Services(world.store, None), MODEL)
    assert sorted(int(e.why) for e in read) == list(range(8))
    assert [e.number for e in read] == list(range(1, 9))


def test_a_branch_that_was_forced_is_put_right(world: Any) -> None:
    done = world.promote("one", "dev")
    clone = world.checkout()
    git(clone, "checkout", "-q", done.branch)
    (clone / "models/churn/dev/release.yaml").write_text("schemaVersion: 1\n")
    git(clone, "commit", "-qam", "helpful")
    git(clone, "commit", "-q", "--amend", "-m", "forced")
    git(clone, "push", "-q", "--force", "origin", done.branch)
    output = refused(lambda: world.approve("dev"), UsageError, "the document: model, ", "missing")
    assert output.count("missing") == 1
    again = world.promote("one", "dev")
    assert again.outcome == "updated"
    world.approve("dev")
    assert world.sync().problems == []


def test_a_rewritten_history_is_shown(world: Any) -> None:
    world.release("one", "dev")
    world.release("two", "dev")
    clone = world.checkout()
    git(clone, "reset", "-q", "--hard", "HEAD~1")
    git(clone, "push", "-q", "--force", "origin", "main")
    done = CliRunner().invoke(cli, ["release", "list", MODEL, "--verify"])
    assert isinstance(done.exception, IntegrityError)
    assert "no longer has" in str(done.exception)


@pytest.mark.parametrize(
    ("field", "to"),
    [("digest", "two"), ("decision", "two"), ("policy", "two"), ("uri", "two")],
)
def test_a_tampered_release_is_neither_merged_nor_approved(world: Any, field: str, to: str) -> None:
    other = world.promote(to, "dev").release
    done = world.promote("one", "dev")
    forged = {**{f: getattr(done.release, f) for f in done.release.__dataclass_fields__}}
    forged[field] = of_bytes(b"another") if field == "policy" else getattr(other, field)
    content = Release(**forged).render()
    clone = world.checkout()
    git(clone, "checkout", "-q", done.branch)
    (clone / "models/churn/dev/release.yaml").write_bytes(content)
    git(clone, "commit", "-qam", "tampered")
    git(clone, "push", "-q", "origin", done.branch)
    head = world.head()
    with pytest.raises(AssayError):
        world.approve("dev", digest=done.release.digest)
    assert world.head() == head
    # Whoever merges it by hand gets no approval, and the registry does not move.
    git(clone, "checkout", "-q", "main")
    git(clone, "merge", "-q", "--no-ff", "-m", "by hand", done.branch)
    git(clone, "push", "-q", "origin", "main")
    _, problems = lint.lint(world.without_registry, clone)
    assert problems
    synced = world.sync()
    assert synced.problems
    assert (synced.approved, synced.aliases) == ([], [])
    assert world.registry.at(MODEL, "dev") is None


def test_a_branch_that_changes_more_than_its_release_is_refused(world: Any) -> None:
    done = world.promote("one", "dev")
    clone = world.checkout()
    git(clone, "checkout", "-q", done.branch)
    (clone / "ci.yaml").write_text("checks: none\n")
    git(clone, "add", "ci.yaml")
    git(clone, "commit", "-qm", "while we are here")
    git(clone, "push", "-q", "origin", done.branch)
    refused(lambda: world.approve("dev"), IntegrityError, "ci.yaml is changed too")


def test_what_came_in_without_a_pull_request_is_not_approved(world: Any) -> None:
    done = world.promote("one", "dev")
    clone = world.checkout()
    git(clone, "push", "-q", "origin", f"origin/{done.branch}:refs/heads/main")
    synced = world.sync()
    assert len(synced.problems) == 1
    assert "without an approval that an approver's key signed" in synced.problems[0]
    assert world.registry.at(MODEL, "dev") is None
    assert world.entries() == []


def test_what_people_keep_beside_a_release_stays(world: Any) -> None:
    world.release("one", "dev")
    clone = world.checkout()
    theirs = clone / "models/churn/dev/kustomization.yaml"
    theirs.write_text("kind: Kustomization\n")
    git(clone, "add", ".")
    git(clone, "commit", "-qm", "how the cluster uses it")
    git(clone, "push", "-q", "origin", "main")
    world.release("two", "dev")
    world.roll_back("dev")
    path = "models/churn/dev/kustomization.yaml"
    assert git(world.bare, "show", f"main:{path}") == "kind: Kustomization"
    # And it is theirs: what changes it is no release.
    done = world.promote("three", "dev")
    git(clone, "fetch", "-q")
    git(clone, "checkout", "-q", done.branch)
    theirs.write_text("kind: Kustomization\nresources: [mine.yaml]\n")
    git(clone, "commit", "-qam", "while we are here")
    git(clone, "push", "-q", "origin", done.branch)
    refused(lambda: world.approve("dev"), IntegrityError, f"{path} is changed too")


def test_the_templates_own_check_runs_in_it(world: Any, tmp_path: Path) -> None:
    """The command of the template's CI, as its workflow calls it, on every step of the way."""
    template = ROOT / "manifests" / "deployments-template"
    workflow = yaml.safe_load((template / ".github/workflows/release-lint.yaml").read_text())
    (line,) = (
        step["run"]
        for step in workflow["jobs"]["release-lint"]["steps"]
        if step.get("run", "").startswith("assay ")
    )

    def check(folder: Path, base: str) -> tuple[int, str]:
        words = [word.replace("$BASE", base) for word in shlex.split(line)][1:]
        words[words.index(".")] = str(folder)
        done = CliRunner().invoke(cli, words)
        return done.exit_code, done.output

    clone = world.checkout()
    shutil.copytree(template, clone, dirs_exist_ok=True)
    git(clone, "checkout", "-q", "-b", "main")
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", "the template")
    git(clone, "push", "-q", "origin", "main")
    assert check(clone, git(clone, "rev-parse", "HEAD")) == (0, "0 releases, no problems\n")
    assert check(clone, "0" * 40) == (0, "0 releases, no problems\n")
    done = world.promote("one", "dev")
    git(clone, "fetch", "-q")
    git(clone, "checkout", "-q", done.branch)
    assert check(clone, "origin/main") == (0, "1 releases, no problems\n")
    release = clone / "models/churn/dev/release.yaml"
    release.write_bytes(replace(done.release, environment="staging").render())
    git(clone, "commit", "-qam", "straight to staging")
    code, output = check(clone, "origin/main")
    assert code == 1
    assert "whose path is another" in output


def test_lint_looks_at_what_changed(world: Any) -> None:
    world.release("one", "dev", "staging")
    done = world.promote("two", "dev")
    clone = world.checkout()
    assert lint.lint(world.without_registry, clone) == (2, [])
    git(clone, "checkout", "-q", done.branch)
    assert lint.lint(world.without_registry, clone, "origin/main") == (1, [])
    # A release that was never in staging, however often its own branch repeats it.
    text = (clone / "models/churn/dev/release.yaml").read_text()
    target = clone / "models/churn/production"
    target.mkdir()
    content = text.replace("environment: dev", "environment: production")
    for note in ("once", "twice"):
        (target / "release.yaml").write_text(content if note == "once" else f"{content}#\n")
        git(clone, "add", ".")
        git(clone, "commit", "-qm", note)
    (target / "release.yaml").write_text(content)
    git(clone, "commit", "-qam", "again")
    looked_at, problems = lint.lint(world.without_registry, clone, "origin/main")
    assert looked_at == 2
    # Nor may one pull request bring the releases of two environments.
    assert {p.path.split("/")[2] for p in problems} == {"dev", "production"}
    assert any("never in staging" in p.text for p in problems)
    flip(world.model_file("two"))
    _, problems = lint.lint(world.without_registry, clone, "origin/main")
    assert any("damaged" in p.text and "/dev/" in p.path for p in problems)
