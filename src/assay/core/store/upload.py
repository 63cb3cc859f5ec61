"""A local file on its way to a bucket, in parts."""

import hashlib
import os
import select
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Semaphore
from typing import IO, Final

from assay.core.digest import CHUNK_BYTES, PREFIX
from assay.core.store.files import PIECE_BYTES, read_pieces
from assay.core.store.wire import Deadline
from assay.errors import IntegrityError

PART_BYTES: Final = 16 << 20
"""Size of the parts of a large blob; also the size from which a blob moves in parts."""
MAX_PARTS: Final = 10_000
"""S3's limit; a blob of more than `MAX_PARTS * PART_BYTES` has larger parts."""
_CHUNKS_AHEAD: Final = 4
"""By so many the hash of the whole may be ahead of that of the parts; bounds the memory."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a file, or the whole of a small one: the body of a request."""

    source: "Source"
    offset: int
    length: int
    sha256: str
    """Hex digest of its bytes, as they were hashed."""

    def send(self, connection: socket.socket, deadline: Deadline) -> None:
        """Send the bytes; the last ones only if the file has not changed.

        So even a server that checks no hash gets no whole body that is not what was named.
        """
        self._send(connection, self.offset, max(0, self.length - PIECE_BYTES), deadline)
        self.source.require_unchanged()
        last = min(self.length, PIECE_BYTES)
        self._send(connection, self.offset + self.length - last, last, deadline)

    def _send(
        self, connection: socket.socket, offset: int, length: int, deadline: Deadline
    ) -> None:
        if not isinstance(connection, ssl.SSLSocket):
            sent = _send_file(connection, self.source.descriptor, offset, length, deadline)
            offset, length = offset + sent, length - sent
        for piece in read_pieces(self.source.descriptor, offset, length):
            deadline.left()
            connection.sendall(piece)
            length -= len(piece)
        if length:
            raise self.source.changed()

    def require_unchanged(self) -> None:
        """Raise `IntegrityError` if the file, or this part of it, is no longer what was hashed."""
        self.source.require_unchanged()
        hasher = hashlib.sha256()
        for piece in read_pieces(self.source.descriptor, self.offset, self.length):
            hasher.update(piece)
        if hasher.hexdigest() != self.sha256:
            raise self.source.changed()


class Source:
    """A local file, hashed as a whole and in parts in one pass, and its bytes once more."""

    def __init__(self, stream: IO[bytes], path: Path, helpers: ThreadPoolExecutor) -> None:
        self.descriptor = stream.fileno()
        self._path = path
        self._before = self._stamp()
        wanted = part_bytes(os.fstat(self.descriptor).st_size)
        # The same bytes go into both hashes, on two cores: hashing gives up the interpreter's lock.
        chunks: SimpleQueue[bytes] = SimpleQueue()
        room = Semaphore(_CHUNKS_AHEAD)
        parts = helpers.submit(self._hash_parts, chunks, room, wanted)
        whole = hashlib.sha256()
        try:
            while chunk := stream.read(CHUNK_BYTES):
                room.acquire()
                chunks.put(chunk)
                whole.update(chunk)
        finally:
            chunks.put(b"")
        self.parts: list[Part] = parts.result()
        self.size = sum(part.length for part in self.parts)
        self.digest = PREFIX + whole.hexdigest()

    def _hash_parts(self, chunks: "SimpleQueue[bytes]", room: Semaphore, wanted: int) -> list[Part]:
        found: list[Part] = []
        begin, length, hasher = 0, 0, hashlib.sha256()
        while chunk := chunks.get():
            hasher.update(chunk)
            room.release()
            length += len(chunk)
            if length >= wanted:
                found.append(Part(self, begin, length, hasher.hexdigest()))
                begin, length, hasher = begin + length, 0, hashlib.sha256()
        if length:
            found.append(Part(self, begin, length, hasher.hexdigest()))
        return found

    def require_unchanged(self) -> None:
        """Raise `IntegrityError` if the file has been written to since it was hashed."""
        if self._stamp() != self._before:
            raise self.changed()

    def changed(self) -> IntegrityError:
        """That the file is no longer what was hashed."""
        return IntegrityError(f"{self._path} changed while it was stored; run again")

    def _stamp(self) -> tuple[int, int, int]:
        status = os.fstat(self.descriptor)
        return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _send_file(
    connection: socket.socket, descriptor: int, offset: int, length: int, deadline: Deadline
) -> int:
    """Have the kernel send bytes of a file, without a copy here; how many it sent.

    Not all where the file is shorter by now, or lies on a file system that cannot.
    `socket.sendfile` is of no use: it moves the position of a file that others send from.
    """
    begin = offset
    timeout = connection.gettimeout()
    ready = select.poll()
    ready.register(connection, select.POLLOUT)
    while length:
        deadline.left()
        try:
            sent = os.sendfile(connection.fileno(), descriptor, offset, length)
        except BlockingIOError:
            if not ready.poll(None if timeout is None else timeout * 1000):
                raise TimeoutError("timed out") from None
            continue
        except (BrokenPipeError, ConnectionResetError):
            raise
        except OSError:
            break
        if not sent:
            break
        offset, length = offset + sent, length - sent
    return offset - begin


def part_bytes(size: int) -> int:
    """The size of the parts of a blob: whole chunks, and not more parts than S3 admits."""
    return max(PART_BYTES, -(-size // (MAX_PARTS * CHUNK_BYTES)) * CHUNK_BYTES)
