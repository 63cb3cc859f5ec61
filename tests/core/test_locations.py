"""What a run may read, and what is kept of where it read: attacks by who chooses the location."""

import http.server
import json
import logging
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from assay.cli.registration import registration_of
from assay.cli.run import print_outcome
from assay.components.preflight.header import column_names
from assay.components.preflight.step import preflight
from assay.components.snapshot_data.step import snapshot_data
from assay.core.context import store_from_env
from assay.core.execution import Context, execute
from assay.core.locations import in_cluster, require_admitted, require_public_address
from assay.core.provenance import verify
from assay.core.source import fetch, peek
from assay.core.step import Out, Record, Values, step
from assay.core.store import Store, open_store
from assay.core.tree import put_tree
from assay.errors import AssayError, UsageError
from assay.printable import public, without_secrets
from assay.runtime import events, kfp, local

KEY = b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIHNlY3JldCBrZXkgb2YgdGhlIHBvZCE=\n"


@pytest.fixture
def pod(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A task's environment in a cluster."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("ASSAY_STORE", "s3://assay/store?endpoint=http://minio.assay.svc:9000")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "pod-access-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "pod-secret-key")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "pod-session-token")
    return monkeypatch


def refusal(location: str) -> str:
    with pytest.raises(AssayError) as caught:
        require_admitted(location)
    return str(caught.value)


class TestInACluster:
    @pytest.mark.parametrize(
        "location",
        [
            "/var/run/secrets/kubernetes.io/serviceaccount/token", "data.csv", "~/.ssh/id_ed25519",
            "file:///etc/passwd", "FILE:///etc/passwd", "/proc/self/environ", "https://example.org/x.csv",
            "http://169.254.169.254/latest/meta-data", "http://localhost:15000/config_dump",
            "s3://bucket/x?endpoint=http://evil.example", "s3://bucket/x?endpoint=http://169.254.169.254",
            "s3://assay/x?endpoint=http://minio.assay.svc:9001",
            "s3://assay/x?endpoint=https://minio.assay.svc:9000",
        ],
    )  # fmt: skip
    def test_only_configured_locations_are_read(
        self, pod: pytest.MonkeyPatch, location: str, folder_store: Store, tmp_path: Path
    ) -> None:
        assert in_cluster()
        for read in (
            lambda: fetch(location, tmp_path, store=folder_store),
            lambda: peek(location, 10),
            lambda: column_names(location, "auto", folder_store),
        ):
            with pytest.raises(UsageError, match="ASSAY_SOURCES"):
                read()

    def test_data_on_the_server_of_the_store_is_read_with_its_credentials(
        self, pod: pytest.MonkeyPatch
    ) -> None:
        place = require_admitted("s3://raw/x.csv?endpoint=http://minio.assay.svc:9000")
        assert place.credentials

    def test_entries_admit_what_they_name_and_nothing_beside_it(
        self, pod: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data-2").mkdir()
        (tmp_path / "key.pem").write_bytes(KEY)
        (tmp_path / "data" / "link.csv").symlink_to(tmp_path / "key.pem")
        pod.setenv(
            "ASSAY_SOURCES",
            f"{(tmp_path / 'data').as_uri()}, https://data.internal/public,"
            "s3://open/2024?endpoint=https://other.example, s3://?endpoint=http://lake:9000",
        )
        for location in (
            f"{tmp_path}/data/x.csv",
            f"{tmp_path}/data-2/../data/x.csv",
            "https://data.internal/public/x.csv",
            "https://DATA.internal:443/public/a/x.csv",
            "s3://open/2024/x.csv?endpoint=https://other.example:443",
            "s3://any/x.csv?endpoint=http://lake:9000",
        ):
            assert not require_admitted(location).credentials, location
        for location in (
            f"{tmp_path}/data-2/x.csv",
            f"{tmp_path}/data/../key.pem",
            f"{tmp_path}/data/link.csv",
            f"FILE://{tmp_path}/key.pem",
            f"File://localhost{tmp_path}/data/../key.pem",
            "https://data.internal/public-not/x.csv",
            "https://data.internal/public/../x.csv",
            "https://data.internal/public/%2e%2e/x.csv",
            "https://data.internal/public/..;/x.csv",
            "https://data.internal/public\\..\\x.csv",
            "https://data.internal/public/%5c..%5cx.csv",
            "https://data.internal/public/%252e%252e/x.csv",
            "https://data.internal/public/%25252e%25252e%25252fx.csv",
            "https://data.internal:8443/public/x.csv",
            "http://data.internal/public/x.csv",
            "https://data.internal.evil.example/public/x.csv",
            "s3://open/2025/x.csv?endpoint=https://other.example",
            "s3://open/2024/x.csv?endpoint=https://other.example&endpoint=https://evil.example",
            "s3://other/2024/x.csv?endpoint=https://other.example",
        ):
            assert "not among the allowed sources" in refusal(location), location
        with pytest.raises(UsageError, match="not among the allowed sources"):
            fetch(f"FILE://{tmp_path}/key.pem", tmp_path)

    def test_a_malformed_entry_is_reported(self, pod: pytest.MonkeyPatch) -> None:
        pod.setenv("ASSAY_SOURCES", "/data, s3://bucket, ftp://x, https://me:pw@host")
        message = refusal("https://x/y")
        assert "/data, s3://bucket, ftp://x, https://host: not an entry" in message
        assert "pw" not in message


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "::1", "fe80::1%eth0",
     "fd00::1", "::ffff:169.254.169.254", "224.0.0.1", "100.64.0.1", "::", "64:ff9b::a9fe:a9fe",
     "64:ff9b:1::a00:1", "2002:7f00:1::", "::ffff:0:10.0.0.1", "::127.0.0.1", "fec0::1"],
)  # fmt: skip
def test_an_address_that_only_this_network_reaches_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="not public") as caught:
        require_public_address(address, "host.example")
    assert address not in str(caught.value)
    for public_one in (
        "93.184.216.34",
        "::ffff:93.184.216.34",
        "64:ff9b::5db8:d822",
        "2606:4700::1",
    ):
        require_public_address(public_one, "host.example")


