"""What somebody adds to the store does not stop the releases of a model for good."""

import json
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from assay.cli import cli
from assay.core.attestation import MAX_ATTESTATION_BYTES
from assay.core.digest import canonical_json
from assay.errors import AssayError, IntegrityError, UnknownKeyError, UsageError
from assay.releases import eligibility, log, statement
from assay.releases.log import Event
from assay.releases.log import entry as log_entry
from assay.releases.log.blocking import MAX_LISTED
from assay.releases.rollback import DRILL_FORTH
from assay.releases.statement import Kind
from assay.releases.upkeep import fsck

from stories import refused

pytestmark = pytest.mark.slow

MODEL = "churn"
NOTHING = f"sha256:{'ab' * 32}"
LARGE = b"x" * (MAX_ATTESTATION_BYTES + 1)


def add(world: Any, target: str, chain: str = MODEL, number: int = 0) -> str:
    """Put a pointer behind the newest entry of a log."""
    held = len(world.store.list_pointers(log_entry.prefix(chain)))
    name = log_entry.pointer(chain, number or held + 1)
    world.store.write_pointer(name, target.encode())
    return name


def stored(world: Any, predicate: dict[str, Any], signer: Any, subject: str) -> str:
    data, media_type = statement.encode(Kind.LOG, subject, predicate, signer)
    return str(world.store.put_bytes(data, media_type).digest)


def blob(world: Any, data: bytes, *, damage: bool = False) -> str:
    """The digest of a blob that is no statement."""
    digest = str(world.store.put_bytes(data, "text/plain").digest)
    if damage:
        world.blob(digest).chmod(0o644)
        world.blob(digest).write_bytes(b"other")
    return digest


def goes_on(world: Any) -> None:
    """A rollback, a synchronisation and a promotion."""
    assert world.roll_back("dev").release.digest == world.models["one"]
    assert world.sync().problems == []
    assert world.promote("three", "dev").outcome == "opened"


@pytest.fixture
def released(world: Any) -> Any:
    world.release("one", "dev")
    world.release("two", "dev")
    return world


def test_a_pointer_to_no_statement_stops_nothing(released: Any) -> None:
    name, subject = "ab" * 32, released.models["one"].removeprefix("sha256:")
    released.store.write_pointer(f"statements/{subject}/{name}", b"x")
    faults = [fault.what for fault in fsck(released.store, released.services.verifier).findings]
    assert f"statements/{subject}/{name}" in faults
    goes_on(released)


@pytest.mark.parametrize(("data", "damage"), [(b"hello", False), (LARGE, False), (b"hello", True)])
def test_a_pointer_to_a_blob_that_is_no_statement_stops_nothing_and_can_be_removed(
    released: Any, keys: Any, data: bytes, damage: bool
) -> None:
    target = blob(released, data, damage=damage)
    hexed = target.removeprefix("sha256:")
    names = [
        f"statements/{released.models[model].removeprefix('sha256:')}/{hexed}"
        for model in ("one", "three")
    ]
    for name in names:
        released.store.write_pointer(name, target.encode())
    goes_on(released)
    found = log.blocking(released.services)
    assert sorted(one.pointer for one in found) == sorted(names)
    assert all(one.why.startswith("no statement") for one in found)
    log.clear(released.services, keys.signer("ann"), found, by="", why="no statement")
    assert log.blocking(released.services) == []


def test_an_entry_that_nobody_signed_stops_nothing(released: Any) -> None:
    last = released.chain()[-1]
    entry = replace(last, number=last.number + 1, previous=last.name, by="Ann")
    add(released, stored(released, entry.predicate(), None, entry.release))
    add(released, stored(released, {"x": 1}, None, entry.release))
    assert [bool(e.refused) for e in released.chain()[-2:]] == [True, True]
    log.live(released.store, released.services.verifier)
    goes_on(released)


