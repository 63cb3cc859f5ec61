"""The store: blobs under their digests, and a few small pointers.

Plain copies of artifacts are a layer above: `assay.core.plain_copies`.

`Store` owns hashing, checking, retries and the error contract; a kind of store implements the
small primitives at the end. The layout is specified in docs/format.md.

Error contract, for every kind:

| cause | error |
|---|---|
| nothing under that digest | `NotFoundError` |
| bytes that are not what their name or size says | `IntegrityError`, and nothing is kept |
| credentials or rights | `StoreAccessError` |
| transient faults that outlived every retry | `StoreUnavailableError` |
| anything else (disk full, no such bucket, a local file that cannot be read) | `StoreError` |
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
"""A file up to this size is read into memory once; a larger one is streamed. With `WORKERS` this
bounds the memory that moving files takes, whatever their number and size."""
REFRESH_SECONDS: Final = 24 * 3600
"""A blob older than this is written again when it is stored again, with the same bytes. So its age
says when it was last wanted, and the collector leaves alone what a running pipeline relies on."""

T = TypeVar("T")
R = TypeVar("R")

_POINTER = re.compile(
    r"(cache|referrers|dependents|pins|statements|runs|epochs)(/[0-9a-f]{64}){1,2}"
    r"|releases/[0-9a-f]{64}/[0-9]{6}"
    r"|removals/(announced|ended)/[0-9a-f]{64}/[0-9a-f]{64}",
    re.ASCII,
)


FILE_FOLDERS: Final = ("views/", "doctor/")
"""Where files have names of their own: plain copies, and what a probe writes and removes."""


class Entry(NamedTuple):
    """Something in the store."""

    key: str
    """Relative to the store's root."""
    size: int
    """Bytes."""
    modified: float
    """When it was written, by the store's clock: seconds since the epoch."""


