# Generated from step.py, task.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of run_report."""

from kfp import dsl

from assay.runtime.declaration import component


@component("release")
def run_report(
    model_name: str,
    status: dsl.PipelineTaskFinalStatus,
    run_report: dsl.Output[dsl.HTML],
    verdict: dsl.Output[dsl.Markdown],
    quality: dsl.Output[dsl.Metrics],
    pipeline: str = "",
    name: str = "",
    message_format: str = "slack",
) -> None:
    """Report the result of the run, and notify a webhook; for an exit handler.

    Everything comes from the records that the run's stages left in the store and from the
    attestations that these name. Nothing raises: what cannot be read is a sentence in the report,
    and a message that does not arrive is a warning and the value `outcome`.

    The webhook's URL is a secret and comes from `ASSAY_NOTIFY_URL`; records and messages name its
    host only.

    Args:
        model_name: Name in the MLflow registry.
        status: How the run ended; KFP fills it in.
        run_report: Verdict, reasons, quality and the result of each stage.
        verdict: The same in short.
        quality: The model's metrics, to compare runs by.
        pipeline: Name of the pipeline. Empty: what the status says.
        name: Name of the run, such as dsl.PIPELINE_JOB_NAME_PLACEHOLDER. Empty: from the status.
        message_format: Of the message: slack, alertmanager or json.
    """
    from assay.components.run_report import step, task
    from assay.runtime.kfp import execute

    execute(step.run_report, locals(), by=task.run_report)
