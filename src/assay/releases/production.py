"""What is in production, by the registry's word and the release log's."""

from assay.core.step import Services
from assay.errors import ServiceError
from assay.governance.registry import PRODUCTION, ModelVersion, Registry
from assay.releases import log


def in_production(services: Services, registry: Registry, name: str) -> ModelVersion | None:
    """The version of a model that is in production, or None when none ever was.

    The registry is asked. The release log in the store is the second witness: where it says that
    something was released to production, the registry must name the same model. A wrong registry,
    an alias that was removed or moved by hand, and a synchronisation that is not finished are
    refused, because what is not known must not pass for "nothing in production".

    Args:
        services: The store that holds the release log, and who may sign it.
        registry: Where the model is registered.
        name: Name of the registered model.

    Raises:
        ServiceError: The registry failed, or contradicts its own history or the release log.
        IntegrityError: The release log is broken.
        UsageError: The version in production was not registered by Assay.
    """
    current = registry.production(name)
    released = log.current(log.read(services.store, name, services.verifier), PRODUCTION)
    if released is None:
        return current
    seen = current.model if current is not None else ""
    if seen != released.digest:
        said = f"says {seen} (version {current.version})" if current is not None else "says none"
        raise ServiceError(
            f"cannot tell which version of {name!r} is in production: the release log says "
            f"{released.digest} since {released.at}, the registry {said}; check "
            "MLFLOW_TRACKING_URI and ASSAY_STORE, or bring the alias to what was released: "
            "assay release sync"
        )
    return current
