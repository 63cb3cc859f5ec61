"""Approval: what a person merged becomes a signed record, an entry of the log, an alias.

`sync` reads what was merged: the forge says who merged a pull request and when, or the merge commit
of a plain remote does. Only then does the registry's alias for the environment move. `approve` is
the merge itself, where there is no forge to do it in.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from assay.errors import AssayError, IntegrityError, ReleaseConflictError, ServiceError, UsageError
from assay.gitops import candidate, document, log, restore, statement
from assay.gitops.document import FILE_NAME, Release
from assay.gitops.forge import Forge, PullRequest, open_forge
from assay.gitops.forge.plain import APPROVED, BRANCH
from assay.gitops.log import Entry, Event
from assay.gitops.repository import Repository, Revision
from assay.gitops.settings import Settings, approval_days
from assay.gitops.statement import Kind, Statement
from assay.registry import Registry
from assay.signing import Signer
from assay.step import Services

ROLLBACK: Final = "Assay-Rollback"
"""Trailer of a commit that restores an earlier release; its value is the release that it left."""
WHY: Final = "Assay-Why"


@dataclass(slots=True)
class Synced:
    """What a synchronisation did, and what it refused."""

    approved: list[Entry] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)
    """`model@environment -> version`, where one moved."""
    problems: list[str] = field(default_factory=list)


@retry(
    retry=retry_if_exception_type(ReleaseConflictError),
    stop=stop_after_attempt(3),
    wait=wait_random_exponential(multiplier=0.2, max=2),
    reraise=True,
)
def approve(
    services: Services,
    settings: Settings,
    model: str,
    environment: str,
    *,
    by: str,
    digest: str = "",
) -> str:
    """Merge a proposal on a remote without a forge; the merge commit.

    Args:
        services: The store, and who may sign.
        settings: The deployment repository.
        model: Name of the model.
        environment: Where it was proposed for.
        by: `Name <mail>` of the approver.
        digest: Of the model, where several are proposed.

    Raises:
        UsageError: Not an environment, nothing is proposed, several are, or a forge has to merge
            it.
        IntegrityError: The branch is not what `promote` wrote; names everything that is wrong.
        ReleaseConflictError: The environment has moved since; promote again.
    """
    document.require_environment(environment)
    if settings.forge != "none":
        raise UsageError(f"approve it where it was proposed: merge it on {settings.forge}")
    with Repository.open(settings) as repository:
        branch = _proposed(repository, model, environment, digest)
        seen = repository.branch(branch)
        folder = document.folder(model, environment)
        release = _checked(services, repository, folder, seen)
        if digest and release.digest != digest:
            raise IntegrityError(f"{branch} proposes {release.digest}, not {digest}")
        title = f"Release {model} {release.digest[7:19]} to {environment}"
        lines = [f"{BRANCH}: {branch}", f"{APPROVED}: {by}", f"Signed-off-by: {by}"]
        proposed = repository.revision(seen)
        for name in (ROLLBACK, WHY):
            if value := proposed.trailer(name):
                lines.insert(0, f"{name}: {value}")
        base = repository.head
        merged = repository.merge(seen, f"{title}\n\n" + "\n".join(lines), by)
        repository.push(merged, settings.branch, expected=base)
        repository.delete(branch, expected=seen)
        return merged


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
            "propose it with: assay promote"
        )
    names = ", ".join(sorted(name.rpartition("/")[2] for name in found))
    raise UsageError(f"several are proposed ({names}); say which with --digest")


def _checked(services: Services, repository: Repository, folder: str, commit: str) -> Release:
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
    problems += checked(services, repository, release, files)
    if problems:
        raise IntegrityError("; ".join(problems))
    current = candidate.release_at(repository, f"{folder}/{FILE_NAME}")
    known = was_released(repository, release)
    if not known and release.previous != (current.name if current else ""):
        raise ReleaseConflictError(
            f"{release.environment} has moved since this was proposed; promote the model again, "
            "which proposes it anew, and look at it again"
        )
    return release


def checked(
    services: Services,
    repository: Repository,
    release: Release,
    files: dict[str, bytes],
    *,
    before: str = "",
) -> list[str]:
    """What is wrong with a release at a commit; one that was released before need only be whole.

    Judged again by newer code, an old decision could come out otherwise, and a rollback must not
    hang on that.
    """
    if was_released(repository, release, before=before):
        try:
            restore.verify(services, release)
        except AssayError as error:
            return [str(error)]
        return []
    return candidate.problems(services, repository, release, files)


def was_released(repository: Repository, release: Release, *, before: str = "") -> bool:
    """Whether the branch's history (before a commit) holds exactly this release already."""
    path = document.path(release.model, release.environment)
    history = repository.history(path)
    if before:
        place = next((i for i, r in enumerate(history) if r.commit == before), len(history))
        history = history[place + 1 :]
    content = release.render()
    return any(repository.read(path, revision.commit) == content for revision in history)


