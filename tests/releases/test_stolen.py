"""A key that somebody else may have had: only what is proven to be of before still counts."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from assay.cli import cli
from assay.core import attestation
from assay.errors import AttestationError, IntegrityError, RunBlocked, UnknownKeyError, UsageError
from assay.releases import log, override, statement
from assay.releases.admit import admit, propose
from assay.releases.log import Event
from assay.releases.log import chain as log_chain
from assay.releases.log import entry as log_entry
from assay.releases.statement import Kind

from simulators.forge import git
from stories import refused

pytestmark = pytest.mark.slow

MODEL = "churn"
ANN = "Ann Approver <ann@example.org>"
BOB = "Bob Boss <bob@example.org>"


def day(days: int = 0) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).date().isoformat()


def test_what_a_key_signed_before_it_was_stolen_counts_below_an_entry_of_another(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.release("one", "dev")
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["bob"])
    world.release("two", "dev")
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["ann"])
    world.release("three", "dev")
    # From tomorrow on somebody else may have Ann's; Bob's entry proves what is below it.
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys.listing(ann={"stolen": day(1)}))
    assert [(bool(e.refused), e.by[:3]) for e in world.entries()] == [
        (False, "Ann"),
        (False, "Bob"),
        (True, "Ann"),
    ]
    refused(lambda: world.roll_back("dev"), UsageError, "was stolen on", "sign with another key")
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["bob"])
    # What nothing proves is as if it had been pushed without an approval.
    (problem,) = world.sync().problems
    assert "stolen" in problem
    assert world.roll_back("dev").release.digest == world.models["two"]
    assert world.roll_back("dev").release.digest == world.models["one"]
    world.promote("one", "staging")


def appended(world: Any, signer: Any, **changes: Any) -> log.Entry:
    """An entry that somebody with a key writes straight into the store, behind the newest one."""
    last = world.chain()[-1]
    right = {"number": last.number + 1, "previous": last.name, "name": ""}
    entry = replace(last, **{**right, **changes})
    data, media = statement.encode(Kind.LOG, entry.release, entry.predicate(), signer)
    name = world.store.put_bytes(data, media).digest
    world.store.write_pointer(log_entry.pointer(MODEL, entry.number), name.encode())
    return replace(entry, name=name)


def slips_in(world: Any, keys: Any, at: str, *, written: bool) -> str:
    """With Ann's key: an approval of the blocked model, and an entry about it, both backdated."""
    last = world.chain()[-1]
    release = replace(log.get_release(world.store, last.release), digest=world.models["bad"])
    names = {"release": log.put_release(world.store, release), "commit": "1" * 40}
    given = {"model": MODEL, "environment": "dev", "repository": last.repository, "by": ANN}
    predicate = {**given, **names, "at": at, "until": "2099-01-01T00:00:00Z"}
    approval = statement.save(
        replace(world.services, verifier=None),
        keys.signer("ann"),
        Kind.APPROVAL,
        release.digest,
        predicate,
    )
    names |= {"digest": release.digest, "statement": approval.digest, "by": ANN, "at": at}
    entry = {**names, "event": Event.RELEASE, "intends": "", "written": at if written else ""}
    return appended(world, keys.signer("ann"), **entry).name


def counts(world: Any, name: str) -> bool:
    return [not e.refused for e in world.chain() if e.name == name] == [True]


@pytest.mark.parametrize("later", [0, 3600])
@pytest.mark.parametrize("written", [True, False])
def test_an_old_merge_that_is_recorded_today_proves_nothing_of_before(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch, later: int, written: bool
) -> None:
    """Bob approved days ago, and nobody ran `sync` until a thief had added an entry."""
    past = datetime.now(UTC) - timedelta(days=2)
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["bob"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statement, "now", lambda: statement.stamp(past - timedelta(days=1)))
        world.release("one", "dev")
        patch.setattr(statement, "now", lambda: statement.stamp(past))
        world.promote("two", "dev")
        world.approve("dev", by=BOB)
    at = statement.stamp(past + timedelta(seconds=later))
    name = slips_in(world, keys, at, written=written)
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys.listing(ann={"stolen": day(-1)}))
    assert not counts(world, name)
    # An ordinary synchronisation records what Bob approved, with the time at which he did.
    assert world.sync().problems == []
    assert world.entries()[-1].at[:10] == day(-2)
    assert not counts(world, name)
    assert world.registry.at(MODEL, "dev").model == world.models["two"]
    runner = world.signed_by(keys.signer("runs"))
    bad = world.models["bad"]
    refused(
        lambda: world.roll_back("dev", to=bad, deployment=runner), UsageError, "was never released"
    )


