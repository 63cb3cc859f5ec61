"""Earlier releases of an environment, and whether each can be restored byte by byte.

The order comes from the releases themselves: each names what it replaced. That is why a second
rollback goes one further back, and not forward to what the first one left.
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
    """Where the repository's history has it; "" when only the store does."""


class Past:
    """What was in one environment, by the release log; the repository only holds the files.

    A release that only the repository's history shows was not necessarily approved.
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
        """What `release` replaced, what that replaced, and so on; of other models than it."""
        seen = {release.name}
        previous = release.previous
        while previous not in seen:
            seen.add(previous)
            if (result := self.get(previous)) is not None:
                if result.release.digest != release.digest:
                    yield result
                previous = result.release.previous
            elif previous in self._passed:
                # It was replaced before it was recorded, so a rollback goes on to what it replaced.
                previous = log.get_release(self._store, previous).previous

    def find(self, digest: str) -> Earlier:
        """A release by its own digest or its model's, the newest of several.

        Raises:
            UsageError: It was never in this environment; lists those that were.
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
            # Not restorable; `find` reports it as never released when it is asked for by name.
            return


def verify(services: Services, release: Release) -> int:
    """Read every byte of a release: the model, and what was judged about it; bytes read.

    Not the data it was made from: that may be gone, and is not needed to serve.

    Raises:
        RunBlocked: The model is revoked.
        IntegrityError: Bytes that are not what their name says; names every offender.
        NotFoundError: Something is not in the store.
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
