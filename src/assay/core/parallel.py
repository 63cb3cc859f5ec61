"""The same work on many things at a time."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Final, TypeVar

WORKERS: Final = 16
"""Files moved at a time: the work waits for the network or the disk, not for a core."""

T = TypeVar("T")
R = TypeVar("R")


def parallel(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """`work` on each of `items`, in parallel, results in order; the first error stops it."""
    if len(items) <= 1:
        return [work(item) for item in items]
    results: list[tuple[int, R]] = []
    # Shared by the workers, because a future for each of many small items costs more than they do.
    left = iter(enumerate(items))
    lock = threading.Lock()
    failed = threading.Event()

    def run() -> None:
        try:
            while not failed.is_set():
                with lock:
                    taken = next(left, None)
                if taken is None:
                    return
                results.append((taken[0], work(taken[1])))
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(min(WORKERS, len(items))) as pool:
        futures = [pool.submit(run) for _ in range(min(WORKERS, len(items)))]
        try:
            for future in as_completed(futures):
                future.result()
        finally:
            # Whoever interrupts, such as a person at the keyboard, does not wait for the rest.
            failed.set()
    return [result for _, result in sorted(results, key=lambda pair: pair[0])]
