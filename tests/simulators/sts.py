"""What gives out temporary credentials: AWS' STS, a container's agent, an instance's metadata.

The credentials are real ones: they come from a MinIO server's own AssumeRole.
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from minio.credentials import AssumeRoleProvider

ROLE = "assay-role"


class Issuer:
    """State of the server; a test changes it as it goes on."""

    def __init__(self, minio: str, user: str, password: str) -> None:
        self._minio, self._user, self._password = minio, user, password
        self.token = "first"  # noqa: S105 - of this simulator
        """The token that is accepted: a web identity's, or a container's."""
        self.seconds = 3600.0
        """After how long the credentials are said to expire."""
        self.fail = 0
        """Status of every answer, if not 0."""
        self.requests: list[str] = []
        """Method and path of each."""
        self.forms: list[dict[str, str]] = []
        self.issued: list[str] = []
        """Access keys."""
        self.url = ""
        self.lock = threading.Lock()

    def issue(self) -> dict[str, str]:
        provider = AssumeRoleProvider(
            sts_endpoint=self._minio,
            access_key=self._user,
            secret_key=self._password,
            region="us-east-1",
        )
        made = provider.retrieve()
        expires = datetime.fromtimestamp(time.time() + self.seconds, UTC)
        self.issued.append(made.access_key)
        return {
            "AccessKeyId": made.access_key,
            "SecretAccessKey": made.secret_key,
            "Token": made.session_token or "",
            "Expiration": expires.isoformat().replace("+00:00", "Z"),
        }


class _Request(BaseHTTPRequestHandler):
    server: "_Server"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        issuer = self.server.issuer
        if self.path == "/container":
            if self.headers["authorization"] != issuer.token:
                self._answer(401, b"{}")
            else:
                self._answer(200, json.dumps(issuer.issue()).encode())
        elif self.headers["x-aws-ec2-metadata-token"] != "session":
            self._answer(401, b"")
        elif self.path == "/latest/meta-data/iam/security-credentials/":
            self._answer(200, ROLE.encode())
        elif self.path == f"/latest/meta-data/iam/security-credentials/{ROLE}":
            self._answer(200, json.dumps(issuer.issue()).encode())
        else:
            self._answer(404, b"")

    def do_PUT(self) -> None:
        known = self.path == "/latest/api/token"
        self._answer(200 if known else 404, b"session")

    def do_POST(self) -> None:
        issuer = self.server.issuer
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        issuer.forms.append(form)
        if form["WebIdentityToken"] != issuer.token:
            code = b"<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>"
            message = form["WebIdentityToken"].encode() + b"</Message></Error></ErrorResponse>"
            self._answer(400, code + message)
            return
        made = issuer.issue()
        made["SessionToken"] = made.pop("Token")
        fields = "".join(f"<{name}>{text}</{name}>" for name, text in made.items())
        action = form["Action"]
        self._answer(
            200,
            f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>'
            f"<Credentials>{fields}</Credentials></{action}Result></{action}Response>".encode(),
        )

    def _answer(self, status: int, body: bytes) -> None:
        issuer = self.server.issuer
        with issuer.lock:
            issuer.requests.append(f"{self.command} {self.path}")
        status = issuer.fail or status
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, issuer: Issuer) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.issuer = issuer


@contextlib.contextmanager
def serving(issuer: Issuer) -> Iterator[Issuer]:
    """The server, with its URL in the issuer, while the block lasts."""
    server = _Server(issuer)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        issuer.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
