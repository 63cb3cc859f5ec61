"""Use a fixed number of threads, regardless of the host, because it affects the results."""

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
    """Run OpenMP and BLAS with `count` threads, regardless of the number of cores.

    The limit of threadpoolctl is not sufficient. scikit-learn uses at most one thread per core,
    unless `OMP_NUM_THREADS` is set to any value. The worker processes of joblib use these
    variables, or by default the number of cores divided by jobs; they must use one thread.

    Args:
        count: At least 1. The libraries must be loaded already.

    Raises:
        UsageError: `count` is less than 1.
    """
    from threadpoolctl import threadpool_limits

    if count < 1:
        raise UsageError(f"threads is {count}; give at least 1")

    with environment(dict.fromkeys(_VARIABLES, "1")), threadpool_limits(limits=count):
        yield
