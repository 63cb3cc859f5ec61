"""The run report's message: receivers of every kind, in front of real servers."""

import http.server
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from assay.components.run_report.message import Message, body
from assay.components.run_report.step import run_report
from assay.components.run_report.webhook import post
from assay.core.step import Out, Record, Services
from assay.core.store import open_store

SECRET = "/services/T000/B000/s3cret"  # noqa: S105 - made up
Handler = Callable[[http.server.BaseHTTPRequestHandler], None]


@contextmanager
def receiver(answer: Handler) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A web server; its address, and what it was sent."""
    got: list[dict[str, Any]] = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            content = self.rfile.read(length)
            got.append({"path": self.path, "headers": self.headers, "body": json.loads(content)})
            answer(self)

        do_GET = do_POST  # noqa: N815 - the base class's convention

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that has gone is what some tests are about."""

    with Server(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}{SECRET}", got
        server.shutdown()
        thread.join()


def status(code: int, **headers: str) -> Handler:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


def reset(request: http.server.BaseHTTPRequestHandler) -> None:
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    request.connection.close()


def call(folder: Path, **changes: str) -> tuple[str, dict[str, Any]]:
    """The step's outcome, and its record, of a run in which no stage said anything."""
    folder.mkdir(exist_ok=True)
    arguments = {
        "model_name": "churn",
        "state": "FAILED",
        "pipeline": "train-and-register",
        "name": "run-7",
        "error": "quota <exceeded> & more",
        **changes,
    }
    services = Services(open_store((folder.parent / "store").as_uri()), None)
    values = run_report(
        services=services, record=Out[Record](folder), **run_report.bind_parameters(arguments)
    )
    assert values is not None
    return str(values["outcome"]), json.loads((folder / "record.json").read_bytes())


def warnings(capfd: pytest.CaptureFixture[str]) -> str:
    """What was said on standard error besides the verdict."""
    lines = capfd.readouterr().err.splitlines(keepends=True)
    return "".join(line for line in lines if line.startswith("warning"))


def test_no_address_is_no_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    outcome, record = call(tmp_path / "out")
    assert outcome == record["outcome"] == "not sent: ASSAY_NOTIFY_URL is not set"
    assert warnings(capfd) == ""


def test_slack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver(status(200)) as (url, got):
        monkeypatch.setenv("ASSAY_NOTIFY_URL", url)
        outcome, record = call(tmp_path / "out")
    assert outcome == "sent to 127.0.0.1"
    (sent,) = got
    assert sent["path"] == SECRET
    assert sent["headers"]["Content-Type"] == "application/json"
    text = (
        "churn: run run-7 of train-and-register failed: no stage said anything; "
        "KFP says: quota &lt;exceeded&gt; &amp; more"
    )
    assert sent["body"] == {"text": text}
    assert "s3cret" not in json.dumps(record)


def message(verdict: str, **changes: Any) -> Message:
    given: dict[str, Any] = {"model_name": "churn", "pipeline": "train-and-register"}
    return Message(**{**given, "verdict": verdict, "run": "run-7", **changes})


def test_alertmanager_fires_and_ends_the_same_alert() -> None:
    red = message("blocked", reasons=("accuracy is 0.88", "recall is 0.4"))
    ((failed,), _) = body(red, "alertmanager")
    ((passed,), _) = body(message("passed", run="run-8", version="3"), "alertmanager")
    ((bare,), _) = body(message("canceled", pipeline="", run=""), "alertmanager")
    assert failed["labels"] == {
        "alertname": "AssayRunFailed",
        "model_name": "churn",
        "pipeline": "train-and-register",
        "severity": "warning",
    }
    summary = "churn: run run-7 of train-and-register blocked: accuracy is 0.88; recall is 0.4"
    assert failed["annotations"] == {"summary": summary, "run": "run-7", "verdict": "blocked"}
    assert "endsAt" not in failed
    assert passed["labels"] == failed["labels"]
    assert passed["annotations"]["summary"].endswith("passed: version 3")
    assert datetime.fromisoformat(passed["endsAt"]) <= datetime.now(UTC)
    assert bare["annotations"]["summary"] == "churn: a run canceled"
    # Alertmanager takes no empty labels.
    assert all(bare["labels"].values())
    assert all(bare["annotations"].values())


def test_json_and_unknown_formats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with receiver(status(204)) as (url, got):
        monkeypatch.setenv("ASSAY_NOTIFY_URL", url)
        call(tmp_path / "a", message_format="json", error="")
        assert warnings(capfd) == ""
        call(tmp_path / "b", message_format="teams", error="")
    assert got[0]["body"] == got[1]["body"]
    assert got[0]["body"] == {
        "model_name": "churn",
        "verdict": "failed",
        "pipeline": "train-and-register",
        "run": "run-7",
        "reasons": ["no stage said anything"],
        "version": "",
        "text": "churn: run run-7 of train-and-register failed: no stage said anything",
    }
    assert warnings(capfd) == (
        "warning: run_report: format 'teams' is not one of slack, alertmanager, json; "
        "sent as json\n"
    )


