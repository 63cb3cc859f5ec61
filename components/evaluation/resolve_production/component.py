# Generated from step.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of resolve_production."""

from typing import NamedTuple

from assay.runtime.declaration import component


@component("release")
def resolve_production(
    model_name: str,
    model: str,
    test_data: str,
    override: str = "",
) -> NamedTuple(
    "Outputs",
    [
        ("production", str),
        ("production_data", str),
        ("production_rows", str),
        ("version", str),
        ("attempts", str),
        ("rehearsal", str),
        ("evidence", list),
    ],
):
    """Ask the registry which model is in production, and count the models tried on the test rows.

    The release log in the store must agree with the registry.

    One task runs the steps resolve_production and release_evidence.

    Args:
        model_name: Name in the MLflow registry.
        model: Digest of the model that is judged.
        test_data: Digest of the rows it is tested on.
        override: Digest of a model to compare with instead, for information only: register refuses
            such a decision. Empty: the one in production.

    Returns:
        production: Digest of the model to compare with, or empty.
        production_data: Digest of the data it was made from, or empty.
        production_rows: Digest of the rows it was trained on, or empty when unknown.
        version: Its version in the registry, or empty.
        attempts: Digest of the evidence attempts_on_test_data.
        rehearsal: Digest of the evidence rollback_drill_age_days.
        evidence: The digests attempts and rehearsal in one list.
    """
    from assay.components.release_evidence import step as release_evidence_step
    from assay.components.resolve_production import step
    from assay.runtime.kfp import execute_all

    return execute_all(
        [step.resolve_production, release_evidence_step.release_evidence],
        locals(),
        "production",
        "production_data",
        "production_rows",
        "version",
        "attempts",
        "rehearsal",
        "evidence",
        name="resolve_production",
        lists={"evidence": ["attempts", "rehearsal"]},
    )
