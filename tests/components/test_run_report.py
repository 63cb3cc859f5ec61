"""The run report: the verdict comes from attestations, whatever KFP and the records say."""

import json
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.components.compare.step import compare
from assay.components.evaluate.step import evaluate
from assay.components.gate.step import gate
from assay.components.register.step import register
from assay.components.resolve_production.step import resolve_production
from assay.components.run_report.step import run_report
from assay.components.select_best.step import select_best
from assay.components.snapshot_data.step import snapshot_data
from assay.components.split_data.step import split_data
from assay.components.train.step import train
from assay.components.validate_data.step import validate_data
from assay.core.attestation import OutputReference, load, save
from assay.core.digest import canonical_json
from assay.core.execution import Context, Execution, execute
from assay.core.signing import Signer, Verifier
from assay.core.step import Evaluation, Out, Policy, Record, Services, Step, step
from assay.core.store import Store, open_store
from assay.core.store.base import blob_key
from assay.core.tree import get_manifest, put_tree, read_file
from assay.governance.mlflow_calls import quiet
from assay.runtime import runs

from browser import show

RUN, EARLIER, OTHER, AGAIN = "run-7", "run-1", "run-99", "run-8"
CHAIN = ("snapshot_data", "validate_data", "split_data", "train", "evaluate", "compare", "gate")
TASKS = {"snapshot_data": "prepare_data"}
"""Of the steps whose component has another name."""
TREE = "sklearn.tree.DecisionTreeClassifier"
PASSES, BLOCKS = "gates: [{metric: accuracy > 0.5}]", "gates: [{metric: accuracy > 0.99}]"


@step
def write_policy(*, text: str, policy: Out[Policy]) -> None:
    """A policy with an attestation, as preflight makes one."""
    (policy.path / "policy.yaml").write_text(text)


@dataclass(frozen=True)
class Stages:
    """A store in which the stages of a run were executed, and one that stands for KFP's tasks."""

    context: Context
    done: dict[str, Execution]
    id: str = RUN

    @property
    def store(self) -> Store:
        return self.context.store

    def run(self, what: Step, *, run: str = "", **arguments: Any) -> Execution:
        return execute(what, arguments, replace(self.context, invocation=run or self.id))

    def judge(self, policy: str, **changes: Any) -> Execution:
        written = self.run(write_policy, text=policy).outputs["policy"]
        evaluation = self.done["evaluate"].outputs
        arguments = {
            "model": self.done["train"].outputs["model"],
            "policy": written,
            "evidence": [
                self.done["validate_data"].outputs["validation"],
                evaluation["evaluation"],
                evaluation["measurements"],
                self.done["compare"].outputs["comparison"],
            ],
            "test_data": self.done["split_data"].outputs["test"],
            "data": self.done["snapshot_data"].outputs["dataset"],
            **changes,
        }
        return self.run(gate, **arguments)

    def write(
        self,
        task: str,
        *steps: Execution,
        state: str = runs.DONE,
        error: str = "",
        exit_code: int = 0,
        started: float = 0.0,
        process: str = "1",
    ) -> None:
        """A task's record, as the task bridge writes it."""
        told = tuple(
            runs.StepStatus(one.step, one.attestation, cached=one.cached, seconds=one.seconds)
            for one in steps
        )
        record = runs.TaskStatus(
            task, process, state, started, 1.5, told, error=error, exit_code=exit_code
        )
        runs.write_task(self.store, self.id, record)

    def write_chain(self, until: str, *, but: tuple[str, ...] = ()) -> None:
        """The records of a run whose stages ended well up to one; KFP's cache answered `but`."""
        for place, name in enumerate(CHAIN):
            if name not in but:
                self.write(TASKS.get(name, name), self.done[name], started=float(place))
            if name == until:
                return

    def report(self, state: str = "FAILED", **changes: Any) -> "Report":
        arguments = {
            "model_name": "churn",
            "pipeline": "train-and-register",
            "name": "churn · made · tree",
            "state": state,
            **changes,
        }
        done = self.run(run_report, **arguments)
        manifest = get_manifest(self.store, done.outputs["record"])

        def file(name: str) -> str:
            return (read_file(self.store, manifest, name, 1 << 24) or b"").decode()

        return Report(
            runs.outcome(self.store, self.id), file("report.html"), file("summary.md"),
            json.loads(file("record.json")), json.loads(file("metrics.json")),
        )  # fmt: skip


@dataclass(frozen=True)
class Report:
    record: runs.RunStatus | None
    page: str
    summary: str
    facts: dict[str, Any]
    metrics: dict[str, float]

    @property
    def outcome(self) -> runs.RunStatus:
        assert self.record is not None
        return self.record

    @property
    def text(self) -> str:
        """The page without its marks."""
        body = self.page.partition("<body>")[2]
        return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))

    def stage(self, step: str) -> dict[str, Any]:
        return next(one for one in self.facts["stages"] if one["step"] == step)


