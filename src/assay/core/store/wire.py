"""Signed HTTP requests to a bucket, optimized for the frequent requests of the store.

Connections are reused, and requests are signed with AWS Signature Version 4. docs/adr/0019 compares
this module with existing libraries.

A successful response is accepted only if it looks like that of an S3 server. Sign-in pages, pages
of proxies, and responses that a proxy has changed (chunked, compressed) are refused. Every request
has a deadline that depends on the number of bytes: see `Pace`.
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
"""Maximum number of idle connections."""


_AWS: Final = re.compile(r"\.amazonaws\.com(\.cn)?(:\d+)?\Z")
_LENGTH: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_ENDS_WITHOUT_ANSWER: Final = 500
"""From this status on, the response may come from a proxy instead of the server."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Maximum total time of a request, so that a peer cannot delay it byte by byte."""

    seconds: float = 120.0
    """For the request and the headers of the response."""
    bytes_per_second: int = 16 << 10
    """Minimum rate for the body, which gets additional time."""

    def time_for(self, size: int) -> float:
        """Maximum seconds for `size` bytes."""
        return size / self.bytes_per_second


class Deadline:
    """The deadline of a request by the monotonic clock."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._at = time.monotonic() + pace.seconds

    def extend(self, size: int) -> None:
        """Add the time for `size` more bytes."""
        self._at += self._pace.time_for(size)

    def left(self) -> float:
        """The remaining seconds, more than 0.

        Raises:
            SlowError: The deadline has passed.
        """
        left = self._at - time.monotonic()
        if left <= 0:
            raise SlowError(self._pace)
        return left


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An S3 server and the credentials for it."""

    scheme: str
    netloc: str
    region: str
    credentials: Provider | None
    """None for anonymous requests."""

    def of_bucket(self, bucket: str) -> tuple[str, str]:
        """Host and path prefix of the objects of a bucket."""
        netloc = self.netloc
        if netloc == "s3.amazonaws.com":
            netloc = f"s3.{self.region}.amazonaws.com"
        # A wildcard certificate covers one label, so a bucket with a dot is part of the path.
        if _AWS.search(netloc) and "." not in bucket:
            return f"{bucket}.{netloc}", "/"
        return netloc, f"/{bucket}/"


class Body(Protocol):
    """A request body that can be sent repeatedly."""

    @property
    def length(self) -> int:
        """Size in bytes."""

    def send(self, connection: socket.socket, deadline: Deadline) -> None:
        """Send all bytes before the deadline."""


class BrokenError(Exception):
    """A connection was refused, reset, cut short or timed out; the message contains no URL."""


class SlowError(TimeoutError):
    """A request exceeded the time for its number of bytes."""

    def __init__(self, pace: Pace) -> None:
        super().__init__(
            f"slower than {pace.seconds:g} s and {pace.bytes_per_second} bytes per second"
        )


class ForeignError(Exception):
    """The response is not from an S3 server; the message gives the reason."""


class UntrustedError(Exception):
    """The server's certificate is not accepted."""


class StatusError(Exception):
    """A response with an error status."""

    def __init__(self, status: int, code: str, headers: Message) -> None:
        """An error of the server.

        Args:
            status: HTTP status.
            code: S3 error code; empty if there is none.
            headers: Headers of the response.
        """
        super().__init__(f"{code or 'HTTP'} {status}")
        self.status = status
        self.code = code
        self.headers = headers


class Answer:
    """A successful response with an unread body; a context manager that releases the connection."""

    def __init__(
        self, response: http.client.HTTPResponse, connection: socket.socket, wire: "Wire"
    ) -> None:
        """A response on a connection.

        Args:
            response: The response, whose headers have been read.
            connection: Its connection.
            wire: Gets the connection back.
        """
        self._response = response
        self._connection = connection
        self._wire = wire
        self.status = response.status
        self.headers = response.headers
        self.left = response.length or 0
        """Remaining bytes of the body."""

    @property
    def modified(self) -> float:
        """Time of writing of the object by the clock of the server, in seconds since the epoch."""
        return _time(self.headers, "last-modified")

    @property
    def now(self) -> float:
        """Time of the response by the clock of the server, in whole seconds since the epoch."""
        return _time(self.headers, "date")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A connection with an unread body is closed, because it cannot be reused.
        self._wire.release(self._connection, keep=self.left == 0 and not self._response.will_close)
        self._response.close()

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes of the body; empty at its end."""
        count = self.left if size < 0 else min(size, self.left)
        if not count:
            return b""
        try:
            data = self._response.read(count)
        except (OSError, http.client.HTTPException) as error:
            raise _broken(error) from error
        self.left -= len(data)
        if len(data) < count:
            raise BrokenError("the response was cut short")
        return data

    def read_all(self, limit: int) -> bytes:
        """Read the whole body, even without a Content-Length.

        Raises:
            ForeignError: The body has more than `limit` bytes.
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
        """Read bytes of the body into `buffer`; returns their number."""
        try:
            count = self._response.readinto(buffer)
        except (OSError, http.client.HTTPException) as error:
            raise _broken(error) from error
        self.left -= count
        if not count and self.left:
            raise BrokenError("the response was cut short")
        return count


