"""Approval: a merge becomes a signed statement and an entry of the release log.

With a forge, `assay.releases.sync` asks it who merged a pull request and when, and a recorder's
key signs the answer. On a plain remote anyone who can push can write any name into a commit,
so there the approver's own key signs: `approve` stores the statement about exactly this release and
commit, logs the intent, and merges; `sync` accepts no other approval.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from assay.core import retry
from assay.core.settings import APPROVAL_DAYS
from assay.core.signing import Role, person_of
from assay.errors import AssayError, IntegrityError, ReleaseConflictError, ServiceError, UsageError
from assay.governance.admission import Governing
from assay.governance.registry import Registry
from assay.releases import consistency, eligibility, layout, log, restore, statement
from assay.releases.deployment import Deployment, OpenDeployment
from assay.releases.forge import Merge, PullRequest
from assay.releases.forge.plain import APPROVED, BRANCH
from assay.releases.governing import changed_with, governing
from assay.releases.layout import FILE_NAME
from assay.releases.log import Entry, Event
from assay.releases.release import Release, parse_release
from assay.releases.repository import Repository
from assay.releases.statement import Kind, Statement

ROLLBACK: Final = "Assay-Rollback"
"""Trailer of a commit that restores an earlier release; its value is the replaced release."""
WHY: Final = "Assay-Why"
MAX_WHY_CHARS: Final = 1000
retry_on_conflict = retry.repeated(retry.APPROVAL, ReleaseConflictError)
"""Run again with the current branch and log after others changed them."""


@retry_on_conflict
def approve(
    deployment: Deployment,
    model: str,
    environment: str,
    *,
    by: str,
    digest: str = "",
    show: Callable[[Release], object] = lambda _: None,
) -> str:
    """Merge a proposal on a remote without a forge.

    Args:
        deployment: The store, the repository, the registry whose version the release must name
            (None leaves that out), and the approver's key. With keys configured its owner approves,
            whatever `by` says.
        model: Name of the model.
        environment: Where it was proposed for.
        by: `Name <mail>` of the approver.
        digest: Digest of the model, if several are proposed.
        show: Called with the release before it is approved.

    Returns:
        The merge commit.

    Raises:
        UsageError: Not an environment, nothing or more than one model is proposed, the key may not
            approve, or a forge has to merge it.
        IntegrityError: The branch is not what `promote` wrote; reports every problem.
        ReleaseConflictError: The environment has changed since; promote again.
    """
    layout.require_environment(environment)
    settings = deployment.require_settings()
    if settings.forge != "none":
        raise UsageError(
            f"merge the pull request on {settings.forge}; assay release approve is for remotes "
            "without a forge"
        )
    signer = deployment.require_signer()
    by = person_of(deployment.verifier, signer, Role.APPROVER, by, "an approval")
    with deployment.open() as opened:
        repository = opened.repository
        consistency.require_whole(opened, model)
        branch = _proposed(repository, model, environment, digest)
        seen = repository.branch(branch)
        if repository.contains(seen):
            return _finish_merge(opened, model, environment, branch)
        folder = layout.folder(model, environment)
        release = _checked(opened, folder, branch)
        if digest and release.digest != digest:
            raise IntegrityError(f"{branch} proposes {release.digest}, not {digest}")
        show(release)
        title = f"Release {model} {release.digest[7:19]} to {environment}"
        lines = [f"{BRANCH}: {branch}", f"{APPROVED}: {by}", f"Signed-off-by: {by}"]
        proposed = repository.revision(seen)
        for name in (ROLLBACK, WHY):
            if value := proposed.trailer(name):
                lines.insert(0, f"{name}: {value}")
        lines += log.heads(opened.services, model, signer)
        base = repository.head
        merged = repository.merge(seen, f"{title}\n\n" + "\n".join(lines), by)
        _require_own(repository, folder, seen, merged)
        known = log.was_released(opened.entries(model), release.name, environment, release.digest)
        approval = sign_approval(
            opened,
            release,
            PullRequest(0, "", branch, "merged", Merge(merged, by, statement.now())),
        )
        log.put_release(opened.store, release)
        entry = entry_of(release, approval, known=known, why=proposed.trailer(WHY))
        consistency.push(opened, entry, base=base)
        repository.delete(branch, expected=seen)
        return merged


def _finish_merge(deployment: OpenDeployment, model: str, environment: str, branch: str) -> str:
    """Finish a merge that was stopped before it removed the branch.

    Args:
        deployment: The opened deployment.
        model: Name of the model.
        environment: Where.
        branch: The proposal's branch, whose tip was merged.

    Returns:
        The commit of the merge.

    Raises:
        IntegrityError: The log has no approval of a merge of this tip; the branch was moved.
    """
    repository = deployment.repository
    seen = repository.branch(branch)
    recorded = {e.commit for e in deployment.entries(model) if e.environment == environment}
    history = repository.history(layout.folder(model, environment))
    merged = next((r.commit for r in history if seen in r.parents and r.commit in recorded), "")
    if not merged:
        raise IntegrityError(
            f"{branch} is at {seen[:12]}, an earlier commit of {repository.settings.branch}: it "
            "proposes nothing, and nothing was merged; remove the branch, and propose again"
        )
    repository.delete(branch, expected=seen)
    return merged


def _proposed(repository: Repository, model: str, environment: str, digest: str) -> str:
    prefix = layout.branch(model, environment, digest or f"sha256:{'0' * 64}")
    prefix = prefix if digest else f"{prefix.rpartition('/')[0]}/"
    digits = "" if digest else f"[0-9a-f]{{{layout.BRANCH_DIGITS}}}"
    name = re.compile(f"{re.escape(prefix)}{digits}({layout.ROLLBACK_SUFFIX})?")
    result = [branch for branch in repository.branches(prefix) if name.fullmatch(branch)]
    if len(result) == 1:
        return result[0]
    if not result:
        proposed = ", ".join(repository.branches(f"{layout.BRANCHES}/")) or "nothing"
        raise UsageError(
            f"no proposal for {model!r} in {environment}; proposed are: {proposed}; propose it "
            "with: "
            "assay release promote"
        )
    names = ", ".join(sorted(name.rpartition("/")[2] for name in result))
    raise UsageError(f"more than one model is proposed ({names}); choose one with --digest")


def _checked(deployment: OpenDeployment, folder: str, branch: str) -> Release:
    """The release that a branch proposes, after all checks."""
    repository = deployment.repository
    files = repository.files(folder, repository.branch(branch))
    if FILE_NAME not in files:
        raise IntegrityError(f"the branch has no {folder}/{FILE_NAME}; promote the model again")
    release = parse_release(files[FILE_NAME], f"{folder}/{FILE_NAME}")
    problems = []
    if layout.folder(release.model, release.environment) != folder:
        problems.append(f"{FILE_NAME} is about {release.model} in {release.environment}")
    name = layout.branch(release.model, release.environment, release.digest)
    if branch.removesuffix(layout.ROLLBACK_SUFFIX) != name:
        # The name is what the approver saw, and anybody who can push can change the content.
        problems.append(
            f"{FILE_NAME} is about {release.digest}, and the branch {branch} has the name of "
            "another model; promote the model again"
        )
    governs = governing(repository, release.model, release.environment)
    problems += checked(deployment, release, files, governs)
    if problems:
        raise IntegrityError.all_of(problems)
    current = eligibility.release_at(repository, f"{folder}/{FILE_NAME}")
    entries = deployment.entries(release.model)
    known = log.was_released(entries, release.name, release.environment, release.digest)
    if not known and release.previous != (current.name if current else ""):
        raise ReleaseConflictError(
            f"{release.environment} has changed since this was proposed; promote the model again, "
            "and "
            "review the new proposal"
        )
    return release


def _require_own(repository: Repository, folder: str, proposed: str, merged: str) -> None:
    """Refuse a merge that changes other files of the branch than those of the release.

    The tree that the merge made is compared: what a proposal changed depends on the commit that it
    is compared with.

    Raises:
        IntegrityError: Names each path that it changes and must not, or says that the files of the
            release are not those of the proposal.
    """
    parts = folder.split("/")
    problems = changed_with(parts[1], parts[2], repository.changed(repository.head, merged))
    held = [repository.files(folder, commit) for commit in (proposed, merged)]
    problems += [
        f"{folder}/{name} would not be what was proposed; promote the model again"
        for name in sorted(layout.OWN_FILES)
        if held[0].get(name) != held[1].get(name)
    ]
    if problems:
        raise IntegrityError.all_of(problems)


def checked(
    deployment: Deployment, release: Release, files: dict[str, bytes], governs: Governing | None
) -> list[str]:
    """All problems of a release. One that was approved before need only be complete.

    Judged again by newer code, an old decision could have another verdict, and a rollback must not
    depend on that. Only the release log proves that it was approved before: Git's history holds
    whatever was merged, and taken out again.

    Args:
        deployment: The store, and the registry whose version it must name; None leaves that out.
        release: What `release.yaml` says.
        files: The other files of its folder.
        governs: The policy that governs it, from the protected branch.

    Returns:
        A problem for each condition that does not hold.

    Raises:
        IntegrityError: The release log is broken.
    """
    services, registry = deployment.services, deployment.registry
    entries = deployment.entries(release.model)
    if log.was_released(entries, release.name, release.environment, release.digest):
        try:
            restore.verify(services, release)
        except AssayError as error:
            return [str(error)]
        return eligibility.plan_problems(release, files)
    result = eligibility.problems(services, release, files, governs)
    return result + (_version_problems(registry, release) if registry else [])


def _version_problems(registry: Registry, release: Release) -> list[str]:
    """Check that the registry has the release's model under the version that it names."""
    try:
        eligibility.version_of(registry, release)
    except ServiceError as error:
        return [f"registryVersion {release.registry_version} cannot be checked: {error}"]
    except UsageError as error:
        return [str(error)]
    return []


