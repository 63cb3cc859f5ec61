"""Who may state what: a key's role and owner decide, never a name in a field."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from assay.cli import cli
from assay.core.attestation import about
from assay.core.signing import Signer
from assay.errors import AttestationError, RunBlocked, UsageError
from assay.releases import log, override, statement
from assay.releases.statement import Kind

from stories import refused

MODEL = "churn"
ANN = "Ann Approver <ann@example.org>"
BOB = "Bob Boss <bob@example.org>"
WHY = "the rule is about last year's data"
SOON = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()


def decide(world: Any, by: str = ANN) -> statement.Statement:
    return override.override(
        world.deployment, MODEL, world.models["bad"], by=by, why=WHY, until=SOON
    )


def forge(world: Any, kind: Kind, signer: Signer, subject: str, **predicate: str) -> str:
    """What somebody with a key and the right to write the store makes by hand."""
    data, media = statement.encode(kind, subject, predicate, signer)
    digest = world.store.put_bytes(data, media).digest
    world.store.write_pointer(f"statements/{subject[7:]}/{digest[7:]}", digest.encode())
    return digest


def forged_override(world: Any, signer: Signer, by: str) -> str:
    from assay.releases.eligibility import decision_of

    model = world.models["bad"]
    return forge(
        world,
        Kind.OVERRIDE,
        signer,
        model,
        model=MODEL,
        decision=decision_of(world.services, model, None),
        verdict="block",
        reason="",
        by=by,
        why=WHY,
        at=statement.now(),
        until=f"{SOON}T00:00:00Z",
    )


def test_an_override_by_the_pipelines_key_does_not_count_and_says_why(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = forged_override(world, keys.signer("runs"), ANN)
    refused(
        lambda: world.promote("bad", "dev"),
        RunBlocked,
        "verdict is block",
        f"override {made} does not count",
        "of Runs <runs@example.org> (roles: runner)",
        "role approver",
    )
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["runs"])
    refused(lambda: decide(world), UsageError, "role approver", "roles: [approver]")
    refused(
        lambda: override.revoke(world.deployment, world.models["one"], by=ANN, why=WHY),
        UsageError,
        "role approver",
    )


def test_an_override_is_in_the_name_of_the_keys_owner_whatever_is_claimed(world: Any) -> None:
    made = decide(world, by=BOB)
    assert (made.by, made.text("by")) == (ANN, ANN)
    assert world.promote("bad", "dev").release.override.by == ANN
    assert [(e.event, e.by) for e in world.entries()] == [("override", ANN)]


def test_an_override_signed_by_one_approver_in_the_name_of_another_does_not_count(
    world: Any, keys: Any
) -> None:
    forged_override(world, keys.signer("bob"), ANN)
    refused(
        lambda: world.promote("bad", "dev"),
        RunBlocked,
        "does not count",
        f"in the name of '{ANN}', signed by key",
        BOB,
    )


def test_a_revocation_by_the_pipelines_key_does_not_count(world: Any, keys: Any) -> None:
    digest = forge(
        world, Kind.REVOCATION, keys.signer("runs"), world.models["one"], by=ANN, why=WHY,
        at=statement.now(),
    )  # fmt: skip
    assert log.revocation(world.services, world.models["one"]) is None
    (why,) = statement.refused(world.services, world.models["one"])
    assert f"revocation {digest} does not count" in str(why)
    assert world.promote("one", "dev").outcome == "opened"


def test_an_attestation_by_an_approvers_key_is_refused(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An approver could otherwise make what he approves, without a pipeline."""
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys.listing(runs={"roles": ["approver"]}))
    refused(
        lambda: about(world.store, world.models["one"], world.services.verifier),
        AttestationError,
        "takes a key with the role runner",
    )


def test_statements_by_a_retired_approver_count_until_the_day(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(world)
    today = datetime.now(UTC).date()
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys.listing(ann={"retired": today}))
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["bob"])
    assert world.promote("bad", "dev").release.override.by == ANN
    before = today - timedelta(days=1)
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys.listing(ann={"retired": before}))
    refused(lambda: world.promote("bad", "dev"), RunBlocked, f"was retired on {before}")


ANN_NOW = "Ann Approver <ann@new.example>"


def test_what_a_person_signed_counts_under_a_new_name_that_keys_yaml_declares(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        world.release(name, "dev")
    override.revoke(world.deployment, world.models["one"], by="", why=WHY)
    changed = {"owner": ANN_NOW, "formerly": [ANN]}
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys.listing(ann=changed))
    assert [e.refused for e in world.entries()] == ["", ""]
    assert {e.by for e in world.entries()} == {ANN_NOW}
    assert log.revocation(world.services, world.models["one"]).by == ANN_NOW
    assert world.sync().problems == []


@pytest.mark.parametrize("change", [{"owner": ANN_NOW}, {"roles": ["recorder"]}])
def test_a_change_of_keys_yaml_moves_no_alias_back_and_undoes_no_revocation(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    for name, approver in (("one", "bob"), ("two", "ann")):
        monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private[approver])
        world.promote(name, "dev")
        world.approve("dev", by=BOB if approver == "bob" else ANN)
        assert world.sync().problems == []
    override.revoke(world.deployment, world.models["three"], by="", why=WHY)
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["bob"])
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys.listing(ann=change))
    assert "alias is not moved back" in " ".join(world.sync().problems)
    assert world.registry.at(MODEL, "dev").model == world.models["two"]
    if "owner" in change:
        assert log.revocation(world.services, world.models["three"]) is not None
    else:
        shown = CliRunner().invoke(cli, ["release", "list"], catch_exceptions=False).output
        assert f"the revocation of {world.models['three']}" in shown


def test_a_name_in_an_entry_of_a_runner_is_shown_as_its_claim(world: Any, keys: Any) -> None:
    for name in ("one", "two"):
        world.release(name, "dev")
    world.roll_back("dev", deployment=world.signed_by(keys.signer("runs")), by=ANN)
    assert world.entries()[-1].by == f"{ANN} (according to Runs <runs@example.org>)"
