"""The KFP declaration of doctor."""

from typing import NamedTuple

from kfp import dsl

from assay.runtime.declaration import component


@component("release")
def doctor(
    ground: dsl.Output[dsl.HTML],
    kfp_endpoint: str = "",
    namespace: str = "",
    images: list = [],  # noqa: B006
) -> NamedTuple("Outputs", [("record", str)]):
    """Check the ground that a run stands on, from where its pods stand.

    A ground on which a run would fail fails the task, with exit code 4, after the findings are
    stored.

    Args:
        ground: What was found, to look at.
        kfp_endpoint: URL of KFP's API. Empty: not looked at.
        namespace: Where the Secrets are. Empty: the pod's own.
        images: References by digest to look up in their registries. Empty: none.

    Returns:
        record: Digest of the findings.
    """
    from assay.components.doctor import step
    from assay.runtime.kfp import BLOCKS, execute

    return execute(step.doctor, locals(), "record", judge=BLOCKS)