def test_a_message_is_one_line_whatever_a_run_is_called() -> None:
    told = message("failed", run="\x1b[31mred\n\u202e", reasons=("a\nb",) * 2000).text
    assert told.isprintable()
    assert len(told) == 2000


@pytest.mark.parametrize(
    ("answer", "outcome", "times"),
    [
        (status(500), "not accepted: 127.0.0.1 answered 500", 3),
        (status(429, Retry_After="3600"), "not accepted: 127.0.0.1 answered 429", 3),
        (status(404), "not accepted: 127.0.0.1 answered 404", 1),
        (status(302, Location="http://127.0.0.1:9/x"), "not accepted: 127.0.0.1 answered 302", 1),
        (reset, "not sent: 127.0.0.1 cannot be reached (ProtocolError)", 3),
    ],
)
def test_a_receiver_that_fails_changes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    answer: Handler,
    outcome: str,
    times: int,
) -> None:
    started = time.monotonic()
    with receiver(answer) as (url, got):
        monkeypatch.setenv("ASSAY_NOTIFY_URL", url)
        assert call(tmp_path / "out")[0] == outcome
    assert len(got) == times
    said = capfd.readouterr()
    assert said.err.startswith("warning: run_report: not ")
    assert said.err.count("warning") == 1
    assert "s3cret" not in said.out + said.err
    assert time.monotonic() - started < 5


def test_a_redirect_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        receiver(status(200)) as (elsewhere, strayed),
        receiver(status(307, Location=elsewhere)) as (url, got),
    ):
        monkeypatch.setenv("ASSAY_NOTIFY_URL", url)
        assert call(tmp_path / "out")[0].endswith("answered 307")
    assert (len(got), len(strayed)) == (1, 0)


def test_a_receiver_that_passes_its_fault_gets_the_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = iter([503, 200])

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        status(next(codes))(request)

    with receiver(answer) as (url, got):
        monkeypatch.setenv("ASSAY_NOTIFY_URL", url)
        assert call(tmp_path / "out")[0] == "sent to 127.0.0.1"
    assert len(got) == 2


def test_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_NOTIFY_URL", f"http://127.0.0.1:9{SECRET}")
    outcome, _ = call(tmp_path / "out")
    assert outcome == "not sent: 127.0.0.1 cannot be reached (NewConnectionError)"


@pytest.mark.parametrize(
    "url",
    ["nonsense", "ftp://host/s3cret", "http:///s3cret", "http://[s3cret", "file:///etc/passwd"],
)
def test_an_address_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], url: str
) -> None:
    monkeypatch.setenv("ASSAY_NOTIFY_URL", url)
    outcome, _ = call(tmp_path / "out")
    assert outcome == "not sent: the webhook's address is no http:// or https:// URL"
    assert "s3cret" not in capfd.readouterr().err


def test_a_receiver_that_says_nothing_is_given_up() -> None:
    ended = threading.Event()
    with receiver(lambda _: ended.wait(10) and None) as (url, _):
        started = time.monotonic()
        sent = post(url, {}, timeout=0.2, total=5)
        assert time.monotonic() - started < 4
        ended.set()
    assert not sent.arrived
    assert sent.text.startswith("not sent: 127.0.0.1 cannot be reached")


def test_a_receiver_that_drips_is_given_up() -> None:
    ended = threading.Event()

    def drip(request: http.server.BaseHTTPRequestHandler) -> None:
        # Never silent long enough for a time-out, never done.
        request.wfile.write(b"HTTP/1.1 200 ")
        while not ended.wait(0.05):
            request.wfile.write(b"O")
            request.wfile.flush()

    with receiver(drip) as (url, _):
        started = time.monotonic()
        sent = post(url, {}, timeout=0.5, total=1)
        assert time.monotonic() - started < 3
        ended.set()
    assert sent.text == "not sent: 127.0.0.1 took longer than 1 s"


def test_an_answer_without_end_is_not_read() -> None:
    ended = threading.Event()

    def endless(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while not ended.wait(0.01):
            request.wfile.write(b"x" * 65536)

    with receiver(endless) as (url, _):
        sent = post(url, {}, timeout=1, total=5)
        ended.set()
    assert sent.arrived


def test_the_address_reaches_no_log(tmp_path: Path) -> None:
    """In a process that has not configured logging, where warnings go to standard error."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from assay.components.run_report.step import run_report\n"
        "from assay.core.step import Out, Services\n"
        "from assay.core.store import open_store\n"
        "services = Services(open_store(f'file://{sys.argv[1]}/store'), None)\n"
        "out = Path(sys.argv[1]) / 'out'\n"
        "out.mkdir()\n"
        "run_report(services=services, model_name='m', state='FAILED', record=Out(out))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env={"ASSAY_NOTIFY_URL": f"http://127.0.0.1:9{SECRET}", "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("warning: run_report: not sent: 127.0.0.1 cannot be reached")
    assert (
        "s3cret" not in done.stderr + done.stdout + (tmp_path / "out" / "record.json").read_text()
    )


@pytest.fixture(autouse=True)
def _log_level() -> Iterator[None]:
    logger = logging.getLogger("urllib3.connectionpool")
    level = logger.level
    yield
    logger.setLevel(level)
