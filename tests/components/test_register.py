"""register: nothing gets in that the proof does not lead to."""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mlflow.tracking import MlflowClient

from assay.components.compare.step import compare
from assay.components.evaluate.step import evaluate
from assay.components.gate.step import gate
from assay.components.register import version
from assay.components.register.step import register
from assay.components.resolve_production.step import resolve_production
from assay.components.select_best.step import select_best
from assay.components.snapshot_data.step import snapshot_data
from assay.components.split_data.step import split_data
from assay.components.train.step import train
from assay.core import attestation
from assay.core import code_identity as code
from assay.core.attestation import Attestation, about, load
from assay.core.digest import hex_of, is_digest
from assay.core.execution import Context, Execution, execute
from assay.core.signing import Verifier
from assay.core.step import Dataset, Decision, Evaluation, Model, Out, Policy, Services, Step, step
from assay.core.store import Store, open_store
from assay.core.store.base import blob_key
from assay.core.tree import get_manifest, get_tree, put_tree
from assay.errors import (
    AssayError,
    AttestationError,
    IntegrityError,
    NotFoundError,
    RunBlocked,
    RunInconclusive,
    ServiceError,
    StepError,
    UsageError,
)
from assay.evidence.format import EvidenceDocument
from assay.governance import admission, disjoint
from assay.governance.makers import Admitted
from assay.governance.mlflow_calls import quiet
from assay.governance.policy import decide
from assay.governance.policy.decision import statement
from assay.governance.registry import Registry
from assay.models import read_info

from simulators.forge import git

ROWS = 400
TREE = "sklearn.tree.DecisionTreeClassifier"


@step
def write_policy(*, text: str, policy: Out[Policy]) -> None:
    """A policy with a record, as preflight makes one."""
    (policy.path / "policy.yaml").write_text(text)


@dataclass(frozen=True)
class Proof:
    """A run's digests in a store."""

    store: Store
    root: Path
    model: str
    other_model: str
    data: str
    test: str
    evaluation: str
    other_evaluation: str
    measurements: str
    comparison: str
    values: dict[str, float | None]

    @property
    def context(self) -> Context:
        return Context(self.store)

    def policy(self, text: str) -> str:
        return execute(write_policy, {"text": text}, self.context).outputs["policy"]

    def decide(self, text: str = "gates: [{metric: accuracy > 0.5}]", **changes: Any) -> str:
        """A decision by the gate."""
        arguments = {
            "model": self.model,
            "policy": self.policy(text),
            "evidence": [self.evaluation, self.measurements, self.comparison],
            "test_data": self.test,
            "data": self.data,
            **changes,
        }
        return execute(gate, arguments, self.context).outputs["decision"]

    def register(self, decision: str, *, context: Context | None = None, **changes: Any) -> Any:
        arguments = {
            "model": self.model,
            "decision": decision,
            "evaluation": self.evaluation,
            "measurements": self.measurements,
            "data": self.data,
            "model_name": "churn",
            **changes,
        }
        return execute(register, arguments, context or self.context)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Proof:
    """A run up to the gate, with real steps on a small table."""
    root = tmp_path_factory.mktemp("proof")
    lines = ["a,b,label"]
    lines += [
        f"{i % 7},{(i * 37) % 11},{'yes' if (i % 7 > 3) != (i % 9 == 0) else 'no'}"
        for i in range(ROWS)
    ]
    (root / "data.csv").write_text("\n".join(lines) + "\n")
    store = open_store((root / "store").as_uri())
    context = Context(store)

    def run(what: Step, **arguments: Any) -> Any:
        return execute(what, arguments, context)

    data = run(snapshot_data, data=str(root / "data.csv")).outputs["dataset"]
    # By row number, because equal rows never stand on both sides and there are few distinct ones.
    parts = run(split_data, data=data, target="label", test_fraction=0.4).outputs
    models, evaluations = [], []
    for depth in (3, 1):
        model = run(
            train,
            data=parts["train"],
            target="label",
            estimator="sklearn.tree.DecisionTreeClassifier",
            hyperparameters={"max_depth": depth},
        ).outputs["model"]
        models.append(model)
        judged = run(evaluate, model=model, test_data=parts["test"], resamples=200, latency_rows=20)
        evaluations.append(judged.outputs)
    comparison = run(compare, candidate=models[0], test_data=parts["test"]).outputs["comparison"]
    return Proof(
        store=store,
        root=root,
        model=models[0],
        other_model=models[1],
        data=data,
        test=parts["test"],
        evaluation=evaluations[0]["evaluation"],
        other_evaluation=evaluations[1]["evaluation"],
        measurements=evaluations[0]["measurements"],
        comparison=comparison,
        values=dict(read_values(store, evaluations[0]["evaluation"])),
    )


def read_values(store: Store, artifact: str) -> dict[str, float | None]:
    (entry,) = (e for e in get_manifest(store, artifact).files if e.path == "evidence.json")
    return dict(EvidenceDocument.parse(store.get_bytes(entry.blob.digest, 1 << 20)).values)


