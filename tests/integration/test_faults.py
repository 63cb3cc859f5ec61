"""Faults between client and server: retried when a retry can mend them, told at once when not."""

import contextlib
import errno
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assay.core import plain_copies
from assay.core.digest import of_bytes
from assay.core.manifest import Descriptor, FileEntry, Manifest
from assay.core.retry import Policy
from assay.core.store.client import Limits, client_for
from assay.core.store.minio import MinioStore
from assay.core.store.wire import Answer, Pace
from assay.errors import (
    IntegrityError,
    StoreAccessError,
    StoreError,
    StoreUnavailableError,
    UsageError,
)

from servers import PASSWORD, USER, free_ports, require, serving

pytestmark = pytest.mark.minio

QUICK = Limits(Policy(attempts=5, first_wait=0.01, longest_wait=0.1, seconds=20), read_timeout=5)
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


def test_an_answer_that_is_always_cut_is_reported_in_bounded_time(
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
def test_what_no_retry_mends_is_reported_at_once(
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
    hasty = Limits(Policy(attempts=2, first_wait=0.01, longest_wait=1, seconds=5), read_timeout=0.2)
    store = MinioStore.from_url(proxied(minio_url), hasty)
    faults.delay = 2
    begin = time.monotonic()
    with pytest.raises(StoreUnavailableError, match="check that it is up"):
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
def test_plain_copies_keep_the_error_contract(
    store: MinioStore, faults: Faults, status: int, code: str, kind: type[StoreError]
) -> None:
    blob = store.put_bytes(DATA)
    manifest = Manifest("application/vnd.assay.model.v1", (FileEntry("file", blob),), {})
    plain_copies.make(store, manifest)

    def content(head: bytes) -> bool:
        return head.startswith(b"GET") and b"/views/" in head.split(b"?")[0]

    for work in (plain_copies.make, plain_copies.verify):
        faults.only, faults.answer = content, [error(status, code)] * 20
        with pytest.raises(kind):
            work(store, manifest)
        assert len(faults.answer) < 20
    # And what passes by itself is waited for.
    faults.answer = [error(503, "SlowDown")] * 2
    plain_copies.verify(store, manifest)
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


def test_a_certificate_that_nobody_signed_is_reported_at_once(
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


PAGE = b"<!DOCTYPE html><html><body>Sign in to the network</body></html>"
OF_S3 = 'ETag: "1"\r\nx-amz-request-id: 1\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n'


def answer(status: str, headers: str, body: bytes = b"") -> bytes:
    return f"HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n".encode() + body


def chunked(body: bytes) -> bytes:
    return f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"


FOREIGN = {
    "a sign-in page": answer(
        "200 OK", f"Content-Type: text/html\r\nContent-Length: {len(PAGE)}\r\n", PAGE
    ),
    "a page with an entity tag": answer(
        "200 OK", f'ETag: "5f"\r\nContent-Type: text/html\r\nContent-Length: {len(PAGE)}\r\n', PAGE
    ),
    "the right bytes in chunks": answer(
        "200 OK", OF_S3 + "Transfer-Encoding: chunked\r\n", chunked(DATA)
    ),
    "no length": answer("200 OK", OF_S3, DATA),
    "a length that is no number": answer("200 OK", OF_S3 + "Content-Length: many\r\n", DATA),
    "compressed": answer(
        "200 OK", OF_S3 + f"Content-Encoding: gzip\r\nContent-Length: {len(DATA)}\r\n", DATA
    ),
    "another server's page that nothing is there": answer(
        "404 Not Found", f"Content-Type: text/html\r\nContent-Length: {len(PAGE)}\r\n", PAGE
    ),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_an_answer_that_is_not_of_s3_is_not_called_damage_nor_missing(
    store: MinioStore, faults: Faults, tmp_path: Path, what: str
) -> None:
    blob = store.put_bytes(DATA)
    for work in (
        lambda: store.get_bytes(blob.digest, len(DATA)),
        lambda: store.get_file(blob, tmp_path / "file"),
        lambda: store.verify(blob),
        lambda: store.read_pointer(f"cache/{'ab' * 32}"),
    ):
        faults.only, faults.answer = get, [FOREIGN[what]] * 20
        with pytest.raises(StoreError, match=r"not from an S3 server.*proxy") as caught:
            work()
        assert "damaged" not in str(caught.value)
        assert "remove" not in str(caught.value)
    faults.answer = []
    assert store.get_bytes(blob.digest, len(DATA)) == DATA
    assert not (tmp_path / "file").exists()


def test_a_write_that_a_page_answers_is_not_believed(store: MinioStore, faults: Faults) -> None:
    faults.only, faults.answer = put, [FOREIGN["a sign-in page"]] * 20
    with pytest.raises(StoreError, match="not from an S3 server"):
        store.put_bytes(DATA)
    with pytest.raises(StoreError, match="not from an S3 server"):
        store.write_pointer(f"cache/{'ab' * 32}", b"{}")
    faults.answer = []
    assert not store.has(of_bytes(DATA))


@pytest.mark.parametrize("what", ["a sign-in page", "a page with an entity tag", "no length"])
def test_a_listing_or_copy_that_a_page_answers_is_not_an_empty_one(
    store: MinioStore, faults: Faults, what: str
) -> None:
    blob = store.put_bytes(DATA)
    manifest = Manifest("application/vnd.assay.model.v1", (FileEntry("file", blob),), {})
    for only, work in (
        (b"list-type", lambda: list(store.iter_blobs())),
        (b"x-amz-copy-source", lambda: plain_copies.make(store, manifest)),
        (b"DELETE", lambda: store.remove_blob(blob.digest)),
    ):
        faults.only = lambda head, only=only: only in head.lower() or head.startswith(only)
        faults.answer = [FOREIGN[what]] * 20
        if (only, what) == (b"DELETE", "no length"):
            continue  # the answer to a DELETE has no body
        with pytest.raises(StoreError, match="not from an S3 server"):
            work()
    faults.answer = []
    assert [digest for digest, _ in store.iter_blobs()] == [blob.digest]


def late(code: str) -> bytes:
    """A success that says in its document that it failed, as S3 answers what takes long."""
    body = f"<Error><Code>{code}</Code></Error>".encode()
    headers = (
        f"x-amz-request-id: 1\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
    )
    return answer("200 OK", headers, body)


def completion(head: bytes) -> bool:
    line = head.split(b"\r\n", 1)[0]
    return line.startswith(b"POST") and b"uploadId=" in line


def test_a_success_that_turns_out_a_failure_is_retried(
    store: MinioStore, faults: Faults, tmp_path: Path
) -> None:
    manifest = Manifest(
        "application/vnd.assay.model.v1", (FileEntry("file", store.put_bytes(DATA)),), {}
    )
    faults.only = lambda head: b"x-amz-copy-source" in head.lower()
    faults.answer = [late("InternalError")] * 2
    plain_copies.make(store, manifest)
    assert not faults.answer
    assert plain_copies.verify(store, manifest) == []
    (tmp_path / "large").write_bytes(os.urandom(40 << 20))
    faults.only, faults.answer = completion, [late("InternalError")] * 2
    blob = store.put_file(tmp_path / "large")
    assert not faults.answer
    assert store.verify(blob) == blob.size


def test_a_success_that_turns_out_a_refusal_is_none(
    store: MinioStore, faults: Faults, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(os.urandom(40 << 20))
    faults.only, faults.answer = completion, [late("AccessDenied")]
    with pytest.raises(StoreAccessError):
        store.put_file(tmp_path / "large")
    assert not list(store.iter_blobs())


def test_a_completion_whose_answer_was_lost_is_found_done(
    store: MinioStore, faults: Faults, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(os.urandom(40 << 20))
    faults.only, faults.reset_down = completion, 1
    blob = store.put_file(tmp_path / "large")
    assert faults.reset_down == 0
    assert store.verify(blob) == blob.size


@pytest.mark.parametrize("name", ["Last-Modified", "Date", "Content-Length"])
@pytest.mark.parametrize("value", ["", "soon", "-1", "Mon, 99 Foo 99999 00:00:00 GMT", "9" * 5000])
def test_odd_headers_are_one_line(store: MinioStore, faults: Faults, name: str, value: str) -> None:
    good = {
        "ETag": '"1"',
        "x-amz-request-id": "1",
        "Date": "Mon, 01 Jan 2024 00:00:00 GMT",
        "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT",
        "Content-Length": "5",
    }
    headers = "".join(f"{key}: {text}\r\n" for key, text in {**good, name: value}.items())
    faults.only = lambda head: head.startswith(b"HEAD")
    faults.answer = [answer("200 OK", headers)] * 20
    with pytest.raises(StoreError) as caught:
        store.modified(of_bytes(DATA))
    assert len(str(caught.value)) < 600
    assert "\n" not in str(caught.value)


@pytest.fixture
def dripping(credentials: None) -> Iterator[Callable[[bytes], str]]:
    """Servers that give an answer a byte at a time; their store's URL."""
    stopped = threading.Event()
    with contextlib.ExitStack() as stack:

        def serve(text: bytes) -> str:
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def drip(connection: socket.socket) -> None:
                with connection, contextlib.suppress(OSError):
                    connection.recv(1 << 16)
                    for byte in text:
                        if stopped.wait(0.05):
                            return
                        connection.sendall(bytes([byte]))

            def accept() -> None:
                with contextlib.suppress(OSError):
                    while not stopped.is_set():
                        connection, _ = server.accept()
                        threading.Thread(target=drip, args=(connection,), daemon=True).start()

            threading.Thread(target=accept, daemon=True).start()
            return f"s3://bucket/p?endpoint=http://127.0.0.1:{server.getsockname()[1]}"

        try:
            yield serve
        finally:
            stopped.set()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("part", ["head", "body", "listing", "write"])
@pytest.mark.slow
def test_a_server_that_drips_is_given_up_before_it_ends(
    dripping: Callable[[bytes], str], tmp_path: Path, part: str
) -> None:
    head = answer("200 OK", OF_S3 + f"Content-Length: {len(DATA)}\r\n")
    text = b"HTTP/1.1 200 OK\r\n" + b"x-odd: 1\r\n" * 10_000 if part == "head" else head + DATA
    limits = Limits(
        Policy(attempts=2, first_wait=0.01, longest_wait=1, seconds=2),
        read_timeout=5,
        pace=Pace(1.0, 10_000),
    )
    if part == "body":
        limits = replace(limits, pace=Pace(12.0, 100_000))  # the head passes
    store = MinioStore.from_url(dripping(text), limits)
    blob = Descriptor(of_bytes(DATA), len(DATA))
    works: dict[str, Callable[[], object]] = {
        "head": lambda: store.get_file(blob, tmp_path / "file"),
        "body": lambda: store.get_file(blob, tmp_path / "file"),
        "listing": lambda: list(store.iter_blobs()),
        "write": lambda: store.put_bytes(DATA),
    }
    started_at = time.monotonic()
    with pytest.raises(StoreUnavailableError, match="bytes per second"):
        works[part]()
    assert time.monotonic() - started_at < 40
    assert not list(tmp_path.iterdir())


def test_the_pace_is_a_setting_and_odd_ones_are_refused_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ASSAY_STORE_TIMEOUT", "7.5")
    monkeypatch.setenv("ASSAY_STORE_MIN_RATE", "1000")
    assert Limits.from_env().pace == Pace(7.5, 1000)
    monkeypatch.setenv("ASSAY_STORE_TIMEOUT", "nan")
    monkeypatch.setenv("ASSAY_STORE_MIN_RATE", "fast")
    with pytest.raises(
        UsageError, match=r"ASSAY_STORE_TIMEOUT: 'nan'.*ASSAY_STORE_MIN_RATE: 'fast'"
    ):
        Limits.from_env()


PAGE = b"<ListBucketResult>%s<Contents><Key>%s</Key><Size>%s</Size><LastModified>\
2026-01-01T00:00:00Z</LastModified></Contents></ListBucketResult>"
ON, OFF = b"<IsTruncated>true</IsTruncated>", b"<IsTruncated>false</IsTruncated>"
TOKEN = b"<NextContinuationToken>t</NextContinuationToken>"


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("page", "key", "size", "message"),
    [
        pytest.param(ON + TOKEN, b"", b"1", "never ends", id="the same page again and again"),
        pytest.param(ON + TOKEN[:23] + TOKEN[24:], b"", b"1", "never ends", id="no next page"),
        pytest.param(ON, b"", b"1", "KeyError", id="an old server's way to go on"),
        pytest.param(b"", b"", b"1", "KeyError", id="does not say whether it is whole"),
        pytest.param(OFF, b"elsewhere/pins/", b"1", "in a listing of", id="of another prefix"),
        pytest.param(OFF, b"", b"-1", "-1 bytes", id="less than nothing"),
    ],
)
def test_a_listing_that_cannot_be_whole_is_not_believed(
    store: MinioStore, faults: Faults, page: bytes, key: bytes, size: bytes, message: str
) -> None:
    place = key or f"{store._prefix}pins/".encode()
    body = PAGE % (page, place + b"a" * 64, size)
    head = b"HTTP/1.1 200 OK\r\nx-amz-request-id: 1\r\ncontent-length: %d\r\n\r\n" % len(body)
    faults.answer += [head + body] * 10
    with pytest.raises(StoreError, match=message):
        store.list_pointers("pins/")


@pytest.mark.parametrize("days", [-10, 10])
def test_the_clock_of_a_proxy_makes_nothing_old_and_nothing_young(
    store: MinioStore, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """nginx writes its own Date; ten days ahead, gc would have removed what runs rely on."""
    monkeypatch.setattr(Answer, "now", property(lambda _: time.time() + days * 86400), raising=True)
    blob = store.put_bytes(b"rows")
    written = store.modified(blob.digest)
    assert written is not None
    assert store.now() < written + 3600
    assert store._recent_now() > written - 3600
