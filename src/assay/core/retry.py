"""Retries: which faults are transient, and how often, how fast and how long a call is repeated.

One policy for each service, one back-off, one set of HTTP statuses:

| policy | calls |
|---|---|
| `STORE` | requests to the store's server |
| `CREDENTIALS` | services that give out temporary credentials |
| `SOURCE` | data fetched by `https://` and `s3://` |
| `FORGE` | the API of GitHub, GitLab or Gitea |
| `GIT` | `git fetch`, `git push` and whatever else talks to a remote |
| `PROPOSAL`, `APPROVAL` | a release that somebody else changed at the same moment |
| `KFP` | the state of a run that is being followed |
| `MLFLOW` | MLflow's API; MLflow itself repeats, within these limits |
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
(505) and out of space (507) do not pass by themselves."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How long transient faults of a service are borne."""

    attempts: int
    """Calls in all."""
    first_wait: float
    """Seconds that the first pause lasts at most; doubles each time. Each pause lasts a random part
    of that, at least half, so that clients which failed together do not come back together."""
    longest_wait: float
    """Seconds that any pause lasts at most, whatever the server asks for."""
    seconds: float = math.inf
    """No attempt begins later than this after the first."""

    def __str__(self) -> str:
        """For messages: "8 attempts or 60 s"."""
        limits = f"{self.attempts} attempts" if self.attempts < UNLIMITED else ""
        return " or ".join(
            filter(None, (limits, f"{self.seconds:g} s" * (self.seconds < math.inf)))
        )


UNLIMITED: Final = 1 << 31
"""Attempts of a policy that only time limits."""

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
    """A fault that may have passed when the call is made again; its text says what it was."""

    def __init__(self, text: str, wait: float = 0.0) -> None:
        """Keep what the server said.

        Args:
            text: What happened, without secrets.
            wait: Seconds that the server asks to wait.
        """
        super().__init__(text)
        self.wait = wait


def is_transient(error: BaseException) -> bool:
    """Whether an error says of itself that it is transient."""
    return isinstance(error, TransientError)


def call(
    policy: Policy, work: Callable[[], R], transient: Callable[[BaseException], bool] = is_transient
) -> R:
    """What `work` returns, called again after each transient fault; the last fault is raised.

    Args:
        policy: How often and how long.
        work: The call, from its beginning.
        transient: Asked once about each error.
    """
    # Most calls succeed at once, and the loop costs as much as hashing a small file.
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
    """A decorator: each call of the function is `call` with these classes of transient errors."""

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
    asked = error.wait if isinstance(error, TransientError) else 0.0
    longest = min(policy.first_wait * 2.0 ** min(state.attempt_number - 1, 32), policy.longest_wait)
    own = random.uniform(longest / 2, longest)  # noqa: S311 - no secret hangs on it
    return min(max(asked, own), policy.longest_wait)
