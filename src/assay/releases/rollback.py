"""Rollback: restore exactly an earlier release by a commit that says why and by whom.

Phases, in this order; nothing is changed before the third:

| phase | does |
|---|---|
| find | the release; from the repository, or from the release log if Git is down |
| verify | every byte of it in the store is read and hashed |
| warm | its plain copy is written or repaired, and read |
| restore | the commit: pushed with `now`, else proposed as a pull request |
| record | release log, and the registry's alias |

A rollback needs no registry, no KFP, no training data and no image. If the registry is down, a note
says so, and `assay release sync` moves its alias later. If Git is down, the log is in force, and
`reconcile` updates the repository. The log is written before the push (an intent) and after it, so
the next command completes an interrupted rollback.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from assay.core import plain_copies
from assay.core.signing import Role
from assay.core.step import Services
from assay.core.tree import get_manifest
from assay.errors import (
    AssayError,
    IntegrityError,
    NotFoundError,
    ReleaseConflictError,
    RunBlocked,
    ServiceError,
    UsageError,
)
from assay.monitoring.plan import MAX_PLAN_BYTES
from assay.releases import consistency, layout, log, restore, statement
from assay.releases.alias import move_alias
from assay.releases.approval import MAX_WHY_CHARS, ROLLBACK, WHY
from assay.releases.deployment import Deployment, OpenDeployment
from assay.releases.drill_age import DRILL_BACK, DRILL_FORTH
from assay.releases.eligibility import refuse_revoked, release_at
from assay.releases.forge import PullRequest
from assay.releases.layout import FILE_NAME, PLAN_FILE
from assay.releases.log import Entry, Event
from assay.releases.promotion import LABEL
from assay.releases.release import Release
from assay.releases.restore import Earlier, Past
from assay.releases.runner import UnreachableError

DRILL_TIME: Final = timedelta(minutes=30)
"""Seconds after which an incomplete drill counts as interrupted."""


@dataclass(slots=True)
class RolledBack:
    """The result of a rollback."""

    left: Release
    """The release that was in the environment."""
    release: Release
    """The release that is restored, or proposed."""
    commit: str = ""
    """Empty when Git was down."""
    request: PullRequest | None = None
    """Set if the rollback is only proposed."""
    entry: Entry | None = None
    size: int = 0
    """Bytes that were verified."""
    seconds: dict[str, float] = field(default_factory=dict)
    """By phase."""
    notes: list[str] = field(default_factory=list)
    """Open work, each with the command for it."""


def rollback(
    deployment: Deployment,
    model: str,
    environment: str,
    *,
    by: str,
    why: str,
    to: str = "",
    now: bool = False,
    leaves: str = "",
) -> RolledBack:
    """Restore an earlier release.

    Args:
        deployment: The store, the repository and its forge, the registry whose alias is moved, and
            the signer of the log's entry.
        model: Name of the model.
        environment: Where.
        by: `Name <mail>`; with an approver's key its owner, whatever this says.
        why: A line for the commit and the log.
        to: Digest of an earlier model or release; by default the previous release.
        now: Push to the branch at once instead of proposing it.
        leaves: The release that must be there now; "": any.

    Returns:
        The replaced and the restored (or proposed) release, and the time of each phase.

    Raises:
        UsageError: There is no earlier release, or `to` was never in the environment.
        IntegrityError: The release cannot be restored byte for byte; names the next that can be.
        RunBlocked: Its model is revoked; names the next.
        ReleaseConflictError: The environment has another release than `leaves`.
        ServiceError: The repository refuses, or is down without `now`.
    """
    layout.require_environment(environment)
    why = " ".join(why.split())
    if not why or len(why) > MAX_WHY_CHARS:
        raise UsageError(f"--why: give a reason of 1 to {MAX_WHY_CHARS} characters")
    services, signer = deployment.services, deployment.signer
    if services.verifier is not None and signer is not None:
        key = services.verifier.require(signer, log.WRITERS[Event.ROLLBACK], "a rollback")
        by = key.owner if Role.APPROVER in key.roles else by
    seconds: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        with _timed(seconds, "find"):
            opened = _reach(stack, deployment, now=now)
            deployment = opened or deployment.offline()
            services = deployment.services
            if opened is not None:
                consistency.require_whole(opened, model)
                consistency.finish(opened, model)
            entries = deployment.entries(model)
            left = _current(deployment, entries, model, environment)
            if leaves and left.name != leaves:
                raise ReleaseConflictError(
                    f"{left.digest} was released to {environment} meanwhile, and stays there"
                )
            past = Past(deployment, entries, model, environment)
            target = _target(past, left, log.current(entries, environment), to)
        with _timed(seconds, "verify"):
            size = _verify(services, past, left, target)
        with _timed(seconds, "warm"):
            plain_copies.make(services.store, get_manifest(services.store, target.release.digest))
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
            if opened is None:
                done.notes.append("Git is down; when it is back run: assay release reconcile")
            elif now:
                entry = _push(opened, target, done, entry)
            else:
                _propose(opened, target, done, by=by, why=why)
        if done.request is not None:
            return done
        with _timed(seconds, "record"):
            done.entry = deployment.append(entry)
            _move_alias(deployment, done)
        return done


def reconcile(deployment: Deployment, *, by: str) -> list[Entry]:
    """Apply to the repository the rollbacks that were made while it was down.

    Raises:
        ReleaseConflictError: Another release was merged since; a person must decide.
        RunBlocked: The model that was restored is revoked; the repository stays as it is.
        ServiceError: The repository is still down.
    """
    made = []
    with deployment.open() as opened:
        for model in log.models(opened.store):
            consistency.require_whole(opened, model)
            made += consistency.finish(opened, model)
            entries = opened.entries(model)
            for environment in layout.ENVIRONMENTS:
                last = log.current(entries, environment)
                if last is not None and not last.commit:
                    made.append(_reconcile(opened, entries, last, by))
    return made


def _reconcile(deployment: OpenDeployment, entries: Sequence[Entry], last: Entry, by: str) -> Entry:
    repository = deployment.repository
    path = layout.path(last.model, last.environment)
    history = repository.history(path)
    newer = log.missing(entries, last.environment, consistency.held(repository, path, history))
    if newer:
        raise ReleaseConflictError(
            f"{last.model} in {last.environment}: {newer[0][:12]} was merged, and the rollback of "
            f"{last.at} was made without it; accept the merge with: assay release sync "
            "--accept-merges, or roll back again"
        )
    past = Past(deployment, entries, last.model, last.environment)
    target = past.find(last.release)
    refuse_revoked(deployment.services, target.release.digest)
    left = release_at(repository, path)
    done = RolledBack(left or target.release, target.release)
    entry = Entry(
        event=Event.RECONCILED,
        model=last.model,
        environment=last.environment,
        digest=target.release.digest,
        release=last.release,
        at=statement.now(),
        by=by,
        why=f"the rollback of {last.at}, made while Git was down",
    )
    entry = _push(deployment, target, done, entry)
    return deployment.append(entry)


def announce_forth(deployment: Deployment, model: str, environment: str, *, by: str) -> None:
    """Log, before a drill rolls back, that it will restore the current release.

    Args:
        deployment: The store and the signer.
        model: Name of the model.
        environment: Where.
        by: `Name <mail>`.

    Raises:
        UsageError: The signer may not write the log, or there is no release.
    """
    with deployment.open() as opened:
        consistency.finish(opened, model)
        finish_drill(opened, model, [])
        current = log.current(opened.entries(model), environment)
        if current is None:
            raise UsageError(f"{model!r} was never released to {environment}")
        opened.append(
            replace(
                current,
                event=Event.INTENT,
                intends=Event.ROLLBACK.value,
                at=statement.now(),
                by=by,
                why=DRILL_FORTH,
                commit="",
                statement="",
            )
        )


def finish_drill(deployment: OpenDeployment, model: str, problems: list[str]) -> list[Entry]:
    """Restore the release that an interrupted drill replaced.

    Args:
        deployment: The opened deployment.
        model: Name of the model.
        problems: Receives why a release cannot be restored, such as a revoked or damaged model;
            the earlier release then stays.

    Returns:
        The entries that were recorded.

    Raises:
        UsageError: A release must be restored, and the signer may not write the log.
        IntegrityError: The log is broken.
    """
    made = []
    for environment in layout.ENVIRONMENTS:
        entries = deployment.entries(model)
        here = [e for e in entries if e.environment == environment]
        places = [
            place
            for place, e in enumerate(here)
            if e.event is Event.INTENT and not (e.refused or e.commit) and e.why == DRILL_FORTH
        ]
        if not places:
            continue
        intent = here[places[-1]]
        since = [e for e in here[places[-1] :] if e.moves]
        started = statement.moment(intent.at, "at")
        # A recent drill may still be running; and later changes by people are kept.
        if [e.why for e in since] != [DRILL_BACK] or datetime.now(UTC) - started < DRILL_TIME:
            continue
        try:
            target = Past(deployment, entries, model, environment).find(intent.release)
            restore.verify(deployment.services, target.release)
        except (IntegrityError, NotFoundError, RunBlocked, UsageError) as error:
            problem = (
                f"{model} in {environment}: the release before the drill of {intent.at} cannot "
                f"be restored: {error}"
            )
            problems += [problem] if problem not in problems else []
            continue
        left = log.get_release(deployment.store, since[0].release)
        entry = replace(
            intent,
            event=Event.ROLLBACK,
            digest=target.release.digest,
            intends="",
            at=statement.now(),
            by=consistency.finisher(deployment, intent),
            name="",
        )
        entry = _push(deployment, target, RolledBack(left, target.release), entry)
        made.append(deployment.append(entry))
    return made


def _reach(
    stack: contextlib.ExitStack, deployment: Deployment, *, now: bool
) -> OpenDeployment | None:
    """The opened deployment, or None if its repository is down and the log is used."""
    try:
        return stack.enter_context(deployment.open())
    except UnreachableError as error:
        if not now:
            raise ServiceError(f"{error}; to roll back without Git, use --now") from error
        return None


def _current(
    deployment: Deployment, entries: Sequence[Entry], model: str, environment: str
) -> Release:
    """The release in the environment; from the log if the repository does not have it."""
    path = layout.path(model, environment)
    last = log.current(entries, environment)
    if isinstance(deployment, OpenDeployment):
        repository = deployment.repository
        release = release_at(repository, path)
        if release is not None:
            return release
        # It cannot be read, which is a reason to roll back.
        if last is None and repository.read(path) is None:
            raise UsageError(f"{model!r} was never released to {environment}")
    if last is None:
        raise UsageError(f"no release of {model!r} in {environment} is known")
    return log.get_release(deployment.store, last.release)


def _target(past: Past, left: Release, last: Entry | None, to: str) -> Earlier:
    known = past.get(left.name) is not None
    if to:
        target = past.find(to)
        # A release that was pushed without an approval is not in the log.
        if target.release.name == left.name and (last is None or last.release == left.name):
            raise UsageError(f"{to} is the current release of {left.environment}")
        return target
    if not known and last is not None and (approved := past.get(last.release)) is not None:
        return approved  # later ones were not approved
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
    deployment: OpenDeployment, target: Earlier, done: RolledBack, *, by: str, why: str
) -> tuple[str, str]:
    """The commit with the restored release, not pushed yet, and its title."""
    repository, release = deployment.repository, target.release
    files = _files(deployment, target)
    title = f"Roll back {release.model} in {release.environment} to {release.digest[7:19]}"
    trailers = [
        f"{ROLLBACK}: {done.left.name}",
        f"{WHY}: {why}",
        f"Signed-off-by: {by}",
        *log.heads(deployment.services, release.model, deployment.signer),
    ]
    message = f"{title}\n\n{why}\n\n" + "\n".join(trailers)
    folder = layout.folder(release.model, release.environment)
    return repository.commit(folder, files, message, parent=repository.head, author=by), title


def _push(deployment: OpenDeployment, target: Earlier, done: RolledBack, entry: Entry) -> Entry:
    """Push the release to the branch; return the entry to record."""
    base = deployment.repository.head
    done.commit, _ = _commit(deployment, target, done, by=entry.by, why=entry.why)
    if done.commit == base:
        return entry  # the branch already has it; only the log differs
    entry = replace(entry, commit=done.commit)
    consistency.push(deployment, entry, base=base)
    return entry


def _propose(
    deployment: OpenDeployment, target: Earlier, done: RolledBack, *, by: str, why: str
) -> None:
    """Push the release to a branch of its own, and open a pull request."""
    repository, release = deployment.repository, target.release
    commit, title = _commit(deployment, target, done, by=by, why=why)
    branch = (
        layout.branch(release.model, release.environment, release.digest) + layout.ROLLBACK_SUFFIX
    )
    repository.push(commit, branch, expected=repository.branch(branch))
    done.commit = commit
    forge = deployment.forge
    labels = [LABEL, "rollback", release.environment]
    body = f"{why}\n\nFrom `{done.left.digest}`\nback to `{release.digest}`, requested by {by}.\n"
    request = forge.find(branch)
    if request is None or request.state != "open":
        done.request = forge.open(branch, repository.settings.branch, title, body, labels)
    else:
        done.request = forge.update(request, title, body, labels)


def _files(deployment: OpenDeployment, target: Earlier) -> dict[str, bytes]:
    """The files of the release; those that it names by digest come from the store."""
    release = target.release
    files = {}
    if target.commit:
        folder = layout.folder(release.model, release.environment)
        held = deployment.repository.files(folder, target.commit)
        files = {name: held[name] for name in sorted(layout.OWN_FILES & held.keys())}
    # A commit with this release.yaml may have any plan beside it.
    files.pop(PLAN_FILE, None)
    files[FILE_NAME] = release.render()
    if release.monitoring:
        files[PLAN_FILE] = deployment.store.get_bytes(release.monitoring, MAX_PLAN_BYTES)
    return files


def _move_alias(deployment: Deployment, done: RolledBack) -> None:
    """Move the alias if the registry answers; serving does not depend on it."""
    if deployment.registry is None or done.entry is None:
        return
    try:
        move_alias(deployment, done.release.model, done.release.environment)
    except AssayError as error:
        done.notes.append(
            f"the registry's alias was not moved: {error}; run later: assay release sync"
        )


@contextlib.contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    started = time.monotonic()
    try:
        yield
    finally:
        seconds[phase] = time.monotonic() - started
