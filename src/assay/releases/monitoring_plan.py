"""The monitoring plan of a release.

The gate judged how soon one plan detects faults, so exactly that plan is released with the model. A
model that was judged without one may get a plan, or keeps that of its environment.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from assay.core.attestation import about
from assay.core.digest import of_bytes
from assay.core.step import Services
from assay.core.store import Store
from assay.core.tree import get_manifest, read_file
from assay.errors import IntegrityError, UsageError
from assay.governance.makers import CHECK_MONITORING, Admitted
from assay.monitoring import FILE_NAME, parse_plan
from assay.monitoring.plan import MAX_PLAN_BYTES
from assay.releases import layout
from assay.releases.release import Release
from assay.releases.repository import Repository

REPORT = "monitoring"


def judged(services: Services, admitted: Admitted, reports: Mapping[str, str]) -> list[bytes]:
    """The plans that the gate's evidence was measured with.

    Two plans give the same evidence if they differ in what it does not show, such as comments.

    Args:
        services: The store, and whose signatures count.
        admitted: The steps that count.
        reports: The evidence that was judged, by kind.

    Returns:
        Their bytes, in the order of the measurements; empty when no plan was judged.

    Raises:
        IntegrityError: A plan does not match its digest.
        NotFoundError: A plan is not in the store.
    """
    report = reports.get(REPORT)
    named = {
        str(plan): None
        for attestation in (about(services.store, report, services.verifier) if report else ())
        if not admitted.objection(attestation, {CHECK_MONITORING})
        and (plan := attestation.inputs.get("plan"))
    }
    return list(dict.fromkeys(_content(services.store, plan) for plan in named))


def _content(store: Store, plan: str) -> bytes:
    data = read_file(store, get_manifest(store, plan), FILE_NAME, MAX_PLAN_BYTES)
    if data is None:
        raise IntegrityError(f"{plan} has no {FILE_NAME}")
    return data


def chosen(
    repository: Repository, release: Release, given: bytes | None, measured: Sequence[bytes]
) -> bytes | None:
    """The plan to release with: the measured, the given, or the current one.

    Args:
        repository: The deployment repository with earlier plans.
        release: What is released, and where.
        given: Bytes of the file that the user gave.
        measured: The result of `judged`.

    Returns:
        Its bytes; None for none.

    Raises:
        UsageError: The given plan does not parse, or is not among the measured ones; or none is
            given, and there are several.
    """
    if given is not None:
        parse_plan(given)
    if measured:
        names = ", ".join(map(of_bytes, measured))
        if given is None and len(measured) > 1:
            raise UsageError(
                f"the gate judged this model with several monitoring plans ({names}), and their "
                "evidence is the same; name the one to release with --monitoring"
            )
        if given not in {None, *measured}:
            raise UsageError(
                f"monitoring: not the plan that the gate judged this model with ({names}); leave "
                "it out, or run the pipeline with the new plan"
            )
        return given or measured[0]
    if given is not None:
        return given
    for environment in filter(None, [release.environment, layout.below(release.environment)]):
        path = f"{layout.folder(release.model, environment)}/{layout.PLAN_FILE}"
        result = repository.read(path)
        if result is not None:
            return result
    return None


def read(path: Path) -> bytes:
    """Read the file of a plan, up to a limit.

    Raises:
        UsageError: It cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_PLAN_BYTES + 1)  # one more byte shows that it is too large
    except OSError as error:
        raise UsageError(f"--monitoring: cannot read {path}: {error.strerror}") from error
