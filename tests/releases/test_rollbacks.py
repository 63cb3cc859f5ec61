"""Rollbacks, drills, the release log and the collector, on real Git without a forge."""

import json
import os
import re
import time
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from assay.cli import cli
from assay.cluster.doctor.checks import Ground, Status
from assay.cluster.doctor.services import check_releases
from assay.components.rollback_drill.step import rollback_drill
from assay.core.attestation import load
from assay.core.execution import Context, execute
from assay.core.tree import get_manifest
from assay.errors import (
    IntegrityError,
    RunBlocked,
    ServiceError,
    UsageError,
)
from assay.releases import drill, drill_age, golden, log, override, rollback, statement
from assay.releases.log import entry as log_entry
from assay.releases.statement import Kind
from assay.runtime.kfp import BLOCKS
from assay.runtime.kfp import execute as run_as_task

from simulators.forge import git
from stories import flip, refused

pytestmark = pytest.mark.slow

MODEL = "churn"
ANN = "Ann Approver <ann@example.org>"


def test_rollback_restores_exactly_what_was_and_a_second_goes_further(world: Any) -> None:
    for name in ("one", "two", "three"):
        world.release(name, "dev")
    before = git(world.bare, "rev-parse", "main~2:models/churn/dev")
    done = world.roll_back("dev")
    assert list(done.seconds) == ["find", "verify", "warm", "restore", "record"]
    assert git(world.bare, "rev-parse", "main~1:models/churn/dev") != before
    two = git(world.bare, "log", "--format=%H", "--first-parent", "main").splitlines()[2]
    assert git(world.bare, "rev-parse", "main:models/churn/dev") == git(
        world.bare, "rev-parse", f"{two}:models/churn/dev"
    )
    message = git(world.bare, "log", "-1", "--format=%B", "main")
    assert "wrong predictions" in message
    assert f"Signed-off-by: {ANN}" in message
    version = world.registry.at(MODEL, "dev")
    assert version is not None
    assert version.model == world.models["two"]
    assert world.roll_back("dev").release.digest == world.models["one"]
    refused(lambda: world.roll_back("dev"), UsageError, "no release", "came before")
    assert [e.event for e in world.entries()] == ["release"] * 3 + ["rollback"] * 2
    assert world.sync().problems == []
    # Forward again, to one that is named.
    forth = world.roll_back("dev", to=world.models["three"])
    assert forth.release.digest == world.models["three"]


def test_a_rollback_by_pull_request_is_approved_like_any_other(world: Any) -> None:
    world.release("one", "dev")
    world.release("two", "dev")
    done = world.roll_back("dev", now=False)
    assert done.request is not None
    assert "record" not in done.seconds
    assert world.registry.at(MODEL, "dev").model == world.models["two"]
    world.approve("dev", digest=world.models["one"])
    synced = world.sync()
    assert synced.problems == []
    assert [(e.event, e.why) for e in synced.approved] == [("rollback", "wrong predictions")]
    assert world.registry.at(MODEL, "dev").model == world.models["one"]


def test_a_corrupt_blob_is_refused_before_anything_changes(world: Any) -> None:
    for name in ("one", "two", "three"):
        world.release(name, "dev")
    flip(world.model_file("two"))
    head, count = world.head(), len(world.entries())
    output = refused(
        lambda: world.roll_back("dev"), IntegrityError, "nothing was changed", "damaged"
    )
    assert f"assay release rollback 'churn' dev --to {world.models['one']}" in output
    assert (world.head(), len(world.entries())) == (head, count)
    assert world.registry.at(MODEL, "dev").model == world.models["three"]
    assert world.roll_back("dev", to=world.models["one"]).release.digest == world.models["one"]


