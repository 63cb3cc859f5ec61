"""Promotion: a checked model proposed for an environment, as a branch and a pull request.

The branch is named by the model's digest, so the same promotion again finds the same pull request
and updates it. Two promotions of different models have branches of their own, and the
one that is merged later conflicts instead of silently winning; every push is a compare-and-set.
"""

from dataclasses import dataclass, replace
from typing import Final

from assay.core import plain_copies, retry
from assay.core.digest import of_bytes, require_digest
from assay.core.tree import get_manifest
from assay.errors import ReleaseConflictError, UsageError
from assay.governance import admission
from assay.governance.registry import DATA_TAG, ModelVersion, name_problems
from assay.releases import consistency, eligibility, evaluation, golden, layout, log
from assay.releases.changelog import changelog
from assay.releases.deployment import Deployment, OpenDeployment
from assay.releases.evaluation import Evidence
from assay.releases.forge import PullRequest
from assay.releases.forge.base import bounded
from assay.releases.governing import governing
from assay.releases.layout import CHANGELOG_FILE, EVALUATION_FILE, FILE_NAME, PLAN_FILE
from assay.releases.monitoring_plan import chosen, judged
from assay.releases.release import MEDIA_TYPE, Override, Release, parse_release
from assay.releases.repository import Repository

LABEL: Final = "assay"
OVERRIDE_LABEL: Final = "override"


@dataclass(frozen=True, slots=True)
class Promotion:
    """The result of a promotion."""

    release: Release
    outcome: str
    """`opened`, `updated`, `unchanged`, or `released` if it is already in the environment."""
    branch: str
    commit: str
    request: PullRequest | None
    changelog: str
    evaluation: str


def promote(
    deployment: Deployment,
    model: str,
    environment: str,
    *,
    digest: str = "",
    plan: bytes | None = None,
) -> Promotion:
    """Propose a model for an environment.

    Args:
        deployment: The store, the repository and its forge, and the registry that holds the model.
            Its signer, if there is one, records what was pushed but not recorded, and signs the
            trailers.
        model: Name of the registered model.
        environment: `dev`, `staging` or `production`.
        digest: Which model; by default the registry's candidate.
        plan: `monitoring.yaml`; by default the one that the gate judged, then the one of the
            current release, then that of the environment below.

    Returns:
        The release and the pull request that proposes it.

    Raises:
        UsageError: An invalid name or digest, no candidate, or a registered version whose files
            are not the model's.
        RunBlocked: See `eligibility`.
        IntegrityError: See `eligibility`.
        ServiceError: Registry, repository or forge failed.
        ReleaseConflictError: The branch was changed by others during each attempt.
    """
    problems = name_problems(model)
    if environment not in layout.ENVIRONMENTS:
        problems.append(
            f"no environment {environment!r}; use one of {', '.join(layout.ENVIRONMENTS)}"
        )
    if problems:
        raise UsageError.all_of(problems)
    if digest:
        require_digest(digest, "digest")
    services, registry = deployment.services, deployment.require_registry()
    digest, version = eligibility.resolve(registry, model, digest)
    with deployment.open() as opened:
        opened.repository.begin()
        opened = deployment.over(opened.repository)  # noqa: PLW2901 - it has a first commit by now
        services = opened.services
        consistency.require_whole(opened, model)
        consistency.finish(opened, model)
        # First, because it is cheap, unlike the checks that read every byte.
        eligibility.require_reached(services, model, environment, digest)
        decision = eligibility.decision_of(services, digest, version)
        assessment, overrides = eligibility.require_admitted(
            services,
            digest,
            decision,
            name=model,
            governing=governing(opened.repository, model, environment),
        )
        override = next(iter(overrides), None)
        judgement = assessment.judgement
        if override is None:
            eligibility.require_compared(services, model, environment, judgement)
        if version is None:
            version = _register(opened, model, assessment, override)
        reports = eligibility.reports_of(services.store, judgement)
        draft = Release(
            model=model,
            environment=environment,
            digest=digest,
            uri=eligibility.make_plain_copy(services.store, digest),
            registry_version=version.version,
            evaluation_run=eligibility.evaluation_run(services, reports["evaluation"]),
            decision=decision,
            reports=reports,
            policy=judgement.policy_artifact,
            data=assessment.data,
            golden=golden.create(services, digest, judgement.test_data)
            if judgement.test_data
            else "",
            override=override,
        )
        eligibility.version_of(registry, draft)
        return _propose(opened, draft, assessment, plan)


