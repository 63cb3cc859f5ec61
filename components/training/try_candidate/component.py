# Generated from task.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of try_candidate."""

from typing import NamedTuple

from assay.runtime.declaration import component


@component("train")
def try_candidate(
    data: str,
    test_data: str,
    estimator: str = "auto",
    hyperparameters: dict = {},
    settings: dict = {},
) -> NamedTuple("Outputs", [("model", str), ("evaluation", str)]):
    """Train one candidate of a sweep and evaluate it.

    A candidate that cannot be trained does not fail the sweep: it has no model, and an evaluation
    that says why.

    One task runs the steps train and evaluate.

    Args:
        data: Digest of the training rows.
        test_data: Digest of the held-out rows.
        estimator: Import path of a scikit-learn estimator; "auto": gradient boosting.
        hyperparameters: Its arguments; one nested: {"$estimator": path, "hyperparameters": {}}.
        settings: More parameters of train and evaluate, as one object, whose values win; `epoch`,
            any text, only changes KFP's cache key.

    Returns:
        model: Digest of the model.
        evaluation: Digest of the evaluation; reproducible.
    """
    from assay.components.evaluate import step as evaluate_step
    from assay.components.train import step as train_step
    from assay.components.try_candidate import task
    from assay.runtime.kfp import execute_all

    return execute_all(
        [train_step.train, evaluate_step.evaluate],
        locals(),
        "model",
        "evaluation",
        name="try_candidate",
        by=task.try_candidate,
    )
