"""A store in a bucket of MinIO or another S3 server.

Blobs are written create-only (`If-None-Match: *`), so concurrent writers are safe. The digest is
signed as `x-amz-content-sha256`: servers that verify it refuse a body that was altered in transit.
Transient faults are retried with exponential back-off and jitter; all others are reported
immediately, with a remedy.
"""

import contextlib
import hashlib
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, Final, TypeVar
from urllib.parse import quote, unquote_plus, urlencode
from xml.etree.ElementTree import Element, ParseError, fromstring
from xml.sax.saxutils import escape

from assay.core import retry
from assay.core.digest import PREFIX, Readable, hex_of
from assay.core.manifest import Descriptor
from assay.core.parallel import WORKERS
from assay.core.store import s3_errors
from assay.core.store.base import SMALL_BYTES, Entry, Store, blob_key, not_found
from assay.core.store.client import Limits, client_of, endpoint_for, split_url
from assay.core.store.files import PIECE_BYTES, read_pieces
from assay.core.store.probe import (
    FOLDER,
    Probe,
    read_bucket_settings,
    remove_all,
    try_writes,
)
from assay.core.store.upload import PART_BYTES, Source, part_bytes
from assay.core.store.wire import Endpoint, ForeignError, StatusError, Wire
from assay.errors import (
    IntegrityError,
    StoreAccessError,
    StoreError,
    UsageError,
)

logger = logging.getLogger(__name__)
R = TypeVar("R")

PARALLEL_PARTS: Final = 4
"""Maximum number of concurrent parts in the whole process."""
MAX_DOCUMENT_BYTES: Final = 1 << 20
"""Maximum size of an XML response about one object."""
MAX_LISTING_BYTES: Final = 16 << 20
"""Maximum size of one page of a listing, which has at most 1,000 objects."""
MAX_EMPTY_PAGES: Final = 100
"""Maximum number of consecutive empty pages of a listing."""
MAX_SKEW_SECONDS: Final = 900
"""Maximum clock difference; servers refuse signatures if it is larger."""

_PRECONDITION_FAILED: Final = 412
_NOT_FOUND: Final = 404
_FAILED_LATE: Final = 500
"""Status for successful responses whose document is an error."""
_PARTIAL: Final = 206
_RANGE_REFUSED: Final = 416


