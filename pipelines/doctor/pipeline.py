"""Doctor as a pipeline: it succeeds if runs can start, and fails with the reason otherwise."""

from kfp import dsl

from assay.components.doctor.component import doctor as check
from assay.pipelines.tasks import never_cached


@dsl.pipeline(name="doctor")
def doctor(kfp_endpoint: str = "", namespace: str = "", images: list = []) -> None:  # noqa: B006
    """Check store, clock, MLflow, keys, KFP, Secrets and images from inside the cluster.

    Args:
        kfp_endpoint: URL of KFP's API. Empty: not checked.
        namespace: Namespace of the Secrets. Empty: that of the pod.
        images: References by digest to look up in their registries. Empty: none.
    """
    never_cached(
        check(kfp_endpoint=kfp_endpoint, namespace=namespace, images=images).set_display_name(
            "Check the cluster"
        )
    )
