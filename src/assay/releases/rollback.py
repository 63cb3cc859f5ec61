"""Rollback: exactly an earlier release, put back by a commit that says why and who.

Phases, in this order; nothing is changed before the third:

| phase | does |
|---|---|
| find | which release; from the repository, or from the store's log when Git is down |
| verify | every byte of it in the store is read and hashed |
| warm | its plain files are made or mended, and read |
| restore | the commit: pushed with `now`, else proposed as a pull request |
| record | release log, and the registry's alias |

What is not needed: the registry, KFP, the training data, an image to build. A registry that is
down gives a note; `assay release sync` moves its alias later. When Git is down, the log says what
holds, and `reconcile` brings the repository to it. The log is written before the push (an intent)
and after it, so that a rollback that was stopped in between is finished by the next command.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from assay.core.signing import Role, Signer
from assay.core.step import Services
from assay.core.tree import get_manifest
from assay.errors import AssayError, ReleaseConflictError, ServiceError, UsageError
from assay.governance.registry import Registry
from assay.monitoring.plan import MAX_PLAN_BYTES
from assay.releases import document, ledger, log, restore, statement
from assay.releases.approval import MAX_WHY_CHARS, ROLLBACK, WHY, move_alias
from assay.releases.candidate import release_at
from assay.releases.document import FILE_NAME, PLAN_FILE, Release
from assay.releases.forge import PullRequest, open_forge
from assay.releases.log import Entry, Event
from assay.releases.promotion import LABEL
from assay.releases.repository import Repository
from assay.releases.restore import Earlier, Past
from assay.releases.runner import UnreachableError
from assay.releases.settings import Settings

SUFFIX: Final = "-rollback"


@dataclass(slots=True)
class RolledBack:
    """What came of it."""

    left: Release
    """What was there."""
    release: Release
    """What is there now, or is proposed."""
    commit: str = ""
    """Empty when Git was down."""
    request: PullRequest | None = None
    """Set when it is proposed and not done."""
    entry: Entry | None = None
    size: int = 0
    """Bytes that were verified."""
    seconds: dict[str, float] = field(default_factory=dict)
    """By phase."""
    notes: list[str] = field(default_factory=list)
    """What could not be done now, and what does it later."""


def rollback(
    services: Services,
    settings: Settings,
    registry: Registry | None,
    signer: Signer | None,
    model: str,
    environment: str,
    *,
    by: str,
    why: str,
    to: str = "",
    now: bool = False,
) -> RolledBack:
    """Put an earlier release back.

    Args:
        services: The store, and who may sign.
        settings: The deployment repository and its forge.
        registry: Whose alias to move; None leaves it.
        signer: Who signs the log's entry, when a key is configured.
        model: Name of the model.
        environment: Where.
        by: `Name <mail>`; of an approver's key, its owner, whatever this says.
        why: A line for the commit and the log.
        to: Digest of a model or release that was there; by default what came before.
        now: Push to the branch at once instead of proposing it.

    Raises:
        UsageError: Nothing to go back to, or `to` was never there.
        IntegrityError: The release cannot be restored byte for byte; names the next that can be.
        RunBlocked: Its model is revoked; names the next.
        ServiceError: The repository refuses, or is down and `now` was not asked for.
    """
    document.require_environment(environment)
    why = " ".join(why.split())
    if not why or len(why) > MAX_WHY_CHARS:
        raise UsageError(f"--why: say in 1 to {MAX_WHY_CHARS} characters why")
    if services.verifier is not None and signer is not None:
        key = services.verifier.require(signer, log.WRITERS[Event.ROLLBACK], "a rollback")
        by = key.owner if Role.APPROVER in key.roles else by
    seconds: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        with _timed(seconds, "find"):
            repository = _reach(stack, settings, now=now)
            if repository is not None:
                ledger.require_whole(services, repository, model)
                ledger.finish(services, repository, signer, model)
            entries = log.read(services.store, model, services.verifier)
            left = _current(services, repository, entries, model, environment)
            past = Past(services.store, entries, repository, model, environment)
            target = _target(past, left, log.current(entries, environment), to)
        with _timed(seconds, "verify"):
            size = _verify(services, past, left, target)
        with _timed(seconds, "warm"):
            services.store.view(get_manifest(services.store, target.release.digest))
        done = RolledBack(left, target.release, size=size, seconds=seconds)
        entry = Entry(
            event=Event.ROLLBACK,
            model=model,
            environment=environment,
            digest=target.release.digest,
            release=target.release.name,
            at=statement.now(),
            by=by,
            why=why,
        )
        with _timed(seconds, "restore"):
            log.put_release(services.store, target.release)
            if repository is None:
                done.notes.append("Git is down; when it is back run: assay release reconcile")
            elif now:
                entry = _push(services, repository, signer, target, done, entry)
            else:
                _propose(services, repository, signer, target, done, by=by, why=why)
        if done.request is not None:
            return done
        with _timed(seconds, "record"):
            done.entry = log.append(services.store, entry, signer, services.verifier)
            _tell_registry(services, registry, done)
        return done


def reconcile(
    services: Services, settings: Settings, signer: Signer | None, *, by: str
) -> list[Entry]:
    """Bring the repository to what was rolled back while it was down.

    Raises:
        ReleaseConflictError: Somebody merged something else since; a person must decide.
        ServiceError: The repository is still down.
    """
    made = []
    with Repository.open(settings) as repository:
        for model in log.models(services.store):
            ledger.require_whole(services, repository, model)
            made += ledger.finish(services, repository, signer, model)
            entries = log.read(services.store, model, services.verifier)
            for environment in document.ENVIRONMENTS:
                last = log.current(entries, environment)
                if last is not None and not last.commit:
                    made.append(_reconcile(services, repository, entries, last, signer, by))
    return made


def _reconcile(
    services: Services,
    repository: Repository,
    entries: Sequence[Entry],
    last: Entry,
    signer: Signer | None,
    by: str,
) -> Entry:
    path = document.path(last.model, last.environment)
    history = repository.history(path)
    newer = log.missing(entries, last.environment, ledger.held(repository, path, history))
    if newer:
        raise ReleaseConflictError(
            f"{last.model} in {last.environment}: {newer[0][:12]} was merged, and the rollback of "
            f"{last.at} was made without it; accept the merge with: assay release sync "
            "--accept-merges, or roll back again"
        )
    past = Past(services.store, entries, repository, last.model, last.environment)
    target = past.find(last.release)
    left = release_at(repository, path)
    done = RolledBack(left or target.release, target.release)
    entry = Entry(
        event=Event.RECONCILED,
        model=last.model,
        environment=last.environment,
        digest=last.digest,
        release=last.release,
        at=statement.now(),
        by=by,
        why=f"the rollback of {last.at}, made while Git was down",
    )
    entry = _push(services, repository, signer, target, done, entry)
    return log.append(services.store, entry, signer, services.verifier)


def _reach(stack: contextlib.ExitStack, settings: Settings, *, now: bool) -> Repository | None:
    """The repository, or None when it is down and the log has to do."""
    try:
        return stack.enter_context(Repository.open(settings))
    except UnreachableError as error:
        if not now:
            raise ServiceError(
                f"{error}; to roll back without Git, ask for it with --now"
            ) from error
        return None


def _current(
    services: Services,
    repository: Repository | None,
    entries: Sequence[Entry],
    model: str,
    environment: str,
) -> Release:
    """What is in the environment; from the log where the repository does not tell."""
    path = document.path(model, environment)
    last = log.current(entries, environment)
    if repository is not None:
        release = release_at(repository, path)
        if release is not None:
            return release
        # Altered beyond reading; that is one reason to roll back.
        if last is None and repository.read(path) is None:
            raise UsageError(f"{model!r} was never released to {environment}")
    if last is None:
        raise UsageError(f"no release of {model!r} in {environment} is known")
    return log.get_release(services.store, last.release)


def _target(past: Past, left: Release, last: Entry | None, to: str) -> Earlier:
    known = past.get(left.name) is not None
    if to:
        target = past.find(to)
        # What was pushed without an approval is not what the log says is there.
        if target.release.name == left.name and (last is None or last.release == left.name):
            raise UsageError(f"{to} is what is in {left.environment} now")
        return target
    if not known and last is not None and (there := past.get(last.release)) is not None:
        return there  # what came after it, nobody approved
    before = next(past.before(left), None)
    if before is None:
        raise UsageError(
            f"no release of {left.model!r} came before the one in {left.environment}; "
            "name one with --to DIGEST, or release another"
        )
    return before


def _verify(services: Services, past: Past, left: Release, target: Earlier) -> int:
    try:
        return restore.verify(services, target.release)
    except AssayError as error:
        others = (e for e in past.before(left) if e.release.name != target.release.name)
        other = restore.next_restorable(services, others)
        advice = (
            f"the next restorable one is {other.release.digest}: "
            f"assay release rollback '{left.model}' {left.environment} --to {other.release.digest}"
            if other
            else "no other release before it can be restored"
        )
        raise type(error)(f"nothing was changed: {error}; {advice}") from error


def _commit(
    services: Services,
    repository: Repository,
    signer: Signer | None,
    target: Earlier,
    done: RolledBack,
    *,
    by: str,
    why: str,
) -> tuple[str, str]:
    """The commit that holds the release as it was, not pushed yet, and its title."""
    release = target.release
    files = _files(services, repository, target)
    title = f"Roll back {release.model} in {release.environment} to {release.digest[7:19]}"
    trailers = [
        f"{ROLLBACK}: {done.left.name}",
        f"{WHY}: {why}",
        f"Signed-off-by: {by}",
        *log.heads(services.store, release.model, signer),
    ]
    message = f"{title}\n\n{why}\n\n" + "\n".join(trailers)
    folder = document.folder(release.model, release.environment)
    return repository.commit(folder, files, message, parent=repository.head, author=by), title


def _push(
    services: Services,
    repository: Repository,
    signer: Signer | None,
    target: Earlier,
    done: RolledBack,
    entry: Entry,
) -> Entry:
    """Put the release onto the branch; the entry that is to be recorded then."""
    base = repository.head
    done.commit, _ = _commit(services, repository, signer, target, done, by=entry.by, why=entry.why)
    if done.commit == base:
        return entry  # the branch holds it already, and only the log said otherwise
    entry = replace(entry, commit=done.commit)
    ledger.push(services, signer, repository, entry, base=base)
    return entry


def _propose(
    services: Services,
    repository: Repository,
    signer: Signer | None,
    target: Earlier,
    done: RolledBack,
    *,
    by: str,
    why: str,
) -> None:
    """Put the release onto a branch, and open a pull request."""
    release = target.release
    commit, title = _commit(services, repository, signer, target, done, by=by, why=why)
    branch = document.branch(release.model, release.environment, release.digest) + SUFFIX
    repository.push(commit, branch, expected=repository.branch(branch))
    done.commit = commit
    forge = open_forge(repository)
    labels = [LABEL, "rollback", release.environment]
    body = f"{why}\n\nFrom `{done.left.digest}`\nback to `{release.digest}`, asked for by {by}.\n"
    request = forge.find(branch)
    if request is None or request.state != "open":
        done.request = forge.open(branch, repository.settings.branch, title, body, labels)
    else:
        done.request = forge.update(request, title, body, labels)


def _files(services: Services, repository: Repository, target: Earlier) -> dict[str, bytes]:
    """The release's files as they were, or what the store holds of them."""
    release = target.release
    if target.commit:
        folder = document.folder(release.model, release.environment)
        held = repository.files(folder, target.commit)
        return {name: held[name] for name in sorted(document.OWN_FILES & held.keys())}
    files = {FILE_NAME: release.render()}
    if release.monitoring:
        files[PLAN_FILE] = services.store.get_bytes(release.monitoring, MAX_PLAN_BYTES)
    return files


def _tell_registry(services: Services, registry: Registry | None, done: RolledBack) -> None:
    """Move the alias if the registry answers; serving does not hang on it."""
    if registry is None or done.entry is None:
        return
    try:
        move_alias(services, registry, done.release.model, done.release.environment)
    except AssayError as error:
        done.notes.append(f"the registry's alias was not moved: {error}; later: assay release sync")


@contextlib.contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    begun = time.monotonic()
    try:
        yield
    finally:
        seconds[phase] = time.monotonic() - begun
