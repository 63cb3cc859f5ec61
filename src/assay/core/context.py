"""Create the store, keys and cache mode of executions and commands from the settings."""

from pathlib import Path

from assay.core.execution import CacheMode, Context
from assay.core.limits import Limits
from assay.core.settings import CACHE, IMAGE, RUN, STORE, WORK, check
from assay.core.signing import signer_from_env, verifier_from_env
from assay.core.step import Services
from assay.core.store import Store, open_store


def store_from_env() -> Store:
    """The store of `ASSAY_STORE`.

    Raises:
        UsageError: It is unset, or not the URL of a store.
    """
    return open_store(STORE.require())


def services_from_env() -> Services:
    """The store and the verification keys, for work outside of an execution.

    Raises:
        UsageError: A variable is missing or invalid.
    """
    return Services(store_from_env(), verifier_from_env())


def context_from_env() -> Context:
    """The environment of executions.

    Raises:
        UsageError: A variable is missing or invalid.
    """
    check(CACHE, WORK)
    work = WORK.get()
    return Context(
        store=store_from_env(),
        cache=CacheMode(CACHE.get()),
        signer=signer_from_env(),
        verifier=verifier_from_env(),
        image=IMAGE.get(),
        invocation=RUN.get(),
        work_root=Path(work) if work else None,
        # A file that exceeds the limit also exceeds it when it is decompressed.
        max_source_bytes=Limits.from_env().table_bytes,
    )
