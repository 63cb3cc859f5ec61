"""`python -m assay.runtime.warm.server SOCKET FOLDER`: import MLflow, then do steps in forks.

SOCKET is the number of an inherited, listening socket; FOLDER holds its name and is removed at the
end, in case that the run can do so no longer. The end of standard input ends the process.
"""

import contextlib
import dataclasses
import gc
import importlib
import logging
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from assay import errors
from assay.core import code_identity as code
from assay.core.environment import hidden_modules, replace_variables
from assay.core.execution import execute
from assay.core.provenance import find_step
from assay.core.settings import MLFLOW_URI
from assay.core.step import Step
from assay.errors import AssayError
from assay.governance.mlflow_calls import prepare, quiet
from assay.runtime.context import task_context
from assay.runtime.warm import GRACE_SECONDS, wire

_UNUSED: Final = ("pandas", "pyarrow")
"""What MLflow imports where it is there and does without where it is not. Asking a registry needs
neither; they take a third of the time, and Arrow's allocator starts a thread, with which nobody
should fork."""
_SERVERS: Final = ("http", "https")


def main() -> None:
    """Serve until standard input ends."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    try:
        # What is loaded now stays for good: looking for garbage in it only takes time, and in a
        # fork it would copy every page.
        gc.disable()
        loaded = code.installed()
        with hidden_modules(*_UNUSED), quiet():
            _load()
        gc.freeze()
        _serve(listener, loaded)
    finally:
        shutil.rmtree(sys.argv[2], ignore_errors=True)


def _load() -> None:
    prepare()
    names = ["mlflow.tracking", "assay.governance.admission", "assay.governance.registry"]
    if urlsplit(MLFLOW_URI.get()).scheme not in _SERVERS:
        names += [
            "mlflow.store.tracking.sqlalchemy_store",
            "mlflow.store.model_registry.sqlalchemy_store",
        ]
    for name in names:
        importlib.import_module(name)


def _serve(listener: socket.socket, loaded: code.Installed) -> None:
    # Nobody waits for forks, so the system forgets them at their end.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    poll = select.poll()
    poll.register(sys.stdin.fileno(), select.POLLIN)
    poll.register(listener, select.POLLIN)
    while sys.stdin.fileno() not in dict(poll.poll()):
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _do(connection, loaded)
        connection.close()


def _do(connection: socket.socket, loaded: code.Installed) -> NoReturn:
    """One step, in a fork; never returns, so that nothing of the server runs twice."""
    try:
        gc.enable()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _, descriptors, _, _ = socket.recv_fds(connection, 1, 3)
        request = wire.receive(connection)
        _become(request, descriptors)
        if code.installed() == loaded:
            # Otherwise files have changed since they were imported, and what ran would not be what
            # the record says: the task, which is younger, does the step itself.
            module = request["step"].partition(":")[0]
            step = find_step(request["step"], (module,))
            wire.send(connection, wire.READY)
            if wire.receive(connection) == wire.GO:
                threading.Thread(target=_watch, args=(connection,), daemon=True).start()
                answer = _answer(step, request["arguments"])
                _flush()
                wire.send(connection, answer)
    except BaseException:  # noqa: BLE001, S110 - the task is gone, or does the step itself
        pass
    finally:
        # No tear-down: MLflow's takes half a second.
        _flush()
        os._exit(0)


def _become(request: Mapping[str, Any], descriptors: list[int]) -> None:
    """Take over what the task inherited or was given."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    replace_variables(request["environment"])
    tempfile.tempdir = None  # looked for anew
    os.chdir(request["folder"])
    sys.path[:] = request["path"]
    root = logging.getLogger()
    root.setLevel(request["log_level"])
    root.handlers.clear()
    for stream, layout in request["log_handlers"]:
        handler = logging.StreamHandler(getattr(sys, stream))
        handler.setFormatter(logging.Formatter(layout))
        root.addHandler(handler)


def _watch(connection: socket.socket) -> None:
    """End the fork when its task has ended: with a chance to clean up, then without."""
    with contextlib.suppress(OSError):
        connection.recv(1)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


def _answer(step: Step, arguments: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {"execution": dataclasses.asdict(execute(step, arguments, task_context()))}
    except AssayError as error:
        # Errors of one module only, such as Git's, go as the nearest that everybody knows.
        kind = next(item for item in type(error).__mro__ if item.__module__ == errors.__name__)
        return {"error": kind.__name__, "fields": error.fields}
    except BaseException as error:  # noqa: BLE001 - a bug, and the task has to tell of it
        return {
            "bug": type(error).__name__,
            "message": str(error),
            "traceback": traceback.format_exc(),
        }


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()


if __name__ == "__main__":
    main()