def test_an_approval_of_a_thief_that_a_recorder_wrote_down_does_not_count(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recorder's entry takes the time of the approval, which the thief chose."""
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["ann"])
    world.promote("one", "dev")
    before = statement.stamp(datetime.now(UTC) - timedelta(days=3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statement, "now", lambda: before)
        world.approve("dev")
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["recorder"])
    assert world.sync().problems == []
    assert [e.at for e in world.entries()] == [before]
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys.listing(ann={"stolen": day()}))
    assert "no other key proves" in world.entries()[0].refused
    # What was written down before the theft still counts.
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys.listing(ann={"stolen": day(1)}))
    assert [e.refused for e in world.entries()] == [""]


def test_entries_of_a_log_without_times_of_writing_prove_what_they_can(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The announcement of a merge has the time of its writing; the record of it may be later."""
    world.release("one", "dev")
    log_of_before(world, keys, {"ann": "ann"})
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys.listing(ann={"stolen": day(1)}))
    assert [bool(e.refused) for e in world.entries()] == [True]
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["bob"])
    world.promote("two", "dev")
    world.approve("dev", by=BOB)
    log_of_before(world, keys, {"ann": "ann", "bob": "bob"})
    assert [(bool(e.refused), e.event) for e in world.entries()] == [(False, "release")]
    # Without the announcement, the record of Bob's merge proves nothing.
    world.sync()
    for number in (3, 4):
        world.store.remove_pointer(log_entry.pointer(MODEL, number))
    assert "stolen" in " ".join(world.sync().problems)
    log_of_before(world, keys, {"ann": "ann", "bob": "bob"})
    assert [bool(e.refused) for e in world.entries()] == [True, False]


def log_of_before(world: Any, keys: Any, signers: dict[str, str]) -> None:
    """Write the log as it was before entries had the time of their writing."""
    by = {keys.signer(name).key_id: keys.signer(name) for name in signers}
    previous = ""
    for entry in world.chain():
        old = replace(entry, previous=previous, written="").predicate()
        del old["written"]
        data, media = statement.encode(Kind.LOG, entry.release, old, by[entry.signed_by])
        previous = world.store.put_bytes(data, media).digest
        world.store.write_pointer(log_entry.pointer(MODEL, entry.number), previous.encode())


def test_a_stolen_approvers_key_approves_nothing_with_a_time_of_before(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["bob"])
    world.release("one", "dev")
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["ann"])
    world.promote("two", "dev")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statement, "now", lambda: "2020-01-01T00:00:00Z")
        world.approve("dev")
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys.listing(ann={"stolen": "2021-01-01"}))
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["bob"])
    (problem,) = world.sync().problems
    assert "stolen on 2021-01-01" in problem
    assert world.roll_back("dev").release.digest == world.models["one"]


def test_attestations_of_a_stolen_key_count_when_an_approver_admits_them(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = world.models["one"]
    (status,) = attestation.about(world.store, model, world.services.verifier)
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys.listing(runs={"stolen": day()}))
    verifier = world.services.verifier
    refused(
        lambda: attestation.load(world.store, status.digest, verifier),
        AttestationError,
        "was stolen on",
        "assay store sign",
    )
    refused(lambda: world.promote("one", "dev"), AttestationError, "was stolen on")
    decision = world.registry.find(MODEL, model).tags["assay.decision"]
    found = propose(world.services, decision)
    assert status.digest in {given.digest for given in found.attestations}
    admit(world.deployment, found, by="", why="made on a machine that nobody reached")
    assert attestation.load(world.store, status.digest, verifier).admitted_by.startswith("Ann")
    world.promote("one", "dev")
    # Pointers to nothing, before and behind the admission, hide it from nobody.
    subject = status.digest.removeprefix("sha256:")
    for hexed in ("0" * 64, "f" * 64):
        world.store.write_pointer(f"statements/{subject}/{hexed}", b"x")
    assert attestation.load(world.store, status.digest, verifier).admitted_by.startswith("Ann")
    # What the thief signs is not among them, whatever its time.
    made = {**status.values, "forged": 1}
    forged = replace(status, values=made, digest="", signed_by="")
    name = attestation.save(forged, world.store, keys.signer("runs"))
    refused(lambda: attestation.load(world.store, name, verifier), AttestationError, "stolen")


def test_a_stolen_key_stops_no_log(world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by an entry that does not follow, nor by a trailer of one that never was."""
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["bob"])
    world.release("one", "dev")
    world.release("two", "dev")
    last = world.chain()[-1]
    never = f"sha256:{'ab' * 32}"
    entry = replace(last, event=Event.INTENT, number=99, revocations=never, statement="")
    data, media = statement.encode(Kind.LOG, entry.release, entry.predicate(), keys.signer("ann"))
    name = world.store.put_bytes(data, media).digest
    world.store.write_pointer(log_entry.pointer(MODEL, last.number + 1), name.encode())
    envelope = keys.signer("ann").sign(log_chain._head_payload(MODEL, never, last.repository))
    folder = world.checkout()
    (folder / "models/churn/NOTES.md").write_text("Notes.\n")
    git(folder, "add", "-A")
    line = f"Assay-Log: {never} {base64.urlsafe_b64encode(envelope).decode()}"
    git(folder, "commit", "-q", "-m", f"Notes\n\n{line}")
    git(folder, "push", "-q", "origin", "HEAD:main")
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys.listing(ann={"stolen": day()}))
    assert world.roll_back("dev").release.digest == world.models["one"]


