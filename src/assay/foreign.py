"""Bytes that a foreign component made: kept as they came, so that what is made of them can be proved.

An ordinary KFP artifact lies where KFP put it, and goes when KFP's files expire. So its bytes go
into the store before anything reads them, and a step takes them by their digest like any other
input: the record of an import names bytes that are still there, and can be done again.
"""  # noqa: E501 - one line says what the module is for

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from assay.attestation import about
from assay.errors import AttestationError, DataError
from assay.execution import Context
from assay.manifest import MANIFEST_MEDIA_TYPE, FileEntry, Manifest
from assay.step import Artifact
from assay.store import Store
from assay.tree import put_tree

FILE: Final = "data"
"""What a single file is called within the artifact; KFP's name for it is chance."""


class Foreign(Artifact):
    """What another component wrote: `data` when it was one file, else its folder's files."""

    type = "application/vnd.assay.foreign.v1"


@dataclass(frozen=True, slots=True)
class Known:
    """An artifact that the store has a record of."""

    digest: str
    attestation: str
    """Digest of its oldest record."""


def keep(path: Path, store: Store) -> str:
    """Store a file or folder as it is; returns the digest that names it.

    Raises:
        DataError: Nothing there, or nothing in it.
        StepError: A folder with links or special files.
    """
    if path.is_dir():
        manifest = put_tree(store, path, Foreign.type, {})
        if not manifest.files:
            raise DataError(f"{path} is an empty folder; did the component before write its files?")
        return manifest.digest
    if not path.is_file():
        raise DataError(f"nothing at {path}; did the component before write its output?")
    entry = FileEntry(FILE, store.put_file(path))
    manifest = Manifest(Foreign.type, (entry,), {})
    return store.put_bytes(manifest.to_bytes(), MANIFEST_MEDIA_TYPE).digest


def recognise(foreign: Manifest, kind: type[Artifact], context: Context) -> Known | None:
    """The artifact of `kind` that has exactly these files, if this store has a record of it.

    What was exported and comes back unaltered is what it was, by its name. A record must say so
    that can be believed: whoever wrote the files could have written a manifest as well.

    Returns:
        Its digest and that of the record, or None.
    """
    own = Manifest(kind.type, foreign.files, {})
    try:
        records = about(context.store, own.digest, context.verifier)
    except AttestationError:
        return None
    return Known(own.digest, records[0].digest) if records else None
