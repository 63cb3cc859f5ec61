"""The KFP declaration of notify."""

from kfp import dsl

from assay.declaration import component


@component("release")
def notify(
    status: dsl.PipelineTaskFinalStatus,
    model_name: str,
    pipeline: str = "",
    run: str = "",
    message_format: str = "slack",
) -> None:
    """Tell a webhook how the run ended; for an exit handler.

    Args:
        status: How the run ended; KFP fills it in.
        model_name: Name in the MLflow registry.
        pipeline: Name of the pipeline. Empty: what the status says.
        run: Name of the run, such as dsl.PIPELINE_JOB_NAME_PLACEHOLDER. Empty: from the status.
        message_format: slack, alertmanager or json.
    """
    from assay.components.notify import step
    from assay.kfp import execute

    state, error = status.state or "UNKNOWN", status.error_message or ""
    run = run or status.pipeline_job_resource_name or ""
    pipeline = pipeline or status.pipeline_task_name or ""
    execute(step.notify, locals())
