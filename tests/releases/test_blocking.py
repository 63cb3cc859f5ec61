"""What somebody adds to the store does not stop the releases of a model for good."""

from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from assay.cli import cli
from assay.core.attestation import MAX_ATTESTATION_BYTES
from assay.errors import AssayError, IntegrityError, UnknownKeyError, UsageError
from assay.releases import log, statement
from assay.releases.log import Event
from assay.releases.log import entry as log_entry
from assay.releases.log.blocking import MAX_LISTED
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
    log.live(released.store)
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