class Wire:
    """Sends requests for the objects of one bucket; thread-safe."""

    def __init__(
        self,
        endpoint: Endpoint,
        bucket: str,
        *,
        connect_timeout: float,
        read_timeout: float,
        pace: Pace | None = None,
    ) -> None:
        """A client without open connections.

        Args:
            endpoint: The server.
            bucket: Name of the bucket.
            connect_timeout: Seconds.
            read_timeout: Maximum seconds without data.
            pace: Maximum time of requests.
        """
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
        """Send one request.

        Args:
            method: HTTP method.
            key: The object's key, "" for the bucket.
            headers: By lower-case name.
            query: Canonical query string: names sorted, values encoded.
            body: Bytes, or an object that sends them.
            sha256: Hex digest of the body; servers that verify it refuse other bodies.
            document: Whether the response is an XML document instead of an object.
            moves: Number of bytes that the server copies before it responds.

        Returns:
            The successful response.

        Raises:
            StatusError: The response has an error status.
            BrokenError: The connection failed, or was too slow.
            ForeignError: The response is not from an S3 server.
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
        raise _status_error(response, answer, method)

    def _exchange(
        self,
        connection: socket.socket,
        method: str,
        head: bytes,
        body: bytes | Body,
        deadline: Deadline,
    ) -> http.client.HTTPResponse:
        try:
            # The server may have refused the request before it read the body; the response has the
            # reason.
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
        """Return a connection, to be reused or closed."""
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
            # An idle connection is readable only if it was closed.
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
        """Add the date and the authorization (AWS Signature Version 4) to the headers."""
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
        cached_for, signing_key = self._signing_key
        if cached_for != (credentials.secret_key, scope):
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
    """The file object of an `HTTPResponse`; every read ends at the deadline."""

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        super().__init__()
        self._connection = connection
        self._deadline = deadline
        self._silence = connection.gettimeout()

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Called by `HTTPResponse`."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        remaining = self._deadline.left()
        # Set only if it differs, because it is a system call.
        if self._silence is None or remaining < self._silence:
            self._connection.settimeout(remaining)
        try:
            return self._connection.recv_into(buffer)
        except TimeoutError:
            self._deadline.left()  # raises if the deadline was the reason
            raise


def _status_error(
    response: http.client.HTTPResponse, answer: Answer, method: str
) -> StatusError | ForeignError:
    """The exception for a response with an error status; releases its connection."""
    with answer:
        try:
            text = b"" if method == "HEAD" else response.read(MAX_ERROR_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise _broken(error) from error
        answer.left = response.length or 0
    code = response.headers.get("x-minio-error-code") or error_code(text)
    if not code and response.status < _ENDS_WITHOUT_ANSWER and not _of_s3(response.headers):
        return ForeignError(f"HTTP {response.status} without the headers of S3")
    return StatusError(response.status, code, response.headers)


def _of_s3(headers: Message) -> bool:
    """Whether the headers are from an S3 server: all known servers send a request id."""
    return any(name.lower().startswith("x-amz-") for name in headers)


def _require_s3(response: http.client.HTTPResponse, method: str, *, is_object: bool) -> None:
    """Check that a successful response is from an S3 server.

    Raises:
        ForeignError: It is not; the message gives the reasons.
    """
    headers = response.headers
    kind = headers.get("content-type", "").partition(";")[0].strip()
    problems = [] if _of_s3(headers) else ["no header of S3"]
    if is_object:
        problems += _object_problems(headers, method)
    if problems and kind:
        problems.append(f"of type {kind[:80]!r}")
    if problems:
        raise ForeignError(f"HTTP {response.status}, {', '.join(problems)}")


def _object_problems(headers: Message, method: str) -> list[str]:
    problems = []
    if headers.get("transfer-encoding"):
        problems.append(f"sent {headers['transfer-encoding'][:40]!r}")
    if method in {"GET", "HEAD", "PUT"} and not headers.get("etag"):
        problems.append("no ETag")
    if method in {"GET", "HEAD"}:
        if not _LENGTH.fullmatch(headers.get("content-length", "")):
            problems.append("no usable Content-Length")
        if headers.get("content-encoding", "identity") != "identity":
            problems.append(f"encoded as {headers['content-encoding'][:40]!r}")
    return problems


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
