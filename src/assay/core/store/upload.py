"""Upload of local files to a bucket in parts."""

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
"""Part size of large blobs, and minimum size of blobs that are transferred in parts."""
MAX_PARTS: Final = 10_000
"""Limit of S3; blobs of more than `MAX_PARTS * PART_BYTES` have larger parts."""
_CHUNKS_AHEAD: Final = 4
"""Maximum number of chunks between the two hashing threads; limits the memory."""


@dataclass(frozen=True, slots=True)
class Part:
    """The body of a request: a part of a file, or a whole small file."""

    source: "Source"
    offset: int
    length: int
    sha256: str
    """Hex digest of its bytes."""

    def send(self, connection: socket.socket, deadline: Deadline) -> None:
        """Send the bytes; the last piece only if the file has not changed.

        A changed file therefore never results in a complete body, even if the server does not
        check hashes.
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
        """Raise `IntegrityError` if the file or this part has changed since it was hashed."""
        self.source.require_unchanged()
        hasher = hashlib.sha256()
        for piece in read_pieces(self.source.descriptor, self.offset, self.length):
            hasher.update(piece)
        if hasher.hexdigest() != self.sha256:
            raise self.source.changed()


class Source:
    """A local file with the digests of the whole file and of its parts."""

    def __init__(self, stream: IO[bytes], path: Path, helpers: ThreadPoolExecutor) -> None:
        """Hash the file.

        Args:
            stream: The open file, at its beginning.
            path: Its path, for messages.
            helpers: Hashes the parts.
        """
        self.descriptor = stream.fileno()
        self._path = path
        self._before = self._stamp()
        size = part_bytes(os.fstat(self.descriptor).st_size)
        # Both hashes are computed in parallel, because hashlib releases the interpreter lock.
        chunks: SimpleQueue[bytes] = SimpleQueue()
        room = Semaphore(_CHUNKS_AHEAD)
        parts = helpers.submit(self._hash_parts, chunks, room, size)
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

    def _hash_parts(self, chunks: "SimpleQueue[bytes]", room: Semaphore, size: int) -> list[Part]:
        parts: list[Part] = []
        begin, length, hasher = 0, 0, hashlib.sha256()
        while chunk := chunks.get():
            hasher.update(chunk)
            room.release()
            length += len(chunk)
            if length >= size:
                parts.append(Part(self, begin, length, hasher.hexdigest()))
                begin, length, hasher = begin + length, 0, hashlib.sha256()
        if length:
            parts.append(Part(self, begin, length, hasher.hexdigest()))
        return parts

    def require_unchanged(self) -> None:
        """Raise `IntegrityError` if the file has changed since it was hashed."""
        if self._stamp() != self._before:
            raise self.changed()

    def changed(self) -> IntegrityError:
        """The error for a file that has changed since it was hashed."""
        return IntegrityError(f"{self._path} changed while it was stored; run again")

    def _stamp(self) -> tuple[int, int, int]:
        status = os.fstat(self.descriptor)
        return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _send_file(
    connection: socket.socket, descriptor: int, offset: int, length: int, deadline: Deadline
) -> int:
    """Send a range of a file with `sendfile`; returns the number of bytes sent.

    That is less than `length` if the file is shorter, or its file system does not support it.
    `socket.sendfile` cannot be used, because it changes the position of the shared file.
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
    """The part size of a blob: a multiple of the chunk size, with at most `MAX_PARTS` parts."""
    return max(PART_BYTES, -(-size // (MAX_PARTS * CHUNK_BYTES)) * CHUNK_BYTES)
