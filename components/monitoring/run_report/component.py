"""The KFP declaration of run_report."""

from kfp import dsl
from kfp.dsl import HTML, Markdown, Metrics, Output

from assay.runtime.declaration import component


@component("release")
def run_report(
    status: dsl.PipelineTaskFinalStatus,
    model_name: str,
    run_report: Output[HTML],
    verdict: Output[Markdown],
    quality: Output[Metrics],
    pipeline: str = "",
    name: str = "",
    message_format: str = "slack",
) -> None:
    """Report the result of the run, and notify a webhook; for an exit handler.

    Args:
        status: How the run ended; KFP fills it in.
        model_name: Name in the MLflow registry.
        run_report: Verdict, reasons, quality and every stage's result.
        verdict: The same in short.
        quality: The model's metrics, to compare runs by.
        pipeline: Name of the pipeline. Empty: what the status says.
        name: Name of the run, such as dsl.PIPELINE_JOB_NAME_PLACEHOLDER. Empty: from the status.
        message_format: Of the message: slack, alertmanager or json.
    """
    from assay.components.run_report import step
    from assay.runtime.kfp import execute

    state, error = status.state or "", status.error_message or ""
    name = name or status.pipeline_job_resource_name or ""
    pipeline = pipeline or status.pipeline_task_name or ""
    execute(step.run_report, locals())
