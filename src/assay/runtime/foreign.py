"""Bytes that a foreign component made: kept as they came, so that what is made of them can be proved.

An ordinary KFP artifact lies where KFP put it, and goes when KFP's files expire. So its bytes go
into the store before anything reads them, and a step takes them by their digest like any other
input: the record of an import names bytes that are still there, and can be done again.
"""  # noqa: E501 - one line says what the module is for

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


@step(side_effects=True)
def receive(*, path: str, uri: str = "", foreign: Out[Foreign]) -> None:
    """Take over a file or folder as it is; a step, so that there is a record of where it lay.

    Raises:
        DataError: Nothing there, nothing in it, or links instead of files.
    """
    del uri  # for the record
    place = Path(path)
    if place.is_dir():
        links = sorted(str(item.relative_to(place)) for item in place.rglob("*") if _is_odd(item))
        if links:
            raise DataError(
                f"the folder {place} holds links or special files ({', '.join(links[:5])}); write "
                "files only"
            )
        shutil.copytree(place, foreign.path, dirs_exist_ok=True, copy_function=shutil.copyfile)
        if not any(item.is_file() for item in foreign.path.rglob("*")):
            raise DataError(
                f"{place} is an empty folder; did the component before write its files?"
            )
    elif place.is_file():
        shutil.copyfile(place, foreign.path / FILE)
    else:
        raise DataError(f"nothing at {place}; did the component before write its output?")


def _is_odd(item: Path) -> bool:
    return item.is_symlink() or not (item.is_file() or item.is_dir())


def keep(path: Path, context: Context, uri: str = "") -> str:
    """Store a file or folder as it is, with a record; returns the digest that names it.

    Args:
        path: Where it lies on this machine.
        context: Where it goes.
        uri: Where it came from, for the record; credentials are removed.

    Raises:
        DataError: As `receive`.
    """
    arguments = {"path": str(path), "uri": public(uri)}
    return execute(receive, arguments, context).outputs["foreign"]


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
