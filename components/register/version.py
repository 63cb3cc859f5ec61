"""The version's tags, run and source."""

import json
from typing import Any, Final

from assay.core import plain_copies
from assay.core.manifest import Manifest
from assay.core.step import Evaluation, Measurements, Services
from assay.core.store import Store
from assay.core.tree import get_manifest, read_entry
from assay.documents import Limits, read_json, read_yaml
from assay.errors import IntegrityError
from assay.evidence.format import EvidenceDocument
from assay.governance.admission import Assessment
from assay.governance.registry import DATA_TAG, MAX_TAG_CHARS, MODEL_TAG, ModelVersion, Registry

MAX_MLMODEL_BYTES: Final = 16 << 20
MEASURED: Final = (
    "latency_p50_ms",
    "latency_p99_ms",
    "throughput_rows_per_s",
    "peak_memory_bytes",
)
"""Measurements that serving needs, where they exist."""


def register_version(
    registry: Registry,
    services: Services,
    model: str,
    assessment: Assessment,
    evaluation: Evaluation,
    measurements: Measurements | None,
    model_name: str,
) -> tuple[ModelVersion, bool]:
    """Register the model's plain copy with its tags, metrics and parameters.

    Args:
        registry: The registry.
        services: The store.
        model: Digest of the model.
        assessment: The result of the checks.
        evaluation: Of the model.
        measurements: Of the model; None for none.
        model_name: Name of the registered model.

    Returns:
        The version, and whether it is new.

    Raises:
        IntegrityError: The model has no MLmodel file.
        ServiceError: The registry failed.
    """
    manifest = get_manifest(services.store, model)
    judgement, training = assessment.judgement, assessment.training
    tags = {
        MODEL_TAG: model,
        DATA_TAG: assessment.data,
        "assay.train_data": str(training.inputs.get("data", "")),
        "assay.test_data": judgement.test_data,
        "assay.production": judgement.production,
        "assay.decision": assessment.decision,
        "assay.policy": judgement.policy_artifact,
        "assay.evaluation": evaluation.digest,
        "assay.measurements": measurements.digest if measurements else "",
        "assay.code": training.code_digest,
        "assay.attestation": training.digest,
        "assay.git_commit": training.git_commit,
        "assay.model_bytes": str(manifest.size),
        "assay.threads": str(training.parameters.get("threads", "")),
        **_schemas(services.store, manifest),
    }
    numbers = dict(EvidenceDocument.read(evaluation.path).values)
    if measurements is not None:
        measured = EvidenceDocument.read(measurements.path).values
        numbers.update(measured)
        for name in MEASURED:
            if (value := measured.get(name)) is not None:
                tags[f"assay.{name}"] = f"{value:.4g}"
    return registry.register(
        model_name,
        model,
        plain_copies.make(services.store, manifest),
        # MLflow shows an empty tag like any other.
        {name: text for name, text in tags.items() if text},
        {name: value for name, value in numbers.items() if value is not None},
        {name: _text(value) for name, value in training.parameters.items()},
    )


def _schemas(store: Store, manifest: Manifest) -> dict[str, str]:
    """Input and output schema as MLflow wrote them.

    Where a tag cannot hold one, the digest of the file that does.
    """
    entry = manifest.find("MLmodel")
    if entry is None:
        raise IntegrityError(
            f"the model {manifest.digest} has no MLmodel file, so MLflow cannot load it"
        )
    data = read_entry(store, entry, MAX_MLMODEL_BYTES)
    limits = Limits(MAX_MLMODEL_BYTES, depth=32)
    raw = read_yaml(data, "MLmodel", limits, error=IntegrityError, person=False).value
    signature = (raw.get("signature") if isinstance(raw, dict) else None) or {}
    tags = {}
    for port in ("inputs", "outputs"):
        columns = read_json(signature.get(port) or "[]", "MLmodel", limits, error=IntegrityError)
        text = json.dumps(columns, separators=(",", ":"), ensure_ascii=False)
        if len(text) > MAX_TAG_CHARS:
            text = json.dumps({"columns": len(columns), "file": "MLmodel", "in": entry.blob.digest})
        tags[f"assay.schema_{port}"] = text
    return tags


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
