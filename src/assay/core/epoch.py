"""What a remembered answer rests on besides its inputs, as a short text: an epoch.

KFP answers from its own cache without asking whether what it names still exists, or is still
believed. So every stage of a pipeline gets the epoch among its settings: KFP's cache key changes
with it. It changes

- when `assay store gc` removed what an answer may name: it writes the store's pointer anew;
- when other keys count, or the same ones for something else.

The step cache needs none of it: it looks at all it names each time.
"""

import secrets
from typing import Final

from assay.core.digest import canonical_json, hex_of, of_bytes
from assay.core.signing import Verifier
from assay.core.store import Store

COLLECTION: Final = f"epochs/{hex_of(of_bytes(b'collection'))}"
"""The pointer that a collection writes anew: 64 hex digits of no other meaning."""
_LENGTH: Final = 12


def epoch(store: Store, verifier: Verifier | None) -> str:
    """The epoch of a store and of those whose signatures count: 12 hex digits.

    Args:
        store: Where the answers' artifacts lie.
        verifier: Whose signatures count; None asks for none.

    Raises:
        StoreError: The store failed.
    """
    keys = sorted(
        [
            key.key_id,
            sorted(key.roles),
            key.retired.isoformat() if key.retired else "",
            # Nothing where nothing was stolen: what was cached before stays so.
            *([key.stolen.isoformat()] if key.stolen else []),
        ]
        for key in (verifier.keys if verifier else ())
    )
    collection = of_bytes(store.read_pointer(COLLECTION) or b"")
    found = of_bytes(canonical_json({"collection": collection, "keys": keys}))
    return hex_of(found)[:_LENGTH]


def renew(store: Store) -> None:
    """Begin a new epoch; before anything is removed, so that one who is killed began one too many.

    Random, because two collections at a time must not count to the same number.
    """
    store.write_pointer(COLLECTION, secrets.token_hex(32).encode())
