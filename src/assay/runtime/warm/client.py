"""A task's side: have a step done by the run's warm process."""

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Mapping
from typing import Any, Final

from assay import errors
from assay.core.environment import inherited
from assay.core.execution import Execution
from assay.core.settings import WARM_SOCKET
from assay.core.step import Step
from assay.errors import AssayError, ServiceError
from assay.runtime.warm import GRACE_SECONDS, wire

READY_SECONDS: Final = 60
"""The process may be importing still; a task that waited in vain does its step itself."""


def ask(step: Step, arguments: Mapping[str, Any]) -> Execution | None:
    """Have `step` done by the warm process, with everything as in this process.

    Returns:
        The execution; None where nothing was done and the caller has to do the step itself: there
        is no such process, it is gone, or it cannot do this step.

    Raises:
        AssayError: The step's own error, as itself.
        ServiceError: The process ended in the middle of the step.
    """
    path = WARM_SOCKET.get()
    if not path:
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        if not _accepted(connection, path, _request(step, arguments)):
            return None
        return _execution(_answer(connection, step))


def _request(step: Step, arguments: Mapping[str, Any]) -> dict[str, Any]:
    root = logging.getLogger()
    streams = {id(sys.stdout): "stdout", id(sys.stderr): "stderr"}
    return {
        "step": step.entry_point,
        "arguments": dict(arguments),
        "environment": inherited(),
        "folder": os.getcwd(),  # noqa: PTH109 - as os.chdir takes it
        "path": sys.path,
        "log_level": root.level,
        "log_handlers": [
            # KFP's own, so that the log reads as if the step were done here.
            [streams[id(handler.stream)], getattr(handler.formatter, "_fmt", None)]
            for handler in root.handlers
            if isinstance(handler, logging.StreamHandler) and id(handler.stream) in streams
        ],
    }


def _accepted(connection: socket.socket, path: str, request: Mapping[str, Any]) -> bool:
    """Whether the process has the step now; if not, it has done nothing and never will."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    connection.settimeout(READY_SECONDS)
    try:
        connection.connect(path)
        socket.send_fds(connection, [b"\0"], [0, 1, 2])
        wire.send(connection, request)
        if wire.receive(connection) != wire.READY:
            return False
        wire.send(connection, wire.GO)
    except (OSError, EOFError):
        return False
    connection.settimeout(None)
    return True


def _answer(connection: socket.socket, step: Step) -> Any:
    try:
        return wire.receive(connection)
    except (OSError, EOFError) as error:
        raise ServiceError(
            f"{step.name}: the process that asked the registry for this run was ended in the "
            "middle of it, so whether it was done is not known; run the pipeline again: what is "
            "registered already is found and kept"
        ) from error
    except BaseException:
        # Interrupted. The other side ends when it can receive no more; its work folder goes first.
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(GRACE_SECONDS)
            while connection.recv(1 << 16):
                pass
        raise


def _execution(answer: Mapping[str, Any]) -> Execution:
    if "execution" in answer:
        return Execution(**answer["execution"])
    if "error" in answer:
        kind: type[AssayError] = getattr(errors, answer["error"])
        raise kind(**answer["fields"])
    # A bug. It keeps its name, which stands in the run's events, and where it was.
    bug = type(answer["bug"], (RuntimeError,), {})(answer["message"])
    bug.add_note(answer["traceback"])
    raise bug
