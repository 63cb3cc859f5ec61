"""The version's tags, run and source."""

import json
from typing import Final

import yaml
from assay.components.register.checks import Facts

from assay.evidence import EvidenceDocument
from assay.registry import MAX_TAG_CHARS, ModelVersion, Registry
from assay.step import Evaluation, Measurements, Services
from assay.tree import get_manifest

MAX_MLMODEL_BYTES: Final = 16 << 20


def register_version(
    services: Services,
    model: str,
    facts: Facts,
    evaluation: Evaluation,
    measurements: Measurements | None,
    data: str,
    model_name: str,
) -> tuple[ModelVersion, bool]:
    """Register the model's view in the store, with everything a reader of the registry asks."""
    manifest = get_manifest(services.store, model)
    quality = EvidenceDocument.read(evaluation.path)
    measured = EvidenceDocument.read(measurements.path) if measurements else None
    judgement, training = facts.judgement, facts.training
    tags = {
        "assay.model": model,
        "assay.data": data or str(training.inputs.get("data", "")),
        "assay.train_data": str(training.inputs.get("data", "")),
        "assay.decision": facts.decision,
        "assay.policy": judgement.policy_artifact,
        "assay.evaluation": evaluation.digest,
        "assay.code": training.code_digest,
        "assay.git_commit": training.git_commit or "unknown",
        "assay.model_bytes": str(manifest.size),
        "assay.threads": str(training.parameters.get("threads", "")),
    }
    tags.update(_schemas(services, model))
    numbers = {k: v for k, v in quality.values.items() if v is not None}
    if measured is not None:
        tags["assay.measurements"] = measurements.digest if measurements else ""
        numbers.update({k: v for k, v in measured.values.items() if v is not None})
        for name in ("latency_p50_ms", "latency_p99_ms", "throughput_rows_per_s"):
            if (value := measured.values.get(name)) is not None:
                tags[f"assay.{name}"] = f"{value:.4g}"
    source = services.store.view(manifest)
    return Registry().register(model_name, model, source, tags, numbers)


def _schemas(services: Services, model: str) -> dict[str, str]:
    """Input and output schema as MLflow wrote them; by digest where a tag cannot hold them."""
    manifest = get_manifest(services.store, model)
    entry = next(item for item in manifest.files if item.path == "MLmodel")
    raw = yaml.safe_load(services.store.get_bytes(entry.blob.digest, MAX_MLMODEL_BYTES))
    tags = {}
    for side in ("inputs", "outputs"):
        columns = json.loads(raw["signature"][side])
        text = json.dumps(columns, separators=(",", ":"))
        too_long = f"{len(columns)} columns; see MLmodel, {entry.blob.digest}"
        tags[f"assay.schema_{side}"] = text if len(text) <= MAX_TAG_CHARS else too_long
    return tags
