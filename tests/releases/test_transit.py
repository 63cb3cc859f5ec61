"""What a pull request does on the way counts for nothing: only what a look at the branch finds."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from assay.cli import cli
from assay.errors import RunBlocked, UsageError
from assay.governance.registry import MODEL_TAG
from assay.releases import eligibility, layout, log, override, statement
from assay.releases.lint import lint
from assay.releases.log import entry as log_entry
from assay.releases.release import parse_release
from assay.releases.repository import Repository
from assay.releases.settings import Settings
from assay.releases.statement import Kind
from assay.releases.tips import Line

from simulators.forge import Simulator, git, serve
from simulators.gitea import Gitea
from simulators.github import GitHub
from simulators.gitlab import GitLab
from stories import refused

pytestmark = pytest.mark.slow

MODEL = "churn"
ANN = "Ann Approver <ann@example.org>"
STRICT = "gates: [{metric: accuracy > 0.999}]\n"
LAX = "gates: [{metric: accuracy > 0.1}]\n"


@pytest.fixture(params=[GitHub, GitLab, Gitea])
def forge(
    request: pytest.FixtureRequest, world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Simulator]:
    with serve(request.param(world.bare)) as running:
        monkeypatch.setenv("ASSAY_FORGE", request.param.__name__.lower())
        monkeypatch.setenv("ASSAY_FORGE_URL", running.url)
        monkeypatch.setenv("ASSAY_GIT_TOKEN", running.token)
        monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["recorder"])
        # The repository itself comes from the disk; the forge is asked about `team/deployments`.
        monkeypatch.setattr(Settings, "repository", property(lambda _: "team/deployments"))
        yield running


def put(clone: Path, path: str, content: str | bytes, message: str = "Change") -> str:
    """A commit of a clone; its name."""
    file = clone / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", message)
    return git(clone, "rev-parse", "HEAD")


def govern(world: Any, text: str) -> None:
    clone = world.checkout()
    put(clone, "policy.yaml", text)
    git(clone, "push", "-q", "origin", "HEAD:main")


def proposed(world: Any, branch: str, environment: str = "dev") -> bytes:
    return git(world.bare, "show", f"{branch}:{where(environment)}").encode() + b"\n"


def where(environment: str) -> str:
    return f"models/{MODEL}/{environment}/release.yaml"


@pytest.mark.parametrize("looked", [True, False], ids=["seen before", "never seen"])
def test_a_pull_request_cannot_weaken_the_policy_in_a_commit_of_its_own(
    world: Any, forge: Simulator, looked: bool
) -> None:
    """The forge puts both commits onto the branch; Gitea knows the request by the last only."""
    govern(world, LAX)
    release = proposed(world, world.promote("one", "dev").branch)
    govern(world, STRICT)
    if looked:
        assert world.sync().problems == []
    clone = world.checkout()
    put(clone, "policy.yaml", LAX, "Tidy up")
    put(clone, where("dev"), release, "Release")
    forge.push(clone, "mallory")
    for _ in range(2):  # the second time the weak policy is what was seen
        (problem,) = world.sync().problems
        assert "under the governing policy policy.yaml of commit" in problem
        assert "the verdict is block" in problem
    assert world.registry.at(MODEL, "dev") is None
    assert world.entries() == []


def test_a_weaker_policy_counts_for_what_comes_after_it_was_seen(
    world: Any, forge: Simulator
) -> None:
    govern(world, STRICT)
    assert world.sync().problems == []
    govern(world, LAX)
    assert world.sync().problems == []
    done = world.promote("one", "dev")
    forge.merge(done.request.number, "grace")
    synced = world.sync()
    assert (synced.problems, synced.aliases) == ([], ["churn@dev -> 1"])


@pytest.mark.parametrize("looked", [True, False], ids=["seen before", "never seen"])
def test_a_merge_with_the_branch_as_second_parent_does_not_leave_its_policy(
    world: Any, forge: Simulator, looked: bool
) -> None:
    """Along first parents the release stands on a line that never had a policy."""
    clone = world.checkout()
    root = put(clone, "README.md", "Deployments.\n")
    git(clone, "push", "-q", "origin", "HEAD:main")
    release = proposed(world, world.promote("one", "dev").branch)
    govern(world, STRICT)
    main = world.head()
    if looked:
        assert world.sync().problems == []
    git(clone, "fetch", "-q")
    git(clone, "checkout", "-q", "-b", "feature", root)
    commit = put(clone, where("dev"), release, "Release")
    git(clone, "merge", "-q", "--no-ff", "-m", "Merge branch 'main' into feature", main)
    forge.push(clone, "mallory").commit = commit
    synced = world.sync()
    assert (len(synced.problems), synced.approved, synced.aliases) == (1, [], [])
    output = "left the line of commits" if looked else "the verdict is block"
    assert output in synced.problems[0]
    if not looked:
        return
    # The way back that it names: what came stands behind what was seen, as one merge.
    git(clone, "checkout", "-q", main)
    git(clone, "merge", "-q", "--no-ff", "-m", "Back", "feature")
    git(clone, "push", "-q", "origin", "HEAD:main")
    (problem,) = world.sync().problems
    assert "under the governing policy policy.yaml the verdict is block" in problem


def test_a_merge_of_the_branch_does_not_leave_a_policy_that_no_look_saw(
    world: Any, forge: Simulator
) -> None:
    """The owners' stricter policy came after the last look, and is no first parent any more."""
    govern(world, LAX)
    release = proposed(world, world.promote("one", "dev").branch)
    assert world.sync().problems == []
    seen = world.head()
    govern(world, STRICT)
    main = world.head()
    clone = world.checkout()
    git(clone, "checkout", "-q", "-b", "feature", seen)
    commit = put(clone, where("dev"), release, "Release")
    git(clone, "merge", "-q", "--no-ff", "-m", "Merge branch 'main' into feature", main)
    forge.push(clone, "mallory").commit = commit
    for _ in range(2):
        synced = world.sync()
        (problem,) = synced.problems
        assert "under the governing policy policy.yaml of commit" in problem
        assert "the verdict is block" in problem
        assert (synced.approved, synced.aliases) == ([], [])
    assert world.registry.at(MODEL, "dev") is None


