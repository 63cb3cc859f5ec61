"""How a removal and those who use the store keep out of each other's way.

The store has no locks and no transactions; it has reads that see every finished write. That is
enough for this rule: **each side first writes what it is about to do, then looks for what the other
has written.** The collector announces what it is about to remove, then reads again what is young.
A user makes young what it relies on, then looks for announcements. Whatever the order, at least
one of the two sees the other; docs/format.md goes through the cases.

An announcement is the pointer `removals/announced/<64 random hex digits>/<list>`, in which `<list>`
names a blob with one digest of a blob on each line. The collector writes it again while it works,
so an old one belongs to a collector that was killed. When a removal is over, the same name below
`removals/ended/` says so to those who began before its end and look only after it.
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
"""After so long without a renewal the collector itself stops."""
DEAD_SECONDS: Final = 600.0
"""After so long without a renewal others take the collector for dead. Longer than the lease by more
than a request can take that was sent in the lease's last moment."""
WAIT_SECONDS: Final = 3600.0
POLL_SECONDS: Final = 1.0
ENDED_SECONDS: Final = float(REFRESH_SECONDS)
"""How long the end of a removal is told: longer than it takes to store an artifact."""
MAX_BLOBS: Final = 500_000
"""What one announcement names at most; the next collection removes the rest."""
_MAX_LIST_BYTES: Final = MAX_BLOBS * 72

logger = logging.getLogger(__name__)


class Removal:
    """An announcement, as long as its block runs."""

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
        # What it announced is done or given up, and nobody need wait for it.
        with contextlib.suppress(StoreError):
            _end(self._store, self._name)

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
        text = "".join(f"{digest}\n" for digest in self._digests)
        listed = self._store.put_bytes(text.encode(), "text/plain").digest
        with self._lock:
            before, self._name = self._name, f"{ANNOUNCED}{self._number}/{hex_of(listed)}"
            self._store.write_pointer(self._name, b"")
            self._renewed = begun
        if before not in {"", self._name}:
            self._store.remove_pointer(before)

    def _renew(self) -> None:
        while not self._over.wait(LEASE_SECONDS / 4):
            begun = _elapsed()
            with self._lock, contextlib.suppress(StoreError):
                # Late is lost for good: others may have gone on without waiting.
                if begun - self._renewed > LEASE_SECONDS:
                    self._lost = True
                    return
                self._store.write_pointer(self._name, b"")
                self._renewed = begun


class Watch:
    """Looks for removals from its making on: make it before anything is read or written."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # One listing for both: what has ended when it is listed was over before anything is read.
        entries = store.list_aged_pointers(REMOVALS)
        dead = self._by_life([entry for entry in entries if entry.key.startswith(ANNOUNCED)])[1]
        self._seen = {*(entry.key for entry in entries if entry.key.startswith(ENDED)), *dead}
        """Removals that were over before, and what they were of is known to be gone."""

    def touched(self, digests: Iterable[str]) -> bool:
        """Whether a removal may have taken one of `digests`; waits for those under way.

        Call it after the store knows that they are wanted: written, or made young. If it returns
        False they are there and stay. If True something may be gone, and the caller begins again.

        Raises:
            StoreUnavailableError: A removal takes longer than an hour.
        """
        wanted = set(digests)
        begun = _elapsed()
        waited = False
        while True:
            live, dead = self._announced()
            # Asked for in this order: a removal's end is written before its announcement goes.
            over = [name for name in (*self._ended(), *dead) if name not in self._seen]
            if not any(self._is_about(name, wanted) for name in live):
                self._seen.update(over)
                return waited or any(self._is_about(name, wanted) for name in over)
            if not waited:
                logger.warning("waiting: a garbage collection may remove what is wanted here")
            if _elapsed() - begun > WAIT_SECONDS:
                raise StoreUnavailableError(
                    f"a garbage collection of {self._store.url} is about to remove what this run "
                    f"needs, and has not ended in {WAIT_SECONDS / 60:g} minutes; run again when it "
                    "has"
                )
            waited = True
            time.sleep(POLL_SECONDS)

    def _ended(self) -> list[str]:
        return self._store.list_pointers(ENDED)

    def _announced(self) -> tuple[list[str], list[str]]:
        """Names of the removals under way, and of those whose collector was killed."""
        return self._by_life(self._store.list_aged_pointers(ANNOUNCED))

    def _by_life(self, entries: list[Entry]) -> tuple[list[str], list[str]]:
        if not entries:  # nearly always
            return [], []
        now = self._store.now()
        live = [entry.key for entry in entries if now - entry.modified < DEAD_SECONDS]
        return live, [entry.key for entry in entries if entry.key not in live]

    def _is_about(self, name: str, wanted: set[str]) -> bool:
        listed = PREFIX + name.rsplit("/", 1)[-1]
        try:
            text = self._store.get_bytes(listed, _MAX_LIST_BYTES).decode(errors="replace")
        except AssayError as error:
            if isinstance(error, StoreUnavailableError):
                raise
            logger.warning("%s: cannot be read, so it may be about anything: %s", name, error)
            return True
        return not wanted.isdisjoint(text.split())


def clear_dead(store: Store) -> None:
    """End the removals of collectors that were killed, and forget those that ended long ago."""
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
    """Seconds, those in which the machine slept too where the system counts them."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)
