"""Store, keys and cache mode as the settings name them, for executions and commands."""

from pathlib import Path

from assay.core.execution import CacheMode, Context
from assay.core.limits import Limits
from assay.core.settings import CACHE, IMAGE, RUN, STORE, WORK, check
from assay.core.signing import signer_from_env, verifier_from_env
from assay.core.step import Services
from assay.core.store import Store, open_store


def store_from_env() -> Store:
    """The store that `ASSAY_STORE` names.

    Raises:
        UsageError: It is unset, or no store URL.
    """
    return open_store(STORE.require())


def services_from_env() -> Services:
    """The store and whose signatures count, for work outside of an execution.

    Raises:
        UsageError: A variable that is missing or cannot be used; the message names it.
    """
    return Services(store_from_env(), verifier_from_env())


def context_from_env() -> Context:
    """Everything an execution needs, from the environment.

    Raises:
        UsageError: A variable that is missing or cannot be used; the message names it.
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
        # What is larger as it lies there is larger unpacked.
        max_source_bytes=Limits.from_env().table_bytes,
    )