def test_a_stolen_key_takes_no_revocation_back(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    override.revoke(world.deployment, world.models["one"], by="", why="leaks personal data")
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys.listing(ann={"stolen": "2020-01-01"}))
    assert log.revocation(world.services, world.models["one"]) is not None


def revokes(world: Any, signer: Any, model: str) -> None:
    """A revocation that the commands would refuse to sign: the statement, and its entry."""
    unchecked = replace(world.services, verifier=None)
    predicate = {"by": ANN, "why": "because I can", "at": statement.now()}
    digest = world.models[model]
    made = statement.save(unchecked, signer, Kind.REVOCATION, digest, predicate)
    entries = log.read(world.services, log.REVOCATIONS)
    entry = log.Entry(
        Event.REVOCATION,
        log.REVOCATIONS,
        environment="",
        release="",
        digest=digest,
        at=predicate["at"],
        by=ANN,
        why=predicate["why"],
        statement=made.digest,
        number=len(entries) + 1,
        previous=entries[-1].name if entries else "",
    )
    data, media = statement.encode(Kind.LOG, digest, entry.predicate(), signer)
    name = world.store.put_bytes(data, media).digest
    world.store.write_pointer(log_entry.pointer(log.REVOCATIONS, entry.number), name.encode())


@pytest.mark.parametrize(("field", "days"), [("retired", -30), ("stolen", -2)])
def test_a_key_out_of_use_revokes_no_model_for_good(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch, field: str, days: int
) -> None:
    """Each revocation counts, because it may be genuine, until another approver decides."""
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["bob"])
    for model in ("one", "two"):
        world.promote(model, "dev")
        world.approve("dev", by=BOB)
        assert world.sync().problems == []
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys.listing(ann={field: day(days)}))
    for model in ("one", "two", "three"):
        revokes(world, keys.signer("ann"), model)
    one, three = (world.models[name] for name in ("one", "three"))
    remedy = f"assay release clear --revocation {one} --why TEXT"
    refused(lambda: world.roll_back("dev", by=BOB), RunBlocked, "because I can", remedy)
    refused(lambda: world.promote("three", "dev"), RunBlocked, "is out of use", three)
    clear = ["release", "clear", "--yes", "--why", "Ann left, and her key was copied"]
    chosen = [word for model in (one, three) for word in ("--revocation", model)]
    with monkeypatch.context() as patch:
        patch.setenv("ASSAY_SIGNING_KEY", keys.private["ann"])
        assert isinstance(CliRunner().invoke(cli, [*clear, *chosen]).exception, UsageError)
    # Nothing is set aside that was not named.
    done = CliRunner().invoke(cli, clear, catch_exceptions=False)
    assert f"assay release clear --revocation {one}" in done.output
    assert log.revocation(world.services, one) is not None
    done = CliRunner().invoke(cli, [*clear, *chosen], catch_exceptions=False)
    assert f"set aside: the revocation of {three}" in done.output
    assert world.roll_back("dev", by=BOB).release.digest == one
    assert world.promote("three", "dev").outcome == "opened"
    assert log.revocation(world.services, world.models["two"]) is not None
    logged = log.read(world.services, log.REVOCATIONS)
    assert f"set aside by {BOB} (entry 4)" in logged[0].refused
    assert [
        fault for fault in log.check(world.store, world.services.verifier) if fault.broken
    ] == []
    # A key in use can revoke it all the same.
    override.revoke(world.deployment, one, by="", why="leaks personal data")
    assert log.revocation(world.services, one).by == BOB
    refused(lambda: world.promote("one", "dev"), RunBlocked, "leaks personal data")


