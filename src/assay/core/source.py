"""Bytes of the outside world: fetched, hashed, and from then on known by their digest.

A location is a path, `file://`, `s3://bucket/key?endpoint=…`, `https://`, `http://` to this machine
only, or the digest of a dataset in the store. Credentials come from the environment and never
stand in a location; what a record or message keeps of a location holds none either.
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
from assay.core.locations import Place, require_admitted, require_public, require_public_address
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
"""How long a server may say nothing."""
FETCH_SECONDS: Final = 4 * 3600.0
"""How long the bytes of a whole file may take, however steadily they trickle in."""
PEEK_SECONDS: Final = 120.0
"""The same for its beginning."""
MAX_REDIRECTS: Final = 5
MAX_LISTED: Final = 5
"""Files that a message about a folder names."""

_OK: Final = 200
_GONE: Final = frozenset({404, 410})
_REFUSED: Final = frozenset({401, 403})


def fetch(
    uri: str, folder: Path, *, store: Store | None = None, max_bytes: int | None = None
) -> Source:
    """Make a location's bytes a file (for a dataset's digest: a folder), and name them.

    A local file is hashed where it lies and not copied; whoever reads it afterwards does so inside
    of `unchanged`. Everything else is hashed while it streams into `folder`, in bounded memory.

    Args:
        uri: The location.
        folder: Where a remote location's bytes go.
        store: Where a digest is looked up.
        max_bytes: The most that is read; no limit by default.

    Raises:
        DataError: Missing, empty, too large, unreachable or refused; says what to do.
        UsageError: Not a location that can be read, or credentials in it.
        StoreError: A digest that the store does not hold.
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
    """Refuse a result when the file changed while it was read, or since it was hashed.

    Raises:
        DataError: It did; the result must not be kept.
    """
    if source.path.is_dir():
        # Laid out from the store by ourselves, checked and read-only.
        yield
        return
    changed = DataError(f"{source.uri} changed while it was read; give a file nobody writes to")
    before = _stamp(source.path)
    try:
        yield
    except AssayError as error:
        # What looks like a bad row may be half of a row that somebody is writing.
        if not _is_still(source, before):
            raise changed from error
        raise
    if not _is_still(source, before):
        raise changed


