"""try_candidate: how its task runs the steps."""

from assay.runtime.kfp import Task


def try_candidate(task: Task) -> None:
    """Train one candidate of a sweep and evaluate it.

    A candidate that cannot be trained does not fail the sweep: it has no model, and an evaluation
    that says why.
    """
    train, evaluate = task.steps
    trained = task.run(train, {"keep_going": True})
    task.run(evaluate, {"failure": trained.values["reason"]})
