"""Approval: what a person merged becomes a signed statement, an entry of the log, an alias.

Where there is a forge, `sync` asks it who merged a pull request and when, and a recorder's key
signs that. On a plain remote anybody who may push can write any name into a commit, so there the
approver's own key signs: `approve` stores the statement about exactly this release and commit, logs
the intent, and merges; `sync` accepts nothing else. The registry's alias for the environment moves
only then.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from assay.core.signing import Role, Signer, person_of
from assay.core.step import Services
from assay.errors import AssayError, IntegrityError, ReleaseConflictError, ServiceError, UsageError
from assay.governance.admission import Governing
from assay.governance.registry import Registry
from assay.releases import candidate, document, ledger, log, restore, statement, tips
from assay.releases.document import FILE_NAME, Release
from assay.releases.forge import Forge, Merge, PullRequest, open_forge
from assay.releases.forge.plain import APPROVED, BRANCH
from assay.releases.governing import changed_with, governing
from assay.releases.log import Entry, Event
from assay.releases.repository import Repository, Revision
from assay.releases.settings import Settings, approval_days
from assay.releases.statement import Kind, Statement

ROLLBACK: Final = "Assay-Rollback"
"""Trailer of a commit that restores an earlier release; its value is the release that it left."""
WHY: Final = "Assay-Why"
MAX_WHY_CHARS: Final = 1000
RECORDERS: Final = frozenset({Role.RECORDER, Role.APPROVER})


@dataclass(slots=True)
class Synced:
    """What a synchronisation did, and what it refused."""

    approved: list[Entry] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)
    """`model@environment -> version`, where one moved."""
    problems: list[str] = field(default_factory=list)


_again = retry(
    retry=retry_if_exception_type(ReleaseConflictError),
    stop=stop_after_attempt(3),
    wait=wait_random_exponential(multiplier=0.2, max=2),
    reraise=True,
)
"""With a new look at the branch and the log, which others have changed."""


@_again
def approve(
    services: Services,
    settings: Settings,
    signer: Signer,
    model: str,
    environment: str,
    *,
    by: str,
    digest: str = "",
    registry: Registry | None = None,
) -> str:
    """Merge a proposal on a remote without a forge; the merge commit.

    Args:
        services: The store, and who may sign.
        settings: The deployment repository.
        signer: The approver's key. With keys configured its owner approves, whatever `by` says.
        model: Name of the model.
        environment: Where it was proposed for.
        by: `Name <mail>` of the approver.
        digest: Of the model, where several are proposed.
        registry: Whose version the release must name; None leaves that out.

    Raises:
        UsageError: Not an environment, nothing is proposed, several are, the key may not approve,
            or a forge has to merge it.
        IntegrityError: The branch is not what `promote` wrote; names everything that is wrong.
        ReleaseConflictError: The environment has moved since; promote again.
    """
    document.require_environment(environment)
    if settings.forge != "none":
        raise UsageError(f"approve it where it was proposed: merge it on {settings.forge}")
    by = person_of(services.verifier, signer, Role.APPROVER, by, "an approval")
    with Repository.open(settings) as repository:
        ledger.require_whole(services, repository, model)
        branch = _proposed(repository, model, environment, digest)
        seen = repository.branch(branch)
        if repository.contains(seen):
            return _finish_merge(repository, model, environment, branch, seen)
        folder = document.folder(model, environment)
        release = _checked(services, repository, folder, seen, registry)
        if digest and release.digest != digest:
            raise IntegrityError(f"{branch} proposes {release.digest}, not {digest}")
        title = f"Release {model} {release.digest[7:19]} to {environment}"
        lines = [f"{BRANCH}: {branch}", f"{APPROVED}: {by}", f"Signed-off-by: {by}"]
        proposed = repository.revision(seen)
        for name in (ROLLBACK, WHY):
            if value := proposed.trailer(name):
                lines.insert(0, f"{name}: {value}")
        lines += log.heads(services.store, model, signer)
        base = repository.head
        merged = repository.merge(seen, f"{title}\n\n" + "\n".join(lines), by)
        entries = log.read(services.store, model, services.verifier)
        known = log.was_released(entries, release.name, environment)
        approval = _approve(
            services,
            signer,
            release,
            PullRequest(0, "", branch, "merged", Merge(merged, by, statement.now())),
        )
        log.put_release(services.store, release)
        entry = _entry_of(release, approval, known=known, why=proposed.trailer(WHY))
        ledger.push(services, signer, repository, entry, base=base)
        repository.delete(branch, expected=seen)
        return merged


def _finish_merge(
    repository: Repository, model: str, environment: str, branch: str, seen: str
) -> str:
    """What is left of a merge that was stopped before it removed the branch."""
    history = repository.history(document.folder(model, environment))
    merged = next((r.commit for r in history if seen in r.parents or r.commit == seen), "")
    repository.delete(branch, expected=seen)
    return merged or seen


def _proposed(repository: Repository, model: str, environment: str, digest: str) -> str:
    prefix = document.branch(model, environment, digest or f"sha256:{'0' * 64}")
    prefix = prefix if digest else f"{prefix.rpartition('/')[0]}/"
    found = repository.branches(prefix)
    if len(found) == 1:
        return found[0]
    if not found:
        others = ", ".join(repository.branches(f"{document.BRANCHES}/")) or "nothing"
        raise UsageError(
            f"nothing is proposed for {model!r} in {environment}; what is proposed: {others}; "
            "propose it with: assay release promote"
        )
    names = ", ".join(sorted(name.rpartition("/")[2] for name in found))
    raise UsageError(f"several are proposed ({names}); say which with --digest")


def _checked(
    services: Services,
    repository: Repository,
    folder: str,
    commit: str,
    registry: Registry | None,
) -> Release:
    """The release that a branch proposes, when everything about it holds."""
    files = repository.files(folder, commit)
    if FILE_NAME not in files:
        raise IntegrityError(f"the branch holds no {folder}/{FILE_NAME}; promote the model again")
    release = document.parse(files[FILE_NAME], f"{folder}/{FILE_NAME}")
    problems = [
        f"{path} is changed too, which a release must not do"
        for path in repository.changed(repository.head, commit)
        if path not in {f"{folder}/{name}" for name in document.OWN_FILES}
    ]
    if document.folder(release.model, release.environment) != folder:
        problems.append(f"{FILE_NAME} is about {release.model} in {release.environment}")
    governs = governing(repository, release.model, release.environment)
    problems += checked(services, release, files, registry, governs)
    if problems:
        raise IntegrityError("; ".join(problems))
    current = candidate.release_at(repository, f"{folder}/{FILE_NAME}")
    entries = log.read(services.store, release.model, services.verifier)
    known = log.was_released(entries, release.name, release.environment)
    if not known and release.previous != (current.name if current else ""):
        raise ReleaseConflictError(
            f"{release.environment} has moved since this was proposed; promote the model again, "
            "which proposes it anew, and look at it again"
        )
    return release


def checked(
    services: Services,
    release: Release,
    files: dict[str, bytes],
    registry: Registry | None,
    governs: Governing | None,
) -> list[str]:
    """What is wrong with a release; one that was approved before need only be whole.

    Judged again by newer code, an old decision could come out otherwise, and a rollback must not
    hang on that. That it was approved before, only the release log proves: Git's history holds what
    anybody merged, and took out again.

    Args:
        services: The store, and who may sign.
        release: What `release.yaml` says.
        files: The other files of its folder.
        registry: Whose version it must name; None leaves that out.
        governs: The policy that governs it, from the protected branch.
    """
    entries = log.read(services.store, release.model, services.verifier)
    if log.was_released(entries, release.name, release.environment):
        try:
            restore.verify(services, release)
        except AssayError as error:
            return [str(error)]
        return []
    found = candidate.problems(services, release, files, governs)
    return found + (_version_problems(registry, release) if registry else [])


def _version_problems(registry: Registry, release: Release) -> list[str]:
    """Whether the registry has the release's model under the version that it names."""
    try:
        candidate.version_of(registry, release)
    except ServiceError as error:
        return [f"registryVersion {release.registry_version} cannot be checked: {error}"]
    except UsageError as error:
        return [str(error)]
    return []


