"""Epochs: a short text that invalidates the cache of KFP.

KFP returns cached results without checking whether their artifacts still exist and are still
trusted. Every stage of a pipeline therefore gets the epoch as a setting, which makes it part of
KFP's cache key. The epoch changes

- when `assay store gc` removed blobs that a cached result may refer to: it writes a pointer;
- when the verification keys or their roles change.

The step cache does not need epochs, because it checks all references of an entry.
"""

import secrets
from typing import Final

from assay.core.digest import canonical_json, hex_of, of_bytes
from assay.core.signing import Verifier
from assay.core.store import Store

COLLECTION: Final = f"epochs/{hex_of(of_bytes(b'collection'))}"
"""The pointer that a collection writes: 64 random hex digits."""
_LENGTH: Final = 12


def epoch(store: Store, verifier: Verifier | None) -> str:
    """The epoch of a store and its verification keys: 12 hex digits.

    Args:
        store: The store of the artifacts.
        verifier: The configured keys; None accepts unsigned attestations.

    Raises:
        StoreError: The store failed.
    """
    keys = sorted(
        [
            key.key_id,
            sorted(key.roles),
            key.retired.isoformat() if key.retired else "",
            # Empty if the key was not stolen, so that existing cache entries remain valid.
            *([key.stolen.isoformat()] if key.stolen else []),
        ]
        for key in (verifier.keys if verifier else ())
    )
    collection = of_bytes(store.read_pointer(COLLECTION) or b"")
    digest = of_bytes(canonical_json({"collection": collection, "keys": keys}))
    return hex_of(digest)[:_LENGTH]


def renew(store: Store) -> None:
    """Begin a new epoch. Call it before anything is removed, so that a crash cannot skip it.

    The value is random, because two concurrent collections must not write the same one.
    """
    store.write_pointer(COLLECTION, secrets.token_hex(32).encode())
