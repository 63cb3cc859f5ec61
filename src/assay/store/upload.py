"""A local file on its way to a bucket, in parts."""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Final

from assay.digest import CHUNK_BYTES, PREFIX
from assay.errors import IntegrityError
from assay.store.files import read_pieces

PART_BYTES: Final = 16 << 20
"""Size of the parts of a large blob; also the size from which a blob moves in parts."""
MAX_PARTS: Final = 10_000
"""S3's limit; a blob of more than `MAX_PARTS * PART_BYTES` has larger parts."""


class Source:
    """A local file, hashed as a whole and in parts in one pass, and its bytes once more."""

    def __init__(self, stream: IO[bytes], path: Path, helpers: ThreadPoolExecutor) -> None:
        self._stream = stream
        self._path = path
        self._before = self._stamp()
        wanted = part_bytes(os.fstat(stream.fileno()).st_size)
        whole, part = hashlib.sha256(), hashlib.sha256()
        self.parts: list[tuple[int, int, str]] = []
        """Offset, length and hex digest of each."""
        size = begin = 0
        while chunk := stream.read(CHUNK_BYTES):
            # The same bytes go into both, on two cores: hashing gives up the interpreter's lock.
            other = helpers.submit(part.update, chunk)
            whole.update(chunk)
            other.result()
            size += len(chunk)
            if size - begin >= wanted:
                self.parts.append((begin, size - begin, part.hexdigest()))
                begin, part = size, hashlib.sha256()
        if size > begin:
            self.parts.append((begin, size - begin, part.hexdigest()))
        self.size = size
        self.digest = PREFIX + whole.hexdigest()

    def pieces(self, offset: int, length: int) -> Iterator[bytes]:
        """The bytes of a part, piece by piece; the last one only if the file has not changed.

        So even a server that checks no hash gets no whole body that is not what was named.
        """
        for piece in read_pieces(self._stream.fileno(), offset, length):
            length -= len(piece)
            if not length:
                self.require_unchanged()
            yield piece
        if length:
            raise self._changed()

    def require_unchanged(self, number: int | None = None) -> None:
        """Raise `IntegrityError` if the file, or a part of it, is no longer what was hashed."""
        if self._stamp() != self._before:
            raise self._changed()
        if number is not None:
            offset, length, sha256 = self.parts[number]
            hasher = hashlib.sha256()
            for piece in self.pieces(offset, length):
                hasher.update(piece)
            if hasher.hexdigest() != sha256:
                raise self._changed()

    def _stamp(self) -> tuple[int, int, int]:
        status = os.fstat(self._stream.fileno())
        return status.st_size, status.st_mtime_ns, status.st_ctime_ns

    def _changed(self) -> IntegrityError:
        return IntegrityError(f"{self._path} changed while it was stored; run again")


def part_bytes(size: int) -> int:
    """The size of the parts of a blob: whole chunks, and not more parts than S3 admits."""
    return max(PART_BYTES, -(-size // (MAX_PARTS * CHUNK_BYTES)) * CHUNK_BYTES)