def sync(
    services: Services,
    settings: Settings,
    registry: Registry | None,
    signer: Signer,
    *,
    accept_merges: bool = False,
) -> Synced:
    """Record every merge that the log does not know, and move the aliases.

    Safe to run as often as one likes, and by several at once.

    Args:
        services: The store, and who may sign.
        settings: The deployment repository and its forge.
        registry: Whose aliases to move; None leaves them.
        signer: Who signs the log's entries, and with a forge the approvals: a recorder.
        accept_merges: Whether a merge counts in an environment that was rolled back while Git was
            down. Nobody knows which of the two was first, so a person decides.

    Raises:
        UsageError: The key is not that of a recorder or approver.
        ServiceError: The repository or forge cannot be reached.
        ReleaseConflictError: Others changed what is released, each time.
        IntegrityError: A release log is broken.
    """
    result = Synced()
    by = ""
    if services.verifier is not None:
        by = services.verifier.require(signer, RECORDERS, "recording what was merged").owner
    _sync(services, settings, registry, signer, by, result, accept_merges=accept_merges)
    return result


@_again
def _sync(
    services: Services,
    settings: Settings,
    registry: Registry | None,
    signer: Signer,
    by: str,
    result: Synced,
    *,
    accept_merges: bool,
) -> None:
    result.problems.clear()
    with Repository.open(settings) as repository:
        line = tips.Line.read(services, repository)
        run = _Run(
            services, repository, line, open_forge(repository), signer, registry, accept_merges
        )
        paths = [p for p in repository.paths(document.ROOT) if p.endswith(f"/{FILE_NAME}")]
        # Before anything is recorded, the tip as well: who puts this right leaves it behind.
        if problems := line.problems() or _left(run, paths):
            result.problems += problems
            return
        result.problems += [
            f"{path} is {what}, where a release must be a file"
            for path, what in repository.odd(document.ROOT).items()
        ]
        if settings.forge == "none":
            _remove_merged(repository)
        for path in paths:
            _sync_path(run, path, result)
        # Last: who is stopped before has seen nothing, and the next one judges as this one did.
        tips.record(services, repository, signer, by)


