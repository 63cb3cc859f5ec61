"""The registry's aliases: one for each environment, at the version in the release log."""

from assay.errors import IntegrityError, ServiceError
from assay.governance.registry import Registry
from assay.releases import eligibility, log
from assay.releases.deployment import Deployment
from assay.releases.log import Entry
from assay.releases.release import Release


def move_alias(deployment: Deployment, model: str, environment: str) -> str:
    """Point an environment's alias at the current release according to the log.

    A registry moves an alias unconditionally, and the log may grow at the same time. So each
    process reads the log again after it moved an alias: the last one leaves the two in agreement.

    Args:
        deployment: The store and the registry.
        model: Name of the model.
        environment: The environment; the alias has its name.

    Returns:
        The alias and its new version; "" if it did not move.

    Raises:
        UsageError: The version that the release names is not of its model.
        RunBlocked: The model is revoked, and the alias is at another version.
        ServiceError: The registry failed, or the log grew each time.
        IntegrityError: The log is broken, or its newest entry by an approver or recorder does not
            count.
        NotFoundError: The release is not in the store.
    """
    registry = deployment.require_registry()
    moved, seen = "", None
    for _ in range(log.MAX_RACES):
        entries = deployment.entries(model)
        last = log.current(entries, environment)
        if (doubt := log.doubtful(deployment.services, entries, environment)) is not None:
            raise IntegrityError(
                f"entry {doubt.number} of the release log does not count: {doubt.refused}; the "
                "alias is not moved back to an earlier version; list the key in keys.yaml as it "
                "was, or release again"
            )
        if last is None or last.name == seen:
            return moved
        release = log.get_release(deployment.store, last.release)
        moved, seen = _set_alias(deployment, registry, release, last) or moved, last.name
    raise ServiceError(
        f"the alias {environment!r} of {model!r} was not settled: others wrote the release log "
        f"{log.MAX_RACES} times; run again: assay release sync"
    )


def _set_alias(deployment: Deployment, registry: Registry, release: Release, entry: Entry) -> str:
    """Point an environment's alias at a release's version; return the change, or "".

    Raises:
        RunBlocked: The model is revoked, and the alias is at another version.
        UsageError: The version that the release names is not of its model.
        ServiceError: The registry failed.
    """
    version = eligibility.version_of(registry, release)
    current = registry.at(release.model, release.environment)
    if current is not None and current.version == version.version:
        return ""
    eligibility.refuse_revoked(deployment.services, release.digest)
    where = release.environment
    registry.tag(
        release.model,
        version.version,
        {
            f"assay.release.{where}": release.name,
            f"assay.approval.{where}": entry.statement or entry.name,
            f"assay.approved_by.{where}": entry.by,
            f"assay.approved_at.{where}": entry.at,
        },
    )
    registry.set_alias(release.model, where, version.version)
    return f"{release.model}@{where} -> {version.version}"
