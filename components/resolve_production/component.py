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
    """Ask the outside world what the gate has to know: one task for all of it.

    Which model is in production, how many models were tried on the test rows, and how long ago a
    rollback was rehearsed.

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
        attempts: Digest of evidence: how many models were tried on the test rows.
        rehearsal: Digest of evidence: how long ago a rollback was rehearsed.
        evidence: These two, for a gate.
    """
    from assay.components.release_evidence import step as rehearsed
    from assay.components.resolve_production import step
    from assay.runtime.kfp import execute_all

    return execute_all(
        [step.resolve_production, rehearsed.release_evidence],
        locals(),
        "production",
        "production_data",
        "production_rows",
        "version",
        "attempts",
        "rehearsal",
        "evidence",
        name="resolve_production",
        lists={"evidence": ("attempts", "rehearsal")},
    )
