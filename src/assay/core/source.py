"""Fetch and hash external data.

A location is a path, `file://`, `s3://bucket/key?endpoint=…`, `https://`, `http://` (this machine
only), or the digest of a dataset in the store. Credentials come from the environment and are not
allowed in locations. Secrets in locations, such as signatures, are removed from attestations and
messages.
"""

import contextlib
import functools
import hashlib
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final, TypeVar, cast
from urllib.parse import parse_qs, unquote, urljoin, urlsplit

from assay.core import retry
from assay.core.digest import CHUNK_BYTES, PREFIX, is_digest, of_stream
from assay.core.locations import Access, require_admitted, require_public, require_public_address
from assay.core.step import Dataset, Source
from assay.core.store import Store
from assay.core.store.files import landing
from assay.core.tree import get_manifest, get_tree
from assay.documents import NotRegularError, open_regular
from assay.errors import AssayError, DataError, UsageError
from assay.printable import public

R = TypeVar("R")

CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 60.0
"""Maximum time without data from the server."""
FETCH_SECONDS: Final = 4 * 3600.0
"""Maximum time to fetch a whole file."""
PEEK_SECONDS: Final = 120.0
"""Maximum time to fetch the beginning of a file."""
MAX_REDIRECTS: Final = 5
MAX_LISTED: Final = 5
"""Maximum number of file names in a message about a folder."""

_OK: Final = 200
_GONE: Final = frozenset({404, 410})
_REFUSED: Final = frozenset({401, 403})


def fetch(
    uri: str, folder: Path, *, store: Store | None = None, max_bytes: int | None = None
) -> Source:
    """Fetch a location into a file (a dataset of the store: into a folder), and compute its digest.

    A local file is hashed without copying it; it must be read inside `unchanged` afterwards. Remote
    data is hashed while it is written to `folder`, in bounded memory.

    Args:
        uri: The location.
        folder: The target of remote data.
        store: The store of datasets; None if digests are not allowed.
        max_bytes: Maximum size; no limit by default.

    Returns:
        The path, the digest, and the location without credentials.

    Raises:
        DataError: The data is missing, empty, too large, unreachable or access is denied.
        UsageError: The location is not supported or not allowed, or has credentials in it.
        StoreError: The store does not have the digest.
    """
    if is_digest(uri):
        return _from_store(uri, folder, store)
    local = local_path(uri)
    if local is not None:
        require_admitted(uri)
        return _from_file(local, max_bytes)
    target = folder / (Path(unquote(urlsplit(uri).path)).name or "source")

    def copy() -> str:
        with open_remote(uri) as stream, landing(target) as out:
            return _copy(stream, out, public(uri), max_bytes)

    return Source(target, _repeated(uri, copy), public(uri))


@contextlib.contextmanager
def unchanged(source: Source) -> Iterator[None]:
    """Check that a source does not change while the block reads it.

    Raises:
        DataError: The file changed since it was hashed; the result must be discarded.
    """
    if source.path.is_dir():
        # A dataset of the store, which was verified and is read-only.
        yield
        return
    changed = DataError(
        f"{source.uri} changed while it was read; give a file that is not being written"
    )
    before = _stamp(source.path)
    try:
        yield
    except AssayError as error:
        # An invalid row may be a row that is being written.
        if not _is_still(source, before):
            raise changed from error
        raise
    if not _is_still(source, before):
        raise changed


def peek(location: str, size: int) -> bytes:
    """Read the first `size` bytes of a location.

    Raises:
        DataError: As for `fetch`.
        UsageError: As for `fetch`.
    """
    local = local_path(location)
    if local is not None:
        require_admitted(location)
        with open_regular(_require_file(local)) as stream:
            return stream.read(size)

    def read() -> bytes:
        with open_remote(location, PEEK_SECONDS) as remote:
            return _head(remote, size)

    return _repeated(location, read)


def local_path(location: str) -> Path | None:
    """The path of a local location; None for a remote one."""
    if "://" not in location:
        return Path(location).expanduser()
    try:
        parts = urlsplit(location)
    except ValueError:
        return None
    if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        return Path(unquote(parts.path))
    return None


