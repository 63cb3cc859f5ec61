"""Following a run until it ends, through whatever the network does in the meantime."""

from collections.abc import Callable
from typing import Any, Final

from tenacity import (
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_delay,
    wait_exponential_jitter,
    wait_fixed,
)

from assay.cluster.client import Kfp, KfpUnavailableError
from assay.cluster.runs import TERMINAL, Outcome, Task, outcome, state_of, tasks_of

POLL_SECONDS: Final = 3.0
PATIENCE_SECONDS: Final = 600.0
LONGEST_WAIT_SECONDS: Final = 30.0

Listener = Callable[[str, tuple[Task, ...]], None]


def follow(
    kfp: Kfp,
    run_id: str,
    listener: Listener,
    *,
    poll_seconds: float = POLL_SECONDS,
    patience_seconds: float = PATIENCE_SECONDS,
) -> Outcome:
    """Wait for a run's end.

    Args:
        kfp: The API.
        run_id: The run.
        listener: Called with the state and the tasks after every look.
        poll_seconds: Between two looks.
        patience_seconds: How long an API that went away is waited for.

    Raises:
        KfpUnavailableError: It stayed away; the run itself goes on.
        KfpError: It refuses to tell.
        KfpNotFoundError: There is no such run.
    """
    patient = Retrying(
        retry=retry_if_exception_type(KfpUnavailableError),
        wait=wait_exponential_jitter(
            multiplier=poll_seconds, max=LONGEST_WAIT_SECONDS, jitter=poll_seconds
        ),
        stop=stop_after_delay(patience_seconds),
        reraise=True,
    )

    def ask() -> Any:
        try:
            return patient(kfp.run, run_id)
        except KfpUnavailableError as error:
            raise KfpUnavailableError(
                f"{error}; the run goes on; follow it with: assay submit --follow {run_id}"
            ) from error

    spec = kfp.spec(ask())

    def look() -> Any:
        run = ask()
        listener(state_of(run), tasks_of(run, spec))
        return run

    running = retry_if_result(lambda run: state_of(run) not in TERMINAL)
    return outcome(Retrying(retry=running, wait=wait_fixed(poll_seconds))(look), spec)