class MinioStore(Store):
    """Blobs as objects below a prefix of a bucket."""

    max_copy_bytes = 5 << 30
    """Maximum size of an S3 copy request."""

    def __init__(
        self, endpoint: Endpoint, bucket: str, prefix: str, limits: Limits | None = None
    ) -> None:
        """A store without open connections.

        Args:
            endpoint: The server.
            bucket: Name of the bucket.
            prefix: Prefix of all keys.
            limits: Timeouts and retries; None for those of the settings.
        """
        self._endpoint = endpoint
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._limits = limits or Limits.from_env()
        self.url = f"s3://{bucket}/{self._prefix}".rstrip("/")
        self._wire = Wire(
            endpoint,
            bucket,
            connect_timeout=self._limits.connect_timeout,
            read_timeout=self._limits.read_timeout,
            pace=self._limits.pace,
        )
        # Shared by all files, to limit the number of concurrent parts of several large files.
        self._parts = ThreadPoolExecutor(PARALLEL_PARTS, "assay-parts")
        self._hashers = ThreadPoolExecutor(WORKERS, "assay-hash")
        self._bucket_seen = False
        self._clock = (0.0, float("-inf"))
        """The last known time of the server, and the monotonic clock at that moment."""

    @classmethod
    def from_url(cls, url: str, limits: Limits | None = None) -> "MinioStore":
        """The store of an `s3://…` URL.

        Raises:
            UsageError: The URL is not valid.
        """
        parts = split_url(url)
        if not parts.netloc:
            raise UsageError("s3://: no bucket; write s3://bucket/prefix?endpoint=http://host:9000")
        return cls(endpoint_for(url), parts.netloc, parts.path, limits)

    @contextlib.contextmanager
    def _open(self, key: str) -> Iterator[tuple[int, Readable]]:
        with (
            self._missing_as_not_found(key),
            self._wire.request("GET", self._prefix + key) as answer,
        ):
            yield answer.left, answer

    def _stat(self, key: str) -> Entry | None:
        def ask() -> Entry | None:
            try:
                with self._wire.request("HEAD", self._prefix + key) as answer:
                    self._clock = (answer.now, time.monotonic())
                    return Entry(key, int(answer.headers["content-length"]), answer.modified)
            except StatusError as error:
                if error.status != _NOT_FOUND:
                    self._raise_with_code(key)
                    raise
            # The response to HEAD has no body that tells a missing bucket from a missing key.
            if not self._bucket_seen:
                self._require_bucket()
            return None

        return self._attempt(ask)

    def _raise_with_code(self, key: str) -> None:
        """Repeat a refused HEAD as GET, whose response has a body with the error code.

        Raises:
            StatusError: The error with the code of the server.
        """
        with self._wire.request("GET", self._prefix + key, headers={"range": "bytes=0-0"}):
            pass

    def _require_bucket(self) -> None:
        try:
            with self._wire.request("HEAD", ""):
                self._bucket_seen = True
        except StatusError as error:
            if error.status == _NOT_FOUND:
                raise s3_errors.permanent("NoSuchBucket", 0, "", self.url, self._bucket) from error
            # Other errors give no further information: a user with access to objects need not have
            # permissions on the bucket.
            self._bucket_seen = True

    def _now(self) -> float:
        def ask() -> float:
            with self._wire.request("GET", "", query=self._query("", "", 1)) as answer:
                answer.read_all(MAX_LISTING_BYTES)
                return answer.now

        # The Date may be that of a proxy with a wrong clock. The earlier time is safe, because all
        # entries appear more recent: more is kept, and waits are longer.
        return min(self._attempt(ask), time.time() + MAX_SKEW_SECONDS)

    def _recent_now(self) -> float:
        server, local = self._clock
        # The later time is safe here: entries that appear old are written again.
        return max(server + time.monotonic() - local, time.time() - MAX_SKEW_SECONDS)

    def _put_bytes(self, blob: Descriptor, data: bytes) -> None:
        key = blob_key(blob.digest)
        if not self._create(
            lambda condition: self._put(key, data, hex_of(blob.digest), blob.media_type, condition)
        ):
            self._renew(
                blob, lambda: self._put(key, data, hex_of(blob.digest), blob.media_type, {})
            )

    def _put_stream(self, stream: IO[bytes], path: Path, media_type: str) -> Descriptor:
        source = Source(stream, path, self._hashers)
        blob = Descriptor(source.digest, source.size, media_type)
        key = blob_key(blob.digest)
        if len(source.parts) > 1:
            if not self._is_current(blob):
                self._put_parts(key, blob, source)
            return blob

        def put(condition: dict[str, str]) -> None:
            self._send(key, source, 0, {"content-type": media_type, **condition})

        if not self._create(put):
            self._renew(blob, lambda: put({}))
        return blob

    def _create(self, put: Callable[[dict[str, str]], None]) -> bool:
        """Write an object unless the key exists; returns whether it was written."""

        def ask() -> bool:
            try:
                put({"if-none-match": "*"})
            except StatusError as error:
                if error.status != _PRECONDITION_FAILED:
                    raise
                return False
            return True

        return self._attempt(ask)

    def _renew(self, blob: Descriptor, put: Callable[[], None]) -> None:
        """Write an existing blob again if it has another size or is not recent."""
        if not self._is_current(blob):
            logger.info("writing %s again: it is damaged or not recent", blob.digest)
            self._attempt(put)

    def _put(
        self, key: str, data: bytes, sha256: str, media_type: str, extra: dict[str, str]
    ) -> None:
        headers = {"content-type": media_type, **extra}
        with self._wire.request(
            "PUT", self._prefix + key, headers=headers, body=data, sha256=sha256
        ):
            pass

    def _send(
        self, key: str, source: Source, number: int, headers: dict[str, str], query: str = ""
    ) -> str:
        """Send one part of a file; its entity tag."""
        part = source.parts[number]
        try:
            with self._wire.request(
                "PUT",
                self._prefix + key,
                headers=headers,
                query=query,
                body=part,
                sha256=part.sha256,
            ) as answer:
                return answer.headers["etag"].strip('"')
        except StatusError as error:
            # Altered in transit, then it is sent again; or in the file, which is an error.
            if error.code in s3_errors.ALTERED:
                part.require_unchanged()
            raise

    def _put_parts(self, key: str, blob: Descriptor, source: Source) -> None:
        """A large blob in parts, in parallel; what is not completed is given up again.

        Each part is named by the hash that was taken when the whole was hashed, so what the server
        accepts is what the digest was computed from.
        """

        def send_all(upload: str) -> list[str]:
            def send(number: int) -> str:
                query = _part_query(number, upload)
                return self._attempt(lambda: self._send(key, source, number, {}, query))

            tags = self._in_parallel(send, len(source.parts))
            # Checked again, because not all servers verify the hash of each part.
            source.require_unchanged()
            return tags

        self._in_parts(key, blob, send_all)

    def _in_parts(self, key: str, blob: Descriptor, send_all: Callable[[str], list[str]]) -> None:
        """Upload in parts; `send_all` gets the upload id and returns the tags of the parts."""

        def begin() -> str:
            headers = {"content-type": blob.media_type}
            fields = self._document(
                "POST", key, "uploads=", "InitiateMultipartUploadResult", headers
            )
            return fields["UploadId"]

        upload = self._attempt(begin)
        query = urlencode({"uploadId": upload}, quote_via=quote, safe="")
        try:
            tags = send_all(upload)
            parts = "".join(
                f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(tag)}</ETag></Part>"
                for number, tag in enumerate(tags, 1)
            )
            body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
            self._attempt(lambda: self._complete(key, blob, query, body))
        except BaseException:
            with contextlib.suppress(StoreError):
                self._attempt(lambda: self._abort(key, query))
            raise

    def _complete(self, key: str, blob: Descriptor, query: str, body: bytes) -> None:
        expected = "CompleteMultipartUploadResult"
        try:
            self._document("POST", key, query, expected, body=body, moves=blob.size)
        except StatusError as error:
            # The response to an earlier attempt was lost: the upload is complete.
            if error.code != "NoSuchUpload" or self._size(key) != blob.size:
                raise

    def _abort(self, key: str, query: str) -> None:
        with self._wire.request("DELETE", self._prefix + key, query=query):
            pass

    def _document(
        self,
        method: str,
        key: str,
        query: str,
        expected: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        moves: int = 0,
    ) -> dict[str, str]:
        """Send a request and parse the XML response.

        Args:
            method: HTTP method.
            key: The object's key.
            query: Canonical query string.
            expected: Name of the root element.
            headers: By lower-case name.
            body: Body of the request.
            moves: Number of bytes that the server copies before it responds.

        Returns:
            The text of the child elements by name.

        Raises:
            ForeignError: The response is not the expected document.
            StatusError: The document reports an error.
        """
        with self._wire.request(
            method,
            self._prefix + key,
            headers=headers,
            query=query,
            body=body,
            sha256=hashlib.sha256(body).hexdigest(),
            document=True,
            moves=moves,
        ) as answer:
            text = answer.read_all(MAX_DOCUMENT_BYTES)
        try:
            document = fromstring(text)  # noqa: S314 - expat bounds what entities may become
        except (ParseError, ValueError) as error:
            raise ForeignError(f"not XML: {type(error).__name__}") from error
        name, fields = _plain(document.tag), _fields(document)
        if name == "Error":
            raise StatusError(_FAILED_LATE, fields.get("Code", ""), answer.headers)
        if name != expected or (expected.startswith("Initiate") and not fields.get("UploadId")):
            raise ForeignError(f"not {expected} but <{name[:40]}>")
        return fields

    def _in_parallel(self, work: Callable[[int], R], count: int) -> list[R]:
        """Call `work` with each number below `count`, with the limit of `PARALLEL_PARTS`."""
        futures: list[Future[R]] = [self._parts.submit(work, number) for number in range(count)]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()
            # No part may be active when the caller handles the error.
            wait(futures)

    def _fetch(self, blob: Descriptor, out: IO[bytes]) -> None:
        if blob.size <= PART_BYTES:
            super()._fetch(blob, out)
            return
        key = blob_key(blob.digest)
        descriptor = out.fileno()
        length = part_bytes(blob.size)
        writing = threading.Lock()

        def receive(number: int) -> None:
            self._attempt(lambda: self._receive(key, blob, descriptor, number * length, writing))

        def fetch() -> None:
            hasher = hashlib.sha256()
            count = -(-blob.size // length)
            futures = [self._parts.submit(receive, number) for number in range(count)]
            try:
                for number, future in enumerate(futures):
                    future.result()
                    # Read back in order, to hash the content of the file.
                    begin = number * length
                    end = min(begin + length, blob.size)
                    for piece in read_pieces(descriptor, begin, end - begin):
                        hasher.update(piece)
            finally:
                for future in futures:
                    future.cancel()
                wait(futures)
            self._compare(blob.digest, blob.size, PREFIX + hasher.hexdigest(), blob.size)

        self._attempt(fetch, damaged=True)

    def _receive(
        self, key: str, blob: Descriptor, descriptor: int, begin: int, writing: threading.Lock
    ) -> None:
        """Read one part of a blob into its range of a file."""
        end = min(begin + part_bytes(blob.size), blob.size)
        headers = {"range": f"bytes={begin}-{end - 1}"}
        try:
            with (
                self._missing_as_not_found(key),
                self._wire.request("GET", self._prefix + key, headers=headers) as answer,
            ):
                content_range = answer.headers.get("content-range", "")
                self._compare(blob.digest, blob.size, None, _whole_size(content_range))
                if answer.status != _PARTIAL or answer.left != end - begin:
                    raise StoreError(
                        f"store {self.url}: the server does not support range requests"
                    )
                buffer, offset = memoryview(bytearray(PIECE_BYTES)), begin
                while count := answer.readinto(buffer):
                    # The kernel serializes writers of a file, and others would spin meanwhile.
                    with writing:
                        offset += os.pwrite(descriptor, buffer[:count], offset)
        except StatusError as error:
            if error.status == _RANGE_REFUSED:
                size = _whole_size(error.headers.get("content-range", ""))
                self._compare(blob.digest, blob.size, None, size)
            raise

    @contextlib.contextmanager
    def _missing_as_not_found(self, key: str) -> Iterator[None]:
        # Not in _attempt, because callers below it handle this error.
        try:
            yield
        except StatusError as error:
            if error.code in s3_errors.MISSING or (error.status == _NOT_FOUND and not error.code):
                raise not_found(f"{self._prefix}{key}", self.url) from error
            raise

    def _replace(self, key: str, data: bytes, media_type: str = "application/json") -> None:
        sha256 = hashlib.sha256(data).hexdigest()
        self._attempt(lambda: self._put(key, data, sha256, media_type, {}))

    def _add(self, key: str, data: bytes) -> bool:
        sha256 = hashlib.sha256(data).hexdigest()
        return self._create(lambda condition: self._put(key, data, sha256, "text/plain", condition))

    def _list(self, prefix: str) -> Iterator[Entry]:
        after = ""
        seen: set[str] = set()
        empty = 0
        while True:
            entries, after = self._attempt(partial(self._page, prefix, after, seen, empty))
            yield from entries
            if not after:
                return
            seen.add(after)
            empty = 0 if entries else empty + 1

    def _query(self, prefix: str, after: str, count: int) -> str:
        """The query of a page of a listing; sorted, as the signature requires."""
        query = {
            **({"continuation-token": after} if after else {}),
            "encoding-type": "url",
            "list-type": "2",
            "max-keys": str(count),
            "prefix": self._prefix + prefix,
        }
        return urlencode(query, quote_via=quote, safe="")

    def _page(
        self, prefix: str, after: str, seen: AbstractSet[str], empty: int
    ) -> tuple[list[Entry], str]:
        """One page of a listing, and its continuation token, "" at the end.

        An incomplete listing is an error, because the garbage collector would remove the blobs that
        unlisted entries refer to.

        Args:
            prefix: Prefix of the keys.
            after: Continuation token; "" for the first page.
            seen: Tokens of all earlier pages.
            empty: Number of consecutive empty pages before this one.

        Returns:
            The entries and the token of the next page.

        Raises:
            ForeignError: The response is not a listing of `prefix`, or the listing never ends.
        """
        query = self._query(prefix, after, 1000)
        with self._wire.request("GET", "", query=query) as answer:
            text = answer.read_all(MAX_LISTING_BYTES)
        try:
            page = fromstring(text)  # noqa: S314 - expat bounds what entities may become
            if _plain(page.tag) != "ListBucketResult":
                raise ForeignError(f"not a listing but <{_plain(page.tag)[:40]}>")
            fields = _fields(page)
            decode = unquote_plus if fields.get("EncodingType") == "url" else str
            entries = [
                self._entry(_fields(item), prefix, decode)
                for item in page
                if _plain(item.tag) == "Contents"
            ]
            truncated = {"true": True, "false": False}[fields["IsTruncated"]]
            following = fields["NextContinuationToken"] if truncated else ""
        except (ParseError, ValueError, KeyError, OverflowError, OSError) as error:
            raise ForeignError(f"not a listing: {type(error).__name__}") from error
        if truncated and (not following or following in seen or empty == MAX_EMPTY_PAGES):
            raise ForeignError("a listing that never ends")
        return entries, following

    def _entry(self, fields: dict[str, str], prefix: str, decode: Callable[[str], str]) -> Entry:
        key = decode(fields["Key"])
        if not key.startswith(self._prefix + prefix):
            raise ForeignError(f"{key[:80]!r} in a listing of {self._prefix + prefix!r}")
        size = int(fields["Size"])
        if size < 0:
            raise ForeignError(f"{key[:80]!r} has {size} bytes")
        modified = datetime.fromisoformat(fields["LastModified"]).timestamp()
        return Entry(key.removeprefix(self._prefix), size, modified)

    def _remove(self, key: str) -> None:
        def ask() -> None:
            try:
                with self._wire.request("DELETE", self._prefix + key):
                    pass
            except StatusError as error:
                if error.status != _NOT_FOUND or error.code not in s3_errors.MISSING:
                    raise

        self._attempt(ask)

    def _removal(self, key: str) -> str:
        return f"mc rm ALIAS/{self._bucket}/{self._prefix}{key}"

    def _copy_blob(self, blob: Descriptor, key: str) -> None:
        source = quote(f"/{self._bucket}/{self._prefix}{blob_key(blob.digest)}")

        def copy(query: str, begin: int, end: int, expected: str) -> str:
            headers = {"x-amz-copy-source": source}
            if query:
                headers["x-amz-copy-source-range"] = f"bytes={begin}-{end - 1}"
            size = end - begin
            made = self._document("PUT", key, query, expected, headers, moves=size)
            return made.get("ETag", "")

        if blob.size <= self.max_copy_bytes:
            self._attempt(lambda: copy("", 0, blob.size, "CopyObjectResult"))
            return
        begins = range(0, blob.size, self.max_copy_bytes)

        def copy_all(upload: str) -> list[str]:
            def copy_part(number: int) -> str:
                begin = begins[number]
                end = min(begin + self.max_copy_bytes, blob.size)
                query = _part_query(number, upload)
                return self._attempt(lambda: copy(query, begin, end, "CopyPartResult"))

            return self._in_parallel(copy_part, len(begins))

        self._in_parts(key, blob, copy_all)

    def probe(self) -> Probe:
        """See `Store.probe`."""
        # Listed below the prefix of the store, because the documented policy allows only that.
        next(self._list(FOLDER), None)
        client = client_of(self._endpoint, self._limits)
        key = f"{FOLDER}{uuid.uuid4().hex}"
        names = (f"{self._prefix}{key}", f"{self._prefix}{key}-digest")
        probe = Probe()
        try:
            try_writes(probe, key, self._try_put, self._read_small)
        finally:
            if not probe.write_refusal:
                probe.remaining = remove_all(client, self._bucket, names)
        read_bucket_settings(probe, client, self._bucket, self._prefix)
        return probe

    def _try_put(
        self, key: str, data: bytes, sha256: str, headers: dict[str, str]
    ) -> StatusError | None:
        def ask() -> StatusError | None:
            try:
                self._put(key, data, sha256, "text/plain", headers)
            except StatusError as answer:
                if s3_errors.is_transient(answer):
                    raise
                return answer
            return None

        return self._attempt(ask)

    def _read_small(self, key: str) -> bytes:
        def read() -> bytes:
            with self._open(key) as (_, stream):
                return stream.read(SMALL_BYTES)

        return self._attempt(read)

    def _uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{key}".rstrip("/")

    def _attempt(self, work: Callable[[], R], *, damaged: bool = False) -> R:
        """Call `work`, repeat it after transient faults, and convert other faults."""
        damage_seen = 0
        renewed = False

        def transient(error: BaseException) -> bool:
            nonlocal damage_seen, renewed
            if damaged and isinstance(error, IntegrityError):
                damage_seen += 1
                return damage_seen == 1
            provider = self._endpoint.credentials
            if isinstance(error, StatusError) and error.code in s3_errors.EXPIRED and provider:
                provider.forget()
                first, renewed = not renewed, True
                return first
            return s3_errors.is_transient(error)

        policy = self._limits.policy
        try:
            return retry.call(policy, work, transient)
        except s3_errors.FAULTS as error:
            failure = s3_errors.to_store_error(
                error, url=self.url, bucket=self._bucket, limits=str(policy)
            )
            if isinstance(failure, StoreAccessError) and not self._bucket_seen:
                # Some servers deny writes to a bucket that does not exist.
                with contextlib.suppress(*s3_errors.FAULTS):
                    self._require_bucket()
            raise failure from error


def _part_query(number: int, upload: str) -> str:
    query = {"partNumber": number + 1, "uploadId": upload}
    return urlencode(query, quote_via=quote, safe="")


def _plain(tag: str) -> str:
    """A tag without its namespace, which differs between servers."""
    return tag.rpartition("}")[2]


def _fields(element: Element) -> dict[str, str]:
    """The text of the children of an element by name; the last one of equal names."""
    return {_plain(child.tag): child.text or "" for child in element}


def _whole_size(content_range: str) -> int:
    """The total size in bytes from a `Content-Range`; -1 if it has none."""
    _, _, size = content_range.rpartition("/")
    return int(size) if size.isdecimal() else -1
