"""The release log and the deployment repository together: neither is changed without the other.

Two systems cannot be written at once. So the log says first what is about to be pushed (an
`intent`, with the commit's name, which Git knows before the push), then the branch is pushed, then
the log says that it happened. Whoever is stopped in between leaves one of two states, and each can
be told from the other by looking at the branch:

| the branch | what it means | what the next command does |
|---|---|---|
| does not have the commit | nothing was changed | nothing |
| has the commit | it happened | `finish` writes what the intent announced |

A release that was merged after its approval is finished by `assay release sync`, which records
every merge; `finish` does rollbacks, that no pull request stands for.

What is in an environment, the log's last entry says, so entries must stand in the order of the
branch's commits. One of an older commit that came late is overtaken: `finish` says again, behind
it, what the log knows of the newer commit.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from assay.core.digest import of_bytes
from assay.core.signing import Role, Signer
from assay.core.step import Services
from assay.errors import IntegrityError, UsageError
from assay.releases import document, log, statement
from assay.releases.log import Entry, Event
from assay.releases.repository import Repository, Revision


def push(
    services: Services,
    signer: Signer | None,
    repository: Repository,
    entry: Entry,
    *,
    base: str,
) -> None:
    """Log what `entry` will say, then push its commit to the branch.

    Args:
        services: The store, and who may sign.
        signer: Who signs the log's entry.
        repository: Where the commit lies.
        entry: What is to be recorded once the branch has `entry.commit`.
        base: Where the branch was seen.

    Raises:
        UsageError: The signer may not write the log; nothing was pushed.
        ReleaseConflictError: Somebody else has moved the branch.
        ServiceError: The repository cannot be reached, or refuses.
    """
    intent = replace(entry, event=Event.INTENT, intends=entry.event.value)
    log.append(services.store, intent, signer, services.verifier)
    repository.push(entry.commit, repository.settings.branch, expected=base)


def pushed(repository: Repository, entries: list[Entry]) -> list[Entry]:
    """Intents whose commit is on the branch, although the log does not say that it happened."""
    found = []
    for intent in log.intents(entries):
        path = document.path(intent.model, intent.environment)
        commits = {revision.commit for revision in repository.history(path)}
        if intent.commit in commits:
            content = repository.read(path, intent.commit)
            if content is not None and of_bytes(content) == intent.release:
                found.append(intent)
    return found


def held(repository: Repository, path: str, history: Sequence[Revision]) -> dict[str, str]:
    """By commit, the name of the release that a path has there; "" where it cannot be read."""
    found = {}
    for revision in history:
        try:
            content = repository.read(path, revision.commit)
        except IntegrityError:  # a link, or too large
            content = None
        found[revision.commit] = of_bytes(content) if content is not None else ""
    return found


def finish(
    services: Services, repository: Repository, signer: Signer | None, model: str
) -> list[Entry]:
    """Record the rollbacks of a model that were pushed and not recorded, and put its log in order.

    Raises:
        UsageError: There is something to do, and the signer may not write the log.
        IntegrityError: The log is broken.
    """
    made = []
    for intent in pushed(repository, log.read(services.store, model, services.verifier)):
        if intent.intends not in {Event.ROLLBACK, Event.RECONCILED}:
            continue
        entry = replace(
            intent, event=Event(intent.intends), intends="", at=statement.now(), name="", number=0
        )
        try:
            made.append(log.append(services.store, entry, signer, services.verifier))
        except UsageError as error:
            raise UsageError(
                f"{model} in {intent.environment}: the {intent.intends} of {intent.at} was pushed "
                f"and not recorded; record it with: assay release sync ({error})"
            ) from error
    for environment in document.ENVIRONMENTS:
        entries = log.read(services.store, model, services.verifier)
        if (newer := overtaken(repository, entries, model, environment)) is None:
            continue
        why = f"entry {newer.late.number} was recorded late: its commit is older"
        # Without its approval: that was held against the entry which this one repeats.
        entry = replace(
            newer.entry,
            event=Event.RECONCILED,
            at=statement.now(),
            why=why,
            statement="",
            name="",
            number=0,
        )
        try:
            made.append(log.append(services.store, entry, signer, services.verifier))
        except UsageError as error:
            raise UsageError(
                f"{model} in {environment}: {why} than that of entry {newer.entry.number}; put it "
                f"right with: assay release sync ({error})"
            ) from error
    return made


@dataclass(frozen=True, slots=True)
class Overtaken:
    """An order of the log that is not the branch's."""

    late: Entry
    """What the log says is in the environment; its commit is older."""
    entry: Entry
    """The newest commit of the branch that the log has."""


def overtaken(
    repository: Repository, entries: Sequence[Entry], model: str, environment: str
) -> Overtaken | None:
    """What the log says is in an environment, where it has a newer commit of the branch."""
    last = log.current(entries, environment)
    # An entry without a commit is a rollback while Git was down; the branch comes to it.
    if last is None or not last.commit:
        return None
    path = document.path(model, environment)
    history = repository.history(path)
    newer = list(itertools.takewhile(lambda revision: revision.commit != last.commit, history))
    if len(newer) == len(history):  # not on the branch
        return None
    for commit, release in held(repository, path, newer).items():
        for entry in reversed(entries):
            said = (entry.environment, entry.commit, entry.release)
            if entry.moves and said == (environment, commit, release):
                return Overtaken(last, entry)
    return None


def require_whole(services: Services, repository: Repository, model: str) -> None:
    """Refuse to go on with a log from which entries were removed that the repository knows.

    What only a runner's key says to have been there is told by `cut_off`, and stops nothing: with
    one such line, of an entry that never was, nothing could be rolled back any more.

    Raises:
        IntegrityError: Entries are missing; names each, and the chain.
    """
    if problems := cut_off(services, repository, model, log.WRITERS[Event.RELEASE]):
        raise IntegrityError("; ".join(problems))


def cut_off(
    services: Services,
    repository: Repository,
    model: str,
    roles: frozenset[Role] = log.ANYBODY,
) -> list[str]:
    """What was removed from the log of a model, as keys with one of these roles say in commits."""
    messages = repository.messages(f"{document.ROOT}/{model}")
    return log.cut_off(services.store, model, messages, services.verifier, roles)
