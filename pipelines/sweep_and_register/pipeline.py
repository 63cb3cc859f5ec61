"""From a dataset and several candidates to the best one, registered with proof, or a failed run.

The candidates are trained in parallel. One is chosen on validation rows, which are taken from the
training rows. The test rows are used once, for the chosen one. It is not fitted again on all
training rows: the registered model is the one that was chosen and evaluated.
"""

from kfp import dsl

from assay.components.prepare_data.options import CHOICES, SWEEP_DEFAULTS
from assay.components.select_best.component import select_best
from assay.components.try_candidate.component import try_candidate
from assay.pipelines.tasks import (
    evaluate_and_register,
    prepare,
    validate_and_split,
    with_run_report,
)

__all__ = ["CHOICES", "sweep_and_register"]


@dsl.pipeline(name="try-candidates")
def try_candidates(tries: list, candidates: list, settings: dict) -> str:
    """Train and evaluate the candidates in parallel, and choose the best.

    A nested pipeline instead of a loop, because kfp.local 2.17 finds the items of a loop only among
    the inputs of a pipeline. It does not get the test rows.
    """
    with dsl.ParallelFor(tries, name="Candidates") as candidate:
        tried = try_candidate(
            data=candidate.data,
            test_data=candidate.test_data,
            estimator=candidate.estimator,
            hyperparameters=candidate.hyperparameters,
            settings=candidate.settings,
        ).set_display_name("Try candidate")
    best = select_best(
        models=dsl.Collected(tried.outputs["model"]),
        evaluations=dsl.Collected(tried.outputs["evaluation"]),
        candidates=candidates,
        settings=settings,
    ).set_display_name("Choose the best")
    return best.outputs["model"]


@dsl.pipeline(name="sweep-and-register")
def sweep_and_register(
    data: str,
    target: str,
    model_name: str,
    candidates: list,
    policy: str = "",
    suite: str = "",
    primary_metric: str = "auto",
    split_by: str = "hash",
    options: dict = SWEEP_DEFAULTS,
) -> None:
    """Train several candidates in parallel; choose, evaluate, compare, gate, register.

    Args:
        data: The table: a path, file://, s3://bucket/key?endpoint=…, https:// or a digest; CSV
            (any delimiter, gzip too) or Parquet.
        target: Column to predict.
        model_name: Name in the MLflow registry.
        candidates: A list of {"estimator": path, "hyperparameters": {...}}, 1 to 100; the simplest
            first, because the first of equal ones is chosen.
        policy: The gate's rules: JSON or YAML text, a location or a digest. Empty: the default
            policy, which admits a first model and no regression.
        suite: Great Expectations suite: JSON text, a location or a digest. Empty: structural
            checks.
        primary_metric: The metric models are compared by; "auto" is the policy's, else accuracy
            for classes and root mean squared error for numbers; another than the policy's is
            refused.
        split_by: "hash" (of the option key_columns, or of the whole row) or "time".
        options: All other options in one object; what is left out has its default.
    """
    with with_run_report("sweep-and-register", model_name):
        prepared = prepare(
            data=data,
            target=target,
            model_name=model_name,
            policy=policy,
            suite=suite,
            candidates=candidates,
            primary_metric=primary_metric,
            split_by=split_by,
            options=options,
        )
        parts = validate_and_split(
            prepared,
            candidates=prepared.outputs["candidates"],
            candidate_settings=prepared.outputs["candidate_settings"],
        )
        best = try_candidates(
            tries=parts.split.outputs["candidates"],
            candidates=prepared.outputs["candidates"],
            settings=prepared.outputs["selection_settings"],
        ).set_display_name("Train and choose")
        evaluate_and_register(best.output, parts, model_name)
