"""Calling MLflow: converted errors, suppressed output, and its limits on names and texts.

MLflow is imported only inside of functions, because the import takes seconds.
"""

import contextlib
import fcntl
import hashlib
import logging
import re
import sqlite3
import threading
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from assay.core import retry
from assay.core.environment import environment, set_defaults, silence_mlflow
from assay.core.settings import MLFLOW_PASSWORD, MLFLOW_TOKEN, MLFLOW_URI
from assay.errors import ServiceError, UsageError

TIMEOUT_SECONDS: Final = 10
"""Time limit of one request. With MLflow's defaults (120 s, 8 attempts with growing waits) a run
could wait for many minutes."""
MAX_METRIC_CHARS: Final = 250
MAX_LINE_CHARS: Final = 400
LOCK_SECONDS: Final = 120.0
"""How long a process waits for others that use the same SQLite file; making its tables takes some
seconds."""
_POLL_SECONDS: Final = 0.05
_HALF_MADE: Final = ("already exists", "duplicate column", "no such table", "no such column")
"""Parts of SQLite's errors when a migration is repeated, or was not finished."""
_BESIDE: Final = ("lock", "before", "new")
"""Ends of the names of files beside a SQLite file: the lock, a copy from before a migration, and a
file that is being made."""
_SECRETS: Final = (MLFLOW_PASSWORD, MLFLOW_TOKEN)
_TALKERS: Final = ("mlflow", "alembic", "urllib3.connectionpool")
"""Loggers of migrations, retries and links, which are not useful in the log of a run."""
_NO_LINKS: Final = "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"
_CAUSE = re.compile(r"\(Caused by (.*)\)")
_LOGIN = re.compile(r"://[^/\s]*@")


def prepare() -> None:
    """Before MLflow is imported: disable telemetry, and set time-outs below a minute.

    Variables that the user has set are kept. MLflow reads the limits at each request.
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
    """Convert errors of MLflow to a `ServiceError` of one line.

    Args:
        what: The action, for errors: "cannot <what>".
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
    """Lock a SQLite file against other processes and threads; may be nested.

    MLflow creates and changes the tables of a new file without a lock, and checks before it writes
    without a transaction, so processes that do so at the same time fail.

    Raises:
        TimeoutError: Another process holds the lock for longer than `LOCK_SECONDS`.
    """
    place = database.absolute()
    with _locks[place]:
        if place in _held:
            yield
            return
        with contextlib.ExitStack() as stack:
            # If no file can be created, the error of MLflow gives the reason.
            with contextlib.suppress(PermissionError, NotADirectoryError, FileExistsError):
                place.parent.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(place.with_name(f"{place.name}.lock").open("ab"))
                _lock(file.fileno(), place)
            _held.add(place)
            stack.callback(_held.discard, place)
            yield


def _lock(descriptor: int, place: Path) -> None:
    """Wait for a lock that the system releases when this process ends."""
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


def prepare_file(database: Path, open_with: Callable[[Path], None]) -> None:
    """Create the tables of a SQLite file, or migrate them, so that an interruption leaves it whole.

    MLflow does both in several transactions, and cannot continue when it was interrupted. So a new
    file is made beside its place and renamed, and one that exists is copied before MLflow of
    another version opens it; the copy is restored when that did not end. The lock file names the
    version that has opened the file.

    Args:
        database: The file, which the caller has locked with `alone`.
        open_with: Opens a file with MLflow, which makes or migrates its tables.

    Raises:
        ServiceError: The tables are incomplete, from before files were made in this way; the
            remedy says what to do. Other errors of `open_with` are raised as they are.
    """
    from mlflow.version import VERSION

    seen, copy, new = (database.with_name(f"{database.name}.{end}") for end in _BESIDE)
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if (
            seen.read_text(encoding="utf-8") == VERSION
            and database.stat().st_size
            and not copy.exists()
        ):
            return
    if copy.exists():
        _undo(copy, database)
    if not database.exists() or not database.stat().st_size:
        new.unlink(missing_ok=True)
        open_with(new)
        new.replace(database)
    else:
        new.unlink(missing_ok=True)
        with (
            contextlib.closing(sqlite3.connect(database)) as source,
            contextlib.closing(sqlite3.connect(new)) as target,
        ):
            source.backup(target)
        new.replace(copy)
        try:
            open_with(database)
        except Exception as error:
            _undo(copy, database)
            if not any(sign in str(error) for sign in _HALF_MADE):
                raise
            raise ServiceError(
                f"{database} was left incomplete by an interrupted process: {_line(error, '')}",
                where="MLflow",
                remedy="if nothing in it is needed, move it away; otherwise restore a copy of it",
            ) from error
        copy.unlink()
    seen.write_text(VERSION, encoding="utf-8")