def test_a_merge_that_brings_back_an_old_policy_counts(world: Any, forge: Simulator) -> None:
    """The strict policy is older than the last look; only a merge of the branch has it since."""
    govern(world, STRICT)
    strict = world.head()
    govern(world, LAX)
    release = proposed(world, world.promote("one", "dev").branch)
    assert world.sync().problems == []
    seen = world.head()
    clone = world.checkout()
    git(clone, "checkout", "-q", "-b", "old", strict)
    old = put(clone, "NOTES.md", "Back to the strict one.\n")
    back = git(clone, "commit-tree", f"{old}^{{tree}}", "-p", seen, "-p", old, "-m", "Strict again")
    git(clone, "push", "-q", "origin", f"{back}:main")
    git(clone, "checkout", "-q", "-b", "feature", seen)
    commit = put(clone, where("dev"), release, "Release")
    merge = ["commit-tree", f"{commit}^{{tree}}", "-p", commit, "-p", back, "-m", "Merge main"]
    git(clone, "reset", "-q", "--hard", git(clone, *merge))
    forge.push(clone, "mallory").commit = commit
    (problem,) = world.sync().problems
    assert f"under the governing policy policy.yaml of commit {back[:12]}" in problem
    assert world.registry.at(MODEL, "dev") is None


@pytest.mark.parametrize("commits", [1, 3])
def test_a_pull_request_skips_no_environment(world: Any, forge: Simulator, commits: int) -> None:
    """It brings a model into each; what came with the same tip opens nothing, at no later look."""
    release = parse_release(proposed(world, world.promote("one", "dev").branch))
    clone = world.checkout()
    put(clone, "README.md", "Deployments.\n")
    git(clone, "push", "-q", "origin", "HEAD:main")
    assert world.sync().problems == []
    for environment in layout.ENVIRONMENTS:
        file = clone / where(environment)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(replace(release, environment=environment, previous="").render())
        if commits > 1:
            put(clone, where(environment), file.read_bytes())
    if commits == 1:
        put(clone, "README.md", "All of them.\n")
    forge.push(clone, "mallory")
    for _ in range(3):
        problems = world.sync().problems
        assert len([problem for problem in problems if "no environment is skipped" in problem]) == 2
        for environment in ("staging", "production"):
            assert world.registry.at(MODEL, environment) is None
    if commits > 1:  # Gitea knows the request by its last commit only
        return
    # The way out that it names: out of there, and proposed again; in dev too, because the request
    # changed another file with it.
    git(clone, "rm", "-q", *map(where, layout.ENVIRONMENTS))
    git(clone, "commit", "-qm", "Take it out")
    forge.push(clone, "grace")
    world.sync()
    for environment in ("dev", "staging"):
        done = world.promote("one", environment)
        forge.merge(done.request.number, "grace")
        assert world.sync().aliases == [f"churn@{environment} -> 1"]
    assert world.registry.at(MODEL, "production") is None


