"""Coordination between garbage collection and concurrent users of the store.

The store has no locks and no transactions, but every read sees all completed writes. That is enough
for this protocol: **each side first writes its intention, then reads that of the other side.** The
collector announces what it is about to remove, then checks again which entries are recent. A user
refreshes the entries that it depends on, then checks for announcements. In any order of these
operations, at least one side sees the other; docs/format.md discusses the cases.

An announcement is the pointer `removals/announced/<64 random hex digits>/<list>`, where `<list>` is
the digest of a blob with one blob digest per line. The collector renews it while it works, so an
expired announcement belongs to a collector that was killed. After the removal, the same name below
`removals/ended/` informs users who began before its end and check after it.
"""

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

from assay.core.digest import PREFIX, hex_of
from assay.core.store.base import REFRESH_SECONDS, Entry, Store
from assay.errors import AssayError, StoreError, StoreUnavailableError

REMOVALS: Final = "removals/"
ANNOUNCED: Final = "removals/announced/"
ENDED: Final = "removals/ended/"
LEASE_SECONDS: Final = 60.0
"""The collector stops if it could not renew its announcement for this time."""
DEAD_SECONDS: Final = 600.0
"""Others consider the collector dead after this time without a renewal. The difference to the lease
is longer than a request that was sent at the end of the lease can take."""
WAIT_SECONDS: Final = 3600.0
POLL_SECONDS: Final = 1.0
ENDED_SECONDS: Final = float(REFRESH_SECONDS)
"""How long the end of a removal is kept: longer than it takes to store an artifact."""
MAX_BLOBS: Final = 500_000
"""Maximum number of blobs in an announcement; the next collection removes the others."""
_MAX_LIST_BYTES: Final = MAX_BLOBS * 72

logger = logging.getLogger(__name__)


class Removal:
    """Context manager that announces a removal while its block runs."""

    def __init__(self, store: Store, digests: Iterable[str]) -> None:
        self._store = store
        self._digests = list(digests)
        self._number = secrets.token_hex(32)
        self._name = ""
        self._renewed = 0.0
        self._lost = False
        self._over = threading.Event()
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
        self._over.set()
        self._thread.join()
        # The removal is complete or was aborted; users need not wait for it.
        with contextlib.suppress(StoreError):
            _end(self._store, self._name)

    def narrow(self, digests: Iterable[str]) -> None:
        """Announce a subset of the digests instead."""
        self._digests = list(digests)
        self._announce()

    def require_lease(self) -> None:
        """Raise if others may consider this collector dead.

        Raises:
            StoreError: The announcement was not renewed in time.
        """
        if self._lost or _elapsed() - self._renewed > LEASE_SECONDS:
            self._lost = True
            raise StoreError(
                f"the removal was suspended for more than {LEASE_SECONDS:g} s, or could not reach "
                "the store; run again to continue"
            )

    def _announce(self) -> None:
        start = _elapsed()
        text = "".join(f"{digest}\n" for digest in self._digests)
        listed = self._store.put_bytes(text.encode(), "text/plain").digest
        with self._lock:
            before, self._name = self._name, f"{ANNOUNCED}{self._number}/{hex_of(listed)}"
            self._store.write_pointer(self._name, b"")
            self._renewed = start
        if before not in {"", self._name}:
            self._store.remove_pointer(before)

    def _renew(self) -> None:
        while not self._over.wait(LEASE_SECONDS / 4):
            start = _elapsed()
            with self._lock, contextlib.suppress(StoreError):
                # After the lease it must not be renewed: others may have continued already.
                if start - self._renewed > LEASE_SECONDS:
                    self._lost = True
                    return
                self._store.write_pointer(self._name, b"")
                self._renewed = start


class Watch:
    """Detects removals after its creation; create it before anything is read or written."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # A single listing: removals that it shows as ended were over before anything is read.
        entries = store.list_aged_pointers(REMOVALS)
        dead = self._by_life([entry for entry in entries if entry.key.startswith(ANNOUNCED)])[1]
        self._seen = {*(entry.key for entry in entries if entry.key.startswith(ENDED)), *dead}
        """Removals that were over before; their blobs are known to be removed."""

    def touched(self, digests: Iterable[str]) -> bool:
        """Whether a removal may have removed one of `digests`; waits for running removals.

        Call it after the blobs were written or refreshed. If it returns False, they exist and are
        kept. If it returns True, some may be removed, and the caller must start again.

        Raises:
            StoreUnavailableError: A removal takes longer than an hour.
        """
        needed = set(digests)
        start = _elapsed()
        waited = False
        while True:
            live, dead = self._announced()
            # In this order, because the end of a removal is written before its announcement is
            # removed.
            over = [name for name in (*self._ended(), *dead) if name not in self._seen]
            if not any(self._concerns(name, needed) for name in live):
                self._seen.update(over)
                return waited or any(self._concerns(name, needed) for name in over)
            if not waited:
                logger.warning("waiting for a garbage collection that may remove needed blobs")
            if _elapsed() - start > WAIT_SECONDS:
                raise StoreUnavailableError(
                    f"a garbage collection of {self._store.url} may remove what this run needs, "
                    f"and has not ended in {WAIT_SECONDS / 60:g} minutes; run again afterwards"
                )
            waited = True
            time.sleep(POLL_SECONDS)

    def _ended(self) -> list[str]:
        return self._store.list_pointers(ENDED)

    def _announced(self) -> tuple[list[str], list[str]]:
        """Names of the running removals, and of those whose collector was killed."""
        return self._by_life(self._store.list_aged_pointers(ANNOUNCED))

    def _by_life(self, entries: list[Entry]) -> tuple[list[str], list[str]]:
        if not entries:  # nearly always
            return [], []
        now = self._store.now()
        live = [entry.key for entry in entries if now - entry.modified < DEAD_SECONDS]
        return live, [entry.key for entry in entries if entry.key not in live]

    def _concerns(self, name: str, needed: set[str]) -> bool:
        listed = PREFIX + name.rsplit("/", 1)[-1]
        try:
            text = self._store.get_bytes(listed, _MAX_LIST_BYTES).decode(errors="replace")
        except AssayError as error:
            if isinstance(error, StoreUnavailableError):
                raise
            logger.warning("%s: cannot be read, so it may concern any blob: %s", name, error)
            return True
        return not needed.isdisjoint(text.split())


def clear_dead(store: Store) -> None:
    """End the removals of killed collectors, and delete the ends of old removals."""
    now = store.now()
    for entry in store.list_aged_pointers(ANNOUNCED):
        if now - entry.modified >= DEAD_SECONDS:
            _end(store, entry.key)
    for entry in store.list_aged_pointers(ENDED):
        if now - entry.modified >= ENDED_SECONDS:
            store.remove_pointer(entry.key)


def _end(store: Store, name: str) -> None:
    store.write_pointer(ENDED + name.removeprefix(ANNOUNCED), b"")
    store.remove_pointer(name)


def _elapsed() -> float:
    """Monotonic seconds, including the time in suspend if the system supports that."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)