@contextlib.contextmanager
def open_remote(location: str, seconds: float | None = None) -> Iterator[IO[bytes]]:
    """Open a stream of a remote location.

    Args:
        location: The location.
        seconds: Maximum total time to read it; `FETCH_SECONDS` by default.

    Raises:
        DataError: The object does not exist, access is denied, or the time was exceeded.
        UsageError: The location is not supported or not allowed, or has credentials in it.
    """
    access = _check_remote(location)
    seconds = FETCH_SECONDS if seconds is None else seconds
    opened = _open_s3(location, access) if location.startswith("s3://") else _open_http(location)
    with opened as stream:
        expired = threading.Event()

        def end() -> None:
            expired.set()
            # The reader gets the error of a closed connection.
            with contextlib.suppress(Exception):
                cast("Any", stream).shutdown()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield stream
        except Exception as error:
            if expired.is_set():
                raise _too_slow(location, seconds) from error
            raise
        finally:
            timer.cancel()
        if expired.is_set():
            raise _too_slow(location, seconds)


def _too_slow(location: str, seconds: float) -> DataError:
    return DataError(
        f"{public(location)}: not read after {seconds:,.0f} seconds, which is the limit; copy it "
        "to a faster server"
    )


def _from_file(local: Path, max_bytes: int | None) -> Source:
    path = _require_file(local)
    before = _stamp(path)
    if max_bytes is not None and before[0] > max_bytes:
        raise _too_large(str(path), max_bytes)
    with open_regular(path) as stream:
        digest, _ = of_stream(stream)
    if _stamp(path) != before:
        raise DataError(f"{path} changed while it was read; give a file that is not being written")
    return Source(path, digest, path.resolve().as_uri())


def _from_store(digest: str, folder: Path, store: Store | None) -> Source:
    if store is None:
        raise UsageError(f"{digest}: digests need a store; give a path or a URL")
    manifest = get_manifest(store, digest)
    if manifest.artifact_type != Dataset.type:
        raise UsageError(f"{digest} is of type {manifest.artifact_type}; give a dataset's digest")
    target = folder / "dataset"
    get_tree(store, manifest, target)
    return Source(target, digest, digest)


def _require_file(path: Path) -> Path:
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder; give one CSV or Parquet file{_files_in(path)}")
        # Reading a pipe could block forever, and a pipe cannot be read twice.
        with open_regular(path) as stream:
            size = os.fstat(stream.fileno()).st_size
    except NotRegularError as error:
        raise DataError(f"{path}: {error.strerror}; save the data into a file") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"no file {path}; {_suggestion(path)}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check its permissions") from error
    except ValueError as error:
        raise DataError(f"{str(path)!r} is not a path: {error}") from error
    if size == 0:
        raise DataError(f"{path} is empty; give a file with a header and rows")
    return path


def _files_in(folder: Path) -> str:
    suffixes = (".csv", ".tsv", ".txt", ".gz", ".parquet")
    names = sorted(p.name for p in folder.iterdir() if p.name.lower().endswith(suffixes))
    more = ", …" if len(names) > MAX_LISTED else ""
    return f", such as {', '.join(names[:MAX_LISTED])}{more} in it" if names else ""


def _suggestion(path: Path) -> str:
    """A similar path that exists."""
    parent = path.parent
    if not parent.is_dir():
        return f"there is no folder {parent} either; check the path"
    from difflib import get_close_matches

    close = get_close_matches(path.name, [item.name for item in parent.iterdir()], n=1)
    return f"did you mean {parent / close[0]}?" if close else "check the path"


def _stamp(path: Path) -> tuple[int, int]:
    info = path.stat()
    return info.st_size, info.st_mtime_ns


def _is_still(source: Source, before: tuple[int, int]) -> bool:
    """Whether the content is unchanged; compares digests, because timestamps can be set."""
    try:
        if _stamp(source.path) != before:
            return False
        with source.path.open("rb") as stream:
            return of_stream(stream)[0] == source.digest
    except OSError:
        return False