def test_a_name_that_leads_into_the_network_gets_no_request(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`https` admits the web; a name of the attacker's leads to this machine, the second time."""
    monkeypatch.setenv("ASSAY_SOURCES", "https")
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    real, asked = socket.getaddrinfo, []

    def rebound(host: Any, *more: Any, **named: Any) -> Any:
        if host != "rebind.example":
            return real(host, *more, **named)
        asked.append(host)
        address = "93.184.216.34" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    with pytest.raises(UsageError, match="its address is not public"):
        fetch(f"https://rebind.example:{port}/x", tmp_path)
    assert len(asked) == 2
    connection, _ = listener.accept()
    connection.settimeout(5)
    assert connection.recv(1) == b""  # closed, before a byte was sent
    connection.close()
    listener.close()


@pytest.fixture
def recorder() -> Iterator[tuple[str, list[str]]]:
    """A server that writes down every header that it is sent."""
    heard: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            heard.append(f"{self.path}\n{self.headers}")
            self.send_response(200)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"a,b\n")

        do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", heard
        server.shutdown()
        thread.join()


def test_another_server_gets_no_credentials(
    pod: pytest.MonkeyPatch, recorder: tuple[str, list[str]], tmp_path: Path
) -> None:
    url, heard = recorder
    location = f"s3://bucket/x.csv?endpoint={url}"
    with pytest.raises(UsageError):
        peek(location, 4)
    assert heard == []
    pod.setenv("ASSAY_SOURCES", f"s3://bucket?endpoint={url}")
    assert peek(location, 4) == b"a,b\n"
    assert heard
    assert not [each for each in heard if "pod-" in each or "authorization" in each.lower()]
    pod.setenv("AWS_ENDPOINT_URL", url)
    peek(location, 4)
    assert "pod-access-key" in heard[-1]


