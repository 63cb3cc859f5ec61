"""Promotion: a checked model proposed for an environment, as a branch and a pull request.

The branch is named by the model's digest, so the same promotion again finds the same pull request
and brings it up to date. Two promotions of different models have branches of their own, and the
one that is merged later conflicts instead of silently winning; every push is a compare-and-set.
"""

from dataclasses import dataclass, replace
from typing import Final

from assay.core import plain_copies, retry
from assay.core.digest import of_bytes, require_digest
from assay.core.signing import Signer
from assay.core.step import Services
from assay.core.tree import get_manifest
from assay.errors import ReleaseConflictError, UsageError
from assay.governance import admission
from assay.governance.registry import DATA_TAG, ModelVersion, Registry, name_problems
from assay.releases import candidate, document, evaluation, golden, ledger, log
from assay.releases.changelog import changelog
from assay.releases.document import (
    CHANGELOG_FILE,
    EVALUATION_FILE,
    FILE_NAME,
    PLAN_FILE,
    Release,
)
from assay.releases.evaluation import Evidence
from assay.releases.forge import Forge, PullRequest, open_forge
from assay.releases.forge.base import bounded
from assay.releases.governing import governing
from assay.releases.plan import chosen, judged
from assay.releases.repository import Repository
from assay.releases.settings import Settings

LABEL: Final = "assay"
OVERRIDE_LABEL: Final = "override"


@dataclass(frozen=True, slots=True)
class Promotion:
    """What came of it."""

    release: Release
    outcome: str
    """`opened`, `updated`, `unchanged`, or `released` when it is there already."""
    branch: str
    commit: str
    request: PullRequest | None
    changelog: str
    evaluation: str


def promote(
    services: Services,
    settings: Settings,
    registry: Registry,
    model: str,
    environment: str,
    *,
    digest: str = "",
    plan: bytes | None = None,
    signer: Signer | None = None,
) -> Promotion:
    """Propose a model for an environment.

    Args:
        services: The store, and who may sign.
        settings: The deployment repository and its forge.
        registry: Where the model is registered.
        model: Name of the registered model.
        environment: `dev`, `staging` or `production`.
        digest: Which model; by default the registry's candidate.
        plan: `monitoring.yaml`; by default the one that the gate judged, then the one beside the
            release that is there, then that of the environment below.
        signer: Who records what was pushed and not recorded before, if there is any, and signs
            how long the log is.

    Raises:
        UsageError: A name or digest that is none, no candidate, or a registered version whose files
            are not the model's.
        RunBlocked: See `candidate`.
        IntegrityError: See `candidate`.
        ServiceError: Registry, repository or forge failed.
        ReleaseConflictError: Others changed the same branch each time that this tried.
    """
    problems = name_problems(model)
    if environment not in document.ENVIRONMENTS:
        problems.append(
            f"no environment {environment!r}; there are: {', '.join(document.ENVIRONMENTS)}"
        )
    if problems:
        raise UsageError.all_of(problems)
    if digest:
        require_digest(digest, "digest")
    digest, version = candidate.resolve(registry, model, digest)
    with Repository.open(settings) as repository:
        repository.begin()
        ledger.require_whole(services, repository, model)
        ledger.finish(services, repository, signer, model)
        # Cheap, and so before the checks that read every byte.
        candidate.require_reached(services, model, environment, digest)
        decision = candidate.decision_of(services, digest, version)
        facts, overrides = candidate.require_admitted(
            services,
            digest,
            decision,
            name=model,
            governing=governing(repository, model, environment),
        )
        override = next(iter(overrides), None)
        judgement = facts.judgement
        if override is None:
            candidate.require_compared(services, model, environment, judgement)
        if version is None:
            version = _register(services, registry, model, facts, override)
        reports = candidate.reports_of(services.store, judgement)
        draft = Release(
            model=model,
            environment=environment,
            digest=digest,
            uri=candidate.make_plain_copy(services.store, digest),
            registry_version=version.version,
            evaluation_run=candidate.evaluation_run(services, reports["evaluation"]),
            decision=decision,
            reports=reports,
            policy=judgement.policy_artifact,
            data=facts.data,
            golden=golden.record(services, digest, judgement.test_data)
            if judgement.test_data
            else "",
            override=override,
        )
        candidate.version_of(registry, draft)
        return _propose(services, repository, open_forge(repository), draft, facts, plan, signer)


