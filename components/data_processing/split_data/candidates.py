"""split_data: one split, and for a sweep a second one of the training rows, to choose on."""

from collections.abc import Mapping
from typing import Any, Final

from assay.components.split_data.step import split_data
from assay.runtime.kfp import Task

VALIDATION_SALT: Final = "validation"
"""The training rows are those whose hash lies above the cut, so by the same hash none of them would
be held out."""


def split(arguments: Mapping[str, Any]) -> tuple[Any, ...]:
    """Split, and hand each candidate of a sweep the rows to train and to measure it on.

    Raises:
        SystemExit: With the exit code of what is wrong, after it was reported.
    """
    own = {"validation_fraction": float}
    with Task("split_data", [split_data], arguments, own) as task:
        whole = task.run(split_data)
        given = task.end(["train", "test", "train_rows", "test_rows"])
        if not arguments["candidates"]:
            return *given, []
        inner = task.run(
            split_data,
            instead={
                "data": whole.outputs["train"],
                "test_fraction": task.arguments["validation_fraction"],
                "salt": VALIDATION_SALT,
            },
        )
        task.end([])
    rows = {"data": inner.outputs["train"], "test_data": inner.outputs["test"]}
    settings = {"settings": arguments["candidate_settings"]}
    return *given, [one | rows | settings for one in arguments["candidates"]]