def test_no_message_quotes_a_file_that_is_no_table(
    folder_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    for name, content in (
        ("key.pem", KEY), ("token", b"eyJhbGciOiJSUzI1NiIsImtpZCI6InNlY3JldCJ9.e30.c2ln"),
        ("password", b"hunter2-secret\n"),
    ):  # fmt: skip
        path = tmp_path / name
        path.write_bytes(content)
        given = {"data": str(path), "target": "y", "model_name": "m", "drop_columns": ["z"]}
        with pytest.raises(AssayError) as caught:
            execute(preflight, given, Context(folder_store))
        message = str(caught.value)
        assert not [
            word for word in content.decode().split() if word in message and len(word) > 6
        ], message


# What is kept of a location.

SECRET = "9f86d081884c7d659a2feaa0c55ad015"  # noqa: S105 - of nobody


@pytest.mark.parametrize(
    "location",
    [
        f"https://h/x.csv?X-Amz-Signature={SECRET}&X-Amz-Credential=a",
        f"https://h/x.csv?sv=2024&sig={SECRET}",
        f"https://h/x.csv?token={SECRET}#{SECRET}",
        f"https://user:{SECRET}@h/x.csv",
        f"https://{SECRET}@h/x.csv",
        f"s3://k:{SECRET}@b/x?endpoint=http://{SECRET}:x@h&secret={SECRET}",
        f"https://[::1/x?{SECRET}",
        f"https://u:{SECRET}@[::1/x",
        f"https://h/it's?sig={SECRET}",
        f'https://h/"x"/y?sig={SECRET}',
        f"https://h/x.csv;token={SECRET}",
        f"https://h/a;sid={SECRET}/x.csv",
        f"https://u:p;{SECRET}@h/x.csv",
        f"https://[::1/x;{SECRET}",
        f"mssql://h;PWD={SECRET}/x",
        f"https://h.example;SharedAccessSignature=sv=1&sig={SECRET}",
    ],
)
def test_a_location_is_printable_without_its_secrets(location: str) -> None:
    for value in (location, [location], {"a": {"b": location}}, f"see {location}, or\nnot"):
        kept = repr(without_secrets(value))
        assert SECRET not in kept
        assert location.split("://", maxsplit=1)[0] in kept
    assert SECRET not in public(location)
    assert without_secrets(f"https://h/my table.csv?sig={SECRET}") == "https://h/my table.csv"
    assert without_secrets("see 'https://h/x' and 'y?'") == "see 'https://h/x' and 'y?'"
    assert without_secrets({"n": 1, "t": ["a ? b", None, True]}) == {
        "n": 1,
        "t": ["a ? b", None, True],
    }


@pytest.mark.parametrize(
    "location",
    [
        f"https://h/x.csv?sv=2020&se=2024-01-01 00:00:00Z&sig={SECRET}",
        f"https://h/x.csv?se=Mon, 1 Jan&sig={SECRET}",
        f"https://h/a b.csv?sig={SECRET} x={SECRET}",
        f"https://h/x.csv?a=b\n&sig={SECRET}",
        f"https://h/x.csv?a=b\u00a0&sig={SECRET}",
        f"s3://b/k x?endpoint=https://h&X-Amz-Signature={SECRET}",
        f"https://u:p {SECRET}@h/x",
        f"https://h/x?sig=a<{SECRET}",
        f"HTTP:/h/x?sig={SECRET}",
        f"https:/u:{SECRET}@h/x?sig={SECRET}",
        f"//h/x?sig={SECRET}",
    ],
)
def test_what_begins_like_a_location_is_one_to_its_end(location: str, context: Context) -> None:
    """A fetch took the whole of it, and the attestation kept all behind the first blank."""
    for value in (location, f" {location}", [location], {"a": {"b": location}}):
        assert SECRET not in repr(without_secrets(value, given=True))
    done = execute(greet, {"text": location}, context)
    for path in Path(urlsplit(context.store.url).path).rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path
    assert done.values == {"length": len(location)}


def test_texts_that_hold_no_location_are_kept() -> None:
    for text in ("// a comment # 1", "note:/ a?b", "s3://b/a b.csv", "a: https\nb: '?'", "C:/x?y"):
        assert without_secrets(text, given=True) == text
    assert without_secrets("HTTP:/h/x?a=b: not found") == "http:/h/x: not found"


def test_the_sentence_around_a_location_stays_as_it_is() -> None:
    message = "s3://b/x?endpoint=http://host:9000&secret=1, or set AWS_ENDPOINT_URL"
    kept = "s3://b/x?endpoint=http://host:9000, or set AWS_ENDPOINT_URL"
    assert without_secrets(message) == kept
    assert without_secrets("(see https://h/x?a=1): it is gone.") == "(see https://h/x): it is gone."
    assert without_secrets("s3://b/a;b.csv and file:///a;b.csv") == (
        "s3://b/a;b.csv and file:///a;b.csv"
    )


def test_the_stored_tasks_of_a_run_have_no_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KFP and libraries print what a task was given, whole or in parts, and so may its events."""
    signed = f"https://user:{SECRET}@h/x.csv?X-Amz-Signature={SECRET}"
    blanks = f"https://h/my table\u00e4.csv?X-Amz-Signature={SECRET}"

    def say(text: str) -> None:
        sys.stdout.write(text)

    def pipeline(**given: Any) -> None:
        say(f"data: {given}\n")
        say("    ")
        say(f"read {blanks} and {json.dumps(given)}\n")
        say(signed[:40])
        say(signed[40:])
        logging.getLogger().warning("no answer from %s", signed)
        events.emit("prepare", events.STARTED)
        events.emit("prepare", events.FAILED, error=f"no {signed}", values={"at": [signed]})
        say(signed)

    monkeypatch.setattr(local, "fork_server", lambda *_: nullcontext())
    monkeypatch.setattr(local, "_outputs_of", lambda *_: set())
    outcome = local.run(pipeline, {"data": signed, "options": {"all": [blanks]}}, tmp_path / "run")
    assert SECRET not in outcome.error
    log = outcome.log.read_text(encoding="utf-8")
    assert "    read https://h/my tableä.csv and" in log
    assert log.count("https://h/x.csv") == 5
    kept = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert {path.name for path in kept} == {"run.log", "events.jsonl"}
    for path in kept:
        assert SECRET.encode() not in path.read_bytes(), path
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_run_with_a_password_and_a_presigned_address_keeps_neither(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,y\n1,0\n2,1\n")
    signed = f"http://user:{SECRET}@127.0.0.1:9/x.csv?X-Amz-Signature={SECRET}"
    words = ["run", "train-and-register", "--json", "-p", "target=y", "-p", "model_name=m"]
    for given in ([f"data={signed}"], ["data=data.csv", f"policy={signed}", f"reference={signed}"]):
        done = subprocess.run(
            [sys.executable, "-m", "assay", *words, *(w for one in given for w in ("-p", one))],
            capture_output=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 2, done.stderr
        (tmp_path / f"said-{len(given)}").write_bytes(done.stdout + done.stderr)
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len([path for path in kept if path.name in {"run.log", "events.jsonl"}]) == 4
    for path in kept:
        assert SECRET.encode() not in path.read_bytes(), path


@step
def greet(*, text: str, record: Out[Record]) -> Values:
    """A step of a user's own with an address as a parameter."""
    (record.path / "text").write_text("done")
    return {"length": len(text)}


def test_a_green_run_prints_no_password_of_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It stood in the lines `registry` and `load in Python`, which a CI log keeps."""
    store = open_store((tmp_path / "store").as_uri())
    monkeypatch.setenv("ASSAY_STORE", store.url)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://u:{SECRET}@127.0.0.1:5000/a?t={SECRET}")
    (tmp_path / "record").mkdir()
    (tmp_path / "record/record.json").write_text('{"model": "m", "model_name": "n"}')
    digest = put_tree(store, tmp_path / "record", Record.type, {}).digest
    task = local.Task("register", events.DONE, outputs={"record": digest})
    outcome = local.Outcome([task], tmp_path, 0, "")
    print_outcome(outcome)
    done = registration_of(outcome, store)
    assert done is not None
    for told in (capsys.readouterr().out, json.dumps(done.to_dict())):
        assert SECRET not in told
        assert "http://127.0.0.1:5000/a" in told


def test_two_secrets_do_not_share_a_cache_entry(context: Context) -> None:
    """Without the secret both have one step key; the second must not get the first one's answer."""
    short = execute(greet, {"text": "https://h/x?page=1"}, context)
    longer = execute(greet, {"text": "https://h/x?page=100"}, context)
    assert (short.values, longer.values) == ({"length": 18}, {"length": 20})
    assert short.step_key == longer.step_key
    assert not longer.cached


@pytest.mark.minio
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # SQLAlchemy on MLflow
def test_a_presigned_address_is_kept_nowhere(
    minio_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The whole of preflight and snapshot as KFP runs them, and then every byte they left."""
    from mlflow.tracking import MlflowClient

    from assay.components.preflight.component import preflight as component
    from assay.core.store.client import client_for

    text = "age,sex,income\n" + "39,M,no\n40,F,yes\n" * 50
    (tmp_path / "people.csv").write_text(text)
    parts = urlsplit(minio_url)
    client = client_for(minio_url)
    key = f"{parts.path.strip('/')}/people.csv"
    client.fput_object(parts.netloc, key, str(tmp_path / "people.csv"))
    location = client.presigned_get_object(parts.netloc, key, timedelta(hours=1))
    query = parse_qs(urlsplit(location).query)
    secrets = [query["X-Amz-Signature"][0], query["X-Amz-Credential"][0].split("/")[0] + "/"]

    left = tmp_path / "left"
    left.mkdir()
    monkeypatch.chdir(left)
    monkeypatch.setenv("ASSAY_STORE", (left / "store").as_uri())
    monkeypatch.setenv("ASSAY_EVENTS", str(left / "events"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{left}/mlflow.db")
    runs = MlflowClient()
    run = runs.create_run(runs.create_experiment("e", artifact_location=(left / "a").as_uri()))
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    given = {"data": location, "target": "income", "model_name": "m"}
    view = SimpleNamespace(path=str(left / "summary"), metadata={})
    component.python_func(**given, summary=view)
    done = execute(snapshot_data, {"data": location, "target": "income"}, Context(store_from_env()))
    assert done.values["rows"] == 100
    # And what is reported when it fails.
    for wrong in (
        {**given, "target": "none"},
        {**given, "data": location.replace("people", "nothing")},
        {**given, "policy": location},
        {**given, "data": location.replace("http://127.0.0.1", "http://[::1")},
        {**given, "suite": location, "reference": location},
    ):
        with pytest.raises(SystemExit):
            kfp.execute(preflight, wrong)
    logged = MlflowClient().get_run(run.info.run_id).data.params["preflight.data"]
    assert logged == location.partition("?")[0]
    assert verify(store_from_env(), done.outputs["dataset"], None)

    message = capfd.readouterr()
    (left / "out").write_text(message.out + message.err)
    files = [path for path in left.rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        content = path.read_bytes()
        for secret in secrets:
            assert secret.encode() not in content, path


# Files that are not files.


def test_a_pipe_never_makes_a_command_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    pipe = str(tmp_path / "pipe")
    for arguments, message in (
        (["run", "train-and-register", "--params", pipe], "it is a pipe"),
        (["gate", "--policy", pipe, "--evidence", pipe], "it is a pipe"),
        (["suite", "draft", pipe, "--target", "y"], "it is a pipe"),
    ):
        done = subprocess.run(
            [Path(sys.executable).with_name("assay"), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 2, done.stderr
        assert message in done.stderr


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
        ("sqlite:///.assay/mlflow.db", "sqlite:///.assay/mlflow.db"),
        ("file:///data/x.csv?token=1", "file:///data/x.csv"),
        ("mssql:///?password=1", "mssql:///"),
        ("s3:///x?endpoint=http://a:1&secret=2", "s3:///x?endpoint=http://a:1"),
    ],
)
def test_a_location_without_a_host_keeps_its_slashes(written: str, shown: str) -> None:
    assert public(written) == shown
    assert without_secrets(f"check {written} again") == f"check {shown} again"
