"""Git over HTTP: the real `git http-backend` as a CGI program, behind a login."""

import base64
import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


@dataclass
class GitServer:
    root: Path
    writer: str = "token-that-writes"
    reader: str = "token-that-only-reads"
    fail_every: int = 0
    """Answer every n-th request with 503; 0 never."""
    port: int = 0
    requests: list[str] = field(default_factory=list)
    count: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def serve(root: Path) -> Iterator[GitServer]:  # noqa: C901 - a server in one place
    server = GitServer(root)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def log_message(self, *_: Any) -> None:
            """Requests are kept, not printed."""

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            if self.headers.get("transfer-encoding", "") == "chunked":
                body = b""
                while size := int(self.rfile.readline().strip() or b"0", 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
            self._answer(body)

        def _token(self) -> str:
            kind, _, value = self.headers.get("authorization", "").partition(" ")
            if kind != "Basic":
                return ""
            return base64.b64decode(value).decode().partition(":")[2]

        def _answer(self, body: bytes) -> None:
            server.count += 1
            server.requests.append(self.path)
            if server.fail_every and server.count % server.fail_every == 0:
                self.send_error(503)
                return
            token, writes = self._token(), "receive-pack" in self.path
            if token not in {server.writer, server.reader}:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.end_headers()
                return
            if writes and token == server.reader:
                self.send_error(403)
                return
            parts = urlsplit(self.path)
            environment = {
                **os.environ,
                "GIT_PROJECT_ROOT": str(server.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": parts.path,
                "QUERY_STRING": parts.query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("content-type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
                "GIT_PROTOCOL": self.headers.get("git-protocol", ""),
                "REMOTE_USER": "bot",
                "REMOTE_ADDR": "127.0.0.1",
            }
            done = subprocess.run(
                ["git", "http-backend"], input=body, env=environment, capture_output=True
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            lines = [line.partition(": ") for line in head.decode().split("\r\n")]
            status = next((v for k, _, v in lines if k.lower() == "status"), "200")
            self.send_response(int(status.split()[0]))
            for key, _, value in lines:
                if key.lower() != "status":
                    self.send_header(key, value)
            self.end_headers()
            self.wfile.write(content)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.port = http.server_address[1]
        thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
