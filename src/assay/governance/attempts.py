"""The number of models that were tried on the same test rows.

Of twenty models that are no better than chance, one looks good at a confidence of 95 %. So the
models that were measured on the same rows are counted, each once, whatever their name, from the
attestations in the store.
"""

from assay.core.attestation import using
from assay.core.step import Model, Services
from assay.core.tree import get_manifest
from assay.errors import IntegrityError, NotFoundError
from assay.evidence.format import EvidenceDocument
from assay.governance.described import info_of
from assay.governance.policy import ATTEMPTS


def tried_on(services: Services, test_data: str) -> list[str]:
    """Digests of the models that were measured on a dataset, by its attestations that count.

    In any role: a comparison measures both of its models.
    """
    result: dict[str, None] = {}
    for attestation in using(services.store, test_data, services.verifier):
        result.update(dict.fromkeys(attestation.input_digests()))
    return [digest for digest in result if digest != test_data and _may_be_model(services, digest)]


def _may_be_model(services: Services, digest: str) -> bool:
    """Whether an artifact is a model; one that was removed or damaged since may have been."""
    try:
        return get_manifest(services.store, digest).artifact_type == Model.type
    except (NotFoundError, IntegrityError):
        return True


def count(services: Services, model: str, test_data: str) -> int:
    """The number of models for the same target that were tried on `test_data`, `model` included.

    A model whose target cannot be read, because it was removed or damaged, counts.

    Args:
        services: The store, and whose signatures count.
        model: Digest of the model.
        test_data: Digest of the rows.

    Returns:
        At least 1.
    """
    target = target_of(services, model)
    tried = {
        digest
        for digest in tried_on(services, test_data)
        if digest != model and (not target or target_of(services, digest) in {"", target})
    }
    return len(tried) + 1


def evidence(services: Services, model: str, test_data: str) -> EvidenceDocument:
    """The number of attempts as evidence about the model.

    Args:
        services: The store, and whose signatures count.
        model: Digest of the model.
        test_data: Digest of the rows.

    Returns:
        The evidence.
    """
    return EvidenceDocument(
        {"model": model, "data": test_data},
        {ATTEMPTS: float(count(services, model, test_data))},
    )


def target_of(services: Services, model: str) -> str:
    """The column that a model predicts, from its own file; "" if it cannot be read.

    An attestation cannot say it: anybody can write one of a model that others made.
    """
    try:
        return info_of(services.store, model).target
    except (NotFoundError, IntegrityError):
        return ""
