"""Foreign components before and behind ours, through kfp.local.

They take `Input[Dataset]` and `Input[Model]`, read `.path`, and know nothing of Assay.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kfp import dsl

from assay.components.evaluate.component import evaluate
from assay.components.export_artifact.component import export_artifact
from assay.components.import_artifact.component import import_artifact
from assay.components.snapshot_data.component import snapshot_data
from assay.components.train.component import train
from assay.runtime import local

NAMES = ["mean radius", "mean texture", "worst area", "worst smoothness"]


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def make_table(file_format: str, table: dsl.Output[dsl.Dataset]) -> None:
    from pathlib import Path

    from sklearn.datasets import load_breast_cancer

    frame = load_breast_cancer(as_frame=True).frame
    Path(table.path).parent.mkdir(parents=True, exist_ok=True)
    if file_format == "csv":
        frame.to_csv(table.path, index=False)
    elif file_format == "folder":
        Path(table.path).mkdir()
        frame.head(300).to_parquet(f"{table.path}/part-0.parquet", index=False)
        frame.tail(-300).to_parquet(f"{table.path}/part-1.parquet", index=False)
    else:
        frame.to_parquet(table.path, index=False)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def add_column(
    file_format: str, data: dsl.Input[dsl.Dataset], more: dsl.Output[dsl.Dataset]
) -> NamedTuple("Outputs", [("rows", int), ("digest", str)]):
    from pathlib import Path

    import pandas as pd

    frame = pd.read_csv(data.path) if file_format == "csv" else pd.read_parquet(data.path)
    frame["ratio"] = frame["worst area"] / frame["mean radius"]
    Path(more.path).parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(more.path, index=False)
    return (len(frame), data.metadata["digest"])


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def predict(model: dsl.Input[dsl.Model], data: dsl.Input[dsl.Dataset]) -> float:
    import mlflow.sklearn
    import pandas as pd

    frame = pd.read_parquet(data.path)
    return float((mlflow.sklearn.load_model(model.path).predict(frame) == frame["target"]).mean())


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def fit(data: dsl.Input[dsl.Dataset], form: str, model: dsl.Output[dsl.Model]) -> None:
    import mlflow.sklearn
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    frame = pd.read_parquet(data.path)
    features = frame.drop(columns="target")
    mlflow.sklearn.save_model(
        LogisticRegression(max_iter=20).fit(features, frame["target"]),
        model.path,
        serialization_format=form,
        input_example=features.head(3),
        pip_requirements=["scikit-learn"],
    )


@dsl.pipeline(name="sandwich")
def sandwich(file_format: str = "parquet") -> None:
    theirs = make_table(file_format=file_format)
    ours = import_artifact(artifact=theirs.outputs["table"], target="target")
    ours.set_caching_options(enable_caching=False)
    out = export_artifact(artifact=ours.outputs["dataset"], file_format="csv")
    richer = add_column(file_format="csv", data=out.outputs["dataset"])
    again = import_artifact(artifact=richer.outputs["more"], target="target")
    again.set_caching_options(enable_caching=False)
    trained = train(
        data=again.outputs["dataset"],
        target="target",
        estimator="sklearn.linear_model.LogisticRegression",
    )
    table = export_artifact(artifact=again.outputs["dataset"])
    model = export_artifact(artifact=trained.outputs["model_digest"])
    predict(model=model.outputs["model"], data=table.outputs["dataset"])
    back = import_artifact(artifact=model.outputs["model"], target="target")
    back.set_caching_options(enable_caching=False)
    evaluate(model=back.outputs["model"], test_data=again.outputs["dataset"])


@dsl.pipeline(name="theirs-to-ours")
def theirs_to_ours(source: str, form: str) -> None:
    table = snapshot_data(data=source, target="target")
    out = export_artifact(artifact=table.outputs["dataset_digest"])
    theirs = fit(data=out.outputs["dataset"], form=form)
    model = import_artifact(artifact=theirs.outputs["model"], target="target")
    model.set_caching_options(enable_caching=False)
    evaluate(model=model.outputs["model"], test_data=table.outputs["dataset_digest"])


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a pipeline on an own store."""
    monkeypatch.setenv("ASSAY_STORE", (tmp_path / "store").as_uri())

    def start(pipeline: Any, **arguments: Any) -> local.Outcome:
        return local.run(pipeline, arguments, tmp_path / "runs" / local.new_run_id())

    return start


def returned(outcome: local.Outcome, name: str) -> float:
    path = next((outcome.folder / "outputs").glob(f"*/{name}/executor_output.json"))
    return float(json.loads(path.read_text())["parameterValues"]["Output"])


def quality(outcome: local.Outcome) -> float:
    measured = outcome.task("evaluate")
    assert measured is not None
    return float(dict(measured.values.items())["primary_value"])  # noqa: PD011 - no data frame


@pytest.mark.slow
def test_foreign_components_stand_before_and_behind_ours(run: Any) -> None:
    imported = set()
    for file_format in ("csv", "parquet", "folder"):
        outcome = run(sandwich, file_format=file_format)
        assert outcome.verdict == "passed", outcome.error + outcome.log.read_text()[-3000:]
        first, again, back = [t for t in outcome.tasks if t.name == "import_artifact"]
        trained = outcome.task("train")
        imported.add(first.outputs["dataset"])
        assert first.outputs["dataset"] != again.outputs["dataset"]
        # Our own model came back: known by its name, nothing made anew.
        assert back.outputs["model"] == trained.outputs["model"]
        assert back.attestation == trained.attestation
        assert returned(outcome, "predict") > 0.9
        assert quality(outcome) == pytest.approx(returned(outcome, "predict"), abs=1e-9)
    # The same rows in three forms: one digest, and nothing below was computed again.
    assert len(imported) == 1
    assert trained.state == outcome.task("evaluate").state == "cached"


@pytest.mark.slow
def test_a_foreign_model_is_evaluated_and_a_pickled_one_is_refused(
    run: Any, tmp_path: Path
) -> None:
    from sklearn.datasets import load_breast_cancer

    frame = load_breast_cancer(as_frame=True).frame[[*NAMES, "target"]]
    frame.to_csv(tmp_path / "data.csv", index=False)
    passed = run(theirs_to_ours, source=str(tmp_path / "data.csv"), form="skops")
    assert passed.verdict == "passed", passed.error
    assert quality(passed) > 0.85
    refused = run(theirs_to_ours, source=str(tmp_path / "data.csv"), form="cloudpickle")
    assert "a pickle, which runs code when it is read" in refused.error
    assert refused.task("evaluate") is None