@pytest.fixture
def proof(made: Proof, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proof:
    """A copy that a test may damage."""
    shutil.copytree(made.root, tmp_path / "proof", symlinks=True)
    root = tmp_path / "proof"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    fields = {name: getattr(made, name) for name in made.__dataclass_fields__}
    return Proof(**{**fields, "store": open_store((root / "store").as_uri()), "root": root})


@pytest.fixture
def client(proof: Proof, tmp_path: Path) -> MlflowClient:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with quiet():  # SQLAlchemy warns of what MLflow does when it is first used
        return MlflowClient(uri, uri)


def blob(proof: Proof, digest: str) -> Path:
    return proof.root / "store" / blob_key(digest)


def refused(work: Callable[[], object], error: type[AssayError], said: str) -> None:
    with pytest.raises(error, match=said) as raised:
        work()
    assert "\n" not in str(raised.value)


def test_a_pass_is_registered_with_all_that_a_reader_asks(
    proof: Proof, client: MlflowClient
) -> None:
    decision = proof.decide()
    done = proof.register(decision)
    assert done.values == {
        "version": "1",
        "registered": "new",
        "model_uri": "models:/churn@candidate",
    }
    found = client.get_model_version_by_alias("churn", "candidate")
    tags = found.tags
    assert tags["assay.model"] == proof.model
    assert tags["assay.data"] == proof.data
    assert tags["assay.test_data"] == proof.test
    assert tags["assay.decision"] == decision
    assert tags["assay.evaluation"] == proof.evaluation
    assert tags["assay.measurements"] == proof.measurements
    assert tags["assay.policy"].startswith("sha256:")
    assert tags["assay.code"].startswith("sha256:")
    assert float(tags["assay.latency_p50_ms"]) <= float(tags["assay.latency_p99_ms"])
    assert int(tags["assay.model_bytes"]) == get_manifest(proof.store, proof.model).size
    assert [column["name"] for column in json.loads(tags["assay.schema_inputs"])] == ["a", "b"]
    assert len(json.loads(tags["assay.schema_outputs"])) == 1
    assert all(tags.values())
    run = client.get_run(found.run_id)
    assert run.data.metrics["accuracy"] == proof.values["accuracy"]
    assert run.data.params["estimator"] == "sklearn.tree.DecisionTreeClassifier"
    assert json.loads(run.data.params["hyperparameters"]) == {"max_depth": 3}
    record = get_manifest(proof.store, done.outputs["record"])
    assert {entry.path for entry in record.files} == {"record.json", "summary.md"}


def test_the_version_loads(proof: Proof, tmp_path: Path) -> None:
    import mlflow
    import pandas as pd

    proof.register(proof.decide())
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    try:
        with quiet():
            model = mlflow.pyfunc.load_model("models:/churn@candidate")
    finally:
        mlflow.set_tracking_uri(None)
    assert list(model.predict(pd.DataFrame({"a": [0, 6], "b": [1, 1]}))) == ["no", "yes"]


def test_twice_is_the_same_version(proof: Proof, client: MlflowClient) -> None:
    first = proof.register(proof.decide())
    again = proof.register(proof.decide("gates: [{metric: accuracy > 0.6}]"))
    assert dict(again.values) == {
        **first.values,  # noqa: PD011
        "registered": "existing",
    }
    assert not again.cached
    assert len(client.search_model_versions("name = 'churn'")) == 1


def test_what_is_optional_may_be_absent(proof: Proof, client: MlflowClient) -> None:
    decision = proof.decide(evidence=[proof.evaluation], data="")
    proof.register(decision, measurements="", data="")
    tags = client.get_model_version("churn", "1").tags
    assert "assay.data" not in tags
    assert "assay.measurements" not in tags
    assert tags["assay.train_data"].startswith("sha256:")


# Each check, and what it stops.


def test_1_a_decision_about_another_model(proof: Proof) -> None:
    decision = proof.decide()
    refused(
        lambda: proof.register(decision, model=proof.other_model),
        IntegrityError,
        f"is about {proof.model}, not about {proof.other_model}; run the gate",
    )


def test_2_a_decision_that_is_no_pass(proof: Proof) -> None:
    blocked = proof.decide("gates: [{metric: accuracy > 1.5}]")
    refused(lambda: proof.register(blocked), RunBlocked, "verdict is block: .*accuracy")


def test_2_a_decision_that_could_not_tell(proof: Proof) -> None:
    value = read_values(proof.store, proof.other_evaluation)["accuracy"]
    undecided = proof.decide(
        f"gates: [{{metric: accuracy > {value}, confidence: 0.95}}]",
        model=proof.other_model,
        evidence=[proof.other_evaluation],
    )
    refused(
        lambda: proof.register(
            undecided,
            model=proof.other_model,
            evaluation=proof.other_evaluation,
            measurements="",
        ),
        RunInconclusive,
        "verdict is inconclusive",
    )


def forge(proof: Proof, name: str, kind: Any, file: str, content: bytes) -> str:
    """An artifact without a record."""
    folder = proof.root / name
    folder.mkdir()
    (folder / file).write_bytes(content)
    return put_tree(proof.store, folder, kind.type, {}).digest


def judged(proof: Proof, evidence: list[str], policy_text: str) -> Any:
    policy = proof.policy(policy_text)
    documents = {}
    for digest in evidence:
        (entry,) = (e for e in get_manifest(proof.store, digest).files if e.path[:8] == "evidence")
        documents[digest] = EvidenceDocument.parse(
            proof.store.get_bytes(entry.blob.digest, 1 << 20)
        )
    return decide(
        policy_text.encode(),
        documents,
        proof.model,
        policy_artifact=policy,
        data=proof.data,
        test_data=proof.test,
        production="",
    )


def test_3_a_decision_that_does_not_follow(proof: Proof) -> None:
    from dataclasses import replace

    from assay.core.digest import canonical_json
    from assay.governance.policy import Outcome, Verdict

    # The gate would block; the decision says pass, and does not contradict itself.
    honest = judged(proof, [proof.evaluation], "gates: [{metric: accuracy > 1.5}]\n")
    rows = tuple(replace(row, outcome=Outcome.PASS) for row in honest.rows)
    lie = replace(honest, verdict=Verdict.PASS, rows=rows)
    content = canonical_json(statement(lie))
    decision = forge(proof, "lie", Decision, "decision.json", content)
    refused(
        lambda: proof.register(decision, measurements=""),
        IntegrityError,
        r"does not follow from .* \(judged again: block\)",
    )


def test_4_an_evaluation_that_was_not_judged(proof: Proof) -> None:
    decision = proof.decide()
    refused(
        lambda: proof.register(decision, evaluation=proof.other_evaluation),
        IntegrityError,
        f"{proof.other_evaluation} is not among the evidence that was judged",
    )


def test_4_data_that_the_model_was_not_made_from(proof: Proof) -> None:
    refused(
        lambda: proof.register(proof.decide(), data=proof.test),
        IntegrityError,
        "give the same to both",
    )
    # The test rows are from the same table, but the model has not seen them.
    loose = proof.decide(evidence=[proof.evaluation], data="")
    refused(
        lambda: proof.register(loose, measurements="", data=proof.test),
        IntegrityError,
        "was not made from the data",
    )


def test_5_a_decision_that_no_gate_made(proof: Proof) -> None:
    from assay.core.digest import canonical_json

    # It follows from its evidence, and nobody recorded it.
    honest = judged(proof, [proof.evaluation], "gates: [{metric: accuracy > 0.5}]\n")
    content = canonical_json(statement(honest))
    decision = forge(proof, "loose", Decision, "decision.json", content)
    refused(
        lambda: proof.register(decision, measurements=""),
        AttestationError,
        "no attestation shows that the gate made the decision",
    )


def test_5_evidence_that_nobody_measured(proof: Proof) -> None:
    perfect = EvidenceDocument({"model": proof.model, "data": proof.test}, {"accuracy": 1.0})
    evidence = forge(proof, "perfect", Evaluation, "evidence.json", perfect.to_bytes())
    decision = proof.decide(evidence=[evidence])
    refused(
        lambda: proof.register(decision, evaluation=evidence, measurements=""),
        AttestationError,
        f"no attestation shows that the evidence {evidence} was made",
    )


@step
def flatter(*, model: Model, about: str, data: str, evaluation: Out[Evaluation]) -> None:
    """Write good numbers about a model that it has not seen."""
    del model
    document = EvidenceDocument({"model": about, "data": data}, {"accuracy": 1.0})
    document.write(evaluation.path)


def test_5_evidence_measured_on_another_model(proof: Proof) -> None:
    arguments = {"model": proof.other_model, "about": proof.model, "data": proof.test}
    evidence = execute(flatter, arguments, proof.context).outputs["evaluation"]
    decision = proof.decide(evidence=[evidence])
    refused(
        lambda: proof.register(decision, evaluation=evidence, measurements=""),
        AttestationError,
        "was made by the step .*test_register:flatter, which is not one of the library's",
    )


def test_5_a_model_without_a_record(proof: Proof) -> None:
    decision = proof.decide(data="")
    shutil.rmtree(proof.root / "store" / "referrers" / hex_of(proof.model))
    refused(lambda: proof.register(decision, data=""), AttestationError, "no attestation of how")


def test_5_records_must_be_signed_where_a_key_is_configured(proof: Proof) -> None:
    key = Ed25519PrivateKey.generate().public_key()
    pem = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    context = Context(proof.store, verifier=Verifier.from_pem(pem))
    decision = proof.decide()
    refused(
        lambda: proof.register(decision, context=context), AttestationError, "unsigned, and ASSAY"
    )


@pytest.mark.parametrize("of", ["model", "data", "evaluation", "measurements"])
def test_6_a_byte_that_changed_anywhere_behind_it(proof: Proof, of: str) -> None:
    decision = proof.decide()
    entries = get_manifest(proof.store, getattr(proof, of)).files
    # The largest file: one that nothing before the last check reads.
    target = blob(proof, max(entries, key=lambda entry: entry.blob.size).blob.digest)
    content = bytearray(target.read_bytes())
    content[len(content) // 2] ^= 1
    target.chmod(0o644)
    target.write_bytes(content)
    refused(lambda: proof.register(decision), IntegrityError, "damaged")


def test_6_a_file_that_is_gone(proof: Proof) -> None:
    decision = proof.decide()
    entries = get_manifest(proof.store, proof.model).files
    (skops,) = (entry for entry in entries if entry.path == "model.skops")
    blob(proof, skops.blob.digest).unlink()
    with pytest.raises((NotFoundError, IntegrityError)):
        proof.register(decision)


# Rows that the model has seen.


def fit(proof: Proof, data: str, **changes: Any) -> str:
    arguments = {
        "data": data,
        "target": "label",
        "estimator": "sklearn.tree.DecisionTreeClassifier",
        **changes,
    }
    return execute(train, arguments, proof.context).outputs["model"]


def measure(proof: Proof, model: str, rows: str) -> str:
    arguments = {"model": model, "test_data": rows, "resamples": 100, "latency_rows": 10}
    return execute(evaluate, arguments, proof.context).outputs["evaluation"]


def state(execution: Execution) -> object:
    return dict(execution.values)["registered"]


def offer(proof: Proof, model: str, rows: str) -> Callable[[], Any]:
    """Evaluate a model, let the gate pass it, and try to register it."""
    evaluation = measure(proof, model, rows)
    text = "gates: [{metric: accuracy > 0.1}]"
    decision = proof.decide(text, model=model, evidence=[evaluation], test_data=rows, data="")
    return lambda: proof.register(
        decision, model=model, evaluation=evaluation, measurements="", data=""
    )


def cut(proof: Proof, data: str, **changes: Any) -> dict[str, str]:
    arguments = {"data": data, "target": "label", "test_fraction": 0.4, **changes}
    return dict(execute(split_data, arguments, proof.context).outputs)


def table(proof: Proof, name: str, rows: list[str]) -> str:
    (proof.root / name).write_text("\n".join(["a,b,label", *rows]) + "\n")
    return execute(snapshot_data, {"data": str(proof.root / name)}, proof.context).outputs[
        "dataset"
    ]


ODD = [f"{n},{n % 4},{'yes' if n % 3 else 'no'}" for n in range(1, 120, 2)]
EVEN = [f"{n},{n % 5},{'yes' if n % 3 else 'no'}" for n in range(0, 120, 2)]


def test_6_an_evaluation_on_the_models_own_training_rows(proof: Proof) -> None:
    data = cut(proof, proof.data)["train"]
    refused(
        offer(proof, fit(proof, data), data),
        IntegrityError,
        f"trained on {data}, and evaluated on the same rows; evaluate it on the part",
    )


def test_6_an_evaluation_on_all_rows_and_so_on_those_of_training_too(proof: Proof) -> None:
    parts = cut(proof, proof.data)
    refused(
        offer(proof, fit(proof, parts["train"]), proof.data),
        IntegrityError,
        r"of the evaluated rows .* are among those that the model was trained on",
    )


def test_6_an_evaluation_on_the_side_of_another_split(proof: Proof) -> None:
    model = fit(proof, cut(proof, proof.data)["train"])
    other = cut(proof, proof.data, salt="another")["test"]
    refused(offer(proof, model, other), IntegrityError, "take both from one split_data")


def test_6_a_split_of_a_split_is_shown_by_attestations(
    proof: Proof, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer = cut(proof, proof.data)
    inner = cut(proof, outer["train"], salt="validation")
    model = fit(proof, inner["train"], hyperparameters={"max_depth": 2})

    def unwanted(*_: object) -> int:
        raise AssertionError("rows were compared although the attestations show it")

    monkeypatch.setattr(disjoint._Proof, "_shared_rows", unwanted)
    assert state(offer(proof, model, outer["test"])()) == "new"


def test_6_a_model_that_was_chosen_on_the_test_rows(proof: Proof) -> None:
    parts = cut(proof, proof.data)
    models = [fit(proof, parts["train"], hyperparameters={"max_depth": d}) for d in (2, 4)]
    evaluations = [measure(proof, model, parts["test"]) for model in models]
    arguments = {"models": models, "evaluations": evaluations, "primary_metric": "accuracy"}
    chosen = execute(select_best, arguments, proof.context)
    refused(
        offer(proof, str(dict(chosen.values)["model"]), parts["test"]),
        IntegrityError,
        f"chosen among others on {parts['test']}, and evaluated on the same rows",
    )


def test_6_tables_of_two_files_are_compared_row_by_row(proof: Proof) -> None:
    model = fit(proof, table(proof, "odd.csv", ODD))
    assert state(offer(proof, model, table(proof, "even.csv", EVEN))()) == "new"
    # One row of the training table, written as a fraction: the column has another type.
    shared = table(proof, "shared.csv", [*EVEN, "1.0,1.0,yes", "0.5,0.5,no"])
    refused(
        offer(proof, model, shared),
        IntegrityError,
        rf"1 of the evaluated rows \({shared}\) are among those that the model was trained on",
    )


def test_6_a_row_number_does_not_put_equal_rows_on_both_sides(proof: Proof) -> None:
    """Labels are pure chance, and each row occurs four times: nothing can be learned."""
    draw = random.Random(1)
    rows = [f"{draw.random():.6f},{draw.choice(['yes', 'no'])}" for _ in range(200)]
    text = "\n".join(["id,a,label", *(f"{n},{rows[n % 200]}" for n in range(800))])
    (proof.root / "twins.csv").write_text(text + "\n")
    made = execute(snapshot_data, {"data": str(proof.root / "twins.csv")}, proof.context)
    data = made.outputs["dataset"]

    def attempt(policy: str = "", **split: Any) -> Any:
        parts = cut(proof, data, **split)
        model = fit(proof, parts["train"], drop_columns=["id"])
        evaluation = measure(proof, model, parts["test"])
        text = f"gates: [{{metric: accuracy > 0.1}}]\n{policy}"
        decision = proof.decide(
            text, model=model, evidence=[evaluation], test_data=parts["test"], data=""
        )
        done = proof.register(
            decision, model=model, evaluation=evaluation, measurements="", data=""
        )
        return read_values(proof.store, evaluation)["accuracy"], state(done)

    said = "of the evaluated rows .* in all columns that it uses, .* and 1.00% is the most"
    for lie in ({}, {"key_columns": ["id"]}, {"split_by": "time", "time_column": "id"}):
        refused(lambda given=lie: attempt(**given), IntegrityError, said)  # type: ignore[misc]
    # Split by what the model uses, it shows what it is worth.
    accuracy, done = attempt(drop_columns=["id"])
    assert done == "new"
    assert accuracy < 0.7
    # A policy may say that such rows are what the model is for.
    assert attempt("seen_rows_share: 1", key_columns=["id"])[1] == "new"


def test_6_rows_that_are_equal_by_chance_are_admitted_and_told(proof: Proof) -> None:
    """Two people of different years may be alike in all that a model looks at."""
    people = [f"{n % 7},{n},{'yes' if n % 3 else 'no'}" for n in range(500)]
    people[300:302] = people[:2]
    text = "\n".join(["year,a,b,label", *(f"{n},{row}" for n, row in enumerate(people))])
    (proof.root / "people.csv").write_text(text + "\n")
    made = execute(snapshot_data, {"data": str(proof.root / "people.csv")}, proof.context)
    parts = cut(proof, made.outputs["dataset"], split_by="time", time_column="year")
    model = fit(proof, parts["train"], time_column="year")
    asked = (Services(proof.store, None), Admitted(), model, about(proof.store, model, None))
    _, notes = disjoint.require_disjoint(*asked, [parts["test"]], 0.01)
    assert len(notes) == 1
    assert "that every evaluated row is new to the model: 2 of the evaluated rows" in notes[0]
    assert "1.00% of them" in notes[0]
    refused(
        lambda: disjoint.require_disjoint(*asked, [parts["test"]], 0.009),
        IntegrityError,
        "0.90% is the most; take both from one split_data by hash of what the model uses",
    )


def test_6_tables_without_a_common_column_cannot_be_told_apart(proof: Proof) -> None:
    data = table(proof, "one.csv", ODD)
    (proof.root / "two.csv").write_text("c,d\n1,2\n3,4\n")
    made = execute(snapshot_data, {"data": str(proof.root / "two.csv")}, proof.context)
    other = made.outputs["dataset"]
    looked = disjoint._Proof(Services(proof.store, None), Admitted(), frozenset({"a", "label"}))
    refused(
        lambda: looked.require(data, [other], "trained on"),
        IntegrityError,
        "they have no column in common",
    )


# Who made the evidence.


@step
def measure_myself(*, model: Model, rows: Dataset, evaluation: Out[Evaluation]) -> None:
    """A step of a user's own."""
    document = EvidenceDocument({"model": model.digest, "data": rows.digest}, {"accuracy": 0.99})
    document.write(evaluation.path)


def test_5_a_step_of_ones_own_counts_when_the_policy_names_it(proof: Proof) -> None:
    made = execute(measure_myself, {"model": proof.model, "rows": proof.test}, proof.context)
    evidence = made.outputs["evaluation"]

    def attempt(text: str) -> Any:
        decision = proof.decide(text, evidence=[evidence])
        return proof.register(decision, evaluation=evidence, measurements="")

    gates = "gates: [{metric: accuracy > 0.5}]"
    refused(
        lambda: attempt(gates),
        AttestationError,
        rf"the evaluation {evidence} was made by the step {measure_myself.entry_point}, which is",
    )
    named = f"steps: [{{step: '{measure_myself.entry_point}'"
    refused(
        lambda: attempt(f"{gates}\n{named}, code: 'sha256:{'0' * 64}'}}]"),
        AttestationError,
        "the policy names the step with sha256:0000",
    )
    code_digest = load(proof.store, made.attestation, None).code_digest
    attempt(f"{gates}\n{named}, code: '{code_digest}'}}]")
    assert state(attempt(f"{gates}\n{named}}}]")) == "existing"


def test_5_an_evaluation_by_other_code_of_the_same_name(
    proof: Proof, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        # What a library with a changed file would say of itself.
        patch.setattr(code.closure, "digest_of", lambda _: "7" * 64)
        patch.setattr(code, "_known", {})
        evaluation = measure(proof, proof.model, proof.test)
    policy = "gates: [{metric: accuracy > 0.5}]"
    decision = proof.decide(policy, evidence=[evaluation])
    with pytest.raises(AttestationError, match=r"with other code .* than that of this install"):
        proof.register(decision, evaluation=evaluation, measurements="")
    # A policy may name it: how a model goes on its way over an upgrade.
    (record,) = (
        found
        for found in about(proof.store, evaluation, None)
        if found.code.modules != code.identity_of(found.entry_point).modules
    )
    named = f"{policy}\nsteps: [{{step: '{record.entry_point}', code: '{record.code_digest}'}}]"
    decision = proof.decide(named, evidence=[evaluation])
    proof.register(decision, evaluation=evaluation, measurements="")


@step
def fit_myself(*, data: Dataset, model: Out[Model]) -> None:
    """Trains by other means."""
    from assay.components.train.step import train as work

    work(**work.bind_parameters({"target": "label"}), data=data, model=model)


def test_5_a_model_that_a_step_of_ones_own_made(proof: Proof) -> None:
    parts = cut(proof, proof.data)
    model = execute(fit_myself, {"data": parts["train"]}, proof.context).outputs["model"]
    refused(
        offer(proof, model, parts["test"]),
        AttestationError,
        f"the model {model} was made by the step .*fit_myself, which is not one of the library's",
    )


# Who chose the rules.


def test_a_laxer_policy_does_not_register_after_a_stricter_one_blocked(
    proof: Proof, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict, lax = (f"gates: [{{metric: accuracy > {least}}}]" for least in (0.99, 0.5))
    refused(lambda: proof.register(proof.decide(strict)), RunBlocked, "verdict is block")
    kept = proof.policy(strict)
    refused(
        lambda: proof.register(proof.decide(lax)),
        RunBlocked,
        f"the policy {kept} blocked {proof.model} on the same test data "
        r".*accuracy is .*; allowed above 0.99",
    )
    # Another model does not get past it either, whatever it is registered as.
    other = {"model": proof.other_model, "evaluation": proof.other_evaluation}
    decision = proof.decide(
        lax, model=proof.other_model, evidence=[proof.other_evaluation], data=""
    )
    refused(
        lambda: proof.register(decision, **other, measurements="", model_name="fresh", data=""),
        RunBlocked,
        "this model does not pass it either",
    )
    # The deployment repository says what counts.
    bare = repository(proof, "models/churn/policy.yaml", lax)
    monkeypatch.setenv("ASSAY_DEPLOYMENTS", str(bare))
    assert state(proof.register(proof.decide(lax))) == "new"


def test_a_decision_that_names_no_test_data_is_not_admitted(proof: Proof) -> None:
    """It would hide which rows were worn out, and which policies kept models out on them."""
    strict, lax = (f"gates: [{{metric: accuracy > {least}}}]" for least in (0.99, 0.5))
    refused(
        lambda: proof.register(proof.decide(lax, test_data="")),
        IntegrityError,
        "names no test data, so it could be about any rows; run the gate with test_data",
    )
    # Nor is it forgotten that a stricter policy blocked where that gate was not told the rows.
    assert (
        get_manifest(proof.store, proof.decide(strict, test_data="")).annotations["verdict"]
        == "block"
    )
    refused(
        lambda: proof.register(proof.decide(lax)),
        RunBlocked,
        "blocked .* on the same test data .*accuracy is .*; allowed above 0.99",
    )


def test_attempts_that_were_counted_on_rows_of_no_evaluation_do_not_count(proof: Proof) -> None:
    """Nobody was ever measured on the rows of another split, so that the count there is 1."""
    elsewhere = cut(proof, proof.test, salt="another")["test"]
    asked = {"model_name": "churn", "model": proof.model, "test_data": elsewhere}
    counted = execute(resolve_production, asked, proof.context).outputs["attempts"]
    evidence = [proof.evaluation, proof.measurements, proof.comparison, counted]
    refused(
        lambda: proof.register(proof.decide(evidence=evidence)),
        RunBlocked,
        "is about other rows, .* than the test data",
    )


def test_models_that_were_measured_as_production_are_attempts_too(proof: Proof) -> None:
    """Try seeds as the model to compare with, which measures them, and evaluate only the best."""
    train_rows = sides(proof)["train"]
    for seed in range(3):
        rival = execute(
            train,
            {
                "data": train_rows,
                "target": "label",
                "estimator": "sklearn.dummy.DummyClassifier",
                "hyperparameters": {"strategy": "uniform"},
                "seed": seed,
            },
            proof.context,
        ).outputs["model"]
        compared = {
            "candidate": proof.model,
            "candidate_rows": train_rows,
            "production": rival,
            "production_rows": train_rows,
            "test_data": proof.test,
            "resamples": 100,
        }
        execute(compare, compared, proof.context)
    asked = {"model_name": "churn", "model": rival, "test_data": proof.test}
    counted = execute(resolve_production, asked, proof.context).outputs["attempts"]
    # Three seeds, and the two models of the fixture.
    assert read_values(proof.store, counted) == {"attempts_on_test_data": 5}


@step
def bring(*, data: Dataset, folder: str, target: str, model: Out[Model]) -> None:
    """A user's own step: it stores the files of a model that was trained elsewhere."""
    del data, target
    shutil.copytree(folder, model.path, dirs_exist_ok=True)


def bring_first(proof: Proof, data: str, target: str, **changes: Any) -> str:
    """Train a model at home, and be the first to write an attestation of it in the store."""
    home = open_store((proof.root / "home").as_uri())
    for digest in (proof.data, data):
        shutil.copytree(proof.root / "store", proof.root / "home", dirs_exist_ok=True)
        assert home.has(digest)
    arguments = {
        "data": sides(proof)["train"],
        "target": "label",
        "estimator": "sklearn.tree.DecisionTreeClassifier",
        **changes,
    }
    made = execute(train, arguments, Context(home)).outputs["model"]
    get_tree(home, get_manifest(home, made), proof.root / "brought")
    brought = {"data": data, "folder": str(proof.root / "brought"), "target": target}
    model = execute(bring, brought, proof.context).outputs["model"]
    assert model == made
    assert fit(proof, sides(proof)["train"], **changes) == model
    assert [found.step for found in about(proof.store, model, None)] == ["bring", "train"]
    return model


def test_a_step_of_ones_own_resets_no_count_of_attempts(proof: Proof) -> None:
    """It is the first to say how a model was made, and names a target that no other model has."""
    model = bring_first(proof, proof.data, "zzz", hyperparameters={"max_depth": 2})
    measure(proof, model, proof.test)
    asked = {"model_name": "churn", "model": model, "test_data": proof.test}
    counted = execute(resolve_production, asked, proof.context).outputs["attempts"]
    assert read_values(proof.store, counted) == {"attempts_on_test_data": 3}


def test_a_step_of_ones_own_hides_no_model_from_a_stricter_policy(proof: Proof) -> None:
    strict, lax = (f"gates: [{{metric: accuracy > {least}}}]" for least in (0.99, 0.5))
    proof.decide(strict)
    model = bring_first(proof, proof.data, "zzz", hyperparameters={"max_depth": 2})
    evaluation = measure(proof, model, proof.test)
    decision = proof.decide(lax, model=model, evidence=[evaluation])
    refused(
        lambda: proof.register(decision, model=model, evaluation=evaluation, measurements=""),
        RunBlocked,
        "blocked .* on the same test data .*accuracy is .*; allowed above 0.99",
    )


def test_a_step_of_ones_own_says_not_what_a_model_was_made_from(proof: Proof) -> None:
    """Neither the data that the registry shows, nor the split that the test rows come from."""
    other = table(proof, "other.csv", ODD)
    model = bring_first(proof, other, "label", hyperparameters={"max_depth": 2})
    evaluation = measure(proof, model, proof.test)
    policy = "gates: [{metric: accuracy > 0.1}]"

    def enter(data: str) -> Any:
        decision = proof.decide(policy, model=model, evidence=[evaluation], data=data)
        arguments = {"evaluation": evaluation, "measurements": "", "data": data}
        return proof.register(decision, model=model, **arguments)

    refused(lambda: enter(other), IntegrityError, f"{model} was not made from the data {other}")
    assert state(enter(proof.data)) == "new"


def test_a_step_of_ones_own_hides_no_damage_behind_a_model(proof: Proof) -> None:
    """Admission verifies the bytes that the training read, whatever else is said of the model."""
    model = bring_first(proof, table(proof, "other.csv", ODD), "label")
    evaluation = measure(proof, model, proof.test)
    decision = proof.decide(model=model, evidence=[evaluation], data="")
    rows = sides(proof)["train"]
    part = next(e for e in get_manifest(proof.store, rows).files if e.path.endswith(".parquet"))
    file = blob(proof, part.blob.digest)
    file.chmod(0o644)
    file.write_bytes(bytes(part.blob.size))
    arguments = {"evaluation": evaluation, "measurements": "", "data": ""}
    with pytest.raises(IntegrityError, match="damaged"):
        proof.register(decision, model=model, **arguments)


def test_a_policy_that_blocked_another_model_does_not_hold_up_one_that_passes_it(
    proof: Proof,
) -> None:
    """A person may make a policy stricter, and a bad model in between binds nobody."""
    ours, best = (
        {name: value for name, value in read_values(proof.store, digest).items() if value}
        for digest in (proof.evaluation, proof.other_evaluation)
    )
    # By some metric the other model has more; which one, that depends on scikit-learn's version.
    name = next(name for name in sorted(ours) if "{" not in name and best.get(name, 0) > ours[name])
    first = f"gates: [{{metric: {name} >= {best[name]}}}]"
    blocked = proof.decide(first, evidence=[proof.evaluation], data="")
    assert get_manifest(proof.store, blocked).annotations["verdict"] == "block"
    later = f"gates: [{{metric: {name} >= {best[name]}}}, {{metric: accuracy > 0.1}}]"
    arguments: dict[str, Any] = {"model": proof.other_model, "data": ""}
    decision = proof.decide(later, evidence=[proof.other_evaluation], **arguments)
    done = proof.register(decision, evaluation=proof.other_evaluation, measurements="", **arguments)
    assert state(done) == "new"


def repository(proof: Proof, path: str, text: str) -> Path:
    """A deployment repository with one file."""
    bare, folder = proof.root / "deployments.git", proof.root / "checkout"
    git(proof.root, "init", "-q", "--bare", "-b", "main", str(bare))
    git(proof.root, "clone", "-q", str(bare), str(folder))
    (folder / path).parent.mkdir(parents=True)
    (folder / path).write_text(text)
    git(folder, "add", "-A")
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    git(folder, *identity, "commit", "-q", "-m", "Policy")
    git(folder, "push", "-q", "origin", "HEAD:main")
    return bare


# What is in production.


def test_a_model_that_claims_that_nothing_is_in_production(proof: Proof) -> None:
    """The decision says `production=""`, and the registry has one."""
    first = proof.register(proof.decide())
    Registry().set_alias("churn", "production", str(dict(first.values)["version"]))
    other: dict[str, Any] = {
        "model": proof.other_model,
        "evidence": [proof.other_evaluation],
        "test_data": proof.test,
    }
    claims = proof.decide(**other)
    changes: dict[str, Any] = {
        "model": proof.other_model,
        "evaluation": proof.other_evaluation,
        "measurements": "",
    }
    refused(
        lambda: proof.register(claims, **changes),
        RunBlocked,
        f"says that none is in production as 'churn', the registry says {proof.model}; run",
    )
    honest = proof.decide(**other, production=proof.model)
    assert dict(proof.register(honest, **changes).values)["version"] == "2"


def test_a_model_compared_with_what_was_in_production_before(proof: Proof) -> None:
    decision = proof.decide(production=proof.other_model, evidence=[proof.evaluation])
    refused(
        lambda: proof.register(decision, measurements=""),
        RunBlocked,
        f"says that {proof.other_model} is in production as 'churn', the registry says none",
    )


def test_an_alias_removed_by_hand_opens_no_door(proof: Proof, client: MlflowClient) -> None:
    proof.register(proof.decide())
    Registry().set_alias("churn", "production", "1")
    client.delete_registered_model_alias("churn", "production")
    refused(lambda: proof.register(proof.decide()), ServiceError, "cannot determine")


def test_nothing_refused_is_registered(proof: Proof, client: MlflowClient) -> None:
    blocked = proof.decide("gates: [{metric: accuracy > 1.5}]")
    with pytest.raises(RunBlocked):
        proof.register(blocked)
    assert client.search_registered_models() == []
    assert not (proof.root / "store" / "views").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "latest"}, "model: 'latest' is not a digest"),
        ({"data": "data.csv"}, "data: 'data.csv' is not a digest"),
        ({"model_name": "a/b"}, "model_name 'a/b'"),
    ],
)
def test_what_is_no_digest_or_name(proof: Proof, changes: dict[str, str], said: str) -> None:
    decision = proof.decide()
    refused(lambda: proof.register(decision, **changes), UsageError, said)


def test_a_schema_too_long_for_a_tag_is_named(proof: Proof) -> None:
    columns = [{"name": f"column {n}", "type": "double"} for n in range(500)]
    signature = {"inputs": json.dumps(columns), "outputs": json.dumps(columns[:1])}
    content = json.dumps({"signature": signature}).encode()
    digest = forge(proof, "wide", Model, "MLmodel", content)
    manifest = get_manifest(proof.store, digest)
    tags = version._schemas(proof.store, manifest)
    named = json.loads(tags["assay.schema_inputs"])
    assert named == {"columns": 500, "file": "MLmodel", "in": manifest.files[0].blob.digest}
    assert json.loads(tags["assay.schema_outputs"]) == columns[:1]


# Claims of a run's own pipeline.


def sides(proof: Proof) -> dict[str, str]:
    outputs = about(proof.store, proof.test, None)[0].outputs
    return {name: output.digest for name, output in outputs.items()}


@pytest.mark.parametrize("role", ["candidate_rows", "production_rows"])
def test_rows_that_a_comparison_left_out_must_be_those_of_the_training(
    proof: Proof, client: MlflowClient, tmp_path: Path, role: str
) -> None:
    """Whoever names the rows on which the candidate is wrong is compared on the others."""
    proof.register(proof.decide())
    client.set_registered_model_alias("churn", "production", "1")
    chosen = tmp_path / "chosen.csv"
    chosen.write_text("a,b,label\n0,1,no\n1,2,no\n2,3,yes\n")
    lie = execute(snapshot_data, {"data": str(chosen)}, proof.context).outputs["dataset"]
    rows = sides(proof)["train"]

    def decide_with(**claims: str) -> str:
        arguments = {
            "candidate": proof.other_model,
            "production": proof.model,
            "test_data": proof.test,
            "candidate_rows": rows,
            "production_rows": rows,
            "margin": 1.0,
            **claims,
        }
        compared = execute(compare, arguments, proof.context).outputs["comparison"]
        return proof.decide(
            "gates: [{metric: regression_delta < 1}]",
            model=proof.other_model,
            evidence=[proof.other_evaluation, compared],
            production=proof.model,
        )

    def enter(decision: str) -> Any:
        return proof.register(
            decision,
            model=proof.other_model,
            evaluation=proof.other_evaluation,
            measurements=None,
        )

    refused(
        lambda: enter(decide_with(**{role: lie})),
        IntegrityError,
        f"left out the rows {lie} as {role}",
    )
    assert "left out" not in str(outcome(lambda: enter(decide_with())))


def replace_production(proof: Proof, model: str, rows: str, left_out: str) -> Callable[[], Any]:
    """Evaluate a model, compare it with the one in production, and try to register it."""
    evaluation = measure(proof, model, rows)
    arguments = {
        "candidate": model,
        "production": proof.model,
        "test_data": rows,
        "candidate_rows": left_out,
        "production_rows": sides(proof)["train"],
        "margin": 1.0,
    }
    compared = execute(compare, arguments, proof.context).outputs["comparison"]
    decision = proof.decide(
        "gates: [{metric: regression_delta < 1}]",
        model=model,
        evidence=[evaluation, compared],
        production=proof.model,
        test_data=rows,
        data="",
    )
    return lambda: proof.register(
        decision, model=model, evaluation=evaluation, measurements=None, data=""
    )


def test_a_table_that_holds_the_training_rows_is_not_left_out(
    proof: Proof, client: MlflowClient
) -> None:
    """It may hold the test rows on which the candidate is wrong, too."""
    proof.register(proof.decide())
    client.set_registered_model_alias("churn", "production", "1")
    parts = sides(proof)
    tried = cut(proof, parts["train"], salt="another")["train"]
    model = fit(proof, tried, hyperparameters={"max_depth": 2})

    # By library steps alone: half of all rows, and of these a part to train on.
    half = cut(proof, proof.data, split_by="time", time_column="a", test_fraction=0.5)["test"]
    other = fit(proof, cut(proof, half)["train"], hyperparameters={"max_depth": 2})
    for table_of_it in (half, parts["train"]):
        refused(
            replace_production(proof, other, parts["test"], table_of_it),
            IntegrityError,
            f"left out the rows {table_of_it} as candidate_rows",
        )
    trained_on = disjoint._Proof(Services(proof.store, None), Admitted()).rows_of(proof.model)
    assert trained_on == [{parts["train"]}]
    # A sweep leaves out all that it trained and chose on: the side beside the test rows.
    assert state(replace_production(proof, model, parts["test"], parts["train"])()) == "new"
    assert state(replace_production(proof, model, parts["test"], tried)()) == "existing"


def test_the_side_of_a_sweep_may_not_hold_copies_of_the_test_rows(
    proof: Proof, client: MlflowClient
) -> None:
    """Splits by a row number put what the candidate gets wrong where it is left out."""
    proof.register(proof.decide())
    client.set_registered_model_alias("churn", "production", "1")
    rows = [f"0,{row}" for row in ODD]
    rows += [f"1,{row}" for row in EVEN[:20]]
    rows += [f"2,{row}" for row in EVEN]
    (proof.root / "t.csv").write_text("\n".join(["t,a,b,label", *rows]) + "\n")
    made = execute(snapshot_data, {"data": str(proof.root / "t.csv")}, proof.context)
    by_number = {"split_by": "time", "time_column": "t"}
    whole = cut(proof, made.outputs["dataset"], **by_number, test_fraction=60 / 140)
    part = cut(proof, whole["train"], **by_number, test_fraction=20 / 80)
    model = fit(proof, part["train"], drop_columns=["t"], hyperparameters={"max_depth": 2})
    refused(
        replace_production(proof, model, whole["test"], whole["train"]),
        IntegrityError,
        "20 of the evaluated rows .* trained on a part of .* 1.00% is the most",
    )
    assert state(replace_production(proof, model, whole["test"], part["train"])()) == "new"


def test_a_model_that_two_trainings_gave_is_compared_on_the_rows_of_the_one_that_counts(
    proof: Proof, client: MlflowClient
) -> None:
    """A constant is the same model whatever it was trained on."""
    proof.register(proof.decide())
    client.set_registered_model_alias("churn", "production", "1")
    constant = {
        "estimator": "sklearn.dummy.DummyClassifier",
        "hyperparameters": {"strategy": "constant", "constant": "no"},
    }
    numbers = range(1000, 1140)
    test = [f"{n},{n % 4},{'yes' if n % 2 else 'no'}" for n in numbers]
    # Of the same values in each column and the same first rows, so that the models are equal.
    flipped = [f"{n},{n % 4},{'no' if n % 2 else 'yes'}" for n in numbers]
    swapped = [
        f"{n},{2 - n % 4},no" if n % 2 == 0 and n >= 1020 else row
        for n, row in zip(numbers, test, strict=True)
    ]
    fair = table(proof, "fair.csv", flipped)
    lie = table(proof, "lie.csv", swapped)
    rows = table(proof, "test.csv", test)
    model = fit(proof, fair, **constant)
    assert fit(proof, lie, **constant) == model
    refused(
        replace_production(proof, model, rows, lie),
        IntegrityError,
        "80 of the evaluated rows .* are among those that the model was trained on",
    )
    assert state(replace_production(proof, model, rows, fair)()) == "new"
    # As the model in production it has two sets of rows, and nobody knows which.
    proof_of = disjoint._Proof(Services(proof.store, None), Admitted())
    assert len(proof_of.rows_of(model)) == 2


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ({"margin": 1.0}, "judged by a margin of 1, and the policy's rule .* says 0.5"),
        ({"margin": 0.5, "confidence": 0.01}, "judged at confidence 0.01, and the least is 0.9"),
        ({"margin": 0.5, "min_slice_rows": 1}, "groups of 1 rows and more, and the least is 30"),
    ],
)
def test_a_comparison_on_other_terms_than_the_policys_is_not_admitted(
    proof: Proof, client: MlflowClient, claim: dict[str, Any], said: str
) -> None:
    """Whoever puts the steps together leaves preflight out, which would have refused it."""
    proof.register(proof.decide())
    client.set_registered_model_alias("churn", "production", "1")
    rows = sides(proof)["train"]
    arguments = {
        "candidate": proof.other_model,
        "production": proof.model,
        "test_data": proof.test,
        "candidate_rows": rows,
        "production_rows": rows,
        **claim,
    }
    compared = execute(compare, arguments, proof.context).outputs["comparison"]
    decision = proof.decide(
        "gates: [{metric: accuracy > 0.1}, {metric: regression_delta < 0.5}]",
        model=proof.other_model,
        evidence=[proof.other_evaluation, compared],
        production=proof.model,
    )
    changes: dict[str, Any] = {"evaluation": proof.other_evaluation, "measurements": None}
    error = RunBlocked
    refused(lambda: proof.register(decision, model=proof.other_model, **changes), error, said)


