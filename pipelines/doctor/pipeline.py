"""Doctor as a pipeline: green when a run could start, red with the reason when not."""

from kfp import dsl

from assay.components.doctor.component import doctor as check
from assay.components.halt.component import halt


@dsl.pipeline(name="doctor")
def doctor(kfp_endpoint: str = "", namespace: str = "", images: list = []) -> None:  # noqa: B006
    """Check store, clock, MLflow, signing key, KFP, Secrets and images from inside of the cluster.

    Args:
        kfp_endpoint: URL of KFP's API. Empty: not looked at.
        namespace: Where the Secrets are. Empty: the pod's own.
        images: References by digest to look up in their registries. Empty: none.
    """
    found = check(
        kfp_endpoint=kfp_endpoint, namespace=namespace, images=images
    ).set_caching_options(enable_caching=False)
    # Two branches, so that any word but "pass" is red; and kfp.local (2.17) takes an If that stands
    # alone for false without a word, because it cannot resolve the task's output there.
    with dsl.If(found.outputs["verdict"] == "block", name="blocked"):
        halt(kind="blocked", reason=found.outputs["reason"], report=found.outputs["record"])
    with dsl.Elif(found.outputs["verdict"] != "pass", name="unknown"):
        halt(kind="inconclusive", reason=found.outputs["reason"], report=found.outputs["record"])
