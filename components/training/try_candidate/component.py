"""The KFP declaration of try_candidate."""

from typing import NamedTuple

from assay.runtime.declaration import component


@component("train")
def try_candidate(
    data: str,
    test_data: str,
    estimator: str = "auto",
    hyperparameters: dict = {},  # noqa: B006 - KFP reads the default, nobody changes it
    settings: dict = {},  # noqa: B006
) -> NamedTuple("Outputs", [("model", str), ("evaluation", str)]):
    """Train one candidate of a sweep and measure it: the steps train and evaluate in one task.

    A candidate that cannot be trained is no failure of the sweep: it has no model, and an
    evaluation that says why.

    Args:
        data: Digest of the training rows.
        test_data: Digest of the rows to measure it on.
        estimator: Import path of a scikit-learn estimator.
        hyperparameters: Its arguments.
        settings: More parameters of train and evaluate, as one object.

    Returns:
        model: Digest of the model, or empty.
        evaluation: Digest of its evaluation.
    """
    from assay.components.evaluate import step as measured
    from assay.components.train import step
    from assay.runtime.kfp import execute_all

    keep_going = True
    return execute_all(
        [step.train, measured.evaluate],
        {**locals(), "keep_going": keep_going},
        "model",
        "evaluation",
        name="try_candidate",
        handed_on={"failure": "reason"},
    )
