"""Messages between a task and the warm process: JSON behind its length."""

import json
import socket
import struct
from typing import Any, Final

MAX_BYTES: Final = 16 << 20
"""Of one message; an environment and a task's arguments are far below."""
READY: Final = "ready"
GO: Final = "go"

_LENGTH: Final = struct.Struct("!I")


def send(connection: socket.socket, message: Any) -> None:
    """Send one message.

    Raises:
        OSError: The other side is gone.
    """
    data = json.dumps(message).encode()
    connection.sendall(_LENGTH.pack(len(data)) + data)


def receive(connection: socket.socket) -> Any:
    """The next message.

    Raises:
        EOFError: The other side ended before it had sent a whole one.
        OSError: The connection failed, or timed out.
    """
    (size,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    if size > MAX_BYTES:
        raise OSError(f"a message of {size} bytes")
    return json.loads(_exactly(connection, size))


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data