def test_an_entry_of_a_runner_opens_no_environment(world: Any, forge: Simulator, keys: Any) -> None:
    """A rollback of staging that names the first commit, as if staging had been there since."""
    for environment in ("dev", "staging"):
        if environment == "staging":
            assert world.sync().problems == []
        done = world.promote("one", environment)
        forge.merge(done.request.number, "grace")
    staged = parse_release(proposed(world, "main", "staging"))
    clone = world.checkout()
    skips = replace(staged, environment="production", previous="")
    put(clone, where("production"), skips.render())
    forge.push(clone, "mallory")
    world.sync()
    (problem,) = world.sync().problems
    assert "no environment is skipped" in problem
    services = log.configured(world.services)
    entry = replace(
        log.current(world.chain(), "staging"),
        event=log.Event.ROLLBACK,
        commit=git(world.bare, "rev-list", "--max-parents=0", "main"),
        statement="",
    )
    made = log.append(services, entry, keys.signer("runs"))
    assert log.current(world.chain(), "staging").name == made.name
    (problem,) = world.sync().problems
    assert "no environment is skipped" in problem
    assert world.registry.at(MODEL, "production") is None


def test_a_runner_states_no_other_model_of_a_release(
    world: Any, forge: Simulator, keys: Any
) -> None:
    """A rollback, or the announcement of one, to what was in staging, as if it were a bad model."""
    for environment in ("dev", "staging"):
        if environment == "staging":
            assert world.sync().problems == []
        done = world.promote("one", environment)
        forge.merge(done.request.number, "grace")
    assert world.sync().problems == []
    services = log.configured(world.services)
    staged = log.current(world.chain(), "staging")
    bad = world.models["bad"]
    forged = replace(staged, event=log.Event.ROLLBACK, digest=bad, commit="", statement="")
    log.append(services, forged, keys.signer("runs"))
    announced = replace(forged, event=log.Event.INTENT, intends=log.Event.ROLLBACK.value)
    log.append(services, announced, keys.signer("runs"))
    for entry in world.chain()[-2:]:
        assert "never in this environment with an approval" in entry.refused
    assert log.current(world.chain(), "staging").digest == world.models["one"]
    refused(
        lambda: eligibility.require_reached(services, MODEL, "production", bad),
        RunBlocked,
        "was never in staging",
    )


