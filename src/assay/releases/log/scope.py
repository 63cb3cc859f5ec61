"""The deployment repository of log entries.

Several repositories may use one store, and anyone who can write to the store can copy the log of
another one into it. So an entry names its repository and branch, and entries of other repositories
do not count. A repository is named by its first commit, because its URL may change; a fork shares
that.
"""

from dataclasses import dataclass
from typing import Final

from assay.core.signing import Verifier
from assay.core.step import Services
from assay.core.store import Store
from assay.errors import AssayError
from assay.releases.log.entry import (
    REVOCATIONS,
    TIPS,
    WRITERS,
    Entry,
    Event,
    prefix,
    read_entry,
    tips_chain,
)

_ANYWHERE: Final = frozenset({Event.ROLLBACK, Event.RECONCILED, Event.OVERRIDE})
"""Events that count without a repository and commit: a rollback while Git was down is based on a
release that counts, and an override is about a decision."""
_NEWEST: Final = 100
"""Number of newest tips that are checked."""


@dataclass(frozen=True, slots=True)
class Scoped(Services):
    """Services for one branch of one deployment repository."""

    repository: str = ""
    """`<first commit> <branch>`; "" where it is not known, so that no entry counts."""
    commits: frozenset[str] = frozenset()
    """The commits of the branch, along first parents."""


def repository_of(services: Services) -> str:
    """The deployment repository that the services are for; "" when they are for none."""
    return services.repository if isinstance(services, Scoped) else ""


def refused_here(services: Services, entry: Entry) -> str:
    """Why an entry does not count in the repository that the services are for, or ""."""
    if not isinstance(services, Scoped):
        return ""
    # A revocation counts everywhere, and the chain of tips has the URL and branch in its name.
    if entry.model == REVOCATIONS or entry.model.startswith(TIPS):
        return ""
    if entry.repository:
        other = entry.repository != services.repository
    else:
        # Of a version without the field, or an override without a repository.
        other = (
            entry.commit not in services.commits if entry.commit else entry.event not in _ANYWHERE
        )
    return "about another deployment repository or branch" if other else ""


def seen_repository(store: Store, verifier: Verifier | None, url: str, branch: str) -> str:
    """The repository in the newest recorded tip of a branch; "" if none has it."""
    chain = tips_chain(url, branch)
    for found in store.list_pointers(prefix(chain))[: -_NEWEST - 1 : -1]:
        name = (store.read_pointer(found) or b"").decode(errors="replace")
        try:
            entry, key = read_entry(store, name, verifier)
        except AssayError:
            continue
        counts = key is None or (key.may(WRITERS[Event.SEEN]) and not key.stolen)
        if counts and (entry.event, entry.model) == (Event.SEEN, chain) and entry.repository:
            return entry.repository
    return ""
