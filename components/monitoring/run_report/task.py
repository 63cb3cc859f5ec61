"""run_report: how its task runs the step."""

from assay.runtime.kfp import FinalStatus, Task


def run_report(task: Task, *, status: FinalStatus) -> None:
    """Run the step with what KFP says of how the run ended.

    Args:
        task: The task.
        status: How the run ended; KFP fills it in.
    """
    (step,) = task.steps
    given = task.arguments
    ended = {
        "state": status.state or "",
        "error": status.error_message or "",
        "name": given["name"] or status.pipeline_job_resource_name or "",
        "pipeline": given["pipeline"] or status.pipeline_task_name or "",
    }
    task.run(step, ended)