def _copy(stream: IO[bytes], out: IO[bytes], where: str, max_bytes: int | None) -> str:
    """Copy and hash a stream; refuse it if it is empty or too large."""
    hasher, size = hashlib.sha256(), 0
    while chunk := stream.read(CHUNK_BYTES):
        hasher.update(chunk)
        size += len(chunk)
        if max_bytes is not None and size > max_bytes:
            raise _too_large(where, max_bytes)
        out.write(chunk)
    if size == 0:
        raise DataError(f"{where} is empty; give a file with a header and rows")
    return PREFIX + hasher.hexdigest()


def _head(stream: IO[bytes], size: int) -> bytes:
    head = bytearray()
    while len(head) < size and (chunk := stream.read(size - len(head))):
        head += chunk
    return bytes(head)


def _too_large(where: str, max_bytes: int) -> DataError:
    return DataError(
        f"{where} is larger than the limit of {max_bytes:,} bytes; give a smaller file, or raise "
        "the limit (for data: ASSAY_MAX_TABLE_BYTES)"
    )


def _check_remote(location: str) -> Access:
    """Refuse locations that are malformed, not supported or not allowed."""
    where = public(location)
    name, mark, rest = location.partition("?")
    if name.startswith("s3://"):
        name = name.replace(" ", "")  # keys often have blanks, and are no secret
    if re.search(r"[\s\x00-\x1f\x7f]", name + mark + rest):
        # Programs disagree about where it ends, and so on what of it is a secret.
        raise UsageError(
            f"{where}: the location holds white space or control characters; write each as %20 and "
            "the like, and paste it as one line"
        )
    try:
        parts = urlsplit(location)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError as error:
        raise UsageError(f"{where}: not a location that can be read: {error}") from error
    endpoint = parse_qs(parts.query).get("endpoint", [""])[-1] if parts.scheme == "s3" else ""
    if "@" in parts.netloc or "@" in endpoint:
        raise UsageError(
            f"{where}: leave user and password out of the location; credentials come from the "
            "environment"
        )
    if parts.scheme not in {"s3", "https", "http"} or not host:
        raise UsageError(
            f"{where}: not a location that can be read; give a path, file://, s3://bucket/key, "
            "https:// or a dataset's digest"
        )
    if parts.scheme == "s3" and not parts.path.strip("/"):
        raise UsageError(f"{where}: no object; give s3://bucket/key")
    return _admitted(location, where)


def _admitted(location: str, where: str) -> Access:
    try:
        return require_admitted(location)
    except UsageError as error:
        if urlsplit(location).scheme != "http":
            raise
        # Without encryption, only servers that are listed by name.
        raise UsageError(
            f"{where}: http:// can be altered in transit; give its https:// address, or have it "
            "admitted (ASSAY_SOURCES)"
        ) from error


def _repeated(location: str, read: Callable[[], R]) -> R:
    """Call `read`, and repeat it after transient faults.

    Raises:
        DataError: All attempts failed.
    """
    try:
        return retry.call(retry.SOURCE, read)
    except retry.TransientError as error:
        raise DataError(
            f"{public(location)}: {error}, after {retry.SOURCE}; check that the server is up and "
            "the address is correct, or try again later"
        ) from error


@contextlib.contextmanager
def _open_http(location: str) -> Iterator[IO[bytes]]:
    where = public(location)
    with _transient_faults(where):
        # Redirects are followed here, because each target must be checked: https must not redirect
        # to http, and a public address must not redirect to a private one.
        for _ in range(MAX_REDIRECTS + 1):
            with request(location) as response:
                target = response.get_redirect_location()
                if not target:
                    _check_status(response.status, where)
                    yield cast("IO[bytes]", response)
                    return
                location = _redirected(location, target)
    raise DataError(f"{where}: more than {MAX_REDIRECTS} redirects; give the final address")


