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
    """Write a digest's dataset or model where components that know nothing of digests read it.

    Args:
        artifact: Digest of a dataset or a model.
        dataset: The table as one file, when the digest names a dataset.
        model: The model's folder, in MLflow's format, when it names a model.
        file_format: Of a dataset: "parquet", or "csv", which keeps no types.
    """
    from assay.components.export_artifact import step
    from assay.runtime.kfp import guard

    places = {"dataset": dataset, "model": model}
    guard(step.export_artifact, artifact=artifact, file_format=file_format, **places)
