"""What happens in a run, as JSON lines in the file that `ASSAY_EVENTS` names.

A component writes events, and the process that follows the run reads them. They are for people and
progress displays: nothing is decided by them, so a file that cannot be written is no error.
"""

import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from assay.core.settings import EVENTS
from assay.printable import without_secrets

logger = logging.getLogger(__name__)

STARTED: Final = "started"
DONE: Final = "done"
CACHED: Final = "cached"
FAILED: Final = "failed"

PROCESS = os.urandom(16).hex()
"""Distinguishes parallel tasks of the same name; a process id is 1 in every container."""


def _after_fork() -> None:
    global PROCESS  # noqa: PLW0603 - a constant of each process
    PROCESS = os.urandom(16).hex()


os.register_at_fork(after_in_child=_after_fork)


def emit(task: str, state: str, **details: Any) -> None:
    """Append one event, in a single write, so that parallel tasks do not mix their lines.

    Args:
        task: Name of the step.
        state: The new state.
        **details: Further fields of the event.
    """
    path = EVENTS.get()
    if not path:
        return
    event = {"task": task, "process": PROCESS, "state": state, "at": time.time(), **details}
    line = json.dumps(without_secrets(event)) + "\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        logger.debug("event not written: %s", error)


def read(path: Path, offset: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
    """Events after `offset` bytes, each with the offset behind it; whole lines only."""
    if not path.exists():
        return
    with path.open("rb") as stream:
        stream.seek(offset)
        for line in stream:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield json.loads(line), offset