@dataclass(frozen=True, slots=True)
class _Run:
    """What one synchronisation works with."""

    services: Services
    repository: Repository
    line: tips.Line
    forge: Forge
    signer: Signer
    registry: Registry | None
    accept_merges: bool

    @property
    def plain(self) -> bool:
        """Whether there is no forge: each release was signed and pushed by itself."""
        return self.repository.settings.forge == "none"


def _left(run: _Run, paths: Sequence[str]) -> list[str]:
    """Where the branch left what a release log has last, though no tip was seen that held it."""
    found = []
    for model in sorted({path.split("/")[1] for path in paths}):
        entries = log.read(run.services.store, model, run.services.verifier)
        for environment in document.ENVIRONMENTS:
            last = log.current(entries, environment)
            # A runner's key may write any commit into a rollback.
            if last is not None and last.dated and (problem := run.line.left(last.commit)):
                found.append(f"{model} in {environment}: {problem}")
    return found


def _sync_path(run: _Run, path: str, result: Synced) -> None:
    services, repository = run.services, run.repository
    parts = path.split("/")
    if len(parts) != 4:  # noqa: PLR2004 - models/<model>/<environment>/release.yaml
        result.problems.append(f"{path}: not models/<model>/<environment>/{FILE_NAME}")
        return
    try:
        ledger.require_whole(services, repository, parts[1])
    except IntegrityError as error:
        result.problems.append(f"{path}: {error}")
        return
    # What is left is said by runners' keys alone.
    result.problems += [
        f"{path}: a runner's key says: {problem}"
        for problem in ledger.cut_off(services, repository, parts[1])
    ]
    result.approved += ledger.finish(services, repository, run.signer, parts[1])
    entries = log.read(services.store, parts[1], services.verifier)
    last = log.current(entries, parts[2])
    pending = _pending(run, path, entries, parts[2])
    if last is not None and not last.commit and not run.accept_merges:
        pending = _without_merges(pending, last, result)
    for revision, gone in pending:
        try:
            content = repository.read(path, revision.commit)
            if content is None:
                continue
            entry = _record(run, _parse_at(content, path), revision, last, gone=gone)
        except (UsageError, IntegrityError) as error:
            result.problems.append(f"commit {revision.commit[:12]}: {error}")
            continue
        result.approved.append(entry)
        last = entry if entry.moves else last
    _sync_alias(run, parts[1], parts[2], result)


def _sync_alias(run: _Run, model: str, environment: str, result: Synced) -> None:
    if run.registry is None:
        return
    try:
        moved = move_alias(run.services, run.registry, model, environment)
    except AssayError as error:
        result.problems.append(f"alias {environment!r} of {model!r}: {error}")
        return
    if moved:
        result.aliases.append(moved)


def _without_merges(
    pending: list[tuple[Revision, bool]], last: Entry, result: Synced
) -> list[tuple[Revision, bool]]:
    """What may be recorded behind a rollback without Git: nothing that would become current."""
    if merged := [revision.commit for revision, gone in pending if not gone]:
        result.problems.append(
            f"{last.model} in {last.environment} was rolled back at {last.at} while Git was down, "
            f"and {merged[-1][:12]} was merged; keep the rollback: assay release rollback "
            f"{last.model} {last.environment} --now --why TEXT; or accept the merge: "
            "assay release sync --accept-merges"
        )
    return [one for one in pending if one[1]]


