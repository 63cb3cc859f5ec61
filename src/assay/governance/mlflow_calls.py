"""Calling MLflow: its errors as ours, its talk silenced, its limits on names and texts kept.

Imports MLflow only inside of functions, because that takes seconds.
"""

import contextlib
import fcntl
import hashlib
import logging
import re
import threading
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from assay.core import retry
from assay.core.environment import environment, set_defaults, silence_mlflow
from assay.core.settings import MLFLOW_PASSWORD, MLFLOW_TOKEN, MLFLOW_URI
from assay.errors import ServiceError, UsageError

TIMEOUT_SECONDS: Final = 10
"""Of one request. MLflow's own defaults (120 s, 8 attempts, twice as slow) would let a run wait for
many minutes."""
MAX_METRIC_CHARS: Final = 250
MAX_LINE_CHARS: Final = 400
LOCK_SECONDS: Final = 120.0
"""How long a process waits for others that use the same SQLite file; making its tables takes some
seconds."""
_POLL_SECONDS: Final = 0.05
_SECRETS: Final = (MLFLOW_PASSWORD, MLFLOW_TOKEN)
_TALKERS: Final = ("mlflow", "alembic", "urllib3.connectionpool")
"""Loggers of migrations, retries and links, which are noise in a run's log."""
_NO_LINKS: Final = "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"
_CAUSE = re.compile(r"\(Caused by (.*)\)")
_LOGIN = re.compile(r"://[^/\s]*@")


def prepare() -> None:
    """Before MLflow is imported: no telemetry, and time-outs within a minute.

    What the user has set stays. MLflow reads the bounds at each request.
    """
    silence_mlflow()
    set_defaults(
        {
            "MLFLOW_HTTP_REQUEST_TIMEOUT": str(TIMEOUT_SECONDS),
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retry.MLFLOW.attempts - 1),
            "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": str(retry.MLFLOW.first_wait),
        }
    )


@contextlib.contextmanager
def calling(what: str, uri: str) -> Iterator[None]:
    """Map whatever MLflow raises to a `ServiceError` in one line.

    Args:
        what: What could not be done, as in "cannot <what>".
        uri: The tracking URI, for the remedy.

    Raises:
        ServiceError: Names the cause and the remedy, and no credentials.
        UsageError: MLflow has no such kind of URI.
    """
    failures = _failures()
    try:
        with quiet():
            yield
    except ImportError as error:
        # PostgreSQL and MySQL have drivers of their own.
        raise ServiceError(
            f"cannot {what}: {_line(error, uri)}",
            where="MLflow",
            remedy=f"install the driver that {public_uri(uri)} needs",
        ) from error
    except failures as error:
        if type(error).__name__.startswith("UnsupportedModelRegistryStoreURI"):
            raise UsageError(
                f"MLflow does not support {public_uri(uri)}",
                where=MLFLOW_URI.name,
                remedy="give http://host:port of a server, or sqlite:////path/mlflow.db for one "
                "machine",
            ) from error
        raise ServiceError(
            f"cannot {what}: {_line(error, uri)}", where="MLflow", remedy=remedy(uri)
        ) from error


_locks: defaultdict[Path, threading.RLock] = defaultdict(threading.RLock)
_held: set[Path] = set()


@contextlib.contextmanager
def alone(database: Path) -> Iterator[None]:
    """Keep other processes and threads away from a SQLite file; may be nested.

    MLflow makes and changes the tables of a new file without a lock, and looks before it writes
    without a transaction, so processes that do so at the same moment fail.

    Raises:
        TimeoutError: Another process has it for longer than `LOCK_SECONDS`.
    """
    place = database.absolute()
    with _locks[place]:
        if place in _held:
            yield
            return
        with contextlib.ExitStack() as stack:
            # Where no file can be made MLflow's own error says why.
            with contextlib.suppress(PermissionError, NotADirectoryError, FileExistsError):
                place.parent.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(place.with_name(f"{place.name}.lock").open("ab"))
                _lock(file.fileno(), place)
            _held.add(place)
            stack.callback(_held.discard, place)
            yield


def _lock(descriptor: int, place: Path) -> None:
    """Wait for a lock that the system takes back when this process ends, however it ends."""
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise TimeoutError(
                    f"another process has used {place} for {LOCK_SECONDS:g} s (lock {place}.lock)"
                ) from None
            time.sleep(_POLL_SECONDS)
        else:
            return


def _failures() -> tuple[type[Exception], ...]:
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException

    failures: tuple[type[Exception], ...] = (MlflowException, RequestException, OSError)
    # Images talk to servers only and hold no SQLAlchemy, which comes with mlflow for databases.
    if find_spec("sqlalchemy") is not None:
        from sqlalchemy.exc import SQLAlchemyError

        failures = (*failures, SQLAlchemyError)
    return failures


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the log messages and warnings of MLflow and its migrations, and nothing else."""
    loggers = [logging.getLogger(name) for name in _TALKERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    # Links to runs, which MLflow prints on standard output with whatever login the URI holds.
    try:
        with environment({_NO_LINKS: "true"}), warnings.catch_warnings():
            # Deprecations inside of MLflow, about which its user can do nothing.
            warnings.filterwarnings("ignore", module=r"mlflow|sqlalchemy|alembic")
            warnings.filterwarnings("ignore", category=FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def remedy(uri: str) -> str:
    """The remedy when MLflow fails."""
    return (
        f"check MLFLOW_TRACKING_URI ({public_uri(uri)}), its credentials, and that MLflow is "
        "running"
    )


def public_uri(uri: str) -> str:
    """A tracking URI without user, password and query."""
    return _LOGIN.sub("://", uri.partition("?")[0])


def metric_names(values: Mapping[str, float]) -> dict[str, float]:
    """Evidence under names that every MLflow takes, each under one of its own.

    `accuracy{sex="Female"}` becomes `accuracy/sex_Female`, which the UI shows as a group. MLflow
    takes letters, digits and `_-. /`, at most 250, and only normalized paths; what is
    replaced or cut beyond recognition gets a few digits of the original's hash.
    """
    result: dict[str, float] = {}
    for name, value in sorted(values.items()):
        metric = _metric_name(name)
        if metric in result or len(metric) > MAX_METRIC_CHARS:
            digits = hashlib.sha256(name.encode()).hexdigest()[:8]
            metric = f"{metric[: MAX_METRIC_CHARS - len(digits) - 1]}-{digits}"
        result[metric] = value
    return result


def _metric_name(name: str) -> str:
    base, _, labels = name.partition("{")
    texts = [base] if not labels else [base, labels.removesuffix("}").replace('"', "")]
    clean = [re.sub(r"[^\w.\- ]", "_", text.replace("=", "_")).strip() for text in texts]
    return "/".join(text if text.strip(".") else f"_{text}" for text in clean)


def _line(error: Exception, uri: str) -> str:
    """The error's text as one line of bounded length, without credentials."""
    text = " ".join(str(error).split())
    if " failed with exception " in text and (cause := _CAUSE.search(text)):
        # What requests and urllib3 wrap around a refused connection fills a screen.
        text = f"{text.partition(' failed with exception ')[0]} failed: {cause[1]}"
    text = _LOGIN.sub("://", text.replace(uri, public_uri(uri)))
    for setting in _SECRETS:
        if secret := setting.given:
            text = text.replace(secret, "***")
    return text if len(text) <= MAX_LINE_CHARS else f"{text[:MAX_LINE_CHARS]}…"
