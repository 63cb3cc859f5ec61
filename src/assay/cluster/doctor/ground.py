"""What there is to look at: from options, the environment and a profile."""

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
    """The ground of a run.

    Args:
        endpoint: KFP's API. Empty: as the environment says, if it does.
        namespace: Where the Secrets are. Empty: this pod's, or the kubeconfig's.
        images: References of the images that a run will pull.
        profile: Names of the Secrets. None: the default names.

    Raises:
        UsageError: An endpoint that is none.
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
