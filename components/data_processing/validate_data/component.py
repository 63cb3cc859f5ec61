# Generated from step.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of validate_data."""

from typing import NamedTuple

from kfp import dsl

from assay.runtime.declaration import component


@component("data")
def validate_data(
    data: str,
    data_report: dsl.Output[dsl.HTML],
    suite: str = "",
    reference: str = "",
    target: str = "",
    drift_share: float = 0.5,
    drift_threshold: float = 0.1,
    settings: dict = {},
) -> NamedTuple("Outputs", [("validation", str)]):
    """Judge whether a dataset is fit to train on: structure, expectations, drift.

    The result has the files `evidence.json`, `result.json` (of every expectation and column),
    `report.html` and `summary.md`.

    A verdict other than pass fails the task, with exit code 3, after the result is stored.

    Args:
        data: Digest of the dataset.
        data_report: The findings.
        suite: Digest of a Great Expectations suite. Empty: structural checks only.
        reference: Digest of a dataset to look for drift against. Empty: no drift check.
        target: Column to predict; it must exist, have no missing values, and vary.
        drift_share: Share of drifted columns, above 0, at most 1, from which the data is rejected.
        drift_threshold: Distance, above 0, from which a column has drifted (for up to 1,000 rows of
            reference a p-value below 0.05 counts instead).
        settings: More of these parameters, as one object, whose values win; `epoch`, any text, only
            changes KFP's cache key.

    Returns:
        validation: Digest of the findings.
    """
    from assay.components.validate_data import step
    from assay.runtime.kfp import REJECTS, execute

    return execute(step.validate_data, locals(), "validation", judge=REJECTS)
