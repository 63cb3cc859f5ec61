"""The production model, according to both the registry and the release log."""

from assay.core.step import Services
from assay.errors import ServiceError
from assay.governance.registry import PRODUCTION, ModelVersion, Registry
from assay.releases import log


def in_production(services: Services, registry: Registry, name: str) -> ModelVersion | None:
    """The production version of a model, or None if none ever was in production.

    If the release log has a release to production, the registry must name the same model. A wrong
    registry, an alias that was removed or moved manually, and an unfinished
    synchronisation are refused: an unknown state must not count as "nothing in production".

    Args:
        services: The store that holds the release log, and whose signatures count.
        registry: Where the model is registered.
        name: Name of the registered model.

    Returns:
        The version; None when none ever was in production.

    Raises:
        ServiceError: The registry failed, or contradicts its own history or the release log.
        IntegrityError: The release log is broken.
        UsageError: The version in production was not registered by Assay, or the store holds the
            logs of several deployment repositories and none is configured.
    """
    current = registry.production(name)
    released = log.current(log.read(log.configured(services), name), PRODUCTION)
    if released is None:
        return current
    registered = current.model if current is not None else ""
    if registered != released.digest:
        named = f"{registered} (version {current.version})" if current is not None else "none"
        raise ServiceError(
            f"cannot determine which version of {name!r} is in production: the release log has "
            f"{released.digest} since {released.at}, the registry says {named}; check "
            "MLFLOW_TRACKING_URI and ASSAY_STORE, or move the alias to the released version: "
            "assay release sync"
        )
    return current