@pytest.fixture(scope="module")
def signing() -> tuple[Signer, Verifier]:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Signer.from_pem(private), Verifier.from_pem(public)


def table(root: Path, name: str, rows: int, *, holes: bool = False) -> str:
    lines = ["a,b,sex,label"]
    for i in range(rows):
        label = "yes" if (i % 7 > 3) != (i % 9 == 0) else "no"
        shown = "" if holes and i % 10 == 0 else label
        lines.append(f"{i % 7},{(i * 37) % 11},{'f' if i % 2 else 'm'},{shown}")
    (root / name).write_text("\n".join(lines) + "\n")
    return str(root / name)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, signing: Any) -> Stages:
    """Stages up to a comparison with a model that an earlier run made; all signed."""
    root = tmp_path_factory.mktemp("made")
    signer, verifier = signing
    context = Context(open_store((root / "store").as_uri()), signer=signer, verifier=verifier)
    done: dict[str, Execution] = {}
    stages = Stages(context, done)

    def chain(run: str, depth: int, rows: int) -> dict[str, Any]:
        data = stages.run(snapshot_data, run=run, data=table(root, f"{run}.csv", rows))
        valid = stages.run(validate_data, run=run, data=data.outputs["dataset"], target="label")
        parts = stages.run(
            split_data, run=run, data=data.outputs["dataset"], target="label", test_fraction=0.4
        )
        fitted = stages.run(
            train, run=run, data=parts.outputs["train"], target="label", estimator=TREE,
            hyperparameters={"max_depth": depth},
        )  # fmt: skip
        found = (data, valid, parts, fitted)
        return {one.step: one for one in found}

    earlier = chain(EARLIER, 1, 500)
    done |= chain(RUN, 3, 600)
    test = done["split_data"].outputs["test"]
    done["evaluate"] = stages.run(
        evaluate, model=done["train"].outputs["model"], test_data=test, slices=["sex"],
        resamples=200, latency_rows=20,
    )  # fmt: skip
    done["compare"] = stages.run(
        compare, candidate=done["train"].outputs["model"], test_data=test,
        candidate_rows=done["split_data"].outputs["train"],
    )  # fmt: skip
    done["gate"] = stages.judge(PASSES)
    done["rival"] = stages.run(
        compare, candidate=done["train"].outputs["model"], test_data=test,
        production=earlier["train"].outputs["model"],
        candidate_rows=done["split_data"].outputs["train"],
        production_rows=earlier["split_data"].outputs["train"],
        min_slice_rows=5, resamples=200,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patched, quiet():
        patched.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db")
        done["register"] = stages.run(register, **registration(stages))
    return stages


@pytest.fixture
def stages(made: Stages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stages:
    """A copy that a test may add to and damage, in the process of a run's last task."""
    shutil.copytree(Path(made.store.url.removeprefix("file://")), tmp_path / "store", symlinks=True)
    monkeypatch.setenv("ASSAY_RUN", RUN)
    store = open_store((tmp_path / "store").as_uri())
    return Stages(replace(made.context, store=store), dict(made.done))


@pytest.fixture
def registered(stages: Stages) -> Execution:
    """A version that this run registered, in a real registry."""
    return stages.done["register"]


def registration(stages: Stages) -> dict[str, Any]:
    found = stages.done["evaluate"].outputs
    return {
        "model": stages.done["train"].outputs["model"],
        "decision": stages.done["gate"].outputs["decision"],
        "evaluation": found["evaluation"],
        "measurements": found["measurements"],
        "data": stages.done["snapshot_data"].outputs["dataset"],
        "model_name": "churn",
    }


class TestAGreenRun:
    @pytest.mark.parametrize("state", ["COMPLETE", "SUCCEEDED", "", "PAUSED"])
    def test_is_passed_with_its_version(
        self, stages: Stages, registered: Execution, state: str
    ) -> None:
        stages.write_chain("gate")
        stages.write("register", registered, started=9)
        found = stages.report(state)
        assert found.outcome.verdict == "passed"
        assert found.outcome.exit_code == 0
        assert found.outcome.reasons == ()
        assert found.outcome.version == "1"
        assert found.outcome.digests["model"] == stages.done["train"].outputs["model"]
        assert found.outcome.digests["decision"] == stages.done["gate"].outputs["decision"]
        assert "Version 1 of churn" in found.text
        assert found.page.startswith("<!-- Assay: Run of churn: passed")
        assert 'class="badge passed"' in found.page
        assert "No model is in production." in found.text

    def test_its_metrics_begin_with_the_primary_one(self, stages: Stages) -> None:
        stages.write_chain("evaluate")
        found = stages.report()
        assert next(iter(found.metrics)) == "accuracy"
        assert {"f1", "roc_auc", "test_rows", "latency_p99_ms", "model_bytes"} <= set(found.metrics)
        assert not [name for name in found.metrics if "{" in name or name.endswith("_gap")]
        assert all(isinstance(value, float | int) for value in found.metrics.values())
        assert "| metric | value |\n| --- | --- |\n| accuracy | 0." in found.summary
        assert "{sex=&quot;f&quot;}" in found.page

    def test_its_primary_metric_is_first_in_a_list_that_is_sorted_by_name(
        self, stages: Stages
    ) -> None:
        made = {"model": stages.done["train"].outputs["model"], "resamples": 100}
        test = stages.done["split_data"].outputs["test"]
        stages.done["evaluate"] = stages.run(
            evaluate, **made, test_data=test, latency_rows=5, primary_metric="f1"
        )
        stages.write_chain("evaluate")
        found = stages.report().metrics
        assert min(found) == "1. f1"
        assert found["1. f1"] == found["f1"]

    def test_says_the_same_when_kfp_answered_for_most_of_it(
        self, stages: Stages, registered: Execution
    ) -> None:
        stages.write_chain("snapshot_data")
        stages.write("register", registered, started=9)
        found = stages.report("COMPLETE")
        assert found.outcome.verdict == "passed"
        assert [one["step"] for one in found.facts["stages"]] == [*CHAIN, "register"]
        assert found.stage("train")["from"] == "from the cache"
        assert found.stage("snapshot_data")["from"] == "ran"
        assert found.outcome.digests.keys() >= {"validation", "train", "test", "model", "decision"}
        assert "KFP's cache" in found.text.replace("&#x27;", "'")
        assert found.metrics["accuracy"] > 0.5

    def test_links_to_mlflow_where_its_address_is_known(
        self, stages: Stages, registered: Execution, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stages.write("register", registered)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://user:s3cret@mlflow.example:8443/x?y=z")
        found = stages.report("COMPLETE")
        assert "(https://mlflow.example:8443/#/models/churn/versions/1)" in found.summary
        assert "s3cret" not in json.dumps(found.facts) + found.summary + found.page

    def test_without_a_registration_that_is_proved_is_not_shown_as_green(
        self, stages: Stages
    ) -> None:
        stages.write_chain("gate")
        found = stages.report("COMPLETE")
        assert found.outcome.verdict == "passed"
        said = "KFP says complete; no record of a registration was found"
        assert found.outcome.reasons == (said,)
        assert 'class="badge skipped">not proved<' in found.page
        assert "# churn: not proved" in found.summary

    def test_whose_first_try_of_a_task_was_killed_is_green(
        self, stages: Stages, registered: Execution
    ) -> None:
        stages.write("train", state=runs.STARTED, started=1, process="a")
        stages.write("train", stages.done["train"], started=2, process="b")
        stages.write("register", registered, started=9)
        assert stages.report("COMPLETE").outcome.verdict == "passed"

    def test_stays_green_where_a_record_says_otherwise(
        self, stages: Stages, registered: Execution
    ) -> None:
        stages.write("register", registered)
        stages.write("train", state=runs.FAILED, error="so it says", exit_code=1, started=1)
        assert stages.report("COMPLETE").outcome.verdict == "passed"
        assert stages.report("FAILED").outcome.verdict == "failed"


class TestARedRun:
    def test_that_was_rejected_says_what_is_wrong_with_the_data(
        self, stages: Stages, tmp_path: Path
    ) -> None:
        data = stages.run(snapshot_data, data=table(tmp_path, "holes.csv", 300, holes=True))
        judged = stages.run(validate_data, data=data.outputs["dataset"], target="label")
        stages.write("prepare_data", data)
        stages.write(
            "validate_data", judged, state=runs.FAILED, error="see the report",
            exit_code=3, started=1,
        )  # fmt: skip
        found = stages.report()
        assert (found.outcome.verdict, found.outcome.exit_code) == ("rejected", 3)
        assert "label" in found.outcome.reasons[0]
        assert "missing" in found.outcome.reasons[0]
        assert "data_report" in found.outcome.remedy
        assert found.outcome.digests["validation"] == judged.outputs["validation"]
        assert found.metrics == {}

    @pytest.mark.parametrize("keys", ["on", "off"])
    def test_that_was_blocked_names_the_rule_and_by_how_much(
        self, stages: Stages, keys: str
    ) -> None:
        judged = stages.judge(BLOCKS)
        stages.write_chain("compare", but=("validate_data", "split_data", "compare"))
        stages.write("gate", judged, state=runs.FAILED, error="no", exit_code=4, started=9)
        if keys == "off":
            stages = replace(stages, context=replace(stages.context, verifier=None, signer=None))
        found = stages.report()
        assert (found.outcome.verdict, found.outcome.exit_code) == ("blocked", 4)
        (reason,) = found.outcome.reasons
        assert "accuracy" in reason
        assert reason != "no"
        assert "accuracy > 0.99 (line 1 of the policy) is missed by 0." in found.outcome.remedy
        assert found.stage("validate_data")["from"] == "from the cache"
        assert "What to change" in found.text

    def test_that_was_blocked_by_production_shows_the_difference(self, stages: Stages) -> None:
        stages.done["compare"] = stages.done["rival"]
        test = stages.done["split_data"].outputs["test"]
        earlier = _earlier_model(stages)
        judged = stages.judge(BLOCKS, production=earlier, test_data=test)
        stages.write("gate", judged, state=runs.FAILED, error="no", exit_code=4, started=9)
        found = stages.report()
        assert "worse by (below 0: better)" in found.text
        assert "Worse than production by" in found.summary
        # What the earlier run made for production is none of this one's stages.
        trained = [one for one in found.facts["stages"] if one["step"] == "train"]
        assert [one["outputs"]["model"] for one in trained] == [
            stages.done["train"].outputs["model"]
        ]
        assert earlier not in found.outcome.digests.values()

    def test_that_is_inconclusive_asks_for_rows(self, stages: Stages) -> None:
        stages.write_chain("evaluate")
        value = stages.report().metrics["accuracy"]
        judged = stages.judge(
            f"gates: [{{metric: accuracy > {value - 0.001:.4f}, confidence: 0.95}}]"
        )
        assert judged.values["verdict"] == "inconclusive"
        stages.write("gate", judged, state=runs.FAILED, error="x", exit_code=5, started=9)
        found = stages.report()
        assert (found.outcome.verdict, found.outcome.exit_code) == ("inconclusive", 5)
        assert "more rows" in found.outcome.remedy

    def test_whose_training_failed_says_what_training_said(self, stages: Stages) -> None:
        stages.write_chain("split_data")
        error = "train: estimator 'sklearn.nope' is not there; did you mean 'sklearn.tree'?"
        stages.write("train", state=runs.FAILED, error=error, exit_code=2, started=5)
        found = stages.report()
        assert (found.outcome.verdict, found.outcome.exit_code) == ("failed", 2)
        assert found.outcome.reasons == (error,)
        assert "run form" in found.outcome.remedy
        assert "Train failed, exit code 2" in found.text

    def test_that_register_refused_says_what_register_said(self, stages: Stages) -> None:
        stages.write_chain("gate")
        error = f"not sha256:{'1' * 64}, but another is in production; start the run again"
        stages.write("register", state=runs.FAILED, error=error, exit_code=4, started=9)
        found = stages.report()
        assert found.outcome.verdict == "blocked"
        said = f"Register: {error.replace('1' * 64, '1' * 12)}"
        assert found.outcome.reasons == (said,)
        assert found.outcome.remedy == ""

    def test_that_evidence_kept_from_passing_names_the_evidence(self, stages: Stages) -> None:
        judged = stages.judge(PASSES, test_data="sha256:" + "1" * 64)
        stages.write("gate", judged, state=runs.FAILED, error="x", exit_code=4)
        remedy = stages.report().outcome.remedy
        assert remedy.endswith("does not pass, or cannot count: the table of the gate says why")

    def test_with_a_judging_task_among_the_failed_is_called_after_it(self, stages: Stages) -> None:
        stages.write("release_evidence", state=runs.FAILED, error="down", exit_code=8, started=1)
        judged = stages.judge(BLOCKS)
        stages.write("gate", judged, state=runs.FAILED, error="no", exit_code=4, started=2)
        found = stages.report()
        assert found.outcome.verdict == "blocked"
        assert found.outcome.reasons[-1] == "Find rollback drills: down"

    def test_whose_task_was_killed_says_so(self, stages: Stages) -> None:
        stages.write_chain("split_data")
        stages.write("train", state=runs.STARTED, started=5)
        found = stages.report()
        assert (found.outcome.verdict, found.outcome.exit_code) == ("failed", 1)
        assert found.outcome.reasons == (
            "Train was killed, or its pod died, before it could say why",
        )
        assert "memory limit" in found.outcome.remedy
        assert "Train did not say how it ended" in found.text

    def test_in_which_a_loops_task_failed_after_others_says_which(self, stages: Stages) -> None:
        stages.write("try_candidate", state=runs.FAILED, error="bad", exit_code=1, process="a")
        stages.write("try_candidate", stages.done["train"], started=1, process="b")
        assert stages.report().outcome.reasons == ("Try a candidate: bad",)

    @pytest.mark.parametrize("state", ["FAILED", "", "MYSTERY"])
    def test_of_which_nobody_said_anything_points_at_the_events(
        self, stages: Stages, state: str
    ) -> None:
        found = stages.report(state)
        assert (found.outcome.verdict, found.outcome.exit_code) == ("failed", 1)
        assert found.outcome.reasons[0].endswith("no stage said anything")
        assert "events of the first red task" in found.outcome.remedy
        assert "No stage said anything." in found.text

    def test_that_ended_between_two_tasks_names_the_last(self, stages: Stages) -> None:
        stages.write_chain("split_data")
        found = stages.report()
        assert found.outcome.reasons == ("no stage said why; the last that ended is Split",)

    def test_that_failed_after_it_registered_is_red_and_names_the_version(
        self, stages: Stages, registered: Execution
    ) -> None:
        stages.write("register", registered)
        found = stages.report("FAILED")
        assert found.outcome.verdict == "failed"
        assert "version 1 was registered by then" in found.outcome.reasons


class TestACanceledRun:
    @pytest.mark.parametrize("state", ["RUNNING", "CANCELED", "CANCELING"])
    def test_is_told_as_canceled(self, stages: Stages, state: str) -> None:
        stages.write_chain("split_data")
        stages.write("train", state=runs.STARTED, started=5)
        found = stages.report(state)
        assert (found.outcome.verdict, found.outcome.exit_code) == ("canceled", 1)
        assert found.outcome.reasons == ("the run was stopped while this was running: Train",)
        assert "driver" in found.outcome.remedy

    def test_between_tasks_or_before_any(self, stages: Stages) -> None:
        assert stages.report("RUNNING").outcome.reasons == ("the run was stopped before any stage",)
        stages.write_chain("split_data")
        assert stages.report("RUNNING").outcome.reasons == ("the run was stopped after Split",)

    def test_in_which_a_stage_failed_before_is_failed(self, stages: Stages) -> None:
        stages.write("train", state=runs.FAILED, error="no room", exit_code=7)
        assert stages.report("RUNNING").outcome.verdict == "failed"


class TestWhatIsNotProved:
    def test_a_registration_of_another_run_is_none_of_this_one(
        self, stages: Stages, registered: Execution, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stages = replace(stages, context=stages.context)
        told = runs.StepStatus("register", registered.attestation, cached=True, seconds=1.0)
        monkeypatch.setenv("ASSAY_RUN", "run-8")
        runs.write_task(
            stages.store, "run-8", runs.TaskStatus("register", "1", runs.DONE, 0.0, 1.0, (told,))
        )
        stages.report("COMPLETE")
        found = runs.outcome(stages.store, "run-8")
        assert found is not None
        assert found.version == ""
        assert (
            "is not proved: the attestation that its record names is of another run"
            in (found.reasons[0])
        )

    def test_nor_is_one_of_another_model(self, stages: Stages, registered: Execution) -> None:
        stages.write("register", registered)
        found = stages.report("COMPLETE", model_name="credit")
        assert found.outcome.version == ""
        assert "of another model than credit" in found.outcome.reasons[0]

    def test_a_record_that_names_another_stages_attestation(self, stages: Stages) -> None:
        forged = replace(stages.done["train"], step="gate")
        stages.write("gate", forged)
        found = stages.report("COMPLETE")
        assert found.stage("gate")["attestation"] == ""
        assert found.stage("gate")["doubt"].endswith("is of train")
        assert "not proved: the attestation that its record names is of train" in found.text

    def test_a_record_that_names_an_unsigned_attestation(self, stages: Stages) -> None:
        unsigned = replace(stages, context=replace(stages.context, signer=None, verifier=None))
        forged = unsigned.judge("gates: [{metric: accuracy > 0.6}]")
        stages.write("gate", forged)
        found = stages.report("COMPLETE")
        assert "unsigned" in found.stage("gate")["doubt"]
        assert "decision" not in found.outcome.digests

    def test_a_record_that_names_nothing(self, stages: Stages) -> None:
        stages.write("gate", replace(stages.done["gate"], attestation="sha256:" + "0" * 64))
        assert "not proved" in stages.report("COMPLETE").text

    def test_a_step_of_somebody_elses_that_bears_a_stages_name(self, stages: Stages) -> None:
        forged = stages.run(step(_gate), model="x")
        stages.write("gate", replace(forged, step="gate"))
        assert "it was made by" in stages.report("COMPLETE").stage("gate")["doubt"]

    def test_a_verdict_that_only_a_record_tells_is_told_as_such(self, stages: Stages) -> None:
        stages.write("gate", state=runs.FAILED, error="because", exit_code=4)
        found = stages.report()
        assert found.outcome.verdict == "blocked"
        assert found.outcome.reasons == (
            "Gate: because",
            "this is what a record says; no attestation of this run shows it",
        )

    def test_evidence_that_is_damaged_or_gone_is_a_sentence(
        self, stages: Stages, tmp_path: Path
    ) -> None:
        stages.write_chain("gate")
        evaluation = stages.done["evaluate"].outputs["evaluation"]
        (tmp_path / "store" / blob_key(evaluation)).unlink()
        judged = stages.done["gate"].outputs["decision"]
        blob = get_manifest(stages.store, judged).find("decision.json")
        assert blob is not None
        path = tmp_path / "store" / blob_key((blob.pack or blob.blob).digest)
        path.chmod(0o644)
        path.write_bytes(b"{}")
        found = stages.report("COMPLETE")
        assert "What could not be read" in found.text
        assert any(
            note.startswith("the evaluation cannot be read") for note in found.facts["notes"]
        )
        assert any(note.startswith("the decision cannot be read") for note in found.facts["notes"])
        assert "accuracy" not in found.metrics


def _gate(*, model: str, decision: Out[Policy]) -> dict[str, str]:
    (decision.path / "policy.yaml").write_text(model)
    return {"verdict": "pass"}


_gate.__name__ = "gate"


def _earlier_model(stages: Stages) -> str:
    found = load(stages.store, stages.done["rival"].attestation, None).inputs["production"]
    assert isinstance(found, str)
    return found


HOSTILE = "\x1b[31m<script>alert(1)</script>\u202e [x](javascript:alert(1)) | @all\nsecond line"


class TestWhatOthersWrote:
    def test_is_shown_as_text(self, stages: Stages, capfd: pytest.CaptureFixture[str]) -> None:
        stages.write("train", state=runs.FAILED, error=HOSTILE, exit_code=1)
        stages.write("<b>x</b>\x1b", state=runs.FAILED, error=HOSTILE, exit_code=1, started=2)
        found = stages.report(name=HOSTILE, pipeline=HOSTILE, error=HOSTILE, model_name="<i>m</i>")
        assert "<script" not in found.page
        assert "<b>x" not in found.page
        assert "<i>m" not in found.page
        for text in (found.page, found.summary, capfd.readouterr().err):
            assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e]", text)
        assert "](javascript" not in found.summary.replace("\\]", "")
        assert found.outcome.verdict == "failed"

    def test_may_be_long(self, stages: Stages) -> None:
        for place in range(40):
            stages.write(
                f"task_{place}", state=runs.FAILED, error=f"{place} é" * 400, exit_code=1,
                started=place,
            )  # fmt: skip
        found = stages.report(name="é" * 500, pipeline="ü" * 500)
        assert len(found.outcome.reasons) >= 1
        assert len(found.page) < 200_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5) | st.just(HOSTILE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
NAMES = ("verdict", "reason", "reasons", "version", "primary_metric", "model", "model_name", "x")


class TestAStoreThatAnyoneMayWriteTo:
    """Without keys, an attestation may hold whatever JSON can."""

    @given(
        values=st.dictionaries(st.sampled_from(NAMES), JSON),
        parameters=st.dictionaries(st.sampled_from(NAMES), JSON),
        evidence=JSON,
        step=st.sampled_from([*CHAIN, "register", "select_best", "mine", HOSTILE]),
        state=st.sampled_from(["COMPLETE", "FAILED", "RUNNING", "?"]),
        task=st.sampled_from(sorted([runs.DONE, runs.FAILED, runs.STARTED])),
    )
    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_gets_its_report(
        self, made: Stages, tmp_path_factory: pytest.TempPathFactory, values: Any,
        parameters: Any, evidence: Any, step: str, state: str, task: str,
    ) -> None:  # fmt: skip
        root = tmp_path_factory.mktemp("any")
        store = open_store((root / "store").as_uri())
        (root / "in").mkdir()
        (root / "out").mkdir()
        for name in ("evidence.json", "decision.json"):
            (root / "in" / name).write_bytes(canonical_json(evidence))
        artifact = put_tree(store, root / "in", Evaluation.type, {}).digest
        names = {"evaluate": "evaluation", "compare": "comparison", "gate": "decision"}
        genuine = load(made.store, made.done["train"].attestation, None)
        forged = replace(
            genuine, step=step, entry_point=f"assay.components.{step}.step:{step}",
            values=values, parameters=parameters, inputs={"model": artifact},
            outputs={names.get(step, "out"): OutputReference(artifact, Evaluation.type, True)},
        )  # fmt: skip
        told = runs.StepStatus(step, save(forged, store, None), cached=False, seconds=0.0)
        record = runs.TaskStatus(step, "1", task, 0.0, 1.0, (told,), HOSTILE, 4)
        runs.write_task(store, RUN, record)
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("ASSAY_RUN", RUN)
            run_report(
                services=Services(store, None), model_name="churn", state=state,
                record=Out[Record](root / "out"),
            )  # fmt: skip
        assert runs.outcome(store, RUN) is not None
        page = (root / "out" / "report.html").read_text()
        assert "<script" not in page
        assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e]", page)
        shutil.rmtree(root)


class TestRecordsThatNameAnotherRunsArtifacts:
    """Whoever may write to the store may write them, without any key."""

    FOREIGN = "it belongs to another run's artifacts"

    def theirs(self, stages: Stages) -> dict[str, Execution]:
        """Another run on the same rows: honest, signed, and of a model that is none of ours."""
        parts, data = stages.done["split_data"].outputs, stages.done["snapshot_data"].outputs
        fitted = stages.run(
            train, run=OTHER, data=parts["train"], target="label",
            estimator="sklearn.dummy.DummyClassifier",
        )  # fmt: skip
        seen = stages.run(
            evaluate, run=OTHER, model=fitted.outputs["model"], test_data=parts["test"],
            resamples=200, latency_rows=20,
        )  # fmt: skip
        lax = stages.run(write_policy, run=OTHER, text="gates: [{metric: accuracy > 0.1}]")
        judged = stages.run(
            gate, run=OTHER, model=fitted.outputs["model"], policy=lax.outputs["policy"],
            evidence=list(seen.outputs.values()), test_data=parts["test"], data=data["dataset"],
        )  # fmt: skip
        assert judged.values["verdict"] == "pass"
        return {one.step: replace(one, cached=True) for one in (fitted, seen, judged)}

    @pytest.mark.parametrize("named", [("gate",), ("train", "evaluate", "gate")])
    @pytest.mark.parametrize("kfp", ["ran", "cached"])
    def test_change_nothing_of_a_green_run(
        self, stages: Stages, registered: Execution, named: tuple[str, ...], kfp: str
    ) -> None:
        stages.write_chain("snapshot_data" if kfp == "cached" else "gate")
        stages.write("register", registered, started=9)
        honest = stages.report("COMPLETE")
        theirs = self.theirs(stages)
        for name in named:
            stages.write(name, theirs[name], started=50, process="theirs")
        found = stages.report("COMPLETE")
        assert found.outcome.verdict == "passed"
        assert found.facts["proved"]
        assert found.outcome.digests == honest.outcome.digests
        assert found.metrics == honest.metrics
        doubted = [one for one in found.facts["stages"] if one["doubt"]]
        assert [(one["step"], one["doubt"]) for one in doubted] == [("gate", self.FOREIGN)]
        assert self.FOREIGN in found.text.replace("&#x27;", "'")

    def test_do_not_make_a_blocked_run_look_better(self, stages: Stages) -> None:
        judged = stages.judge(BLOCKS)
        stages.write_chain("compare")
        stages.write("gate", judged, state=runs.FAILED, error="no", exit_code=4, started=9)
        honest = stages.report()
        stages.write("gate", self.theirs(stages)["gate"], started=50, process="theirs")
        found = stages.report()
        assert (found.outcome.verdict, found.outcome.reasons) == ("blocked", honest.outcome.reasons)
        assert found.outcome.digests == honest.outcome.digests
        assert found.outcome.digests["decision"] == judged.outputs["decision"]
        assert found.metrics == honest.metrics

    def test_give_no_decision_to_a_run_that_had_none(self, stages: Stages) -> None:
        stages.write_chain("evaluate")
        stages.write("compare", state=runs.FAILED, error="no room", exit_code=7, started=8)
        honest = stages.report()
        stages.write("gate", self.theirs(stages)["gate"], started=50, process="theirs")
        found = stages.report()
        assert found.stage("gate")["doubt"] == self.FOREIGN
        assert found.outcome.digests == honest.outcome.digests
        assert found.metrics == honest.metrics


class TestAnswersOfTheStepCache:
    """They have the id of the run that made them, and are this run's all the same."""

    @pytest.fixture
    def again(self, stages: Stages, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stages:
        """A later run that was given the same."""
        monkeypatch.setenv("ASSAY_RUN", AGAIN)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
        done = {name: replace(one, cached=True) for name, one in stages.done.items()}
        return Stages(stages.context, done, AGAIN)

    @pytest.mark.parametrize(
        "answered", [(), CHAIN[1:-1], ("split_data", "train"), ("train", "evaluate", "compare")]
    )
    def test_of_a_run_that_was_blocked_again(
        self, stages: Stages, again: Stages, answered: tuple[str, ...]
    ) -> None:
        judged = replace(stages.judge(BLOCKS), cached=True)
        with quiet():
            asked = again.run(
                resolve_production, model_name="churn",
                model=again.done["train"].outputs["model"],
                test_data=again.done["split_data"].outputs["test"],
            )  # fmt: skip
        again.write_chain("compare", but=answered)
        again.write("resolve_production", asked, started=8)
        again.write("gate", judged, state=runs.FAILED, error="no", exit_code=4, started=9)
        found = again.report()
        assert not [one for one in found.facts["stages"] if one["doubt"]]
        assert (found.outcome.verdict, found.facts["proved"]) == ("blocked", True)
        assert found.outcome.digests["model"] == again.done["train"].outputs["model"]
        assert found.outcome.digests["decision"] == judged.outputs["decision"]
        assert found.metrics["accuracy"] > 0.5

    def test_of_a_run_whose_data_was_rejected_again(
        self, stages: Stages, again: Stages, tmp_path: Path
    ) -> None:
        data = stages.run(snapshot_data, data=table(tmp_path, "holes.csv", 300, holes=True))
        judged = stages.run(validate_data, data=data.outputs["dataset"], target="label")
        again.write("prepare_data", replace(data, cached=True))
        again.write(
            "validate_data", replace(judged, cached=True), state=runs.FAILED, error="no",
            exit_code=3, started=1,
        )  # fmt: skip
        found = again.report()
        assert (found.outcome.verdict, found.facts["proved"]) == ("rejected", True)

    def test_of_a_run_that_registered_again(self, again: Stages) -> None:
        with quiet():
            registered = again.run(register, **registration(again))
        again.write_chain("gate")
        again.write("register", registered, started=9)
        found = again.report("COMPLETE")
        assert not [one for one in found.facts["stages"] if one["doubt"]]
        assert found.outcome.version == "1"
        assert found.outcome.digests["decision"] == again.done["gate"].outputs["decision"]


class TestThePage:
    def test_fits_the_frames_of_kfp(
        self, stages: Stages, registered: Execution, tmp_path: Path
    ) -> None:
        stages.done["compare"] = stages.done["rival"]
        judged = stages.judge(BLOCKS, production=_earlier_model(stages))
        stages.write_chain("compare", but=("train",))
        stages.write("gate", judged, state=runs.FAILED, error="x", exit_code=4, started=9)
        stages.write("register", registered, state=runs.FAILED, error=HOSTILE * 9, exit_code=8)
        found = show({"run": stages.report(name="n" * 80).page}, tmp_path)
        assert len(found) == 3
        for seen in found.values():
            assert seen.width <= seen.frame
            assert seen.cut == []
            assert seen.text >= 11


class TestTheLog:
    def test_ends_with_the_verdict_one_cause_a_line(
        self, stages: Stages, capfd: pytest.CaptureFixture[str]
    ) -> None:
        judged = stages.judge(
            "gates: [{metric: accuracy > 0.99}, {metric: 'accuracy{sex=\"f\"} > 0.98'}]"
        )
        stages.write("gate", judged, state=runs.FAILED, error="x", exit_code=4)
        stages.report()
        lines = capfd.readouterr().err.splitlines()
        assert lines[0] == "verdict: blocked (exit code 4)"
        assert lines[1].startswith("accuracy")
        assert max(map(len, lines)) <= 70
        assert any(line.startswith("to change: ") for line in lines)


class TestARunWithoutAnId:
    def test_says_so(self, stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("ASSAY_RUN")
        found = stages.report("COMPLETE")
        assert found.record is None
        assert "ASSAY_RUN is not set" in found.text
        assert found.facts["verdict"] == "passed"
        assert not found.facts["proved"]

    def test_or_with_one_that_is_none(
        self, stages: Stages, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ASSAY_RUN", "../x")
        assert "not the id of a run" in stages.report().text


class TestASweep:
    @pytest.mark.parametrize("answered_by", ["nobody", "the step cache"])
    def test_shows_the_chosen_candidate_and_lists_the_others(
        self, stages: Stages, answered_by: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told, cached = stages, answered_by != "nobody"
        if cached:
            told = replace(stages, id=AGAIN)
            monkeypatch.setenv("ASSAY_RUN", AGAIN)
            for name in ("snapshot_data", "split_data"):
                told.write(TASKS.get(name, name), replace(stages.done[name], cached=True))

        def write(task: str, *done: Execution, **more: Any) -> None:
            told.write(task, *(replace(one, cached=cached) for one in done), **more)

        parts = stages.done["split_data"].outputs
        inner = stages.done["snapshot_data"].outputs["dataset"]
        fitted, seen = [], []
        for place, depth in enumerate((1, 4)):
            model = stages.run(
                train, data=parts["train"], target="label", estimator=TREE,
                hyperparameters={"max_depth": depth},
            )  # fmt: skip
            found = stages.run(
                evaluate, model=model.outputs["model"], test_data=inner,
                resamples=100, latency_rows=5,
            )  # fmt: skip
            write("try_candidate", model, found, started=5, process=str(place))
            fitted.append(model.outputs["model"])
            seen.append(found.outputs["evaluation"])
        chosen = stages.run(
            select_best, models=fitted, evaluations=seen, candidates=[{"max_depth": 1}, {}]
        )
        best = str(chosen.values["model"])
        final = stages.run(
            evaluate, model=best, test_data=parts["test"], resamples=100, latency_rows=5
        )
        write("select_best", chosen, started=6)
        write("evaluate", final, started=7)
        found = told.report("RUNNING")
        assert found.outcome.digests["model"] == best
        assert found.outcome.digests["evaluation"] == final.outputs["evaluation"]
        assert [one["step"] for one in found.facts["stages"]].count("train") == 2
        assert not [one for one in found.facts["stages"] if one["doubt"]]
