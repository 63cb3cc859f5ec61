"""Call a function for many items in parallel."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Final, TypeVar

WORKERS: Final = 16
"""Number of threads; the work waits for the network or the disk, not for the CPU."""

T = TypeVar("T")
R = TypeVar("R")


def parallel(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Call `work` with each item in parallel; results are in order. The first error stops it."""
    if len(items) <= 1:
        return [work(item) for item in items]
    results: list[tuple[int, R]] = []
    # Shared by the threads, because a future for each item is expensive for small items.
    remaining = iter(enumerate(items))
    lock = threading.Lock()
    failed = threading.Event()

    def run() -> None:
        try:
            while not failed.is_set():
                with lock:
                    item = next(remaining, None)
                if item is None:
                    return
                results.append((item[0], work(item[1])))
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(min(WORKERS, len(items))) as pool:
        futures = [pool.submit(run) for _ in range(min(WORKERS, len(items)))]
        try:
            for future in as_completed(futures):
                future.result()
        finally:
            # After an interrupt, do not wait for the remaining items.
            failed.set()
    return [result for _, result in sorted(results, key=lambda pair: pair[0])]
