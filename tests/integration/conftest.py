"""A TCP proxy between a client and a server that resets, cuts, corrupts and delays, by script."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

BUFFER = 1 << 16


@dataclass
class Faults:
    """What to do to the next connections; each counter goes down as its fault is done."""

    reset_up: int = 0
    """Connections to reset after the first bytes of the request."""
    reset_down: int = 0
    """Connections to reset after the first bytes of a large answer."""
    corrupt_up: int = 0
    """Requests in whose body to flip a bit."""
    corrupt_down: int = 0
    """Answers in whose body to flip a bit."""
    answer: list[bytes] = field(default_factory=list)
    """Whole HTTP answers to give instead of asking the server."""
    delay: float = 0.0
    """Seconds before each answer."""
    only: Callable[[bytes], bool] = lambda _head: True
    """Which requests to harm, by their first bytes."""
    seen: list[bytes] = field(default_factory=list)
    """First line of every request."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, name: str, head: bytes) -> bool:
        with self.lock:
            left = getattr(self, name)
            if left and self.only(head):
                setattr(self, name, left - 1)
                return True
            return False


@contextlib.contextmanager
def faulty(endpoint: str, faults: Faults) -> Iterator[str]:
    """A proxy in front of `endpoint`; yields its own URL."""
    target = urlsplit(endpoint)
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.2)
    stopped = threading.Event()

    def accept() -> None:
        while not stopped.is_set():
            try:
                client, _ = server.accept()
            except OSError:
                continue
            threading.Thread(
                target=_serve, args=(client, (target.hostname, target.port), faults), daemon=True
            ).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        stopped.set()
        thread.join()
        server.close()


def _reset(connection: socket.socket) -> None:
    # Linger of zero seconds makes close() send RST.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _serve(client: socket.socket, target: tuple[str, int], faults: Faults) -> None:
    with contextlib.suppress(OSError), client, socket.create_connection(target) as upstream:
        while True:
            head, body = _message(client)
            if not head:
                return
            with faults.lock:
                faults.seen.append(head.split(b"\r\n", 1)[0])
                canned = faults.answer.pop(0) if faults.answer and faults.only(head) else None
            if canned is not None:
                client.sendall(canned)
                client.close()
                return
            if faults.take("reset_up", head):
                _reset(client)
                return
            if body and faults.take("corrupt_up", head):
                body = body[:-1] + bytes([body[-1] ^ 1])
            upstream.sendall(head + body)
            head_down, body_down = _message(upstream, head.startswith(b"HEAD"))
            time.sleep(faults.delay)
            if body_down and faults.take("reset_down", head):
                client.sendall(head_down + body_down[: len(body_down) // 2])
                _reset(client)
                return
            if body_down and faults.take("corrupt_down", head):
                body_down = body_down[:-1] + bytes([body_down[-1] ^ 1])
            client.sendall(head_down + body_down)


def _message(stream: socket.socket, head_only: bool = False) -> tuple[bytes, bytes]:
    """One HTTP message: head and body."""
    data = bytearray()
    while b"\r\n\r\n" not in data:
        more = stream.recv(BUFFER)
        if not more:
            return b"", b""
        data += more
    end = data.index(b"\r\n\r\n") + 4
    head, body = bytes(data[:end]), data[end:]
    lower = head.lower()
    if head_only or b" 204 " in head[:20] or b" 304 " in head[:20]:
        return head, bytes(body)
    if b"transfer-encoding: chunked" in lower:
        while not body.endswith(b"0\r\n\r\n"):
            body += stream.recv(BUFFER)
        return head, bytes(body)
    length = 0
    for line in lower.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":", 1)[1])
    while len(body) < length and (more := stream.recv(BUFFER)):
        body += more
    return head, bytes(body)


@pytest.fixture
def faults() -> Faults:
    """What the proxy does; change it as the test goes on."""
    return Faults()


@pytest.fixture
def proxied(faults: Faults) -> Iterator[Callable[[str], str]]:
    """Puts the proxy in front of a store's URL."""
    with contextlib.ExitStack() as stack:

        def wrap(store_url: str) -> str:
            base, endpoint = store_url.split("?endpoint=")
            return f"{base}?endpoint={stack.enter_context(faulty(endpoint, faults))}"

        yield wrap