def sync(
    services: Services,
    settings: Settings,
    registry: Registry | None,
    signer: Signer,
) -> Synced:
    """Record every merge that the log does not know, and move the aliases.

    Safe to run as often as one likes, and by several at once.

    Args:
        services: The store, and who may sign.
        settings: The deployment repository and its forge.
        registry: Whose aliases to move; None leaves them.
        signer: Who signs the approvals.

    Raises:
        ServiceError: The repository or forge cannot be reached.
        IntegrityError: A release log is broken.
    """
    result = Synced()
    with Repository.open(settings) as repository:
        forge = open_forge(repository)
        paths = [p for p in repository.paths(document.ROOT) if p.endswith(f"/{FILE_NAME}")]
        for path in paths:
            _sync_path(services, repository, forge, signer, path, result)
            if registry is not None:
                _move_alias(services, repository, registry, path, result)
    return result


def _sync_path(
    services: Services,
    repository: Repository,
    forge: Forge,
    signer: Signer,
    path: str,
    result: Synced,
) -> None:
    history = repository.history(path)
    parts = path.split("/")
    if len(parts) != 4:  # noqa: PLR2004 - models/<model>/<environment>/release.yaml
        result.problems.append(f"{path}: not models/<model>/<environment>/{FILE_NAME}")
        return
    entries = log.read(services.store, parts[1], services.verifier)
    unknown = set(log.missing(entries, [revision.commit for revision in history]))
    for revision in reversed(history):
        if revision.commit not in unknown:
            continue
        content = repository.read(path, revision.commit)
        if content is None:
            continue
        try:
            release = _parse_at(content, path)
            entry = _record(services, repository, forge, signer, release, revision)
            result.approved.append(entry)
        except (UsageError, IntegrityError) as error:
            result.problems.append(f"commit {revision.commit[:12]}: {error}")


def _parse_at(content: bytes, path: str) -> Release:
    release = document.parse(content, path)
    if document.path(release.model, release.environment) != path:
        raise UsageError(f"{path}: is about {release.model} in {release.environment}")
    return release


def _record(
    services: Services,
    repository: Repository,
    forge: Forge,
    signer: Signer,
    release: Release,
    revision: Revision,
) -> Entry:
    """Approve one merged commit, and write it into the log.

    Raises:
        IntegrityError: It was not merged by a pull request, or is not what was checked.
    """
    folder = document.folder(release.model, release.environment)
    files = repository.files(folder, revision.commit)
    if found := checked(services, repository, release, files, before=revision.commit):
        raise IntegrityError("; ".join(found))
    known = was_released(repository, release, before=revision.commit)
    request = forge.merged_by(revision.commit)
    if request is None or request.merge is None:
        raise IntegrityError(
            f"{release.digest} came into {release.environment} without a merged pull request, "
            "so nobody has approved it; roll it back, or merge it as one"
        )
    approval = _approval(services, signer, release, request)
    log.put_release(services.store, release)
    entry = Entry(
        event=Event.ROLLBACK if known else Event.RELEASE,
        model=release.model,
        environment=release.environment,
        digest=release.digest,
        release=release.name,
        at=request.merge.at,
        by=request.merge.by,
        why=revision.trailer(WHY),
        commit=revision.commit,
        statement=approval.digest,
    )
    return log.append(services.store, entry, signer, services.verifier)


def _approval(
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


def _move_alias(
    services: Services, repository: Repository, registry: Registry, path: str, result: Synced
) -> None:
    """Point the registry at what is released, when that was approved or rolled back to."""
    release = candidate.release_at(repository, path)
    if release is None:
        return
    entries = log.read(services.store, release.model, services.verifier)
    last = log.current(entries, release.environment)
    if last is None or last.release != release.name:
        return
    try:
        moved = set_alias(registry, release, last)
    except (ServiceError, UsageError) as error:
        result.problems.append(str(error))
        return
    if moved:
        result.aliases.append(moved)


def set_alias(registry: Registry, release: Release, entry: Entry) -> str:
    """Point an environment's alias at a release's version; what moved, or "".

    Raises:
        UsageError: The registry has no version of that digest.
        ServiceError: The registry failed.
    """
    version = registry.find(release.model, release.digest)
    if version is None:
        raise UsageError(
            f"{release.digest} is no version of {release.model!r} in the registry; "
            "register it again through the pipeline"
        )
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
