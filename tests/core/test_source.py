"""Locations: what is fetched has the right name, and what must not be read is refused."""

import contextlib
import http.server
import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from assay import data as dataset
from assay.core import retry
from assay.core.digest import of_bytes
from assay.core.source import Source, fetch, local_path, peek, unchanged
from assay.core.step import Dataset
from assay.core.store import Store
from assay.core.tree import put_tree
from assay.errors import AssayError, DataError, NotFoundError, UsageError
from assay.printable import public

TABLE = b"a,b\n" + b"1,2\n" * 400_000
SECRETS = ("hunter2", "alice", "deadbeef")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "adult-train.csv"
    path.write_bytes(TABLE)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "fetched"
    folder.mkdir()
    return folder


def refusal(work: Callable[[], Any], kind: type[AssayError] = DataError) -> str:
    with pytest.raises(kind) as caught:
        work()
    message = str(caught.value)
    assert "\n" not in message
    assert not [secret for secret in SECRETS if secret in message]
    return message


class TestLocalFiles:
    def test_a_local_file_is_hashed_without_a_copy(self, file: Path, target: Path) -> None:
        for location in (str(file), file.as_uri(), f"file://localhost{file}"):
            source = fetch(location, target)
            assert source == Source(file, of_bytes(TABLE), file.as_uri())
        assert list(target.iterdir()) == []

    def test_a_path_may_be_relative_to_here_or_home(
        self, file: Path, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(file.parent)
        monkeypatch.setenv("HOME", str(file.parent))
        for location in (file.name, f"~/{file.name}"):
            assert fetch(location, target).uri == file.as_uri()

    def test_a_misspelt_name_gets_a_suggestion(self, file: Path, target: Path) -> None:
        misspelt = str(file).replace("train", "trian")
        message = refusal(lambda: fetch(misspelt, target))
        assert message == f"no file {misspelt}; did you mean {file}?"

    def test_the_message_about_a_folder_lists_its_files(self, file: Path, target: Path) -> None:
        message = refusal(lambda: fetch(str(file.parent), target))
        assert "is a folder; give one CSV or Parquet file, such as adult-train.csv in it" in message

    def test_paths_that_are_not_files_are_refused(self, tmp_path: Path, target: Path) -> None:
        empty, pipe = tmp_path / "empty.csv", tmp_path / "pipe"
        empty.touch()
        os.mkfifo(pipe)
        assert "is empty; give a file" in refusal(lambda: fetch(str(empty), target))
        assert "it is a pipe, not a regular file" in refusal(lambda: fetch(str(pipe), target))
        assert "there is no folder" in refusal(lambda: fetch(str(tmp_path / "x/y.csv"), target))
        assert "no file" in refusal(lambda: fetch(str(empty / "y.csv"), target))
        assert "not a path" in refusal(lambda: fetch("a\0b", target))
        assert "cannot read" in refusal(lambda: fetch("x" * 300, target))

    def test_a_limit_on_size_holds(self, file: Path, target: Path) -> None:
        assert fetch(str(file), target, max_bytes=len(TABLE)).digest == of_bytes(TABLE)
        message = refusal(lambda: fetch(str(file), target, max_bytes=len(TABLE) - 1))
        assert "larger than the limit of 1,600,003 bytes" in message

    def test_peeking_reads_no_more_than_asked(self, file: Path) -> None:
        assert peek(str(file), 3) == b"a,b"


class TestFilesThatChange:
    def test_a_result_of_a_file_that_changed_is_refused(self, file: Path, target: Path) -> None:
        source = fetch(str(file), target)

        def read() -> None:
            with unchanged(source), file.open("ab") as stream:
                stream.write(b"3,4\n")

        assert "changed while it was read" in refusal(read)

    def test_a_change_between_hashing_and_reading_is_seen_with_its_stamp_set_back(
        self, file: Path, target: Path
    ) -> None:
        source, info = fetch(str(file), target), file.stat()
        file.write_bytes(TABLE.replace(b"1,2", b"2,1"))
        os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))

        def read() -> None:
            with unchanged(source):
                pass

        assert "changed while it was read" in refusal(read)

    def test_a_bad_row_of_a_file_that_changed_is_reported_as_the_change(
        self, file: Path, target: Path
    ) -> None:
        source = fetch(str(file), target)

        def read(change: bytes) -> None:
            with unchanged(source):
                file.write_bytes(change)
                raise DataError("row 7 is ragged")

        assert "changed while it was read" in refusal(lambda: read(b"a,b\n1"))
        file.write_bytes(TABLE)

        def bad() -> None:
            with unchanged(source):
                raise DataError("row 7 is ragged")

        assert refusal(bad) == "row 7 is ragged"

    def test_an_unchanged_file_is_accepted(self, file: Path, target: Path) -> None:
        with unchanged(fetch(str(file), target)):
            file.read_bytes()