def _pending(
    run: _Run, path: str, entries: Sequence[Entry], environment: str
) -> list[tuple[Revision, bool]]:
    """The commits of a path that the log lacks, oldest first, and whether each was replaced unseen.

    One that is older than a commit which the log has must not become what is in the environment.
    """
    history = run.repository.history(path)
    there = ledger.held(run.repository, path, history)
    unknown = set(log.missing(entries, environment, there))
    found = []
    recorded, newer = False, ""
    for revision in history:
        commit = revision.commit
        if commit in unknown:
            found.append((revision, recorded or not (run.plain or run.line.stayed(commit, newer))))
        else:
            recorded = True
        newer = commit
    return found[::-1]


def _parse_at(content: bytes, path: str) -> Release:
    release = document.parse(content, path)
    if document.path(release.model, release.environment) != path:
        raise UsageError(f"{path}: is about {release.model} in {release.environment}")
    return release


def _record(
    run: _Run, release: Release, revision: Revision, last: Entry | None, *, gone: bool
) -> Entry:
    """Write one merged commit into the log, with the approval behind it.

    Args:
        run: What to work with.
        release: What the commit wrote.
        revision: The commit.
        last: What the log said is in the environment.
        gone: It was replaced, and is recorded for completeness.

    Raises:
        IntegrityError: Nobody approved it, or it is not what was checked.
        ReleaseConflictError: The log says by now that something else is in the environment.
    """
    services, repository, commit = run.services, run.repository, revision.commit
    model, environment = release.model, release.environment
    files = repository.files(document.folder(model, environment), commit)
    entries = log.read(services.store, model, services.verifier)
    known = log.was_released(entries, release.name, environment)
    # As the branch was before: what is merged with a release does not govern it.
    before = next(iter(revision.parents), "")
    policies: list[Governing | None] = [None]
    if not known and not run.plain:
        policies = run.line.policies(model, environment, commit)
    elif before:
        policies = [governing(repository, model, environment, before)]
    found = [
        problem
        for governs in policies
        for problem in checked(services, release, files, run.registry, governs)
    ]
    if not (known or gone or run.plain):
        # What was replaced was there for nobody, and opens nothing itself.
        try:
            candidate.require_reached(
                services,
                model,
                environment,
                release.digest,
                opens=lambda below: run.line.opened(commit, below.commit),
            )
        except AssayError as error:
            found.append(str(error))
    if not known:
        changed = repository.changed(before, commit) if before else []
        found += changed_with(model, environment, changed)
        found += replaced(repository, release, before)
    if found:
        raise IntegrityError("; ".join(dict.fromkeys(found)))
    if run.plain:
        approval = _approval_of(services, entries, release, commit)
    else:
        approval = _ask(services, run.forge, run.signer, release, commit)
    if approval.key is not None:
        # Its own time may be of any day; that of the entry is not before those that are there.
        since = max(approval.text("at"), log.clock(entries))
        approval.key.require_in_use(since, f"approval {approval.digest}")
    log.put_release(services.store, release)
    entry = _entry_of(release, approval, known=known, why=revision.trailer(WHY))
    if gone:
        entry = replace(entry, event=Event.PASSED)
    entry = replace(entry, commit=commit)
    after = last.name if last else ""
    return log.append(services.store, entry, run.signer, services.verifier, after=after)


def replaced(repository: Repository, release: Release, before: str) -> list[str]:
    """What is wrong with what a release says that it replaces; rollbacks go back along it."""
    path = document.path(release.model, release.environment)
    there = candidate.release_at(repository, path, before) if before else None
    name = there.name if there else ""
    if release.previous == name:
        return []
    said = release.previous or "empty"
    return [f"previous is {said}, what was there is {name or 'nothing'}; promote the model again"]


def _entry_of(release: Release, approval: Statement, *, known: bool, why: str) -> Entry:
    return Entry(
        event=Event.ROLLBACK if known else Event.RELEASE,
        model=release.model,
        environment=release.environment,
        digest=release.digest,
        release=release.name,
        at=approval.text("at"),
        by=approval.by,
        why=why[:MAX_WHY_CHARS],
        commit=approval.text("commit"),
        statement=approval.digest,
    )


