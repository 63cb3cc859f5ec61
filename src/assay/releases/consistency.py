"""Consistency of the release log and the deployment repository.

Two systems cannot be written at once. So the log first records what is about to be pushed (an
`intent`, with the id of the commit, which Git knows before the push), then the branch is pushed,
then the log records the push. A process that is stopped in between leaves one of two
states, which the branch distinguishes:

| the branch | meaning | what the next command does |
|---|---|---|
| does not have the commit | nothing was changed | nothing |
| has the commit | it was pushed | `finish` writes the entry that the intent announced |

A release that was merged after its approval is finished by `assay release sync`, which records
every merge; `finish` records rollbacks, which have no pull request.

The last entry of the log is the current release of an environment, so entries must be in the order
of the branch's commits. After a late entry of an older commit, `finish` repeats what the log has of
the newer commit.
"""

import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from assay.core.digest import of_bytes
from assay.core.signing import Role
from assay.errors import IntegrityError, UsageError
from assay.releases import layout, log, statement
from assay.releases.deployment import OpenDeployment
from assay.releases.log import Entry, Event
from assay.releases.repository import Repository, Revision


def push(deployment: OpenDeployment, entry: Entry, *, base: str) -> None:
    """Log an intent, then push its commit to the branch.

    Args:
        deployment: The opened deployment; its repository holds the commit.
        entry: The entry to record once the branch has `entry.commit`.
        base: The expected tip of the branch.

    Raises:
        UsageError: The signer may not write the log; nothing was pushed.
        ReleaseConflictError: The branch was changed by others.
        ServiceError: The repository cannot be reached, or refuses.
    """
    intent = replace(entry, event=Event.INTENT, intends=entry.event.value)
    deployment.append(intent)
    repository = deployment.repository
    repository.push(entry.commit, repository.settings.branch, expected=base)


def pushed(repository: Repository, entries: list[Entry]) -> list[Entry]:
    """Intents whose commit is on the branch, although the log does not record its result."""
    result = []
    for intent in log.intents(entries):
        path = layout.path(intent.model, intent.environment)
        commits = {revision.commit for revision in repository.history(path)}
        if intent.commit in commits:
            with contextlib.suppress(IntegrityError):  # a link, or too large
                content = repository.read(path, intent.commit)
                if content is not None and of_bytes(content) == intent.release:
                    result.append(intent)
    return result


def held(repository: Repository, path: str, history: Sequence[Revision]) -> dict[str, str]:
    """The release that a path has at each commit.

    Args:
        repository: The deployment repository.
        path: Of the `release.yaml`.
        history: The commits.

    Returns:
        By commit, the digest of the release; "" where it cannot be read.
    """
    result = {}
    for revision in history:
        try:
            content = repository.read(path, revision.commit)
        except IntegrityError:  # a link, or too large
            content = None
        result[revision.commit] = of_bytes(content) if content is not None else ""
    return result


def finish(deployment: OpenDeployment, model: str) -> list[Entry]:
    """Record the rollbacks of a model that were pushed and not recorded, and put its log in order.

    Raises:
        UsageError: The log must be written, and the signer may not.
        IntegrityError: The log is broken.
    """
    made = []
    repository = deployment.repository
    entries = deployment.entries(model)
    for intent in pushed(repository, entries):
        if intent.intends not in {Event.ROLLBACK, Event.RECONCILED}:
            continue
        # Its entry would not count, so that each command would add another one.
        if not log.was_released(entries, intent.release, intent.environment, intent.digest):
            continue
        entry = replace(
            intent,
            event=Event(intent.intends),
            intends="",
            at=statement.now(),
            by=finisher(deployment, intent),
            name="",
            number=0,
        )
        try:
            made.append(deployment.append(entry))
        except UsageError as error:
            raise UsageError(
                f"{model} in {intent.environment}: the {intent.intends} of {intent.at} was pushed "
                f"and not recorded; record it with: assay release sync ({error})"
            ) from error
    for environment in layout.ENVIRONMENTS:
        entries = deployment.entries(model)
        if (newer := overtaken(repository, entries, model, environment)) is None:
            continue
        why = f"entry {newer.late.number} was recorded late: its commit is older"
        # Without its approval, which was checked for the entry that this one repeats.
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
            made.append(deployment.append(entry))
        except UsageError as error:
            raise UsageError(
                f"{model} in {environment}: {why} than that of entry {newer.entry.number}; repair "
                f"it with: assay release sync ({error})"
            ) from error
    return made


def finisher(deployment: OpenDeployment, intent: Entry) -> str:
    """The person in whose name an intent is completed; a name in it is only a claim of its key."""
    signer, verifier = deployment.signer, deployment.verifier
    if verifier is None or signer is None or intent.signed_by == signer.key_id or intent.statement:
        return intent.by  # a statement says who it was
    key = next((key for key in verifier.keys if key.key_id == intent.signed_by), None)
    return key.owner if key is not None and key.owner else intent.by


@dataclass(frozen=True, slots=True)
class Overtaken:
    """A log whose order differs from the branch's."""

    late: Entry
    """The current release according to the log; its commit is older."""
    entry: Entry
    """The newest commit of the branch that the log has."""


def overtaken(
    repository: Repository, entries: Sequence[Entry], model: str, environment: str
) -> Overtaken | None:
    """Compare the last entry of an environment with the branch.

    Args:
        repository: The deployment repository.
        entries: Of the model's log.
        model: Name of the model.
        environment: Where.

    Returns:
        The late entry and that of the newest commit; None when the order is right.
    """
    last = log.current(entries, environment)
    # An entry without a commit is a rollback while Git was down; the branch follows later.
    if last is None or not last.commit:
        return None
    path = layout.path(model, environment)
    history = repository.history(path)
    newer = list(itertools.takewhile(lambda revision: revision.commit != last.commit, history))
    if len(newer) == len(history):  # not on the branch
        return None
    for commit, release in held(repository, path, newer).items():
        for entry in reversed(entries):
            state = (entry.environment, entry.commit, entry.release)
            if entry.moves and state == (environment, commit, release):
                return Overtaken(last, entry)
    return None


def require_whole(deployment: OpenDeployment, model: str) -> None:
    """Refuse a log from which entries were removed, as commits of the repository show.

    Trailers that only a runner's key signed do not count here; `cut_off` reports them. Otherwise a
    trailer about an entry that never existed could block every rollback.

    Raises:
        IntegrityError: Entries are missing; names each, and the chain.
    """
    if problems := cut_off(deployment, model, log.WRITERS[Event.RELEASE]):
        raise IntegrityError.all_of(problems)


def cut_off(
    deployment: OpenDeployment, model: str, roles: frozenset[Role] = log.ANYBODY
) -> list[str]:
    """Entries that were removed from the log of a model, as trailers of commits show.

    Args:
        deployment: The opened deployment.
        model: Name of the model.
        roles: A trailer counts when a key with one of these roles signed it.

    Returns:
        A problem for each entry that is missing.
    """
    messages = deployment.repository.messages(f"{layout.ROOT}/{model}")
    return log.cut_off(deployment.services, model, messages, roles)