class Store(abc.ABC):
    """Blobs by digest; see the module's docstring for the error contract."""

    url: str
    """Where it is, without credentials."""

    # Blobs.

    def has(self, digest: str) -> bool:
        """Whether something lies under `digest`; its bytes are not looked at."""
        return self._size(blob_key(digest)) is not None

    def has_all(self, blobs: Iterable[Descriptor]) -> list[str]:
        """Digests of those `blobs` that are missing or have another size, in parallel."""
        unique = {blob.digest: blob for blob in blobs}

        def lacks(blob: Descriptor) -> bool:
            return self._size(blob_key(blob.digest)) != blob.size

        blobs = list(unique.values())
        return [
            blob.digest
            for blob, gone in zip(blobs, self.on_each(lacks, blobs), strict=True)
            if gone
        ]

    def on_each(self, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """`work`, which asks the store something small, on each of `items`; results in order.

        In parallel, because the answers take longer than the threads.
        """
        return parallel(work, items)

    def put_bytes(self, data: bytes, media_type: str = "application/octet-stream") -> Descriptor:
        """Store `data` under its digest, unless it is there and was written lately."""
        blob = Descriptor(of_bytes(data), len(data), media_type)
        self._put_bytes(blob, data)
        return blob

    def put_file(self, path: Path, media_type: str = "application/octet-stream") -> Descriptor:
        """Store a file's bytes under their digest, unless they are there; in bounded memory.

        Raises:
            IntegrityError: The file changed meanwhile.
            StoreError: The file cannot be read, or the store failed.
        """
        with reading(path) as stream:
            data = stream.read(SMALL_BYTES + 1)
            if len(data) <= SMALL_BYTES:
                return self.put_bytes(data, media_type)
            stream.seek(0)
            return self._put_stream(stream, path, media_type)

    def get_bytes(self, digest: str, max_bytes: int) -> bytes:
        """The checked bytes of a small blob.

        Raises:
            IntegrityError: Larger than `max_bytes`, or not what the name says.
            NotFoundError: Nothing there.
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
        """The checked bytes of a blob of known size that is small enough for memory.

        Raises:
            IntegrityError: Of another size, or not what the name says.
            NotFoundError: Nothing there.
        """

        def read() -> bytes:
            with self._open(blob_key(blob.digest)) as (size, stream):
                self._compare(blob.digest, blob.size, None, size)
                data = stream.read(blob.size + 1)
            self._compare(blob.digest, blob.size, of_bytes(data), len(data))
            return data

        return self._attempt(read, damaged=True)

    def get_file(self, blob: Descriptor, target: Path) -> None:
        """Write the checked bytes of `blob` to `target`, read-only; all or nothing.

        The bytes are hashed while they stream into a temporary file beside `target`, which takes
        the target's name only when size and digest are right.

        Raises:
            IntegrityError: Names expected, got and place; nothing is left behind.
            NotFoundError: Nothing there.
        """
        with landing(target) as out:
            self._fetch(blob, out)

    def get_file_into(self, blob: Descriptor, target: Path) -> None:
        """Like `get_file`, but without a name to take in the end: after an error `target` is waste.

        For a caller that gives up the whole folder then; it spares a small file half of its cost.
        """
        with writing(target), open(target, "x+b", opener=open_read_only) as out:
            self._fetch(blob, out)

    def verify(self, blob: Descriptor | str) -> int:
        """Read and hash a blob without keeping it; its size in bytes.

        Raises:
            IntegrityError: Names expected, got and place.
            NotFoundError: Nothing there.
        """
        name, size = (blob, None) if isinstance(blob, str) else (blob.digest, blob.size)

        def read() -> int:
            with self._open(blob_key(name)) as (_, stream):
                digest, got = of_stream(stream)
            self._compare(name, size, digest, got)
            return got

        return self._attempt(read, damaged=True)

    def replace_blob(self, blob: Descriptor, source: Path) -> None:
        """Put the bytes of `source` in the place of a damaged or missing blob.

        Raises:
            IntegrityError: `source` is not what the blob's name says; the store is as it was.
        """
        with reading(source) as stream:
            digest, size = of_stream(stream)
        self._compare(blob.digest, blob.size, digest, size, place=str(source))
        self._remove(blob_key(blob.digest))
        self.put_file(source, blob.media_type)

    def remove_blob(self, digest: str) -> None:
        """Remove a blob, if it is there. What names it must have gone before."""
        self._remove(blob_key(digest))

    def make_young(self, data: bytes, media_type: str) -> None:
        """Write a small blob again if it was not written lately: the collector then leaves it."""
        blob = Descriptor(of_bytes(data), len(data), media_type)
        if not self._is_there(blob):
            self._put_bytes(blob, data)

    def now(self) -> float:
        """The store's clock, seconds since the epoch: what ages of its entries compare with.

        Raises:
            StoreError: The store cannot be reached, or does not say.
        """
        return self._now()

    @abc.abstractmethod
    def probe(self) -> Probe:
        """Try with throw-away objects what runs rely on, and remove them.

        Raises:
            StoreError: The store cannot be used at all.
        """

    def special_files(self, prefix: str = "") -> list[tuple[str, str]]:
        """Links, pipes, sockets and devices below `prefix`: name, and what it is; sorted."""
        return sorted(self._special(prefix))

    def iter_blobs(self) -> Iterator[tuple[str, int]]:
        """Every blob's digest and size in bytes, in no order."""
        for digest, size, _ in self.iter_aged_blobs():
            yield digest, size

    def iter_aged_blobs(self) -> Iterator[tuple[str, int, float]]:
        """Every blob's digest, size in bytes and time of writing (seconds since the epoch)."""
        for key, size, modified in self._list("blobs/sha256/"):
            digits = key.rsplit("/", 1)[-1]
            if re.fullmatch(r"[0-9a-f]{64}", digits):
                yield PREFIX + digits, size, modified

    def find_blobs(self, digits: str) -> list[str]:
        """Digests of the blobs that begin with these hex digits (two or more), sorted."""
        place = f"blobs/sha256/{digits[:2]}/"
        names = (entry.key.removeprefix(place) for entry in self._list(place))
        return sorted(
            PREFIX + name
            for name in names
            if name.startswith(digits) and re.fullmatch(r"[0-9a-f]{64}", name)
        )

    def size_of(self, digest: str) -> int | None:
        """Size in bytes of what lies under `digest`, None if nothing does."""
        return self._size(blob_key(digest))

    def modified(self, digest: str) -> float | None:
        """When a blob was written (seconds since the epoch), None if it is not there."""
        found = self._stat(blob_key(digest))
        return found.modified if found else None

    def peek(self, digest: str, count: int) -> bytes:
        """The first `count` bytes of a blob, unchecked: for a guess at what it is.

        Raises:
            NotFoundError: Nothing there.
        """

        def read() -> bytes:
            with self._open(blob_key(digest)) as (_, stream):
                return stream.read(count)

        return self._attempt(read)

    def location(self, digest: str) -> str:
        """Where a blob lies, for people."""
        return f"{self.url.split('?', 1)[0].rstrip('/')}/{blob_key(digest)}"

    # Pointers: small entries that may be replaced, or that hint at records.

    def read_pointer(self, name: str) -> bytes | None:
        """The content of a pointer, or None where there is none."""
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
        """Write a pointer, replacing an earlier one at once."""
        if len(data) > MAX_POINTER_BYTES:
            raise StoreError(f"{name}: {len(data)} bytes is too large for a pointer")
        self._replace(_pointer_key(name), data)

    def is_young(self, name: str) -> bool:
        """Whether a pointer is there, and was written so lately that `assay store gc` leaves it."""
        found = self._stat(_pointer_key(name))
        return found is not None and found.modified > self._recent_now() - REFRESH_SECONDS

    def create_pointer(self, name: str, data: bytes) -> bool:
        """Write a pointer unless one is there; whether this call's content is what lies there.

        Of several writers that race, one is told True: no entry is ever written over another.
        """
        if len(data) > MAX_POINTER_BYTES:
            raise StoreError(f"{name}: {len(data)} bytes is too large for a pointer")
        # A write whose answer was lost is found done when it is tried again.
        return self._add(_pointer_key(name), data) or self.read_pointer(name) == data

    def remove_pointer(self, name: str) -> None:
        """Remove a pointer, if it is there."""
        self._remove(_pointer_key(name))

    def list_pointers(self, prefix: str) -> list[str]:
        """Names of the pointers that begin with `prefix`, which ends in a slash; sorted."""
        return [entry.key for entry in self.list_aged_pointers(prefix)]

    def list_aged_pointers(self, prefix: str) -> list[Entry]:
        """Like `list_pointers`, with size and time of writing."""
        return sorted(entry for entry in self._list(prefix) if _POINTER.fullmatch(entry.key))

    # Files under names of their own, for other programs: see `FILE_FOLDERS`.

    def list_files(self, prefix: str) -> Iterator[Entry]:
        """The files below `prefix`, which ends in a slash."""
        return self._list(_file_key(prefix))

    def file_is(self, name: str, blob: Descriptor) -> bool:
        """Whether a file holds the bytes of `blob`.

        Raises:
            NotFoundError: No such file.
        """
        key = _file_key(name)

        def read() -> bool:
            with self._open(key) as (size, stream):
                return size == blob.size and of_stream(stream) == (blob.digest, blob.size)

        return self._attempt(read)

    def copy_blob(self, blob: Descriptor, name: str) -> None:
        """Copy a blob to a file; checked here where the server does not check by itself."""
        self._copy_blob(blob, _file_key(name))

    def write_file(self, name: str, data: bytes, media_type: str) -> None:
        """Write a small file, replacing an earlier one at once."""
        self._replace(_file_key(name), data, media_type)

    def remove_file(self, name: str) -> None:
        """Remove a file, if it exists."""
        self._remove(_file_key(name))

    def uri(self, name: str) -> str:
        """The URI under which other programs find a file or a folder of files."""
        return self._uri(_file_key(name))

    def _is_there(self, blob: Descriptor) -> bool:
        """Whether a blob is there with its size, and need not be written to make it young again."""
        found = self._stat(blob_key(blob.digest))
        return (
            found is not None
            and found.size == blob.size
            and found.modified > self._recent_now() - REFRESH_SECONDS
        )

    def _fetch(self, blob: Descriptor, out: IO[bytes]) -> None:
        """Write the checked bytes of a blob to `out`, an empty file."""

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
        place: str = "",
    ) -> None:
        if expected_size is not None and got_size != expected_size:
            found = f"{got_size} bytes, expected {expected_size}"
        elif got is not None and got != expected:
            found = f"expected {expected}, got {got}"
        else:
            return
        raise IntegrityError(
            f"damaged: {place or self.location(expected)}: {found}; nothing was kept. Repair it "
            "from a copy of the store (assay store fsck --from URL), or remove it "
            f"({self._removal(blob_key(expected))}) and {RUN_AGAIN}: the step that made it is "
            "computed anew"
        )

    def _attempt(self, work: Callable[[], R], *, damaged: bool = False) -> R:
        """Do `work`, which reads; a kind of store whose reads can break off does it again.

        Args:
            work: What to do, from its beginning.
            damaged: Try once more when the bytes came damaged, which may be the network's doing:
                only a second reading confirms it.
        """
        if damaged:
            with contextlib.suppress(IntegrityError):
                return work()
        return work()

    # Primitives that a kind of store implements. Keys are relative POSIX paths.

    @abc.abstractmethod
    def _open(self, key: str) -> AbstractContextManager[tuple[int, Readable]]:
        """Size in bytes and stream of what lies under `key`; `NotFoundError` if nothing does."""

    @abc.abstractmethod
    def _now(self) -> float:
        """The store's clock, asked for now: seconds since the epoch."""

    @abc.abstractmethod
    def _recent_now(self) -> float:
        """The store's clock as it was seen last, with the time that went by since then.

        Never asked for before something was looked at with `_stat`.
        """

    def _special(self, prefix: str) -> Iterator[tuple[str, str]]:
        """What lies below `prefix` and is not a file: key, and what it is. A bucket has none."""
        del prefix
        return iter(())

    @abc.abstractmethod
    def _stat(self, key: str) -> Entry | None:
        """What lies under `key`, None if nothing does."""

    def _size(self, key: str) -> int | None:
        found = self._stat(key)
        return found.size if found else None

    @abc.abstractmethod
    def _put_bytes(self, blob: Descriptor, data: bytes) -> None:
        """Store `data` under the blob's key unless it is there with its size."""

    @abc.abstractmethod
    def _put_stream(self, stream: IO[bytes], path: Path, media_type: str) -> Descriptor:
        """Store a file of more than `SMALL_BYTES`, unless it is there with its size.

        What is stored is what was hashed: a file that changes between is an `IntegrityError`.
        """

    @abc.abstractmethod
    def _replace(self, key: str, data: bytes, media_type: str = "application/json") -> None:
        """Write a small entry at once, whatever was there."""

    @abc.abstractmethod
    def _add(self, key: str, data: bytes) -> bool:
        """Write a small entry unless something lies there; whether it was written."""

    @abc.abstractmethod
    def _list(self, prefix: str) -> Iterator[Entry]:
        """What lies below `prefix`, which ends in a slash."""

    @abc.abstractmethod
    def _remove(self, key: str) -> None:
        """Remove what lies under `key`, if anything does."""

    @abc.abstractmethod
    def _removal(self, key: str) -> str:
        """The shell command with which a person removes what lies under `key`."""

    @abc.abstractmethod
    def _copy_blob(self, blob: Descriptor, key: str) -> None:
        """Copy a blob, checked where the server does not check by itself, to `key`."""

    @abc.abstractmethod
    def _uri(self, key: str) -> str:
        """The URI under which other programs find `key`."""


def blob_key(digest: str) -> str:
    """Where a blob lies, relative to the store's root."""
    digits = hex_of(digest)
    return f"blobs/sha256/{digits[:2]}/{digits}"


def nothing_under(key: str, url: str) -> NotFoundError:
    """The error for what is not in a store."""
    return NotFoundError(
        f"nothing under {key} in {url}; is this the right store (ASSAY_STORE)? If it was removed, "
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
