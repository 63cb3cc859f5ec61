"""What a blob names: the artifacts and files that must be there for it to mean something."""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from assay.core.attestation import BUILD_TYPE, MAX_ATTESTATION_BYTES, Attestation, load
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
    """What a blob is."""

    ATTESTATION = "attestation"
    MANIFEST = "manifest"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Names:
    """What one blob names."""

    files: tuple[Descriptor, ...] = ()
    """Blobs whose size is known too."""
    artifacts: tuple[str, ...] = ()
    """Digests of manifests."""


def kind_of(store: Store, digest: str, size: int) -> Kind:
    """What a blob is. A user's own file may begin like one of ours, so candidates are read.

    Raises:
        IntegrityError: Damaged.
        NotFoundError: Nothing there.
    """
    if not 0 < size <= MAX_MANIFEST_BYTES:
        return Kind.FILE
    head = store.peek(digest, _HEAD_BYTES)
    if head.startswith(b'{"annotations":'):
        # Canonical JSON has one spelling: the media type stands last, but for the packs.
        data = store.get_bytes(digest, size)
        ours = data.endswith(_MANIFEST_END) or _PACKED_END.search(data)
        return Kind.MANIFEST if ours else Kind.FILE
    if head.startswith((b'{"_type":', b'{"payload":')) and size <= MAX_ATTESTATION_BYTES:
        return Kind.ATTESTATION if _is_attestation(store.get_bytes(digest, size)) else Kind.FILE
    return Kind.FILE


def _is_attestation(data: bytes) -> bool:
    try:
        raw = json.loads(data)
        if "payload" in raw:
            raw = json.loads(base64.b64decode(raw["payload"]))
        return bool(raw["predicate"]["buildDefinition"]["buildType"] == BUILD_TYPE)
    except (ValueError, TypeError, KeyError, RecursionError):
        return False


def names_of_manifest(manifest: Manifest) -> Names:
    """The files of an artifact."""
    return Names(files=tuple(manifest.blobs))


def names_of_attestation(attestation: Attestation) -> Names:
    """What an execution read and made."""
    outputs = [output.digest for output in attestation.outputs.values()]
    return Names(artifacts=tuple(dict.fromkeys([*outputs, *attestation.input_digests()])))


def names_of(store: Store, digest: str, kind: Kind, verifier: Verifier | None) -> Names:
    """What the blob under `digest` names.

    Raises:
        IntegrityError: Damaged, malformed, or an attestation that cannot be believed.
        NotFoundError: Nothing there.
    """
    if kind is Kind.MANIFEST:
        return names_of_manifest(get_manifest(store, digest))
    if kind is Kind.ATTESTATION:
        return names_of_attestation(load(store, digest, verifier))
    return Names()


def target_of(store: Store, pointer: str) -> str:
    """The digest that a pointer leads to: of an attestation, or of an artifact for a pin.

    Raises:
        IntegrityError: It does not hold what it should.
    """
    if pointer.startswith("cache/"):
        return read_cache_pointer(store.read_pointer(pointer) or b"")
    digest = PREFIX + pointer.rsplit("/", 1)[-1]
    if not is_digest(digest):
        raise IntegrityError(f"{pointer}: not the name of a pointer")
    return digest


def attestations_about(pointers: list[str]) -> dict[str, list[str]]:
    """Artifact to the attestations of how it was made, from the names of `referrers/…`."""
    found: dict[str, list[str]] = {}
    for artifact, attestation in _pairs(pointers):
        found.setdefault(artifact, []).append(attestation)
    return found


def _pairs(pointers: list[str]) -> Iterator[tuple[str, str]]:
    for pointer in pointers:
        parts = pointer.split("/")
        if len(parts) == 3:  # noqa: PLR2004 - kind, artifact, attestation
            yield PREFIX + parts[1], PREFIX + parts[2]