def replaced(repository: Repository, release: Release, before: str) -> list[str]:
    """Check which release a release says that it replaces; rollbacks follow that.

    Args:
        repository: The deployment repository.
        release: The release.
        before: The commit before it; "" for none.

    Returns:
        A problem, or nothing.
    """
    path = layout.path(release.model, release.environment)
    earlier = eligibility.release_at(repository, path, before) if before else None
    name = earlier.name if earlier else ""
    if release.previous == name:
        return []
    given = release.previous or "empty"
    return [
        f"previous is {given}, but the release before is {name or 'none'}; promote the model again"
    ]


def entry_of(release: Release, approval: Statement, *, known: bool, why: str) -> Entry:
    """The log's entry for an approved release.

    Args:
        release: What was approved.
        approval: The signed statement about it.
        known: Whether it was approved for this environment before, so that it is a rollback.
        why: The reason, cut at `MAX_WHY_CHARS`.

    Returns:
        The entry, not yet added.
    """
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


def sign_approval(deployment: Deployment, release: Release, request: PullRequest) -> Statement:
    """Sign that a release was approved by the merge of a pull request.

    Args:
        deployment: The store and the signer.
        release: What was merged.
        request: The merged pull request.

    Returns:
        The statement.

    Raises:
        UsageError: The signer's key may not sign approvals.
    """
    merge = request.merge
    if merge is None:  # pragma: no cover - the caller checked it
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
        "repository": log.repository_of(deployment.services),
        "by": merge.by,
        "at": merge.at,
        "until": statement.stamp(merged + timedelta(days=APPROVAL_DAYS.get())),
        "url": request.url,
    }
    return deployment.state(Kind.APPROVAL, release.digest, predicate)
