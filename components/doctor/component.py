"""The KFP declaration of doctor."""

from typing import NamedTuple

from kfp import dsl

from assay.declaration import component


@component("release")
def doctor(
    summary: dsl.Output[dsl.Markdown],
    report: dsl.Output[dsl.HTML],
    kfp_endpoint: str = "",
    namespace: str = "",
    images: list = [],  # noqa: B006
) -> NamedTuple("Outputs", [("record", str), ("verdict", str), ("reason", str)]):
    """Check the ground that a run stands on, from where its pods stand.

    Args:
        summary: What was found.
        report: The same as a page.
        kfp_endpoint: URL of KFP's API. Empty: not looked at.
        namespace: Where the Secrets are. Empty: the pod's own.
        images: References by digest to look up in their registries. Empty: none.

    Returns:
        record: Digest of the findings.
        verdict: pass, or block when a run would fail.
        reason: What failed, in one line.
    """
    from assay.components.doctor import step
    from assay.kfp import execute

    return execute(step.doctor, locals(), "record", "verdict", "reason")
