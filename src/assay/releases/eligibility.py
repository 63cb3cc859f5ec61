"""Eligibility: the conditions for the release of a model to an environment.

1. The model is not revoked.
2. The decision is about exactly this model, follows from its policy and evidence, and is a pass,
   also under the policy that governs the model (`assay.releases.governing`); or a person has
   overridden it, signed and not expired (`assay.governance.admission`).
3. Everything it is based on has an attestation that counts, and every byte matches its digest.
4. The model is or was in the environment below: the release log shows it, and an approval of it
   there has not expired.
5. For production: the decision compared it with the current production model of the release log.
"""

import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from assay.core import plain_copies
from assay.core.attestation import about, using
from assay.core.digest import of_bytes
from assay.core.provenance import best
from assay.core.step import Decision, Services
from assay.core.store import Store
from assay.core.tree import get_manifest, get_tree, remove_tree
from assay.errors import (
    AssayError,
    AttestationError,
    IntegrityError,
    NotFoundError,
    RunBlocked,
    RunHalted,
    UsageError,
)
from assay.governance import admission
from assay.governance.makers import GATE
from assay.governance.policy import Decision as Judgement
from assay.governance.policy import Verdict, read_decision
from assay.governance.registry import CANDIDATE, MODEL_TAG, PRODUCTION, ModelVersion, Registry
from assay.releases import golden, layout, log, monitoring_plan, statement
from assay.releases.release import Override, Release, parse_release
from assay.releases.repository import Repository

DECISION_TAG: Final = "assay.decision"
MAX_REFUSED: Final = 5
"""The number of refused statements that an error names."""
_REPORT: Final = re.compile(r"application/vnd\.assay\.([a-z][a-z-]*)\.v1")


def resolve(registry: Registry, model: str, digest: str) -> tuple[str, ModelVersion | None]:
    """The digest to release and its registered version; by default that of alias `candidate`.

    Args:
        registry: Where the model is registered.
        model: Name of the model.
        digest: Digest of the model; "" for the candidate.

    Returns:
        The digest, and its version; None when it is not registered.

    Raises:
        UsageError: No candidate is registered.
        ServiceError: The registry failed.
    """
    if digest:
        return digest, registry.find(model, digest)
    version = registry.at(model, CANDIDATE)
    if version is None:
        raise UsageError(
            f"no version of {model!r} is a candidate; register one through the pipeline, or name "
            "a model with --digest"
        )
    return version.model, version


def decision_of(services: Services, model: str, version: ModelVersion | None) -> str:
    """The decision about a model: the one it was registered by, else the newest in the store.

    The newest also counts if the one it was registered by is not signed as the configured keys
    require, because the version was registered before the keys were configured.

    Args:
        services: The store, and whose signatures count.
        model: Digest of the model.
        version: Its registered version; None when it is not registered.

    Returns:
        The digest of the decision.

    Raises:
        AttestationError: The decision it was registered by is refused, and there is no other.
        NotFoundError: No decision about the model.
    """
    store, verifier = services.store, services.verifier
    refused: AttestationError | None = None
    if version is not None and (named := version.tags.get(DECISION_TAG)):
        try:
            about(store, named, verifier)
        except AttestationError as error:
            refused = error
        else:
            return named
    result = {
        (attestation.details.started, attestation.outputs["decision"].digest)
        for evaluated in using(store, model, verifier)
        for output in evaluated.outputs.values()
        for attestation in using(store, output.digest, verifier)
        if attestation.entry_point == GATE
        and attestation.parameters.get("model") == model
        and "decision" in attestation.outputs  # a statement that was written manually may lack it
    }
    if not result and refused is not None:
        raise refused
    if not result:
        raise NotFoundError(
            f"no decision about {model} is in the store; let the gate judge it: run the pipeline"
        )
    return max(result)[1]


def require_admitted(
    services: Services,
    model: str,
    decision: str,
    data: str = "",
    *,
    name: str,
    governing: admission.Governing | None,
) -> tuple[admission.Assessment, list[Override]]:
    """Checks 1 to 3.

    Args:
        services: The store, and whose signatures count.
        model: Digest of the model.
        decision: Digest of the decision about it.
        data: Digest of the dataset that the release names, or "".
        name: The model's name.
        governing: The policy that governs it; None where the deployment repository has none.

    Returns:
        The assessment, and the overrides that hold where one is needed.

    Raises:
        RunBlocked: Revoked, or blocked by its own or the governing policy without an override that
            holds.
        PolicyError: The governing policy does not parse.
        RunInconclusive: As `RunBlocked`, for an inconclusive decision.
        IntegrityError: Something is altered, unconnected, or has no attestation that counts.
        NotFoundError: Something is not in the store.
    """
    refuse_revoked(services, model)
    judgement = judgement_of(services.store, decision)
    overrides = (
        []
        if judgement.verdict is Verdict.PASS
        and governed_verdict(services, judgement, governing) is Verdict.PASS
        else log.overrides(services, model, model=name, decision=decision)
    )
    with tempfile.TemporaryDirectory(prefix="assay-decision-") as scratch:
        folder = Path(scratch, "decision")
        get_tree(services.store, get_manifest(services.store, decision), folder)
        try:
            assessment = admission.check(
                services,
                model,
                Decision(folder, decision),
                [],
                data,
                overridden=bool(overrides),
                governing=governing,
            )
        except RunHalted as error:
            # There may be an override; report why it does not count.
            others = statement.refused(services, model)[:MAX_REFUSED]
            raise type(error).all_of([error, *others]) from error
        finally:
            remove_tree(folder)
    return assessment, [
        Override(given.digest, given.by, given.text("why"), given.text("until"))
        for given in overrides
    ]


