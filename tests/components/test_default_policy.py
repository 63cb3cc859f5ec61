"""The default policy: no choice of a metric and no number of attempts gets a bad model past it."""

import csv
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_breast_cancer

from assay.components.compare.step import compare
from assay.components.evaluate.step import evaluate
from assay.components.gate.step import gate
from assay.components.resolve_production.step import resolve_production
from assay.components.snapshot_data.step import snapshot_data
from assay.components.split_data.step import split_data
from assay.components.train.step import train
from assay.core.execution import Context, execute
from assay.core.step import Out, Policy, step
from assay.core.store import open_store
from assay.core.tree import get_manifest, get_tree
from assay.governance.policy import Decision, read_decision
from assay.governance.registry import Registry

DEFAULT = resources.files("assay.components.preflight").joinpath("default_policy.yaml").read_text()
CONSTANT = {"estimator": "sklearn.dummy.DummyClassifier"}
GOOD = {
    "estimator": "sklearn.linear_model.LogisticRegression",
    "hyperparameters": {"max_iter": 5000},
}


@step
def write_policy(*, text: str, policy: Out[Policy]) -> None:
    """A policy with an attestation, as preflight makes one."""
    (policy.path / "policy.yaml").write_text(text)


@dataclass
class Runs:
    """The end of the pipeline, by its real steps, on real data."""

    root: Path
    context: Context
    parts: dict[str, str]

    def run(self, what: Any, **arguments: Any) -> Any:
        return execute(what, arguments, self.context).outputs

    def judge(
        self, policy: str = DEFAULT, primary_metric: str = "", **training: Any
    ) -> tuple[str, Decision]:
        rows = self.parts["test"]
        model = self.run(
            train,
            data=self.parts["train"],
            target="diagnosis",
            **{"positive_label": "malignant", **training},
        )["model"]
        judged = self.run(
            evaluate,
            model=model,
            test_data=rows,
            primary_metric=primary_metric,
            resamples=200,
            latency_rows=10,
        )
        asked = self.run(resolve_production, model_name="cancer", model=model, test_data=rows)
        current = execute(resolve_production, {"model_name": "cancer"}, self.context)
        production = str(dict(current.values)["production"])
        compared = self.run(
            compare,
            candidate=model,
            candidate_rows=self.parts["train"],
            production=production,
            production_rows=str(dict(current.values)["production_rows"]),
            test_data=rows,
            primary_metric=primary_metric,
            margin=0.05,
            resamples=200,
        )
        decision = self.run(
            gate,
            model=model,
            policy=self.run(write_policy, text=policy)["policy"],
            evidence=[judged["evaluation"], compared["comparison"], asked["attempts"]],
            production=production,
            test_data=rows,
        )["decision"]
        folder = self.root / decision[7:]
        if not folder.exists():
            get_tree(self.context.store, get_manifest(self.context.store, decision), folder)
        return model, read_decision(folder)

    def put_into_production(self, model: str) -> None:
        registry = Registry()
        version, _ = registry.register("cancer", model, "file:///m", {}, {})
        registry.set_alias("cancer", "production", version.version)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    bunch = load_breast_cancer()
    with (tmp_path / "data.csv").open("w", newline="") as stream:
        out = csv.writer(stream)
        out.writerow([*(f"x{n}" for n in range(10)), "diagnosis"])
        for row, label in zip(bunch.data, bunch.target, strict=True):
            out.writerow([*map(repr, map(float, row[:10])), bunch.target_names[label]])
    context = Context(open_store((tmp_path / "store").as_uri()))
    data = execute(snapshot_data, {"data": str(tmp_path / "data.csv")}, context).outputs["dataset"]
    cut = {"data": data, "target": "diagnosis", "test_fraction": 0.4}
    return Runs(tmp_path, context, dict(execute(split_data, cut, context).outputs))


def test_a_good_first_model_passes(runs: Runs) -> None:
    _, decision = runs.judge(**GOOD)
    assert (decision.verdict, decision.reason) == ("pass", "")


