"""How a removal and those who use the store keep out of each other's way.

The store has no locks and no transactions; it has reads that see every finished write. That is
enough for this rule: **each side first writes what it is about to do, then looks for what the other
has written.** The collector announces what it is about to remove, then reads again what is young.
A user makes young what it relies on, then looks for announcements. Whatever the order, at least
one of the two sees the other; docs/format.md goes through the cases.

An announcement is the pointer `removals/<64 random hex digits>`; it holds the digest of a blob
with one digest of a blob on each line. The collector writes it again while it works, so an old one
belongs to a collector that was killed, and does not count.
"""

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

from assay.digest import is_digest
from assay.errors import AssayError, StoreError, StoreUnavailableError
from assay.store.base import Store

PREFIX: Final = "removals/"
LEASE_SECONDS: Final = 60.0
"""After so long without a renewal the collector itself stops."""
DEAD_SECONDS: Final = 600.0
"""After so long without a renewal others take the collector for dead. Longer than the lease by more
than a request can take that was sent in the lease's last moment."""
WAIT_SECONDS: Final = 3600.0
POLL_SECONDS: Final = 1.0
MAX_BLOBS: Final = 500_000
"""What one announcement names at most; the next collection removes the rest."""
_MAX_LIST_BYTES: Final = MAX_BLOBS * 72

logger = logging.getLogger(__name__)


class Removal:
    """An announcement, as long as its block runs."""

    def __init__(self, store: Store, digests: Iterable[str]) -> None:
        self._store = store
        self._digests = list(digests)
        self._name = PREFIX + secrets.token_hex(32)
        self._list = ""
        self._lists: set[str] = set()
        self._renewed = 0.0
        self._lost = False
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._renew, name="assay-removal", daemon=True)

    def __enter__(self) -> Self:
        self._announce()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        # What it announced is done or given up; nobody need wait for it.
        with contextlib.suppress(StoreError):
            self._store.remove_pointer(self._name)
            for digest in self._lists:
                self._store.remove_blob(digest)

    def narrow(self, digests: Iterable[str]) -> None:
        """Announce these instead, which are some of those before."""
        self._digests = list(digests)
        self._announce()

    def require_lease(self) -> None:
        """Raise if others may have taken this collector for dead.

        Raises:
            StoreError: The announcement was not renewed in time.
        """
        if self._lost or _elapsed() - self._renewed > LEASE_SECONDS:
            self._lost = True
            raise StoreError(
                f"the removal stood still for more than {LEASE_SECONDS:g} s, or could not reach "
                "the store; run again to remove what is left"
            )

    def _announce(self) -> None:
        begun = _elapsed()
        self._list = self._store.put_bytes(
            "".join(f"{digest}\n" for digest in self._digests).encode(), "text/plain"
        ).digest
        self._lists.add(self._list)
        with self._lock:
            self._store.write_pointer(self._name, self._list.encode())
            self._renewed = begun

    def _renew(self) -> None:
        while not self._ended.wait(LEASE_SECONDS / 4):
            begun = _elapsed()
            with self._lock, contextlib.suppress(StoreError):
                # Late is lost for good: others may have gone on without waiting.
                if begun - self._renewed > LEASE_SECONDS:
                    self._lost = True
                    return
                self._store.write_pointer(self._name, self._list.encode())
                self._renewed = begun


def settle(store: Store, digests: Iterable[str]) -> bool:
    """Wait until no removal that is under way has announced one of `digests`.

    Call it after the store was told that they are wanted (written, or made young). When it returns
    False they stay. When it returns True something may be gone, and the caller begins again.

    Raises:
        StoreUnavailableError: A removal takes longer than an hour.
    """
    wanted = set(digests)
    begun = _elapsed()
    waited = False
    while _announced(store, wanted):
        if not waited:
            logger.warning("waiting: a garbage collection is about to remove what is wanted here")
        if _elapsed() - begun > WAIT_SECONDS:
            raise StoreUnavailableError(
                f"a garbage collection of {store.url} is about to remove what this run needs, and "
                f"has not ended in {WAIT_SECONDS / 60:g} minutes; run again when it has"
            )
        waited = True
        time.sleep(POLL_SECONDS)
    return waited


def clear_dead(store: Store) -> None:
    """Remove the announcements of collectors that were killed."""
    now = store.now()
    for entry in store.list_aged_pointers(PREFIX):
        if now - entry.modified >= DEAD_SECONDS:
            store.remove_pointer(entry.key)


def _announced(store: Store, wanted: set[str]) -> bool:
    entries = store.list_aged_pointers(PREFIX)
    if not entries:  # nearly always
        return False
    now = store.now()
    return any(
        now - entry.modified < DEAD_SECONDS and _names(store, entry.key, wanted)
        for entry in entries
    )


def _names(store: Store, name: str, wanted: set[str]) -> bool:
    content = store.read_pointer(name)
    if content is None:  # ended meanwhile
        return False
    try:
        digest = content.decode()
        if is_digest(digest):
            listed = store.get_bytes(digest, _MAX_LIST_BYTES).decode().split()
            return not wanted.isdisjoint(listed)
    except (UnicodeDecodeError, AssayError) as error:
        if isinstance(error, StoreUnavailableError):
            raise
        logger.warning("%s: cannot be read: %s", name, error)
    # Until it is dead it may be about anything.
    return True


def _elapsed() -> float:
    """Seconds, those in which the machine slept too where the system counts them."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)
