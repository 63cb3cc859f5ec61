"""The properties of a model or dataset, so that two can be compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from assay.core.attestation import Attestation, about, using
from assay.core.digest import parse_canonical_json
from assay.core.manifest import Manifest
from assay.core.provenance import best
from assay.core.signing import Verifier
from assay.core.store import Store
from assay.core.tree import get_manifest, read_file
from assay.evidence.format import MAX_EVIDENCE_BYTES, EvidenceDocument
from assay.governance.makers import EVALUATE, VALIDATE

MAX_SCHEMA_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """A property of two artifacts, or of one of them."""

    what: str
    left: Any
    right: Any

    @property
    def change(self) -> str:
        """`=`, or the difference of two numbers."""
        if self.left == self.right:
            return "="
        if _is_number(self.left) and _is_number(self.right):
            return f"{self.right - self.left:+.6g}"
        return "changed" if None not in (self.left, self.right) else "only one"


def compare(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[Row]:
    """Both sets of properties side by side, in their order."""
    return [Row(name, left.get(name), right.get(name)) for name in dict.fromkeys([*left, *right])]


def properties(store: Store, manifest: Manifest, verifier: Verifier | None) -> dict[str, Any]:
    """The properties of an artifact: its attestation, its schema, its evidence, its files.

    Args:
        store: The store with it.
        manifest: Of the artifact.
        verifier: Whose signatures count.

    Returns:
        The properties by name, in the order for readers.

    Raises:
        IntegrityError: A blob does not match its digest.
        NotFoundError: A blob is not in the store.
    """
    result: dict[str, Any] = {"digest": manifest.digest, "bytes": manifest.size}
    result.update({f"annotation {name}": value for name, value in manifest.annotations.items()})
    made = best(about(store, manifest.digest, verifier))
    if made is not None:
        result.update(_execution_properties(store, made))
    result.update(_schema_properties(store, manifest))
    for attestation in using(store, manifest.digest, verifier):
        for name, output in attestation.outputs.items():
            # Only evidence about this artifact alone; a comparison is about two.
            if attestation.entry_point in {EVALUATE, VALIDATE}:
                values = evidence_values(store, output.digest)
                result.update({f"{attestation.step} {name}: {k}": v for k, v in values.items()})
    result.update({f"file {entry.path}": entry.blob.digest for entry in manifest.files})
    return result


def _execution_properties(store: Store, attestation: Attestation) -> dict[str, Any]:
    result: dict[str, Any] = {f"parameter {k}": v for k, v in attestation.parameters.items()}
    for name, value in attestation.inputs.items():
        result[f"input {name}"] = value
        if isinstance(value, str) and value:
            held = schema(store, get_manifest(store, value))
            if held is not None:
                result[f"input {name} rows"] = held["rows"]
    result.update({f"source {name}": source.digest for name, source in attestation.sources.items()})
    result["code of the step"] = attestation.code.step
    result["code of the library"] = attestation.code.modules
    result["distributions"] = attestation.code.distributions
    result["git commit"] = attestation.git_commit
    return result


def _schema_properties(store: Store, manifest: Manifest) -> dict[str, Any]:
    held = schema(store, manifest)
    if held is None:
        return {}
    result: dict[str, Any] = {"rows": held["rows"]}
    for column in held["columns"]:
        result[f"column {column['name']}"] = column["type"]
        result[f"nulls in {column['name']}"] = column.get("nulls")
    return result


def schema(store: Store, manifest: Manifest) -> dict[str, Any] | None:
    """The `schema.json` of a dataset; None for other artifacts."""
    raw = json_file(store, manifest, "schema.json")
    return raw if isinstance(raw, dict) else None


def json_file(store: Store, manifest: Manifest, path: str) -> Any:
    """Read a file of canonical JSON in an artifact.

    Args:
        store: The store with it.
        manifest: Of the artifact.
        path: Of the file.

    Returns:
        Its content; None for an artifact without the file.

    Raises:
        IntegrityError: The file does not match its digest, or is not canonical JSON.
    """
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