class Handler(http.server.BaseHTTPRequestHandler):
    """Paths that do what they are called."""

    asked: dict[str, int]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        count = self.asked[path] = self.asked.get(path, 0) + 1
        if path.startswith("/to/"):
            self.answer(302, location=path.removeprefix("/to/"))
        elif path == "/loop":
            self.answer(302, location="/loop")
        elif path == "/table.csv" or (path == "/busy-twice" and count > 2):
            self.answer(200, TABLE)
        elif path == "/busy-twice":
            self.answer(503)
        elif path == "/cut-once":
            self.answer(200, TABLE, sent=len(TABLE) if count > 1 else 1000)
        elif path == "/always-cut":
            self.answer(200, TABLE, sent=1000)
        elif path == "/drip":
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(200):
                    self.wfile.write(b"a")
                    time.sleep(0.05)
        elif path == "/empty":
            self.answer(200)
        else:
            self.answer(int(path.strip("/")))

    def answer(
        self, status: int, body: bytes = b"", sent: int | None = None, location: str = ""
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body[:sent])


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(retry, "SOURCE", replace(retry.SOURCE, longest_wait=0.01))
    handler = type("Own", (Handler,), {"asked": {}})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


class TestHttp:
    def test_bytes_are_fetched_and_named(self, web: str, target: Path) -> None:
        source = fetch(f"{web}/table.csv", target)
        assert source == Source(target / "table.csv", of_bytes(TABLE), f"{web}/table.csv")
        assert source.path.read_bytes() == TABLE

    @pytest.mark.parametrize("path", ["busy-twice", "cut-once"])
    def test_transient_faults_are_overcome(self, web: str, target: Path, path: str) -> None:
        assert fetch(f"{web}/{path}", target).digest == of_bytes(TABLE)

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            ("503", "the server answered 503, after 5 attempts"),
            ("always-cut", r"cannot be fetched (ProtocolError), after 5 attempts"),
            ("404", "the server answered 404: not found; check the address"),
            ("403", "the server answered 403: access denied"),
            ("418", "the server answered 418: check the address"),
            ("empty", "is empty; give a file"),
            ("loop", "more than 5 redirects"),
        ],
    )
    def test_a_permanent_fault_is_reported_and_leaves_nothing(
        self, web: str, target: Path, path: str, message: str
    ) -> None:
        assert message in refusal(lambda: fetch(f"{web}/{path}", target))
        assert list(target.iterdir()) == []

    @pytest.mark.usefixtures("web")
    def test_a_server_that_is_not_there(self, target: Path) -> None:
        message = refusal(lambda: fetch("http://127.0.0.1:9/table.csv", target))
        assert "cannot be fetched" in message
        assert "check that the server is up" in message

    def test_redirects_are_followed(self, web: str, target: Path) -> None:
        assert fetch(f"{web}/to//table.csv", target).digest == of_bytes(TABLE)

    @pytest.mark.parametrize(
        "onward",
        ["http://169.254.169.254/latest", "file:///etc/passwd", "s3://bucket/key", "ftp://host/x"],
    )
    def test_redirects_to_private_addresses_are_refused(
        self, web: str, target: Path, onward: str
    ) -> None:
        refusal(lambda: fetch(f"{web}/to/{onward}", target), UsageError)

    def test_a_redirect_never_leaves_https(self) -> None:
        from assay.core.source import _redirected

        message = refusal(lambda: _redirected("https://host/a", "http://localhost/b"))
        assert "redirected to http://localhost/b, which is refused" in message
        assert _redirected("https://host/a?x=1", "/b") == "https://host/b"

    def test_a_limit_on_size_does_not_depend_on_the_server(self, web: str, target: Path) -> None:
        message = refusal(lambda: fetch(f"{web}/table.csv", target, max_bytes=1000))
        assert "larger than the limit of 1,000 bytes" in message
        assert list(target.iterdir()) == []

    def test_peeking_reads_no_more_than_asked(self, web: str) -> None:
        assert peek(f"{web}/table.csv", 3) == b"a,b"
        assert peek(f"{web}/table.csv", 10**9) == TABLE

    def test_a_server_that_trickles_does_not_outlive_the_deadline(
        self, web: str, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("assay.core.source.FETCH_SECONDS", 0.4)
        monkeypatch.setattr("assay.core.source.PEEK_SECONDS", 0.4)
        began = time.monotonic()
        for read in (lambda: fetch(f"{web}/drip", target), lambda: peek(f"{web}/drip", 10**6)):
            assert "not read after 0 seconds, which is the limit" in refusal(read)
        assert time.monotonic() - began < 4

    def test_a_signed_address_leaves_no_secret(self, web: str, target: Path) -> None:
        location = f"{web}/table.csv?X-Amz-Signature=deadbeef#x"
        assert fetch(location, target).uri == f"{web}/table.csv"
        refusal(lambda: fetch(f"{web}/404?X-Amz-Signature=deadbeef", target))


class TestWhatMayBeSaid:
    @pytest.mark.parametrize(
        ("location", "message"),
        [
            ("https://alice:hunter2@host/x.csv", "leave user and password out"),
            ("s3://alice:hunter2@bucket/x.csv", "leave user and password out"),
            ("s3://bucket/x?endpoint=http://alice:hunter2@host", "leave user and password out"),
            ("http://host/x.csv", "give its https:// address"),
            ("ftp://host/x.csv", "not a location that can be read"),
            ("https:///x.csv", "not a location that can be read"),
            ("file://otherhost/x.csv", "not a location that can be read"),
            ("https://host:port/x", "not a location that can be read"),
            ("s3://bucket", "no object"),
            ("https://host/x.csv?se=2024-01-01 00:00:00Z&sig=x", "holds white space or control"),
            ("https://host/x.csv?a=b\n&sig=x", "holds white space or control"),
            ("https://host/x.csv?a=b\u00a0&sig=x", "holds white space or control"),
            ("https://host/x\x00.csv", "holds white space or control"),
            ("https://host/my table.csv", "write each as %20"),
            ("s3://bucket/x?region=a b", "holds white space or control"),
            ("s3://bucket/x\n.csv", "holds white space or control"),
        ],
    )
    def test_a_location_that_cannot_be_read_is_refused(
        self, target: Path, location: str, message: str
    ) -> None:
        assert message in refusal(lambda: fetch(location, target), UsageError)
        assert message in refusal(lambda: peek(location, 1), UsageError)

    @pytest.mark.parametrize(
        ("location", "shown"),
        [
            ("https://alice:hunter2@host:1/x?token=deadbeef#f", "https://host:1/x"),
            (
                "s3://b/k?secret=deadbeef&region=eu&endpoint=http://alice:hunter2@h:9000",
                "s3://b/k?endpoint=http://h:9000&region=eu",
            ),
            ("/data/x.csv", "/data/x.csv"),
        ],
    )
    def test_stored_locations_have_no_secrets(self, location: str, shown: str) -> None:
        assert public(location) == shown
        assert public(shown) == shown

    def test_a_path_with_a_percent_sign_in_an_uri(self) -> None:
        assert local_path("file:///a%20b.csv") == Path("/a b.csv")
        assert local_path("https://host/x") is None


@pytest.fixture(params=[pytest.param("minio", marks=pytest.mark.minio), "seaweedfs"])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A location in a bucket of each kind of server, to be completed with a key."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    monkeypatch.setenv("AWS_ENDPOINT_URL", url.partition("endpoint=")[2])
    return url.replace("?", "/{}?")


class TestS3:
    def test_an_object_is_fetched_and_named(self, bucket: str, target: Path) -> None:
        from urllib.parse import urlsplit

        from assay.core.store.client import client_for

        location = bucket.format("a table.csv")
        parts = urlsplit(location)
        client_for(location).put_object(
            parts.netloc, parts.path.lstrip("/"), io.BytesIO(TABLE), len(TABLE)
        )
        source = fetch(location, target)
        assert (source.digest, source.uri) == (of_bytes(TABLE), location)
        assert fetch(source.uri, target).digest == source.digest
        assert peek(location, 3) == b"a,b"

    def test_an_object_that_is_not_there(self, bucket: str, target: Path) -> None:
        message = refusal(lambda: fetch(bucket.format("none.csv"), target))
        assert "NoSuchKey: not found; check bucket, key and endpoint" in message

    def test_a_server_that_is_not_there(
        self, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retry, "SOURCE", replace(retry.SOURCE, longest_wait=0.01))
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        location = "s3://bucket/x.csv?endpoint=http://127.0.0.1:9"
        assert "cannot be fetched" in refusal(lambda: fetch(location, target))

    @pytest.mark.minio
    def test_wrong_credentials(
        self, minio_url: str, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
        monkeypatch.setenv("AWS_ENDPOINT_URL", minio_url.partition("endpoint=")[2])
        message = refusal(lambda: fetch(minio_url.replace("?", "/x?"), target))
        assert "check the credentials in AWS_ACCESS_KEY_ID" in message


class TestDigests:
    def test_a_dataset_is_laid_out_as_a_folder(
        self, folder_store: Store, tmp_path: Path, target: Path
    ) -> None:
        made = tmp_path / "made"
        made.mkdir()
        table = pa.table({"a": [1, 2]})
        dataset.write(table.to_batches(), table.schema, made)
        digest = put_tree(folder_store, made, Dataset.type, {}).digest
        source = fetch(digest, target, store=folder_store)
        assert (source.digest, source.uri) == (digest, digest)
        assert dataset.read(source.path)["a"].tolist() == [1, 2]
        with unchanged(source):
            pass

    def test_only_datasets_are_tables(
        self, folder_store: Store, tmp_path: Path, target: Path
    ) -> None:
        made = tmp_path / "made"
        made.mkdir()
        (made / "policy.yaml").write_text("gates: []")
        digest = put_tree(folder_store, made, "application/vnd.assay.policy.v1", {}).digest
        message = refusal(lambda: fetch(digest, target, store=folder_store), UsageError)
        assert "give a dataset's digest" in message

    def test_a_digest_that_is_not_in_the_store(self, folder_store: Store, target: Path) -> None:
        refusal(lambda: fetch(of_bytes(b"x"), target, store=folder_store), NotFoundError)
        assert "digests need a store" in refusal(lambda: fetch(of_bytes(b"x"), target), UsageError)
