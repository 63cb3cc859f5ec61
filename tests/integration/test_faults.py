"""Faults between client and server: retried when a retry can mend them, told at once when not."""

import contextlib
import errno
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.digest import of_bytes
from assay.errors import IntegrityError, StoreAccessError, StoreError, StoreUnavailableError
from assay.manifest import FileEntry, Manifest
from assay.store.client import RetryLimits, client_for
from assay.store.minio import MinioStore

from servers import PASSWORD, USER, free_ports, require, serving

pytestmark = pytest.mark.minio

QUICK = RetryLimits(attempts=5, seconds=20, first_wait=0.01, longest_wait=0.1, read_timeout=5)
DATA = b"some bytes worth keeping " * 400

Faults = Any  # tests/integration/conftest.py


@pytest.fixture
def store(minio_url: str, proxied: Callable[[str], str]) -> MinioStore:
    """A store behind the proxy."""
    return MinioStore.from_url(proxied(minio_url), QUICK)


def put(head: bytes) -> bool:
    return head.startswith(b"PUT")


def get(head: bytes) -> bool:
    return head.startswith(b"GET")


def error(status: int, code: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def test_a_connection_reset_while_sending_is_retried(store: MinioStore, faults: Faults) -> None:
    faults.only, faults.reset_up = put, 2
    blob = store.put_bytes(DATA)
    assert faults.reset_up == 0
    assert store.get_bytes(blob.digest, len(DATA)) == DATA


def test_a_body_altered_on_its_way_is_refused_by_the_server_and_sent_again(
    store: MinioStore, faults: Faults
) -> None:
    faults.only, faults.corrupt_up = put, 2
    blob = store.put_bytes(DATA)
    assert faults.corrupt_up == 0
    assert store.verify(blob) == len(DATA)
    assert [digest for digest, _ in store.iter_blobs()] == [of_bytes(DATA)]


def test_a_body_that_is_always_altered_is_never_stored(store: MinioStore, faults: Faults) -> None:
    faults.only, faults.corrupt_up = put, 100
    with pytest.raises(StoreUnavailableError, match="SHA256Mismatch"):
        store.put_bytes(DATA)
    faults.corrupt_up = 0
    assert not store.has(of_bytes(DATA))


@pytest.mark.parametrize("fault", ["reset_down", "corrupt_down"])
def test_an_answer_cut_or_altered_once_is_asked_for_again(
    store: MinioStore, faults: Faults, tmp_path: Path, fault: str
) -> None:
    blob = store.put_bytes(DATA)
    faults.only = get
    setattr(faults, fault, 1)
    store.get_file(blob, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == DATA
    assert getattr(faults, fault) == 0


def test_an_answer_that_is_always_altered_leaves_nothing(
    store: MinioStore, faults: Faults, tmp_path: Path
) -> None:
    blob = store.put_bytes(DATA)
    faults.only, faults.corrupt_down = get, 100
    with pytest.raises(IntegrityError) as caught:
        store.get_file(blob, tmp_path / "file")
    assert blob.digest in str(caught.value)
    assert store.location(blob.digest) in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_answer_that_is_always_cut_is_told_in_bounded_time(
    store: MinioStore, faults: Faults, tmp_path: Path
) -> None:
    blob = store.put_bytes(DATA)
    faults.only, faults.reset_down = get, 100
    begin = time.monotonic()
    with pytest.raises(StoreUnavailableError):
        store.get_file(blob, tmp_path / "file")
    assert time.monotonic() - begin < 30
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (503, "SlowDown"),
        (500, "InternalError"),
        (503, "ServiceUnavailable"),
        (408, "RequestTimeout"),
    ],
)
def test_a_server_that_asks_for_patience_gets_it(
    store: MinioStore, faults: Faults, status: int, code: str
) -> None:
    faults.only, faults.answer = put, [error(status, code)] * 3
    store.put_bytes(DATA)
    assert not faults.answer
    faults.only, faults.answer = get, [error(status, code)] * 3
    assert store.get_bytes(of_bytes(DATA), len(DATA)) == DATA


@pytest.mark.parametrize(
    ("status", "code", "kind", "remedy"),
    [
        (403, "AccessDenied", StoreAccessError, "AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", StoreAccessError, "AWS_SECRET_ACCESS_KEY"),
        (404, "NoSuchBucket", StoreError, "create it"),
        (403, "RequestTimeTooSkewed", StoreError, "clock"),
        (507, "XMinioStorageFull", StoreError, "full"),
    ],
)
def test_what_no_retry_mends_is_told_at_once(
    store: MinioStore, faults: Faults, status: int, code: str, kind: type[StoreError], remedy: str
) -> None:
    faults.only, faults.answer = put, [error(status, code)] * 10
    with pytest.raises(kind, match=remedy):
        store.put_bytes(DATA)
    assert len(faults.answer) == 9, "asked once"


def test_a_slow_server_is_waited_for(store: MinioStore, faults: Faults) -> None:
    faults.delay = 0.3
    store.put_bytes(DATA)
    assert store.get_bytes(of_bytes(DATA), len(DATA)) == DATA


