"""Common parts of pipelines: from a table to a registered model, or a failed run with the reason.

A flat chain. A task that judges stores its results, and then fails unless the verdict is `pass`, so
that no later task runs; the exit task, "Run report", reports the result.
"""

from dataclasses import dataclass
from typing import Any

from kfp import dsl

from assay.components.compare.component import compare
from assay.components.evaluate.component import evaluate
from assay.components.gate.component import gate
from assay.components.prepare_data.component import prepare_data
from assay.components.register.component import register
from assay.components.resolve_production.component import resolve_production
from assay.components.run_report.component import run_report
from assay.components.split_data.component import split_data
from assay.components.validate_data.component import validate_data


def never_cached(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Disable KFP's cache for a task that reads or changes an external system."""
    return task.set_caching_options(enable_caching=False)


def with_run_report(pipeline: str, model_name: Any) -> dsl.ExitHandler:
    """The group of a run's tasks; the run report is written after them, however they end.

    Args:
        pipeline: Name of the pipeline.
        model_name: Name in the MLflow registry.
    """
    report = run_report(
        model_name=model_name, pipeline=pipeline, name=dsl.PIPELINE_JOB_NAME_PLACEHOLDER
    )
    title = pipeline.replace("-", " ").capitalize()
    return dsl.ExitHandler(never_cached(report).set_display_name("Run report"), name=title)


def prepare(**arguments: Any) -> dsl.PipelineTask:
    """Check everything that a run is given, and snapshot its table.

    Args:
        **arguments: Parameters of `prepare_data`.
    """
    return never_cached(prepare_data(**arguments).set_display_name("Check and snapshot"))


@dataclass(frozen=True, slots=True)
class Data:
    """The tasks that every model of a run is based on."""

    prepared: dsl.PipelineTask
    validated: dsl.PipelineTask
    split: dsl.PipelineTask


def validate_and_split(prepared: dsl.PipelineTask, **candidates: Any) -> Data:
    """Validate the dataset, then split it.

    Args:
        prepared: The task of `prepare`.
        **candidates: What `split_data` needs for a sweep.
    """
    dataset = prepared.outputs["dataset_digest"]
    validated = validate_data(
        data=dataset, settings=prepared.outputs["validation_settings"]
    ).set_display_name("Validate data")
    split = split_data(data=dataset, settings=prepared.outputs["split_settings"], **candidates)
    return Data(prepared, validated, split.set_display_name("Split").after(validated))


def evaluate_and_register(model: Any, data: Data, model_name: Any) -> None:
    """Evaluate a model, compare it with production, judge it and register it.

    Args:
        model: Digest of the model, as a channel.
        data: What it was trained or chosen on: nothing so far has used the test rows.
        model_name: Name in the MLflow registry.
    """
    prepared, parts = data.prepared, data.split
    test_data = parts.outputs["test"]
    quality = evaluate(
        model=model, test_data=test_data, settings=prepared.outputs["evaluation_settings"]
    ).set_display_name("Evaluate")
    # After the evaluation, so that the model that is judged is among those that are counted.
    current = never_cached(
        resolve_production(model_name=model_name, model=model, test_data=test_data)
        .set_display_name("Find the production model")
        .after(quality)
    )
    difference = compare(
        candidate=model,
        production=current.outputs["production"],
        candidate_rows=parts.outputs["train"],
        production_rows=current.outputs["production_rows"],
        test_data=test_data,
        settings=prepared.outputs["comparison_settings"],
    ).set_display_name("Compare with production")
    judged = gate(
        model=model,
        validation=data.validated.outputs["validation"],
        evaluation=quality.outputs["evidence"],
        comparison=difference.outputs["comparison_digest"],
        outside=current.outputs["evidence"],
        production=current.outputs["production"],
        data=prepared.outputs["dataset_digest"],
        test_data=test_data,
        settings=prepared.outputs["gate_settings"],
    ).set_display_name("Gate")
    never_cached(
        register(
            model=model,
            decision=judged.outputs["decision_digest"],
            evaluation=quality.outputs["evaluation_digest"],
            measurements=quality.outputs["measurements"],
            data=prepared.outputs["dataset_digest"],
            model_name=model_name,
        ).set_display_name("Register")
    )
