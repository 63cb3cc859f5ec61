"""The container images that components run in.

A component names the role of its image. Compiling a pipeline binds the role to an image
(`assay.runtime.compiled.compile_pipeline`); until then the reference is a placeholder in a domain
that never resolves (RFC 2606), so that a cluster cannot pull it by accident.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from assay import __version__
from assay.documents import read_json, read_regular
from assay.errors import UsageError

ROLES: Final = ("data", "train", "release", "deploy")
"""One image for each set of dependencies: data validation; scikit-learn; the registry; Git."""
MAX_MAP_BYTES: Final = 1 << 20
CODE_FOLDER: Final = "/opt/assay/code"
"""Folder of the library in the images of `images/`."""
_PLACEHOLDER: Final = "assay.invalid/role/"


def placeholder(role: str) -> str:
    """The placeholder reference of a component's image before compiling."""
    return f"{_PLACEHOLDER}{role}"


def is_placeholder(reference: str) -> bool:
    """Whether a reference is a placeholder."""
    return reference.startswith(_PLACEHOLDER)


def development_image(role: str) -> str:
    """The tag of the image of a role that `make images` builds."""
    return f"assay-python-{role}:{__version__}"


def read_images(path: Path | None, *, development: bool = False) -> dict[str, str]:
    """The image of each role.

    Args:
        path: A JSON file `{role: reference}`, such as the one that `make push` writes. None: the
            development tags of this version.
        development: Allow references that are not pinned by digest. A tag can move, and KFP's
            cache would then answer with results of another image.

    Raises:
        UsageError: The file cannot be read, has no image for a role, or an image is not pinned.
    """
    images = _read(path) if path else {role: development_image(role) for role in ROLES}
    loose = [reference for reference in images.values() if not is_pinned(reference)]
    if loose and not development:
        raise UsageError(
            f"images not pinned by digest: {', '.join(loose)}; give --images with references by "
            "digest, or --dev for a development build"
        )
    return images


def _read(path: Path) -> dict[str, str]:
    remedy = f"give a JSON object with a reference for each of {', '.join(ROLES)}"
    try:
        content = read_json(read_regular(path, MAX_MAP_BYTES, "--images"), str(path))
    except UsageError as error:
        raise UsageError(f"{error}; {remedy}") from error
    references = content if isinstance(content, dict) else {}
    images = {role: references.get(role) for role in ROLES}
    missing = [role for role, reference in images.items() if not _is_reference(reference)]
    if missing:
        raise UsageError(f"{path}: no image for {', '.join(missing)}; {remedy}")
    return {role: str(reference) for role, reference in images.items()}


def _is_reference(value: object) -> bool:
    return isinstance(value, str) and bool(value) and not is_placeholder(value)


def bind(reference: str, images: Mapping[str, str]) -> str:
    """The image for a placeholder; other references are returned unchanged.

    Args:
        reference: Reference of a container in a compiled pipeline.
        images: Image by role, as `read_images` returns it.

    Raises:
        UsageError: `images` lacks the role.
    """
    if not is_placeholder(reference):
        return reference
    role = reference.removeprefix(_PLACEHOLDER)
    if not _is_reference(images.get(role)):
        raise UsageError(f"no image for the role {role!r}; give one for each of {', '.join(ROLES)}")
    return images[role]


def is_pinned(reference: str) -> bool:
    """Whether a reference has a digest, not a tag that can move."""
    return "@sha256:" in reference