def test_a_constant_classifier_is_no_first_model(runs: Runs) -> None:
    _, decision = runs.judge(**CONSTANT)
    assert decision.verdict != "pass"
    assert "matthews_corrcoef" in decision.reason


def test_a_constant_classifier_does_not_replace_a_good_model_by_its_recall(runs: Runs) -> None:
    good, _ = runs.judge(positive_label="benign", **GOOD)
    runs.put_into_production(good)
    # Most are benign, so the model that says the most frequent class for every row says yes.
    _, decision = runs.judge(primary_metric="recall", positive_label="benign", **CONSTANT)
    outcomes = {row.evidence: row.outcome.value for row in decision.rows}
    assert outcomes["regression_delta"] == "pass"  # its recall is 1, as it would be of any yes
    assert decision.verdict == "block"
    assert outcomes["matthews_corrcoef"] != "pass"
    assert outcomes["regression_delta_balanced_accuracy"] == "fail"
    assert outcomes["regression_delta_roc_auc"] == "fail"


def test_the_recall_of_another_class_is_not_what_a_policy_means_by_recall(runs: Runs) -> None:
    """Most are benign, so a constant model has the recall 1 and a good precision of these."""
    asks = "gates: [{metric: recall >= 0.5}, {metric: precision >= 0.5}]\n"
    _, decision = runs.judge(asks, positive_label="benign", **CONSTANT)
    assert decision.verdict == "block"
    assert "takes 'benign' for the positive class, which the run chose" in decision.reason
    _, decision = runs.judge(f"positive_label: malignant\n{asks}", positive_label="benign", **GOOD)
    assert "the policy asks for 'malignant' (positive_label)" in decision.reason
    _, decision = runs.judge(f"positive_label: benign\n{asks}", positive_label="benign", **GOOD)
    assert decision.verdict == "pass", decision.reason


def test_an_estimator_without_scores_does_not_escape_the_ranking_metrics(runs: Runs) -> None:
    good, _ = runs.judge(**GOOD)
    runs.put_into_production(good)
    _, decision = runs.judge(estimator="sklearn.linear_model.RidgeClassifier")
    row = next(row for row in decision.rows if row.evidence == "regression_delta_roc_auc")
    assert row.outcome.value == "fail"
    assert "production has roc_auc, the candidate has not" in row.explanation


def test_the_eighth_seed_of_a_random_classifier_does_not_pass(runs: Runs) -> None:
    """Of models that are no better than chance, the best of eight looks good."""
    found = []
    for seed in range(8):
        random = {"strategy": "uniform"}
        _, decision = runs.judge(
            estimator="sklearn.dummy.DummyClassifier", hyperparameters=random, seed=seed
        )
        (told,) = (row for row in decision.rows if row.value is not None and row.kind == "document")
        assert told.explanation == (
            f"{seed + 1} models were tried on this test data, this one among them"
            if seed
            else "this is the first model tried on this test data"
        )
        found.append(decision.verdict)
    assert "pass" not in found
    (told,) = (row for row in decision.rows if row.kind == "document" and row.value == 8)
    # Without the evidence nothing can be corrected, and so nothing passes.
    assert told.outcome.value == "pass"


def test_a_policy_that_names_the_metric_takes_no_comparison_by_another(runs: Runs) -> None:
    good, _ = runs.judge(**GOOD)
    runs.put_into_production(good)
    policy = (
        "primary_metric: roc_auc\n"
        "gates: [{metric: regression_delta < 0.5, when: production_exists == 1}]\n"
    )
    shallow = {
        "estimator": "sklearn.tree.DecisionTreeClassifier",
        "hyperparameters": {"max_depth": 2},
    }
    _, decision = runs.judge(policy, primary_metric="recall", **shallow)
    assert decision.verdict == "block"
    assert "is not that of roc_auc, the policy's primary_metric" in decision.reason
    _, decision = runs.judge(policy, primary_metric="roc_auc", **shallow)
    assert "primary_metric" not in decision.reason
