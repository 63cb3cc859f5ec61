"""Following a run until it ends, through whatever the network does in the meantime."""

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
    Task,
    Told,
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
"""How long nothing has to change before KFP is asked what the pods wait for."""
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
    """Wait for a run's end.

    Args:
        kfp: The API.
        run_id: The run.
        listener: Called with the state and the tasks after every look.
        store: Where the run's records are.
        warn: Called where they cannot be read.
        poll_seconds: Between two looks.
        patience_seconds: How long an API that went away is waited for.
        still_seconds: After how long without a change the pods are looked at.

    Raises:
        KfpUnavailableError: It stayed away; the run itself goes on.
        KfpError: It refuses to tell.
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
    record, tasks = _records(store, run_id, warn) if store is not None else (None, [])
    if state_of(run) != SUCCEEDED and not workflow.failed(pods.found):
        pods.ask()
    return outcome(run, spec, Told(record, tasks, pods.found, pods.waited))


def _records(
    store: Store, run_id: str, warn: Warn
) -> tuple[runs.RunRecord | None, list[runs.TaskRecord]]:
    try:
        return runs.outcome(store, run_id), runs.tasks(store, run_id)
    except AssayError as error:
        # KFP says how the run ended; only the reason has to be found elsewhere.
        warn(f"the records of the run cannot be read: {error}")
        return None, []


class _Pods:
    """A run's pods, asked for when a task fails, and when nothing has changed for a while.

    Not at each look: a workflow is up to megabytes, and most of the time says what KFP says.
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
        """Ask, if it is time."""
        now = time.monotonic()
        seen = {(str(item.get("task_id")), str(item.get("state"))) for item in details_of(run)}
        new = seen - self._seen
        if any(state == FAILED for _, state in new):
            self.ask()
        elif seen == self._seen and now >= self._due:
            self.ask()
            self._pause = min(2 * self._pause, LONGEST_STILL_SECONDS)
            if workflow.waiting(self.found):
                self._pause = self._still  # what waits may be mended at any moment
        elif seen == self._seen:
            return
        else:
            # What was found of the pods is not so any more.
            self.found = tuple(workflow.failed(self.found))
            self._pause = self._still
        self._seen, self._due = seen, time.monotonic() + self._pause

    def ask(self) -> None:
        """Ask now; what is known stays where there is no answer."""
        # A help to people, which some installations do not serve: never a reason to stop.
        with contextlib.suppress(AssayError):
            self.found = workflow.pods(self._get())
            self.waited |= workflow.waiting(self.found)
