"""Signed HTTP requests to a bucket: what the store sends often, at the least cost.

Requests are made on connections that are kept, and signed as AWS specifies (Signature Version 4).
docs/adr/0019 compares this with the libraries that could be used instead.

A success counts only if it looks like an S3 server's: a sign-in page, the page of a proxy, or an
answer that a proxy has taken apart (chunked, compressed) says nothing about what the store holds.
Every request has a deadline, by how many bytes it moves: see `Pace`.
"""

import contextlib
import hashlib
import hmac
import http.client
import io
import re
import select
import socket
import ssl
import time
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Final, Protocol, Self
from urllib.parse import quote, urlsplit

from assay.core.settings import CA_FILE
from assay.core.store.credentials import Provider
from assay.errors import UsageError

EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()
MAX_ERROR_BYTES: Final = 64 << 10
MAX_IDLE: Final = 64
"""Connections kept."""


_AWS: Final = re.compile(r"\.amazonaws\.com(\.cn)?(:\d+)?\Z")
_LENGTH: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_ENDS_WITHOUT_ANSWER: Final = 500
"""From this status on, whoever answered speaks for a server that did not."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a request may take in all; a peer that sends a byte now and then is no answer."""

    seconds: float = 120.0
    """For the request and the head of its answer."""
    bytes_per_second: int = 16 << 10
    """In addition, for each byte of a body."""

    def time_for(self, size: int) -> float:
        """Seconds that `size` bytes may take."""
        return size / self.bytes_per_second


class Deadline:
    """When a request must be over, by the monotonic clock."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._at = time.monotonic() + pace.seconds

    def extend(self, size: int) -> None:
        """Allow the time that `size` more bytes may take."""
        self._at += self._pace.time_for(size)

    def left(self) -> float:
        """Seconds that are left, more than none.

        Raises:
            SlowError: None are left.
        """
        left = self._at - time.monotonic()
        if left <= 0:
            raise SlowError(self._pace)
        return left


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An S3 server, and what requests to it are signed with."""

    scheme: str
    netloc: str
    region: str
    credentials: Provider | None
    """None for a server that needs none."""

    def of_bucket(self, bucket: str) -> tuple[str, str]:
        """Host and path below which the objects of a bucket lie."""
        netloc = self.netloc
        if netloc == "s3.amazonaws.com":
            netloc = f"s3.{self.region}.amazonaws.com"
        # A certificate covers one label: a bucket with a dot in its name is part of the path.
        if _AWS.search(netloc) and "." not in bucket:
            return f"{bucket}.{netloc}", "/"
        return netloc, f"/{bucket}/"


class Body(Protocol):
    """Bytes that send themselves, from their beginning each time."""

    @property
    def length(self) -> int:
        """How many."""

    def send(self, connection: socket.socket, deadline: Deadline) -> None:
        """Send all of them before the deadline."""


class BrokenError(Exception):
    """A connection that was refused, reset, cut short or silent; its text holds no URL."""


class SlowError(TimeoutError):
    """A request that took longer than its bytes may take."""

    def __init__(self, pace: Pace) -> None:
        super().__init__(
            f"slower than {pace.seconds:g} s and {pace.bytes_per_second} bytes per second"
        )


class ForeignError(Exception):
    """An answer that is not an S3 server's; its text says what is odd about it."""


class UntrustedError(Exception):
    """The server's certificate is not accepted."""


class StatusError(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, code: str, headers: Message) -> None:
        super().__init__(f"{code or 'HTTP'} {status}")
        self.status = status
        self.code = code
        self.headers = headers


class Answer:
    """A successful answer, whose body is still to be read; close it by leaving its block."""

    def __init__(
        self, response: http.client.HTTPResponse, connection: socket.socket, wire: "Wire"
    ) -> None:
        self._response = response
        self._connection = connection
        self._wire = wire
        self.status = response.status
        self.headers = response.headers
        self.left = response.length or 0
        """Bytes of the body that are still to come."""

    @property
    def modified(self) -> float:
        """When the object was written, by the server's clock: seconds since the epoch."""
        return _time(self.headers, "last-modified")

    @property
    def now(self) -> float:
        """What the server's clock says: seconds since the epoch, whole ones."""
        return _time(self.headers, "date")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Closed rather than drained when something is left: after an error it is of no use.
        self._wire.release(self._connection, keep=self.left == 0 and not self._response.will_close)
        self._response.close()

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes of the body; empty at its end."""
        wanted = self.left if size < 0 else min(size, self.left)
        if not wanted:
            return b""
        try:
            data = self._response.read(wanted)
        except (OSError, http.client.HTTPException) as error:
            raise _broken(error) from error
        self.left -= len(data)
        if len(data) < wanted:
            raise BrokenError("the answer was cut short")
        return data

    def read_all(self, limit: int) -> bytes:
        """The whole body, even of an answer that does not say its length.

        Raises:
            ForeignError: More than `limit` bytes.
        """
        try:
            data = self._response.read(limit + 1)
        except (OSError, http.client.HTTPException) as error:
            raise _broken(error) from error
        self.left = self._response.length or 0
        if len(data) > limit or self.left:
            raise ForeignError(f"more than {limit} bytes")
        return data

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer`, or as much of it as there is; the number of bytes."""
        try:
            count = self._response.readinto(buffer)
        except (OSError, http.client.HTTPException) as error:
            raise _broken(error) from error
        self.left -= count
        if not count and self.left:
            raise BrokenError("the answer was cut short")
        return count


