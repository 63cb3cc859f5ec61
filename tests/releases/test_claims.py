"""What a commit, a release or an entry of the log claims is held against what proves it."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from assay.cli import cli
from assay.core import code_identity as code
from assay.core import plain_copies
from assay.core.attestation import about
from assay.core.execution import Context, execute
from assay.core.settings import APPROVAL_DAYS
from assay.core.step import Evaluation, Out, Record, step
from assay.core.tree import get_manifest
from assay.errors import (
    AttestationError,
    IntegrityError,
    RunBlocked,
    ServiceError,
    UsageError,
)
from assay.governance.registry import MODEL_TAG
from assay.releases import eligibility, log, statement
from assay.releases.lint import lint
from assay.releases.log import Event
from assay.releases.log import chain as log_chain
from assay.releases.log import entry as log_entry
from assay.releases.statement import Kind

from simulators.forge import git
from stories import refused

pytestmark = pytest.mark.slow

MODEL = "churn"
BOB = "Bob Boss <bob@example.org>"
RELEASE = "models/churn/dev/release.yaml"


def push(clone: Any, message: str, branch: str = "main") -> None:
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", message)
    git(clone, "push", "-q", "origin", f"HEAD:{branch}")


def begin(world: Any) -> None:
    clone = world.checkout()
    (clone / "README.md").write_text("Deployments.\n")
    push(clone, "Begin")


def retire(keys: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys.listing(**{name: {"retired": yesterday}}))


# Releases.


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("evaluation_run", "evaluationRun is elsewhere, the decision's is run-42"),
        ("uri", "is not that of the model"),
        ("golden", "golden is empty"),
        ("previous", "previous is sha256:"),
    ],
)
def test_a_field_of_a_release_that_nothing_proves_is_refused(
    world: Any, field: str, said: str
) -> None:
    begin(world)
    done = world.promote("one", "dev")
    values = {
        "evaluation_run": "elsewhere",
        "uri": f"s3://elsewhere/views/{world.models['one'][7:]}/",
        "golden": "",
        "previous": done.release.name,
    }
    clone = world.checkout()
    git(clone, "checkout", "-q", done.branch)
    (clone / RELEASE).write_bytes(replace(done.release, **{field: values[field]}).render())
    push(clone, "Edit", done.branch)
    _, problems = lint(world.deployment, clone, "origin/main")
    assert any(said in problem.text for problem in problems)
    if field != "previous":  # that one is a conflict
        refused(lambda: world.approve("dev"), IntegrityError, said)


def test_a_folder_elsewhere_is_not_the_models_whatever_its_last_names(world: Any) -> None:
    begin(world)
    done = world.promote("one", "dev")
    uri = f"file:///home/mallory/views/{done.release.digest[7:]}"
    clone = world.checkout()
    git(clone, "checkout", "-q", done.branch)
    (clone / RELEASE).write_bytes(replace(done.release, uri=uri).render())
    push(clone, "Edit", done.branch)
    output = f"uri {uri} is not that of the model"
    _, problems = lint(world.deployment, clone, "origin/main")
    assert output in problems[0].text
    refused(lambda: world.approve("dev"), IntegrityError, output)


def test_golden_predictions_of_another_model_are_refused(world: Any) -> None:
    golden = world.promote("two", "dev").release.golden
    done = world.promote("one", "dev")
    clone = world.checkout()
    git(clone, "checkout", "-q", done.branch)
    (clone / RELEASE).write_bytes(replace(done.release, golden=golden).render())
    push(clone, "Edit", done.branch)
    output = "not golden predictions of"
    refused(lambda: world.approve("dev", digest=world.models["one"]), IntegrityError, output)


def test_a_policy_that_is_renamed_into_the_releases_folder_is_a_changed_policy(world: Any) -> None:
    clone = world.checkout()
    (clone / "policy.yaml").write_text("gates: [{metric: accuracy > 0.1}]\n")
    push(clone, "Govern")
    done = world.promote("one", "dev")
    git(clone, "fetch", "-q")
    git(clone, "checkout", "-q", done.branch)
    (clone / "policy.yaml").rename(clone / "models/churn/dev/roc.svg")
    push(clone, "Figure", done.branch)
    refused(lambda: world.approve("dev"), IntegrityError, "policy.yaml governs the release")
    _, problems = lint(world.deployment, clone, "origin/main")
    assert any("policy.yaml governs the release" in problem.text for problem in problems)


def test_a_model_that_was_compared_with_an_earlier_one_does_not_reach_production(
    world: Any,
) -> None:
    world.release("two", "dev", "staging")
    world.promote("two", "production")
    world.release("one", "dev", "staging")
    world.promote("one", "production")
    world.approve("production", digest=world.models["one"])
    assert world.sync().problems == []
    output = (f"{world.models['one']} is in production", "run the pipeline again")
    refused(lambda: world.promote("two", "production"), RunBlocked, *output)
    # Nor what was proposed before production moved.
    refused(
        lambda: world.approve("production", digest=world.models["two"]), IntegrityError, *output
    )
    assert world.registry.at(MODEL, "production").model == world.models["one"]


def test_one_commit_for_two_environments_hides_neither(world: Any) -> None:
    """The entry about one environment says nothing of the other."""
    world.release("one", "dev")
    done = world.promote("two", "dev")
    clone = world.checkout()
    git(clone, "checkout", "-q", done.branch)
    path = clone / "models/churn/production/release.yaml"
    path.parent.mkdir(parents=True)
    path.write_bytes(replace(done.release, environment="production", previous="").render())
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "--amend", "--no-edit")
    git(clone, "push", "-q", "-f", "origin", f"HEAD:{done.branch}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("assay.releases.repository.Repository.changed", lambda *_: [])
        world.approve("dev")
    dev, production = world.sync().problems
    assert "models/churn/production/release.yaml is changed too" in dev
    assert "never in staging" in production


def test_a_release_that_is_a_link_does_not_stop_the_others(world: Any) -> None:
    world.release("one", "dev")
    clone = world.checkout()
    (clone / "models/churn/aaa").mkdir()
    (clone / "models/churn/aaa/release.yaml").symlink_to("/etc/passwd")
    push(clone, "Link")
    world.promote("two", "dev")
    world.approve("dev")
    synced = world.sync()
    assert [problem for problem in synced.problems if "is a link" in problem] == synced.problems
    assert world.registry.at(MODEL, "dev").model == world.models["two"]


# Trailers and entries.


def test_a_trailer_that_nobody_signed_stops_no_rollback(world: Any) -> None:
    """Whoever may write a commit message could end every later command of a model."""
    world.release("one", "dev")
    world.release("two", "dev")
    clone = world.checkout()
    (clone / "models/churn/dev/kustomization.yaml").write_text("resources: []\n")
    push(
        clone,
        f"Kustomize\n\nAssay-Log: sha256:{'0' * 64}\nAssay-Revocations: sha256:{'1' * 64} e30=",
    )
    assert world.sync().problems == []
    assert world.roll_back("dev").release.digest == world.models["one"]
    done = CliRunner().invoke(cli, ["release", "list", MODEL, "--verify"])
    assert "removed" not in str(done.exception)


def test_a_trailer_of_a_runner_is_reported_and_stops_nothing(world: Any, keys: Any) -> None:
    """With a runner's key and one merged commit a model could never be rolled back again."""
    world.release("one", "dev")
    world.release("two", "dev")
    never = f"sha256:{'ab' * 32}"
    repository = world.chain()[-1].repository
    envelope = keys.signer("runs").sign(log_chain._head_payload(MODEL, never, repository))
    clone = world.checkout()
    (clone / "models/churn/NOTES.md").write_text("Notes.\n")
    push(clone, f"Notes\n\nAssay-Log: {never} {base64.urlsafe_b64encode(envelope).decode()}")
    (problem,) = world.sync().problems
    assert "signed by a runner's key only" in problem
    assert never in problem
    assert world.roll_back("dev").release.digest == world.models["one"]
    world.promote("three", "dev")