def governed_verdict(
    services: Services, judgement: Judgement, governing: admission.Governing | None
) -> Verdict:
    """The verdict under the governing policy, or that of the decision without one.

    Args:
        services: The store.
        judgement: The decision.
        governing: The governing policy; None if the deployment repository has none.

    Returns:
        The verdict.

    Raises:
        PolicyError: The governing policy does not parse.
    """
    if governing is None:
        return judgement.verdict
    _, documents = admission.judged_files(services.store, judgement)
    return admission.judged_under(governing.content, judgement, documents, governing.place).verdict


def refuse_revoked(services: Services, model: str) -> None:
    """Check 1.

    Raises:
        RunBlocked: The model is revoked; says by whom and why.
        UnknownKeyError: A revocation is signed by a key that is not configured.
    """
    revoked = log.revocation(services, model)
    if revoked is not None:
        doubt = (
            "; the key that revoked it is out of use, and nothing proves that it was in use then: "
            f"if it is not genuine, another approver sets it aside: assay release clear "
            f"--revocation {model} --why TEXT"
        )
        raise RunBlocked(
            f"{model} was revoked by {revoked.by} at {revoked.at}: "
            f"{revoked.why}; release another model{doubt * revoked.unproven}"
        )


def require_reached(
    services: Services,
    model: str,
    environment: str,
    digest: str,
    *,
    opens: Callable[[log.Entry], bool] | None = None,
) -> None:
    """Check 4.

    Args:
        services: The store, and whose signatures count.
        model: Name of the model.
        environment: Where it is to be released.
        digest: Of the model.
        opens: Which entries of the environment below count; None for all.

    Raises:
        RunBlocked: The model was never in the environment below, its approval there expired, or
            the entries of it do not count.
        IntegrityError: The release log is broken.
    """
    needed = layout.below(environment)
    if needed is None:
        return
    entries = [
        entry
        for entry in log.read(services, model)
        if entry.moves and entry.dated and (entry.environment, entry.digest) == (needed, digest)
    ]
    if not entries:
        raise RunBlocked(
            f"{digest} was never in {needed}, and no environment is skipped; "
            f"promote it there first: assay release promote '{model}' {needed} --digest {digest}"
        )
    if opens is not None and not (entries := list(filter(opens, entries))):
        raise RunBlocked(
            f"{digest} was merged into {needed} and {environment} between two synchronisations, "
            "and "
            f"no environment is skipped; take it out of {environment}, and promote it there again: "
            f"assay release promote '{model}' {environment} --digest {digest}"
        )
    until = [
        statement.load(services, entry.statement, proven=True).text("until")
        for entry in entries
        if entry.statement
    ]
    if until and all(map(statement.expired, until)):
        raise RunBlocked(
            f"the approval of {digest} in {needed} expired at {max(until)}; "
            "have it approved there again"
        )


def require_compared(services: Services, name: str, environment: str, judgement: Judgement) -> None:
    """Check 5. If the log has no production model, `register` has queried the registry.

    Args:
        services: The store, and whose signatures count.
        name: Name of the model.
        environment: Where it is to be released.
        judgement: The decision.

    Raises:
        RunBlocked: The decision compares with another model than the one in production.
        IntegrityError: The release log is broken.
    """
    if environment != PRODUCTION:
        return
    now = log.current(log.read(services, name), environment)
    if now is None or now.digest in {judgement.model, judgement.production}:
        return
    raise RunBlocked(
        f"not released: {now.digest} is in production as {name!r} since {now.at}, and the decision "
        f"about {judgement.model} compares with {judgement.production or 'none'}; run the pipeline "
        "again, which compares with the current model, or, to restore an earlier release, use: "
        "assay release rollback"
    )


def release_at(repository: Repository, path: str, commit: str = "") -> Release | None:
    """The release at a commit.

    Args:
        repository: The deployment repository.
        path: Of the `release.yaml`.
        commit: By default the branch's own.

    Returns:
        The release; None where the file is missing or not a release.
    """
    try:
        content = repository.read(path, commit)
        return parse_release(content, path) if content is not None else None
    except (UsageError, IntegrityError):
        return None