class Wire:
    """Requests about the objects of one bucket; safe to share among threads."""

    def __init__(
        self,
        endpoint: Endpoint,
        bucket: str,
        *,
        connect_timeout: float,
        read_timeout: float,
        pace: Pace | None = None,
    ) -> None:
        self._region = endpoint.region
        self._provider = endpoint.credentials
        self._netloc, self._root = endpoint.of_bucket(bucket)
        url = urlsplit(f"{endpoint.scheme}://{self._netloc}")
        self._address = (str(url.hostname), url.port or (443 if url.scheme == "https" else 80))
        self._tls: ssl.SSLContext | None = None
        if url.scheme == "https":
            self._tls = ssl.create_default_context(cafile=CA_FILE.get() or None)
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._pace = pace or Pace()
        self._idle: deque[socket.socket] = deque()
        weakref.finalize(self, _close_all, self._idle)
        self._signing_key: tuple[tuple[str, str], bytes] = (("", ""), b"")

    def request(
        self,
        method: str,
        key: str,
        *,
        headers: Mapping[str, str] | None = None,
        query: str = "",
        body: bytes | Body = b"",
        sha256: str = EMPTY_SHA256,
        document: bool = False,
        moves: int = 0,
    ) -> Answer:
        """Send one request; the answer, if it is a success.

        Args:
            method: HTTP method.
            key: The object's key, "" for the bucket.
            headers: By lower-case name.
            query: Canonical query string: names sorted, values encoded.
            body: Bytes, or what sends them.
            sha256: Hex digest of the body; a server that checks it refuses another body.
            document: The answer is an XML document about the object, not the object.
            moves: Bytes that the server itself moves before it answers.

        Raises:
            StatusError: The server refused.
            BrokenError: The connection failed, or was too slow.
            ForeignError: The answer is not an S3 server's.
            UntrustedError: The certificate is not accepted.
        """
        size = len(body) if isinstance(body, bytes) else body.length
        path = self._root + quote(key)
        signed = {"host": self._netloc, "x-amz-content-sha256": sha256, **(headers or {})}
        self._sign(method, path, query, signed, sha256)
        target = f"{path}?{query}" if query else path
        lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in signed.items())]
        head = "\r\n".join([*lines, f"content-length: {size}", "", ""]).encode("ascii")
        deadline = Deadline(self._pace)
        deadline.extend(size + moves)
        connection = self._connect()
        keep = False
        try:
            response = self._exchange(connection, method, head, body, deadline)
            keep = True
        finally:
            if not keep:
                connection.close()
        answer = Answer(response, connection, self)
        if response.status // 100 == 2:  # noqa: PLR2004 - success
            try:
                _require_s3(response, method, is_object=bool(key) and not document)
            except ForeignError:
                self.release(connection, keep=False)
                response.close()
                raise
            if method == "HEAD":
                answer.left = 0
            deadline.extend(answer.left)
            return answer
        with answer:
            try:
                text = b"" if method == "HEAD" else response.read(MAX_ERROR_BYTES)
            except (OSError, http.client.HTTPException) as error:
                raise _broken(error) from error
            answer.left = response.length or 0
        code = response.headers.get("x-minio-error-code") or error_code(text)
        if not code and response.status < _ENDS_WITHOUT_ANSWER and not _of_s3(response.headers):
            raise ForeignError(f"HTTP {response.status} without the headers of S3")
        raise StatusError(response.status, code, response.headers)

    def _exchange(
        self,
        connection: socket.socket,
        method: str,
        head: bytes,
        body: bytes | Body,
        deadline: Deadline,
    ) -> http.client.HTTPResponse:
        try:
            # The server may have refused before it read all; its answer says why.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                if isinstance(body, bytes):
                    connection.sendall(head + body)
                else:
                    connection.sendall(head)
                    body.send(connection, deadline)
            timed: Any = _Timed(connection, deadline)
            response = http.client.HTTPResponse(timed, method=method)
            try:
                response.begin()
            except BaseException:
                response.close()
                raise
        except (OSError, http.client.HTTPException) as error:
            raise _broken(error) from error
        return response

    def release(self, connection: socket.socket, *, keep: bool) -> None:
        """Give a connection back, for another request or to be closed."""
        if keep and len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    def _connect(self) -> socket.socket:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            # Something to read before a request was sent can only be the connection's end.
            poll = select.poll()
            poll.register(connection, select.POLLIN)
            if not poll.poll(0):
                connection.settimeout(self._read_timeout)
                return connection
            connection.close()
        try:
            connection = socket.create_connection(self._address, self._connect_timeout)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_hostname=self._address[0])
            connection.settimeout(self._read_timeout)
        except ssl.SSLCertVerificationError as error:
            raise UntrustedError(error.verify_message) from error
        except OSError as error:
            raise _broken(error) from error
        return connection

    def _sign(
        self, method: str, path: str, query: str, headers: dict[str, str], sha256: str
    ) -> None:
        """Add date and authorization: AWS Signature Version 4, all headers signed."""
        if self._provider is None:
            return
        credentials = self._provider.retrieve()
        if not all(text.isprintable() for text in (credentials.access_key, credentials.secret_key)):
            raise UsageError("AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY has a line break in it")
        now = datetime.now(UTC)
        headers["x-amz-date"] = stamp = now.strftime("%Y%m%dT%H%M%SZ")
        if credentials.session_token:
            headers["x-amz-security-token"] = credentials.session_token
        names = sorted(headers)
        signed = ";".join(names)
        canonical = "\n".join(
            (
                method,
                path,
                query,
                *(f"{name}:{headers[name]}" for name in names),
                "",
                signed,
                sha256,
            )
        )
        scope = f"{stamp[:8]}/{self._region}/s3/aws4_request"
        text = "\n".join(
            ("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest())
        )
        # The key changes once a day.
        known, signing_key = self._signing_key
        if known != (credentials.secret_key, scope):
            signing_key = f"AWS4{credentials.secret_key}".encode()
            for part in scope.split("/"):
                signing_key = hmac.digest(signing_key, part.encode(), "sha256")
            self._signing_key = ((credentials.secret_key, scope), signing_key)
        signature = hmac.digest(signing_key, text.encode(), "sha256").hex()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={signed}, Signature={signature}"
        )