def outcome(work: Callable[[], object]) -> object:
    try:
        return work()
    except AssayError as error:
        return error


def test_attempts_that_were_counted_before_the_evaluation_do_not_count(
    proof: Proof, client: MlflowClient
) -> None:
    """Count first, then try twenty, then take the best: the count says one."""
    model = execute(
        train,
        {
            "data": sides(proof)["train"],
            "target": "label",
            "estimator": "sklearn.tree.DecisionTreeClassifier",
            "hyperparameters": {"max_depth": 2},
        },
        proof.context,
    ).outputs["model"]

    def attempts() -> str:
        asked = {"model_name": "churn", "model": model, "test_data": proof.test}
        return execute(resolve_production, asked, proof.context).outputs["attempts"]

    early = attempts()
    arguments = {"model": model, "test_data": proof.test, "latency_rows": 20}
    evaluation = execute(evaluate, arguments, proof.context).outputs["evaluation"]

    def enter(counted: str) -> Any:
        decision = proof.decide(model=model, evidence=[evaluation, counted])
        return proof.register(decision, model=model, evaluation=evaluation, measurements=None)

    refused(lambda: enter(early), IntegrityError, "were counted before the model was evaluated")
    assert enter(attempts()).outputs["record"]


def test_a_model_of_another_library_is_measured_and_admitted_where_policy_and_platform_say_so(
    proof: Proof, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shrubs.py").write_text(
        "from sklearn.tree import DecisionTreeClassifier\n\n\n"
        "class Shrub(DecisionTreeClassifier):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("ASSAY_ALLOWED_CLASSES", "shrubs.Shrub")
    rows = sides(proof)["train"]
    model = fit(proof, rows, estimator="shrubs.Shrub", allowed_modules=["shrubs"])
    # In no distribution: its code is named by its digest, which pip could not install.
    folder = tmp_path / "model"
    get_tree(proof.store, get_manifest(proof.store, model), folder)
    assert is_digest(read_info(folder).versions["shrubs"])
    assert "shrubs" not in (folder / "requirements.txt").read_text()
    evaluation = measure(proof, model, proof.test)
    beside = {"production": proof.model, "production_rows": rows, "resamples": 100}
    arguments = {"candidate": model, "candidate_rows": rows, "test_data": proof.test, **beside}
    assert execute(compare, arguments, proof.context).outputs["comparison"]

    def enter(policy: str) -> Any:
        decision = proof.decide(policy, model=model, evidence=[evaluation])
        return proof.register(decision, model=model, evaluation=evaluation, measurements="")

    asks = "gates: [{metric: accuracy > 0.1}]"
    refused(lambda: enter(asks), IntegrityError, "'shrubs' admitted, which the policy does not")
    assert state(enter(f"allowed_modules: [shrubs]\n{asks}")) == "new"
    # The platform has the last word.
    monkeypatch.delenv("ASSAY_ALLOWED_CLASSES")
    other = cut(proof, proof.data, salt="another")["test"]
    refused(lambda: measure(proof, model, other), IntegrityError, "not on an allow-list: shrubs")


def test_test_rows_that_may_have_been_selected_are_reported(proof: Proof) -> None:
    """A region of the test rows on which the model is right, and rows of one's own."""

    def told(rows: str, **given: str) -> tuple[str, ...]:
        evaluation = measure(proof, proof.model, rows)
        policy = "seen_rows_share: 1\ngates: [{metric: accuracy > 0.1}]"
        decision = proof.decide(policy, evidence=[evaluation], test_data=rows, **given)
        folder = proof.root / decision[7:]
        get_tree(proof.store, get_manifest(proof.store, decision), folder)
        return admission.check(
            Services(proof.store, None),
            proof.model,
            Decision(folder, decision),
            [evaluation],
            given.get("data", proof.data),
        ).notes

    assert told(proof.test) == ()
    assert told(proof.test, data="") == ()
    cuts = {"split_by": "time", "time_column": "a", "test_fraction": 0.5}
    for rows in (*cut(proof, proof.test, **cuts).values(), table(proof, "own.csv", EVEN)):
        (note,) = (note for note in told(rows) if "selected" in note)
        assert note.startswith(f"the test rows {rows} are not the test part of the split_data")


def test_a_step_that_says_that_it_is_the_librarys_is_refused(proof: Proof) -> None:
    def evaluate(*, model: Model, test_data: Dataset, evaluation: Out[Evaluation]) -> None:
        subjects = {"model": model.digest, "data": test_data.digest}
        EvidenceDocument(subjects, {"accuracy": 1.0}).write(evaluation.path)

    evaluate.__module__ = "assay.components.evaluate.step"
    arguments = {"model": proof.other_model, "test_data": proof.test}
    refused(
        lambda: execute(step(evaluate), arguments, proof.context),
        StepError,
        "its module is assay.components.evaluate.step, but it is defined in",
    )


def test_the_number_of_a_row_makes_no_new_row_of_it(proof: Proof, tmp_path: Path) -> None:
    """Two files with the same rows, each with an index of its own that the training drops."""
    given = (proof.root / "data.csv").read_text().splitlines()
    tables = {}
    for name, start, rows in (("train", 0, given[1:]), ("test", 1000, given[1:200])):
        lines = [f"row,{given[0]}", *(f"{start + i},{row}" for i, row in enumerate(rows))]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
        arguments = {"data": str(tmp_path / f"{name}.csv")}
        tables[name] = execute(snapshot_data, arguments, proof.context).outputs["dataset"]
    model = execute(
        train,
        {
            "data": tables["train"],
            "target": "label",
            "drop_columns": ["row"],
            "estimator": "sklearn.tree.DecisionTreeClassifier",
        },
        proof.context,
    ).outputs["model"]
    arguments = {"model": model, "test_data": tables["test"], "latency_rows": 20}
    evaluation = execute(evaluate, arguments, proof.context).outputs["evaluation"]
    decision = proof.decide(
        model=model, evidence=[evaluation], test_data=tables["test"], data=tables["train"]
    )
    refused(
        lambda: proof.register(
            decision,
            model=model,
            evaluation=evaluation,
            measurements=None,
            data=tables["train"],
        ),
        IntegrityError,
        "of the evaluated rows .* are among those that the model was trained on",
    )


def test_runs_about_other_models_and_rows_add_no_reads_to_a_registration(
    proof: Proof, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attestations are found by the digests that a decision names, however many a store has."""
    loaded: list[str] = []

    def counted(store: Store, digest: str, verifier: Verifier | None) -> Attestation:
        loaded.append(digest)
        return load(store, digest, verifier)

    decision = proof.decide()
    shutil.copytree(proof.root, tmp_path / "copy", symlinks=True)
    alone = replace(proof, store=open_store((tmp_path / "copy" / "store").as_uri()))
    for number in range(5):
        table = tmp_path / f"{number}.csv"
        rows = [f"{i},{number},{'yes' if i % 3 else 'no'}" for i in range(60)]
        table.write_text("\n".join(["a,b,label", *rows]) + "\n")
        data = execute(snapshot_data, {"data": str(table)}, proof.context).outputs["dataset"]
        parts = execute(split_data, {"data": data, "target": "label"}, proof.context).outputs
        given = {"data": parts["train"], "target": "label", "estimator": TREE}
        model = execute(train, given, proof.context).outputs["model"]
        judged = {"model": model, "test_data": parts["test"], "latency_rows": 1}
        execute(evaluate, judged, proof.context)
    monkeypatch.setattr(attestation, "load", counted)
    counts = []
    for each in (alone, proof):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/{len(counts)}.db")
        loaded.clear()
        each.register(decision)
        counts.append((len(loaded), set(loaded)))
    assert counts[0] == counts[1]
    assert counts[0][0] < 100
