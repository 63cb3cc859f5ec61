"""The monitoring plan of a release.

The gate judged how soon one plan detects faults, so exactly that plan is released with the model. A
model that was judged without one may get a plan, or keeps that of its environment.
"""

from collections.abc import Mapping
from pathlib import Path

from assay.core.attestation import about
from assay.core.digest import of_bytes
from assay.core.step import Services
from assay.core.tree import get_manifest, read_file
from assay.errors import IntegrityError, UsageError
from assay.monitoring import FILE_NAME, parse_plan
from assay.monitoring.plan import MAX_PLAN_BYTES
from assay.releases import layout
from assay.releases.release import Release
from assay.releases.repository import Repository

CHECK = "check_monitoring"
REPORT = "monitoring"


def judged(services: Services, reports: Mapping[str, str]) -> bytes | None:
    """The plan that the gate's evidence was measured with.

    Args:
        services: The store, and whose signatures count.
        reports: The evidence that was judged, by kind.

    Returns:
        Its bytes; None when no plan was judged.

    Raises:
        IntegrityError: The plan does not match its digest.
        NotFoundError: The plan is not in the store.
    """
    report = reports.get(REPORT)
    attestations = about(services.store, report, services.verifier) if report else []
    plans = [
        attestation.inputs["plan"] for attestation in attestations if attestation.step == CHECK
    ]
    for plan in plans:
        if not isinstance(plan, str) or not plan:
            continue
        manifest = get_manifest(services.store, plan)
        data = read_file(services.store, manifest, FILE_NAME, MAX_PLAN_BYTES)
        if data is None:
            raise IntegrityError(f"{plan} has no {FILE_NAME}")
        return data
    return None


def chosen(
    repository: Repository, release: Release, given: bytes | None, measured: bytes | None
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
        UsageError: The given plan does not parse, or differs from the measured one.
    """
    if given is not None:
        parse_plan(given)
    if measured is not None:
        if given not in {None, measured}:
            raise UsageError(
                "monitoring: not the plan that the gate judged this model with "
                f"({of_bytes(measured)}); leave it out, or run the pipeline with the new plan"
            )
        return measured
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