def _approval_of(
    services: Services, entries: Sequence[Entry], release: Release, commit: str
) -> Statement:
    """The approval that an approver signed for exactly this release and commit.

    A trailer of the commit is no approval: whoever can push can write one.

    Raises:
        IntegrityError: There is none.
    """
    store, verifier = services.store, services.verifier
    named = [e.statement for e in entries if e.commit == commit and e.statement]
    given = [
        *(statement.load(store, digest, verifier) for digest in named if store.has(digest)),
        *statement.about(store, release.digest, verifier, Kind.APPROVAL),
    ]
    expected = (release.model, release.environment, release.name, commit)
    for approval in given:
        said = tuple(approval.text(name) for name in ("model", "environment", "release", "commit"))
        if (approval.kind, approval.subject, said) == (
            Kind.APPROVAL,
            release.digest,
            expected,
        ) and approval.personal:
            return approval
    refused = statement.refused(store, release.digest, verifier)[: candidate.MAX_REFUSED]
    raise IntegrityError(
        f"{release.digest} came into {release.environment} without an approval that an approver's "
        "key signed, whatever the commit says of itself; roll it back, or propose it and merge it "
        "with: assay release approve" + "".join(f"; {error}" for error in refused)
    )


def _ask(
    services: Services, forge: Forge, signer: Signer, release: Release, commit: str
) -> Statement:
    """An approval of what the forge says that somebody merged.

    Raises:
        IntegrityError: It was not merged by a pull request.
        UsageError: The signer is no recorder.
    """
    if services.verifier is not None:
        services.verifier.require(signer, Role.RECORDER, "signing what a forge says")
    request = forge.merged_by(commit)
    if request is None or request.merge is None:
        raise IntegrityError(
            f"{release.digest} came into {release.environment} without a merged pull request, "
            "so nobody has approved it; roll it back, or merge it as one"
        )
    merge = replace(request.merge, commit=commit)
    return _approve(services, signer, release, replace(request, merge=merge))


def _approve(
    services: Services, signer: Signer, release: Release, request: PullRequest
) -> Statement:
    merge = request.merge
    if merge is None:  # pragma: no cover - the caller has looked
        raise IntegrityError(f"{request.url} is not merged")
    merged = statement.moment(merge.at, "merged at")
    predicate = {
        "model": release.model,
        "environment": release.environment,
        "release": release.name,
        "evaluation": release.reports["evaluation"],
        "evaluationRun": release.evaluation_run,
        "decision": release.decision,
        "override": release.override.statement if release.override else "",
        "commit": merge.commit,
        "by": merge.by,
        "at": merge.at,
        "until": statement.stamp(merged + timedelta(days=approval_days())),
        "url": request.url,
    }
    return statement.save(
        services.store, signer, Kind.APPROVAL, release.digest, predicate, services.verifier
    )


def _remove_merged(repository: Repository) -> None:
    """Remove the branches of proposals whose merge was stopped before it did so."""
    for branch in repository.branches(f"{document.BRANCHES}/"):
        seen = repository.branch(branch)
        if repository.contains(seen):
            repository.delete(branch, expected=seen)


def move_alias(services: Services, registry: Registry, model: str, environment: str) -> str:
    """Point an environment's alias at what the release log says is there; what moved, or "".

    A registry moves an alias unconditionally, and the log may grow while it does. So each that
    moves one reads the log again behind that: who was last leaves the two in agreement.

    Raises:
        UsageError: The version that the release names is not of its model.
        ServiceError: The registry failed, or the log grew each time.
        IntegrityError: The log is broken.
        NotFoundError: The release is not in the store.
    """
    moved, seen = "", None
    for _ in range(log.MAX_RACES):
        last = log.current(log.read(services.store, model, services.verifier), environment)
        if last is None or last.name == seen:
            return moved
        release = log.get_release(services.store, last.release)
        moved, seen = _set_alias(registry, release, last) or moved, last.name
    raise ServiceError(
        f"the alias {environment!r} of {model!r} was not settled: others wrote the release log "
        f"{log.MAX_RACES} times; run again: assay release sync"
    )


def _set_alias(registry: Registry, release: Release, entry: Entry) -> str:
    """Point an environment's alias at a release's version; what moved, or "".

    Raises:
        UsageError: The version that the release names is not of its model.
        ServiceError: The registry failed.
    """
    version = candidate.version_of(registry, release)
    there = registry.at(release.model, release.environment)
    if there is not None and there.version == version.version:
        return ""
    where = release.environment
    registry.tag(
        release.model,
        version.version,
        {
            f"assay.release.{where}": release.name,
            f"assay.approval.{where}": entry.statement or entry.name,
            f"assay.approved_by.{where}": entry.by,
            f"assay.approved_at.{where}": entry.at,
        },
    )
    registry.set_alias(release.model, where, version.version)
    return f"{release.model}@{where} -> {version.version}"
