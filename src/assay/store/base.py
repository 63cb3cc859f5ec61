"""The store: blobs under their digests, and a few small pointers.

`Store` owns hashing, checking, retries and the error contract; a kind of store implements the
small primitives at the end. The layout is specified in docs/format.md.

Error contract, for every kind:

| cause | error |
|---|---|
| nothing under that digest | `NotFoundError` |
| bytes that are not what their name or size says | `IntegrityError`, and nothing is kept |
| credentials or rights | `StoreAccessError` |
| transient faults that outlived every retry | `StoreUnavailableError` |
| anything else of the store's making (disk full, bad bucket) | `StoreError` |
"""

import abc
import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Final, TypeVar

from assay.digest import CHUNK_BYTES, PREFIX, Readable, hex_of, of_bytes, of_stream
from assay.errors import IntegrityError, NotFoundError, StoreError
from assay.manifest import Descriptor, FileEntry, Manifest

MAX_POINTER_BYTES: Final = 4 << 10
WORKERS: Final = 16
"""Files moved at a time: the work waits for the network or the disk, not for a core."""

T = TypeVar("T")
R = TypeVar("R")

_POINTER = re.compile(
    r"(cache|referrers|dependents|statements)(/[0-9a-f]{64}){1,2}|releases/[0-9a-f]{64}/[0-9]{6}",
    re.ASCII,
)


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
            blob.digest for blob, gone in zip(blobs, parallel(lacks, blobs), strict=True) if gone
        ]

    def put_bytes(self, data: bytes, media_type: str = "application/octet-stream") -> Descriptor:
        """Store `data` under its digest, unless it is there."""
        blob = Descriptor(of_bytes(data), len(data), media_type)
        self._put_bytes(blob, data)
        return blob

    def put_file(self, path: Path, media_type: str = "application/octet-stream") -> Descriptor:
        """Store a file's bytes under their digest, unless they are there; in bounded memory."""
        with path.open("rb") as stream:
            digest, size = of_stream(stream)
        blob = Descriptor(digest, size, media_type)
        self._put_file(blob, path)
        return blob

    def get_bytes(self, digest: str, max_bytes: int) -> bytes:
        """The checked bytes of a small blob.

        Raises:
            IntegrityError: Larger than `max_bytes`, or not what the name says.
            NotFoundError: Nothing there.
        """
        with self._open(blob_key(digest)) as (size, stream):
            if size > max_bytes:
                raise IntegrityError(
                    f"{self.location(digest)} has {size} bytes, the limit here is {max_bytes}"
                )
            data = stream.read(max_bytes + 1)
        self._compare(digest, None, of_bytes(data), len(data))
        return data

    def get_file(self, blob: Descriptor, target: Path) -> None:
        """Write the checked bytes of `blob` to `target`, read-only; all or nothing.

        The bytes are hashed while they stream into a temporary file beside `target`, which takes
        the target's name only when size and digest are right.

        Raises:
            IntegrityError: Names expected, got and place; nothing is left behind.
            NotFoundError: Nothing there.
        """
        with self._open(blob_key(blob.digest)) as (size, stream):
            if size != blob.size:
                self._compare(blob.digest, blob.size, None, size)
            with landing(target) as out:
                digest, got = copy_checked(stream, out, blob.size)
                self._compare(blob.digest, blob.size, digest, got)

    def verify(self, blob: Descriptor | str) -> int:
        """Read and hash a blob without keeping it; its size in bytes.

        Raises:
            IntegrityError: Names expected, got and place.
            NotFoundError: Nothing there.
        """
        name, size = (blob, None) if isinstance(blob, str) else (blob.digest, blob.size)
        with self._open(blob_key(name)) as (_, stream):
            digest, got = of_stream(stream)
        self._compare(name, size, digest, got)
        return got

    def iter_blobs(self) -> Iterator[tuple[str, int]]:
        """Every blob's digest and size in bytes, in no order."""
        for key, size in self._list("blobs/sha256/"):
            digits = key.rsplit("/", 1)[-1]
            if re.fullmatch(r"[0-9a-f]{64}", digits):
                yield PREFIX + digits, size

    def location(self, digest: str) -> str:
        """Where a blob lies, for people."""
        return f"{self.url.split('?', 1)[0].rstrip('/')}/{blob_key(digest)}"

    # Pointers: small entries that may be replaced, or that hint at records.

    def read_pointer(self, name: str) -> bytes | None:
        """The content of a pointer, or None where there is none."""
        key = _pointer_key(name)
        try:
            with self._open(key) as (size, stream):
                if size > MAX_POINTER_BYTES:
                    raise IntegrityError(f"{name}: {size} bytes is too large for a pointer")
                return stream.read(MAX_POINTER_BYTES + 1)
        except NotFoundError:
            return None

    def write_pointer(self, name: str, data: bytes) -> None:
        """Write a pointer, replacing an earlier one at once."""
        if len(data) > MAX_POINTER_BYTES:
            raise StoreError(f"{name}: {len(data)} bytes is too large for a pointer")
        self._replace(_pointer_key(name), data)

    def create_pointer(self, name: str, data: bytes) -> bool:
        """Write a pointer unless one is there; whether this call's content is what lies there.

        Of several writers that race, one is told True: no entry is ever written over another.
        """
        if len(data) > MAX_POINTER_BYTES:
            raise StoreError(f"{name}: {len(data)} bytes is too large for a pointer")
        # A write whose answer was lost is found done when it is tried again.
        return self._add(_pointer_key(name), data) or self.read_pointer(name) == data

    def list_pointers(self, prefix: str) -> list[str]:
        """Names of the pointers that begin with `prefix`, which ends in a slash; sorted."""
        return sorted(key for key, _ in self._list(prefix) if _POINTER.fullmatch(key))

    # Views: an artifact as plain files, for readers that know nothing of digests.

    def view(self, manifest: Manifest) -> str:
        """Make the artifact's files readable by path; returns the folder's URI.

        A view that is there already is checked and mended. Readers of a view get plain files
        without any check; `verify_view` checks them.
        """
        root = f"views/{hex_of(manifest.digest)}/"
        present = dict(self._list(root))

        def copy(entry: FileEntry) -> None:
            key = root + entry.path
            if present.get(key) != entry.blob.size or not self._holds(key, entry.blob):
                self._copy_to_view(entry.blob, key)

        parallel(copy, manifest.files)
        return self._uri(root)

    def verify_view(self, manifest: Manifest) -> None:
        """Check the view of an artifact, if it has one.

        Raises:
            IntegrityError: A file is missing, added or altered; names all of them.
        """
        root = f"views/{hex_of(manifest.digest)}/"
        present = {key.removeprefix(root) for key, _ in self._list(root)}
        if not present:
            return
        expected = {entry.path: entry.blob for entry in manifest.files}
        bad = sorted(present ^ set(expected))
        bad += [
            path
            for path, blob in expected.items()
            if path in present and not self._holds(root + path, blob)
        ]
        if bad:
            raise IntegrityError(
                f"view {self._uri(root)} differs from {manifest.digest} in {', '.join(bad)}; "
                "remove the view and register the model again"
            )

    def _holds(self, key: str, blob: Descriptor) -> bool:
        with self._open(key) as (size, stream):
            return size == blob.size and of_stream(stream) == (blob.digest, blob.size)

    def _compare(
        self, expected: str, expected_size: int | None, got: str | None, got_size: int
    ) -> None:
        if expected_size is not None and got_size != expected_size:
            found = f"{got_size} bytes, expected {expected_size}"
        elif got is not None and got != expected:
            found = f"expected {expected}, got {got}"
        else:
            return
        raise IntegrityError(
            f"damaged: {self.location(expected)}: {found}; nothing was kept. Remove it and run "
            "again: the step that made it is computed anew"
        )

    # Primitives that a kind of store implements. Keys are relative POSIX paths.

    @abc.abstractmethod
    def _open(self, key: str) -> AbstractContextManager[tuple[int, Readable]]:
        """Size in bytes and stream of what lies under `key`; `NotFoundError` if nothing does."""

    @abc.abstractmethod
    def _size(self, key: str) -> int | None:
        """Size in bytes of what lies under `key`, None if nothing does."""

    @abc.abstractmethod
    def _put_bytes(self, blob: Descriptor, data: bytes) -> None:
        """Store `data` under the blob's key unless it is there with its size."""

    @abc.abstractmethod
    def _put_file(self, blob: Descriptor, path: Path) -> None:
        """Store a file under the blob's key unless it is there with its size."""

    @abc.abstractmethod
    def _replace(self, key: str, data: bytes) -> None:
        """Write a small entry at once, whatever was there."""

    @abc.abstractmethod
    def _add(self, key: str, data: bytes) -> bool:
        """Write a small entry unless something lies there; whether it was written."""

    @abc.abstractmethod
    def _list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Keys below `prefix` (it ends in a slash) and their sizes in bytes."""

    @abc.abstractmethod
    def _copy_to_view(self, blob: Descriptor, key: str) -> None:
        """Copy a blob, checked where the store does not check by itself, to `key`."""

    @abc.abstractmethod
    def _uri(self, key: str) -> str:
        """The URI under which other programs find `key`."""


def blob_key(digest: str) -> str:
    """Where a blob lies, relative to the store's root."""
    digits = hex_of(digest)
    return f"blobs/sha256/{digits[:2]}/{digits}"