def test_staging_within_a_pull_request_does_not_open_production(
    world: Any, forge: Simulator, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("ASSAY_FORGE", "none")
        patch.setenv("ASSAY_SIGNING_KEY", keys.private["ann"])
        world.release("one", "dev", "staging")
        world.release("two", "dev")
    old = proposed(world, "main", "staging")
    two = parse_release(proposed(world, "main"))
    staged = replace(two, environment="staging", previous=parse_release(old).name)
    clone = world.checkout()
    base = world.head()
    put(clone, where("staging"), staged.render())
    put(clone, where("staging"), old)
    put(clone, where("production"), replace(two, environment="production", previous="").render())
    assert git(clone, "diff", "--name-only", base, "HEAD") == where("production")
    forge.push(clone, "mallory")
    for _ in range(2):
        synced = world.sync()
        assert any("never in staging" in problem for problem in synced.problems)
    assert world.registry.at(MODEL, "production") is None
    assert log.current(world.chain(), "staging").digest == world.models["one"]
    refused(lambda: world.promote("two", "production"), RunBlocked, "never in staging")


def test_what_was_merged_and_replaced_unseen_is_recorded_and_passed_over(
    world: Any, forge: Simulator
) -> None:
    """Two pull requests between two looks: the first is approved, and was nowhere."""
    for name in ("one", "two"):
        done = world.promote(name, "dev")
        forge.merge(done.request.number, "grace")
        if name == "one":
            assert world.sync().problems == []
    done = world.promote("three", "dev")
    forge.merge(done.request.number, "grace")
    synced = world.sync()
    assert (synced.problems, synced.aliases) == ([], ["churn@dev -> 3"])
    assert [entry.event for entry in world.entries()] == ["release", "passed", "release"]
    assert log.current(world.chain(), "dev").digest == world.models["three"]
    assert CliRunner().invoke(cli, ["release", "list", MODEL, "--verify"]).exit_code == 0
    to = world.models["two"]
    refused(lambda: world.roll_back("dev", to=to), UsageError, "was never released")
    assert world.roll_back("dev").release.digest == world.models["one"]
    assert world.sync().problems == []


def test_a_release_that_was_refused_and_rolled_back_comes_late(
    world: Any, forge: Simulator
) -> None:
    """A look saw it on the branch and could not record it; the next comes behind the rollback."""
    for name in ("one", "two", "three"):
        done = world.promote(name, "dev")
        forge.merge(done.request.number, "grace")
        if name == "three":
            world.registry.tag(MODEL, "3", {MODEL_TAG: world.models["one"]})
            (problem,) = world.sync().problems
            assert "registryVersion is 3" in problem
        else:
            assert world.sync().problems == []
    assert world.roll_back("dev").release.digest == world.models["two"]
    world.registry.tag(MODEL, "3", {MODEL_TAG: world.models["three"]})
    synced = world.sync()
    assert (synced.problems, [e.event for e in synced.approved]) == ([], ["passed"])
    assert log.current(world.chain(), "dev").digest == world.models["two"]
    assert world.registry.at(MODEL, "dev").model == world.models["two"]
    assert world.roll_back("dev").release.digest == world.models["one"]


def test_a_merge_with_an_older_commit_as_first_parent_is_reported(world: Any) -> None:
    """A push that is a fast-forward, and takes the newest release back."""
    world.release("one", "dev")
    old = world.head()
    world.release("two", "dev")
    override.revoke(world.deployment, world.models["one"], by=ANN, why="leaks personal data")
    clone = world.checkout()
    merge = git(clone, "commit-tree", f"{old}^{{tree}}", "-p", old, "-p", "HEAD", "-m", "Merge")
    git(clone, "push", "-q", "origin", f"{merge}:main")
    synced = world.sync()
    assert ["left the line of commits" in problem for problem in synced.problems] == [True]
    assert world.registry.at(MODEL, "dev").model == world.models["two"]


def test_a_merge_that_leaves_a_rollback_that_no_look_saw_is_reported(world: Any) -> None:
    """The release log knows the commit, so it was on the branch."""
    world.release("one", "dev")
    world.release("two", "dev")
    before = world.head()
    world.roll_back("dev")
    clone = world.checkout()
    undo = ["commit-tree", f"{before}^{{tree}}", "-p", before, "-p", "HEAD", "-m", "Merge main"]
    git(clone, "push", "-q", "origin", f"{git(clone, *undo)}:main")
    for _ in range(2):
        synced = world.sync()
        (problem,) = synced.problems
        assert "left the line of commits" in problem
        assert "is in the release log" in problem
        assert synced.approved == []
    assert world.registry.at(MODEL, "dev").model == world.models["one"]
    # The way back that it names: what came stands behind the rollback, and nobody approved it.
    words = problem.partition("git checkout ")[2].split(";")[0]
    git(clone, "fetch", "-q")
    git(clone, "checkout", "-q", words)
    git(clone, "merge", "-q", "--no-ff", "-m", "Back", "origin/main")
    git(clone, "push", "-q", "origin", "HEAD:main")
    (problem,) = world.sync().problems
    assert "was merged into dev without an approval" in problem
    assert world.registry.at(MODEL, "dev").model == world.models["one"]


@pytest.mark.parametrize("kind", ["link", "submodule"])
def test_what_is_no_folder_in_the_place_of_a_release_is_reported(world: Any, kind: str) -> None:
    world.release("one", "dev")
    clone = world.checkout()
    base = git(clone, "rev-parse", "HEAD")
    git(clone, "rm", "-rq", "models/churn/dev")
    if kind == "link":
        put(clone, "elsewhere/release.yaml", "anything: at all\n")
        (clone / "models/churn").mkdir(parents=True, exist_ok=True)
        (clone / "models/churn/dev").symlink_to("../../elsewhere")
        git(clone, "add", "-A")
    else:
        entry = f"160000,{base},models/churn/dev"
        git(clone, "update-index", "--add", "--cacheinfo", entry)
    git(clone, "commit", "-qm", "Elsewhere")
    git(clone, "push", "-q", "origin", "HEAD:main")
    output = f"a {kind}, where a release must be a file"
    assert [output in problem for problem in world.sync().problems] == [True]
    _, problems = lint(world.without_registry, world.checkout(), base)
    assert [output in problem.text for problem in problems] == [True]


def test_a_runner_cannot_say_what_the_tip_was(world: Any, keys: Any) -> None:
    """A tip that nobody saw would let a policy count that came on the way."""
    world.release("one", "dev")
    before = world.head()
    clone = world.checkout()
    put(clone, "policy.yaml", LAX)
    weak = put(clone, "README.md", "Deployments.\n")
    git(clone, "push", "-q", "origin", "HEAD:main")
    chain = log.tips_chain(world.settings.url, world.settings.branch)
    (seen,) = log.read(world.services, chain)
    forged = replace(seen, commit=weak, name="")
    refused(
        lambda: log.append(world.services, forged, keys.signer("runs")),
        UsageError,
        "takes a key with the role approver or recorder",
    )
    # What such a key may write says nothing, and a tip by a forged pointer does not count.
    intent = replace(forged, event=log.Event.INTENT, intends="release")
    log.append(world.services, intent, keys.signer("runs"))
    last = log.names(world.store, chain)[-1]
    data, media = statement.encode(
        Kind.LOG,
        seen.digest,
        replace(forged, number=3, previous=last).predicate(),
        keys.signer("runs"),
    )
    name = world.store.put_bytes(data, media).digest
    world.store.write_pointer(log_entry.pointer(chain, 3), name.encode())
    assert "requires a key with" in log.read(world.services, chain)[-1].refused
    with Repository.open(world.settings) as repository:
        line = Line.read(world.deployment.over(repository))
        assert (line.before(weak), line.problems()) == (before, [])
        assert line.before(world.head()) == before
    assert log.models(world.store) == [MODEL]
    assert [fault.broken for fault in log.check(world.store, world.services.verifier)] == [False]
