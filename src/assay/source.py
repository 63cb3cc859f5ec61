"""Bytes of the outside world: fetched, hashed, and from then on known by their digest.

A location is a path, `file://`, `s3://bucket/key?endpoint=…`, `https://`, `http://` to this machine
only, or the digest of a dataset in the store. Credentials come from the environment and never
stand in a location; what a record keeps of a location has neither user nor query.
"""

import contextlib
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Final, cast
from urllib.parse import unquote, urlsplit, urlunsplit

from assay.digest import CHUNK_BYTES, is_digest, of_stream
from assay.errors import DataError, UsageError
from assay.step import Dataset, Source
from assay.store import Store
from assay.store.base import landing
from assay.tree import get_manifest, get_tree

TIMEOUT_SECONDS: Final = 30
MAX_REDIRECTS: Final = 5
_LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def fetch(location: str, folder: Path, *, store: Store | None = None) -> Source:
    """Make a location's bytes a file (for a dataset's digest: a folder), and name them.

    A local file is hashed where it lies and not copied; whoever reads it afterwards can tell from
    `unchanged` that it is still what was hashed.

    Raises:
        DataError: Missing, empty, unreachable or refused; says what to do.
        UsageError: Not a location.
    """
    if is_digest(location):
        return _from_store(location, folder, store)
    local = local_path(location)
    if local is not None:
        path = _require_file(local)
        with path.open("rb") as stream:
            digest, _ = of_stream(stream)
        return Source(path, digest, path.resolve().as_uri())
    target = folder / (Path(urlsplit(location).path).name or "source")
    with open_remote(location) as stream, landing(target) as out:
        while chunk := stream.read(CHUNK_BYTES):
            out.write(chunk)
    with target.open("rb") as stream:
        digest, _ = of_stream(stream)
    return Source(target, digest, public(location))


@contextlib.contextmanager
def unchanged(source: Source) -> Iterator[None]:
    """Refuse a result when the file changed while it was read, or since it was hashed.

    Raises:
        DataError: It did; nothing of it is kept.
    """
    if source.path.is_dir():
        # Laid out from the store by ourselves, checked and read-only.
        yield
        return
    before = _stamp(source.path)
    yield
    with source.path.open("rb") as stream:
        same = of_stream(stream)[0] == source.digest
    if not same or _stamp(source.path) != before:
        raise DataError(
            f"{source.uri} changed while it was read; give a file that nobody writes to"
        )


def peek(location: str, size: int) -> bytes:
    """The first `size` bytes of a location, quickly.

    Raises:
        DataError: As `fetch`.
    """
    local = local_path(location)
    if local is not None:
        with _require_file(local).open("rb") as stream:
            return stream.read(size)
    with open_remote(location) as remote:
        return remote.read(size)


def public(location: str) -> str:
    """A location without user, password, query or fragment, fit for records and messages."""
    parts = urlsplit(location)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def local_path(location: str) -> Path | None:
    """The path that a location names on this machine, or None."""
    parts = urlsplit(location)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if "://" in location else Path(location).expanduser()


def _require_file(path: Path) -> Path:
    if path.is_dir():
        raise DataError(f"{path} is a folder; give one CSV or Parquet file")
    try:
        with path.open("rb"):
            pass
        size = path.stat().st_size
    except FileNotFoundError as error:
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        close = get_close_matches(path.name, siblings, n=1)
        hint = f"did you mean {path.parent / close[0]}?" if close else "check the path"
        raise DataError(f"no file {path}; {hint}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check its permissions") from error
    if size == 0:
        raise DataError(f"{path} is empty; give a file with a header and rows")
    return path


def _stamp(path: Path) -> tuple[int, int]:
    info = path.stat()
    return info.st_size, info.st_mtime_ns


def _from_store(digest: str, folder: Path, store: Store | None) -> Source:
    if store is None:
        raise UsageError(f"{digest}: a digest needs a store to look in; give a path or an URL")
    manifest = get_manifest(store, digest)
    if manifest.artifact_type != Dataset.type:
        raise UsageError(f"{digest} is of type {manifest.artifact_type}; give a dataset's digest")
    target = folder / "dataset"
    get_tree(store, manifest, target)
    return Source(target, digest, digest)


@contextlib.contextmanager
def open_remote(location: str) -> Iterator[IO[bytes]]:
    """A stream of a remote location's bytes.

    Raises:
        DataError: Not found, refused or unreachable.
        UsageError: A scheme that is not known, or credentials in the location.
    """
    parts = urlsplit(location)
    if "@" in parts.netloc:
        raise UsageError(
            f"{public(location)}: leave user and password out of the location; credentials come "
            "from the environment"
        )
    if parts.scheme == "s3":
        opened = _open_s3(location)
    elif parts.scheme == "https" or (
        parts.scheme == "http" and (parts.hostname or "") in _LOCAL_HOSTS
    ):
        opened = _open_http(location)
    else:
        raise UsageError(
            f"{public(location)}: not a location that can be read; give a path, file://, s3://, "
            "https:// or a dataset's digest"
        )
    with opened as stream:
        yield stream


@contextlib.contextmanager
def _open_http(location: str) -> Iterator[IO[bytes]]:
    import urllib3

    retry = urllib3.Retry(
        total=MAX_REDIRECTS,
        redirect=MAX_REDIRECTS,
        backoff_factor=0.3,
        backoff_jitter=0.3,
        status_forcelist=(429, 500, 502, 503, 504),
    )
    where = public(location)
    try:
        with urllib3.PoolManager(timeout=TIMEOUT_SECONDS) as pool:
            response = pool.request("GET", location, preload_content=False, retries=retry)
            with contextlib.closing(response):
                if response.status != 200:  # noqa: PLR2004 - OK
                    raise DataError(
                        f"{where}: the server answered {response.status}; check the URL"
                    )
                yield cast("IO[bytes]", response)
    except urllib3.exceptions.HTTPError as error:
        raise DataError(
            f"{where}: cannot be fetched ({type(error).__name__}); try again"
        ) from error


@contextlib.contextmanager
def _open_s3(location: str) -> Iterator[IO[bytes]]:
    from minio.error import S3Error
    from urllib3.exceptions import HTTPError

    from assay.store.minio import client_for

    parts = urlsplit(location)
    where = public(location)
    try:
        response = client_for(location).get_object(parts.netloc, parts.path.lstrip("/"))
    except S3Error as error:
        raise DataError(f"{where}: {error.code}; check bucket, key and credentials") from error
    except HTTPError as error:
        raise DataError(
            f"{where}: cannot be fetched ({type(error).__name__}); try again"
        ) from error
    try:
        yield response
    finally:
        response.close()
        response.release_conn()
