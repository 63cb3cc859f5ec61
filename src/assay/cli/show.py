"""`assay show`: show an artifact or attestation."""

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
    """Show DIGEST: an artifact with its files and attestations, or an attestation."""
    use_defaults()
    store, verifier = store_from_env(), verifier_from_env()
    try:
        manifest = get_manifest(store, digest)
    except IntegrityError as not_an_artifact:
        try:
            attestation = load(store, digest, verifier)
        except AttestationError:
            raise not_an_artifact from None
        _show_attestation(attestation, as_json)
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
        "attestations": [attestation.digest for attestation in made],
        "usedBy": [
            {"step": attestation.step, "attestation": attestation.digest} for attestation in used
        ],
    }


def _file_json(entry: FileEntry) -> dict[str, Any]:
    position = {"pack": entry.pack.digest, "offset": entry.offset} if entry.pack else {}
    return {"path": entry.path, **entry.blob.to_dict(), **position}


def _show_artifact(manifest: Manifest, made: list[Attestation], used: list[Attestation]) -> None:
    packed = manifest.packed
    properties = [
        ("digest", manifest.digest),
        ("type", manifest.artifact_type),
        ("manifest", f"{len(manifest.to_bytes())} bytes, {manifest.media_type}"),
        ("content", f"{len(manifest.files)} files, {human_bytes(manifest.size)}"),
        *([("packs", f"{len(packed)} blobs contain the small files")] if packed else []),
        *manifest.annotations.items(),
        *((f"made by {attestation.step}", attestation.digest) for attestation in made),
        *((f"used by {attestation.step}", attestation.digest) for attestation in used),
    ]
    print_table(["property", "value"], properties)
    rows = [
        (e.path, human_bytes(e.blob.size), e.blob.media_type, e.blob.digest) for e in manifest.files
    ]
    print_table(["path", "size", "media type", "digest"], rows)


def _show_attestation(attestation: Attestation, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "digest": attestation.digest,
                "signedBy": attestation.signed_by,
                "admittedBy": attestation.admitted_by,
                **attestation.statement(),
            }
        )
        return
    inputs = [
        (f"input {name}", item)
        for name, value in attestation.inputs.items()
        for item in (value if isinstance(value, list) else [value])
        if item
    ]
    properties = [
        ("attestation", attestation.digest),
        ("step", f"{attestation.step} ({attestation.entry_point})"),
        ("step key", attestation.step_key),
        ("signed by", attestation.signed_by or "nobody"),
        ("admitted by", attestation.admitted_by or "nobody"),
        ("started", attestation.details.started),
        ("finished", attestation.details.finished),
        ("code", attestation.code_digest),
        ("git commit", attestation.git_commit or "unknown"),
        ("image", attestation.image or "none"),
        *inputs,
        *((f"source {name}", f"{s.uri} {s.digest}") for name, s in attestation.sources.items()),
        *((f"parameter {name}", value) for name, value in attestation.parameters.items()),
        *((f"output {name}", output.digest) for name, output in attestation.outputs.items()),
        *((f"value {name}", value) for name, value in attestation.values.items()),
    ]
    print_table(["property", "value"], properties)