@contextlib.contextmanager
def request(
    location: str, headers: Mapping[str, str] | None = None, read_seconds: float = READ_SECONDS
) -> Iterator[Any]:
    """Send one GET request to an allowed web location, without following redirects.

    The addresses of the host are checked before the request, and again when it is connected,
    because the name may resolve to another address the second time.

    Args:
        location: The location.
        headers: Additional headers.
        read_seconds: Maximum time without data from the server.

    Yields:
        The response of urllib3, whose body has not been read.

    Raises:
        UsageError: The location is not allowed, or its host has an address that is not public.
        urllib3.exceptions.HTTPError: The server cannot be reached.
    """
    import urllib3

    access = _check_remote(location)
    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=read_seconds)
    with urllib3.PoolManager(timeout=timeout, retries=False) as pool:
        if not access.any_address:
            parts = urlsplit(location)
            with contextlib.suppress(OSError):  # reported when it is connected
                require_public(parts.hostname or "", parts.port or 443)
            pool.pool_classes_by_scheme = _guarded_pools()
        response = pool.request(
            "GET", location, headers=headers, preload_content=False, redirect=False
        )
        with contextlib.closing(response):
            yield response


@functools.cache
def _guarded_pools() -> dict[str, Any]:
    """urllib3's pools with connections that refuse addresses that are not public."""
    import urllib3
    from urllib3.connection import HTTPSConnection

    class Connection(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            connection = super()._new_conn()
            try:
                require_public_address(str(connection.getpeername()[0]), self.host)
            except BaseException:
                connection.close()
                raise
            return connection

    class Pool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Connection

    # There is no pool for http, because http servers must be listed by name.
    return {"https": Pool}


def _redirected(location: str, target: str) -> str:
    target = urljoin(location, target)
    _check_remote(target)
    schemes = urlsplit(location).scheme, urlsplit(target).scheme
    if schemes[1] == "s3" or schemes == ("https", "http"):
        raise DataError(f"{public(location)}: redirected to {public(target)}, which is refused")
    return target


def _check_status(status: int, where: str) -> None:
    if status == _OK:
        return
    if status in retry.TRANSIENT_STATUS:
        raise retry.TransientError(f"the server answered {status}")
    if status in _GONE:
        remedy = "not found; check the address"
    elif status in _REFUSED:
        remedy = "access denied; copy the data to a bucket and give s3://bucket/key"
    else:
        remedy = "check the address"
    raise DataError(f"{where}: the server answered {status}: {remedy}")


@contextlib.contextmanager
def _open_s3(location: str, access: Access) -> Iterator[IO[bytes]]:
    from minio.error import MinioException, S3Error

    from assay.core.store.client import client_for
    from assay.core.store.s3_errors import is_transient_answer

    parts = urlsplit(location)
    where = public(location)
    client = client_for(location, anonymous=not access.credentials)
    response: Any = None
    with _transient_faults(where):
        try:
            response = client.get_object(parts.netloc, unquote(parts.path).lstrip("/"))
            yield response
        except S3Error as error:
            if is_transient_answer(error.code or "", getattr(error.response, "status", 0)):
                raise retry.TransientError(f"the server answered {error.code}") from error
            raise DataError(f"{where}: {error.code}: {_remedy(str(error.code))}") from error
        except MinioException as error:
            raise retry.TransientError(f"the server answered with an error ({error})") from error
        finally:
            if response is not None:
                response.close()
                response.release_conn()


def _remedy(code: str) -> str:
    if code in {"NoSuchKey", "NoSuchBucket"}:
        return "not found; check bucket, key and endpoint"
    return (
        "check the credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or "
        "MINIO_ACCESS_KEY and MINIO_SECRET_KEY) and their permission to read the object"
    )


@contextlib.contextmanager
def _transient_faults(where: str) -> Iterator[None]:
    """Raise `TransientError` for network faults, and final errors for all others."""
    from urllib3 import exceptions

    try:
        yield
    except exceptions.SSLError as error:
        raise DataError(
            f"{where}: the server's certificate is not trusted ({error}); set SSL_CERT_FILE to "
            "your authority's certificates"
        ) from error
    except exceptions.LocationValueError as error:
        raise UsageError(f"{where}: not a location that can be read") from error
    except exceptions.NameResolutionError as error:
        raise DataError(f"{where}: no such host; check the address and the network") from error
    except (exceptions.HTTPError, ConnectionError, TimeoutError) as error:
        raise retry.TransientError(f"cannot be fetched ({type(error).__name__})") from error