def test_a_server_that_says_nothing_is_given_up(
    minio_url: str, faults: Faults, proxied: Callable[[str], str]
) -> None:
    hasty = RetryLimits(attempts=2, seconds=5, first_wait=0.01, read_timeout=0.2)
    store = MinioStore.from_url(proxied(minio_url), hasty)
    faults.delay = 2
    begin = time.monotonic()
    with pytest.raises(StoreUnavailableError, match="is it up"):
        store.put_bytes(DATA)
    assert time.monotonic() - begin < 5


def test_a_large_blob_in_parts_survives_resets(
    store: MinioStore, faults: Faults, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    path.write_bytes(os.urandom(1 << 20) * 70)
    faults.only, faults.reset_up = put, 2
    blob = store.put_file(path)
    store.get_file(blob, tmp_path / "back")
    assert of_bytes((tmp_path / "back").read_bytes()) == blob.digest


def test_no_error_holds_a_secret(store: MinioStore, faults: Faults) -> None:
    secret = os.environ["AWS_SECRET_ACCESS_KEY"]
    for answer in (error(403, "AccessDenied"), error(500, "InternalError"), error(400, "Odd")):
        faults.only, faults.answer = put, [answer] * 10
        with pytest.raises(StoreError) as caught:
            store.put_bytes(DATA)
        assert secret not in str(caught.value)
        assert "Signature=" not in str(caught.value)


def test_a_page_of_a_load_balancer_is_no_answer(store: MinioStore, faults: Faults) -> None:
    page = b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nConnection: close\r\n"
    page += b"Content-Length: 4\r\n\r\noops"
    store.put_bytes(DATA)
    faults.only, faults.answer = get, [page] * 2
    assert store.get_bytes(of_bytes(DATA), len(DATA)) == DATA


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "AccessDenied", StoreAccessError),
        (503, "SlowDown", StoreUnavailableError),
        (400, "Odd", StoreError),
    ],
)
def test_views_keep_the_error_contract(
    store: MinioStore, faults: Faults, status: int, code: str, kind: type[StoreError]
) -> None:
    blob = store.put_bytes(DATA)
    manifest = Manifest("application/vnd.assay.model.v1", (FileEntry("file", blob),), {})
    store.view(manifest)

    def content(head: bytes) -> bool:
        return head.startswith(b"GET") and b"/views/" in head.split(b"?")[0]

    for work in (store.view, store.verify_view):
        faults.only, faults.answer = content, [error(status, code)] * 20
        with pytest.raises(kind):
            work(manifest)
        assert len(faults.answer) < 20
    # And what passes by itself is waited for.
    faults.answer = [error(503, "SlowDown")] * 2
    store.verify_view(manifest)
    assert not faults.answer


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Certificate and key of 127.0.0.1, signed by itself, where MinIO looks for them."""
    certificate, key = folder / "public.crt", folder / "private.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def test_files_of_any_size_move_over_tls(
    credentials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = require("minio", "run: make minio")
    (port,) = free_ports(1)
    endpoint = f"https://127.0.0.1:{port}"
    (tmp_path / "certificates").mkdir()
    certificate, _ = make_certificate(tmp_path / "certificates")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving(
        [program, "server", "--quiet", "--certs-dir", str(certificate.parent),
         "--address", f"127.0.0.1:{port}", str(tmp_path / "data")],
        f"{endpoint}/minio/health/ready",
        tmp_path / "log",
        MINIO_ROOT_USER=USER,
        MINIO_ROOT_PASSWORD=PASSWORD,
    ):  # fmt: skip
        url = f"s3://tls/p?endpoint={endpoint}"
        client_for(url).make_bucket("tls")
        store = MinioStore.from_url(url, QUICK)
        for size in (10, 2 << 20, 40 << 20):
            source, back = tmp_path / f"{size}", tmp_path / f"{size}.back"
            source.write_bytes(os.urandom(size))
            blob = store.put_file(source)
            store.get_file(blob, back)
            assert back.read_bytes() == source.read_bytes()
        assert len(list(store.iter_blobs())) == 3


@pytest.mark.parametrize("megabytes", [2, 40], ids=["one request", "parts"])
def test_a_file_on_a_file_system_that_cannot_send_is_sent_all_the_same(
    store: MinioStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, megabytes: int
) -> None:
    whole = os.sendfile

    def some(out: int, source: int, offset: int, count: int) -> int:
        # As on a share that breaks the call off: a part goes, the rest is refused.
        if offset % (16 << 20):
            raise OSError(errno.EINVAL, "Invalid argument")
        return whole(out, source, offset, min(count, 100_000))

    monkeypatch.setattr(os, "sendfile", some)
    source = tmp_path / "source"
    source.write_bytes(os.urandom(megabytes << 20))
    blob = store.put_file(source)
    store.get_file(blob, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()


def test_a_certificate_that_nobody_signed_is_told_at_once(
    minio_endpoint: str, credentials: None, tmp_path: Path
) -> None:
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=greet)
        thread.start()
        port = server.getsockname()[1]
        store = MinioStore.from_url(f"s3://b/p?endpoint=https://127.0.0.1:{port}", QUICK)
        with pytest.raises(StoreError, match="SSL_CERT_FILE"):
            store.put_bytes(DATA)
        thread.join()