def _tables(database: Path) -> list[Any] | None:
    """The definitions and the version of a database's tables; None if they cannot be read."""
    try:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            tables = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name, sql")
            result: list[Any] = tables.fetchall()
            if any(name == "alembic_version" for name, _ in result):
                result += connection.execute("SELECT version_num FROM alembic_version").fetchall()
    except sqlite3.Error:
        return None
    return result


def _undo(copy: Path, database: Path) -> None:
    """Put the copy in the place of a database whose tables a migration has changed.

    One that is unchanged stays, because another program may have it open.
    """
    if _tables(database) == _tables(copy):
        copy.unlink()
        return
    # SQLite would roll the journal of an interrupted transaction back into the copy.
    for end in ("journal", "wal", "shm"):
        database.with_name(f"{database.name}-{end}").unlink(missing_ok=True)
    copy.replace(database)


def _failures() -> tuple[type[Exception], ...]:
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException

    failures: tuple[type[Exception], ...] = (
        MlflowException, RequestException, OSError, sqlite3.Error,
    )  # fmt: skip
    # Images use only servers, and lack SQLAlchemy, which MLflow needs for databases.
    if find_spec("sqlalchemy") is not None:
        from sqlalchemy.exc import SQLAlchemyError

        failures = (*failures, SQLAlchemyError)
    return failures


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress the log messages and warnings of MLflow and its migrations only."""
    loggers = [logging.getLogger(name) for name in _TALKERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    # Links to runs, which MLflow prints to standard output with the login of the URI.
    try:
        with environment({_NO_LINKS: "true"}), warnings.catch_warnings():
            # Deprecations inside of MLflow, which its user cannot correct.
            warnings.filterwarnings("ignore", module=r"mlflow|sqlalchemy|alembic")
            warnings.filterwarnings("ignore", category=FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def remedy(uri: str) -> str:
    """The remedy for errors of MLflow."""
    return (
        f"check MLFLOW_TRACKING_URI ({public_uri(uri)}), its credentials, and that MLflow is "
        "running"
    )


def public_uri(uri: str) -> str:
    """A tracking URI without user, password and query."""
    return _LOGIN.sub("://", uri.partition("?")[0])


def metric_names(values: Mapping[str, float]) -> dict[str, float]:
    """Evidence under unique names that every version of MLflow admits.

    `accuracy{sex="Female"}` becomes `accuracy/sex_Female`, which the UI shows as a group. MLflow
    admits letters, digits and `_-. /`, at most 250 characters, and only normalized paths. A name
    that would be ambiguous gets a few digits of the hash of the original.
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
        # The text of requests and urllib3 about a refused connection is very long.
        text = f"{text.partition(' failed with exception ')[0]} failed: {cause[1]}"
    text = _LOGIN.sub("://", text.replace(uri, public_uri(uri)))
    for setting in _SECRETS:
        if secret := setting.given:
            text = text.replace(secret, "***")
    return text if len(text) <= MAX_LINE_CHARS else f"{text[:MAX_LINE_CHARS]}…"
