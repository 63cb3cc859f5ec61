"""Retries: policies for transient faults, with exponential back-off and jitter.

There is one policy for each service, and one set of transient HTTP statuses:

| policy | calls |
|---|---|
| `STORE` | requests to the store's server |
| `CREDENTIALS` | services that issue temporary credentials |
| `SOURCE` | data fetched by `https://` and `s3://` |
| `FORGE` | the API of GitHub, GitLab or Gitea |
| `GIT` | `git fetch`, `git push` and other commands with a remote |
| `PROPOSAL`, `APPROVAL` | concurrent changes of a release |
| `KFP` | the state of a run that is being followed |
| `MLFLOW` | the API of MLflow, whose client repeats requests within these limits |
| `WEBHOOK` | the message about a run |
"""

import functools
import logging
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, ParamSpec, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    before_sleep_log,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
)

logger = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")

TRANSIENT_STATUS: Final = frozenset({408, 425, 429, *range(500, 600)} - {501, 505, 507})
"""HTTP statuses after which the same request may succeed. Not implemented (501), not supported
(505) and out of space (507) are permanent."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How often and how long calls to a service are repeated."""

    attempts: int
    """Maximum number of calls."""
    first_wait: float
    """Maximum seconds of the first pause; doubles each time. The actual pause is a random part of
    it, at least half, so that clients do not repeat their calls at the same time."""
    longest_wait: float
    """Maximum seconds of every pause, even if the server requests more."""
    seconds: float = math.inf
    """Seconds after the first attempt, after which no attempt is started."""

    def __str__(self) -> str:
        """For messages: "8 attempts or 60 s"."""
        limits = f"{self.attempts} attempts" if self.attempts < UNLIMITED else ""
        return " or ".join(
            filter(None, (limits, f"{self.seconds:g} s" * (self.seconds < math.inf)))
        )


UNLIMITED: Final = 1 << 31
"""Number of attempts of a policy that is limited by time only."""

STORE: Final = Policy(attempts=8, first_wait=0.15, longest_wait=5, seconds=60)
SOURCE: Final = Policy(attempts=5, first_wait=0.2, longest_wait=8)
FORGE: Final = Policy(attempts=8, first_wait=1, longest_wait=8)
GIT: Final = Policy(attempts=5, first_wait=0.6, longest_wait=5)
PROPOSAL: Final = Policy(attempts=8, first_wait=0.3, longest_wait=3)
APPROVAL: Final = Policy(attempts=3, first_wait=0.3, longest_wait=2)
KFP: Final = Policy(attempts=UNLIMITED, first_wait=6, longest_wait=30, seconds=600)
MLFLOW: Final = Policy(attempts=4, first_wait=1, longest_wait=8)
CREDENTIALS: Final = Policy(attempts=3, first_wait=0.2, longest_wait=1, seconds=10)
WEBHOOK: Final = Policy(attempts=3, first_wait=0.3, longest_wait=2)


class TransientError(Exception):
    """A transient fault, after which the call is repeated; the message describes it."""

    def __init__(self, text: str, wait: float = 0.0) -> None:
        """A transient fault.

        Args:
            text: Description without secrets.
            wait: Seconds to wait according to the server.
        """
        super().__init__(text)
        self.wait = wait


def is_transient(error: BaseException) -> bool:
    """Whether an error is a `TransientError`."""
    return isinstance(error, TransientError)


def call(
    policy: Policy, work: Callable[[], R], transient: Callable[[BaseException], bool] = is_transient
) -> R:
    """Call a function, and repeat it after transient faults.

    Args:
        policy: How often and how long.
        work: The function.
        transient: Decides whether an exception is a transient fault; called once for each.

    Returns:
        The result of the first successful call.

    Raises:
        Exception: The exception of the last call.
    """
    # The loop is avoided if the first call succeeds: it costs as much as hashing a small file.
    try:
        return work()
    except Exception as error:
        if not transient(error):
            raise
        failed = [error]

    def attempt() -> R:
        if failed:
            raise failed.pop()
        return work()

    first = failed[0]
    return Retrying(
        stop=stop_after_attempt(policy.attempts) | stop_after_delay(policy.seconds),
        wait=functools.partial(_pause, policy),
        retry=retry_if_exception(lambda error: error is first or transient(error)),
        before_sleep=before_sleep_log(logger, logging.DEBUG),
        reraise=True,
    )(attempt)


def repeated(
    policy: Policy, *transient: type[Exception]
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function so that calls are repeated after these classes of exceptions."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def wrapper(*arguments: P.args, **named: P.kwargs) -> R:
            return call(
                policy,
                lambda: function(*arguments, **named),
                lambda error: isinstance(error, transient),
            )

        return wrapper

    return decorate


def _pause(policy: Policy, state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    requested = error.wait if isinstance(error, TransientError) else 0.0
    longest = min(policy.first_wait * 2.0 ** min(state.attempt_number - 1, 32), policy.longest_wait)
    pause = random.uniform(longest / 2, longest)  # noqa: S311 - not for cryptography
    return min(max(requested, pause), policy.longest_wait)
