"""What can be said about a model or dataset in a line each, so that two can be compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from assay.core.attestation import Attestation, about, using
from assay.core.digest import parse_canonical_json
from assay.core.manifest import Manifest
from assay.core.signing import Verifier
from assay.core.store import Store
from assay.core.tree import get_manifest, read_file
from assay.evidence.format import MAX_EVIDENCE_BYTES, EvidenceDocument

MAX_SCHEMA_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that both have, or that one of them has."""

    what: str
    left: Any
    right: Any

    @property
    def change(self) -> str:
        """`=`, or how a number moved."""
        if self.left == self.right:
            return "="
        if _is_number(self.left) and _is_number(self.right):
            return f"{self.right - self.left:+.6g}"
        return "changed" if None not in (self.left, self.right) else "only one"


def compare(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[Row]:
    """Both sets of facts side by side, in the order in which they are told."""
    return [Row(name, left.get(name), right.get(name)) for name in dict.fromkeys([*left, *right])]


def facts(store: Store, manifest: Manifest, verifier: Verifier | None) -> dict[str, Any]:
    """Everything about an artifact: its record, its schema, what judged it, its files."""
    found: dict[str, Any] = {"digest": manifest.digest, "bytes": manifest.size}
    found.update({f"annotation {name}": value for name, value in manifest.annotations.items()})
    records = about(store, manifest.digest, verifier)
    if records:
        found.update(_record_facts(store, records[0]))
    found.update(_schema_facts(store, manifest))
    for record in using(store, manifest.digest, verifier):
        for name, output in record.outputs.items():
            # Only what judges this artifact by itself: a comparison is about two.
            if record.step in {"evaluate", "validate_data"}:
                values = evidence_values(store, output.digest)
                found.update({f"{record.step} {name}: {k}": v for k, v in values.items()})
    found.update({f"file {entry.path}": entry.blob.digest for entry in manifest.files})
    return found


def _record_facts(store: Store, record: Attestation) -> dict[str, Any]:
    found: dict[str, Any] = {f"parameter {k}": v for k, v in record.parameters.items()}
    for name, value in record.inputs.items():
        found[f"input {name}"] = value
        if isinstance(value, str) and value:
            held = schema(store, get_manifest(store, value))
            if held is not None:
                found[f"input {name} rows"] = held["rows"]
    found.update({f"source {name}": source.digest for name, source in record.sources.items()})
    found["code of the step"] = record.code.step
    found["code of the library"] = record.code.modules
    found["distributions"] = record.code.distributions
    found["git commit"] = record.git_commit
    return found


def _schema_facts(store: Store, manifest: Manifest) -> dict[str, Any]:
    held = schema(store, manifest)
    if held is None:
        return {}
    found: dict[str, Any] = {"rows": held["rows"]}
    for column in held["columns"]:
        found[f"column {column['name']}"] = column["type"]
        found[f"nulls in {column['name']}"] = column.get("nulls")
    return found


def schema(store: Store, manifest: Manifest) -> dict[str, Any] | None:
    """A dataset's `schema.json`; None for what is no dataset."""
    raw = json_file(store, manifest, "schema.json")
    return raw if isinstance(raw, dict) else None


def json_file(store: Store, manifest: Manifest, path: str) -> Any:
    """A file of canonical JSON in an artifact; None where it has no such file."""
    data = read_file(store, manifest, path, MAX_SCHEMA_BYTES)
    return None if data is None else parse_canonical_json(data, path)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def evidence_values(store: Store, artifact: str) -> dict[str, float]:
    """The numbers in an artifact's `evidence.json`; empty when it has none."""
    data = read_file(store, get_manifest(store, artifact), "evidence.json", MAX_EVIDENCE_BYTES)
    if not data:
        return {}
    document = EvidenceDocument.parse(data)
    return {name: value for name, value in document.values.items() if value is not None}
