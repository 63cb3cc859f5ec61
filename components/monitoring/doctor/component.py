# Generated from step.py and stage.yaml by `make goldens`. Do not edit.
"""The KFP declaration of doctor."""

from typing import NamedTuple

from kfp import dsl

from assay.runtime.declaration import component


@component("release")
def doctor(
    ground: dsl.Output[dsl.HTML],
    kfp_endpoint: str = "",
    namespace: str = "",
    images: list = [],
) -> NamedTuple("Outputs", [("record", str)]):
    """Check store, clock, MLflow, signing key, KFP, Secrets and images, from inside a pod of a run.

    A verdict other than pass fails the task, with exit code 4, or 5 if it is inconclusive, after
    the result is stored.

    Args:
        ground: The findings.
        kfp_endpoint: URL of KFP's API. Empty: not checked.
        namespace: The namespace of the Secrets. Empty: the pod's own.
        images: References by digest to look up in their registries. Empty: none.

    Returns:
        record: Digest of the findings.
    """
    from assay.components.doctor import step
    from assay.runtime.kfp import BLOCKS, execute

    return execute(step.doctor, locals(), "record", judge=BLOCKS)
