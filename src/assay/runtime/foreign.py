"""Artifacts of foreign components, which do not use digests: they are stored unchanged.

KFP keeps the files of an ordinary KFP artifact, and they expire. So its bytes are stored before
anything reads them, and a step takes them by their digest like any other input: the attestation of
an import names bytes that the store has, and the import can be reproduced.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from assay.core.attestation import about
from assay.core.execution import Context, execute
from assay.core.manifest import Manifest
from assay.core.step import Artifact, Out, step
from assay.errors import AttestationError, DataError
from assay.printable import public

FILE: Final = "data"
"""Name of a single file within the artifact; its name in KFP is arbitrary."""


class Foreign(Artifact):
    """An artifact of a foreign component: the file `data`, or the files of its folder."""

    type = "application/vnd.assay.foreign.v1"


@dataclass(frozen=True, slots=True)
class Known:
    """An artifact with an attestation in the store."""

    digest: str
    attestation: str
    """Digest of its oldest attestation."""


@step(side_effects=True)
def receive(*, path: str, uri: str = "", foreign: Out[Foreign]) -> None:
    """Copy a file or folder unchanged; a step, so that an attestation records its location.

    Args:
        path: Location on this machine.
        uri: Location in KFP, for the attestation.
        foreign: The artifact.

    Raises:
        DataError: The path does not exist, is empty, or has links.
    """
    del uri  # only for the attestation
    place = Path(path)
    if place.is_dir():
        links = sorted(str(item.relative_to(place)) for item in place.rglob("*") if _is_odd(item))
        if links:
            raise DataError(
                f"the folder {place} has links or special files ({', '.join(links[:5])}); write "
                "files only"
            )
        shutil.copytree(place, foreign.path, dirs_exist_ok=True, copy_function=shutil.copyfile)
        if not any(item.is_file() for item in foreign.path.rglob("*")):
            raise DataError(
                f"{place} is an empty folder; check that the previous component wrote its files"
            )
    elif place.is_file():
        shutil.copyfile(place, foreign.path / FILE)
    else:
        raise DataError(
            f"{place} does not exist; check that the previous component wrote its output"
        )


def _is_odd(item: Path) -> bool:
    return item.is_symlink() or not (item.is_file() or item.is_dir())


def keep(path: Path, context: Context, uri: str = "") -> str:
    """Store a file or folder unchanged, with an attestation.

    Args:
        path: Location on this machine.
        context: The store and the keys.
        uri: Location in KFP, for the attestation; credentials are removed.

    Returns:
        The digest of the artifact.

    Raises:
        DataError: As `receive`.
    """
    arguments = {"path": str(path), "uri": public(uri)}
    return execute(receive, arguments, context).outputs["foreign"]


def recognise(foreign: Manifest, kind: type[Artifact], context: Context) -> Known | None:
    """Find the artifact of a kind with exactly these files, if an attestation of it counts.

    An exported artifact that comes back unchanged keeps its digest. An attestation is required,
    because the author of the files could have written a manifest too.

    Args:
        foreign: The manifest of the foreign artifact.
        kind: The kind.
        context: The store and the keys.

    Returns:
        Its digest and that of the attestation, or None.
    """
    own = Manifest(kind.type, foreign.files, {})
    try:
        records = about(context.store, own.digest, context.verifier)
    except AttestationError:
        return None
    return Known(own.digest, records[0].digest) if records else None
