"""The KFP declaration of notify."""

from kfp import dsl

from assay.images import image


@dsl.component(base_image=image("release"), install_kfp_package=False)
def notify(
    status: dsl.PipelineTaskFinalStatus,
    model_name: str,
    message_format: str = "slack",
) -> None:
    """Tell a webhook how the run ended; for an exit handler.

    Args:
        status: How the run ended; KFP fills it in.
        model_name: Name in the MLflow registry.
        message_format: slack, alertmanager or json.
    """
    from assay.components.notify import step

    from assay.kfp import execute

    state, run = status.state, status.pipeline_job_resource_name
    pipeline, error = status.pipeline_task_name, status.error_message or ""
    execute(step.notify, locals())