def test_rollback_needs_neither_mlflow_nor_the_training_data(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.release("one", "dev")
    world.release("two", "dev")
    data = {e.digest for e in world.entries()}
    assert data
    release = log.get_release(world.store, world.entries()[0].release)
    from assay.core.tree import get_manifest

    for entry in get_manifest(world.store, release.data).files:
        world.blob(entry.blob.digest).unlink()
    world.blob(release.data).unlink()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    done = world.roll_back("dev")
    assert done.release.digest == world.models["one"]
    assert any("alias was not moved" in note for note in done.notes)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{world.root}/mlflow.db")
    assert world.sync().aliases == ["churn@dev -> 1"]


def test_a_view_that_was_altered_is_mended_by_a_rollback(world: Any) -> None:
    world.release("one", "dev")
    world.release("two", "dev")
    view = world.root / "store" / "views" / world.models["one"][7:] / "model.skops"
    right = view.read_bytes()
    flip(view)
    world.roll_back("dev")
    assert view.read_bytes() == right


def test_a_drill_goes_back_and_forth_and_is_evidence(
    world: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    world.release("one", "dev", "staging")
    assert drill_age.evidence(world.services, MODEL, world.models["two"]).values == {
        drill_age.EVIDENCE: None
    }
    world.release("two", "dev", "staging")
    done = drill.drill(world.deployment, MODEL, "staging", by=ANN)
    assert done.rows == {world.models["one"]: 100, world.models["two"]: 100}
    assert done.passed
    drill.require_passed(done)
    assert world.registry.at(MODEL, "staging").model == world.models["two"]
    text = drill.metrics(done).decode()
    assert 'assay_rollback_drill_seconds{environment="staging",model="churn"}' in text
    assert "assay_rollback_drill_last_success_timestamp_seconds{" in text
    found = drill_age.evidence(world.services, MODEL, world.models["three"])
    assert found.subjects == {"model": world.models["three"]}
    days = found.values[drill_age.EVIDENCE]
    assert days is not None
    assert 0 <= days < 1
    done.seconds = drill.MAX_SECONDS + 1
    refused(lambda: drill.require_passed(done), RunBlocked, "the limit is 300 s")

    # As a task of a pipeline: a drill that was too slow ends it, once its record is stored.
    monkeypatch.setattr(drill, "MAX_SECONDS", 0.0)
    with pytest.raises(SystemExit) as stop:
        run_as_task(rollback_drill, {"model_name": MODEL}, "record", judge=BLOCKS)
    assert stop.value.code == RunBlocked.exit_code
    output = capfd.readouterr().err
    assert "error: blocked: rolling 'churn' back in staging took" in output
    record = re.search(r"(sha256:[0-9a-f]{64})\)", output)
    assert record is not None
    files = {entry.path for entry in get_manifest(world.store, record[1]).files}
    assert files == {"record.json", "metrics.prom", "summary.md"}
    assert world.registry.at(MODEL, "staging").model == world.models["two"]


def test_a_drill_and_what_is_where_by_command(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def assay(*words: str) -> Any:
        return CliRunner().invoke(cli, ["release", *words])

    assert "nothing was released" in assay("list").output
    world.release("one", "dev", "staging")
    world.release("two", "dev", "staging")
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["runs"])
    done = assay("drill", MODEL, "staging", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert (found["verdict"], found["seconds"] > 0) == ("pass", True)
    (record,) = load(world.store, found["attestation"], None).outputs.values()
    assert record.digest == found["record"]
    listed = json.loads(assay("list", "--json").output)
    assert {(entry["environment"], entry["modelDigest"]) for entry in listed} == {
        ("dev", world.models["two"]), ("staging", world.models["two"]),
    }  # fmt: skip
    outage = assay("drill", MODEL, "production").exception
    assert isinstance(outage, UsageError)
    assert "would be an outage" in str(outage)
    assert isinstance(assay("list", "--at", "2026-01-01").exception, UsageError)
    assert "nothing to reconcile" in assay("reconcile").output


def test_what_a_drill_lacks_is_said_at_once_before_anything_moves(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.release("one", "dev")
    head = world.head()
    monkeypatch.setenv("ASSAY_SIGNING_KEY", "")
    context = Context(world.store, verifier=world.services.verifier)

    def rehearse() -> Any:
        return execute(rollback_drill, {"model_name": MODEL, "environment": "dev"}, context)

    # A first set-up lacks both, and is told both.
    refused(
        rehearse,
        UsageError,
        "ASSAY_SIGNING_KEY is not set, and a drill is a signed statement",
        "Secret assay-runner",
        "no release of 'churn' came before the one in dev, so a drill cannot go back",
        "assay release promote 'churn' dev",
    )
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["stranger"])
    refused(rehearse, UsageError, "does not list key", "a drill cannot go back")
    assert world.head() == head
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["ann"])
    world.release("two", "dev")
    assert drill_age.missing_for_drill(world.services, MODEL, "dev") == []
    (never,) = map(str, drill_age.missing_for_drill(world.services, MODEL, "staging"))
    assert never.startswith("'churn' was never released to staging; release two models")

    # doctor looks where drills are made.
    key, rehearsal_of = check_releases(Ground())
    assert (key.check, key.status) == ("signing of releases", Status.OK)
    assert key.detail.endswith("signs approvals, overrides, revocations")
    assert (rehearsal_of.check, rehearsal_of.status, rehearsal_of.detail) == (
        "rollback drill churn",
        Status.WARNING,
        "'churn' was never released to staging",
    )
    monkeypatch.setattr("assay.cluster.doctor.services.REHEARSED", "dev")
    assert [finding.status for finding in check_releases(Ground())] == [Status.OK, Status.OK]
    # Releases there are, although this pod does not know the deployment repository.
    monkeypatch.delenv("ASSAY_DEPLOYMENTS")
    monkeypatch.delenv("ASSAY_SIGNING_KEY")
    assert check_releases(Ground())[0].status is Status.FAILED


def test_a_drill_finds_a_model_that_predicts_otherwise(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.models.files import LoadedModel

    world.release("one", "dev", "staging")
    world.release("two", "dev", "staging")
    honest = LoadedModel.predict_proba
    monkeypatch.setattr(
        LoadedModel, "predict_proba", lambda self, frame: honest(self, frame) * (1 - 2**-52)
    )
    refused(
        lambda: drill.drill(world.without_registry, MODEL, "staging", by=ANN),
        IntegrityError,
        "golden predictions",
    )
    # Staging has its release again all the same.
    assert log.current(world.entries(), "staging").digest == world.models["two"]


def test_a_drill_leaves_alone_what_it_could_not_put_back(world: Any) -> None:
    world.release("one", "dev")
    world.release("two", "dev")
    override.revoke(world.deployment, world.models["two"], by=ANN, why="leaks personal data")
    head = world.head()
    refused(
        lambda: drill.drill(world.without_registry, MODEL, "dev", by=ANN),
        RunBlocked,
        "revoked",
    )
    assert world.head() == head


def test_the_log_answers_what_was_there_and_shows_tampering(world: Any) -> None:
    for name in ("one", "two"):
        world.release(name, "dev")
    first, second = world.entries()
    assert log.current([first, second], "dev", first.at).digest in {first.digest, second.digest}
    assert log.current([first, second], "dev", "2000-01-01T00:00:00Z") is None
    assert log.current([first, second], "dev").digest == second.digest
    pointers = world.store.list_pointers(log_entry.prefix(MODEL))
    intent = world.chain()[0]
    # An entry taken out of the middle, one exchanged for another, one signed by nobody.
    path = world.root / "store" / pointers[0]
    content = path.read_bytes()
    path.unlink()
    refused(world.entries, IntegrityError, "entry 1 is missing")
    path.write_bytes((world.root / "store" / pointers[1]).read_bytes())
    refused(world.entries, IntegrityError, "does not follow")
    predicate = {**intent.predicate(), "by": "Nobody <nobody@example.org>"}
    data, media = statement.encode(Kind.LOG, first.release, predicate, None)
    path.write_bytes(world.store.put_bytes(data, media).digest.encode())
    refused(world.entries, IntegrityError, "entry 2: does not follow")
    path.write_bytes(content)
    assert len(world.entries()) == 2


def test_what_the_collector_must_keep(world: Any) -> None:
    for name in ("one", "two", "three"):
        world.release(name, "dev")
    kept = log.live(world.store, world.services.verifier)
    assert {world.models[name] for name in ("one", "two", "three")} <= kept
    assert {e.name for e in world.entries()} <= kept
    world.roll_back("dev")
    assert world.models["one"] in log.live(world.store, world.services.verifier)


def collect(world: Any) -> Any:
    """Let the collector run, when all that is there is older than its grace period."""
    then = time.time() - 30 * 24 * 3600
    for path in (world.root / "store").rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, (then, then))
    return CliRunner().invoke(cli, ["store", "gc", "--delete", "--no-registry"])


def test_two_releases_before_the_one_that_is_there_survive_the_collector(world: Any) -> None:
    for name in ("one", "two", "three"):
        world.release(name, "dev", "staging")
    override.revoke(world.deployment, world.models["bad"], by=ANN, why="leaks personal data")
    missing = world.model_file("bad")
    # Nothing but the log and what it rests on stands between the releases and the collector.
    done = collect(world)
    assert done.exception is None, done.output
    assert not missing.exists(), "what was never released goes"
    assert log.revocation(world.services, world.models["bad"])
    back = world.roll_back("staging", to=world.models["one"]).release
    assert back.digest == world.models["one"]
    assert golden.check(world.services, back.digest, back.golden) == 100
    world.roll_back("staging", to=world.models["two"])
    # Again, when the newest are no longer those that a rollback would go to.
    world.roll_back("staging")
    done = collect(world)
    assert done.exception is None, done.output
    assert world.roll_back("staging", to=world.models["three"]).notes == []
    assert len(world.entries()) == 10


def test_a_broken_log_stops_the_collector(world: Any) -> None:
    world.release("one", "dev")
    pointer = world.store.list_pointers(log_entry.prefix(MODEL))[0]
    world.blob((world.root / "store" / pointer).read_text()).unlink()
    before = sorted(world.store.iter_blobs())
    done = collect(world)
    assert isinstance(done.exception, UsageError)
    assert "nothing was removed" in str(done.exception)
    assert "release log" in str(done.exception)
    assert sorted(world.store.iter_blobs()) == before


def test_who_approves_what_is_not_there_is_reported_what_is(world: Any) -> None:
    done = world.promote("one", "dev")
    refused(lambda: world.approve("qa"), UsageError, "no environment 'qa'", "dev, staging")
    refused(lambda: world.approve("staging"), UsageError, "in staging", done.branch)


def test_a_remote_that_is_not_there_is_one_line(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_DEPLOYMENTS", str(world.root / "nowhere.git"))
    refused(lambda: world.promote("one", "dev"), ServiceError, "nowhere.git", "ASSAY_DEPLOYMENTS")
    monkeypatch.setenv("ASSAY_DEPLOYMENTS", "https://user:secret@forge.example/x.git")
    output = refused(lambda: world.promote("one", "dev"), UsageError, "ASSAY_GIT_TOKEN")
    assert "secret" not in output


def test_reconcile_without_anything_to_do(world: Any) -> None:
    world.release("one", "dev")
    assert rollback.reconcile(world.deployment, by=ANN) == []


def test_an_entry_of_a_runner_does_not_put_back_a_revoked_model(world: Any, keys: Any) -> None:
    for name in ("one", "two"):
        world.release(name, "dev")
    override.revoke(world.deployment, world.models["two"], by="", why="leaks names")
    world.roll_back("dev")
    with world.deployment.open() as opened:
        two = next(e for e in opened.entries(MODEL) if e.digest == world.models["two"])
        entry = replace(
            two,
            event=log.Event.ROLLBACK,
            at=statement.now(),
            by="Runs",
            commit="",
            statement="",
            intends="",
            name="",
        )
        replace(opened, signer=keys.signer("runs")).append(entry)
    assert any("was revoked by" in problem for problem in world.sync().problems)
    assert world.registry.at(MODEL, "dev").model == world.models["one"]
    refused(lambda: rollback.reconcile(world.deployment, by=ANN), RunBlocked, "was revoked by")
    shown = git(world.bare, "show", f"main:models/{MODEL}/dev/release.yaml")
    assert world.models["one"] in shown


def test_a_model_that_was_revoked_since_a_rollback_without_git_is_not_put_back(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        world.release(name, "dev")
    with monkeypatch.context() as patch:
        patch.setenv("ASSAY_DEPLOYMENTS", "http://127.0.0.1:1/team/deployments.git")
        world.roll_back("dev")
    override.revoke(world.deployment, world.models["one"], by="", why="leaks names")
    refused(lambda: rollback.reconcile(world.deployment, by=ANN), RunBlocked, "was revoked by")
    shown = git(world.bare, "show", f"main:models/{MODEL}/dev/release.yaml")
    assert world.models["two"] in shown


def test_an_intent_of_a_runner_to_what_nobody_approved_adds_no_entries(
    world: Any, keys: Any
) -> None:
    world.release("one", "dev")
    proposed = world.promote("two", "dev")
    folder = world.checkout()
    git(folder, "merge", "-q", "--no-ff", "-m", "merge", f"origin/{proposed.branch}")
    git(folder, "push", "-q", "origin", "HEAD:main")
    with world.deployment.open() as opened:
        entry = replace(
            opened.entries(MODEL)[-1],
            event=log.Event.INTENT,
            intends="rollback",
            digest=proposed.release.digest,
            release=proposed.release.name,
            at=statement.now(),
            by="Runs",
            commit=world.head(),
            statement="",
            name="",
        )
        replace(opened, signer=keys.signer("runs")).append(entry)
    held = len(world.chain())
    assert any("without an approval" in problem for problem in world.sync().problems)
    assert len(world.chain()) == held
