"""What the simulated forges have in common.

Pull requests are kept in memory; merging one makes a real merge commit in a real bare repository.
"""

import contextlib
import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Answer = tuple[int, Any]
Route = Callable[..., Answer]


@dataclass
class Pull:
    number: int
    branch: str
    base: str
    title: str
    body: str
    labels: list[str] = field(default_factory=list)
    state: str = "open"
    merged_by: str = ""
    merged_at: str = ""
    commit: str = ""
    commits: list[str] = field(default_factory=list)
    """What a rebase or fast-forward put onto the branch, the last among them."""
    comments: list[str] = field(default_factory=list)
    repository: int = 7
    """Number of the repository with the branch; another one for a fork."""


@dataclass
class Simulator:
    """A forge with one repository, `team/deployments`."""

    bare: Path
    token: str = "forge-token-that-writes"  # noqa: S105 - of a simulator
    reader: str = "forge-token-that-only-reads"
    port: int = 0
    fail_every: int = 0
    """Answer every n-th request with 502; 0 never."""
    lose_answer_to: str = ""
    """Do the next request of this method, and answer 502 all the same."""
    limited: int = 0
    """Answer so many requests with the forge's rate limit."""
    pulls: list[Pull] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def authorized(self, headers: Any) -> str:
        """The token that a request carries."""
        raise NotImplementedError

    def limit(self) -> tuple[int, dict[str, str], Any]:
        raise NotImplementedError

    def routes(self) -> list[tuple[str, str, Route]]:
        """Method, pattern and what answers."""
        raise NotImplementedError

    def pull(self, number: str) -> Pull | None:
        return next((p for p in self.pulls if p.number == int(number)), None)

    def of_branch(self, branch: str) -> list[Pull]:
        """Those of forks too, the newest first."""
        return [p for p in reversed(self.pulls) if p.branch == branch]

    def is_open(self, branch: str) -> bool:
        """Whether the repository's own branch has an open pull request."""
        return any(
            p.state == "open" and p.repository == Pull.repository for p in self.of_branch(branch)
        )

    def merge(self, number: int, by: str) -> str:
        """What a person's click does: a merge commit by the forge, and the branch goes."""
        found = self.pull(str(number))
        assert found is not None
        work = self.bare.parent / f"merge-{number}"
        mail = f"{by}@users.example.org"
        git(self.bare.parent, "clone", "-q", str(self.bare), str(work))
        git(work, "config", "user.name", by)
        git(work, "config", "user.email", mail)
        git(
            work, "merge", "-q", "--no-ff", "-m",
            f"Merge pull request #{number}", f"origin/{found.branch}",
        )  # fmt: skip
        git(work, "push", "-q", "origin", f"HEAD:{found.base}", f":{found.branch}")
        found.commit = git(work, "rev-parse", "HEAD")
        found.state, found.merged_by = "merged", by
        found.merged_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return found.commit

    def push(self, work: Path, by: str) -> Pull:
        """A pull request that is merged by rebase or fast-forward: each commit of a clone."""
        base = git(self.bare, "rev-parse", "main")
        commits = git(work, "rev-list", f"{base}..HEAD").split()
        git(work, "push", "-q", "origin", "HEAD:main")
        made = Pull(len(self.pulls) + 1, "feature", "main", "Feature", "", state="merged")
        made.commit, made.commits, made.merged_by = commits[0], commits, by
        made.merged_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.pulls.append(made)
        return made


def git(folder: Path, *command: str) -> str:
    done = subprocess.run(["git", *command], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextlib.contextmanager
def serve(simulator: Simulator) -> Iterator[Simulator]:  # noqa: C901 - a server in one place
    count = 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Requests are kept, not printed."""

        def _do(self) -> None:
            nonlocal count
            size = int(self.headers.get("content-length", 0))
            body = json.loads(self.rfile.read(size) or b"{}") if size else {}
            with simulator.lock:
                count += 1
                status, headers, content = self._answer(count, body)
            data = b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = _do  # noqa: N815 - the library asks for these

        def _answer(  # noqa: PLR0911 - one return for each way to answer
            self, number: int, body: Any
        ) -> tuple[int, dict[str, str], Any]:
            parts = urlsplit(self.path)
            path = unquote(parts.path)
            simulator.requests.append((self.command, path))
            if simulator.fail_every and number % simulator.fail_every == 0:
                return 502, {}, {"message": "Bad Gateway"}
            if simulator.limited:
                simulator.limited -= 1
                return simulator.limit()
            token = simulator.authorized(self.headers)
            if token not in {simulator.token, simulator.reader}:
                return 401, {}, {"message": "401 Unauthorized"}
            if token == simulator.reader and self.command != "GET":
                return 403, {}, {"message": "403 Forbidden"}
            query = {k: v[-1] for k, v in parse_qs(parts.query).items()}
            for method, pattern, route in simulator.routes():
                match = re.fullmatch(pattern, path)
                if match and method == self.command:
                    status, content = route(*match.groups(), query=query, body=body)
                    if simulator.lose_answer_to == self.command:
                        simulator.lose_answer_to = ""
                        return 502, {}, {"message": "Bad Gateway"}
                    return status, {}, content
            return 404, {}, {"message": f"404 Not Found {self.command} {path}"}

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        simulator.port = http.server_address[1]
        thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield simulator
        finally:
            http.shutdown()
            thread.join()
