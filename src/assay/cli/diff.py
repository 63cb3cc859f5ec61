"""`assay diff`: two models, or two datasets."""

from dataclasses import dataclass
from typing import Any

import click

from assay.attestation import Attestation, about, using
from assay.cli.console import json_option, print_json, print_table, use_defaults
from assay.config import store_from_env
from assay.digest import parse_canonical_json, require_digest
from assay.errors import UsageError
from assay.manifest import Manifest
from assay.provenance import evidence_values
from assay.signing import Verifier, verifier_from_env
from assay.store import Store
from assay.tree import get_manifest

MAX_SCHEMA_BYTES = 16 << 20


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


@click.command("diff")
@click.argument("left")
@click.argument("right")
@click.option("--all", "everything", is_flag=True, help="Also what is equal.")
@json_option
def command(left: str, right: str, everything: bool, as_json: bool) -> None:
    """Compare two models or two datasets: parameters, data, code, metrics."""
    use_defaults()
    store, verifier = store_from_env(), verifier_from_env()
    manifests = [get_manifest(store, require_digest(digest)) for digest in (left, right)]
    kinds = [manifest.artifact_type for manifest in manifests]
    if kinds[0] != kinds[1]:
        raise UsageError(f"these are of two kinds, {kinds[0]} and {kinds[1]}; give two of one kind")
    facts = [_facts(store, manifest, verifier) for manifest in manifests]
    rows = [
        Row(name, facts[0].get(name), facts[1].get(name))
        for name in dict.fromkeys([*facts[0], *facts[1]])
    ]
    shown = [row for row in rows if everything or row.left != row.right]
    if as_json:
        print_json([{"what": r.what, "left": r.left, "right": r.right} for r in shown])
        return
    if not shown:
        click.echo("no difference")
        return
    print_table(
        ["what", "left", "right", "change"],
        [(row.what, _text(row.left), _text(row.right), row.change) for row in shown],
    )


def _facts(store: Store, manifest: Manifest, verifier: Verifier | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"digest": manifest.digest, "bytes": manifest.size}
    facts.update({f"annotation {name}": value for name, value in manifest.annotations.items()})
    records = about(store, manifest.digest, verifier)
    if records:
        facts.update(_record_facts(store, records[0]))
    facts.update(_schema_facts(store, manifest))
    for record in using(store, manifest.digest, verifier):
        for name, output in record.outputs.items():
            # Only what judges this artifact by itself: a comparison is about two.
            if record.step in {"evaluate", "validate_data"}:
                values = evidence_values(store, output.digest)
                facts.update({f"{record.step} {name}: {k}": v for k, v in values.items()})
    facts.update({f"file {entry.path}": entry.blob.digest for entry in manifest.files})
    return facts


def _record_facts(store: Store, record: Attestation) -> dict[str, Any]:
    facts: dict[str, Any] = {f"parameter {k}": v for k, v in record.parameters.items()}
    for name, value in record.inputs.items():
        facts[f"input {name}"] = value
        if isinstance(value, str) and value:
            schema = _schema(store, get_manifest(store, value))
            if schema is not None:
                facts[f"input {name} rows"] = schema["rows"]
    facts.update({f"source {name}": source.digest for name, source in record.sources.items()})
    facts["code of the step"] = record.code.step
    facts["code of the library"] = record.code.library
    facts["requirements"] = record.code.requirements
    facts["git commit"] = record.git_commit
    return facts


def _schema_facts(store: Store, manifest: Manifest) -> dict[str, Any]:
    schema = _schema(store, manifest)
    if schema is None:
        return {}
    facts: dict[str, Any] = {"rows": schema["rows"]}
    for column in schema["columns"]:
        facts[f"column {column['name']}"] = column["type"]
        facts[f"nulls in {column['name']}"] = column.get("nulls")
    return facts


def _schema(store: Store, manifest: Manifest) -> dict[str, Any] | None:
    entry = next((entry for entry in manifest.files if entry.path == "schema.json"), None)
    if entry is None:
        return None
    raw = parse_canonical_json(store.get_bytes(entry.blob.digest, MAX_SCHEMA_BYTES), "schema.json")
    return raw if isinstance(raw, dict) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