def test_a_key_out_of_use_sets_no_revocation_aside(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two keys were retired, and whoever has one of them states an earlier time."""
    revokes(world, keys.signer("ann"), "one")
    revocation = log.read(world.services, log.REVOCATIONS)[-1]
    monkeypatch.setenv(
        "ASSAY_VERIFY_KEYS", keys.listing(ann={"retired": day(-3)}, bob={"retired": day(-3)})
    )
    before = statement.stamp(datetime.now(UTC) - timedelta(days=9))
    lift = replace(
        revocation,
        event=Event.CLEARED,
        at=before,
        written=before,
        statement=revocation.name,
        number=revocation.number + 1,
        previous=revocation.name,
    )
    data, media = statement.encode(Kind.LOG, lift.digest, lift.predicate(), keys.signer("bob"))
    name = world.store.put_bytes(data, media).digest
    world.store.write_pointer(log_entry.pointer(log.REVOCATIONS, lift.number), name.encode())
    logged = log.read(world.services, log.REVOCATIONS)
    assert "is out of use" in logged[-1].refused
    assert log.revocation(world.services, world.models["one"]) is not None


@pytest.mark.parametrize("field", ["retired", "stolen"])
def test_a_revocation_that_another_key_proves_is_not_set_aside(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    past = [statement.stamp(datetime.now(UTC) - timedelta(days=days)) for days in (4, 3)]
    for at, name, model in zip(past, ("ann", "bob"), ("one", "two"), strict=True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(statement, "now", lambda at=at: at)
            deployment = world.signed_by(keys.signer(name))
            override.revoke(deployment, world.models[model], by="", why="leaks personal data")
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys.listing(ann={field: day(-2)}))
    one = world.models["one"]
    assert log.unproven(world.services) == []
    given = log.revocation(world.services, one)
    refused(
        lambda: log.lift(world.services, keys.signer("bob"), [given], by="", why="a mistake"),
        IntegrityError,
        "have changed",
    )
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["bob"])
    clear = ["release", "clear", "--yes", "--why", "a mistake", "--revocation", one]
    assert "another key proves" in str(CliRunner().invoke(cli, clear).exception)
    # Nor by an entry that is written without asking, nor by one of the same key.
    entry = log.Entry(
        Event.CLEARED, log.REVOCATIONS, "", one, "", statement.now(), BOB, statement=given.name
    )
    log.append(world.services, entry, keys.signer("bob"))
    assert log.revocation(world.services, one) == given


def test_a_log_with_an_entry_by_a_key_that_was_removed_says_how_to_list_it(
    world: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.release("one", "dev")
    world.release("two", "dev")
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["runs"])
    world.roll_back("dev")
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["ann"])
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys.listing(runs=None))
    refused(world.sync, UnknownKeyError, "`stolen: <day>`")
    monkeypatch.setenv("ASSAY_VERIFY_KEYS", keys.listing(runs={"stolen": day()}))
    # The rollback counts for nothing now; the branch has it, and nobody's approval.
    assert [bool(e.refused) for e in world.entries()] == [False, False, True]
    one = world.models["one"]
    assert world.roll_back("dev", to=one).release.digest == one