class _Timed(io.RawIOBase):
    """What `HTTPResponse` reads a connection through; every read ends at the deadline."""

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        super().__init__()
        self._connection = connection
        self._deadline = deadline
        self._silence = connection.gettimeout()

    def makefile(self, _mode: str) -> io.BufferedReader:
        """As `HTTPResponse` asks for it."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        left = self._deadline.left()
        # Set only where it differs, because it is a call of the system.
        if self._silence is None or left < self._silence:
            self._connection.settimeout(left)
        try:
            return self._connection.recv_into(buffer)
        except TimeoutError:
            self._deadline.left()  # says that it was the whole that took too long
            raise


def _of_s3(headers: Message) -> bool:
    """Whether a server that speaks S3 has sent these: all known ones name the request."""
    return any(name.lower().startswith("x-amz-") for name in headers)


def _require_s3(response: http.client.HTTPResponse, method: str, *, is_object: bool) -> None:
    """Refuse a success that no S3 server would send.

    Raises:
        ForeignError: Says what is odd.
    """
    headers = response.headers
    kind = headers.get("content-type", "").partition(";")[0].strip()
    problems = [] if _of_s3(headers) else ["no header of S3"]
    if is_object and headers.get("transfer-encoding"):
        problems.append(f"sent {headers['transfer-encoding'][:40]!r}")
    if is_object and method in {"GET", "HEAD", "PUT"} and not headers.get("etag"):
        problems.append("no ETag")
    if is_object and method in {"GET", "HEAD"}:
        if not _LENGTH.fullmatch(headers.get("content-length", "")):
            problems.append("no usable Content-Length")
        if headers.get("content-encoding", "identity") != "identity":
            problems.append(f"encoded as {headers['content-encoding'][:40]!r}")
    if problems and kind:
        problems.append(f"of type {kind[:80]!r}")
    if problems:
        raise ForeignError(f"HTTP {response.status}, {', '.join(problems)}")


def _time(headers: Message, name: str) -> float:
    try:
        return parsedate_to_datetime(headers.get(name, "")).timestamp()
    except (ValueError, TypeError, OverflowError, OSError):
        raise ForeignError(f"its {name} is {headers.get(name, '')[:40]!r}") from None


def error_code(body: bytes) -> str:
    """The `<Code>` of an S3 error's XML."""
    _, _, rest = body.partition(b"<Code>")
    return rest.partition(b"</Code>")[0].decode(errors="replace")


def _close_all(connections: deque[socket.socket]) -> None:
    while connections:
        connections.pop().close()


def _broken(error: Exception) -> BrokenError:
    return BrokenError(str(error) if isinstance(error, SlowError) else type(error).__name__)