def peek(location: str, size: int) -> bytes:
    """The first `size` bytes of a location, quickly.

    Raises:
        DataError: As `fetch`.
        UsageError: As `fetch`.
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
    """The path that a location names on this machine, or None."""
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
    """A stream of a remote location's bytes.

    Args:
        location: The location.
        seconds: How long reading it may take altogether; `FETCH_SECONDS` by default.

    Raises:
        DataError: Not found, refused, or not read in time.
        UsageError: A scheme that is not known, or credentials in the location.
    """
    place = _check_remote(location)
    seconds = FETCH_SECONDS if seconds is None else seconds
    opened = _open_s3(location, place) if location.startswith("s3://") else _open_http(location)
    with opened as stream:
        over = threading.Event()

        def end() -> None:
            over.set()
            # Whoever reads gets what an end of the connection gives.
            with contextlib.suppress(Exception):
                cast("Any", stream).shutdown()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield stream
        except Exception as error:
            if over.is_set():
                raise _too_slow(location, seconds) from error
            raise
        finally:
            timer.cancel()
        if over.is_set():
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
        raise DataError(f"{path} changed while it was read; give a file nobody writes to")
    return Source(path, digest, path.resolve().as_uri())


def _from_store(digest: str, folder: Path, store: Store | None) -> Source:
    if store is None:
        raise UsageError(f"{digest}: a digest needs a store to look in; give a path or an URL")
    manifest = get_manifest(store, digest)
    if manifest.artifact_type != Dataset.type:
        raise UsageError(f"{digest} is of type {manifest.artifact_type}; give a dataset's digest")
    target = folder / "dataset"
    get_tree(store, manifest, target)
    return Source(target, digest, digest)


def _require_file(path: Path) -> Path:
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder; give one CSV or Parquet file{_held_by(path)}")
        # Reading a pipe would wait forever, and twice is not possible.
        with open_regular(path) as stream:
            size = os.fstat(stream.fileno()).st_size
    except NotRegularError as error:
        raise DataError(f"{path}: {error.strerror}; save the data into a file") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"no file {path}; {_like(path)}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check its permissions") from error
    except ValueError as error:
        raise DataError(f"{str(path)!r} is no path: {error}") from error
    if size == 0:
        raise DataError(f"{path} is empty; give a file with a header and rows")
    return path


def _held_by(folder: Path) -> str:
    suffixes = (".csv", ".tsv", ".txt", ".gz", ".parquet")
    names = sorted(p.name for p in folder.iterdir() if p.name.lower().endswith(suffixes))
    more = ", …" if len(names) > MAX_LISTED else ""
    return f", such as {', '.join(names[:MAX_LISTED])}{more} in it" if names else ""


def _like(path: Path) -> str:
    """Where the file might be instead."""
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
    """Whether the file holds what was hashed; by its digest, because stamps can be set back."""
    try:
        if _stamp(source.path) != before:
            return False
        with source.path.open("rb") as stream:
            return of_stream(stream)[0] == source.digest
    except OSError:
        return False


def _copy(stream: IO[bytes], out: IO[bytes], where: str, max_bytes: int | None) -> str:
    """Copy and hash; refuse what is empty or larger than allowed."""
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
    found = bytearray()
    while len(found) < size and (chunk := stream.read(size - len(found))):
        found += chunk
    return bytes(found)


def _too_large(where: str, max_bytes: int) -> DataError:
    return DataError(
        f"{where} is larger than the limit of {max_bytes:,} bytes; give a smaller file, or raise "
        "the limit (for data: ASSAY_MAX_TABLE_BYTES)"
    )


def _check_remote(location: str) -> Place:
    """Refuse what must not or cannot be asked; say how it may be."""
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
        raise UsageError(f"{where}: which object? give s3://bucket/key")
    try:
        return require_admitted(location)
    except UsageError as error:
        if parts.scheme != "http":
            raise
        # Unencrypted, only servers that are admitted by name.
        raise UsageError(
            f"{where}: http:// can be altered on its way; give its https:// address, or have it "
            "admitted (ASSAY_SOURCES)"
        ) from error


def _repeated(location: str, read: Callable[[], R]) -> R:
    """What `read` gives of a location, called again after a transient fault.

    Raises:
        DataError: The last attempt failed too.
    """
    try:
        return retry.call(retry.SOURCE, read)
    except retry.TransientError as error:
        raise DataError(
            f"{public(location)}: {error}, after {retry.SOURCE}; is the server up and the address "
            "right? try again later"
        ) from error


@contextlib.contextmanager
def _open_http(location: str) -> Iterator[IO[bytes]]:
    where = public(location)
    with _transient_faults(where):
        # Redirects are followed by hand, because each must pass the check: https must not become
        # http, nor a public address one that only this machine can reach.
        for _ in range(MAX_REDIRECTS + 1):
            with request(location) as response:
                onward = response.get_redirect_location()
                if not onward:
                    _check_status(response.status, where)
                    yield cast("IO[bytes]", response)
                    return
                location = _onward(location, onward)
    raise DataError(f"{where}: more than {MAX_REDIRECTS} redirects; give the final address")


@contextlib.contextmanager
def request(
    location: str, headers: Mapping[str, str] | None = None, read_seconds: float = READ_SECONDS
) -> Iterator[Any]:
    """The answer to one GET of a web location that may be read; follows no redirect.

    The addresses of its host are looked at before anything is sent, and again when it is
    connected, because a name may lead elsewhere the second time.

    Raises:
        UsageError: It may not be read, or its host has an address that is not public.
        urllib3.exceptions.HTTPError: It cannot be reached.
    """
    import urllib3

    place = _check_remote(location)
    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=read_seconds)
    with urllib3.PoolManager(timeout=timeout, retries=False) as pool:
        if not place.any_address:
            parts = urlsplit(location)
            with contextlib.suppress(OSError):  # told better when it is connected
                require_public(parts.hostname or "", parts.port or 443)
            pool.pool_classes_by_scheme = _guarded_pools()
        response = pool.request(
            "GET", location, headers=headers, preload_content=False, redirect=False
        )
        with contextlib.closing(response):
            yield response


@functools.cache
def _guarded_pools() -> dict[str, Any]:
    """urllib3's pools, whose connections send nothing to an address that is not public."""
    import urllib3
    from urllib3.connection import HTTPSConnection

    class Connection(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            found = super()._new_conn()
            try:
                require_public_address(str(found.getpeername()[0]), self.host)
            except BaseException:
                found.close()
                raise
            return found

    class Pool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Connection

    # By http nothing is admitted but by name, so that there is no pool for it.
    return {"https": Pool}


def _onward(location: str, onward: str) -> str:
    target = urljoin(location, onward)
    was, now = urlsplit(location), urlsplit(target)
    _check_remote(target)
    if now.scheme == "s3" or (now.scheme == "http" and was.scheme == "https"):
        raise DataError(f"{public(location)}: redirected to {public(target)}, which is refused")
    return target


def _check_status(status: int, where: str) -> None:
    if status == _OK:
        return
    if status in retry.TRANSIENT_STATUS:
        raise retry.TransientError(f"the server answered {status}")
    if status in _GONE:
        remedy = "nothing is there; check the address"
    elif status in _REFUSED:
        remedy = "access refused; copy the data to a bucket and give s3://bucket/key"
    else:
        remedy = "check the address"
    raise DataError(f"{where}: the server answered {status}: {remedy}")


@contextlib.contextmanager
def _open_s3(location: str, place: Place) -> Iterator[IO[bytes]]:
    from minio.error import MinioException, S3Error

    from assay.core.store.client import client_for
    from assay.core.store.s3_errors import passes

    parts = urlsplit(location)
    where = public(location)
    client = client_for(location, anonymous=not place.credentials)
    response: Any = None
    with _transient_faults(where):
        try:
            response = client.get_object(parts.netloc, unquote(parts.path).lstrip("/"))
            yield response
        except S3Error as error:
            if passes(error.code or "", getattr(error.response, "status", 0)):
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
        return "nothing is there; check bucket, key and endpoint"
    return (
        "check the credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or "
        "MINIO_ACCESS_KEY and MINIO_SECRET_KEY) and their right to read the object"
    )


@contextlib.contextmanager
def _transient_faults(where: str) -> Iterator[None]:
    """Tell faults of the network, which may pass, from those that no retry mends."""
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
