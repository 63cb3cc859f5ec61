"""The container images that components run in.

A component names its image by role; which image that is, is decided when a pipeline is compiled.
Images are pinned by digest through `ASSAY_IMAGES`, the path of a JSON file `{role: reference}`
that `assay compile --images` sets. Without it the reference is the development tag of this version.
"""

from pathlib import Path
from typing import Final

from assay import __version__
from assay.core.settings import IMAGES
from assay.documents import read_json, read_regular
from assay.errors import UsageError

ROLES: Final = ("data", "train", "release", "deploy")
"""One image per set of needs: Great Expectations and Evidently; scikit-learn; the registry; Git."""
MAX_MAP_BYTES: Final = 1 << 20
CODE_FOLDER: Final = "/opt/assay/code"
"""Where the images of `images/` have the library, and nothing else has anything."""


def image(role: str) -> str:
    """The image reference for `role`, one of `ROLES`.

    Raises:
        UsageError: `ASSAY_IMAGES` names a file that is no map of roles to references.
    """
    path = IMAGES.get()
    if not path:
        return f"assay-python-{role}:{__version__}"
    remedy = f"give a JSON object with a reference for each of {', '.join(ROLES)}"
    try:
        references = read_json(read_regular(Path(path), MAX_MAP_BYTES, IMAGES.name), path)
    except UsageError as error:
        raise UsageError(f"{error}; {remedy}") from error
    found = references.get(role) if isinstance(references, dict) else None
    if not isinstance(found, str) or not found:
        raise UsageError(f"{path}: no image for {role!r}; {remedy}")
    return found


def is_pinned(reference: str) -> bool:
    """Whether a reference names one image for ever: by digest, not by a tag that can move."""
    return "@sha256:" in reference
