# Generated from step.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of export_artifact."""

from kfp import dsl

from assay.runtime.declaration import component


@component("train")
def export_artifact(
    artifact: str,
    dataset: dsl.Output[dsl.Dataset],
    model: dsl.Output[dsl.Model],
    file_format: str = "parquet",
) -> None:
    """Write the dataset or model of a digest where components that know nothing of digests read it.

    Args:
        artifact: Digest of a dataset or a model.
        dataset: The table as one file, if the digest names a dataset.
        model: The model's folder, in MLflow's format, if it names a model.
        file_format: Of a dataset: "parquet", or "csv", which keeps no types.
    """
    from assay.components.export_artifact import step
    from assay.runtime.kfp import guard

    guard(
        step.export_artifact,
        artifact=artifact,
        file_format=file_format,
        dataset=dataset,
        model=model,
    )
