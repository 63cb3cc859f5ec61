"""The container images that components run in.

A component names its image by role; which image that is, is decided when a pipeline is compiled.
Images are pinned by digest through `ASSAY_IMAGES`, the path of a JSON file `{role: reference}`
that `assay compile --images` sets. Without it the reference is the development tag of this version.
"""

import json
import os
from pathlib import Path
from typing import Final

from assay import __version__
from assay.errors import UsageError

ROLES: Final = ("data", "train", "release")
"""One image per set of needs: Great Expectations and Evidently; scikit-learn; registry and Git."""


def image(role: str) -> str:
    """The image reference for `role`, one of `ROLES`.

    Raises:
        UsageError: `ASSAY_IMAGES` names a file that is no map of roles to references.
    """
    path = os.environ.get("ASSAY_IMAGES", "")
    if not path:
        return f"assay-python-{role}:{__version__}"
    try:
        references = json.loads(Path(path).read_bytes())
        return str(references[role])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"{path}: no image for {role!r} ({error!r}); "
            f"give a JSON object with a reference for each of {', '.join(ROLES)}"
        ) from error


def is_pinned(reference: str) -> bool:
    """Whether a reference names one image for ever: by digest, not by a tag that can move."""
    return "@sha256:" in reference
