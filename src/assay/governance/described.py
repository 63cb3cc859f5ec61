"""What a model says of itself: the target, the features, the modules.

Its file is part of the artifact, so an attestation that another user writes does not change it.
"""

from assay.core.store import Store
from assay.core.tree import get_manifest, read_file
from assay.errors import IntegrityError
from assay.models.info import INFO_FILE, MAX_INFO_BYTES, ModelInfo, parse_info


def info_of(store: Store, model: str) -> ModelInfo:
    """The description of a model in a store, without its other files.

    Raises:
        IntegrityError: Not a model, or altered.
        NotFoundError: It is not in the store.
    """
    content = read_file(store, get_manifest(store, model), INFO_FILE, MAX_INFO_BYTES)
    if content is None:
        raise IntegrityError(
            f"the model {model} has no {INFO_FILE}, which lists the columns that it uses"
        )
    return parse_info(content)
