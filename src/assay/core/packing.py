"""Group the small files of an artifact into packs.

The time of a request to a store hardly depends on its size, so thousands of small files are stored
as a few packs, which are concatenations of files. docs/adr/0008 has the reasons and the costs.

The packs depend on paths and sizes only, so equal content has equal digests. A pack ends after a
path that a hash selects: adding, removing or changing a file alters its pack and at most a few
following packs; all other packs are in the store already.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

SMALL_FILE_BYTES: Final = 64 << 10
"""A file up to this size goes into a pack."""
FEW_FILES: Final = 256
"""Up to this number, small files are separate blobs, which can be shared and displayed."""
PACK_BYTES: Final = 4 << 20
"""Maximum size of a pack."""
_ENDS_OF: Final = 256
"""A pack ends on average after this number of paths."""


def packs(sizes: Mapping[str, int]) -> list[list[str]]:
    """The sorted paths of each pack; files that are not in a pack are separate blobs.

    Args:
        sizes: Size in bytes of each file of an artifact, by its path.
    """
    small = sorted(path for path, size in sizes.items() if size <= SMALL_FILE_BYTES)
    if len(small) <= FEW_FILES:
        return []
    result: list[list[str]] = []
    room = -1
    for path in small:
        if sizes[path] > room:
            result.append([])
            room = PACK_BYTES
        result[-1].append(path)
        # Without room, the next file begins a new pack.
        room = -1 if _ends_pack(path) else room - sizes[path]
    return result


def _ends_pack(path: str) -> bool:
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:4]) % _ENDS_OF == 0
