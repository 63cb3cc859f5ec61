"""The release that a model would be, and everything that must hold for it.

1. The model is not revoked.
2. The decision is about exactly this model, follows from its policy and evidence, and is a pass,
   also under the policy that governs the model (`assay.releases.governing`); or a person has
   overridden it, signed and not expired (`assay.governance.admission`).
3. Everything it rests on has a believable attestation, and every byte is what its name says.
4. The model is or was in the environment below: the release log shows it, and an approval of it
   there has not expired.
5. For production: the decision compared it with what the release log says is there now.
"""

import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from assay.core.attestation import about, using
from assay.core.step import Decision, Services
from assay.core.store import Store
from assay.core.tree import get_manifest, get_tree, remove_tree
from assay.errors import (
    AttestationError,
    IntegrityError,
    NotFoundError,
    RunBlocked,
    RunHalted,
    UsageError,
)
from assay.governance import admission
from assay.governance.policy import Decision as Judgement
from assay.governance.policy import Verdict, read_decision
from assay.governance.registry import CANDIDATE, MODEL_TAG, PRODUCTION, ModelVersion, Registry
from assay.releases import document, golden, log, statement
from assay.releases import plan as plans
from assay.releases.document import Override, Release
from assay.releases.repository import Repository

DECISION_TAG: Final = "assay.decision"
MAX_REFUSED: Final = 5
"""Statements that do not count, as many as an error names."""
_REPORT: Final = re.compile(r"application/vnd\.assay\.([a-z][a-z-]*)\.v1")


