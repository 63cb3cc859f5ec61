"""The tasks that pipelines share: from a checked table to a registered model, or a red run.

A flat chain. A task that judges stores what it found, and then fails by itself unless it is a pass,
so that nothing below it runs; the exit task, "Run report", says what happened.
"""

from typing import Any

from kfp import dsl

from assay.components.compare.component import compare
from assay.components.evaluate.component import evaluate
from assay.components.gate.component import gate
from assay.components.register.component import register
from assay.components.resolve_production.component import resolve_production
from assay.components.run_report.component import run_report
from assay.components.split_data.component import split_data
from assay.components.validate_data.component import validate_data


def outside(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """A task that asks or changes the outside world: KFP must run it every time."""
    return task.set_caching_options(enable_caching=False)


def reported(model_name: Any, pipeline: str) -> dsl.ExitHandler:
    """The group of a run's tasks, behind which the run report is written, however they end."""
    told = run_report(
        model_name=model_name, pipeline=pipeline, name=dsl.PIPELINE_JOB_NAME_PLACEHOLDER
    )
    return dsl.ExitHandler(
        outside(told).set_display_name("Run report"), name=pipeline.replace("-", " ").capitalize()
    )


def checked(
    ready: dsl.PipelineTask, **candidates: Any
) -> tuple[dsl.PipelineTask, dsl.PipelineTask]:
    """Add the tasks that validate the dataset of `prepare_data` and split it.

    Args:
        ready: The task prepare_data.
        **candidates: What split_data needs of a sweep.
    """
    valid = validate_data(
        data=ready.outputs["dataset_digest"], settings=ready.outputs["validation_settings"]
    ).set_display_name("Validate data")
    parts = (
        split_data(
            data=ready.outputs["dataset_digest"],
            settings=ready.outputs["split_settings"],
            **candidates,
        )
        .set_display_name("Split")
        .after(valid)
    )
    return valid, parts


def release(
    model: Any,
    *,
    model_name: Any,
    ready: dsl.PipelineTask,
    valid: dsl.PipelineTask,
    parts: dsl.PipelineTask,
) -> None:
    """Add the tasks that evaluate, compare, gate and register a model.

    Called while a pipeline is being defined; adds to whatever group is open.

    Args:
        model: Digest of the candidate, as a channel.
        model_name: Name in the MLflow registry.
        ready: The task prepare_data.
        valid: The validation of its dataset.
        parts: The split: the candidate was trained or chosen on its training rows, and nothing
            before has seen its test rows.
    """
    test_data = parts.outputs["test"]
    quality = evaluate(
        model=model, test_data=test_data, settings=ready.outputs["evaluation_settings"]
    ).set_display_name("Evaluate")
    # After the evaluation, so that the model that is judged is among those that are counted.
    current = outside(
        resolve_production(model_name=model_name, model=model, test_data=test_data)
        .set_display_name("Ask production")
        .after(quality)
    )
    difference = compare(
        candidate=model,
        production=current.outputs["production"],
        candidate_rows=parts.outputs["train"],
        production_rows=current.outputs["production_rows"],
        test_data=test_data,
        settings=ready.outputs["comparison_settings"],
    ).set_display_name("Compare with production")
    judged = gate(
        model=model,
        validation=valid.outputs["validation"],
        evaluation=quality.outputs["evidence"],
        comparison=difference.outputs["comparison_digest"],
        outside=current.outputs["evidence"],
        production=current.outputs["production"],
        data=ready.outputs["dataset_digest"],
        test_data=test_data,
        settings=ready.outputs["gate_settings"],
    ).set_display_name("Gate")
    outside(
        register(
            model=model,
            decision=judged.outputs["decision_digest"],
            evaluation=quality.outputs["evaluation_digest"],
            measurements=quality.outputs["measurements"],
            data=ready.outputs["dataset_digest"],
            model_name=model_name,
        ).set_display_name("Register")
    )
