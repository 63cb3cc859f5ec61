"""The end that pipelines share: from a trained model to a registered one, or a red run."""

from typing import Any

from kfp import dsl

from assay.components.check_monitoring.component import check_monitoring
from assay.components.compare.component import compare
from assay.components.evaluate.component import evaluate
from assay.components.gate.component import gate
from assay.components.halt.component import halt
from assay.components.register.component import register
from assay.components.release_evidence.component import release_evidence
from assay.components.resolve_production.component import resolve_production


def outside(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """A task that asks or changes the outside world: KFP must run it every time."""
    return task.set_caching_options(enable_caching=False)


def release(
    model: Any,
    *,
    model_name: Any,
    ready: dsl.PipelineTask,
    table: dsl.PipelineTask,
    valid: dsl.PipelineTask,
    test_data: Any,
    slices: Any,
    primary_metric: Any,
    max_regression: Any,
    confidence: Any,
    seed: Any,
    threads: Any,
) -> None:
    """Add the tasks that evaluate, compare, gate and register a model, or halt.

    Called while a pipeline is being defined; adds to whatever group is open.

    Args:
        model: Digest of the candidate, as a channel.
        model_name: Name in the MLflow registry.
        ready: The preflight task.
        table: The task that made the dataset.
        valid: Its validation.
        test_data: Digest of rows that nothing before has seen.
        slices: Columns by whose values quality is judged.
        primary_metric: The metric models are compared by.
        max_regression: Margin of the comparison.
        confidence: Level of the intervals.
        seed: Seed of everything random.
        threads: Threads for predictions.
    """
    quality = evaluate(
        model=model,
        test_data=test_data,
        checks=ready.outputs["checks_artifact"],
        slices=slices,
        primary_metric=primary_metric,
        confidence=confidence,
        seed=seed,
        threads=threads,
    )
    watched = check_monitoring(
        model=model,
        test_data=test_data,
        plan=ready.outputs["monitoring_artifact"],
        seed=seed,
        threads=threads,
    )
    # After the evaluation, so that the model that is judged is among those that are counted.
    current = outside(
        resolve_production(model_name=model_name, model=model, test_data=test_data).after(quality)
    )
    difference = compare(
        candidate=model,
        production=current.outputs["production"],
        test_data=test_data,
        primary_metric=primary_metric,
        margin=max_regression,
        slices=slices,
        confidence=confidence,
        seed=seed,
        threads=threads,
    )
    rehearsed = outside(release_evidence(model=model, model_name=model_name).after(quality))
    judged = gate(
        model=model,
        policy=ready.outputs["policy_artifact"],
        evidence=[
            valid.outputs["validation"],
            quality.outputs["evaluation"],
            quality.outputs["measurements"],
            difference.outputs["comparison"],
            watched.outputs["monitoring"],
            rehearsed.outputs["evidence"],
            current.outputs["attempts"],
        ],
        production=current.outputs["production"],
        data=table.outputs["dataset"],
        test_data=test_data,
    )
    with dsl.If(judged.outputs["verdict"] == "pass", name="passed"):
        outside(
            register(
                model=model,
                decision=judged.outputs["decision"],
                evaluation=quality.outputs["evaluation"],
                measurements=quality.outputs["measurements"],
                data=table.outputs["dataset"],
                model_name=model_name,
            )
        )
    with dsl.Elif(judged.outputs["verdict"] == "inconclusive", name="inconclusive"):
        halt(
            kind="inconclusive",
            reason=judged.outputs["reason"],
            report=judged.outputs["decision"],
        )
    with dsl.Else(name="blocked"):
        halt(
            kind="blocked",
            reason=judged.outputs["reason"],
            report=judged.outputs["decision"],
        )
