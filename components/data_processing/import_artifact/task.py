"""import_artifact: how its task runs the step."""

from assay.runtime.kfp import Task


def import_artifact(task: Task) -> None:
    """Run the step, unless an artifact of ours comes back unaltered: that keeps its digest."""
    (step,) = task.steps
    task.adopt(step, "artifact")
