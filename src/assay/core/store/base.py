"""The store: blobs by digest, and small pointers.

Plain copies of artifacts are a layer above: `assay.core.plain_copies`.

`Store` implements hashing, verification, retries and error handling; subclasses implement the
primitives at the end. docs/format.md specifies the layout.

Errors of every implementation:

| cause | error |
|---|---|
| the blob does not exist | `NotFoundError` |
| bytes that do not match their digest or size | `IntegrityError`, and nothing is written |
| credentials or permissions | `StoreAccessError` |
| transient faults after all retries | `StoreUnavailableError` |
| anything else (disk full, missing bucket, a local file that cannot be read) | `StoreError` |
"""

import abc
import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Final, NamedTuple, TypeVar

from assay.core.digest import PREFIX, Readable, hex_of, of_bytes, of_stream
from assay.core.manifest import Descriptor
from assay.core.parallel import parallel
from assay.core.store.files import copy_checked, landing, open_read_only, reading, writing
from assay.core.store.probe import Probe
from assay.errors import RUN_AGAIN, IntegrityError, NotFoundError, StoreError

MAX_POINTER_BYTES: Final = 4 << 10
SMALL_BYTES: Final = 1 << 20
"""A file up to this size is read into memory; a larger one is streamed. Together with `WORKERS`
this limits the memory for transfers, regardless of the number and size of the files."""
REFRESH_SECONDS: Final = 24 * 3600
"""Storing a blob that is older than this writes it again, so that its age shows when it was last
used. The garbage collector keeps recently used blobs, on which a running pipeline may depend."""

T = TypeVar("T")
R = TypeVar("R")

_POINTER = re.compile(
    r"(cache|referrers|dependents|pins|statements|runs|epochs)(/[0-9a-f]{64}){1,2}"
    r"|releases/[0-9a-f]{64}/[0-9]{6}"
    r"|removals/(announced|ended)/[0-9a-f]{64}/[0-9a-f]{64}",
    re.ASCII,
)


FILE_FOLDERS: Final = ("views/", "doctor/")
"""Folders of files that are not named by digest: plain copies, and the test objects of a probe."""


class Entry(NamedTuple):
    """A key of the store with its metadata."""

    key: str
    """Relative to the root of the store."""
    size: int
    """Bytes."""
    modified: float
    """Time of writing by the clock of the store, in seconds since the epoch."""