def judgement_of(store: Store, decision: str) -> Judgement:
    """A decision, checked against itself; errors as `read_decision`."""
    with tempfile.TemporaryDirectory(prefix="assay-decision-") as scratch:
        folder = Path(scratch, "decision")
        get_tree(store, get_manifest(store, decision), folder)
        try:
            return read_decision(folder)
        finally:
            remove_tree(folder)


def reports_of(store: Store, judgement: Judgement) -> dict[str, str]:
    """The documents that were judged, by kind: `evaluation`, `comparison`, and so on.

    Raises:
        UsageError: No evaluation is among them.
    """
    result: dict[str, str] = {}
    for digest in judgement.evidence:
        match = _REPORT.fullmatch(get_manifest(store, digest).artifact_type)
        if match:
            result.setdefault(match[1], digest)
    if "evaluation" not in result:
        raise UsageError(
            f"the decision about {judgement.model} is based on no evaluation, so an approver has "
            "nothing to review; give the gate an evaluation"
        )
    return result


def evaluation_run(services: Services, evaluation: str) -> str:
    """The id of the run that evaluated; "" for a run without an id."""
    measured = best(about(services.store, evaluation, services.verifier))
    return measured.details.invocation if measured else ""


def version_of(registry: Registry, release: Release) -> ModelVersion:
    """The registered version that a release names, if it is of the release's model.

    Raises:
        UsageError: It does not exist, is tagged as another model, or has other files.
        ServiceError: The registry failed.
    """
    fault = f"registryVersion is {release.registry_version}"
    version = registry.version(release.model, release.registry_version)
    if version is None or version.tags.get(MODEL_TAG) != release.digest:
        result = registry.find(release.model, release.digest)
        known = f"version {result.version}" if result else "no version"
        raise UsageError(f"{fault}, but the registry has {known} of this model")
    if not registry.holds(version, release.uri):
        raise UsageError(
            f"{fault}, whose source is {version.source}, not {release.uri}: the registry was "
            "changed; register the model again through the pipeline, and promote it"
        )
    return version


def make_plain_copy(store: Store, model: str) -> str:
    """The URI of the model's plain copy, which is made when it is missing."""
    return plain_copies.make(store, get_manifest(store, model))


def problems(
    services: Services,
    release: Release,
    files: Mapping[str, bytes],
    governing: admission.Governing | None,
) -> list[str]:
    """All problems of a release, which may have been edited manually.

    Args:
        services: The store, and whose signatures count.
        release: What `release.yaml` says.
        files: The other files of its folder.
        governing: The policy that governs it, from the protected branch.

    Returns:
        A problem for each condition that does not hold.
    """
    result: list[str] = []
    try:
        assessment, overrides = require_admitted(
            services,
            release.digest,
            release.decision,
            release.data,
            name=release.model,
            governing=governing,
        )
        judged = assessment.judgement
        expected = {
            "policy": (release.policy, judged.policy_artifact),
            "data": (release.data, assessment.data),
            "reports": (dict(release.reports), (reports := reports_of(services.store, judged))),
            "evaluationRun": (
                release.evaluation_run,
                evaluation_run(services, reports["evaluation"]),
            ),
        }
        result += [
            f"{name} is {given}, the decision's is {right}"
            for name, (given, right) in expected.items()
            if given != right
        ]
        plans = monitoring_plan.judged(services, assessment.admitted, release.reports)
        names = list(map(of_bytes, plans))
        if names and release.monitoring not in names:
            result.append(
                f"monitoring is {release.monitoring or 'none'}, the plan that the gate judged is "
                f"{' or '.join(names)}"
            )
        right = release.override in overrides if overrides else release.override is None
        if not right:
            holds = ", ".join(given.statement for given in overrides) or "none"
            result.append(
                f"override is not among those that hold now ({holds}); promote the model again"
            )
        if release.uri.rstrip("/") != plain_copies.uri(services.store, release.digest).rstrip("/"):
            result.append(f"uri {release.uri} is not that of the model {release.digest}")
        if release.golden or judged.test_data:
            golden.require_about(services.store, release.golden, release.digest, judged.test_data)
        admission.require_own_drill(services, judged, release.model)
        if not overrides:
            require_compared(services, release.model, release.environment, judged)
    except AssayError as error:
        result.append(str(error))
    result += plan_problems(release, files)
    try:
        require_reached(services, release.model, release.environment, release.digest)
    except AssayError as error:
        result.append(str(error))
    return result


def plan_problems(release: Release, files: Mapping[str, bytes]) -> list[str]:
    """Compare the monitoring plan beside a release with the one that it names.

    Args:
        release: What `release.yaml` says.
        files: The other files of its folder.

    Returns:
        The problem, if they differ.
    """
    plan = files.get(layout.PLAN_FILE)
    if (of_bytes(plan) if plan is not None else "") == release.monitoring:
        return []
    return [f"{layout.PLAN_FILE} is not the plan that release.yaml names"]
