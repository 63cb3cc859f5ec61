"""Releases over HTTP: real Git behind a login, simulated forges, a real Gitea if there is one."""

import json
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assay.core import retry
from assay.errors import ServiceError, UsageError
from assay.releases import log, rollback
from assay.releases.forge import Forge, open_forge
from assay.releases.repository import Repository
from assay.releases.settings import Settings

from simulators import git_http
from simulators.forge import Pull, Simulator, git, serve
from simulators.gitea import Gitea
from simulators.github import GitHub
from simulators.gitlab import GitLab

MODEL = "churn"
ANN = "Ann Approver <ann@example.org>"
BRANCH = "assay/churn/dev/0123456789ab"
LABELS = ["assay", "dev"]


@pytest.fixture
def server(world: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[git_http.GitServer]:
    """The world's repository over HTTP."""
    with git_http.serve(world.root) as running:
        monkeypatch.setenv("ASSAY_DEPLOYMENTS", f"{running.url}/team/deployments.git")
        monkeypatch.setenv("ASSAY_GIT_TOKEN", running.writer)
        yield running


def test_a_release_over_http_leaves_the_token_nowhere(
    world: Any, server: git_http.GitServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world.release("one", "dev")
    assert log.read(world.services, MODEL)[0].digest == world.models["one"]
    assert server.writer not in caplog.text
    assert all(server.writer not in path for path in server.requests)
    for path in world.store.list_pointers("statements/"):
        assert server.writer.encode() not in (world.store.read_pointer(path) or b"")


def test_a_token_without_the_right_to_write_is_reported_in_one_line(
    world: Any, server: git_http.GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.release("one", "dev")
    head = world.head()
    monkeypatch.setenv("ASSAY_GIT_TOKEN", server.reader)
    with pytest.raises(ServiceError) as raised:
        world.promote("two", "dev")
    assert "ASSAY_GIT_TOKEN" in str(raised.value)
    assert server.reader not in str(raised.value)
    monkeypatch.setenv("ASSAY_GIT_TOKEN", "wrong")
    with pytest.raises(ServiceError, match="ASSAY_GIT_TOKEN"):
        world.promote("two", "dev")
    assert world.head() == head


@pytest.mark.slow
def test_a_remote_that_answers_503_again_and_again_is_waited_out(
    world: Any, server: git_http.GitServer
) -> None:
    # A fetch is three requests, so that no more can fail for one to succeed at all.
    server.fail_every = 4
    world.release("one", "dev")
    assert world.promote("one", "dev").outcome == "released"


@pytest.mark.slow
def test_rollback_while_git_is_down_is_reconciled_afterwards(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.release("one", "dev")
    world.release("two", "dev")
    head = world.head()
    monkeypatch.setenv("ASSAY_DEPLOYMENTS", "http://127.0.0.1:1/team/deployments.git")
    with pytest.raises(ServiceError, match="--now"):
        world.roll_back("dev", now=False)
    done = world.roll_back("dev")
    assert (done.release.digest, done.commit) == (world.models["one"], "")
    assert any("reconcile" in note for note in done.notes)
    assert world.registry.at(MODEL, "dev").model == world.models["one"]
    assert world.head() == head
    monkeypatch.setenv("ASSAY_DEPLOYMENTS", str(world.bare))
    (entry,) = rollback.reconcile(world.deployment, by=ANN)
    assert entry.event == "reconciled"
    assert entry.commit == world.head() != head
    entries = log.read(world.services, MODEL)
    assert log.current(entries, "dev").digest == world.models["one"]
    assert git(world.bare, "rev-parse", "main:models/churn/dev") == git(
        world.bare, "rev-parse", "main~2:models/churn/dev"
    )
    assert world.sync().problems == []
    assert rollback.reconcile(world.deployment, by=ANN) == []


# Forges.


@pytest.fixture(params=["github", "gitlab", "gitea"])
def simulator(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Simulator]:
    bare = tmp_path / "team" / "deployments.git"
    if "world" in request.fixturenames:
        bare = request.getfixturevalue("world").bare
    made = {"github": GitHub, "gitlab": GitLab, "gitea": Gitea}[request.param](bare)
    with serve(made) as running:
        monkeypatch.setenv("ASSAY_FORGE", request.param)
        monkeypatch.setenv("ASSAY_FORGE_URL", running.url)
        monkeypatch.setattr(retry, "FORGE", replace(retry.FORGE, longest_wait=0.01))
        yield running


@pytest.fixture
def forge(simulator: Simulator) -> Forge:
    return forge_of(simulator, simulator.token)


def forge_of(simulator: Simulator, token: str) -> Forge:
    kind = type(simulator).__name__.lower()
    settings = Settings(
        f"{simulator.url}/team/deployments.git", forge=kind, forge_url=simulator.url, token=token
    )
    # Nothing of a repository is needed but its settings.
    repository = Repository.__new__(Repository)
    repository.settings = settings
    return open_forge(repository)


def test_a_pull_request_is_opened_once_and_then_updated(simulator: Simulator, forge: Forge) -> None:
    assert forge.find(BRANCH) is None
    made = forge.open(BRANCH, "main", "A title", "A body", LABELS)
    assert forge.find(BRANCH) == made
    assert forge.open(BRANCH, "main", "A title", "A body", LABELS) == made, "it is there already"
    (pull,) = simulator.pulls
    pull.labels.append("a person's own")
    forge.update(made, "Another title", "Another body", LABELS)
    assert (pull.title, pull.body) == ("Another title", "Another body")
    assert set(pull.labels) == {*LABELS, "a person's own"}
    forge.close(made, "superseded")
    assert pull.comments == ["superseded"]
    found = forge.find(BRANCH)
    assert found is not None
    assert found.state == "closed"


def test_a_pull_request_of_a_fork_is_not_that_of_a_branch_of_the_same_name(
    simulator: Simulator, forge: Forge
) -> None:
    """It would be updated, and shown as the proposal, with the files of a stranger."""
    theirs = [
        Pull(number, BRANCH, "main", "Mine", "", state=state, repository=8)
        for number, state in enumerate(("open", "closed"), start=1)
    ]
    simulator.pulls += theirs
    assert forge.find(BRANCH) is None
    made = forge.open(BRANCH, "main", "A title", "A body", LABELS)
    simulator.pulls.append(Pull(4, BRANCH, "main", "Mine", "", repository=8))
    assert made.number == 3
    assert forge.find(BRANCH) == made
    assert {pull.title for pull in simulator.pulls} == {"Mine", "A title"}
    forge.close(made, "superseded")
    found = forge.find(BRANCH)
    assert found is not None
    assert (found.number, found.state) == (3, "closed")


def test_an_answer_that_was_lost_opens_no_second_one(simulator: Simulator, forge: Forge) -> None:
    simulator.lose_answer_to = "POST"
    made = forge.open(BRANCH, "main", "A title", "A body", LABELS)
    assert [pull.number for pull in simulator.pulls] == [made.number]


def test_faults_half_the_time_and_a_rate_limit_are_waited_out(
    simulator: Simulator, forge: Forge
) -> None:
    simulator.fail_every, simulator.limited = 2, 2
    made = forge.open(BRANCH, "main", "A title", "A body", LABELS)
    assert forge.find(BRANCH) == made
    assert len(simulator.pulls) == 1


def test_gitea_takes_a_repository_for_empty_a_while_after_the_first_push(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FORGE", replace(retry.FORGE, longest_wait=0.01))
    with serve(Gitea(tmp_path, late=3)) as running:
        forge = forge_of(running, running.token)
        assert forge.find(BRANCH) is None
        assert running.late == 0


def test_a_forge_that_fails_for_good_is_reported_in_one_line(
    simulator: Simulator, forge: Forge
) -> None:
    simulator.fail_every = 1
    with pytest.raises(ServiceError) as raised:
        forge.find(BRANCH)
    assert "answered 502" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("token", "hint"), [("reader", "lacks the right"), ("", "not set")])
def test_tokens_that_do_not_do(simulator: Simulator, token: str, hint: str) -> None:
    given = simulator.reader if token else ""
    with pytest.raises((ServiceError, UsageError), match=hint) as raised:
        forge_of(simulator, given).open(BRANCH, "main", "A title", "A body", LABELS)
    assert simulator.reader not in str(raised.value)
    with pytest.raises(ServiceError, match="wrong or expired"):
        forge_of(simulator, "wrong").find(BRANCH)


@pytest.mark.parametrize("fail_every", [0, 2], ids=["sound", "fails half the time"])
def test_a_release_through_a_forge_names_who_merged_it(
    world: Any, keys: Any, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, fail_every: int
) -> None:
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["recorder"])
    monkeypatch.setenv("ASSAY_GIT_TOKEN", simulator.token)
    # The repository itself comes from the disk; the forge is asked about `team/deployments`.
    monkeypatch.setattr(Settings, "repository", property(lambda _: "team/deployments"))
    simulator.fail_every = fail_every
    done = world.promote("one", "dev")
    assert done.request is not None
    assert world.promote("one", "dev").request == done.request
    (pull,) = simulator.pulls
    assert "## Metrics" in pull.body
    assert world.models["one"] in pull.body
    assert set(pull.labels) == set(LABELS)
    with pytest.raises(UsageError, match="merge the pull request on"):
        world.approve("dev")
    commit = simulator.merge(done.request.number, "grace")
    synced = world.sync()
    assert synced.problems == []
    (entry,) = synced.approved
    assert (entry.by, entry.commit) == ("grace", commit)


# A real Gitea.


@pytest.fixture
def gitea_team(
    gitea: Any, world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """A repository of a bot's, and a person who may merge; the recorder's key signs."""
    import uuid

    tokens = {}
    for name in ("bot", "ann", "reader"):
        user = f"{name}-{uuid.uuid4().hex[:6]}"
        output = gitea.admin(
            "user", "create", "--username", user, "--password", uuid.uuid4().hex,
            "--email", f"{user}@example.org", "--must-change-password=false",
            "--access-token", "--access-token-scopes", "all",
        )  # fmt: skip
        tokens[name] = output.strip().splitlines()[-1].split()[-1]
        tokens[f"{name} user"] = user
    owner = tokens["bot user"]
    api(gitea, tokens["bot"], "POST", "/user/repos", {"name": "deployments", "private": False})
    for name, right in (("ann", "write"), ("reader", "read")):
        path = f"/repos/{owner}/deployments/collaborators/{tokens[f'{name} user']}"
        api(gitea, tokens["bot"], "PUT", path, {"permission": right})
    monkeypatch.setenv("ASSAY_DEPLOYMENTS", f"{gitea.url}/{owner}/deployments.git")
    monkeypatch.setenv("ASSAY_FORGE", "gitea")
    monkeypatch.setenv("ASSAY_GIT_TOKEN", tokens["bot"])
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["recorder"])
    return tokens


def api(gitea: Any, token: str, method: str, path: str, content: Any = None) -> Any:
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{gitea.url}/api/v1{path}",
        method=method,
        data=json.dumps(content).encode() if content is not None else None,
        headers={"Authorization": f"token {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        data = answer.read()
    return json.loads(data) if data else None


@pytest.mark.slow
def test_a_release_through_a_real_gitea(
    world: Any, gitea: Any, gitea_team: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = gitea_team["bot user"]
    root = f"/repos/{owner}/deployments"
    done = world.promote("one", "dev")
    assert done.request is not None
    again = world.promote("one", "dev")
    assert (again.outcome, again.request) == ("unchanged", done.request)
    pull = api(gitea, gitea_team["bot"], "GET", f"{root}/pulls/{done.request.number}")
    assert "## Metrics" in pull["body"]
    assert {label["name"] for label in pull["labels"]} == set(LABELS)
    assert world.sync().approved == []
    merge = f"{root}/pulls/{done.request.number}/merge"
    api(gitea, gitea_team["ann"], "POST", merge, {"Do": "merge"})
    synced = world.sync()
    assert synced.problems == []
    assert [entry.by for entry in synced.approved] == [gitea_team["ann user"]]
    assert world.registry.at(MODEL, "dev").model == world.models["one"]
    # Two at once: the second to be merged conflicts until it is promoted again.
    two, three = world.promote("two", "dev"), world.promote("three", "dev")
    api(
        gitea,
        gitea_team["ann"],
        "POST",
        f"{root}/pulls/{two.request.number}/merge",
        {"Do": "merge"},
    )
    with pytest.raises(urllib.error.HTTPError):
        api(
            gitea,
            gitea_team["ann"],
            "POST",
            f"{root}/pulls/{three.request.number}/merge",
            {"Do": "merge"},
        )
    updated = world.promote("three", "dev")
    assert (updated.outcome, updated.request) == ("updated", three.request)
    back = world.roll_back("dev", now=False)
    assert back.request is not None
    api(
        gitea,
        gitea_team["ann"],
        "POST",
        f"{root}/pulls/{back.request.number}/merge",
        {"Do": "squash"},
    )
    synced = world.sync()
    assert synced.problems == []
    # Nobody looked at the branch between the two merges.
    assert [entry.event for entry in synced.approved] == ["passed", "rollback"]
    assert world.registry.at(MODEL, "dev").model == world.models["one"]
    # Who may only read.
    monkeypatch.setenv("ASSAY_GIT_TOKEN", gitea_team["reader"])
    with pytest.raises(ServiceError, match="ASSAY_GIT_TOKEN") as raised:
        world.promote("two", "dev")
    assert gitea_team["reader"] not in str(raised.value)
