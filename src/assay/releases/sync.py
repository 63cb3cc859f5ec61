"""Synchronisation: record every merge that the release log does not have, and move aliases.

Safe to run at any time, and by several processes at once.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from assay.core import plain_copies
from assay.core.signing import Role
from assay.core.step import Services
from assay.core.store import Store
from assay.core.tree import get_manifest
from assay.errors import (
    AssayError,
    IntegrityError,
    NotFoundError,
    ReleaseConflictError,
    UsageError,
)
from assay.governance.admission import Governing
from assay.governance.registry import name_problems
from assay.releases import consistency, eligibility, layout, log, statement, tips
from assay.releases.alias import move_alias
from assay.releases.approval import (
    WHY,
    checked,
    entry_of,
    replaced,
    retry_on_conflict,
    sign_approval,
)
from assay.releases.deployment import Deployment, OpenDeployment
from assay.releases.governing import changed_with, governing
from assay.releases.layout import FILE_NAME
from assay.releases.log import Entry, Event
from assay.releases.release import Release, parse_release
from assay.releases.repository import REPLACED, Repository, Revision
from assay.releases.rollback import finish_drill
from assay.releases.statement import Kind, Statement

RECORDERS: Final = frozenset({Role.RECORDER, Role.APPROVER})


@dataclass(slots=True)
class Synced:
    """The result of a synchronisation."""

    approved: list[Entry] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)
    """`model@environment -> version` for each alias that moved."""
    problems: list[str] = field(default_factory=list)
    fetched_again: bool = False
    """Whether the repository was cloned again because it lacked a commit of the log."""


def sync(deployment: Deployment, *, accept_merges: bool = False) -> Synced:
    """Record every merge that the log does not have, and move the aliases.

    Safe to run at any time, and by several processes at once.

    Args:
        deployment: The store, the repository and its forge, the registry whose aliases are moved
            (None leaves them), and the key that signs the log's entries and, with a forge, the
            approvals: a recorder's.
        accept_merges: Whether a merge counts in an environment that was rolled back while Git was
            down. Their order is not known, so a person decides.

    Raises:
        UsageError: The key is not that of a recorder or approver.
        ServiceError: The repository or forge cannot be reached.
        ReleaseConflictError: Others changed the releases during each attempt.
        IntegrityError: A release log is broken.
    """
    result = Synced()
    by = ""
    signer = deployment.require_signer()
    if deployment.verifier is not None:
        by = deployment.verifier.require(signer, RECORDERS, "recording what was merged").owner
    _sync(deployment, by, result, accept_merges=accept_merges)
    return result


@retry_on_conflict
def _sync(deployment: Deployment, by: str, result: Synced, *, accept_merges: bool) -> None:
    result.problems.clear()
    with deployment.open() as opened:
        repository, line = opened.repository, tips.Line.read(opened)
        run = _Run(opened, line, accept_merges)
        paths = [p for p in repository.paths(layout.ROOT) if p.endswith(f"/{FILE_NAME}")]
        named = {
            path: "; ".join(name_problems(path.split("/")[1]))
            or ("its path is not UTF-8" if REPLACED in path else "")
            for path in paths
        }
        paths = [path for path, problem in named.items() if not problem]
        # Before anything is recorded, including the tip, which a repair of the branch may drop.
        if problems := line.problems() or _left(run, paths):
            result.problems += problems
            return
        result.problems += [f"{path}: {problem}" for path, problem in named.items() if problem]
        result.problems += [
            f"{path} is {what}, where a release must be a file"
            for path, what in repository.odd(layout.ROOT).items()
        ]
        if run.plain:
            _remove_merged(repository)
        for path in paths:
            _sync_path(run, path, result)
        # Last, so that after an interruption the next run judges like this one.
        tips.record_tip(opened, by)


@dataclass(frozen=True, slots=True)
class _Run:
    """The state of one synchronisation."""

    deployment: OpenDeployment
    line: tips.Line
    accept_merges: bool

    @property
    def plain(self) -> bool:
        """Whether there is no forge, so that each release was signed and pushed on its own."""
        return self.deployment.repository.settings.forge == "none"


def _left(run: _Run, paths: Sequence[str]) -> list[str]:
    """Last commits in release logs that the branch dropped before a tip was recorded."""
    problems = []
    for model in sorted({path.split("/")[1] for path in paths}):
        entries = run.deployment.entries(model)
        for environment in layout.ENVIRONMENTS:
            last = log.current(entries, environment)
            # Not entries by a runner's key, which may write any commit into a rollback.
            if last is not None and last.dated and (problem := run.line.left(last.commit)):
                problems.append(f"{model} in {environment}: {problem}")
    return problems


def _sync_path(run: _Run, path: str, result: Synced) -> None:
    deployment, repository = run.deployment, run.deployment.repository
    parts = path.split("/")
    if len(parts) != 4:  # noqa: PLR2004 - models/<model>/<environment>/release.yaml
        result.problems.append(f"{path}: not models/<model>/<environment>/{FILE_NAME}")
        return
    try:
        consistency.require_whole(deployment, parts[1])
    except IntegrityError as error:
        result.problems.append(f"{path}: {error}")
        return
    # The others are claimed only by runners' keys.
    result.problems += [
        f"{path}: signed by a runner's key only: {problem}"
        for problem in consistency.cut_off(deployment, parts[1])
    ]
    result.approved += consistency.finish(deployment, parts[1])
    result.approved += finish_drill(deployment, parts[1], result.problems)
    entries = deployment.entries(parts[1])
    last = log.current(entries, parts[2])
    if not (_has_commit(run, last) or result.fetched_again):
        # A commit is pushed before its entry is written, so a later clone has it.
        result.fetched_again = True
        raise ReleaseConflictError(f"{path} was changed by others meanwhile; run again")
    pending = _pending(run, path, entries, parts[2])
    if last is not None and not last.commit and not run.accept_merges:
        pending = _without_merges(pending, last, result)
    for revision, superseded in pending:
        try:
            content = repository.read(path, revision.commit)
            if content is None:
                continue
            entry = _record_merge(
                run, _parse_at(content, path), revision, last, superseded=superseded
            )
        except (UsageError, IntegrityError) as error:
            result.problems.append(f"commit {revision.commit[:12]}: {error}")
            continue
        result.approved.append(entry)
        last = entry if entry.moves else last
    if problem := _without_commit(run, last):
        result.problems.append(f"{path}: {problem}")
        return
    if last is not None and not _restore_copy(deployment.store, last, path, result):
        return
    _sync_alias(deployment, parts[1], parts[2], result)


def _restore_copy(store: Store, current: Entry, path: str, result: Synced) -> bool:
    """Restore the plain copy of a current release, which programs load without a check.

    Returns:
        Whether it is right now. Even then, a copy that was altered is a problem.
    """
    try:
        problem = plain_copies.restore(store, get_manifest(store, current.digest))
    except AssayError as error:
        result.problems.append(f"{path}: {error}")
        return False
    if problem:
        result.problems.append(
            f"{path}: {problem.partition(';')[0]}; it was restored now: look for who wrote there, "
            "and restart what loaded it"
        )
    return True


def _has_commit(run: _Run, entry: Entry | None) -> bool:
    """Whether the repository has the commit that an entry names, if any."""
    named = entry is not None and entry.commit
    return not named or run.deployment.repository.contains(named)


def _without_commit(run: _Run, last: Entry | None) -> str:
    """The problem of a newest release whose commit the repository does not have."""
    if last is None or _has_commit(run, last):
        return ""
    # Any commit may be in an entry by a runner's key.
    invented = "" if last.dated else ", or a runner's key, which alone signed it, named any commit"
    return (
        f"entry {last.number} of the log is of commit {last.commit[:12]}, which the branch does "
        f"not have: it was rewritten, or a fork of it uses the same store and keys{invented}; the "
        "alias is not moved; release the right model again: assay release rollback or promote"
    )


def _sync_alias(deployment: Deployment, model: str, environment: str, result: Synced) -> None:
    if deployment.registry is None:
        return
    try:
        moved = move_alias(deployment, model, environment)
    except AssayError as error:
        result.problems.append(f"alias {environment!r} of {model!r}: {error}")
        return
    if moved:
        result.aliases.append(moved)


def _without_merges(
    pending: list[tuple[Revision, bool]], last: Entry, result: Synced
) -> list[tuple[Revision, bool]]:
    """Refuse merges after a rollback without Git that would become the current release."""
    if merged := [revision.commit for revision, superseded in pending if not superseded]:
        result.problems.append(
            f"{last.model} in {last.environment} was rolled back at {last.at} while Git was down, "
            f"and {merged[-1][:12]} was merged; keep the rollback: assay release rollback "
            f"{last.model} "
            f"{last.environment} --now --why TEXT; or accept the merge: assay release sync "
            "--accept-merges"
        )
    return [(revision, replaced) for revision, replaced in pending if replaced]


def _pending(
    run: _Run, path: str, entries: Sequence[Entry], environment: str
) -> list[tuple[Revision, bool]]:
    """The commits of a path that the log lacks, oldest first, and whether each was replaced.

    One that is older than a logged commit must not become the current release.
    """
    repository = run.deployment.repository
    history = repository.history(path)
    releases = consistency.held(repository, path, history)
    unknown = set(log.missing(entries, environment, releases))
    pending = []
    recorded, newer = False, ""
    for revision in history:
        commit = revision.commit
        if commit in unknown:
            pending.append(
                (revision, recorded or not (run.plain or run.line.stayed(commit, newer)))
            )
        else:
            recorded = True
        newer = commit
    return pending[::-1]


def _parse_at(content: bytes, path: str) -> Release:
    release = parse_release(content, path)
    if layout.path(release.model, release.environment) != path:
        raise UsageError(f"{path}: is about {release.model} in {release.environment}")
    return release


def _record_merge(
    run: _Run, release: Release, revision: Revision, last: Entry | None, *, superseded: bool
) -> Entry:
    """Record one merged commit in the log, with its approval.

    Args:
        run: The synchronisation.
        release: The release of the commit.
        revision: The commit.
        last: The current entry of the environment.
        superseded: Whether it was replaced, and is recorded for completeness.

    Returns:
        The recorded entry.

    Raises:
        IntegrityError: It was not approved, or does not pass the checks.
        ReleaseConflictError: The log has another release in the environment now.
    """
    deployment, repository, commit = run.deployment, run.deployment.repository, revision.commit
    model, environment = release.model, release.environment
    files = repository.files(layout.folder(model, environment), commit)
    entries = deployment.entries(model)
    known = log.was_released(entries, release.name, environment, release.digest)
    # The branch before the merge: a policy that is merged with a release does not govern it.
    before = next(iter(revision.parents), "")
    policies: list[Governing | None] = [None]
    if not known and not run.plain:
        policies = run.line.policies(model, environment, commit)
    elif before:
        policies = [governing(repository, model, environment, before)]
    problems = [
        problem for governs in policies for problem in checked(deployment, release, files, governs)
    ]
    if not (known or superseded or run.plain):
        # A release that was replaced before it was recorded does not permit the next environment.
        try:
            eligibility.require_reached(
                deployment.services,
                model,
                environment,
                release.digest,
                # Any commit may be in an entry by a runner's key.
                opens=lambda below: below.dated and run.line.opened(commit, below.commit),
            )
        except AssayError as error:
            problems.append(str(error))
    problems += changed_with(
        model, environment, repository.changed(before, commit) if before else []
    )
    if not known:
        problems += replaced(repository, release, before)
    if problems:
        raise IntegrityError.all_of(dict.fromkeys(problems))
    if run.plain:
        approval = _approval_of(deployment.services, entries, release, commit)
    else:
        approval = _ask(deployment, release, commit)
    if approval.key is not None:
        # The approval may have any time; the time of the entry is not before earlier entries.
        since = max(approval.text("at"), log.clock(entries))
        approval.key.require_in_use(since, f"approval {approval.digest}")
    log.put_release(deployment.store, release)
    entry = entry_of(release, approval, known=known, why=revision.trailer(WHY))
    if superseded:
        entry = replace(entry, event=Event.PASSED)
    entry = replace(entry, commit=commit)
    after = last.name if last else ""
    return deployment.append(entry, after=after)


def _approval_of(
    services: Services, entries: Sequence[Entry], release: Release, commit: str
) -> Statement:
    """The approval that an approver signed for exactly this release and commit.

    A trailer of the commit is not an approval: anyone who can push can write one.

    Raises:
        IntegrityError: There is no such approval.
    """
    given = statement.about(services, release.digest, Kind.APPROVAL)
    for entry in entries:
        if entry.commit == commit and entry.statement and not entry.refused:
            # An intent by any key may name anything.
            with contextlib.suppress(IntegrityError, NotFoundError):
                given.insert(0, statement.load(services, entry.statement))
    here = {"", log.repository_of(services)}  # earlier approvals name no repository
    expected = (release.model, release.environment, release.name, commit)
    elsewhere = ""
    for approval in given:
        stated = tuple(
            approval.text(name) for name in ("model", "environment", "release", "commit")
        )
        if (approval.kind, approval.subject, stated) == (
            Kind.APPROVAL,
            release.digest,
            expected,
        ) and approval.personal:
            repository = approval.text("repository")
            if repository in here:
                return approval
            elsewhere = (
                f"; the approval {approval.digest} is of the first commit and branch "
                f"{repository!r}, and ASSAY_DEPLOYMENTS_BRANCH leads to "
                f"{log.repository_of(services)!r}"
            )
    refused = statement.refused(services, release.digest)[: eligibility.MAX_REFUSED]
    raise IntegrityError(
        f"{release.digest} was merged into {release.environment} without an approval that an "
        "approver's key signed (a trailer of the commit does not count); roll it back, or propose "
        "it and merge it with: assay release approve"
        + elsewhere
        + "".join(f"; {error}" for error in refused)
    )


def _ask(deployment: OpenDeployment, release: Release, commit: str) -> Statement:
    """Sign an approval of a merge that the forge reports.

    Raises:
        IntegrityError: It was not merged by a pull request.
        UsageError: The signer's key does not have the role `recorder`.
    """
    if deployment.verifier is not None:
        signer = deployment.require_signer()
        deployment.verifier.require(signer, Role.RECORDER, "signing what a forge reports")
    request = deployment.forge.merged_by(commit)
    if request is None or request.merge is None:
        raise IntegrityError(
            f"{release.digest} came into {release.environment} without a merged pull request, "
            "so it was not approved; roll it back, or merge it by a pull request"
        )
    merge = replace(request.merge, commit=commit)
    return sign_approval(deployment, release, replace(request, merge=merge))


def _remove_merged(repository: Repository) -> None:
    """Remove the branches of merged proposals, which an interrupted merge may have left."""
    for branch in repository.branches(f"{layout.BRANCHES}/"):
        seen = repository.branch(branch)
        if repository.contains(seen):
            repository.delete(branch, expected=seen)
