"""split_data: one split, and for a sweep a second one of the training rows, to choose on."""

from collections.abc import Mapping
from typing import Any, Final

from assay.runtime.kfp import Task

VALIDATION_SALT: Final = "validation"
"""The training rows are those whose hash lies above the cut, so by the same hash none of them would
be held out."""


def split_data(
    task: Task,
    *,
    candidates: list[dict[str, Any]] = [],  # noqa: B006 - read only
    candidate_settings: dict[str, Any] = {},  # noqa: B006
    validation_fraction: float = 0.25,
) -> Mapping[str, Any]:
    """Split, and for a sweep split the training rows again for each candidate.

    Args:
        task: The task.
        candidates: Of a sweep: what to try.
        candidate_settings: Of a sweep: more parameters of each try_candidate.
        validation_fraction: Of a sweep: share of the training rows to choose on, between 0 and 1.

    Returns:
        candidates (list): Of a sweep: each with the rows to train and to measure it on.
    """
    (step,) = task.steps
    whole = task.run(step)
    given = {**whole.outputs, **whole.values}
    if not candidates:
        return {**given, "candidates": []}
    inner = task.run(
        step,
        {
            "data": whole.outputs["train"],
            "test_fraction": validation_fraction,
            "salt": VALIDATION_SALT,
        },
    )
    rows = {"data": inner.outputs["train"], "test_data": inner.outputs["test"]}
    settings = {"settings": candidate_settings}
    return {**given, "candidates": [one | rows | settings for one in candidates]}
