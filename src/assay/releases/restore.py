"""Earlier releases of an environment, and whether each can be restored byte by byte.

The order comes from the releases themselves: each names the one that it replaced. So a second
rollback goes back one more release, and not forward to the one that the first rollback replaced.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from assay.core.step import Services
from assay.core.tree import get_manifest, verify_trees
from assay.errors import AssayError, IntegrityError, NotFoundError, UsageError
from assay.releases import layout, log
from assay.releases.deployment import Deployment, OpenDeployment
from assay.releases.eligibility import refuse_revoked, release_at
from assay.releases.log import Entry
from assay.releases.release import Release


@dataclass(frozen=True, slots=True)
class Earlier:
    """A release that was in an environment."""

    release: Release
    commit: str
    """The commit that has it; "" if only the store has it."""


class Past:
    """The releases of an environment, from the release log; the repository only has the files.

    A release that is only in the repository's history was not necessarily approved.

    Args:
        deployment: The store, and the repository if it is opened.
        entries: The log of the model, oldest first.
        model: Name of the model.
        environment: Where.
    """

    def __init__(
        self,
        deployment: Deployment,
        entries: Sequence[Entry],
        model: str,
        environment: str,
    ) -> None:
        self._store = deployment.store
        repository = deployment.repository if isinstance(deployment, OpenDeployment) else None
        self._known: dict[str, Earlier] = {}
        path = layout.path(model, environment)
        held: dict[str, Earlier] = {}
        for revision in repository.history(path) if repository else []:
            release = release_at(repository, path, revision.commit) if repository else None
            if release is not None:
                held.setdefault(release.name, Earlier(release, revision.commit))
        self._passed = {e.release for e in entries if e.passed and e.environment == environment}
        for entry in reversed(entries):
            if (
                entry.moves
                and entry.environment == environment
                and entry.release not in self._known
            ):
                if entry.release in held:
                    self._known[entry.release] = held[entry.release]
                else:
                    self._add_copy(entry.release)

    def get(self, name: str) -> Earlier | None:
        """The release of that name, if it was in the environment."""
        return self._known.get(name)

    def before(self, release: Release) -> Iterator[Earlier]:
        """The releases before `release`, newest first, of other models than it."""
        seen = {release.name}
        previous = release.previous
        while previous not in seen:
            seen.add(previous)
            if (result := self.get(previous)) is not None:
                if result.release.digest != release.digest:
                    yield result
                previous = result.release.previous
            elif previous in self._passed:
                # It was replaced before it was recorded, so a rollback skips it.
                previous = log.get_release(self._store, previous).previous

    def find(self, digest: str) -> Earlier:
        """A release by its own digest or its model's, the newest of several.

        Raises:
            UsageError: It was never in this environment; lists the releases that were.
        """
        if (result := self._known.get(digest)) is not None:
            return result
        for earlier in self._known.values():
            if earlier.release.digest == digest:
                return earlier
        known = ", ".join(dict.fromkeys(e.release.digest for e in self._known.values())) or "none"
        raise UsageError(f"{digest} was never released there; released were: {known}")

    def _add_copy(self, name: str) -> None:
        try:
            self._known[name] = Earlier(log.get_release(self._store, name), "")
        except (NotFoundError, IntegrityError, UsageError):
            # It cannot be restored; `find` reports it as never released.
            return


def verify(services: Services, release: Release) -> int:
    """Verify every byte of a release: the model and its evidence; return the number of bytes.

    The training data is not read: it may have been removed, and is not needed to serve.

    Raises:
        RunBlocked: The model is revoked.
        IntegrityError: Bytes do not match their digest; names all of them.
        NotFoundError: A blob is not in the store.
    """
    refuse_revoked(services, release.digest)
    store = services.store
    parts = [release.digest, release.decision, release.policy, *release.reports.values()]
    manifests = [get_manifest(store, digest) for digest in [*parts, release.golden] if digest]
    if release.monitoring:
        store.verify(release.monitoring)
    return sum(blob.size for blob in verify_trees(store, manifests))


def next_restorable(services: Services, candidates: Iterator[Earlier]) -> Earlier | None:
    """The first of some releases that can be restored; None when none can."""
    for earlier in candidates:
        try:
            verify(services, earlier.release)
        except AssayError:
            continue
        return earlier
    return None