def resolve(registry: Registry, model: str, digest: str) -> tuple[str, ModelVersion | None]:
    """The digest to release and its registered version; by default that of alias `candidate`.

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

    The newest counts too where the one it was registered by is not signed as the configured keys
    ask, because the version was registered before the keys were adopted.

    Raises:
        AttestationError: The decision it was registered by is refused, and there is no other.
        NotFoundError: There is none.
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
    found = {
        (record.details.started, record.outputs["decision"].digest)
        for evaluated in using(store, model, verifier)
        for output in evaluated.outputs.values()
        for record in using(store, output.digest, verifier)
        if record.step == admission.GATE
        and record.parameters.get("model") == model
        and "decision" in record.outputs  # any step may be called so
    }
    if not found and refused is not None:
        raise refused
    if not found:
        raise NotFoundError(
            f"no decision about {model} is in the store; let the gate judge it: run the pipeline"
        )
    return max(found)[1]


def require_admitted(
    services: Services,
    model: str,
    decision: str,
    data: str = "",
    *,
    name: str,
    governing: admission.Governing | None,
) -> tuple[admission.Facts, list[Override]]:
    """Checks 1 to 3; what they found, and the overrides that hold where one is needed.

    Args:
        services: The store, and who may sign.
        model: Digest of the model.
        decision: Digest of the decision about it.
        data: Digest of the dataset that the release names, or "".
        name: The model's name.
        governing: The policy that governs it; None where the deployment repository has none.

    Raises:
        RunBlocked: Revoked, or blocked by its own or the governing policy without an override that
            holds.
        PolicyError: The governing policy does not parse.
        RunInconclusive: As `RunBlocked`, for an inconclusive decision.
        IntegrityError: Something is altered, unconnected, or without a believable record.
        NotFoundError: Something is not in the store.
    """
    refuse_revoked(services, model)
    judgement = judgement_of(services.store, decision)
    overrides = (
        []
        if judgement.verdict is Verdict.PASS
        and governed_verdict(services, judgement, governing) is Verdict.PASS
        else log.overrides(services.store, model, services.verifier, model=name, decision=decision)
    )
    with tempfile.TemporaryDirectory(prefix="assay-decision-") as scratch:
        folder = Path(scratch, "decision")
        get_tree(services.store, get_manifest(services.store, decision), folder)
        try:
            facts = admission.check(
                services,
                model,
                Decision(folder, decision),
                [],
                data,
                overridden=bool(overrides),
                governing=governing,
            )
        except RunHalted as error:
            # Somebody may believe that it was overridden.
            others = statement.refused(services.store, model, services.verifier)[:MAX_REFUSED]
            raise type(error)("; ".join(map(str, [error, *others]))) from error
        finally:
            remove_tree(folder)
    return facts, [
        Override(given.digest, given.by, given.text("why"), given.text("until"))
        for given in overrides
    ]


def governed_verdict(
    services: Services, judgement: Judgement, governing: admission.Governing | None
) -> Verdict:
    """The verdict under the governing policy; that of the decision when there is none.

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
    revoked = log.revocation(services.store, model, services.verifier)
    if revoked is not None:
        raise RunBlocked(
            f"{model} was revoked by {revoked.by} at {revoked.at}: "
            f"{revoked.why}; release another model"
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
        services: The store, and who may sign.
        model: Name of the model.
        environment: Where it is to be released.
        digest: Of the model.
        opens: Which entries of the environment below count; None for all.

    Raises:
        RunBlocked: The model was never in the environment below, or its approval there expired, or
            what put it there does not count.
        IntegrityError: The release log is broken.
    """
    needed = document.below(environment)
    if needed is None:
        return
    entries = [
        entry
        for entry in log.read(services.store, model, services.verifier)
        if entry.moves and (entry.environment, entry.digest) == (needed, digest)
    ]
    if not entries:
        raise RunBlocked(
            f"{digest} was never in {needed}, and no environment is skipped; "
            f"promote it there first: assay release promote '{model}' {needed} --digest {digest}"
        )
    if opens is not None and not (entries := list(filter(opens, entries))):
        raise RunBlocked(
            f"{digest} came into {needed} and {environment} between two looks at the branch, and "
            f"no environment is skipped; take it out of {environment}, and promote it there again: "
            f"assay release promote '{model}' {environment} --digest {digest}"
        )
    until = [
        statement.load(services.store, entry.statement, services.verifier).text("until")
        for entry in entries
        if entry.statement
    ]
    if until and all(map(statement.expired, until)):
        raise RunBlocked(
            f"the approval of {digest} in {needed} expired at {max(until)}; "
            "have it approved there again"
        )


def require_compared(services: Services, name: str, environment: str, judgement: Judgement) -> None:
    """Check 5. Where the log knows of nothing in production, `register` has asked the registry.

    Raises:
        RunBlocked: The decision is about another model in production, or about none.
        IntegrityError: The release log is broken.
    """
    if environment != PRODUCTION:
        return
    now = log.current(log.read(services.store, name, services.verifier), environment)
    if now is None or now.digest in {judgement.model, judgement.production}:
        return
    raise RunBlocked(
        f"not released: {now.digest} is in production as {name!r} since {now.at}, and the decision "
        f"about {judgement.model} compares with {judgement.production or 'none'}; run the pipeline "
        "again, which compares with the model that is there now, or, to go back to what was there "
        "before, use assay release rollback"
    )


def release_at(repository: Repository, path: str, commit: str = "") -> Release | None:
    """The release at a commit; None where there is none, or a file that is none."""
    try:
        content = repository.read(path, commit)
        return document.parse(content, path) if content is not None else None
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
    found: dict[str, str] = {}
    for digest in judgement.evidence:
        match = _REPORT.fullmatch(get_manifest(store, digest).artifact_type)
        if match:
            found.setdefault(match[1], digest)
    if "evaluation" not in found:
        raise UsageError(
            f"the decision about {judgement.model} rests on no evaluation, so an approver would "
            "have nothing to look at; give the gate one"
        )
    return found


def evaluation_run(services: Services, evaluation: str) -> str:
    """The id of the run that evaluated; "" when it had none."""
    records = about(services.store, evaluation, services.verifier)
    return records[0].details.invocation if records else ""


def version_of(registry: Registry, release: Release) -> ModelVersion:
    """The registered version that a release names, when it holds the release's model.

    Raises:
        UsageError: It is not there, is tagged as another model, or has other files.
        ServiceError: The registry failed.
    """
    said = f"registryVersion is {release.registry_version}"
    version = registry.version(release.model, release.registry_version)
    if version is None or version.tags.get(MODEL_TAG) != release.digest:
        found = registry.find(release.model, release.digest)
        other = f"the registry's is {found.version}" if found else "the registry has none of it"
        raise UsageError(f"{said}, {other}")
    if not registry.holds(version, release.uri):
        raise UsageError(
            f"{said}, whose source is {version.source} and not {release.uri}: the registry was "
            "changed; register the model again through the pipeline, and promote it"
        )
    return version


def view_uri(store: Store, model: str) -> str:
    """Where the model's files lie as plain files; made when they do not."""
    return store.view(get_manifest(store, model))


def problems(
    services: Services,
    release: Release,
    files: Mapping[str, bytes],
    governing: admission.Governing | None,
) -> list[str]:
    """Everything that is wrong with a release that somebody wrote; empty when nothing is.

    Args:
        services: The store, and who may sign.
        release: What `release.yaml` says.
        files: The other files of its folder.
        governing: The policy that governs it, from the protected branch.
    """
    from assay.core.digest import of_bytes
    from assay.errors import AssayError

    found: list[str] = []
    try:
        facts, overrides = require_admitted(
            services,
            release.digest,
            release.decision,
            release.data,
            name=release.model,
            governing=governing,
        )
        judged = facts.judgement
        expected = {
            "policy": (release.policy, judged.policy_artifact),
            "data": (release.data, facts.data),
            "reports": (dict(release.reports), (reports := reports_of(services.store, judged))),
            "evaluationRun": (
                release.evaluation_run,
                evaluation_run(services, reports["evaluation"]),
            ),
        }
        found += [
            f"{name} is {given}, the decision's is {right}"
            for name, (given, right) in expected.items()
            if given != right
        ]
        right = release.override in overrides if overrides else release.override is None
        if not right:
            holds = ", ".join(given.statement for given in overrides) or "none"
            found.append(
                f"override is none of those that hold now ({holds}); promote the model again"
            )
        if release.uri.rstrip("/") != services.store.view_uri(release.digest).rstrip("/"):
            found.append(f"uri {release.uri} is not that of the model {release.digest}")
        if release.golden or judged.test_data:
            golden.require_about(services.store, release.golden, release.digest, judged.test_data)
        if not overrides:
            require_compared(services, release.model, release.environment, judged)
    except AssayError as error:
        found.append(str(error))
    try:
        measured = plans.judged(services, release.reports)
        if measured is not None and release.monitoring != of_bytes(measured):
            found.append(
                f"monitoring is {release.monitoring or 'none'}, the plan that the gate judged is "
                f"{of_bytes(measured)}"
            )
    except AssayError as error:
        found.append(str(error))
    plan = files.get(document.PLAN_FILE)
    if (of_bytes(plan) if plan is not None else "") != release.monitoring:
        found.append(f"{document.PLAN_FILE} is not the one that release.yaml names")
    try:
        require_reached(services, release.model, release.environment, release.digest)
    except AssayError as error:
        found.append(str(error))
    return found