@retry.repeated(retry.PROPOSAL, ReleaseConflictError)
def _propose(
    services: Services,
    repository: Repository,
    forge: Forge,
    draft: Release,
    facts: admission.Facts,
    plan: bytes | None,
    signer: Signer | None,
) -> Promotion:
    """Write what the repository, as it is now, makes of the draft; again when it moved."""
    repository.fetch()
    path = document.path(draft.model, draft.environment)
    content = repository.read(path)
    current = document.parse(content, path) if content is not None else None
    plan = chosen(repository, draft, plan, judged(services, draft.reports))
    release = replace(
        draft,
        monitoring=of_bytes(plan) if plan is not None else "",
        previous=current.name if current else "",
    )
    if current is not None and replace(release, previous=current.previous) == current:
        # It is there as it would be written, so there is nothing to propose.
        return Promotion(current, "released", "", repository.head, None, "", "")
    told = changelog(services.store, release, current, services.verifier, facts)
    shown = evaluation.files(release, Evidence.of(services.store, release), facts)
    files = {FILE_NAME: release.render(), CHANGELOG_FILE: told.encode(), **shown}
    if plan is not None:
        files[PLAN_FILE] = plan
        services.store.put_bytes(plan, document.MEDIA_TYPE)
    # In the store before it is anywhere else: a rollback to it needs no Git.
    log.put_release(services.store, release)
    title = f"Release {release.model} {release.digest[7:19]} to {release.environment}"
    body = _body(release, told, shown[EVALUATION_FILE].decode())
    branch = document.branch(release.model, release.environment, release.digest)
    seen, base = repository.branch(branch), repository.head
    commit = repository.commit(
        document.folder(release.model, release.environment),
        files,
        "\n".join([f"{title}\n\n{told}", *log.heads(services.store, release.model, signer)]),
        parent=base,
    )
    moved = not (seen and _equal(repository, seen, commit, base))
    if moved:
        repository.push(commit, branch, expected=seen)
    commit = commit if moved else seen
    labels = [LABEL, release.environment, *([OVERRIDE_LABEL] if release.override else [])]
    request = forge.find(branch)
    fresh = request is None or request.state != "open"
    if fresh:
        request = forge.open(branch, repository.settings.branch, title, body, labels)
    elif request is not None:
        request = forge.update(request, title, body, labels)
    # Without a forge the branch is the pull request, and was there or was not.
    opened = not seen if repository.settings.forge == "none" else fresh
    outcome = "opened" if opened else "updated" if moved else "unchanged"
    return Promotion(
        release, outcome, branch, commit, request, told, shown[EVALUATION_FILE].decode()
    )


def _equal(repository: Repository, seen: str, commit: str, base: str) -> bool:
    """Whether a branch holds, on the same base, what would be pushed."""
    return repository.revision(seen).parents == (base,) and repository.same_tree(seen, commit)


def _body(release: Release, told: str, shown: str) -> str:
    rows = [
        f"Model `{release.digest}`, registry version {release.registry_version}.",
        f"Files: `{document.folder(release.model, release.environment)}/`.",
        "Merging this puts the model into the environment.",
        "",
        told,
        "",
        "---",
        "",
        # A forge shows no figures from a description; they lie beside the file.
        "\n".join(line for line in shown.splitlines() if not line.startswith("![")),
    ]
    return bounded("\n".join(rows))


def _register(
    services: Services,
    registry: Registry,
    model: str,
    facts: admission.Facts,
    override: document.Override | None,
) -> ModelVersion:
    """A version for a model that the gate kept out and a person let in.

    Raises:
        UsageError: Nobody let it in: what passed is registered by the pipeline.
    """
    judged = facts.judgement
    if override is None:
        raise UsageError(
            f"{judged.model} is not registered as a version of {model!r}; register it through "
            "the pipeline, or check the model's name"
        )
    tags = {
        candidate.DECISION_TAG: facts.decision,
        DATA_TAG: facts.data,
        "assay.policy": judged.policy_artifact,
        "assay.override": override.statement,
        "assay.override_by": override.by,
        "assay.attestation": facts.training.digest,
    }
    source = plain_copies.make(services.store, get_manifest(services.store, judged.model))
    told = {name: text for name, text in tags.items() if text}
    version, _ = registry.register(model, judged.model, source, told, {})
    return version
