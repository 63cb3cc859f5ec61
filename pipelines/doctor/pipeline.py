"""Doctor as a pipeline: green when a run could start, red with the reason when not."""

from kfp import dsl

from assay.components.doctor.component import doctor as check
from assay.pipelines.tasks import never_cached


@dsl.pipeline(name="doctor")
def doctor(kfp_endpoint: str = "", namespace: str = "", images: list = []) -> None:  # noqa: B006
    """Check store, clock, MLflow, keys, KFP, Secrets and images from inside of the cluster.

    Args:
        kfp_endpoint: URL of KFP's API. Empty: not looked at.
        namespace: Where the Secrets are. Empty: the pod's own.
        images: References by digest to look up in their registries. Empty: none.
    """
    never_cached(
        check(kfp_endpoint=kfp_endpoint, namespace=namespace, images=images).set_display_name(
            "Check the ground"
        )
    )
