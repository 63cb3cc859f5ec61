"""Following a run until it ends, with retries on network errors."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from assay.cluster import workflow
from assay.cluster.client import Kfp, KfpUnavailableError
from assay.cluster.runs import (
    FAILED,
    SUCCEEDED,
    TERMINAL,
    Outcome,
    Sources,
    Task,
    details_of,
    outcome,
    state_of,
    tasks_of,
)
from assay.core import retry
from assay.core.store import Store
from assay.errors import AssayError
from assay.runtime import runs

POLL_SECONDS: Final = 3.0
PATIENCE_SECONDS: Final = retry.KFP.seconds
STILL_SECONDS: Final = 20.0
"""Time without a change after which the pods are queried."""
LONGEST_STILL_SECONDS: Final = 320.0

Listener = Callable[[str, tuple[Task, ...]], None]
Warn = Callable[[str], None]


def follow(
    kfp: Kfp,
    run_id: str,
    listener: Listener,
    *,
    store: Store | None = None,
    warn: Warn = lambda _text: None,
    poll_seconds: float = POLL_SECONDS,
    patience_seconds: float = PATIENCE_SECONDS,
    still_seconds: float = STILL_SECONDS,
) -> Outcome:
    """Wait for the end of a run.

    Args:
        kfp: The API.
        run_id: The run.
        listener: Called with the state and the tasks after every query.
        store: The store with the status of the run.
        warn: Called with a message if the status cannot be read.
        poll_seconds: Time between two queries.
        patience_seconds: How long to wait for an API that does not answer.
        still_seconds: Time without a change after which the pods are queried.

    Returns:
        The result of the run.

    Raises:
        KfpUnavailableError: The API does not answer; the run itself goes on.
        KfpError: The API refused.
        KfpNotFoundError: There is no such run.
    """
    policy = replace(retry.KFP, first_wait=2 * poll_seconds, seconds=patience_seconds)

    def ask() -> Any:
        try:
            return retry.call(
                policy,
                lambda: kfp.run(run_id),
                lambda error: isinstance(error, KfpUnavailableError),
            )
        except KfpUnavailableError as error:
            raise KfpUnavailableError(
                f"{error}; the run goes on; follow it with: assay submit --follow {run_id}"
            ) from error

    spec = kfp.spec(ask())
    pods = _Pods(lambda: kfp.workflow(run_id), still_seconds)

    def look() -> Any:
        run = ask()
        pods.look(run)
        listener(state_of(run), tasks_of(run, spec, pods.found))
        return run

    while state_of(run := look()) not in TERMINAL:
        time.sleep(poll_seconds)
    status, tasks = _records(store, run_id, warn) if store is not None else (None, [])
    if state_of(run) != SUCCEEDED and not workflow.failed(pods.found):
        pods.ask()
    return outcome(run, spec, Sources(status, tasks, pods.found, pods.waited))


def _records(
    store: Store, run_id: str, warn: Warn
) -> tuple[runs.RunStatus | None, list[runs.TaskStatus]]:
    try:
        return runs.outcome(store, run_id), runs.tasks(store, run_id)
    except AssayError as error:
        # KFP reports how the run ended; only the reason must come from elsewhere.
        warn(f"the status of the run cannot be read from the store: {error}")
        return None, []


class _Pods:
    """A run's pods, queried when a task fails, and when nothing has changed for a while.

    Not at each query of the run: a workflow has up to megabytes, and rarely adds information.
    """

    def __init__(self, get: Callable[[], str], still_seconds: float) -> None:
        self._get = get
        self._still = still_seconds
        self._pause = still_seconds
        self._due = time.monotonic() + still_seconds
        self._seen: set[tuple[str, str]] = set()
        self.found: tuple[workflow.Pod, ...] = ()
        self.waited: dict[str, str] = {}

    def look(self, run: Any) -> None:
        """Query the pods, if it is time."""
        now = time.monotonic()
        seen = {(str(item.get("task_id")), str(item.get("state"))) for item in details_of(run)}
        new = seen - self._seen
        if any(state == FAILED for _, state in new):
            self.ask()
        elif seen == self._seen and now >= self._due:
            self.ask()
            self._pause = min(2 * self._pause, LONGEST_STILL_SECONDS)
            if workflow.waiting(self.found):
                self._pause = self._still  # the cause may be corrected at any moment
        elif seen == self._seen:
            return
        else:
            # The known pods are out of date.
            self.found = tuple(workflow.failed(self.found))
            self._pause = self._still
        self._seen, self._due = seen, time.monotonic() + self._pause

    def ask(self) -> None:
        """Query the pods now; keep the known ones if there is no answer."""
        # Optional, and some installations do not serve it, so an error does not matter.
        with contextlib.suppress(AssayError):
            self.found = workflow.pods(self._get())
            self.waited |= workflow.waiting(self.found)
