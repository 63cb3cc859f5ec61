"""Which small files of an artifact travel together, as packs.

A request to a store costs the same whether it carries ten bytes or a million, so thousands of small
files are stored as a few packs: their bytes, one after the other. Why and what it costs is said in
docs/adr/0008.

What goes into which pack depends on paths and sizes alone, so the same content has the same name
everywhere. Packs end after paths that a hash picks out: a file that is added, removed or changed
alters the pack it lies in, and at most the few behind it; every other pack is in the store already.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

SMALL_FILE_BYTES: Final = 64 << 10
"""A file up to this size goes into a pack."""
FEW_FILES: Final = 256
"""So many small files, or fewer, stay blobs of their own: each can then be shared and shown."""
PACK_BYTES: Final = 4 << 20
"""A pack that would grow beyond this is ended before."""
_ENDS_OF: Final = 256
"""One path in so many ends its pack."""


def packs(sizes: Mapping[str, int]) -> list[list[str]]:
    """The paths in each pack, sorted; what is in none stays a blob of its own.

    Args:
        sizes: Size in bytes of each file of an artifact, by its path.
    """
    small = sorted(path for path, size in sizes.items() if size <= SMALL_FILE_BYTES)
    if len(small) <= FEW_FILES:
        return []
    found: list[list[str]] = []
    room = -1
    for path in small:
        if sizes[path] > room:
            found.append([])
            room = PACK_BYTES
        found[-1].append(path)
        # No room: the next one begins another.
        room = -1 if _ends_pack(path) else room - sizes[path]
    return found


def _ends_pack(path: str) -> bool:
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:4]) % _ENDS_OF == 0