def parallel(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """`work` on each of `items`, in parallel, results in order; the first error stops it."""
    if len(items) <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(WORKERS, len(items))) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            return [future.result() for future in futures]
        finally:
            # After an error, what has not begun need not begin.
            for future in futures:
                future.cancel()


@contextlib.contextmanager
def landing(target: Path, mode: int = 0o444) -> Iterator[IO[bytes]]:
    """A temporary file beside `target` that takes its name when the block ends well."""
    descriptor, name = tempfile.mkstemp(prefix=".assay-", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as out:
            yield out
        os.chmod(name, mode)  # noqa: PTH101 - a string at hand
        os.replace(name, target)  # noqa: PTH105
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)  # noqa: PTH108
        if isinstance(error, OSError):
            raise StoreError(
                f"cannot write {target}: {error.strerror}; make room, or set ASSAY_WORK to a "
                "folder on another disk"
            ) from error
        raise


def copy_checked(stream: Readable, out: IO[bytes], limit: int) -> tuple[str, int]:
    """Copy at most `limit` bytes and one chunk, hashing; the digest and size of what came."""
    hasher, size = hashlib.sha256(), 0
    while size <= limit and (chunk := stream.read(CHUNK_BYTES)):
        hasher.update(chunk)
        out.write(chunk)
        size += len(chunk)
    return PREFIX + hasher.hexdigest(), size


def _pointer_key(name: str) -> str:
    if not _POINTER.fullmatch(name):
        raise StoreError(f"{name!r} is not the name of a pointer")
    return name
