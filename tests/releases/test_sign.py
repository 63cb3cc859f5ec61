"""Keys adopted late: what was made before is admitted by a person, and shown as that."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from assay.cli import cli
from assay.components.evaluate.step import evaluate
from assay.components.snapshot_data.step import snapshot_data
from assay.components.split_data.step import split_data
from assay.components.train.step import train
from assay.core.attestation import about, load
from assay.core.execution import Context, execute
from assay.core.provenance import verify
from assay.errors import AttestationError, IntegrityError, UsageError
from assay.releases import eligibility, statement
from assay.releases.statement import Kind

from stories import flip, refused

MODEL = "churn"
ANN = "Ann Approver <ann@example.org>"
WHY = "made in March, before we had keys; checked with the team"


@pytest.fixture
def earlier(world: Any) -> str:
    """An evaluation that was made without a key, and all it rests on."""
    lines = ["a,b,label"]
    lines += [f"{i % 5},{(i * 31) % 7},{'yes' if i % 5 > 2 else 'no'}" for i in range(200)]
    path = Path(world.root, "march.csv")
    path.write_text("\n".join(lines) + "\n")
    context = Context(world.store)

    def run(what: Any, **arguments: Any) -> Any:
        return execute(what, arguments, context).outputs

    data = run(snapshot_data, data=str(path))["dataset"]
    parts = run(split_data, data=data, target="label", test_fraction=0.4)
    estimator = "sklearn.tree.DecisionTreeClassifier"
    model = run(train, data=parts["train"], target="label", estimator=estimator)["model"]
    judged = run(evaluate, model=model, test_data=parts["test"], resamples=100, latency_rows=10)
    return str(judged["evaluation"])


def sign(digest: str, *words: str) -> Result:
    return CliRunner().invoke(cli, ["store", "sign", digest, "--why", WHY, *words])


def test_what_was_made_before_keys_is_admitted_by_a_person_and_shown_as_that(
    world: Any, earlier: str
) -> None:
    verifier = world.services.verifier
    refused(
        lambda: about(world.store, earlier, verifier),
        AttestationError,
        "assay store sign DIGEST --why REASON",
    )
    done = CliRunner().invoke(cli, ["store", "sign", earlier, "--why", WHY], input="n\n")
    assert done.exit_code == 1
    for step in ("snapshot_data", "split_data", "train", "evaluate"):
        assert step in done.output
    refused(lambda: about(world.store, earlier, verifier), AttestationError, "unsigned")
    done = sign(earlier, "--yes")
    assert done.exit_code == 0, done.output
    assert f"admitted by {ANN}" in done.output
    (attestation, *_) = about(world.store, earlier, verifier)
    assert (attestation.signed_by, attestation.admitted_by) == ("", ANN)
    verify(world.store, earlier, verifier)
    shown = CliRunner().invoke(cli, ["passport", earlier]).output
    assert f"admitted by {ANN}" in " ".join(shown.split())
    assert " signed" not in shown
    assert "nothing to admit" in sign(earlier, "--yes").output


def test_a_version_from_before_the_keys_is_released_by_its_newest_signed_decision(
    world: Any,
) -> None:
    """The tag goes on naming the first decision; the remedy, to run again, must help."""
    lines = "".join(f"{row},yes\n" for row in range(20))
    Path(world.root, "first.csv").write_text(f"a,label\n{lines}")
    given = {"data": str(Path(world.root, "first.csv"))}
    first = execute(snapshot_data, given, Context(world.store)).outputs["dataset"]
    version = world.registry.find(MODEL, world.models["one"])
    signed = version.tags[eligibility.DECISION_TAG]
    world.registry.tag(MODEL, version.version, {eligibility.DECISION_TAG: first})
    version = world.registry.find(MODEL, world.models["one"])
    assert eligibility.decision_of(world.services, world.models["one"], version) == signed
    world.release("one", "dev")
    nothing = f"sha256:{'7' * 64}"
    refused(
        lambda: eligibility.decision_of(world.services, nothing, version),
        AttestationError,
        "assay store sign DIGEST --why REASON",
    )


def test_only_what_was_listed_is_admitted(world: Any, earlier: str) -> None:
    sign(earlier, "--yes")
    context = Context(world.store)
    (world.root / "april.csv").write_text("a,label\n1,yes\n2,no\n3,yes\n")
    later = execute(snapshot_data, {"data": str(world.root / "april.csv")}, context)
    refused(
        lambda: load(world.store, later.attestation, world.services.verifier),
        AttestationError,
        "unsigned",
    )


@pytest.mark.parametrize("name", ["runs", "recorder", "stranger"])
def test_an_admission_takes_an_approvers_key(
    world: Any, keys: Any, earlier: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_SIGNING_KEY", keys.private[name])
    done = sign(earlier, "--yes")
    assert isinstance(done.exception, UsageError)
    assert "an admission takes a key with the role approver" in str(done.exception)
    # Nor does one that was made by hand count.
    (attestation, *_) = about(world.store, earlier, None)
    predicate = {"attestations": [attestation.digest], "by": ANN, "why": WHY, "at": statement.now()}
    data, media = statement.encode(Kind.ADMISSION, earlier, predicate, keys.signer(name))
    digest = world.store.put_bytes(data, media).digest
    statement.point(world.store, attestation.digest, digest)
    refused(
        lambda: load(world.store, attestation.digest, world.services.verifier),
        AttestationError,
        "unsigned",
    )


def test_nothing_is_admitted_when_a_byte_is_wrong(world: Any, earlier: str) -> None:
    (attestation, *_) = about(world.store, earlier, None)
    model = attestation.inputs["model"]
    flip(world.model_file(model))
    done = sign(earlier, "--yes")
    assert isinstance(done.exception, IntegrityError)
    assert "damaged" in str(done.exception)
    assert not [s for s in world.store.list_pointers("statements/") if s]


def test_what_another_key_signed_is_not_admitted(world: Any, keys: Any) -> None:
    context = Context(world.store, signer=keys.signer("stranger"))
    done = execute(snapshot_data, {"data": str(world.root / "data.csv")}, context)
    dataset = done.outputs["dataset"]
    # The same dataset has an attestation of the pipeline's own key; so it is believed as it is.
    assert "nothing to admit" in sign(dataset, "--yes").output


def test_without_keys_there_is_nothing_to_admit(
    world: Any, earlier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ASSAY_VERIFY_KEYS")
    done = sign(earlier, "--yes")
    assert isinstance(done.exception, UsageError)
    assert "ASSAY_VERIFY_KEYS is not set" in str(done.exception)