def test_a_runners_entry_does_not_hide_an_unapproved_commit(world: Any, keys: Any) -> None:
    """It names a commit, and a release that was approved before and is not in it."""
    world.release("one", "dev")
    good = world.entries()[0]
    clone = world.checkout()
    (clone / RELEASE).write_bytes(world.promote("two", "dev").release.render())
    push(clone, "Push")
    log.append(
        world.services,
        replace(good, event=Event.ROLLBACK, commit=world.head(), statement="", name=""),
        keys.signer("runs"),
    )
    assert len(world.entries()) == 2
    assert any("without an approval" in problem for problem in world.sync().problems)
    done = CliRunner().invoke(cli, ["release", "list", MODEL, "--verify"])
    assert f"commit {world.head()[:12]} is not in the log" in str(done.exception)


def test_a_retired_approver_cannot_approve_with_a_time_of_before(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.release("one", "dev")
    retire(keys, monkeypatch, "bob")
    done = world.promote("two", "dev")
    clone = world.checkout()
    git(clone, "merge", "-q", "--no-ff", "-m", "Merge", f"origin/{done.branch}")
    git(clone, "push", "-q", "origin", "main")
    release, at = done.release, statement.stamp(datetime.now(UTC) - timedelta(days=2))
    output = {
        "model": release.model,
        "environment": release.environment,
        "release": release.name,
        "commit": world.head(),
        "by": BOB,
        "at": at,
        "until": "2099-01-01T00:00:00Z",
    }
    data, media = statement.encode(Kind.APPROVAL, release.digest, output, keys.signer("bob"))
    made = world.store.put_bytes(data, media).digest
    statement.point(world.store, release.digest, made)
    (problem,) = world.sync().problems
    assert "which was retired on" in problem
    # Nor by an entry of his own.
    first = world.entries()[0]
    forged = replace(
        first,
        number=len(world.chain()) + 1,
        previous=world.chain()[-1].name,
        digest=release.digest,
        release=release.name,
        commit=world.head(),
        by=BOB,
        at=at,
        statement=made,
    )
    data, media = statement.encode(Kind.LOG, release.name, forged.predicate(), keys.signer("bob"))
    name = world.store.put_bytes(data, media).digest
    world.store.write_pointer(log_entry.pointer(MODEL, forged.number), name.encode())
    assert "it was backdated" in world.chain()[-1].refused
    assert log.current(world.chain(), "dev").digest == world.models["one"]


def test_a_runner_cannot_date_the_log_ahead(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later entries would be of the year 9999, and end with the key that signed them."""
    world.release("one", "dev")
    ahead = replace(
        world.entries()[0],
        event=Event.INTENT,
        intends="rollback",
        at="9999-12-31T00:00:00Z",
        commit="1" * 40,
        statement="",
        name="",
    )
    log.append(world.services, ahead, keys.signer("runs"))
    world.release("two", "dev")
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys.listing(ann={"retired": tomorrow}))
    assert {entry.refused for entry in world.chain()} == {""}
    assert log.current(world.chain(), "dev").digest == world.models["two"]


def test_a_runner_cannot_revive_an_approval_that_expired(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rollback's entry names a statement that says something else, and ends later."""
    world.release("one", "dev")
    with monkeypatch.context() as patch:
        patch.setattr("assay.releases.approval.APPROVAL_DAYS", replace(APPROVAL_DAYS, default=-1))
        world.release("one", "staging")
    refused(lambda: world.promote("one", "production"), RunBlocked, "expired")
    world.release("two", "dev")
    fresh = world.entries()[-1].statement
    staged = next(entry for entry in world.entries() if entry.environment == "staging")
    revived = replace(
        staged,
        event=Event.ROLLBACK,
        statement=fresh,
        commit="",
        name="",
        by="Runs <runs@example.org>",
    )
    log.append(world.services, revived, keys.signer("runs"))
    assert f"{fresh} does not approve it" in world.entries()[-1].refused
    refused(lambda: world.promote("one", "production"), RunBlocked, "expired")


# Steps and versions.


def test_a_version_that_was_tagged_as_another_model_gets_no_alias(world: Any) -> None:
    """Whoever may write to the registry may tag any version as any model."""
    for name in ("one", "two", "three"):
        world.release(name, "dev")
    world.registry.tag(MODEL, "1", {MODEL_TAG: world.models["two"]})
    done = world.roll_back("dev")
    assert (done.release.registry_version, done.notes) == ("2", [])
    assert world.registry.at(MODEL, "dev").version == "2"
    # Nor is the version itself taken when it is tagged as what it is not.
    world.registry.tag(MODEL, "3", {MODEL_TAG: world.models["one"]})
    done = world.roll_back("dev", to=world.models["three"])
    assert any("registryVersion is 3" in note for note in done.notes)
    (problem,) = world.sync().problems
    assert problem.endswith(
        "'churn': registryVersion is 3, but the registry has no version of this model"
    )
    assert world.registry.at(MODEL, "dev").version == "2"


def test_a_version_with_other_files_is_not_promoted(world: Any) -> None:
    world.registry.tag(MODEL, "1", world.registry.version(MODEL, "2").tags)
    output = ("registryVersion is 1, whose source is", "the registry was changed")
    refused(lambda: world.promote("two", "dev"), UsageError, *output)
    source = plain_copies.uri(world.services.store, world.models["two"])
    refused(
        lambda: world.registry.register(MODEL, world.models["two"], source, {}, {}),
        ServiceError,
        "take the tag assay.model off that version",
    )


def test_a_step_that_is_called_gate_ends_in_no_traceback(world: Any, keys: Any) -> None:
    @step
    def gate(*, evaluation: Evaluation, model: str, record: Out[Record]) -> None:
        (record.path / "record.json").write_text("{}")

    model = world.models["bad"]
    decision = eligibility.decision_of(world.services, model, None)
    judged = eligibility.judgement_of(world.store, decision)
    evaluation = eligibility.reports_of(world.store, judged)["evaluation"]
    context = Context(world.store, signer=keys.signer("runs"), verifier=world.services.verifier)
    execute(gate, {"evaluation": evaluation, "model": model}, context)
    assert eligibility.decision_of(world.services, model, None) == decision


def test_an_upgrade_between_gate_and_promotion_names_all_at_once_and_the_way_out(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = code.identity_of

    def newer(entry_point: str) -> code.CodeIdentity:
        return replace(known(entry_point), modules=f"sha256:{'1' * 64}")

    with monkeypatch.context() as patch:
        patch.setattr(code, "identity_of", newer)
        output = refused(lambda: world.promote("one", "dev"), AttestationError, "'steps'")
        for name in ("gate", "evaluate", "compare", "train"):
            assert f"assay.components.{name}.step:{name} with other code" in output
        # The way out that it names.
        made = {
            (attestation.entry_point, attestation.code_digest)
            for digest in judged_of(world)
            for attestation in about(world.store, digest, world.services.verifier)
        }
        steps = ", ".join(f"{{step: '{entry}', code: '{digest}'}}" for entry, digest in made)
        clone = world.checkout()
        (clone / "policy.yaml").write_text(
            f"gates: [{{metric: accuracy > 0.1}}]\nsteps: [{steps}]\n"
        )
        push(clone, "Admit the earlier version")
        world.release("one", "dev")


def judged_of(world: Any) -> list[str]:
    model = world.models["one"]
    decision = eligibility.decision_of(world.services, model, world.registry.find(MODEL, model))
    judged = eligibility.judgement_of(world.store, decision)
    return [model, decision, judged.test_data, *judged.evidence]


def test_a_plain_copy_that_somebody_wrote_over_is_restored_and_reported(world: Any) -> None:
    world.promote("one", "dev")
    world.approve("dev")
    world.sync()
    copy = world.root / "store" / "views" / world.models["one"].removeprefix("sha256:")
    right = (copy / "MLmodel").read_bytes()
    (copy / "MLmodel").write_bytes(right + b"\nloader_module: elsewhere\n")
    world.registry.set_alias(MODEL, "dev", "2")
    (problem,) = world.sync().problems
    assert "differs from" in problem
    assert " in MLmodel; it was restored now" in problem
    assert (copy / "MLmodel").read_bytes() == right
    assert world.registry.at(MODEL, "dev").version == "1"
    assert world.sync().problems == []


def test_a_plain_copy_that_cannot_be_restored_moves_no_alias(world: Any) -> None:
    world.promote("one", "dev")
    world.approve("dev")
    world.sync()
    copy = world.root / "store" / "views" / world.models["one"].removeprefix("sha256:")
    blob = get_manifest(world.store, world.models["one"]).files[0].blob.digest
    (copy / "MLmodel").unlink()
    world.store.remove_blob(blob)
    world.registry.set_alias(MODEL, "dev", "2")
    (problem,) = world.sync().problems
    assert blob.removeprefix("sha256:") in problem
    assert world.registry.at(MODEL, "dev").version == "2"