@retry.repeated(retry.PROPOSAL, ReleaseConflictError)
def _propose(
    deployment: OpenDeployment, draft: Release, assessment: admission.Assessment, plan: bytes | None
) -> Promotion:
    """Complete the draft from the repository's current state, and push it."""
    services, repository = deployment.services, deployment.repository
    repository.fetch()
    path = layout.path(draft.model, draft.environment)
    content = repository.read(path)
    current = parse_release(content, path) if content is not None else None
    plan = chosen(repository, draft, plan, judged(services, assessment.admitted, draft.reports))
    release = replace(
        draft,
        monitoring=of_bytes(plan) if plan is not None else "",
        previous=current.name if current else "",
    )
    if current is not None and replace(release, previous=current.previous) == current:
        # The environment has exactly this release, so there is nothing to propose.
        return Promotion(current, "released", "", repository.head, None, "", "")
    changes = changelog(services, release, current, assessment)
    shown = evaluation.files(release, Evidence.of(services.store, release), assessment)
    files = {FILE_NAME: release.render(), CHANGELOG_FILE: changes.encode(), **shown}
    if plan is not None:
        files[PLAN_FILE] = plan
        services.store.put_bytes(plan, MEDIA_TYPE)
    # Stored first, so that a rollback to it does not need Git.
    log.put_release(services.store, release)
    title = f"Release {release.model} {release.digest[7:19]} to {release.environment}"
    body = _body(release, changes, shown[EVALUATION_FILE].decode())
    branch = layout.branch(release.model, release.environment, release.digest)
    seen, base = repository.branch(branch), repository.head
    commit = repository.commit(
        layout.folder(release.model, release.environment),
        files,
        "\n".join(
            [f"{title}\n\n{changes}", *log.heads(services, release.model, deployment.signer)]
        ),
        parent=base,
    )
    moved = not (seen and _equal(repository, seen, commit, base))
    if moved:
        repository.push(commit, branch, expected=seen)
    commit = commit if moved else seen
    labels = [LABEL, release.environment, *([OVERRIDE_LABEL] if release.override else [])]
    forge = deployment.forge
    request = forge.find(branch)
    fresh = request is None or request.state != "open"
    if fresh:
        request = forge.open(branch, repository.settings.branch, title, body, labels)
    elif request is not None:
        request = forge.update(request, title, body, labels)
    # Without a forge the branch is the pull request.
    opened = not seen if repository.settings.forge == "none" else fresh
    outcome = "opened" if opened else "updated" if moved else "unchanged"
    return Promotion(
        release, outcome, branch, commit, request, changes, shown[EVALUATION_FILE].decode()
    )


def _equal(repository: Repository, seen: str, commit: str, base: str) -> bool:
    """Whether a branch has the same content, on the same base."""
    return repository.revision(seen).parents == (base,) and repository.same_tree(seen, commit)


def _body(release: Release, changes: str, shown: str) -> str:
    rows = [
        f"Model `{release.digest}`, registry version {release.registry_version}.",
        f"Files: `{layout.folder(release.model, release.environment)}/`.",
        "Merging this puts the model into the environment.",
        "",
        changes,
        "",
        "---",
        "",
        # A forge shows no figures in a description; they are files of the branch.
        "\n".join(line for line in shown.split("\n") if not line.startswith("![")),
    ]
    return bounded("\n".join(rows))


def _register(
    deployment: Deployment,
    model: str,
    assessment: admission.Assessment,
    override: Override | None,
) -> ModelVersion:
    """Register a version for a model that was blocked and overridden.

    Raises:
        UsageError: It was not overridden; the pipeline registers models that passed.
    """
    judged = assessment.judgement
    if override is None:
        raise UsageError(
            f"{judged.model} is not registered as a version of {model!r}; register it through "
            "the pipeline, or check the model's name"
        )
    tags = {
        eligibility.DECISION_TAG: assessment.decision,
        DATA_TAG: assessment.data,
        "assay.policy": judged.policy_artifact,
        "assay.override": override.statement,
        "assay.override_by": override.by,
        "assay.attestation": assessment.training.digest,
    }
    source = plain_copies.make(deployment.store, get_manifest(deployment.store, judged.model))
    tags = {name: text for name, text in tags.items() if text}
    version, _ = deployment.require_registry().register(model, judged.model, source, tags, {})
    return version
