"""The services of the release commands: the store, the deployment repository, the registry, a key.

`Deployment.from_env` creates it from the environment. `Deployment.open` clones the deployment
repository for one command; functions that need the clone take an `OpenDeployment`.
"""

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assay.core.context import services_from_env
from assay.core.settings import DEPLOYMENTS, MLFLOW_URI
from assay.core.signing import Signer, Verifier, signer_from_env
from assay.core.step import Services
from assay.core.store import Store
from assay.errors import UsageError
from assay.governance.registry import Registry
from assay.releases import log, statement
from assay.releases.forge import Forge, open_forge
from assay.releases.log import Entry
from assay.releases.repository import Repository
from assay.releases.settings import Settings, settings_from_env
from assay.releases.statement import Kind, Statement


@dataclass(frozen=True)
class Deployment:
    """The services that a release command uses. Only opening it takes time."""

    services: Services
    settings: Settings | None = None
    """The deployment repository and its forge; None when none is configured."""
    registry: Registry | None = None
    """None: no version is compared, and no alias is moved."""
    signer: Signer | None = None
    """The key of the user or process that runs the command; None when none is configured."""

    @classmethod
    def from_env(cls, *, services: Services | None = None, repository: bool = True) -> "Deployment":
        """The deployment that the environment configures.

        Args:
            services: The store and the verifier; None: those of the environment.
            repository: Whether the command uses the deployment repository. False: its variables
                are not read, so that a wrong value does not matter.

        Raises:
            UsageError: A variable is missing or cannot be used; the message names it.
        """
        configured = repository and bool(DEPLOYMENTS.get())
        return cls(
            services or services_from_env(),
            settings_from_env() if configured else None,
            Registry() if MLFLOW_URI.get() else None,
            signer_from_env(),
        )

    @property
    def store(self) -> Store:
        """The store that holds the artifacts and the release log."""
        return self.services.store

    @property
    def verifier(self) -> Verifier | None:
        """Whose signatures count; None when no keys are configured."""
        return self.services.verifier

    def require_settings(self) -> Settings:
        """The settings of the deployment repository.

        Raises:
            UsageError: `ASSAY_DEPLOYMENTS` is not set.
        """
        return self.settings or settings_from_env()

    def require_signer(self) -> Signer:
        """The signer.

        Raises:
            UsageError: No signing key is configured.
        """
        if self.signer is None:
            raise UsageError(
                "ASSAY_SIGNING_KEY is not set, and this command signs a statement; create a key "
                "with: openssl genpkey -algorithm ed25519 -out signing.pem"
            )
        return self.signer

    def require_registry(self) -> Registry:
        """The registry; errors as `Registry`."""
        return self.registry or Registry()

    def entries(self, model: str) -> list[Entry]:
        """The release log of a model; errors as `log.read`."""
        return log.read(self.services, model)

    def append(self, entry: Entry, *, after: str | None = None) -> Entry:
        """Add an entry to the release log in the signer's name; arguments as `log.append`."""
        return log.append(self.services, entry, self.signer, after=after)

    def state(self, kind: Kind, model: str, predicate: Mapping[str, Any]) -> Statement:
        """Sign and store a statement about a model; errors as `statement.save`.

        Args:
            kind: Kind of the statement.
            model: Digest of the subject.
            predicate: The content.

        Returns:
            The statement as it was stored.
        """
        return statement.save(self.services, self.require_signer(), kind, model, predicate)

    @contextmanager
    def open(self) -> Iterator["OpenDeployment"]:
        """Clone the deployment repository for the length of the block.

        Raises:
            UsageError: `ASSAY_DEPLOYMENTS` is not set.
            ServiceError: The repository cannot be reached.
        """
        with Repository.open(self.require_settings()) as repository:
            yield self.over(repository)

    @contextmanager
    def open_checkout(self, folder: Path, tip: str) -> Iterator["OpenDeployment"]:
        """Use an existing checkout instead of a clone, to read; errors as `Repository.of_checkout`.

        Args:
            folder: The checkout.
            tip: The commit at which its branch ends.
        """
        with Repository.of_checkout(folder, tip) as repository:
            yield self.over(repository)

    def over(self, repository: Repository) -> "OpenDeployment":
        """The same services with a clone of the repository."""
        settings = self.settings or repository.settings
        line = repository.line()
        # The repository keeps its identity even if a merge has a first parent of another history.
        known = log.seen_repository(self.store, self.verifier, settings.url, settings.branch)
        scoped = log.Scoped(
            self.store,
            self.verifier,
            known or (f"{line[0]} {settings.branch}" if line else ""),
            frozenset(line),
            settings.has_forge,
        )
        return OpenDeployment(
            scoped, self.settings, self.registry, self.signer, repository=repository
        )

    def offline(self) -> "Deployment":
        """The same without the repository, when it cannot be reached.

        Raises:
            UsageError: `ASSAY_DEPLOYMENTS` is not set, or the repository is not known.
        """
        settings = self.require_settings()
        known = log.known_repository(self.store, self.verifier, settings.url, settings.branch)
        if not known:
            raise UsageError(
                f"no tip of {settings.branch} of {settings.url} was recorded, and the store is not "
                "that of one deployment repository alone, so without Git it is not known which "
                "releases of the log are its; set ASSAY_DEPLOYMENTS to the URL that assay release "
                "sync uses"
            )
        return replace(
            self, services=log.Scoped(self.store, self.verifier, known, forge=settings.has_forge)
        )


@dataclass(frozen=True, kw_only=True)
class OpenDeployment(Deployment):
    """A deployment whose repository is cloned."""

    repository: Repository

    @functools.cached_property
    def forge(self) -> Forge:
        """The forge of the repository, connected when it is first used."""
        return open_forge(self.repository)