@pytest.mark.parametrize("change", [{"revocations": NOTHING}, {"number": 99}, {"previous": ""}])
def test_an_entry_by_a_runners_key_stops_nothing(
    released: Any, keys: Any, change: dict[str, Any]
) -> None:
    last = released.chain()[-1]
    right = {"number": last.number + 1, "previous": last.name, "event": Event.INTENT}
    entry = replace(last, **{**right, **change})
    add(released, stored(released, entry.predicate(), keys.signer("runs"), entry.release))
    goes_on(released)


@pytest.mark.parametrize(
    "how", ["nothing", "stranger", "copy", "gap", "revocations", "large", "damaged"]
)
def test_an_approver_removes_what_stops_a_log(
    released: Any, keys: Any, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = released.chain()[-1]
    entry = replace(last, number=last.number + 1, previous=last.name)
    signed = stored(released, entry.predicate(), keys.signer("stranger"), entry.release)
    target, chain, number = {
        "nothing": (NOTHING, MODEL, 0),
        "stranger": (signed, MODEL, 0),
        "copy": (released.chain()[0].name, MODEL, 0),
        "gap": (NOTHING, MODEL, 999),
        "revocations": (NOTHING, log.REVOCATIONS, 0),
        "large": (blob(released, LARGE), MODEL, 0),
        "damaged": (blob(released, b"something", damage=True), MODEL, 0),
    }[how]
    name = add(released, target, chain, number)
    refused(lambda: released.roll_back("dev"), AssayError, "assay release clear")
    found = fsck(released.store, released.services.verifier).findings
    assert any(f.what == name and "assay release clear" in f.problem for f in found)
    clear = ["release", "clear", "--yes", "--why", "nobody wrote it"]
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["runs"])
    assert isinstance(CliRunner().invoke(cli, clear).exception, UsageError)
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private["ann"])
    done = CliRunner().invoke(cli, clear, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    logged = log.read(released.services, log.REVOCATIONS)[-1]
    assert (logged.event, logged.by) == (Event.CLEARED, "Ann Approver <ann@example.org>")
    assert f"{name} -> {target}" in logged.why
    assert len(released.chain()) == last.number
    goes_on(released)


def test_an_approver_removes_a_revocation_by_a_key_that_nobody_knows(
    released: Any, keys: Any
) -> None:
    predicate = {"by": "Ann Approver <ann@example.org>", "why": "no reason", "at": statement.now()}
    one = released.models["one"]
    data, media_type = statement.encode(Kind.REVOCATION, one, predicate, keys.signer("stranger"))
    statement.point(released.store, one, released.store.put_bytes(data, media_type).digest)
    refused(lambda: released.roll_back("dev"), UnknownKeyError, "assay release clear")
    (found,) = log.blocking(released.services)
    assert found.why == "a revocation that no configured key signed"
    log.clear(released.services, keys.signer("ann"), [found], by="", why="a made-up key")
    goes_on(released)


@pytest.mark.parametrize("chain", [MODEL, log.REVOCATIONS, "tips"])
def test_a_pointer_before_the_first_entry_stops_nothing_and_can_be_removed(
    released: Any, keys: Any, chain: str
) -> None:
    """Numbers begin with 1; a pointer with number 0 sorts before all of them."""
    if chain == "tips":
        chain = log.tips_chain(released.settings.url, released.settings.branch)
    name = f"{log_entry.prefix(chain)}000000"
    released.store.write_pointer(name, NOTHING.encode())
    goes_on(released)
    log.live(released.store, released.services.verifier)
    # Behind it, what stops the log is removed as without it.
    last = add(released, NOTHING, chain, len(log.names(released.store, chain)) + 1)
    refused(lambda: log.read(released.services, chain), IntegrityError, "assay release clear")
    assert sorted(one.pointer for one in log.blocking(released.services)) == [name, last]
    clear(released, keys)
    assert log.blocking(released.services) == []
    assert released.sync().problems == []


def test_entries_that_count_are_not_removed(released: Any, keys: Any) -> None:
    """A pointer was exchanged, and what follows it is genuine: that is damage, and no addition."""
    entries = released.chain()
    path = log_entry.pointer(MODEL, entries[-2].number)
    released.store.write_pointer(path, NOTHING.encode())
    refused(released.chain, IntegrityError, "not in the store")
    assert log.blocking(released.services) == []


def test_a_removal_that_is_stopped_was_logged_and_is_done_by_the_next(
    released: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the entry names a few of many pointers, however many somebody adds."""
    for number in range(MAX_LISTED + 5):
        name = f"statements/{'0' * 64}/{number:064x}"
        released.store.write_pointer(name, b"x")
    found = log.blocking(released.services)
    with monkeypatch.context() as patch:

        def stop(_store: Any, _name: str) -> None:
            raise KeyboardInterrupt

        patch.setattr(type(released.store), "remove_pointer", stop)
        with pytest.raises(KeyboardInterrupt):
            log.clear(released.services, keys.signer("ann"), found, by="", why="not ours")
    logged = log.read(released.services, log_entry.REVOCATIONS)[-1]
    assert logged.event is Event.CLEARED
    assert "; and 5 more" in logged.why
    assert log.blocking(released.services) == found
    log.clear(released.services, keys.signer("ann"), found, by="", why="not ours")
    assert log.blocking(released.services) == []


def forged(world: Any, signer: Any, chain: str = MODEL, **changes: Any) -> str:
    """Somebody with a key adds an entry behind the newest one; its name."""
    names = log.names(world.store, chain)
    right = {"model": chain, "number": len(names) + 1, "at": statement.now(), "intends": ""}
    right |= {"previous": names[-1] if names else "", "statement": ""}
    entry = replace(world.chain()[-1], **{**right, **changes})
    name = stored(world, entry.predicate(), signer, entry.release or entry.digest)
    add(world, name, chain)
    return name


@pytest.mark.parametrize(
    "wrong",
    [
        {"environment": "a\0b", "intends": "rollback"},
        {"environment": "x" * 200_000, "intends": "rollback"},
        {"environment": "dev", "commit": "", "why": DRILL_FORTH, "at": "z"},
        {"environment": "dev", "intends": "rollback", "by": "Ann\n<ann@example.org>"},
        {"environment": "dev", "intends": "dance"},
    ],
    ids=["NUL", "long", "time", "name", "event"],
)
def test_an_entry_of_a_runner_with_values_that_nobody_writes_does_not_count(
    released: Any, keys: Any, wrong: dict[str, Any]
) -> None:
    forged(released, keys.signer("runs"), event=Event.INTENT, **{"commit": "1" * 40, **wrong})
    assert "no valid value" in released.chain()[-1].refused
    goes_on(released)


@pytest.mark.parametrize("name", ["a\0b", "x" * 200_000])
def test_a_chain_with_a_name_that_no_model_has_stops_nothing(released: Any, name: str) -> None:
    entry = replace(released.chain()[-1], model=name, number=1, previous="")
    add(released, stored(released, entry.predicate(), None, entry.release), name)
    goes_on(released)
    assert log.models(released.store) == [MODEL]


def test_an_intent_of_a_runner_that_names_no_approval_is_not_completed(
    released: Any, keys: Any
) -> None:
    last = released.chain()[-1]
    changes = {"event": Event.INTENT, "intends": "rollback", "commit": last.commit}
    forged(released, keys.signer("runs"), **changes, statement=NOTHING, release=last.release)
    held = len(released.chain())
    assert released.sync().problems == []
    assert len(released.chain()) == held


@pytest.mark.parametrize("how", ["cleared", "removed"])
def test_what_was_added_to_the_revocations_is_named_by_no_release(
    world: Any, keys: Any, how: str
) -> None:
    """Otherwise its removal would look like that of a revocation, for good."""
    world.release("one", "dev")
    name = add(world, stored(world, {"x": 1}, None, world.models["one"]), log.REVOCATIONS)
    world.release("two", "dev")
    if how == "cleared":
        add(world, NOTHING, log.REVOCATIONS)
        found = log.blocking(world.services)
        log.clear(world.services, keys.signer("ann"), found, by="", why="nobody wrote it")
    else:
        world.store.remove_pointer(name)
    goes_on(world)


def test_an_entry_that_lost_a_race_can_be_removed_when_somebody_points_to_it(
    released: Any, keys: Any
) -> None:
    """A writer that was second leaves a signed entry in the store, which is in no chain."""
    first = released.chain()[0]
    late = replace(first, number=2, previous=first.name, why="second")
    add(released, stored(released, late.predicate(), keys.signer("ann"), late.release))
    refused(lambda: released.roll_back("dev"), IntegrityError, "assay release clear")
    found = log.blocking(released.services)
    assert [one.why for one in found] == ["an entry that lost its place to another"]
    log.clear(released.services, keys.signer("ann"), found, by="", why="lost a race")
    goes_on(released)


def test_an_entry_whose_place_was_taken_from_it_is_not_removed(released: Any, keys: Any) -> None:
    """The newest entry, moved behind what somebody put in its place: it would be lost."""
    last = released.chain()[-1]
    place = log_entry.pointer(MODEL, last.number)
    released.store.write_pointer(place, stored(released, {"x": 1}, None, NOTHING).encode())
    add(released, last.name)
    refused(lambda: released.roll_back("dev"), IntegrityError, "assay release clear")
    assert log.blocking(released.services) == []


def test_a_recorder_approves_nothing_where_there_is_no_forge(world: Any, keys: Any) -> None:
    """A recorder signs what a forge says; on a plain remote nobody says anything."""
    world.release("one", "dev")
    world.promote("two", "dev")
    last, bad = world.chain()[-1], world.models["bad"]
    release = replace(
        log.get_release(world.store, last.release), digest=bad, environment="dev", previous=""
    )
    recorder = keys.signer("recorder")
    predicate = {
        "model": MODEL,
        "environment": "dev",
        "release": log.put_release(world.store, release),
        "commit": last.commit,
        "repository": last.repository,
        "by": "Ann Approver <ann@example.org>",
        "at": statement.now(),
        "until": "2099-01-01",
        "url": "https://forge.example/pulls/1",
    }
    approval = statement.save(world.services, recorder, Kind.APPROVAL, bad, predicate)
    names = {"release": predicate["release"], "statement": approval.digest, "digest": bad}
    forged(world, recorder, event=Event.RELEASE, **names)
    assert "no forge is configured" in " ".join(world.sync().problems)
    assert world.registry.at(MODEL, "dev").model == world.models["one"]
    with world.deployment.open() as opened:
        assert "no forge is configured" in opened.entries(MODEL)[-1].refused
        assert log.current(opened.entries(MODEL), "dev").digest == world.models["one"]


def test_an_entry_dated_far_ahead_stops_the_log_and_an_approver_removes_it(
    released: Any, keys: Any
) -> None:
    """Later entries take its time; when a key is retired before that, all of them would go."""
    recorder = keys.signer("recorder")
    forged(released, recorder, event=Event.INTENT, commit="", at="9999-12-31T23:59:59Z")
    refused(lambda: released.roll_back("dev"), IntegrityError, "ahead of this machine's clock")
    found = log.blocking(released.services)
    assert len(found) == 1
    log.clear(released.services, keys.signer("ann"), found, by="", why="a wrong clock")
    goes_on(released)


def test_the_log_of_others_stays_unless_it_is_named(
    released: Any, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = replace(released.chain()[0], model="theirs")
    add(
        released,
        stored(released, entry.predicate(), keys.signer("stranger"), entry.release),
        "theirs",
    )
    add(released, NOTHING)
    clear = ["release", "clear", "--yes", "--why", "nobody wrote it"]
    done = CliRunner().invoke(cli, clear, catch_exceptions=False)
    assert "assay release clear --model 'theirs'" in done.output
    assert len(log.names(released.store, "theirs")) == 1
    assert len(log.names(released.store, MODEL)) == len(released.chain())
    CliRunner().invoke(cli, [*clear, "--model", "theirs"], catch_exceptions=False)
    assert log.names(released.store, "theirs") == []


def test_entries_without_a_signature_displace_no_release_from_the_collector(released: Any) -> None:
    last = released.chain()[-1]
    release = log.get_release(released.store, last.release)
    kept = log.live(released.store, released.services.verifier)
    for number in range(log.KEPT_RELEASES + 1):
        junk = replace(release, evaluation_run=f"x{number}", previous="", golden="")
        name = log.put_release(released.store, junk)
        before = released.chain()[-1]
        entry = replace(last, number=before.number + 1, previous=before.name, release=name)
        add(released, stored(released, entry.predicate(), None, name))
    assert kept <= log.live(released.store, None)
    before = released.chain()[-1]
    entry = replace(last, number=before.number + 1, previous=before.name, release=NOTHING)
    add(released, stored(released, entry.predicate(), None, NOTHING))
    assert kept <= log.live(released.store, released.services.verifier)


def test_a_hint_that_leads_to_nothing_stops_no_promotion_and_fsck_removes_it(
    released: Any, keys: Any
) -> None:
    """Whoever can write the store can add one below a dataset that all models come from."""
    version = released.registry.find(MODEL, released.models["three"])
    decision = eligibility.decision_of(released.services, released.models["three"], version)
    judgement = eligibility.judgement_of(released.store, decision)
    names = [
        f"{kind}/{digest.removeprefix('sha256:')}/{'ab' * 32}"
        for kind, digest in (("referrers", judgement.data), ("dependents", judgement.test_data))
    ]
    for name in names:
        released.store.write_pointer(name, b"x")
    goes_on(released)
    verifier = released.services.verifier
    assert {NOTHING, *names} <= {
        f.what for f in fsck(released.store, verifier, repair=True).findings
    }
    assert fsck(released.store, verifier).broken == []


def clear(world: Any, keys: Any) -> None:
    found = log.blocking(world.services)
    log.clear(world.services, keys.signer("ann"), found, by="", why="nobody wrote it")


def rewrapped(world: Any, name: str) -> str:
    """The same signed statement in an envelope of other bytes, which anybody can make."""
    envelope = json.loads(world.store.get_bytes(name, MAX_ATTESTATION_BYTES))
    envelope["signatures"].append({"keyid": "ab" * 32, "sig": "AAAA"})
    return str(world.store.put_bytes(canonical_json(envelope), "application/json").digest)


def test_an_entry_of_another_log_in_another_envelope_can_be_removed(
    released: Any, keys: Any
) -> None:
    chain = log.tips_chain(released.settings.url, released.settings.branch)
    add(released, rewrapped(released, log.names(released.store, chain)[-1]))
    refused(lambda: released.roll_back("dev"), AssayError, "assay release clear")
    log.clear(
        released.services, keys.signer("ann"), log.blocking(released.services), by="", why="x"
    )
    goes_on(released)


def test_an_entry_of_a_runner_behind_a_pointer_to_nothing_hides_it_from_nobody(
    released: Any, keys: Any
) -> None:
    last = released.chain()[-1]
    rollback = {"event": Event.ROLLBACK, "release": released.chain()[0].release, "commit": ""}
    forged(released, keys.signer("runs"), **rollback)
    kept = log.names(released.store, MODEL)
    add(released, NOTHING)
    entry = replace(last, **rollback, number=len(kept) + 2, previous=NOTHING)
    add(released, stored(released, entry.predicate(), keys.signer("runs"), entry.release))
    refused(lambda: released.roll_back("dev"), IntegrityError, "assay release clear")
    log.clear(
        released.services, keys.signer("ann"), log.blocking(released.services), by="", why="x"
    )
    # The runner's rollback from before stays.
    assert log.names(released.store, MODEL) == kept
    assert released.sync().problems == []


def test_a_statement_about_no_digest_stops_no_removal(released: Any, keys: Any) -> None:
    data, _ = statement.encode(Kind.REVOCATION, NOTHING, {"by": "x", "at": "x", "why": "x"}, None)
    data = data.replace(NOTHING.removeprefix("sha256:").encode(), b"zz")
    digest = released.store.put_bytes(keys.signer("stranger").sign(data), "x/y").digest
    hexed = released.models["one"].removeprefix("sha256:")
    released.store.write_pointer(f"statements/{hexed}/{digest.removeprefix('sha256:')}", b"x")
    add(released, NOTHING)
    log.clear(
        released.services, keys.signer("ann"), log.blocking(released.services), by="", why="x"
    )
    fsck(released.store, released.services.verifier)
    goes_on(released)


def test_tips_that_nobody_signed_hide_no_repository(released: Any) -> None:
    chain = log.tips_chain(released.settings.url, released.settings.branch)
    known = log.repository_of(log.configured(released.services))
    assert known
    for number in range(101):
        add(released, stored(released, {"x": number}, None, NOTHING), chain)
    assert log.repository_of(log.configured(released.services)) == known


def test_what_a_runner_names_as_a_release_does_not_stop_the_collector(
    released: Any, keys: Any
) -> None:
    verifier = released.services.verifier
    kept = log.live(released.store, verifier)
    junk = blob(released, b"no release")
    for release in (junk, f"sha256:{'cd' * 32}"):
        names = {"release": release, "statement": NOTHING, "commit": "1" * 40}
        forged(released, keys.signer("runs"), event=Event.INTENT, intends="release", **names)
        forged(released, keys.signer("runs"), event=Event.PASSED, **names)
    assert kept <= log.live(released.store, verifier)


def test_a_rollback_that_intends_something_does_not_count(released: Any, keys: Any) -> None:
    """Only an intent intends; otherwise the statement behind it would go unchecked."""
    first = released.chain()[0]
    names = {"release": first.release, "digest": first.digest, "statement": NOTHING, "commit": ""}
    forged(released, keys.signer("runs"), event=Event.ROLLBACK, intends="seen", **names)
    assert "intends" in released.chain()[-1].refused
    log.live(released.store, released.services.verifier)
    goes_on(released)


@pytest.mark.parametrize("chain", [log.REVOCATIONS, MODEL])
def test_a_runner_can_take_back_its_intent_and_nothing_misses_it(
    released: Any, keys: Any, chain: str
) -> None:
    last = released.chain()[-1]
    intent = {"event": Event.INTENT, "commit": "", "release": last.release}
    forged(released, keys.signer("runs"), chain, **intent)
    name = log_entry.pointer(chain, len(log.names(released.store, chain)))
    released.promote("three", "dev")
    released.store.remove_pointer(name)
    released.approve("dev")
    assert released.sync().problems == []
    assert released.roll_back("dev").release.digest == released.models["two"]


def test_an_intent_about_a_merge_does_not_stop_its_record(released: Any, keys: Any) -> None:
    """Between `approve` and `sync` of a plain remote, by any key."""
    released.promote("three", "dev")
    commit = released.approve("dev")
    last = released.chain()[-1]
    names = {"statement": blob(released, b"no statement"), "release": last.release}
    forged(released, keys.signer("runs"), event=Event.INTENT, commit=commit, **names)
    assert released.sync().problems == []
    assert log.current(released.chain(), "dev").digest == released.models["three"]
