"""The KFP declaration of validate_data."""

from typing import NamedTuple

from kfp import dsl

from assay.images import image


@dsl.component(base_image=image("data"), install_kfp_package=False)
def validate_data(
    data: str,
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    suite: str = "",
    reference: str = "",
    target: str = "",
    drift_share: float = 0.5,
    drift_threshold: float = 0.1,
    max_sample_rows: int = 20_000,
) -> NamedTuple("Outputs", [("validation", str), ("verdict", str), ("reason", str)]):
    """Judge whether a dataset is fit to train on: structure, expectations, drift.

    Args:
        data: Digest of the dataset.
        report: What was found, to look at.
        summary: What failed, in short.
        suite: Digest of a Great Expectations suite. Empty: structural checks only.
        reference: Digest of a dataset to look for drift against. Empty: no drift check.
        target: Column to predict.
        drift_share: Share of drifted columns, above 0, from which the data is rejected.
        drift_threshold: Distance from which a column has drifted (for up to 1,000 rows of
            reference a p-value below 0.05 counts instead).
        max_sample_rows: Rows looked at for drift, at least 100.

    Returns:
        validation: Digest of what was found.
        verdict: pass, block or inconclusive.
        reason: One line naming what failed.
    """
    from assay.components.validate_data import step
    from assay.kfp import execute

    return execute(step.validate_data, locals(), "validation", "verdict", "reason")
