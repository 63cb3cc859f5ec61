"""The deployment repository of log entries.

Several repositories may use one store, and anyone who can write to the store can copy the log of
another one into it. So an entry names its repository and branch, and entries of other repositories
do not count. A repository is named by its first commit, because its URL may change; a fork shares
that.
"""

import contextlib
from dataclasses import dataclass
from typing import Final

from assay.core.digest import is_digest
from assay.core.settings import DEPLOYMENTS
from assay.core.signing import Verifier
from assay.core.step import Services
from assay.core.store import Store
from assay.errors import AssayError, IntegrityError, NotFoundError, UsageError
from assay.releases.log.entry import (
    MAX_NAME_CHARS,
    REVOCATIONS,
    TIPS,
    WRITERS,
    Entry,
    Event,
    chain_id,
    logs,
    places,
    read_entry,
    tips_chain,
)
from assay.releases.settings import settings_from_env

_ANYWHERE: Final = frozenset({Event.ROLLBACK, Event.RECONCILED, Event.OVERRIDE})
"""Events that count without a repository and commit: a rollback while Git was down is based on a
release that counts, and an override is about a decision."""
_NEWEST: Final = 100
"""Number of newest tips that are checked; tips that do not count are not among them."""


@dataclass(frozen=True, slots=True)
class Scoped(Services):
    """Services for one branch of one deployment repository."""

    repository: str = ""
    """`<first commit> <branch>`; "" where it is not known, so that no entry counts."""
    commits: frozenset[str] | None = frozenset()
    """The commits of the branch, along first parents; None where they are not known, so that every
    entry without a repository counts."""
    forge: bool = True
    """Whether merges are a forge's, so that a recorder may sign what the forge says of them."""


def repository_of(services: Services) -> str:
    """The deployment repository that the services are for; "" when they are for none."""
    return services.repository if isinstance(services, Scoped) else ""


def witnessed(services: Services) -> bool:
    """Whether a recorder's approval may count: not on a plain remote, where no forge approves."""
    return not isinstance(services, Scoped) or services.forge


def refused_here(services: Services, entry: Entry) -> str:
    """Why an entry does not count in the repository that the services are for, or ""."""
    if not isinstance(services, Scoped):
        return ""
    # A revocation counts everywhere, and the chain of tips has the URL and branch in its name.
    if entry.model == REVOCATIONS or entry.model.startswith(TIPS):
        return ""
    if entry.repository:
        other = entry.repository != services.repository
    elif services.commits is None:
        other = False
    else:
        # Of a version without the field, or an override without a repository.
        other = (
            entry.commit not in services.commits if entry.commit else entry.event not in _ANYWHERE
        )
    return "about another deployment repository or branch" if other else ""


def seen_repository(store: Store, verifier: Verifier | None, url: str, branch: str) -> str:
    """The repository in the newest recorded tip of a branch.

    Args:
        store: The store with the release log.
        verifier: Whose signatures count; None: any.
        url: URL of the deployment repository.
        branch: Name of the branch.

    Returns:
        Its identity; "" if no tip has it.
    """
    chain = tips_chain(url, branch)
    checked = 0
    for pointer in reversed(places(store, chain_id(chain))):
        name = (store.read_pointer(pointer) or b"").decode(errors="replace")
        try:
            entry, key = read_entry(store, name, verifier)
        except AssayError:
            continue
        counts = key is None or (key.may(WRITERS[Event.SEEN]) and not key.stolen)
        if not counts or (entry.event, entry.model) != (Event.SEEN, chain):
            continue
        checked += 1
        if entry.repository or checked == _NEWEST:
            return entry.repository
    return ""


def chains(store: Store) -> list[str]:
    """The names of all chains of a store: models, `REVOCATIONS`, and tips of branches."""
    result = set()
    for hexed in logs(store):
        for name in places(store, hexed):
            target = (store.read_pointer(name) or b"").decode(errors="replace")
            with contextlib.suppress(IntegrityError, NotFoundError):
                model = read_entry(store, target, None)[0].model if is_digest(target) else ""
                fits = len(model) <= MAX_NAME_CHARS and model.isprintable()
                if fits and chain_id(model) == hexed:
                    result.add(model)
                    break
    return sorted(result)


def repositories(store: Store, verifier: Verifier | None) -> set[str]:
    """The deployment repositories and branches of which tips were recorded."""
    tips = [c.removeprefix(TIPS).rpartition(" ") for c in chains(store) if c.startswith(TIPS)]
    return {seen_repository(store, verifier, url, name) for url, _, name in tips} - {""}


def known_repository(store: Store, verifier: Verifier | None, url: str, branch: str) -> str:
    """The repository at a URL, as recorded tips say; that of the store's only one otherwise.

    It is the only one when neither tips nor entries of a release log name another one: anybody who
    can write to the store can remove the tips of a repository, or its URL may have changed.

    Args:
        store: The store with the release log.
        verifier: Whose signatures count; None when no keys are configured.
        url: Of the deployment repository.
        branch: Its branch.

    Returns:
        Its identity; "" when no tip of it was recorded, and those of none or several others.
    """
    if known := seen_repository(store, verifier, url, branch):
        return known
    known_here = {r for r in repositories(store, verifier) if r.endswith(f" {branch}")}
    others = {r for r in _named(store, verifier) if r.endswith(f" {branch}")} - known_here
    return known_here.pop() if len(known_here) == 1 and not others else ""


def _named(store: Store, verifier: Verifier | None) -> set[str]:
    """The repositories that entries of release logs name."""
    result = set()
    for chain in chains(store):
        for pointer in places(store, chain_id(chain)):
            name = (store.read_pointer(pointer) or b"").decode(errors="replace")
            with contextlib.suppress(AssayError):
                entry, key = read_entry(store, name, verifier)
                if key is None or (key.may(WRITERS[Event.RELEASE]) and not key.stolen):
                    result.add(entry.repository)
    return result - {""}


def configured(services: Services) -> Services:
    """Services for the deployment repository that `ASSAY_DEPLOYMENTS` names, without Git.

    For readers of the log who need to know what is released, and change nothing.

    Args:
        services: The store that holds the release log, and whose signatures count.

    Returns:
        `services` themselves when no tip of any repository was recorded; then the log can be that
        of one repository only.

    Raises:
        UsageError: The store holds the logs of several repositories, and the settings do not say
            which one is asked for.
    """
    store, verifier = services.store, services.verifier
    asked = settings_from_env() if DEPLOYMENTS.get() else None
    repository = known_repository(store, verifier, asked.url, asked.branch) if asked else ""
    # Tips can be removed.
    known = {repository} if repository else repositories(store, verifier) | _named(store, verifier)
    if not known:
        return services
    if len(known) > 1:
        raise UsageError(
            f"the store holds the release logs of {len(known)} deployment repositories or "
            "branches, so it is not known which of them is asked for",
            remedy="set ASSAY_DEPLOYMENTS and ASSAY_DEPLOYMENTS_BRANCH to what assay release sync "
            "uses",
        )
    forge = asked is None or asked.has_forge
    return Scoped(store, verifier, known.pop(), commits=None, forge=forge)
