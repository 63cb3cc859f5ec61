"""The epoch: what KFP remembers counts no longer once keys changed or a collection removed it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from assay.cli import cli
from assay.core.attestation import load
from assay.core.epoch import COLLECTION, epoch
from assay.core.execution import Context, execute
from assay.core.maintenance import gc
from assay.core.signing import Verifier
from assay.core.step import Dataset, Out, step
from assay.core.store import Store, open_store
from assay.core.tree import get_manifest
from assay.errors import AttestationError, NotFoundError
from assay.releases import upkeep
from assay.releases.upkeep import fsck

LATER = gc.MIN_GRACE_SECONDS + 3600


@step
def gather(*, number: int, dataset: Out[Dataset]) -> None:
    (dataset.path / "rows.txt").write_text(f"rows {number}")


def collect(store: Store, *kept: str) -> int:
    """A collection two days from now."""
    roots = dict.fromkeys(kept, "wanted")
    found = upkeep.plan(store, roots, now=store.now() + LATER, grace=gc.MIN_GRACE_SECONDS)
    return upkeep.remove(store, found, lambda: roots)


def public_key() -> str:
    key = Ed25519PrivateKey.generate().public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def listed(*keys: dict[str, object]) -> Verifier:
    return Verifier.from_yaml(yaml.safe_dump(list(keys)).encode())


def test_it_is_short_and_the_same_for_everybody(store: Store) -> None:
    first = epoch(store, None)
    assert len(first) == 12
    assert int(first, 16) >= 0
    execute(gather, {"number": 1}, Context(store))
    assert epoch(store, None) == first, "more in the store is no reason to forget"


def test_a_collection_that_removed_something_ends_it(store: Store) -> None:
    kept, waste = (
        execute(gather, {"number": n}, Context(store)).outputs["dataset"] for n in (1, 2)
    )
    before = epoch(store, None)
    assert collect(store, kept) == 3
    assert not store.has(waste)
    after = epoch(store, None)
    assert after != before

    # The next ones remove the list of the one before, which no answer names; and nothing at all.
    assert collect(store, kept) == 1
    assert epoch(store, None) == after
    execute(gather, {"number": 3}, Context(store))
    found = upkeep.plan(store, {}, now=store.now(), grace=gc.MIN_GRACE_SECONDS)
    assert upkeep.remove(store, found, dict) == 0
    assert epoch(store, None) == after

    # It is no waste itself, and nothing that is broken.
    assert store.list_pointers("epochs/") == [COLLECTION]
    assert fsck(store, None).findings == []
    collect(store)
    assert epoch(store, None) not in {before, after}


def test_looking_what_could_go_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path.as_uri())
    monkeypatch.setenv("ASSAY_STORE", store.url)
    execute(gather, {"number": 1}, Context(store))
    before = epoch(store, None)
    later = store.now() + LATER
    monkeypatch.setattr(type(store), "now", lambda _: later)
    shown = CliRunner().invoke(cli, ["store", "gc", "--no-registry", "--grace", "2"])
    assert "would be freed" in shown.output
    assert epoch(store, None) == before
    done = CliRunner().invoke(cli, ["store", "gc", "--no-registry", "--grace", "2", "--delete"])
    assert "removed 3 of 3 blobs" in done.output
    assert epoch(store, None) != before


def test_other_keys_end_it_and_their_order_does_not(folder_store: Store) -> None:
    one, other = public_key(), public_key()

    def of(*keys: dict[str, object]) -> str:
        return epoch(folder_store, listed(*keys))

    runner = {"owner": "CI <ci@example.com>", "roles": ["runner"], "key": one}
    approver = {"owner": "Ann <ann@example.com>", "roles": ["approver"], "key": other}
    unsigned, signed = epoch(folder_store, None), of(runner)
    both = of(runner, approver)
    retired = of({**runner, "retired": "2026-01-31"}, approver)
    more = of({**runner, "roles": ["runner", "trigger"]}, approver)
    assert len({unsigned, signed, both, retired, more}) == 5
    assert of(approver, runner) == both
    assert of({**runner, "owner": "CI <robot@example.com>"}, approver) == both
    assert epoch(folder_store, Verifier.from_pem(one.encode())) == signed


def test_what_is_said_when_it_was_not_asked_for_works_on_kfp(folder_store: Store) -> None:
    """A pipeline of one's own may leave the epoch out: KFP then answers with what is gone."""
    made = execute(gather, {"number": 1}, Context(folder_store))
    verifier = Verifier.from_pem(public_key().encode())
    with pytest.raises(AttestationError, match=r"unsigned.*assay submit --no-cache"):
        load(folder_store, made.attestation, verifier)
    collect(folder_store)
    with pytest.raises(NotFoundError, match=r"does not exist in .*assay submit --no-cache"):
        get_manifest(folder_store, made.outputs["dataset"])


KILLED = """
import sys, time
from assay.core.maintenance import gc
from assay.releases import upkeep
from assay.core.store import open_store
store = open_store(sys.argv[1])
def stand_still(*_):
    print("here", flush=True)
    time.sleep(600)
gc._remove = stand_still
found = upkeep.plan(store, {}, now=store.now() + float(sys.argv[2]), grace=gc.MIN_GRACE_SECONDS)
upkeep.remove(store, found, dict)
"""


def test_killed_between_the_new_epoch_and_the_first_removal(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    made = execute(gather, {"number": 1}, Context(store)).outputs["dataset"]
    before = epoch(store, None)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, store.url, str(LATER)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    # One epoch too many costs a computation; one too few would answer with what is gone.
    assert store.has(made)
    killed = epoch(store, None)
    assert killed != before
    assert collect(store) >= 3
    assert epoch(store, None) not in {before, killed}
