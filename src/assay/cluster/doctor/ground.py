"""What the doctor checks: from options, the environment and a profile."""

from collections.abc import Sequence

from assay.cluster.client import Endpoint
from assay.cluster.doctor.checks import Ground, WantedSecret
from assay.cluster.profile import Profile, default_profile
from assay.errors import UsageError
from assay.runtime.mounted import REQUIRED_KEYS, VARIABLES


def ground(
    endpoint: str = "",
    namespace: str = "",
    images: Sequence[str] = (),
    profile: Profile | None = None,
) -> Ground:
    """What the doctor checks.

    Args:
        endpoint: KFP's API. Empty: from the environment, if it is set.
        namespace: Namespace of the Secrets. Empty: that of this pod, or of the kubeconfig.
        images: References of the images that a run pulls.
        profile: Names of the Secrets. None: the default names.

    Returns:
        The input of the checks.

    Raises:
        UsageError: The endpoint is not a URL.
    """
    try:
        kfp = Endpoint.from_env(endpoint, namespace)
    except UsageError:
        if endpoint:
            raise
        kfp = None
    named = (profile or default_profile()).secrets
    return Ground(
        endpoint=kfp,
        namespace=namespace,
        images=tuple(images),
        secrets=tuple(
            WantedSecret(
                secret.name, tuple(VARIABLES[kind]), REQUIRED_KEYS.get(kind, ()), secret.optional
            )
            for kind, secret in named.items()
        ),
    )
