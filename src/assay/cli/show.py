"""`assay show`: what a digest names."""

from typing import Any

import click

from assay.cli.console import NAME, human_bytes, json_option, print_json, print_table, use_defaults
from assay.core.attestation import Attestation, about, load, using
from assay.core.context import store_from_env
from assay.core.manifest import FileEntry, Manifest
from assay.core.signing import verifier_from_env
from assay.core.tree import get_manifest
from assay.errors import AttestationError, IntegrityError


@click.command("show")
@click.argument("digest", type=NAME)
@json_option
def command(digest: str, as_json: bool) -> None:
    """Show what DIGEST names: an artifact with its files and attestations, or an attestation."""
    use_defaults()
    store, verifier = store_from_env(), verifier_from_env()
    try:
        manifest = get_manifest(store, digest)
    except IntegrityError as not_an_artifact:
        try:
            record = load(store, digest, verifier)
        except AttestationError:
            raise not_an_artifact from None
        _show_record(record, as_json)
        return
    made, used = about(store, digest, verifier), using(store, digest, verifier)
    if as_json:
        print_json(_artifact_json(manifest, made, used))
        return
    _show_artifact(manifest, made, used)


def _artifact_json(
    manifest: Manifest, made: list[Attestation], used: list[Attestation]
) -> dict[str, Any]:
    return {
        "descriptor": {
            "mediaType": manifest.media_type,
            "digest": manifest.digest,
            "size": len(manifest.to_bytes()),
        },
        "artifactType": manifest.artifact_type,
        "annotations": dict(manifest.annotations),
        "files": [_file_json(entry) for entry in manifest.files],
        "attestations": [record.digest for record in made],
        "usedBy": [{"step": record.step, "attestation": record.digest} for record in used],
    }


def _file_json(entry: FileEntry) -> dict[str, Any]:
    place = {"pack": entry.pack.digest, "offset": entry.offset} if entry.pack else {}
    return {"path": entry.path, **entry.blob.to_dict(), **place}


def _show_artifact(manifest: Manifest, made: list[Attestation], used: list[Attestation]) -> None:
    packed = manifest.packed
    facts = [
        ("digest", manifest.digest),
        ("type", manifest.artifact_type),
        ("manifest", f"{len(manifest.to_bytes())} bytes, {manifest.media_type}"),
        ("content", f"{len(manifest.files)} files, {human_bytes(manifest.size)}"),
        *([("packs", f"{len(packed)} blobs hold the small files")] if packed else []),
        *manifest.annotations.items(),
        *((f"made by {record.step}", record.digest) for record in made),
        *((f"used by {record.step}", record.digest) for record in used),
    ]
    print_table(["what", "value"], facts)
    rows = [
        (e.path, human_bytes(e.blob.size), e.blob.media_type, e.blob.digest) for e in manifest.files
    ]
    print_table(["path", "size", "media type", "digest"], rows)


def _show_record(record: Attestation, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "digest": record.digest,
                "signedBy": record.signed_by,
                "admittedBy": record.admitted_by,
                **record.statement(),
            }
        )
        return
    inputs = [
        (f"input {name}", item)
        for name, value in record.inputs.items()
        for item in (value if isinstance(value, list) else [value])
        if item
    ]
    facts = [
        ("attestation", record.digest),
        ("step", f"{record.step} ({record.entry_point})"),
        ("step key", record.step_key),
        ("signed by", record.signed_by or "nobody"),
        ("admitted by", record.admitted_by or "nobody"),
        ("started", record.details.started),
        ("finished", record.details.finished),
        ("code", record.code_digest),
        ("git commit", record.git_commit or "unknown"),
        ("image", record.image or "none"),
        *inputs,
        *((f"source {name}", f"{s.uri} {s.digest}") for name, s in record.sources.items()),
        *((f"parameter {name}", value) for name, value in record.parameters.items()),
        *((f"output {name}", output.digest) for name, output in record.outputs.items()),
        *((f"value {name}", value) for name, value in record.values.items()),
    ]
    print_table(["what", "value"], facts)