class Store(abc.ABC):
    """Blobs by digest; see the module's docstring for the error contract."""

    url: str
    """The URL without credentials."""

    # Blobs.

    def has(self, digest: str) -> bool:
        """Whether a blob exists; its content is not verified."""
        return self._size(blob_key(digest)) is not None

    def missing(self, blobs: Iterable[Descriptor]) -> list[str]:
        """Digests of the `blobs` that do not exist or have another size; checked in parallel."""
        unique = {blob.digest: blob for blob in blobs}

        def lacks(blob: Descriptor) -> bool:
            return self._size(blob_key(blob.digest)) != blob.size

        blobs = list(unique.values())
        return [
            blob.digest
            for blob, lack in zip(blobs, self.on_each(lacks, blobs), strict=True)
            if lack
        ]

    def on_each(self, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Call `work`, a small request to the store, with each item; results are in order.

        In parallel, because the requests take longer than the threads.
        """
        return parallel(work, items)

    def put_bytes(self, data: bytes, media_type: str = "application/octet-stream") -> Descriptor:
        """Store `data` under its digest, unless it exists and was written recently."""
        blob = Descriptor(of_bytes(data), len(data), media_type)
        self._put_bytes(blob, data)
        return blob

    def put_file(self, path: Path, media_type: str = "application/octet-stream") -> Descriptor:
        """Store a file under its digest, unless it exists; in bounded memory.

        Raises:
            IntegrityError: The file changed while it was stored.
            StoreError: The file cannot be read, or the store failed.
        """
        with reading(path) as stream:
            data = stream.read(SMALL_BYTES + 1)
            if len(data) <= SMALL_BYTES:
                return self.put_bytes(data, media_type)
            stream.seek(0)
            return self._put_stream(stream, path, media_type)

    def get_bytes(self, digest: str, max_bytes: int) -> bytes:
        """Read and verify a small blob.

        Raises:
            IntegrityError: The blob is larger than `max_bytes`, or does not match the digest.
            NotFoundError: The blob does not exist.
        """

        def read() -> bytes:
            with self._open(blob_key(digest)) as (size, stream):
                if size > max_bytes:
                    raise IntegrityError(
                        f"{self.location(digest)} has {size} bytes, the limit here is {max_bytes}"
                    )
                data = stream.read(max_bytes + 1)
            self._compare(digest, None, of_bytes(data), len(data))
            return data

        return self._attempt(read, damaged=True)

    def get_blob(self, blob: Descriptor) -> bytes:
        """Read and verify a blob of known size into memory.

        Raises:
            IntegrityError: The blob has another size, or does not match its digest.
            NotFoundError: The blob does not exist.
        """

        def read() -> bytes:
            with self._open(blob_key(blob.digest)) as (size, stream):
                self._compare(blob.digest, blob.size, None, size)
                data = stream.read(blob.size + 1)
            self._compare(blob.digest, blob.size, of_bytes(data), len(data))
            return data

        return self._attempt(read, damaged=True)

    def get_file(self, blob: Descriptor, target: Path) -> None:
        """Write a blob to a read-only file, completely or not at all.

        The bytes are hashed while they are written to a temporary file next to `target`, which is
        renamed if size and digest match.

        Raises:
            IntegrityError: The blob does not match its digest; `target` is not created.
            NotFoundError: The blob does not exist.
        """
        with landing(target) as out:
            self._fetch(blob, out)

    def get_file_into(self, blob: Descriptor, target: Path) -> None:
        """Like `get_file`, but without a temporary file: after an error `target` is incomplete.

        For callers that remove the whole folder in that case; it is twice as fast for small files.
        """
        with writing(target), open(target, "x+b", opener=open_read_only) as out:
            self._fetch(blob, out)

    def verify(self, blob: Descriptor | str) -> int:
        """Read and verify a blob; returns its size in bytes.

        Raises:
            IntegrityError: The blob does not match its digest or size.
            NotFoundError: The blob does not exist.
        """
        name, size = (blob, None) if isinstance(blob, str) else (blob.digest, blob.size)

        def read() -> int:
            with self._open(blob_key(name)) as (_, stream):
                digest, got = of_stream(stream)
            self._compare(name, size, digest, got)
            return got

        return self._attempt(read, damaged=True)

    def replace_blob(self, blob: Descriptor, source: Path) -> None:
        """Replace a damaged or missing blob by the content of `source`.

        Raises:
            IntegrityError: `source` does not match the digest; the store is not changed.
        """
        with reading(source) as stream:
            digest, size = of_stream(stream)
        self._compare(blob.digest, blob.size, digest, size, source=str(source))
        self._remove(blob_key(blob.digest))
        self.put_file(source, blob.media_type)

    def remove_blob(self, digest: str) -> None:
        """Remove a blob if it exists. All references to it must have been removed before."""
        self._remove(blob_key(digest))

    def refresh(self, data: bytes, media_type: str) -> None:
        """Write a small blob again unless it is recent, so that the garbage collector keeps it."""
        blob = Descriptor(of_bytes(data), len(data), media_type)
        if not self._is_current(blob):
            self._put_bytes(blob, data)

    def now(self) -> float:
        """The clock of the store, in seconds since the epoch; the ages of its entries refer to it.

        Raises:
            StoreError: The store cannot be reached, or does not return a time.
        """
        return self._now()

    @abc.abstractmethod
    def probe(self) -> Probe:
        """Test the features that runs need with temporary objects, and remove these.

        Raises:
            StoreError: The store cannot be used at all.
        """

    def special_files(self, prefix: str = "") -> list[tuple[str, str]]:
        """Links, pipes, sockets and devices below `prefix`: name and description, sorted."""
        return sorted(self._special(prefix))

    def iter_blobs(self) -> Iterator[tuple[str, int]]:
        """Digest and size in bytes of every blob, in any order."""
        for digest, size, _ in self.iter_aged_blobs():
            yield digest, size

    def iter_aged_blobs(self) -> Iterator[tuple[str, int, float]]:
        """Digest, size in bytes and time of writing (seconds since the epoch) of every blob."""
        for key, size, modified in self._list("blobs/sha256/"):
            digits = key.rsplit("/", 1)[-1]
            if re.fullmatch(r"[0-9a-f]{64}", digits):
                yield PREFIX + digits, size, modified

    def find_blobs(self, digits: str) -> list[str]:
        """Digests of the blobs that begin with these hex digits (two or more), sorted."""
        folder = f"blobs/sha256/{digits[:2]}/"
        names = (entry.key.removeprefix(folder) for entry in self._list(folder))
        return sorted(
            PREFIX + name
            for name in names
            if name.startswith(digits) and re.fullmatch(r"[0-9a-f]{64}", name)
        )

    def size_of(self, digest: str) -> int | None:
        """Size of a blob in bytes; None if it does not exist."""
        return self._size(blob_key(digest))

    def modified(self, digest: str) -> float | None:
        """Time of writing of a blob (seconds since the epoch); None if it does not exist."""
        entry = self._stat(blob_key(digest))
        return entry.modified if entry else None

    def peek(self, digest: str, count: int) -> bytes:
        """The first `count` bytes of a blob without verification, to guess its type.

        Raises:
            NotFoundError: The blob does not exist.
        """

        def read() -> bytes:
            with self._open(blob_key(digest)) as (_, stream):
                return stream.read(count)

        return self._attempt(read)

    def location(self, digest: str) -> str:
        """The location of a blob, for messages."""
        return f"{self.url.split('?', 1)[0].rstrip('/')}/{blob_key(digest)}"

    # Pointers: small entries that may be replaced, or that are hints to attestations.

    def read_pointer(self, name: str) -> bytes | None:
        """The content of a pointer; None if it does not exist."""
        key = _pointer_key(name)

        def read() -> bytes:
            with self._open(key) as (size, stream):
                if size > MAX_POINTER_BYTES:
                    raise IntegrityError(f"{name}: {size} bytes is too large for a pointer")
                return stream.read(MAX_POINTER_BYTES + 1)

        try:
            return self._attempt(read)
        except NotFoundError:
            return None

    def write_pointer(self, name: str, data: bytes) -> None:
        """Write a pointer atomically, replacing an existing one."""
        if len(data) > MAX_POINTER_BYTES:
            raise StoreError(f"{name}: {len(data)} bytes is too large for a pointer")
        self._replace(_pointer_key(name), data)

    def is_recent(self, name: str) -> bool:
        """Whether a pointer exists and is so recent that `assay store gc` keeps it."""
        entry = self._stat(_pointer_key(name))
        return entry is not None and entry.modified > self._recent_now() - REFRESH_SECONDS

    def create_pointer(self, name: str, data: bytes) -> bool:
        """Write a pointer unless it exists; returns whether it now has the content of this call.

        An existing entry is never overwritten. If several writers race, one of them gets True.
        """
        if len(data) > MAX_POINTER_BYTES:
            raise StoreError(f"{name}: {len(data)} bytes is too large for a pointer")
        # If the answer to a successful write was lost, the retry finds the content of this call.
        return self._add(_pointer_key(name), data) or self.read_pointer(name) == data

    def remove_pointer(self, name: str) -> None:
        """Remove a pointer if it exists."""
        self._remove(_pointer_key(name))

    def list_pointers(self, prefix: str) -> list[str]:
        """Names of the pointers that begin with `prefix`, which ends in a slash; sorted."""
        return [entry.key for entry in self.list_aged_pointers(prefix)]

    def list_aged_pointers(self, prefix: str) -> list[Entry]:
        """Like `list_pointers`, but with size and time of writing."""
        return sorted(entry for entry in self._list(prefix) if _POINTER.fullmatch(entry.key))

    # Files that are not named by digest, for other programs: see `FILE_FOLDERS`.

    def list_files(self, prefix: str) -> Iterator[Entry]:
        """The files below `prefix`, which ends in a slash."""
        return self._list(_file_key(prefix))

    def file_is(self, name: str, blob: Descriptor) -> bool:
        """Whether a file has the content of `blob`.

        Raises:
            NotFoundError: The file does not exist.
        """
        key = _file_key(name)

        def read() -> bool:
            with self._open(key) as (size, stream):
                return size == blob.size and of_stream(stream) == (blob.digest, blob.size)

        return self._attempt(read)

    def copy_blob(self, blob: Descriptor, name: str) -> None:
        """Copy a blob to a file; verified here unless the server does it."""
        self._copy_blob(blob, _file_key(name))

    def write_file(self, name: str, data: bytes, media_type: str) -> None:
        """Write a small file atomically, replacing an existing one.

        Args:
            name: Name of the file, below one of `FILE_FOLDERS`.
            data: The content.
            media_type: Its media type.
        """
        self._replace(_file_key(name), data, media_type)

    def remove_file(self, name: str) -> None:
        """Remove a file if it exists."""
        self._remove(_file_key(name))

    def uri(self, name: str) -> str:
        """The URI of a file or a folder of files, for other programs."""
        return self._uri(_file_key(name))

    def _is_current(self, blob: Descriptor) -> bool:
        """Whether a blob exists with its size and is recent, so that it need not be written."""
        entry = self._stat(blob_key(blob.digest))
        return (
            entry is not None
            and entry.size == blob.size
            and entry.modified > self._recent_now() - REFRESH_SECONDS
        )

    def _fetch(self, blob: Descriptor, out: IO[bytes]) -> None:
        """Write a blob to `out`, an empty file, and verify it."""

        def read() -> None:
            with self._open(blob_key(blob.digest)) as (size, stream):
                self._compare(blob.digest, blob.size, None, size)
                out.seek(0)
                out.truncate()
                digest, got = copy_checked(stream, out, blob.size)
                self._compare(blob.digest, blob.size, digest, got)

        self._attempt(read, damaged=True)

    def _compare(
        self,
        expected: str,
        expected_size: int | None,
        got: str | None,
        got_size: int,
        *,
        source: str = "",
    ) -> None:
        if expected_size is not None and got_size != expected_size:
            difference = f"{got_size} bytes, expected {expected_size}"
        elif got is not None and got != expected:
            difference = f"expected {expected}, got {got}"
        else:
            return
        raise IntegrityError(
            f"damaged: {source or self.location(expected)}: {difference}; nothing was written. "
            "Repair it from a copy of the store (assay store fsck --from URL), or remove it "
            f"({self._removal(blob_key(expected))}) and {RUN_AGAIN}: the step that made it is "
            "executed again"
        )

    def _attempt(self, work: Callable[[], R], *, damaged: bool = False) -> R:
        """Call `work`, which reads from the store; stores with transient faults repeat it.

        Args:
            work: The complete operation.
            damaged: Repeat it once after an `IntegrityError`, because the damage may have happened
                on the network.
        """
        if damaged:
            with contextlib.suppress(IntegrityError):
                return work()
        return work()

    # Primitives that subclasses implement. Keys are relative POSIX paths.

    @abc.abstractmethod
    def _open(self, key: str) -> AbstractContextManager[tuple[int, Readable]]:
        """Size in bytes and stream of an object; raises `NotFoundError` if it does not exist."""

    @abc.abstractmethod
    def _now(self) -> float:
        """The current time of the clock of the store, in seconds since the epoch."""

    @abc.abstractmethod
    def _recent_now(self) -> float:
        """The clock of the store, estimated from its last known time.

        Called only after `_stat` was called once.
        """

    def _special(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Keys below `prefix` that are not files, with a description. Buckets have none."""
        del prefix
        return iter(())

    @abc.abstractmethod
    def _stat(self, key: str) -> Entry | None:
        """The metadata of a key; None if it does not exist."""

    def _size(self, key: str) -> int | None:
        entry = self._stat(key)
        return entry.size if entry else None

    @abc.abstractmethod
    def _put_bytes(self, blob: Descriptor, data: bytes) -> None:
        """Store `data` under the key of the blob unless it exists with its size."""

    @abc.abstractmethod
    def _put_stream(self, stream: IO[bytes], path: Path, media_type: str) -> Descriptor:
        """Store a file of more than `SMALL_BYTES` unless it exists with its size.

        Raises `IntegrityError` if the file changes after it was hashed.
        """

    @abc.abstractmethod
    def _replace(self, key: str, data: bytes, media_type: str = "application/json") -> None:
        """Write a small entry atomically, replacing an existing one."""

    @abc.abstractmethod
    def _add(self, key: str, data: bytes) -> bool:
        """Write a small entry unless the key exists; returns whether it was written."""

    @abc.abstractmethod
    def _list(self, prefix: str) -> Iterator[Entry]:
        """The entries below `prefix`, which ends in a slash."""

    @abc.abstractmethod
    def _remove(self, key: str) -> None:
        """Remove a key if it exists."""

    @abc.abstractmethod
    def _removal(self, key: str) -> str:
        """The shell command that removes a key, for messages."""

    @abc.abstractmethod
    def _copy_blob(self, blob: Descriptor, key: str) -> None:
        """Copy a blob to `key`; verified here unless the server does it."""

    @abc.abstractmethod
    def _uri(self, key: str) -> str:
        """The URI of a key, for other programs."""


def blob_key(digest: str) -> str:
    """The key of a blob, relative to the root of the store."""
    digits = hex_of(digest)
    return f"blobs/sha256/{digits[:2]}/{digits}"


def not_found(key: str, url: str) -> NotFoundError:
    """The error for a key that does not exist."""
    return NotFoundError(
        f"{key} does not exist in {url}; is this the right store (ASSAY_STORE)? If it was removed, "
        f"{RUN_AGAIN}"
    )


def _pointer_key(name: str) -> str:
    if not _POINTER.fullmatch(name):
        raise StoreError(f"{name!r} is not the name of a pointer")
    return name


def _file_key(name: str) -> str:
    if not name.startswith(FILE_FOLDERS):
        raise StoreError(f"{name!r} is not the name of a file")
    return name
