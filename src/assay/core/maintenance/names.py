"""The references of a blob: the artifacts and files that must exist for it to be valid."""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from assay.core.attestation import BUILD_TYPES, MAX_ATTESTATION_BYTES, Attestation, load
from assay.core.digest import PREFIX, is_digest
from assay.core.execution import read_cache_pointer
from assay.core.manifest import (
    MANIFEST_MEDIA_TYPE,
    MAX_MANIFEST_BYTES,
    PACKED_MEDIA_TYPE,
    Descriptor,
    Manifest,
)
from assay.core.signing import Verifier
from assay.core.store import Store
from assay.core.tree import get_manifest
from assay.errors import IntegrityError

_HEAD_BYTES: Final = 32
_MANIFEST_END: Final = f'"mediaType":"{MANIFEST_MEDIA_TYPE}"}}'.encode()
_PACKED_END: Final = re.compile(
    rb'"mediaType":"%b","packs":\[(\{"digest":"[^"]*","mediaType":"[^"]*","size":\d+\},?)+\]\}\Z'
    % re.escape(PACKED_MEDIA_TYPE.encode())
)


class Kind(StrEnum):
    """Types of blobs."""

    ATTESTATION = "attestation"
    MANIFEST = "manifest"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Names:
    """The references of one blob."""

    files: tuple[Descriptor, ...] = ()
    """Blobs with known size."""
    artifacts: tuple[str, ...] = ()
    """Digests of manifests."""


def kind_of(store: Store, digest: str, size: int) -> Kind:
    """Determine the type of a blob.

    Blobs that begin like a manifest or an attestation are read, because a user's file may begin in
    the same way.

    Args:
        store: The store of the blob.
        digest: Its digest.
        size: Its size in bytes.

    Returns:
        The type.

    Raises:
        IntegrityError: The blob is damaged.
        NotFoundError: The blob does not exist.
    """
    if not 0 < size <= MAX_MANIFEST_BYTES:
        return Kind.FILE
    head = store.peek(digest, _HEAD_BYTES)
    if head.startswith(b'{"annotations":'):
        # In canonical JSON the media type is the last field, or the last one before the packs.
        data = store.get_bytes(digest, size)
        is_manifest = data.endswith(_MANIFEST_END) or _PACKED_END.search(data)
        return Kind.MANIFEST if is_manifest else Kind.FILE
    if head.startswith((b'{"_type":', b'{"payload":')) and size <= MAX_ATTESTATION_BYTES:
        return Kind.ATTESTATION if _is_attestation(store.get_bytes(digest, size)) else Kind.FILE
    return Kind.FILE


def _is_attestation(data: bytes) -> bool:
    try:
        raw = json.loads(data)
        if "payload" in raw:
            raw = json.loads(base64.b64decode(raw["payload"]))
        return bool(raw["predicate"]["buildDefinition"]["buildType"] in BUILD_TYPES.values())
    except (ValueError, TypeError, KeyError, RecursionError):
        return False


def names_of_manifest(manifest: Manifest) -> Names:
    """The files of an artifact."""
    return Names(files=tuple(manifest.blobs))


def names_of_attestation(attestation: Attestation) -> Names:
    """The inputs and outputs of an execution."""
    outputs = [output.digest for output in attestation.outputs.values()]
    return Names(artifacts=tuple(dict.fromkeys([*outputs, *attestation.input_digests()])))


def names_of(store: Store, digest: str, kind: Kind, verifier: Verifier | None) -> Names:
    """The references of a blob.

    Args:
        store: The store of the blob.
        digest: Its digest.
        kind: Its type.
        verifier: The configured keys; None accepts unsigned attestations.

    Returns:
        The references; files have none.

    Raises:
        IntegrityError: The blob is damaged or malformed, or an attestation is not valid.
        NotFoundError: The blob does not exist.
    """
    if kind is Kind.MANIFEST:
        return names_of_manifest(get_manifest(store, digest))
    if kind is Kind.ATTESTATION:
        return names_of_attestation(load(store, digest, verifier))
    return Names()


def target_of(store: Store, pointer: str) -> str:
    """The digest that a pointer refers to: an artifact for a pin, otherwise an attestation.

    Raises:
        IntegrityError: The pointer is malformed.
    """
    if pointer.startswith("cache/"):
        return read_cache_pointer(store.read_pointer(pointer) or b"")
    digest = PREFIX + pointer.rsplit("/", 1)[-1]
    if not is_digest(digest):
        raise IntegrityError(f"{pointer}: not the name of a pointer")
    return digest


def attestations_about(pointers: list[str]) -> dict[str, list[str]]:
    """The attestations of each artifact, from the names of pointers `referrers/…`."""
    attestations: dict[str, list[str]] = {}
    for artifact, attestation in _pairs(pointers):
        attestations.setdefault(artifact, []).append(attestation)
    return attestations


def _pairs(pointers: list[str]) -> Iterator[tuple[str, str]]:
    for pointer in pointers:
        parts = pointer.split("/")
        if len(parts) == 3:  # noqa: PLR2004 - kind, artifact, attestation
            yield PREFIX + parts[1], PREFIX + parts[2]
