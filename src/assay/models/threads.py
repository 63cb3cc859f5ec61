"""A thread count that is an input, not a property of the host: it changes a model's last bits."""

import contextlib
from collections.abc import Iterator
from typing import Final

from assay.core.environment import environment
from assay.errors import UsageError

_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
)


@contextlib.contextmanager
def fixed_threads(count: int) -> Iterator[None]:
    """Run OpenMP and BLAS with `count` threads, on however many cores there are.

    Two things besides threadpoolctl's limit are needed. scikit-learn caps its threads at the number
    of cores unless `OMP_NUM_THREADS` is set, whatever its value. And joblib's worker processes
    take these variables, or else cores divided by jobs: each worker shall use one thread.

    Args:
        count: At least 1. The libraries to limit must have been loaded before.

    Raises:
        UsageError: `count` is less than 1.
    """
    from threadpoolctl import threadpool_limits

    if count < 1:
        raise UsageError(f"threads is {count}; give at least 1")

    with environment(dict.fromkeys(_VARIABLES, "1")), threadpool_limits(limits=count):
        yield
